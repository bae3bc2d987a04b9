/**
 * A row: one version of one key. Order of rows in an SST: keys ascending bytewise, versions of one key by sequence number descending.
 */
import { EMPTY_BYTES, PumiceError } from "../../base/mod.ts";

/** A value. FROZEN: the kinds are flag bits of the row format. */
export const VALUE = 0;
/** A deletion. */
export const TOMBSTONE = 1;
/** An operand for the merge operator. */
export const MERGE = 8;
/** What a row says of its key. */
export type RowKind = typeof VALUE | typeof TOMBSTONE | typeof MERGE;

/** Flag bit: eight bytes of expiry follow. */
export const FLAG_EXPIRE = 2;
/** Flag bit: eight bytes of creation time follow. */
export const FLAG_CREATE = 4;
/** Every flag bit that has a meaning. */
export const FLAGS_KNOWN = 15;

/** The kind that a row's flags say. */
export function kindOf(flags: number): RowKind {
  return (flags & TOMBSTONE) !== 0 ? TOMBSTONE : (flags & MERGE) !== 0 ? MERGE : VALUE;
}

/** One version of one key. Its bytes are never changed once it is made. */
export interface Row {
  readonly key: Uint8Array;
  readonly kind: RowKind;
  /** Empty for a tombstone. */
  readonly value: Uint8Array;
  /** >= 1. All rows of one batch share it. */
  readonly seq: number;
  /** Milliseconds since 1970, by the writer's hybrid clock; undefined in what some other writers wrote. */
  readonly createTs: number | undefined;
  /** The row is as good as deleted from this time on; undefined: never. */
  readonly expireTs: number | undefined;
}

/** A key that is written is 1 to this many bytes: the SlateDB of each profile takes no longer one. */
export const KEY_BYTES_MAX = 65_535;
/** A key that is read from a store, of a later SlateDB say, is at most this many bytes: a limit of the memtable. */
export const STORED_KEY_BYTES_MAX = 0x7f_ffff;
/** A value is at most this many bytes. */
export const VALUE_BYTES_MAX = 0xffff_ffff;
/** The first time there is: what a store without rows has as its clock tick. i64::MIN on disk. */
export const TICK_MIN = -9_223_372_036_854_775_808;

/** @throws LSM_INVALID unless `bytes` are a Uint8Array, of this realm or another: not every caller has a compiler. */
export function checkBytes(bytes: unknown, what: string): void {
  if (!isBytes(bytes)) throw new PumiceError("LSM_INVALID", { what: `${what} is no Uint8Array`, found: tagOf(bytes) });
}

/** True for a Uint8Array, of another realm too. */
export function isBytes(value: unknown): value is Uint8Array {
  return value instanceof Uint8Array || (tagOf(value) === "Uint8Array" && ArrayBuffer.isView(value));
}

function tagOf(value: unknown): string {
  return Object.prototype.toString.call(value).slice(8, -1);
}

/** @throws LSM_INVALID unless `key` may be in a store: it is not empty. */
export function checkAskedKey(key: Uint8Array): void {
  checkBytes(key, "key");
  if (key.length === 0) throw new PumiceError("LSM_INVALID", { what: "key is empty" });
}

/** @throws LSM_INVALID unless `key`, which is to be written, has 1 to KEY_BYTES_MAX bytes. */
export function checkKey(key: Uint8Array): void {
  checkAskedKey(key);
  if (key.length > KEY_BYTES_MAX) {
    throw new PumiceError("LSM_INVALID", {
      what: "key is too long for the files of profiles 0.12 and 0.14",
      bytes: key.length,
      maxBytes: KEY_BYTES_MAX,
    });
  }
}

/** The tombstone that a row becomes when it has expired. */
export function asTombstone(row: Row): Row {
  return { key: row.key, kind: TOMBSTONE, value: EMPTY_BYTES, seq: row.seq, createTs: row.createTs, expireTs: undefined };
}

/** True if the row's time is over at `nowMs`. */
export function isExpired(row: Row, nowMs: number): boolean {
  return row.expireTs !== undefined && row.expireTs <= nowMs;
}

const U32 = 0x1_0000_0000;

/** Writes a time as i64 BE; one beyond the range of i64 becomes the nearest that is inside. */
export function setTime(view: DataView, offset: number, value: number): void {
  if (value >= -TICK_MIN) {
    view.setInt32(offset, 0x7fff_ffff);
    view.setUint32(offset + 4, 0xffff_ffff);
    return;
  }
  const high = Math.floor(value / U32);
  view.setInt32(offset, Math.max(high, -0x8000_0000));
  view.setUint32(offset + 4, value - high * U32);
}

/** Reads an i64 BE. Beyond 2^53 it is the nearest double. */
export function getTime(view: DataView, offset: number): number {
  return view.getInt32(offset) * U32 + view.getUint32(offset + 4);
}
