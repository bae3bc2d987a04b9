/**
 * Replay of one WAL object into a memtable, entry by entry: no object is made for a row.
 *
 * 1. The object is checked whole before its first row is taken: one that is damaged changes nothing.
 * 2. Of several rows that one batch has of one key, the last counts (the memtable sees to it). SlateDB 0.12 writes such batches where it cannot fold a merge because the TTLs
 *    differ, and this is how it replays them.
 */
import { PumiceError } from "../../base/mod.ts";
import type { Sealer } from "../format/compression.ts";
import { damaged } from "../format/damage.ts";
import { EntryCursor } from "../format/entry-cursor.ts";
import { STORED_KEY_BYTES_MAX, TOMBSTONE, type Row } from "../format/row.ts";
import { readWal, readWalBlocks } from "../format/sst-reader.ts";
import type { Memtable } from "./memtable.ts";

/** A WAL object, whole. */
export interface WalObject {
  readonly object: string;
  readonly bytes: Uint8Array;
}

/** What is taken of it, and where. */
export interface ReplayTarget {
  readonly memtable: Memtable;
  /** Rows up to this are in L0 already. */
  readonly aboveSeq: number;
  /** The last sequence number of the objects before. */
  readonly previousSeq: number;
}

/** Replays an object. Gives its last sequence number, and how many rows it took. @throws LSM_CORRUPT, LSM_UNSUPPORTED */
export function replayWal(wal: WalObject, sealer: Sealer, target: ReplayTarget): { readonly lastSeq: number; readonly rows: number } {
  const { memtable, aboveSeq, previousSeq } = target;
  const { object } = wal;
  const { blocks, formatVersion } = readWalBlocks(wal.bytes, object, sealer);
  let rows = 0;
  if (formatVersion === 1) {
    const all = readWal(wal.bytes, object, sealer);
    const lastSeq = checkOrder(all, previousSeq, object);
    for (const row of all) {
      if (row.seq <= aboveSeq) continue;
      memtable.insert(row);
      rows++;
    }
    return { lastSeq, rows };
  }
  const order = new OrderCheck(object, previousSeq);
  const cursor = new EntryCursor();
  for (const { raw, origin } of blocks) {
    for (cursor.openBlock(raw, { start: 0, end: raw.length }, origin); cursor.next();) order.next(cursor.seq, cursor.keyLength);
  }
  for (const { raw, origin } of blocks) {
    for (cursor.openBlock(raw, { start: 0, end: raw.length }, origin); cursor.next();) {
      if (cursor.seq <= aboveSeq) continue;
      if (cursor.kind === TOMBSTONE && cursor.valueLength > 0) memtable.insert(cursor.row());
      else memtable.insertEntry(cursor);
      rows++;
    }
  }
  return { lastSeq: order.last, rows };
}

/** Sequence numbers never go back in an object, and begin above those of the objects before. Gives the last. @throws LSM_CORRUPT */
export function checkOrder(rows: readonly Row[], previous: number, object: string): number {
  const order = new OrderCheck(object, previous);
  for (const row of rows) order.next(row.seq, row.key.length);
  return order.last;
}

class OrderCheck {
  last: number;
  readonly #object: string;
  #count = 0;

  constructor(object: string, previous: number) {
    this.#object = object;
    this.last = previous;
  }

  /** @throws LSM_CORRUPT, LSM_UNSUPPORTED */
  next(seq: number, keyLength: number): void {
    const { last } = this;
    const object = this.#object;
    const count = this.#count;
    const isFirst = count === 0;
    if (seq < 1 || seq < last || (isFirst && seq === last)) {
      const expected = `${isFirst ? "above" : "at least"} ${last}`;
      throw damaged({ object, what: `sequence number goes back at row ${count}`, expected, found: seq });
    }
    // Its checksum was right: no damage, but more than a memtable can hold.
    if (keyLength > STORED_KEY_BYTES_MAX)
      throw new PumiceError("LSM_UNSUPPORTED", {
        object,
        what: `key of row ${count} is too long`,
        bytes: keyLength,
        maxBytes: STORED_KEY_BYTES_MAX,
      });
    this.last = seq;
    this.#count++;
  }
}
