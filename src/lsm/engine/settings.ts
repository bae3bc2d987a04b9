/** Settings: numbers and choices, apart from the components that the world gives. Defaults are SlateDB's unless a reason stands beside. */
import { PumiceError, type Clock, type Crc32, type HostCodecs, type ObjectStore, type Random } from "../../base/mod.ts";
import { COMPRESSIONS, type BlockTransformer, type Compression } from "../format/compression.ts";
import type { BlockCache } from "../store/block-cache.ts";
import type { CompactionExecutor, CompactionFilter, CompactionPicker } from "./compaction.ts";
import type { MergeOperator } from "./merge-operator.ts";

/** Which SlateDB must be able to open the store: 0.12 is read by every release from 0.11 on; 0.14 by 0.14 and later. */
export type Profile = "0.12" | "0.14";

/** What the world gives. */
export interface LsmComponents {
  readonly store: ObjectStore;
  /** Where in `store` names of stores begin: what an address says behind its bucket. Default: at the top. */
  readonly path?: string | undefined;
  /** Where the WAL is, if not in `store`. */
  readonly walStore?: ObjectStore | undefined;
  readonly clock: Clock;
  readonly random: Random;
  /** Default: the pure one. */
  readonly crc32?: Crc32 | undefined;
  /** Needed for zlib and zstd only. */
  readonly hostCodecs?: HostCodecs | undefined;
  readonly mergeOperator?: MergeOperator | undefined;
  /** A reversible change of all stored sections, e.g. encryption. Every reader of the store needs the same. */
  readonly blockTransformer?: BlockTransformer | undefined;
  /** Runs merges elsewhere, on another thread. Default: on this one, in short pieces. */
  readonly compactionExecutor?: CompactionExecutor | undefined;
  /** Decides which merges happen. Default: size-tiered, by the compactor's settings. */
  readonly compactionPicker?: CompactionPicker | undefined;
  /** A say in what compaction keeps. Compaction is then inline. */
  readonly compactionFilter?: CompactionFilter | undefined;
  /** Called when a store or reader has been closed, or did not open: the components are not needed any more. */
  readonly onClosed?: (() => Promise<void>) | undefined;
  /** May be shared by several stores. Default: one of `cacheBytes`. */
  readonly cache?: BlockCache | undefined;
}

/** Settings of the embedded compactor. */
export interface CompactorSettings {
  /** How often it looks for work that it was not told of. */
  readonly pollIntervalMs: number;
  /** L0s (or runs of similar size) that make a compaction. */
  readonly minSources: number;
  readonly maxSources: number;
  /** Runs up to this many times larger than the smallest are merged together. */
  readonly includeSizeThreshold: number;
  /** An output SST is closed when it has grown to this. SlateDB: 256 MiB. */
  readonly maxSstBytes: number;
  readonly maxConcurrent: number;
  /** How long the state before a compaction stays readable for other processes. */
  readonly checkpointLifetimeMs: number;
  /** L0s that do not overlap each other become a run without being rewritten. */
  readonly movesTrivially: boolean;
}

/** Settings of the embedded garbage collection. */
export interface GcSettings {
  readonly intervalMs: number;
  /**
   * Nothing younger is deleted. In profile 0.12, which has no boundaries, not below a minute: a writer that stood still for less than half of that
   * does not look again whether the id of its manifest was collected meanwhile.
   */
  readonly minAgeMs: number;
}

