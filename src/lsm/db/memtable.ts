/**
 * Memtable: the newest rows, ordered. A list of sorted chunks: two binary searches over numbers (format/key-prefix.ts) find a key, an insertion
 * moves a few pointers.
 *
 * 1. Keys ascend strictly over all chunks; no chunk is empty but a sole one.
 * 2. The versions of a key hang together, newest first, by strictly descending sequence number.
 * 3. All keys begin with the common prefix; each chunk has the number of each of its keys, and `firsts` that of each chunk's first.
 * 4. Rows are never removed; a cursor that meets a change finds its place again by its key.
 */
import { assert, compareBytes, EMPTY_BYTES } from "../../base/mod.ts";
import { comparePrefix, prefixNumber, sharedLength, type CommonPrefix } from "../format/key-prefix.ts";
import { isAfterStart, isBeforeEnd, type KeyRange } from "../format/key-range.ts";
import { MERGE, TICK_MIN, type Row, type RowKind } from "../format/row.ts";
import type { Order, RowCursor } from "../store/cursors.ts";

const CHUNK_ROWS_MAX = 128;
/** Fixed part of a row's size: sequence number, flags, times, lengths; as it will be encoded, roughly. */
const ROW_OVERHEAD_BYTES = 24;

/** A row of a memtable, with the older versions of its key behind it. */
export class MemRow implements Row {
  readonly key: Uint8Array;
  readonly kind: RowKind;
  readonly value: Uint8Array;
  readonly seq: number;
  readonly createTs: number | undefined;
  readonly expireTs: number | undefined;
  older: MemRow | undefined = undefined;

  constructor(row: Row) {
    this.key = row.key;
    this.kind = row.kind;
    this.value = row.value;
    this.seq = row.seq;
    this.createTs = row.createTs;
    this.expireTs = row.expireTs;
  }
}

interface Chunk {
  readonly rows: MemRow[];
  /** The prefix number of each row's key. */
  readonly numbers: number[];
}

/** See the header of this file. */
export class Memtable {
  private readonly chunks: Chunk[] = [{ rows: [], numbers: [] }];
  private readonly firsts: number[] = [0];
  private common: CommonPrefix = { sample: EMPTY_BYTES, length: 0 };
  /** Counts changes of the chunks, so that cursors notice. */
  private changes = 0;
  private rows = 0;
  /** Estimated size of the rows, encoded. */
  sizeBytes = 0;
  /** 0 if there are none. */
  firstSeq = 0;
  lastSeq = 0;
  lastTick = TICK_MIN;

  get isEmpty(): boolean {
    return this.rows === 0;
  }

  /** Adds a row that is newer than every version of its key. */
  insert(row: MemRow): void {
    this.admit(row.key);
    const number = prefixNumber(row.key, this.common.length);
    const chunkIndex = this.chunkOf(row.key, number);
    const chunk = this.chunks[chunkIndex] as Chunk;
    const index = lowerBound(chunk, row.key, number);
    const present = chunk.rows[index];
    if (present !== undefined && chunk.numbers[index] === number && compareBytes(present.key, row.key) === 0) {
      assert(present.seq < row.seq, "a newer version has a higher sequence number");
      row.older = present;
      chunk.rows[index] = row;
    } else {
      if (index === chunk.rows.length) {
        chunk.rows.push(row);
        chunk.numbers.push(number);
      } else {
        chunk.rows.splice(index, 0, row);
        chunk.numbers.splice(index, 0, number);
      }
      if (index === 0) this.firsts[chunkIndex] = number;
      this.changes++;
      if (chunk.rows.length > CHUNK_ROWS_MAX) this.split(chunkIndex);
    }
    this.rows++;
    this.sizeBytes += row.key.length + row.value.length + ROW_OVERHEAD_BYTES;
    if (this.firstSeq === 0) this.firstSeq = row.seq;
    if (row.seq > this.lastSeq) this.lastSeq = row.seq;
    if (row.createTs !== undefined && row.createTs > this.lastTick) this.lastTick = row.createTs;
  }

  /** Appends the versions of `key` with seq <= maxSeq, newest first, up to the first that is no merge operand. True if that was found. */
  lookup(key: Uint8Array, maxSeq: number, found: Row[]): boolean {
    if (comparePrefix(key, this.common) !== 0) return false;
    const number = prefixNumber(key, this.common.length);
    const chunk = this.chunks[this.chunkOf(key, number)] as Chunk;
    const index = lowerBound(chunk, key, number);
    let row: MemRow | undefined = chunk.rows[index];
    if (row === undefined || chunk.numbers[index] !== number || compareBytes(row.key, key) !== 0) return false;
    for (; row !== undefined; row = row.older) {
      if (row.seq > maxSeq) continue;
      found.push(row);
      if (row.kind !== MERGE) return true;
    }
    return false;
  }

  /** All versions of all keys in the range. */
  cursor(range: KeyRange, order: Order): RowCursor {
    return new MemtableCursor(this, range, order);
  }

  /** Number of changes so far: positions are valid while it stands. */
  get changeCount(): number {
    return this.changes;
  }

