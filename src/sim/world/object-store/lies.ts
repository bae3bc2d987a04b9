/**
 * Stores that answer, and not the truth: listings of a while ago, bodies cut short or with a bit turned, times of another clock. Some of it no
 * store is allowed to do; the engine must then notice, and name what it found.
 */
import {
  copyBytes,
  compareUtf8,
  type ByteRange,
  type Clock,
  type ListOptions,
  type ObjectMeta,
  type ObjectStore,
  type Random,
} from "../../../base/mod.ts";
import { interceptStore, isChange } from "./intercept.ts";

/** How stale. */
export interface StaleListStoreOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Each listing shows the store as it was up to this long ago. */
  readonly staleMsMax: number;
}

interface Change {
  readonly atMs: number;
  readonly key: string;
  /** What was there before; undefined if nothing was. */
  readonly before: ObjectMeta | undefined;
}

/**
 * `inner`, whose listings lag behind: what was just created may be missing, what was just deleted may be shown. Gets and heads tell the
 * truth. Only what changes by way of this decorator is known to it.
 */
export function staleListStore(inner: ObjectStore, options: StaleListStoreOptions): ObjectStore {
  const { clock, random, staleMsMax } = options;
  let changes: Change[] = [];
  const recorded = interceptStore(inner, async (call, run) => {
    if (!isChange(call)) return run();
    const before = await inner.head(call.key);
    const result = await run();
    const atMs = clock.monotonic();
    changes = changes.filter((change) => change.atMs >= atMs - staleMsMax);
    changes.push({ atMs, key: call.key, before });
    return result;
  });
  return withList(recorded, async function* (prefix, listOptions) {
    const sinceMs = clock.monotonic() - random.below(staleMsMax + 1);
    /** What the earliest change after that moment found. */
    const then = new Map<string, ObjectMeta | undefined>();
    for (const change of changes) if (change.atMs > sinceMs && !then.has(change.key)) then.set(change.key, change.before);
    const shown: ObjectMeta[] = [];
    for await (const meta of inner.list(prefix, listOptions)) if (!then.has(meta.key)) shown.push(meta);
    for (const meta of then.values()) {
      if (meta?.key.startsWith(prefix) === true && compareUtf8(meta.key, listOptions?.startAfter ?? "") > 0) shown.push(meta);
    }
    yield* shown.sort((left, right) => compareUtf8(left.key, right.key));
  });
}

/** How often bodies are damaged, as probabilities of a get. */
export interface DamagedReadOptions {
  readonly random: Random;
  /** The body ends early. */
  readonly truncateRate: number;
  /** One bit of it is turned. */
  readonly flipRate: number;
  /** Called with each damage done, so that a test can ask who noticed. */
  readonly onDamage?: ((key: string, kind: "truncated" | "flipped") => void) | undefined;
}

/** `inner`, whose bodies may come damaged. What is stored is whole. */
export function damagedReadStore(inner: ObjectStore, options: DamagedReadOptions): ObjectStore {
  const { random, truncateRate, flipRate, onDamage } = options;
  return interceptStore(inner, async (call, run) => {
    const result = await run();
    if (!(result instanceof Uint8Array) || result.length === 0) return result;
    const draw = random.u32() / 2 ** 32;
    if (draw < truncateRate) {
      onDamage?.(call.key, "truncated");
      return copyBytes(result, 0, random.below(result.length)) as typeof result;
    }
    if (draw < truncateRate + flipRate) {
      onDamage?.(call.key, "flipped");
      const index = random.below(result.length);
      result[index] = (result[index] as number) ^ (1 << random.below(8));
    }
    return result;
  });
}

/** `inner`, whose clock is off: `offsetMs` is added to the time of each object, and may change from call to call. */
export function skewedTimeStore(inner: ObjectStore, offsetMs: () => number): ObjectStore {
  const skewed = (meta: ObjectMeta): ObjectMeta => ({ ...meta, lastModifiedMs: meta.lastModifiedMs + offsetMs() });
  const store = withList(inner, async function* (prefix, options) {
    for await (const meta of inner.list(prefix, options)) yield skewed(meta);
  });
  return {
    ...store,
    head: async (key, options) => {
      const meta = await inner.head(key, options);
      return meta === undefined ? undefined : skewed(meta);
    },
  };
}

type List = (prefix: string, options?: ListOptions) => AsyncIterable<ObjectMeta>;

function withList(inner: ObjectStore, list: List): ObjectStore {
  return {
    get: (key, options) => inner.get(key, options),
    getRange: (key: string, range: ByteRange, options) => inner.getRange(key, range, options),
    head: (key, options) => inner.head(key, options),
    list,
    put: (key, body, options) => inner.put(key, body, options),
    putIf: (key, body, condition, options) => inner.putIf(key, body, condition, options),
    createFrom: (key, parts, options) => inner.createFrom(key, parts, options),
    delete: (key, options) => inner.delete(key, options),
  };
}