/** All settings of a writer. */
export interface LsmSettings {
  /** Undefined: what the store has; "0.12" for a new one. */
  readonly compat: Profile | undefined;
  /** A write that nobody waits for reaches the store within this; undefined: only by `flush`. */
  readonly flushIntervalMs: number | undefined;
  readonly walEnabled: boolean;
  readonly manifestPollMs: number;
  /** A memtable is frozen at this size, estimated. */
  readonly l0SstBytes: number;
  /** L0s at which flushing pauses until compaction has caught up. */
  readonly l0SstsMax: number;
  /** WAL objects since the last freeze that force the next. */
  readonly walFilesMax: number;
  /** Bytes not yet in the store at which writes wait. SlateDB: 1 GiB. */
  readonly unflushedBytesMax: number;
  readonly blockSizeBytes: number;
  readonly compression: Compression;
  readonly minFilterKeys: number;
  readonly filterBitsPerKey: number;
  /** SlateDB: 512 MiB and 128 MiB. */
  readonly cacheBytes: number;
  readonly defaultTtlMs: number | undefined;
  /** Expired rows are invisible at once. False: until compaction, as in SlateDB. */
  readonly filtersExpired: boolean;
  /** Attempts of a read before STORE_UNAVAILABLE is passed on. Writes are tried until the store is closed. */
  readonly readAttemptsMax: number;
  /** Undefined: none is embedded. */
  readonly compactor: CompactorSettings | undefined;
  /** Undefined: none is embedded. */
  readonly gc: GcSettings | undefined;
}

const MIB = 1_048_576;

/** Defaults of the embedded compactor. */
export const COMPACTOR_DEFAULTS: CompactorSettings = {
  pollIntervalMs: 5000,
  minSources: 4,
  maxSources: 8,
  includeSizeThreshold: 4,
  maxSstBytes: 256 * MIB,
  maxConcurrent: 4,
  checkpointLifetimeMs: 900_000,
  movesTrivially: false,
};

/** Defaults of the embedded garbage collection. */
export const GC_DEFAULTS: GcSettings = { intervalMs: 60_000, minAgeMs: 300_000 };

/** Defaults of a writer. */
export const LSM_DEFAULTS: LsmSettings = {
  compat: undefined,
  flushIntervalMs: 100,
  walEnabled: true,
  manifestPollMs: 1000,
  l0SstBytes: 64 * MIB,
  l0SstsMax: 8,
  walFilesMax: 4096,
  unflushedBytesMax: 256 * MIB,
  blockSizeBytes: 4096,
  compression: "none",
  minFilterKeys: 1000,
  filterBitsPerKey: 10,
  cacheBytes: 64 * MIB,
  defaultTtlMs: undefined,
  filtersExpired: false,
  readAttemptsMax: 10,
  compactor: COMPACTOR_DEFAULTS,
  gc: GC_DEFAULTS,
};

/** Settings as a caller gives them: what is left out has its default. */
export type LsmOptions = Partial<Omit<LsmSettings, "compactor" | "gc">> & {
  readonly compactor?: Partial<CompactorSettings> | false | undefined;
  readonly gc?: Partial<GcSettings> | false | undefined;
};

/** Options of anything that waits. When the signal aborts, the call rejects with its reason, at once; what it had begun may still have happened. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
}

/** All settings. @throws LSM_INVALID that names the first that cannot be. */
export function completeSettings(options: LsmOptions): LsmSettings {
  const { compactor, gc, ...rest } = options;
  const settings: LsmSettings = {
    ...LSM_DEFAULTS,
    ...given("", rest, LSM_DEFAULTS),
    compactor: compactor === false ? undefined : { ...COMPACTOR_DEFAULTS, ...given("compactor.", compactor, COMPACTOR_DEFAULTS) },
    gc: gc === false ? undefined : { ...GC_DEFAULTS, ...given("gc.", gc, GC_DEFAULTS) },
  };
  validate(settings);
  return settings;
}

/** Settings for which undefined is a value of its own, and not "as by default". */
const MAY_BE_UNDEFINED = new Set(["compat", "flushIntervalMs", "defaultTtlMs"]);

/** What of `options` was given. @throws LSM_INVALID for a name that is none: misspelled, it would have no effect. */
function given<T extends object>(group: string, options: T | undefined, known: object): Partial<T> {
  const chosen = Object.entries(options ?? {}).filter(([name, value]) => value !== undefined || MAY_BE_UNDEFINED.has(name));
  for (const [name] of chosen) {
    if (!Object.hasOwn(known, name)) {
      throw new PumiceError("LSM_INVALID", {
        what: "there is no such setting",
        setting: group + name,
        known: Object.keys(known).join(" "),
      });
    }
  }
  return Object.fromEntries(chosen) as Partial<T>;
}

