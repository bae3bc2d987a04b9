/**
 * Walks the entries of one block of version 2 without making an object for each: what a merge reads. An entry is its key, put together in
 * a buffer of the cursor's, and its tail, the bytes of the block after the key: value | seq u64 | flags u8 | [expire i64] | [create i64].
 * A tail is the same in every block, so that a merge copies it as it is. block-writer.ts draws the block.
 */
import { copyBytes, EMPTY_BYTES } from "../../base/mod.ts";
import { unknownFlags, type BlockOrigin } from "./block-reader.ts";
import { damaged } from "./damage.ts";
import { FLAG_CREATE, FLAG_EXPIRE, FLAGS_KNOWN, kindOf, MERGE, TOMBSTONE, type Row, type RowKind } from "./row.ts";

const U32 = 0x1_0000_0000;
const KIND_FLAGS = TOMBSTONE | MERGE;

/** A row as a block has it: what its fields describe may change with the next. */
export interface Entry {
  /** Holds the key in its first `keyLength` bytes. */
  readonly key: Uint8Array;
  readonly keyLength: number;
  readonly bytes: Uint8Array;
  /** The tail is `bytes` [tailAt, tailEnd), and begins with the value. */
  readonly tailAt: number;
  readonly tailEnd: number;
  readonly valueLength: number;
  readonly flags: number;
  readonly kind: RowKind;
  readonly seq: number;
}

/** See the header of this file. Its fields describe the entry that it stands on, and change with the next. */
export class EntryCursor implements Entry {
  /** Holds the key in its first `keyLength` bytes. */
  key: Uint8Array = new Uint8Array(64);
  keyLength = 0;
  /** The block. */
  bytes: Uint8Array = EMPTY_BYTES;
  /** The tail is bytes [tailAt, tailEnd) of the block, and begins with the value. */
  tailAt = 0;
  tailEnd = 0;
  valueLength = 0;
  flags = 0;
  #origin: BlockOrigin = { object: "", offset: 0 };
  /** The next entry, and the end of all. */
  #at = 0;
  #end = 0;

  /** Begins the block in bytes [start, end). @throws LSM_CORRUPT */
  openBlock(bytes: Uint8Array, place: { readonly start: number; readonly end: number }, origin: BlockOrigin): void {
    const { start, end } = place;
    const count = end - start < 2 ? 0 : ((bytes[end - 2] as number) << 8) | (bytes[end - 1] as number);
    const entriesEnd = end - 2 - count * 2;
    if (count === 0 || entriesEnd <= start) throw damaged({ ...origin, what: "block has a bad restart count" });
    if (bytes[start] !== 0) throw damaged({ ...origin, what: "block does not begin with a restart" });
    this.openEntries(bytes, { start, end: entriesEnd }, origin);
  }

  /** Begins the entries in bytes [start, end), which have no restarts after them. */
  openEntries(bytes: Uint8Array, place: { readonly start: number; readonly end: number }, origin: BlockOrigin): void {
    this.bytes = bytes;
    this.#origin = origin;
    this.#at = place.start;
    this.#end = place.end;
    this.keyLength = 0;
  }

  /** Moves to the next entry; false at the end. @throws LSM_CORRUPT */
  next(): boolean {
    if (this.#at >= this.#end) {
      if (this.#at !== this.#end) throw damaged({ ...this.#origin, what: "rows do not fill their block" });
      return false;
    }
    const shared = this.#varint();
    const unshared = this.#varint();
    const valueLength = this.#varint();
    const { bytes } = this;
    const at = this.#at;
    const tailAt = at + unshared;
    const flagsAt = tailAt + valueLength + 8;
    if (flagsAt >= this.#end || shared > this.keyLength) throw damaged({ ...this.#origin, what: "row runs beyond its block" });
    const keyLength = shared + unshared;
    if (keyLength > this.key.length) this.#growKey(keyLength);
    const { key } = this;
    for (let i = 0; i < unshared; i++) key[shared + i] = bytes[at + i] as number;
    const flags = bytes[flagsAt] as number;
    if (flags > FLAGS_KNOWN || (flags & KIND_FLAGS) === KIND_FLAGS) throw this.#badFlags(flags);
    const tailEnd = flagsAt + 1 + ((flags & FLAG_EXPIRE) === 0 ? 0 : 8) + ((flags & FLAG_CREATE) === 0 ? 0 : 8);
    if (tailEnd > this.#end) throw damaged({ ...this.#origin, what: "row runs beyond its block" });
    this.keyLength = keyLength;
    this.tailAt = tailAt;
    this.tailEnd = tailEnd;
    this.valueLength = valueLength;
    this.flags = flags;
    this.#at = tailEnd;
    return true;
  }

  get kind(): RowKind {
    return kindOf(this.flags);
  }

  get seq(): number {
    const { bytes } = this;
    const at = this.tailAt + this.valueLength;
    return u32At(bytes, at) * U32 + u32At(bytes, at + 4);
  }

  /** Undefined: never. */
  get expireTs(): number | undefined {
    return (this.flags & FLAG_EXPIRE) === 0 ? undefined : timeAt(this.bytes, this.tailAt + this.valueLength + 9);
  }

  /** The entry as a row of its own memory. */
  row(): Row {
    const { kind } = this;
    const createAt = this.tailAt + this.valueLength + 9 + ((this.flags & FLAG_EXPIRE) === 0 ? 0 : 8);
    return {
      key: copyBytes(this.key, 0, this.keyLength),
      kind,
      value: kind === TOMBSTONE ? EMPTY_BYTES : copyBytes(this.bytes, this.tailAt, this.tailAt + this.valueLength),
      seq: this.seq,
      createTs: (this.flags & FLAG_CREATE) === 0 ? undefined : timeAt(this.bytes, createAt),
      expireTs: this.expireTs,
    };
  }

  #badFlags(flags: number): Error {
    if (flags > FLAGS_KNOWN) return unknownFlags(this.#origin, flags);
    return damaged({ ...this.#origin, what: "row is a tombstone and an operand" });
  }

  #growKey(length: number): void {
    const grown = new Uint8Array(Math.max(length, this.key.length * 2));
    grown.set(this.key);
    this.key = grown;
  }

  #varint(): number {
    const first = this.bytes[this.#at++] as number;
    if (first < 0x80) return first;
    let value = first & 0x7f;
    let scale = 0x80;
    for (let i = 0; i < 4; i++) {
      // Beyond the end of the bytes there is no number: the check of the tail's end says so.
      const byte = this.bytes[this.#at++] as number;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 0x80;
    }
    throw damaged({ ...this.#origin, what: "varint is too long" });
  }
}

function u32At(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] as number) << 24) | ((bytes[at + 1] as number) << 16) | ((bytes[at + 2] as number) << 8) | (bytes[at + 3] as number)) >>> 0
  );
}

/** An i64 BE; beyond 2^53 the nearest double. */
function timeAt(bytes: Uint8Array, at: number): number {
  return (u32At(bytes, at) | 0) * U32 + u32At(bytes, at + 4);
}

/** How the keys of two entries compare, as memcmp. */
export function compareKeys(left: Pick<EntryCursor, "key" | "keyLength">, right: Pick<EntryCursor, "key" | "keyLength">): number {
  const a = left.key;
  const b = right.key;
  const length = Math.min(left.keyLength, right.keyLength);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return left.keyLength - right.keyLength;
}
