/**
 * Cursors over rows, from tables and runs of tables, forwards or backwards. In both directions the versions of one key come newest
 * first. A cursor is synchronous as long as what it needs is here; else `next` says false, and `load` fetches it.
 */
import { compareBytes } from "../../base/mod.ts";
import { intersect, isAfterStart, isBeforeEnd, type KeyRange } from "../format/key-range.ts";
import type { Row } from "../format/row.ts";
import { blockOffset, nothingLoaded, overlaps, type Loaded, type Table, type TableMeta } from "./tables.ts";

/** Direction of a scan. */
export type Order = "ascending" | "descending";

/** Rows one after the other. */
export interface RowCursor {
  /** The row it stands on; undefined before the first `next` and at the end. */
  readonly row: Row | undefined;
  /** Moves on. False: nothing moved, `load` must be awaited first. */
  next(): boolean;
  load(): Promise<void>;
}

/** How a scan reads tables. */
export interface ReadAhead {
  /** Blocks read by a scan stay in the cache. */
  readonly cachesBlocks: boolean;
  /** A scan that goes on reads more at a time, doubling up to this. */
  readonly readAheadBytesMax: number;
}

/** Rows of one table. */
export class TableCursor implements RowCursor {
  row: Row | undefined;
  readonly #table: Table;
  readonly #range: KeyRange;
  readonly #order: Order;
  readonly #readAhead: ReadAhead;
  readonly #loaded: Loaded = nothingLoaded();
  /** Rows of the current block in the cursor's order, and the next of them. */
  #rows: Row[] = [];
  #position = 0;
  /** Descending: rows of the smallest key of the current block, of which the block before may hold newer versions. */
  #held: Row[] = [];
  /** The next block to read; undefined before the first. */
  #block: number | undefined;
  #isDone = false;
  #aheadBytes = 0;

  constructor(table: Table, range: KeyRange, how: { readonly order: Order; readonly readAhead: ReadAhead }) {
    this.#table = table;
    this.#range = table.ref.visibleRange === undefined ? range : intersect(range, table.ref.visibleRange);
    this.#order = how.order;
    this.#readAhead = how.readAhead;
    this.#isDone = !overlaps(table.ref, this.#range);
  }

