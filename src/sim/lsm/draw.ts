/** What a simulated LSM life is given by chance: settings, faults of the store, keys, writes, ranges. */
import { isPumiceError, toHex, utf8, type ObjectStore, type Clock } from "../../base/mod.ts";
import {
  COMPRESSIONS,
  MERGE,
  TOMBSTONE,
  VALUE,
  WriteBatch,
  type Compression,
  type Db,
  type LsmOptions,
  type Profile,
  type ScanBounds,
  type Ttl,
} from "../../lsm/mod.ts";
import { partOf, type LsmModel, type ModelState, type ModelWrite } from "./model.ts";
import type { LsmWorld } from "./world.ts";
import { faultyStore, NO_STORE_FAULTS, slowStore, type StoreFaultRates } from "../world/object-store/faults.ts";

const KEYS = 40;

/** Settings of a writer. */
export function drawOptions(world: LsmWorld, compat: Profile): LsmOptions {
  const walEnabled = !world.chance(10);
  const wanted: Compression = world.chance(40) ? "none" : world.oneOf(COMPRESSIONS);
  return {
    compat,
    flushIntervalMs: world.chance(30) ? undefined : 10 + world.below(500),
    walEnabled,
    l0SstBytes: 200 + world.below(4000),
    l0SstsMax: 4 + world.below(6),
    walFilesMax: world.chance(20) ? 3 : 4096,
    unflushedBytesMax: 50_000,
    blockSizeBytes: world.oneOf([1024, 2048, 4096, 16_384]),
    compression: world.hasHostCodecs || !["zlib", "zstd"].includes(wanted) ? wanted : "lz4",
    minFilterKeys: world.below(20),
    cacheBytes: world.chance(30) ? 0 : 100_000,
    defaultTtlMs: world.chance(15) ? 1000 + world.below(20_000) : undefined,
    filtersExpired: world.chance(40),
    compactor:
      !walEnabled || world.chance(70)
        ? {
            pollIntervalMs: 500,
            minSources: 2 + world.below(3),
            maxSstBytes: 200 + world.below(4000),
            movesTrivially: world.chance(50),
            checkpointLifetimeMs: world.chance(50) ? 0 : 5000,
          }
        : false,
    gc: world.chance(50) ? { intervalMs: 1000, minAgeMs: drawMinAge(world, compat) } : false,
  };
}

/**
 * The least age of what is collected. In profile 0.12, which has no boundaries, it is what keeps a writer that stood still from
 * putting a manifest under an id that was in use: it must be above the age at which a writer looks at its manifest again.
 */
export function drawMinAge(world: LsmWorld, profile: Profile): number {
  return (profile === "0.12" ? 45_000 : 1000) + world.below(10_000);
}

/** How often the store fails. */
export function drawRates(world: LsmWorld): StoreFaultRates {
  if (world.chance(30)) return NO_STORE_FAULTS;
  const rate = (): number => world.below(6) / 100;
  return { errorBefore: rate(), errorAfter: rate(), timeoutBefore: rate() / 3, timeoutAfter: rate() / 3, lateEffect: rate() };
}

/** `store`, far away and failing at `rates`. */
export function unreliable(world: LsmWorld, store: ObjectStore, rates: () => StoreFaultRates): ObjectStore {
  const { random, time: clock } = world;
  const faulty = faultyStore(store, { clock, random, rates, timeoutMs: 2000, lateMsMax: 10_000 });
  return slowStore(faulty, { clock, random, msMin: 0, msMax: 1 + world.below(80) });
}

/** One of the keys that everything may be done to. */
export function drawKey(world: LsmWorld): Uint8Array {
  return utf8(`key-${String(world.below(KEYS)).padStart(2, "0")}`);
}

/** Bounds of a range of those keys, or of all there are, and the same in hex. */
export function drawBounds(world: LsmWorld): { bounds: ScanBounds; of: (state: ModelState) => ModelState } {
  const roll = world.below(4);
  if (roll === 0) return { bounds: {}, of: (state) => state };
  if (roll === 1) {
    const prefix = utf8(world.oneOf(["key-", "key-1", "key-2", "tx-", "acct-", "nothing"]));
    return { bounds: { prefix }, of: (state) => partOf(state, toHex(prefix), `${toHex(prefix)}g`) };
  }
  const keys = [drawKey(world), drawKey(world)].sort((left, right) => (toHex(left) < toHex(right) ? -1 : 1));
  const [low, high] = keys as [Uint8Array, Uint8Array];
  // A key that is longer by one zero byte is the next one.
  const isAbove = world.chance(50);
  const isUpTo = world.chance(50);
  const bounds = { ...(isAbove ? { gt: low } : { gte: low }), ...(isUpTo ? { lte: high } : { lt: high }) };
  return { bounds, of: (state) => partOf(state, `${toHex(low)}${isAbove ? "00" : ""}`, `${toHex(high)}${isUpTo ? "00" : ""}`) };
}

interface DrawnBatch {
  readonly writes: readonly ModelWrite[];
  readonly ttl: Ttl | undefined;
}

/** What one commit writes: puts, deletions, operands, perhaps several of one key, all with the same time to live. */
export function drawBatch(world: LsmWorld): DrawnBatch {
  const count = world.chance(70) ? 1 : 1 + world.below(5);
  const writes = Array.from({ length: count }, (): ModelWrite => {
    const roll = world.below(10);
    const kind = roll < 6 ? VALUE : roll < 8 ? TOMBSTONE : MERGE;
    return { key: drawKey(world), kind, value: kind === TOMBSTONE ? new Uint8Array(0) : world.someValue() };
  });
  const ttl: Ttl | undefined = world.chance(70) ? undefined : world.chance(20) ? "never" : { afterMs: world.below(30_000) };
  return { writes, ttl };
}

/** Stamps that are ahead of the wall clock by more than this come from a clock that was wrong: rows then expire by the wall clock. */
const LEAD_MS_MAX = 60_000;

/** The time by which rows of that store expire, on that clock. Milliseconds since 1970. */
export function presentOf(db: Db, clock: Pick<Clock, "now">): number {
  const { lastTick } = db.status();
  return lastTick - clock.now() > LEAD_MS_MAX ? clock.now() : Math.max(clock.now(), lastTick);
}

/** Writes `batch` to the store, which has that clock, and the model; its number, or undefined if the store is full. @throws what the store throws */
export function commitTo(db: Db, model: LsmModel, drawn: DrawnBatch, clock: Pick<Clock, "now">): number | undefined {
  const batch = new WriteBatch();
  const { ttl } = drawn;
  for (const { key, kind, value } of drawn.writes) {
    if (kind === VALUE) batch.put(key, value, { ttl });
    else if (kind === TOMBSTONE) batch.delete(key);
    else batch.merge(key, value, { ttl });
  }
  try {
    const { seq, createTs } = db.writeSync(batch);
    const expireTs = expiryOf(ttl, presentOf(db, clock), db.settings.defaultTtlMs);
    const writes = drawn.writes.map((write) => ({ ...write, expireTs }));
    model.commit({ seq, createTs, writes, wal: db.settings.walEnabled ? "all" : "none" });
    return seq;
  } catch (error) {
    if (isPumiceError(error, "LSM_BUSY")) return undefined;
    throw error;
  }
}

function expiryOf(ttl: Ttl | undefined, presentMs: number, defaultTtlMs: number | undefined): number | undefined {
  if (ttl === "never") return undefined;
  if (ttl === undefined) return defaultTtlMs === undefined ? undefined : presentMs + defaultTtlMs;
  return "atMs" in ttl ? ttl.atMs : presentMs + ttl.afterMs;
}
