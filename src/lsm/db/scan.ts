/** A scan: the rows that a reader sees, in order, in batches. The bytes it gives may be shared with the cache: they must not be changed. */
import { abortable, compareBytes, copyBytes, isPumiceError, PumiceError } from "../../base/mod.ts";
import { contains, isEmptyRange, type KeyRange } from "../format/key-range.ts";
import { checkBytes, MERGE, type Row } from "../format/row.ts";
import type { Order, RowCursor } from "../store/cursors.ts";
import { isSameKey, resolve, visible, type ReadRules } from "../engine/merge-operator.ts";
import { plainRow } from "./row-arena.ts";

/** A key and its value as a reader sees them. */
export interface KeyValue {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  /** Sequence number of the newest write to the key. */
  readonly seq: number;
  /** Milliseconds since 1970; undefined in what some other writers wrote. */
  readonly createTs: number | undefined;
  /** Milliseconds since 1970; undefined: never. */
  readonly expireTs: number | undefined;
}

/** What a scan is made of. */
export interface ScanParts {
  readonly range: KeyRange;
  readonly order: Order;
  /** Rows with a higher sequence number are not seen. Asked again after `renew`. */
  maxSeq(): number;
  readonly rules: ReadRules;
  readonly signal?: AbortSignal | undefined;
  /** Opens all versions of all keys in a part of the range, always of the same tables until `renew`. */
  open(range: KeyRange): RowCursor;
  /**
   * Tables have gone: looks at those in force now. False if there are no others, or if those cannot show the same state and rows have been given (`hasGiven`).
   */
  renew(hasGiven: boolean): Promise<boolean>;
  /** Throws if the store that is scanned has been closed. */
  check(): void;
  /** Called once, when the scan is at its end or disposed. */
  release(): void;
}

/** Rows with sequence numbers from here on are a transaction's own, not committed: it sees them all. */
export const LOCAL_SEQ = 2 ** 52;
/** @throws LSM_INVALID unless it is a number of rows: fewer than asked for means the end, so nothing else may give none. */
function checkCount(count: number): void {
  if (typeof count !== "number" || !(count >= 0))
    throw new PumiceError("LSM_INVALID", { what: "count of rows is no number from 0 on", count });
}

const NO_ROWS: Row[] = [];

/** Rows that a scan collects before it lets other work in. */
const ITERATION_BATCH = 256;

/**
 * See the header of this file. Take batches, or iterate; not both at the same time. A scan that is not read to its end is to be disposed (leaving
 * a loop over it does that): what it would still see is kept for it.
 */
export class Scan implements AsyncIterable<KeyValue> {
  readonly #parts: ScanParts;
  #cursor: RowCursor;
  /** The cursor's row has been taken: the next key begins with `next`. */
  #isFresh = true;
  #isDone: boolean;
  #isReleased = false;
  /** Newest visible version of the key that is being read. */
  #newest: Row | undefined;
  /** It, and the versions below it up to the first that is no operand, if it is one itself; else NO_ROWS, which is never changed. */
  #operands: Row[] = NO_ROWS;
  #lastKey: Uint8Array | undefined;
  #maxSeq: number;
  #loading: Promise<void> | undefined;