  next(): boolean {
    while (this.#position >= this.#rows.length) {
      if (this.#isDone) {
        this.row = undefined;
        return true;
      }
      if (!this.#nextBlock()) return false;
    }
    this.row = this.#rows[this.#position++];
    return true;
  }

  async load(): Promise<void> {
    const meta = this.#table.metaNow(this.#loaded);
    if (meta === undefined) {
      await this.#table.loadMeta(this.#loaded);
      return;
    }
    const block = this.#block ?? this.#startBlock(meta);
    const step = this.#order === "ascending" ? 1 : -1;
    let end = block;
    let bytes = 0;
    while (
      end >= 0 &&
      end < meta.index.length &&
      (end === block || bytes < this.#aheadBytes) &&
      !this.#isBeyond(meta.index[end]?.firstKey, end === block)
    ) {
      bytes += blockOffset(meta.index, end + 1, this.#table.ref) - blockOffset(meta.index, end, this.#table.ref);
      end += step;
    }
    this.#aheadBytes = Math.min(this.#readAhead.readAheadBytesMax, Math.max(16_384, this.#aheadBytes * 2));
    const [from, to] = step === 1 ? [block, end] : [end + 1, block + 1];
    await this.#table.loadBlocks({ from, to, isCached: this.#readAhead.cachesBlocks }, this.#loaded);
  }

  /** True if reading ahead to a block with that first key is of no use. */
  #isBeyond(firstKey: Uint8Array | undefined, isNeeded: boolean): boolean {
    if (isNeeded || firstKey === undefined || this.#order === "descending") return false;
    return !isBeforeEnd(this.#range, firstKey);
  }

  #startBlock(meta: TableMeta): number {
    if (this.#order === "ascending") return this.#range.start === undefined ? 0 : meta.keys.firstBlock(this.#range.start);
    return this.#range.end === undefined ? meta.index.length - 1 : meta.keys.lastBlock(this.#range.end);
  }

  /** Moves to the next block. False if it is not here. */
  #nextBlock(): boolean {
    const meta = this.#table.metaNow(this.#loaded);
    if (meta === undefined) return false;
    this.#block ??= this.#startBlock(meta);
    if (this.#block < 0 || this.#block >= meta.index.length) {
      this.#isDone = true;
      this.#rows = this.#held;
      this.#held = [];
      this.#position = 0;
      return true;
    }
    const block = this.#table.blockNow(this.#block, this.#loaded);
    if (block === undefined) return false;
    this.#loaded.blocks.get(this.#table)?.delete(this.#block);
    const rows = block.rows();
    this.#position = 0;
    if (this.#order === "ascending") {
      this.#block++;
      this.#ascend(rows);
    } else {
      this.#block--;
      this.#descend(rows);
    }
    return true;
  }

  #ascend(rows: Row[]): void {
    let from = 0;
    let to = rows.length;
    while (from < to && !isAfterStart(this.#range, (rows[from] as Row).key)) from++;
    const last = rows[to - 1];
    if (last !== undefined && !isBeforeEnd(this.#range, last.key)) {
      this.#isDone = true;
      while (to > from && !isBeforeEnd(this.#range, (rows[to - 1] as Row).key)) to--;
    }
    this.#rows = from === 0 && to === rows.length ? rows : rows.slice(from, to);
  }

  #descend(rows: Row[]): void {
    const groups = groupByKey(rows);
    const last = groups.at(-1);
    const heldKey = this.#held[0]?.key;
    if (heldKey !== undefined && last !== undefined) {
      if (compareBytes((last[0] as Row).key, heldKey) === 0) last.push(...this.#held);
      else groups.push(this.#held);
    }
    this.#held = groups.shift() ?? [];
    const visible = groups.filter(
      (group) => isAfterStart(this.#range, (group[0] as Row).key) && isBeforeEnd(this.#range, (group[0] as Row).key),
    );
    this.#rows = visible.reverse().flat();
    const smallest = this.#held[0];
    if (smallest === undefined) return;
    if (!isAfterStart(this.#range, smallest.key)) {
      this.#held = [];
      this.#isDone = true;
    } else if (!isBeforeEnd(this.#range, smallest.key)) this.#held = [];
  }
}

function groupByKey(rows: readonly Row[]): Row[][] {
  const groups: Row[][] = [];
  for (const row of rows) {
    const last = groups.at(-1);
    if (last !== undefined && compareBytes((last[0] as Row).key, row.key) === 0) last.push(row);
    else groups.push([row]);
  }
  return groups;
}

/** Rows of tables that follow each other without overlap, in the cursor's order. */
export class RunCursor implements RowCursor {
  row: Row | undefined;
  readonly #cursors: Iterator<RowCursor>;
  #current: RowCursor | undefined;

  constructor(tables: readonly Table[], range: KeyRange, how: { readonly order: Order; readonly readAhead: ReadAhead }) {
    const inside = tables.filter((table) => overlaps(table.ref, range));
    if (how.order === "descending") inside.reverse();
    this.#cursors = inside.map((table): RowCursor => new TableCursor(table, range, how)).values();
    this.#current = this.#following();
  }

  next(): boolean {
    while (this.#current !== undefined) {
      if (!this.#current.next()) return false;
      this.row = this.#current.row;
      if (this.row !== undefined) return true;
      this.#current = this.#following();
    }
    this.row = undefined;
    return true;
  }

  async load(): Promise<void> {
    await this.#current?.load();
  }

  #following(): RowCursor | undefined {
    const next = this.#cursors.next();
    return next.done === true ? undefined : next.value;
  }
}

/**
 * Several cursors as one: by key in the order of the scan, versions of one key newest first. Rows with equal key and sequence number are one row, that
 * of the first cursor that has it. So cursors are given newest first: flushing and compaction fold operands under the number of the newest, and what was
 * folded must not stand before the operands it was made of, which would count twice.
 */
export class MergeCursor implements RowCursor {
  row: Row | undefined;
  readonly #order: Order;
  /** All of them, newest first. */
  readonly #cursors: readonly RowCursor[];
  /** Those that have not been started or must be moved before the next row is known. */
  #waiting: RowCursor[];
  /** The others that have a row, in order of their rows. */
  readonly #ready: RowCursor[] = [];

  constructor(cursors: readonly RowCursor[], order: Order) {
    this.#order = order;
    this.#cursors = cursors;
    this.#waiting = cursors.slice();
  }

  next(): boolean {
    for (;;) {
      if (!this.#settle()) return false;
      const first = this.#ready[0];
      const previous = this.row;
      this.row = first?.row;
      if (first === undefined || this.row === undefined) return true;
      this.#advanceFirst(first);
      const isRepeated = previous !== undefined && previous.seq === this.row.seq && compareBytes(previous.key, this.row.key) === 0;
      if (!isRepeated) return true;
    }
  }

  async load(): Promise<void> {
    await Promise.all(this.#waiting.map(async (cursor) => await cursor.load()));
  }

  /** Moves the first cursor, and puts it where its next row belongs. */
  #advanceFirst(first: RowCursor): void {
    if (!first.next()) {
      this.#ready.shift();
      this.#waiting.push(first);
      return;
    }
    if (first.row === undefined) {
      this.#ready.shift();
      return;
    }
    const ready = this.#ready;
    let i = 0;
    while (i + 1 < ready.length && this.#compare(first, ready[i + 1] as RowCursor) > 0) {
      ready[i] = ready[i + 1] as RowCursor;
      i++;
    }
    ready[i] = first;
  }

  /** Brings the waiting cursors in. False if one of them must load. */
  #settle(): boolean {
    if (this.#waiting.length === 0) return true;
    const still: RowCursor[] = [];
    for (const cursor of this.#waiting) {
      if (!cursor.next()) still.push(cursor);
      else if (cursor.row !== undefined) {
        let i = this.#ready.length;
        while (i > 0 && this.#compare(cursor, this.#ready[i - 1] as RowCursor) < 0) i--;
        this.#ready.splice(i, 0, cursor);
      }
    }
    this.#waiting = still;
    return still.length === 0;
  }

  #compare(left: RowCursor, right: RowCursor): number {
    const a = left.row as Row;
    const b = right.row as Row;
    const order = compareBytes(a.key, b.key);
    if (order !== 0) return this.#order === "ascending" ? order : -order;
    // Equal rows are rare: a memtable and the L0 made of it.
    return b.seq - a.seq || this.#cursors.indexOf(left) - this.#cursors.indexOf(right);
  }
}
