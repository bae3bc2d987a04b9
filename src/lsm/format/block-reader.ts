/**
 * Reading blocks of both format versions. Version 2 is drawn in block-writer.ts. Version 1, which is only read:
 *
 *   entry* | offset u16 * n | n u16
 *   entry: prefix length u16 (of the block's FIRST key) | suffix length u16 | suffix | seq u64 | flags u8 | [expire i64] | [create i64]
 *          | if no tombstone: value length u32 | value
 */
import { compareBytes, EMPTY_BYTES, PumiceError, viewOf } from "../../base/mod.ts";
import { damaged } from "./damage.ts";
import { FLAG_CREATE, FLAG_EXPIRE, FLAGS_KNOWN, getTime, MERGE, TOMBSTONE, VALUE, type Row, type RowKind } from "./row.ts";

/** How a lookup ended: found all it needs; saw a greater key; or reached the block's end without either. */
export type LookupEnd = "found" | "past" | "end";

/** A decoded block's two questions. Rows given out have keys and values that may be views into the block: never written. */
export interface Block {
  /** Memory that it holds. */
  readonly sizeBytes: number;
  /** Appends the versions of `key` with seq <= maxSeq, newest first, up to and including the first that is no merge operand. */
  lookup(key: Uint8Array, maxSeq: number, found: Row[]): LookupEnd;
  /** All rows in order, newly decoded. @throws LSM_CORRUPT */
  rows(): Row[];
}

/** Where a block came from, for errors. */
export interface BlockOrigin {
  readonly object: string;
  readonly offset: number;
}

/** The block in `bytes`. @throws LSM_CORRUPT */
export function readBlock(bytes: Uint8Array, formatVersion: number, origin: BlockOrigin): Block {
  return formatVersion === 1 ? new RowsBlock(decodeV1(bytes, origin), bytes.length) : new BlockV2(bytes, origin);
}

const U32 = 0x1_0000_0000;
/** Keys that are not in a block as they are, but only their ends, are put together in pieces of this. Most blocks of 4 KiB need one. */
const PACKED_KEYS_BYTES = 512;

function broken(origin: BlockOrigin, what: string): Error {
  return damaged({ object: origin.object, offset: origin.offset, what });
}

/** The block's checksum was right: a later engine wrote the row. */
export function unknownFlags(origin: BlockOrigin, flags: number): PumiceError {
  return new PumiceError("LSM_UNSUPPORTED", { object: origin.object, what: "row has unknown flags", found: flags, offset: origin.offset });
}

function kindOf(flags: number, origin: BlockOrigin): RowKind {
  const kind = flags & (TOMBSTONE | MERGE);
  if ((flags & ~FLAGS_KNOWN) !== 0) throw unknownFlags(origin, flags);
  if (kind === (TOMBSTONE | MERGE)) throw broken(origin, "row is a tombstone and an operand");
  return kind === 0 ? VALUE : kind === TOMBSTONE ? TOMBSTONE : MERGE;
}

class BlockV2 implements Block {
  readonly sizeBytes: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #origin: BlockOrigin;
  readonly #restarts: Uint32Array;
  /** End of the entries. */
  readonly #end: number;
  /** Cursor of the entry being parsed. Valid only inside one call. */
  #at = 0;

