/** Reading: what the store itself, snapshots, transactions and readers of other processes' stores have in common. */
import { abortable, copyBytes, isPumiceError, PumiceError } from "../../base/mod.ts";
import { intersect, prefixRange, type KeyRange } from "../format/key-range.ts";
import { checkAskedKey, checkBytes, type Row } from "../format/row.ts";
import { MergeCursor, type Order, type RowCursor } from "../store/cursors.ts";
import { nothingLoaded } from "../store/tables.ts";
import { Arena } from "./arena.ts";
import type { Memtable } from "./memtable.ts";
import type { ReadRules } from "../engine/merge-operator.ts";
import { plainRow } from "./row-arena.ts";
import { Scan, type KeyValue } from "./scan.ts";
import { lookupNow, openCursor, type View } from "./view.ts";

/** Answer of a synchronous read that would have to fetch something: ask again with a promise. */
export const NOT_CACHED: unique symbol = Symbol("not cached");

/** Options of a point read. */
export interface GetOptions {
  /** "remote": only what is durable is seen. Default "memory": all that is committed. */
  readonly durability?: "memory" | "remote" | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Bounds of a scan. At most one lower and one upper bound count: the inclusive one wins. */
export interface ScanBounds {
  readonly gte?: Uint8Array | undefined;
  readonly gt?: Uint8Array | undefined;
  readonly lte?: Uint8Array | undefined;
  readonly lt?: Uint8Array | undefined;
  /** Only keys that begin with this. */
  readonly prefix?: Uint8Array | undefined;
}

/** What to scan, and how. */
export interface ScanOptions extends ScanBounds {
  readonly order?: Order | undefined;
  readonly durability?: "memory" | "remote" | undefined;
  /** Keep the blocks read in the cache. Default false. */
  readonly cachesBlocks?: boolean | undefined;
  /** Read up to this much ahead. Default 256 KiB. */
  readonly readAheadBytesMax?: number | undefined;
  /** Ends every wait of the scan. */
  readonly signal?: AbortSignal | undefined;
}

const READ_AHEAD_BYTES = 262_144;
/** How often a read begins again because compaction and garbage collection took its tables away. */
const REOPEN_MAX = 5;

/** The range that bounds mean. It has copies of them: the caller may change its bytes while a scan goes on, or a transaction remembers what was read. */
export function rangeOf(bounds: ScanBounds): KeyRange {
  const { gte, gt, lte, lt, prefix } = bounds;
  for (const [name, bound] of Object.entries({ gte, gt, lte, lt, prefix })) if (bound !== undefined) checkBytes(bound, `bound ${name}`);
  const [start, end] = [gte ?? gt, lte ?? lt].map((bound) => (bound === undefined ? undefined : copyBytes(bound)));
  const range: KeyRange = { start, startInclusive: gte !== undefined, end, endInclusive: lte !== undefined };
  return prefix === undefined ? range : intersect(range, prefixRange(copyBytes(prefix)));
}

const DURABILITIES = ["memory", "remote"];

/** @throws LSM_INVALID if `chosen` is given and none of `known`: a word misspelled must not mean something else. */
export function checkChoice(what: string, chosen: string | undefined, known: readonly string[]): void {
  if (chosen === undefined || known.includes(chosen)) return;
  throw new PumiceError("LSM_INVALID", { what: `there is no such ${what}`, found: chosen, known: known.join(" ") });
}

/** Where a read gets what it looks at. */
export interface ReadSource {
  /** The view in force now. */
  view(): View;
  rules(): ReadRules;
  maxSeq(durability: "memory" | "remote" | undefined): number;
  /** Throws if reading is over. */
  check(): void;
  /** A transaction's own writes. */
  readonly local?: Memtable | undefined;
  /** Keeps what a reader at `seq` sees, in the view in force and in all that replace it, until what comes back is called. */
  pin?(seq: number): () => void;
  /** Keeps the tables of the view in force, until what comes back is called. */
  keep?(): () => void;
  /** Looks whether the store has a newer view than this process knows: tables of the one in force have gone. */
  refresh?(signal: AbortSignal | undefined): Promise<void>;
  /** Told what is read, before it is. */
  onRead?(range: KeyRange | Uint8Array): void;
}

/** The read methods. */
export class Reads {
  readonly #source: ReadSource;

  constructor(source: ReadSource) {
    this.#source = source;
  }