type Need = (isGood: boolean, setting: string, must: string) => void;

const isCount = (value: unknown, least: number): boolean => Number.isSafeInteger(value) && (value as number) >= least;
const isTime = (value: unknown, least: number): boolean => typeof value === "number" && value >= least;

function validate(settings: LsmSettings): void {
  const need: Need = (isGood, setting, must) => {
    if (!isGood) throw new PumiceError("LSM_INVALID", { what: "setting is out of range", setting, must });
  };
  need(settings.compat === undefined || ["0.12", "0.14"].includes(settings.compat), "compat", "be 0.12 or 0.14");
  need(
    settings.flushIntervalMs === undefined || (isTime(settings.flushIntervalMs, 0) && settings.flushIntervalMs > 0),
    "flushIntervalMs",
    "be positive or undefined",
  );
  need(isTime(settings.manifestPollMs, 0) && settings.manifestPollMs > 0, "manifestPollMs", "be positive");
  need(typeof settings.walEnabled === "boolean", "walEnabled", "be true or false");
  need(typeof settings.filtersExpired === "boolean", "filtersExpired", "be true or false");
  need(settings.defaultTtlMs === undefined || isTime(settings.defaultTtlMs, 0), "defaultTtlMs", "be 0 or more, or undefined");
  need(isCount(settings.l0SstBytes, 1), "l0SstBytes", "be at least 1");
  need(isCount(settings.l0SstsMax, 1), "l0SstsMax", "be at least 1");
  need(isCount(settings.walFilesMax, 1), "walFilesMax", "be at least 1");
  need(isCount(settings.unflushedBytesMax, 1), "unflushedBytesMax", "be at least 1");
  need(isCount(settings.blockSizeBytes, 1024) && settings.blockSizeBytes <= 65_536, "blockSizeBytes", "be 1024 to 65536");
  need(COMPRESSIONS.includes(settings.compression), "compression", `be one of ${COMPRESSIONS.join(" ")}`);
  need(isCount(settings.minFilterKeys, 0), "minFilterKeys", "be 0 or more");
  need(isCount(settings.filterBitsPerKey, 1) && settings.filterBitsPerKey <= 100, "filterBitsPerKey", "be 1 to 100");
  need(isCount(settings.cacheBytes, 0), "cacheBytes", "be 0 or more");
  need(isCount(settings.readAttemptsMax, 1), "readAttemptsMax", "be at least 1");
  validateBackground(settings, need);
}

function validateBackground({ compactor, gc }: Pick<LsmSettings, "compactor" | "gc">, need: Need): void {
  if (compactor !== undefined) {
    need(isTime(compactor.pollIntervalMs, 1), "compactor.pollIntervalMs", "be at least 1");
    need(isCount(compactor.minSources, 1), "compactor.minSources", "be at least 1");
    need(isCount(compactor.maxSources, compactor.minSources), "compactor.maxSources", "be at least minSources");
    need(isTime(compactor.includeSizeThreshold, 1), "compactor.includeSizeThreshold", "be at least 1");
    need(isCount(compactor.maxSstBytes, 1), "compactor.maxSstBytes", "be at least 1");
    need(isCount(compactor.maxConcurrent, 1), "compactor.maxConcurrent", "be at least 1");
    need(isTime(compactor.checkpointLifetimeMs, 0), "compactor.checkpointLifetimeMs", "be 0 or more");
    need(typeof compactor.movesTrivially === "boolean", "compactor.movesTrivially", "be true or false");
  }
  if (gc !== undefined) {
    need(isTime(gc.intervalMs, 1), "gc.intervalMs", "be at least 1");
    need(isTime(gc.minAgeMs, 0), "gc.minAgeMs", "be 0 or more");
  }
}
