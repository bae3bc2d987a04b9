/**
 * One source of a merge: the entries of tables that follow each other, read in large pieces, the next piece while this one is being merged.
 * Blocks are checked and decompressed one at a time, when the merge comes to them.
 */
import { rowsAsEntries } from "../format/block-writer.ts";
import { readBlock } from "../format/block-reader.ts";
import { EntryCursor } from "../format/entry-cursor.ts";
import { prefixNumber, sharedLength } from "../format/key-prefix.ts";
import { contains, intersect, isBeforeEnd, type KeyRange } from "../format/key-range.ts";
import type { IndexEntry } from "../format/sst-info.ts";
import { compareBytes } from "../../base/mod.ts";
import { blockEnd, blockOffset, IndexKeys, overlaps, type Table } from "../store/tables.ts";

/** Consecutive blocks of a table, as they are stored. */
interface Piece {
  readonly opened: OpenedTable;
  readonly bytes: Uint8Array;
  /** Blocks [from, to) are in `bytes`. */
  readonly from: number;
  readonly to: number;
}

interface OpenedTable {
  readonly table: Table;
  readonly index: readonly IndexEntry[];
  readonly range: KeyRange;
  /** True if entries may lie outside the range. */
  readonly isCut: boolean;
}

/** How a source reads. */
export interface SourceSettings {
  readonly range: KeyRange;
  /** Bytes read at a time. */
  readonly pieceBytes: number;
  /** Bytes with which all keys of the merge begin. */
  readonly commonLength: number;
  /** Where its block goes, beside those of others: what is copied within one buffer is copied faster. Larger blocks stay by themselves. */
  readonly slot: { readonly buffer: Uint8Array; readonly start: number; readonly end: number };
}

/** See the header of this file. */
export class MergeSource {
  /** Stands on the current entry, if there is one. */
  readonly entry = new EntryCursor();
  /** Compares as the keys do; equal numbers say nothing. */
  number = 0;
  isDone = false;
  /** Sources of newer data have lower numbers. */
  readonly age: number;
  readonly #tables: readonly Table[];
  readonly #settings: SourceSettings;
  /** The next of `tables` to be opened, and where to go on in the one that is. */
  #tableIndex = 0;
  #opened: OpenedTable | undefined;
  #nextBlock = 0;
  #piece: Piece | undefined;
  /** The next block of the piece. */
  #block = 0;
  #ahead: Promise<Piece | undefined> | undefined;

  constructor(tables: readonly Table[], age: number, settings: SourceSettings) {
    this.#tables = tables.filter((table) => overlaps(table.ref, settings.range));
    this.age = age;
    this.#settings = settings;
  }

  /** Moves to the next entry, or to the end. False: `load` must be awaited first. @throws LSM_CORRUPT */
  next(): boolean {
    for (;;) {
      while (!this.entry.next()) if (!this.#openBlock()) return this.isDone;
      const { key, keyLength } = this.entry;
      if (this.#piece?.opened.isCut === true && !contains(this.#piece.opened.range, key.subarray(0, keyLength))) continue;
      this.number = prefixNumber(key, this.#settings.commonLength, keyLength);
      return true;
    }
  }

  /** Brings the next piece. @throws LSM_MISSING, LSM_CORRUPT, STORE_UNAVAILABLE */
  async load(): Promise<void> {
    const piece = await (this.#ahead ?? this.#readPiece());
    this.#ahead = undefined;
    this.#piece = piece;
    this.#block = piece?.from ?? 0;
    if (piece === undefined) {
      this.isDone = true;
      return;
    }
    this.#ahead = this.#readPiece();
    // Told when it is awaited; it may never be.
    this.#ahead.catch(() => undefined);
  }

  /** Opens the next block of the piece; false if there is none, or no further one is needed. */
  #openBlock(): boolean {
    const piece = this.#piece;
    if (piece === undefined || this.#block >= piece.to) return false;
    const { table, index } = piece.opened;
    const offset = blockOffset(index, this.#block, table.ref);
    const start = offset - blockOffset(index, piece.from, table.ref);
    const end = blockEnd(index, this.#block, table.ref) - blockOffset(index, piece.from, table.ref);
    this.#block++;
    const raw = table.decode(piece.bytes.subarray(start, end), offset);
    const origin = { object: table.object, offset };
    if (table.ref.formatVersion === 1) {
      const entries = rowsAsEntries(readBlock(raw, 1, origin).rows());
      this.entry.openEntries(entries, { start: 0, end: entries.length }, origin);
      return true;
    }
    const { buffer, start: slot, end: slotEnd } = this.#settings.slot;
    const isFitting = raw.length <= slotEnd - slot;
    if (isFitting) buffer.set(raw, slot);
    this.entry.openBlock(
      isFitting ? buffer : raw,
      isFitting ? { start: slot, end: slot + raw.length } : { start: 0, end: raw.length },
      origin,
    );
    return true;
  }

  async #readPiece(): Promise<Piece | undefined> {
    for (;;) {
      const opened = (this.#opened ??= await this.#openTable());
      if (opened === undefined) return undefined;
      const { table, index } = opened;
      const from = this.#nextBlock;
      if (from >= index.length || this.#isBeyond(opened, from)) {
        this.#opened = undefined;
        continue;
      }
      const start = blockOffset(index, from, table.ref);
      let to = from + 1;
      while (to < index.length && blockOffset(index, to + 1, table.ref) - start <= this.#settings.pieceBytes && !this.#isBeyond(opened, to))
        to++;
      this.#nextBlock = to;
      return { opened, bytes: await table.readStored(index, from, to), from, to };
    }
  }

  async #openTable(): Promise<OpenedTable | undefined> {
    const table = this.#tables[this.#tableIndex++];
    if (table === undefined) return undefined;
    const { ref } = table;
    const range = ref.visibleRange === undefined ? this.#settings.range : intersect(this.#settings.range, ref.visibleRange);
    const index = await table.readIndex();
    this.#nextBlock = range.start === undefined ? 0 : new IndexKeys(index).firstBlock(range.start);
    return { table, index, range, isCut: range.start !== undefined || range.end !== undefined };
  }

  #isBeyond(opened: OpenedTable, block: number): boolean {
    const firstKey = opened.index[block]?.firstKey;
    return block > 0 && firstKey !== undefined && !isBeforeEnd(opened.range, firstKey);
  }
}

/** Bytes with which every key of the tables begins. */
export function commonLengthOf(tables: readonly Table[]): number {
  let first: Uint8Array | undefined;
  let last: Uint8Array | undefined;
  for (const { ref } of tables) {
    const { firstEntry, lastEntry } = ref.info;
    if (firstEntry === undefined) continue;
    // SlateDB before 0.11 did not say where an SST ends.
    if (lastEntry === undefined) return 0;
    if (first === undefined || compareBytes(firstEntry, first) < 0) first = firstEntry;
    if (last === undefined || compareBytes(lastEntry, last) > 0) last = lastEntry;
  }
  return first === undefined || last === undefined ? 0 : sharedLength(first, last, first.length);
}