  constructor(bytes: Uint8Array, origin: BlockOrigin) {
    this.#bytes = bytes;
    this.#view = viewOf(bytes);
    this.#origin = origin;
    if (bytes.length < 2) throw broken(origin, "block is too short");
    const count = this.#view.getUint16(bytes.length - 2);
    this.#end = bytes.length - 2 - count * 2;
    if (count === 0 || this.#end <= 0) throw broken(origin, "block has a bad restart count");
    this.#restarts = new Uint32Array(count);
    for (let i = 0; i < count; i++) {
      const restart = this.#view.getUint16(this.#end + i * 2);
      if (restart >= this.#end) throw broken(origin, "block restart lies outside it");
      this.#restarts[i] = restart;
    }
    if (this.#restarts[0] !== 0) throw broken(origin, "block does not begin with a restart");
    this.sizeBytes = bytes.length + 200;
  }

  lookup(key: Uint8Array, maxSeq: number, found: Row[]): LookupEnd {
    const bytes = this.#bytes;
    const end = this.#end;
    this.#at = this.#restartBefore(key);
    /** How many bytes of `key` the previous entry's key matches; while it is smaller than `key`, they differ right after. */
    let matched = 0;
    while (this.#at < end) {
      const shared = this.#varint();
      const unshared = this.#varint();
      const valueLength = this.#varint();
      const keyAt = this.#at;
      const flagsAt = keyAt + unshared + valueLength + 8;
      if (flagsAt >= end) throw broken(this.#origin, "row runs beyond its block");
      const flags = bytes[flagsAt] as number;
      this.#at = flagsAt + 1 + ((flags & FLAG_EXPIRE) === 0 ? 0 : 8) + ((flags & FLAG_CREATE) === 0 ? 0 : 8);
      // A restart shares nothing, whatever its key is.
      if (shared === 0) matched = 0;
      // More shared than matched: this key differs from `key` where the previous one did, so it is smaller too.
      if (shared > matched) continue;
      // Fewer shared than matched: it differs from the previous key earlier than that differs from `key`, and keys ascend.
      if (shared < matched) return "past";
      const limit = Math.min(unshared, key.length - shared);
      let i = 0;
      while (i < limit && bytes[keyAt + i] === key[shared + i]) i++;
      matched = shared + i;
      if (i < limit) {
        if ((bytes[keyAt + i] as number) > (key[shared + i] as number)) return "past";
        continue;
      }
      if (shared + unshared > key.length) return "past";
      if (shared + unshared < key.length) continue;
      const seq = this.#view.getUint32(flagsAt - 8) * U32 + this.#view.getUint32(flagsAt - 4);
      if (seq > maxSeq) continue;
      const row = this.#row(key, flagsAt, valueLength);
      found.push(row);
      if (row.kind !== MERGE) return "found";
    }
    return "end";
  }

  rows(): Row[] {
    const rows: Row[] = [];
    const bytes = this.#bytes;
    const end = this.#end;
    let previous: Uint8Array = EMPTY_BYTES;
    let packed: Uint8Array = EMPTY_BYTES;
    let packedBytes = 0;
    this.#at = 0;
    while (this.#at < end) {
      const shared = this.#varint();
      const unshared = this.#varint();
      const valueLength = this.#varint();
      const keyAt = this.#at;
      const flagsAt = keyAt + unshared + valueLength + 8;
      if (flagsAt >= end || shared > previous.length) throw broken(this.#origin, "row runs beyond its block");
      let key: Uint8Array;
      if (shared === 0) key = bytes.subarray(keyAt, keyAt + unshared);
      else if (unshared === 0 && shared === previous.length) key = previous;
      else {
        // Keys share memory: an array with memory of its own costs twice a view.
        const length = shared + unshared;
        if (packedBytes + length > packed.length) {
          packed = new Uint8Array(Math.max(PACKED_KEYS_BYTES, length));
          packedBytes = 0;
        }
        for (let i = 0; i < shared; i++) packed[packedBytes + i] = previous[i] as number;
        for (let i = 0; i < unshared; i++) packed[packedBytes + shared + i] = bytes[keyAt + i] as number;
        key = packed.subarray(packedBytes, packedBytes + length);
        packedBytes += length;
      }
      const row = this.#row(key, flagsAt, valueLength);
      rows.push(row);
      this.#at = flagsAt + 1 + (row.expireTs === undefined ? 0 : 8) + (row.createTs === undefined ? 0 : 8);
      previous = key;
    }
    if (this.#at !== end) throw broken(this.#origin, "rows do not fill their block");
    return rows;
  }

  /** The row whose flags are at `flagsAt`. */
  #row(key: Uint8Array, flagsAt: number, valueLength: number): Row {
    const flags = this.#bytes[flagsAt] as number;
    const kind = kindOf(flags, this.#origin);
    let at = flagsAt + 1;
    let expireTs: number | undefined;
    let createTs: number | undefined;
    const timesEnd = at + ((flags & FLAG_EXPIRE) === 0 ? 0 : 8) + ((flags & FLAG_CREATE) === 0 ? 0 : 8);
    if (timesEnd > this.#end) throw broken(this.#origin, "row runs beyond its block");
    if ((flags & FLAG_EXPIRE) !== 0) {
      expireTs = getTime(this.#view, at);
      at += 8;
    }
    if ((flags & FLAG_CREATE) !== 0) createTs = getTime(this.#view, at);
    const seq = this.#view.getUint32(flagsAt - 8) * U32 + this.#view.getUint32(flagsAt - 4);
    const value = kind === TOMBSTONE ? EMPTY_BYTES : this.#bytes.subarray(flagsAt - 8 - valueLength, flagsAt - 8);
    return { key, kind, value, seq, createTs, expireTs };
  }

  /** Offset of the last restart whose key is smaller than `key`, or of the first. */
  #restartBefore(key: Uint8Array): number {
    let low = 0;
    let high = this.#restarts.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (this.#compareRestart(this.#restarts[middle] as number, key) < 0) low = middle;
      else high = middle;
    }
    return this.#restarts[low] as number;
  }

  /** Compares the full key at a restart with `key`. */
  #compareRestart(restart: number, key: Uint8Array): number {
    this.#at = restart;
    if (this.#varint() !== 0) throw broken(this.#origin, "restart shares a prefix");
    const length = this.#varint();
    this.#varint();
    const bytes = this.#bytes;
    const at = this.#at;
    const limit = Math.min(length, key.length);
    for (let i = 0; i < limit; i++) {
      const difference = (bytes[at + i] as number) - (key[i] as number);
      if (difference !== 0) return difference;
    }
    return length - key.length;
  }

  #varint(): number {
    const first = this.#bytes[this.#at++] as number;
    if (first < 0x80) return first;
    let value = first & 0x7f;
    let scale = 0x80;
    for (let i = 0; i < 4; i++) {
      const byte = this.#bytes[this.#at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
    throw broken(this.#origin, "varint is too long");
  }
}

/** A block decoded into rows at once. */
class RowsBlock implements Block {
  readonly sizeBytes: number;
  readonly #decoded: Row[];

  constructor(decoded: Row[], bytes: number) {
    this.#decoded = decoded;
    this.sizeBytes = bytes + decoded.length * 150;
  }

  rows(): Row[] {
    return this.#decoded.slice();
  }

  lookup(key: Uint8Array, maxSeq: number, found: Row[]): LookupEnd {
    let low = 0;
    let high = this.#decoded.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareBytes((this.#decoded[middle] as Row).key, key) < 0) low = middle + 1;
      else high = middle;
    }
    for (; low < this.#decoded.length; low++) {
      const row = this.#decoded[low] as Row;
      if (compareBytes(row.key, key) !== 0) return "past";
      if (row.seq > maxSeq) continue;
      found.push(row);
      if (row.kind !== MERGE) return "found";
    }
    return "end";
  }
}

function decodeV1(bytes: Uint8Array, origin: BlockOrigin): Row[] {
  const view = viewOf(bytes);
  if (bytes.length < 2) throw broken(origin, "block is too short");
  const count = view.getUint16(bytes.length - 2);
  const end = bytes.length - 2 - count * 2;
  if (count === 0 || end <= 0) throw broken(origin, "block has a bad row count");
  const rows: Row[] = [];
  let firstKey: Uint8Array = EMPTY_BYTES;
  for (let i = 0; i < count; i++) {
    const row = rowV1({ bytes, view, end, origin }, view.getUint16(end + i * 2), firstKey);
    if (i === 0) firstKey = row.key;
    rows.push(row);
  }
  return rows;
}

interface V1Source {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly end: number;
  readonly origin: BlockOrigin;
}

function rowV1(source: V1Source, offset: number, firstKey: Uint8Array): Row {
  const { bytes, view, end, origin } = source;
  const need = (until: number): void => {
    if (until > end) throw broken(origin, "row runs beyond its block");
  };
  need(offset + 4);
  const prefix = view.getUint16(offset);
  const suffix = view.getUint16(offset + 2);
  let at = offset + 4;
  need(at + suffix + 9);
  if (prefix > firstKey.length) throw broken(origin, "row shares more than the first key has");
  const key = new Uint8Array(prefix + suffix);
  key.set(firstKey.subarray(0, prefix));
  key.set(bytes.subarray(at, at + suffix), prefix);
  at += suffix;
  const seq = view.getUint32(at) * U32 + view.getUint32(at + 4);
  const flags = bytes[at + 8] as number;
  at += 9;
  const kind = kindOf(flags, origin);
  let expireTs: number | undefined;
  let createTs: number | undefined;
  if ((flags & FLAG_EXPIRE) !== 0) {
    need(at + 8);
    expireTs = getTime(view, at);
    at += 8;
  }
  if ((flags & FLAG_CREATE) !== 0) {
    need(at + 8);
    createTs = getTime(view, at);
    at += 8;
  }
  // A tombstone of version 1 loses its expiry when it is read: SlateDB does the same.
  if (kind === TOMBSTONE) return { key, kind, value: EMPTY_BYTES, seq, createTs, expireTs: undefined };
  need(at + 4);
  const valueLength = view.getUint32(at);
  need(at + 4 + valueLength);
  return { key, kind, value: bytes.subarray(at + 4, at + 4 + valueLength), seq, createTs, expireTs };
}