  constructor(parts: ScanParts) {
    this.#parts = parts;
    this.#isDone = isEmptyRange(parts.range);
    this.#maxSeq = parts.maxSeq();
    this.#cursor = parts.open(parts.range);
    if (this.#isDone) this.dispose();
  }

  /** Up to `count` further rows; fewer only at the end. @throws LSM_CLOSED, LSM_CORRUPT, LSM_MISSING, LSM_MERGE_OPERATOR, STORE_UNAVAILABLE */
  async nextBatch(count: number, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<KeyValue[]> {
    const batch: KeyValue[] = [];
    checkCount(count);
    this.#parts.check();
    const { signal } = this.#parts;
    options.signal?.throwIfAborted();
    signal?.throwIfAborted();
    while (!this.#collect(batch, count)) {
      // One at a time: a caller that aborted and retries joins the running load.
      this.#loading ??= this.#load().finally(() => (this.#loading = undefined));
      await abortable(abortable(this.#loading, signal), options.signal);
      this.#parts.check();
    }
    return batch;
  }

  /** As nextBatch, without a promise: gives fewer than `count` also where more would have to be fetched; then `needsLoad` is true. */
  nextBatchSync(count: number): { readonly rows: KeyValue[]; readonly needsLoad: boolean } {
    checkCount(count);
    this.#parts.check();
    const rows: KeyValue[] = [];
    const needsLoad = !this.#collect(rows, count);
    return { rows, needsLoad };
  }

  /** The next row, or undefined at the end. */
  async next(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<KeyValue | undefined> {
    return (await this.nextBatch(1, options))[0];
  }

  /** All further rows, at most `limit`, and the end of the scan. */
  async toArray(limit = Infinity, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<KeyValue[]> {
    const rows: KeyValue[] = [];
    try {
      while (rows.length < limit) {
        const batch = await this.nextBatch(Math.min(ITERATION_BATCH, limit - rows.length), options);
        if (batch.length === 0) break;
        for (const row of batch) rows.push(row);
      }
      return rows;
    } finally {
      this.dispose();
    }
  }

  /** Goes on at `key`, which lies ahead in the scan's direction and inside its range. @throws LSM_INVALID otherwise */
  seek(key: Uint8Array): void {
    this.#parts.check();
    const { range, order } = this.#parts;
    checkBytes(key, "key");
    if (!contains(range, key)) throw new PumiceError("LSM_INVALID", { what: "cannot seek to a key outside the scan's range" });
    const direction = order === "ascending" ? 1 : -1;
    if (this.#lastKey !== undefined && compareBytes(key, this.#lastKey) * direction <= 0) {
      throw new PumiceError("LSM_INVALID", { what: "cannot seek backwards" });
    }
    const own = copyBytes(key);
    this.#open(order === "ascending" ? { ...range, start: own, startInclusive: true } : { ...range, end: own, endInclusive: true });
  }

  async *[Symbol.asyncIterator](): AsyncIterator<KeyValue> {
    try {
      for (;;) {
        const batch = await this.nextBatch(ITERATION_BATCH);
        if (batch.length === 0) return;
        yield* batch;
      }
    } finally {
      this.dispose();
    }
  }

  /** Ends the scan. Idempotent. */
  dispose(): void {
    this.#isDone = true;
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#parts.release();
  }

  /** Loads; begins again behind the last key if compaction and garbage collection took the tables away meanwhile. */
  async #load(): Promise<void> {
    try {
      await this.#cursor.load();
    } catch (error) {
      const { range, order } = this.#parts;
      const lastKey = this.#lastKey;
      if (!isPumiceError(error, "LSM_MISSING") || !(await this.#parts.renew(lastKey !== undefined))) throw error;
      this.#maxSeq = this.#parts.maxSeq();
      if (lastKey === undefined) this.#open(range);
      else if (order === "ascending") this.#open({ ...range, start: lastKey, startInclusive: false });
      else this.#open({ ...range, end: lastKey, endInclusive: false });
    }
  }

  #open(range: KeyRange): void {
    this.#cursor = this.#parts.open(range);
    this.#isFresh = true;
    this.#newest = undefined;
    this.#operands = NO_ROWS;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Appends rows until there are `count`. False if the cursor must load first. */
  #collect(batch: KeyValue[], count: number): boolean {
    while (batch.length < count && !this.#isDone) {
      const row = this.#nextVisible();
      if (row === "load") return false;
      if (row === "end") {
        this.dispose();
        return true;
      }
      if (row !== undefined) batch.push(plainRow(row));
    }
    return true;
  }

  /** The next key's row, undefined if nothing of that key is seen. */
  #nextVisible(): Row | undefined | "load" | "end" {
    const cursor = this.#cursor;
    if (this.#isFresh) {
      if (!cursor.next()) return "load";
      this.#isFresh = false;
    }
    for (;;) {
      const { row } = cursor;
      const newest = this.#newest;
      if (newest !== undefined && (row === undefined || !isSameKey(newest, row))) return this.#resolved(newest);
      if (row === undefined) return "end";
      if (row.seq <= this.#maxSeq || row.seq >= LOCAL_SEQ) this.#takeVersion(row);
      if (!cursor.next()) {
        this.#isFresh = true;
        return "load";
      }
    }
  }

  /** Of the versions of a key, those up to the first that is no merge operand count; the others are passed over. */
  #takeVersion(row: Row): void {
    if (this.#newest === undefined) {
      this.#newest = row;
      if (row.kind === MERGE) this.#operands = [row];
    } else if (this.#operands.at(-1)?.kind === MERGE) this.#operands.push(row);
  }

  /** What the versions taken come to; the next key is begun. */
  #resolved(newest: Row): Row | undefined {
    const { rules } = this.#parts;
    const result = newest.kind === MERGE ? resolve(this.#operands, rules) : visible(newest, rules);
    this.#lastKey = newest.key;
    this.#newest = undefined;
    this.#operands = NO_ROWS;
    return result;
  }
}