  /** Position of the first key >= `key` (> if `isAfter`), or the last key <= `key` (< if `isAfter`) when descending. */
  seek(key: Uint8Array | undefined, order: Order, isAfter: boolean): MemPosition {
    const side = key === undefined ? (order === "ascending" ? -1 : 1) : comparePrefix(key, this.common);
    if (key === undefined || side !== 0) {
      const last = this.chunks.length - 1;
      const end: MemPosition = { chunk: last, index: (this.chunks[last] as Chunk).rows.length };
      if (side > 0) return order === "ascending" ? end : { chunk: last, index: end.index - 1 };
      return { chunk: 0, index: order === "ascending" ? 0 : -1 };
    }
    const number = prefixNumber(key, this.common.length);
    const chunk = this.chunkOf(key, number);
    const { rows } = this.chunks[chunk] as Chunk;
    const index = lowerBound(this.chunks[chunk] as Chunk, key, number);
    const at = rows[index];
    const isThere = at !== undefined && compareBytes(at.key, key) === 0;
    if (order === "ascending") return { chunk, index: isAfter && isThere ? index + 1 : index };
    return { chunk, index: !isAfter && isThere ? index : index - 1 };
  }

  /** The row at a position, moving it on over the borders of chunks; undefined beyond the ends. */
  at(position: MemPosition): MemRow | undefined {
    for (;;) {
      const chunk = this.chunks[position.chunk];
      if (chunk === undefined) return undefined;
      if (position.index < 0) {
        position.chunk--;
        position.index = (this.chunks[position.chunk]?.rows.length ?? 0) - 1;
        if (position.chunk < 0) return undefined;
      } else if (position.index >= chunk.rows.length) {
        position.chunk++;
        position.index = 0;
      } else return chunk.rows[position.index];
    }
  }

  /** Makes the common prefix that of `key` too. It only ever gets shorter, so this costs little over a table's life. */
  private admit(key: Uint8Array): void {
    if (this.rows === 0) {
      this.common = { sample: key, length: key.length };
      return;
    }
    const shared = sharedLength(key, this.common.sample, this.common.length);
    if (shared === this.common.length) return;
    this.common = { sample: this.common.sample, length: shared };
    for (const [i, chunk] of this.chunks.entries()) {
      for (const [j, row] of chunk.rows.entries()) chunk.numbers[j] = prefixNumber(row.key, shared);
      this.firsts[i] = chunk.numbers[0] ?? 0;
    }
  }

  /** The chunk in which `key` is or belongs. */
  private chunkOf(key: Uint8Array, number: number): number {
    const { chunks, firsts } = this;
    let low = 0;
    let high = chunks.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      const first = firsts[middle] as number;
      const isUpTo = first === number ? compareBytes(((chunks[middle] as Chunk).rows[0] as MemRow).key, key) <= 0 : first < number;
      if (isUpTo) low = middle;
      else high = middle;
    }
    return low;
  }

  private split(chunkIndex: number): void {
    const chunk = this.chunks[chunkIndex] as Chunk;
    // Keys that come in order fill chunks; others halve them.
    const at = chunkIndex === this.chunks.length - 1 ? CHUNK_ROWS_MAX - 8 : CHUNK_ROWS_MAX / 2;
    const half: Chunk = { rows: chunk.rows.splice(at), numbers: chunk.numbers.splice(at) };
    this.chunks.splice(chunkIndex + 1, 0, half);
    this.firsts.splice(chunkIndex + 1, 0, half.numbers[0] as number);
  }
}

/** Where a cursor stands. */
export interface MemPosition {
  chunk: number;
  index: number;
}

function lowerBound(chunk: Chunk, key: Uint8Array, number: number): number {
  const { rows, numbers } = chunk;
  let low = 0;
  let high = numbers.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const there = numbers[middle] as number;
    const isBelow = there === number ? compareBytes((rows[middle] as MemRow).key, key) < 0 : there < number;
    if (isBelow) low = middle + 1;
    else high = middle;
  }
  return low;
}

class MemtableCursor implements RowCursor {
  row: Row | undefined;
  private readonly table: Memtable;
  private readonly range: KeyRange;
  private readonly order: Order;
  private position: MemPosition;
  private changes: number;
  private newest: MemRow | undefined;
  private version: MemRow | undefined;
  private isStarted = false;

  constructor(table: Memtable, range: KeyRange, order: Order) {
    this.table = table;
    this.range = range;
    this.order = order;
    this.position = this.seek();
    this.changes = table.changeCount;
  }

  next(): boolean {
    if (this.version?.older !== undefined) {
      this.version = this.version.older;
      this.row = this.version;
      return true;
    }
    if (this.isStarted && this.newest === undefined) return true;
    if (this.changes !== this.table.changeCount) {
      this.position = this.seek();
      this.changes = this.table.changeCount;
    } else if (this.isStarted) this.position.index += this.order === "ascending" ? 1 : -1;
    this.isStarted = true;
    const row = this.table.at(this.position);
    const isInside =
      row !== undefined && (this.order === "ascending" ? isBeforeEnd(this.range, row.key) : isAfterStart(this.range, row.key));
    this.newest = isInside ? row : undefined;
    this.version = this.newest;
    this.row = this.newest;
    return true;
  }

  async load(): Promise<void> {
    // All is here.
  }

  private seek(): MemPosition {
    if (this.newest !== undefined) return this.table.seek(this.newest.key, this.order, true);
    if (this.order === "ascending") return this.table.seek(this.range.start, this.order, !this.range.startInclusive);
    return this.table.seek(this.range.end, this.order, !this.range.endInclusive);
  }
}
