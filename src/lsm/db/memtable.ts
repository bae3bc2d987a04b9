/**
 * Memtable: the newest rows, ordered. The rows lie in an arena (row-arena.ts); a list of sorted chunks of references to them is the order:
 * two binary searches over numbers (format/key-prefix.ts) find a key, an insertion moves a few numbers.
 *
 * 1. Keys ascend strictly over all chunks; no chunk is empty but a sole one.
 * 2. A chunk refers to the newest version of a key; from there the versions hang together, by strictly descending sequence number.
 * 3. All keys begin with the common prefix; each chunk has the number of each of its keys, and `firsts` that of each chunk's first.
 * 4. Rows are never removed; a cursor that meets a change finds its place again by its key.
 * 5. The arena has the rows in the order of their insertion: so a part of the WAL is what was inserted between two marks.
 */
import { copyBytes, assert, EMPTY_BYTES } from "../../base/mod.ts";
import type { Entry } from "../format/entry-cursor.ts";
import { comparePrefix, prefixNumber, sharedLength, type CommonPrefix } from "../format/key-prefix.ts";
import { isAfterStart, isBeforeEnd, type KeyRange } from "../format/key-range.ts";
import { MERGE, TICK_MIN, type Row } from "../format/row.ts";
import type { Order, RowCursor } from "../store/cursors.ts";
import { ArenaEntry, NO_ROW, RowArena, type RowRef } from "./row-arena.ts";

const CHUNK_ROWS_MAX = 128;
/** Fixed part of a row's size: sequence number, flags, times, lengths; as it will be encoded, roughly. */
const ROW_OVERHEAD_BYTES = 24;

interface Chunk {
  /** Newest version of each key. */
  readonly refs: RowRef[];
  /** The prefix number of each row's key. */
  readonly numbers: number[];
}

/** See the header of this file. */
export class Memtable {
  readonly #arena = new RowArena();
  readonly #chunks: Chunk[] = [{ refs: [], numbers: [] }];
  readonly #firsts: number[] = [0];
  #common: CommonPrefix = { sample: EMPTY_BYTES, length: 0 };
  /** Counts changes of the chunks, so that cursors notice. */
  #changes = 0;
  #rows = 0;
  /** Where `find` ended. Valid only until the next. */
  #foundChunk = 0;
  #foundIndex = 0;
  #foundNumber = 0;
  /** As sizeBytes, of the newest version of each key alone. */
  newestBytes = 0;
  /** Estimated size of the rows, encoded. */
  sizeBytes = 0;
  /** 0 if there are none. */
  firstSeq = 0;
  lastSeq = 0;
  lastTick = TICK_MIN;

  get isEmpty(): boolean {
    return this.#rows === 0;
  }