  /** The row, or NOT_CACHED. */
  rowSync(key: Uint8Array, options?: GetOptions): Row | undefined | typeof NOT_CACHED {
    const source = this.#source;
    source.check();
    if (!(key instanceof Uint8Array) || key.length === 0) checkAskedKey(key);
    if (options?.durability !== undefined) checkChoice("durability", options.durability, DURABILITIES);
    source.onRead?.(key);
    const lookup = { key, maxSeq: source.maxSeq(options?.durability), rules: source.rules(), local: source.local };
    const result = lookupNow(source.view(), lookup, undefined);
    return typeof result === "function" ? NOT_CACHED : result;
  }

  /** The row that a reader sees as what its caller may keep, or undefined. */
  async keyValue(key: Uint8Array, options: GetOptions | undefined): Promise<KeyValue | undefined> {
    checkAskedKey(key);
    // A table gives the key that it was asked for back with the row.
    const row = await this.row(copyBytes(key), options);
    return row === undefined ? undefined : plainRow(row);
  }

  /** The row that a reader sees, or undefined. */
  async row(key: Uint8Array, options: GetOptions | undefined): Promise<Row | undefined> {
    const source = this.#source;
    options?.signal?.throwIfAborted();
    const now = this.rowSync(key, options);
    if (now !== NOT_CACHED) return now;
    // The caller may use its bytes for the next key while this one is fetched.
    let lookup = { key: copyBytes(key), maxSeq: source.maxSeq(options?.durability), rules: source.rules(), local: source.local };
    const unpin = source.pin?.(lookup.maxSeq);
    let letGo = source.keep?.();
    try {
      let view = source.view();
      let loaded = nothingLoaded();
      for (let reopened = 0; ;) {
        const result = lookupNow(view, lookup, loaded);
        if (typeof result !== "function") return result;
        try {
          // The fetch itself may be shared with other reads, so it goes on, into the cache.
          await abortable(result(loaded), options?.signal);
        } catch (error) {
          reopened++;
          options?.signal?.throwIfAborted();
          if (!isPumiceError(error, "LSM_MISSING") || reopened > REOPEN_MAX) throw error;
          if (source.view() === view) await source.refresh?.(options?.signal);
          if (source.view() === view) throw error;
          letGo?.();
          letGo = source.keep?.();
          view = source.view();
          loaded = nothingLoaded();
          // Without a pin, the newer state need not have what a reader at the old sequence number sees.
          if (unpin === undefined) lookup = { ...lookup, maxSeq: source.maxSeq(options?.durability) };
        }
        source.check();
      }
    } finally {
      letGo?.();
      unpin?.();
    }
  }

  /** Opens a scan. */
  scan(options: ScanOptions): Scan {
    const source = this.#source;
    source.check();
    checkChoice("order", options.order, ["ascending", "descending"]);
    checkChoice("durability", options.durability, DURABILITIES);
    const range = rangeOf(options);
    source.onRead?.(range);
    const order = options.order ?? "ascending";
    const readAhead = { cachesBlocks: options.cachesBlocks ?? false, readAheadBytesMax: options.readAheadBytesMax ?? READ_AHEAD_BYTES };
    const seq = source.maxSeq(options.durability);
    const unpin = source.pin?.(seq);
    let letGo = source.keep?.();
    let state = { view: source.view(), maxSeq: seq };
    let isReleased = false;
    return new Scan({
      range,
      order,
      maxSeq: () => state.maxSeq,
      rules: source.rules(),
      signal: options.signal,
      open: (part): RowCursor => {
        const cursor = openCursor(state.view, { range: part, order, readAhead });
        return source.local === undefined ? cursor : new MergeCursor([source.local.cursor(part, order), cursor], order);
      },
      renew: async (hasGiven) => {
        // Of what the newer state has, nothing was kept for a scan without a pin: half of one and half of the other would be neither.
        if (hasGiven && unpin === undefined) return false;
        if (source.view() === state.view) await source.refresh?.(options.signal);
        if (source.view() === state.view || isReleased) return false;
        letGo?.();
        letGo = source.keep?.();
        state = { view: source.view(), maxSeq: unpin === undefined ? source.maxSeq(options.durability) : seq };
        return true;
      },
      check: () => source.check(),
      release: () => {
        isReleased = true;
        letGo?.();
        unpin?.();
      },
    });
  }
}

/** Small copies share chunks of this, as Node's own buffers do: memory of its own costs a value many times its copy. */
const POOL_BYTES = 16_384;
const pool = new Arena(POOL_BYTES);

/** A copy of the value that the caller may change. */
export function ownValue(row: Row | undefined): Uint8Array | undefined {
  return row === undefined ? undefined : pool.copy(row.value);
}
