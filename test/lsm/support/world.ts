/** A store in memory with a clock that the test moves, and what every test of the engine needs. */
import assert from "node:assert/strict";
import { isPumiceError, MemoryObjectStore, seededRandom, type Clock, type ErrorCode, type ObjectStore } from "../../../src/base/mod.ts";
import { hostCodecs, nodeCrc32, systemClock } from "../../../src/host/mod.ts";
import { Db, type LsmComponents, type LsmOptions } from "../../../src/lsm/mod.ts";

/** A wall clock that stands where the test puts it; waiting is real. */
export class TestClock implements Clock {
  nowMs = 1_800_000_000_000;

  now(): number {
    return this.nowMs;
  }

  monotonic(): number {
    return systemClock.monotonic();
  }

  async sleep(ms: number, options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    await systemClock.sleep(ms, options);
  }
}

/** A memory store and the components of an engine over it. */
export function memoryWorld(extra: Partial<LsmComponents> = {}): { clock: TestClock; components: LsmComponents; store: MemoryObjectStore } {
  const clock = new TestClock();
  const store = new MemoryObjectStore({ clock });
  return { clock, store, components: { store, clock, random: seededRandom(1), crc32: nodeCrc32, hostCodecs, ...extra } };
}

/** Opens a store without compaction and collection of its own, so that a test decides when they happen. */
export async function openQuiet(components: LsmComponents, options: LsmOptions = {}): Promise<Db> {
  return await Db.open("db", components, { compactor: false, gc: false, flushIntervalMs: 5, ...options });
}

/** Keys of all objects below a prefix. */
export async function keysOf(store: MemoryObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const meta of store.list(prefix)) keys.push(meta.key);
  return keys;
}

/** Text to bytes and back. */
export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : new TextDecoder().decode(value);

const UNTIL_MS_MAX = 30_000;

/** Turns of the event loop until `condition` holds; fails loudly if it never does. */
export async function until(condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + UNTIL_MS_MAX;
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, `${what} never came`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** For assert.rejects and assert.throws: the error has this code. */
export const fails =
  (code: ErrorCode) =>
  (error: unknown): boolean =>
    isPumiceError(error, code);

/** `store`, its methods replaced by those of `overrides`. */
export function overriding(store: ObjectStore, overrides: Partial<ObjectStore>): ObjectStore {
  return {
    get: async (...args) => await store.get(...args),
    getRange: async (...args) => await store.getRange(...args),
    head: async (...args) => await store.head(...args),
    list: (...args) => store.list(...args),
    put: async (...args) => await store.put(...args),
    putIf: async (...args) => await store.putIf(...args),
    createFrom: async (...args) => await store.createFrom(...args),
    delete: async (...args) => await store.delete(...args),
    ...overrides,
  };
}