  /**
   * Adds a copy of a row that is newer than every version of its key. One that has the sequence number of the newest, as it may be in another
   * engine's batch, takes its place.
   */
  insert(row: Row): void {
    const arena = this.#arena;
    const { key, createTs } = row;
    const present = this.#prepare(key, key.length);
    const ref = arena.add(row, this.#olderThan(row.seq, present));
    this.#enter(ref, present);
    this.#account(ref, present);
    if (createTs !== undefined && createTs > this.lastTick) this.lastTick = createTs;
  }

  /** The same with an entry of a block, which is no tombstone with a value. */
  insertEntry(entry: Entry): void {
    const arena = this.#arena;
    const present = this.#prepare(entry.key, entry.keyLength);
    const ref = arena.addEntry(entry, this.#olderThan(entry.seq, present));
    this.#enter(ref, present);
    this.#account(ref, present);
    const createTs = arena.createTs(ref);
    if (createTs !== undefined && createTs > this.lastTick) this.lastTick = createTs;
  }

  /** Appends the versions of `key` with seq <= maxSeq, newest first, up to the first that is no merge operand. True if that was found. */
  lookup(key: Uint8Array, maxSeq: number, found: Row[]): boolean {
    if (comparePrefix(key, this.#common) !== 0) return false;
    const arena = this.#arena;
    for (let ref = this.#find(key, key.length); ref !== NO_ROW; ref = arena.older(ref)) {
      if (arena.seq(ref) > maxSeq) continue;
      const row = arena.row(ref, undefined);
      found.push(row);
      if (row.kind !== MERGE) return true;
    }
    return false;
  }

  /** The newest version of `key` with seq <= maxSeq. */
  newest(key: Uint8Array, maxSeq: number): Row | undefined {
    if (this.#rows === 0 || comparePrefix(key, this.#common) !== 0) return undefined;
    const arena = this.#arena;
    let ref = this.#find(key, key.length);
    while (ref !== NO_ROW && arena.seq(ref) > maxSeq) ref = arena.older(ref);
    return ref === NO_ROW ? undefined : arena.row(ref, undefined);
  }

  /** The newest row inserted so far, as a mark for `rowsBetween`. */
  get mark(): RowRef {
    return this.#arena.lastRef;
  }

  /** Gives `take` the rows inserted after the mark `from`, up to the mark `to`, in the order of their insertion. */
  eachBetween(from: RowRef, to: RowRef, take: (entry: Entry) => void): void {
    const entry = new ArenaEntry();
    for (let ref = from; ref !== to;) {
      ref = this.#arena.following(ref);
      this.#arena.read(ref, entry);
      take(entry);
    }
  }

  /** All versions of all keys in the range. */
  cursor(range: KeyRange, order: Order): RowCursor {
    return new MemtableCursor(this, range, order);
  }

  /** Number of changes so far: positions are valid while it stands. */
  get changeCount(): number {
    return this.#changes;
  }

  /** Position of the first key >= `key` (> if `isAfter`), or the last key <= `key` (< if `isAfter`) when descending. */
  seek(key: Uint8Array | undefined, order: Order, isAfter: boolean): MemPosition {
    const side = key === undefined ? (order === "ascending" ? -1 : 1) : comparePrefix(key, this.#common);
    if (key === undefined || side !== 0) {
      const last = this.#chunks.length - 1;
      const end: MemPosition = { chunk: last, index: (this.#chunks[last] as Chunk).refs.length };
      if (side > 0) return order === "ascending" ? end : { chunk: last, index: end.index - 1 };
      return { chunk: 0, index: order === "ascending" ? 0 : -1 };
    }
    const isThere = this.#find(key, key.length) !== NO_ROW;
    const chunk = this.#foundChunk;
    const index = this.#foundIndex;
    if (order === "ascending") return { chunk, index: isAfter && isThere ? index + 1 : index };
    return { chunk, index: !isAfter && isThere ? index : index - 1 };
  }

  /** The newest version of the key at a position, moving it on over the borders of chunks; NO_ROW beyond the ends. */
  at(position: MemPosition): RowRef {
    for (;;) {
      const chunk = this.#chunks[position.chunk];
      if (chunk === undefined) return NO_ROW;
      if (position.index < 0) {
        position.chunk--;
        position.index = (this.#chunks[position.chunk]?.refs.length ?? 0) - 1;
        if (position.chunk < 0) return NO_ROW;
      } else if (position.index >= chunk.refs.length) {
        position.chunk++;
        position.index = 0;
      } else return chunk.refs[position.index] as RowRef;
    }
  }

  /** The version of a key that is next older than `ref`. */
  older(ref: RowRef): RowRef {
    return this.#arena.older(ref);
  }

  /** The row, a plain object. `key` is its key if there is a view of it already. */
  plain(ref: RowRef, key: Uint8Array | undefined): Row {
    return this.#arena.plain(ref, key);
  }

  /** Makes room for the key in what all keys have in common, and finds it: the newest version there is. */
  #prepare(key: Uint8Array, length: number): RowRef {
    this.#admit(key, length);
    return this.#find(key, length);
  }

  /** The next older version of one with that sequence number, of which `present` is the newest there is. */
  #olderThan(seq: number, present: RowRef): RowRef {
    if (present === NO_ROW) return NO_ROW;
    const presentSeq = this.#arena.seq(present);
    assert(presentSeq <= seq, "a newer version has a higher sequence number");
    return presentSeq === seq ? this.#arena.older(present) : present;
  }

  /** Makes the common prefix that of the key too. It only ever gets shorter, so this costs little over a table's life. */
  #admit(key: Uint8Array, length: number): void {
    if (this.#rows === 0) {
      this.#common = { sample: copyBytes(key, 0, length), length };
      return;
    }
    const shared = Math.min(length, sharedLength(key, this.#common.sample, this.#common.length));
    if (shared === this.#common.length) return;
    this.#common = { sample: this.#common.sample, length: shared };
    for (const [i, chunk] of this.#chunks.entries()) {
      for (const [j, ref] of chunk.refs.entries()) chunk.numbers[j] = prefixNumber(this.#arena.key(ref), shared);
      this.#firsts[i] = chunk.numbers[0] ?? 0;
    }
  }

  /** The newest version of the key, the first `length` bytes of `key`; and where in the order it is or belongs, in the fields `found...`. */
  #find(key: Uint8Array, length: number): RowRef {
    const arena = this.#arena;
    const chunks = this.#chunks;
    const firsts = this.#firsts;
    const number = prefixNumber(key, this.#common.length, length);
    let low = 0;
    let high = chunks.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      const first = firsts[middle] as number;
      const isUpTo = first === number ? arena.compareKey((chunks[middle] as Chunk).refs[0] as RowRef, key, length) <= 0 : first < number;
      if (isUpTo) low = middle;
      else high = middle;
    }
    const { refs, numbers } = chunks[low] as Chunk;
    this.#foundNumber = number;
    this.#foundChunk = low;
    low = 0;
    high = numbers.length;
    let isThere = false;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const there = numbers[middle] as number;
      const order = there === number ? arena.compareKey(refs[middle] as RowRef, key, length) : there - number;
      if (order === 0) isThere = true;
      if (order < 0) low = middle + 1;
      else high = middle;
    }
    this.#foundIndex = low;
    return isThere ? (refs[low] as RowRef) : NO_ROW;
  }

  /** Puts a record into the order, where its key was looked for last. */
  #enter(ref: RowRef, present: RowRef): void {
    const foundChunk = this.#foundChunk;
    const index = this.#foundIndex;
    const number = this.#foundNumber;
    const { refs, numbers } = this.#chunks[foundChunk] as Chunk;
    if (present !== NO_ROW) {
      refs[index] = ref;
      return;
    }
    if (index === refs.length) {
      refs.push(ref);
      numbers.push(number);
    } else {
      refs.splice(index, 0, ref);
      numbers.splice(index, 0, number);
    }
    this.#changes++;
    if (refs.length > CHUNK_ROWS_MAX) this.#split(foundChunk);
  }

  #account(ref: RowRef, present: RowRef): void {
    const arena = this.#arena;
    const seq = arena.seq(ref);
    const bytes = arena.keyLength(ref) + arena.valueLength(ref) + ROW_OVERHEAD_BYTES;
    this.#rows++;
    this.sizeBytes += bytes;
    this.newestBytes += present === NO_ROW ? bytes : arena.valueLength(ref) - arena.valueLength(present);
    if (this.firstSeq === 0) this.firstSeq = seq;
    if (seq > this.lastSeq) this.lastSeq = seq;
  }

  #split(chunkIndex: number): void {
    const chunk = this.#chunks[chunkIndex] as Chunk;
    // Keys that come in order fill chunks; others halve them.
    const at = chunkIndex === this.#chunks.length - 1 ? CHUNK_ROWS_MAX - 8 : CHUNK_ROWS_MAX / 2;
    const half: Chunk = { refs: chunk.refs.splice(at), numbers: chunk.numbers.splice(at) };
    this.#chunks.splice(chunkIndex + 1, 0, half);
    this.#firsts.splice(chunkIndex + 1, 0, half.numbers[0] as number);
  }
}

/** Where a cursor stands. */
export interface MemPosition {
  chunk: number;
  index: number;
}

class MemtableCursor implements RowCursor {
  row: Row | undefined;
  readonly #table: Memtable;
  readonly #range: KeyRange;
  readonly #order: Order;
  #position: MemPosition;
  #changes: number;
  /** The newest version of the key it stands on; NO_ROW at the end. */
  #newest: RowRef = NO_ROW;
  #version: RowRef = NO_ROW;
  #isStarted = false;

  constructor(table: Memtable, range: KeyRange, order: Order) {
    this.#table = table;
    this.#range = range;
    this.#order = order;
    this.#position = this.#seek();
    this.#changes = table.changeCount;
  }

  next(): boolean {
    const older = this.#version === NO_ROW ? NO_ROW : this.#table.older(this.#version);
    if (older !== NO_ROW) {
      this.#version = older;
      this.row = this.#table.plain(older, this.row?.key);
      return true;
    }
    if (this.#isStarted && this.#newest === NO_ROW) return true;
    if (this.#changes !== this.#table.changeCount) {
      this.#position = this.#seek();
      this.#changes = this.#table.changeCount;
    } else if (this.#isStarted) this.#position.index += this.#order === "ascending" ? 1 : -1;
    this.#isStarted = true;
    const ref = this.#table.at(this.#position);
    const row = ref === NO_ROW ? undefined : this.#table.plain(ref, undefined);
    const isInside =
      row !== undefined && (this.#order === "ascending" ? isBeforeEnd(this.#range, row.key) : isAfterStart(this.#range, row.key));
    this.row = isInside ? row : undefined;
    this.#newest = isInside ? ref : NO_ROW;
    this.#version = this.#newest;
    return true;
  }

  async load(): Promise<void> {
    // All is here.
  }

  #seek(): MemPosition {
    if (this.row !== undefined) return this.#table.seek(this.row.key, this.#order, true);
    if (this.#order === "ascending") return this.#table.seek(this.#range.start, this.#order, !this.#range.startInclusive);
    return this.#table.seek(this.#range.end, this.#order, !this.#range.endInclusive);
  }
}
