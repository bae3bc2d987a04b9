/**
 * RowArena: the rows of a memtable, packed into chunks of memory and named by numbers. A row costs its bytes and some 30 more, and nothing that a
 * garbage collector would have to look at; a view of its key or value is made only when somebody reads it.
 *
 * A record begins at a multiple of 4 bytes; its numbers are in the machine's order, as it never leaves the process:
 *
 *   older u32 | head u32 | value length u32 | key | tail, or its index in `aside` u32
 *   head, from the lowest bit: key length, its lower 16 bits | flags, 8 | 1 if aside | key length, its upper 7 bits
 *
 * The tail is what every block has of a row behind its key (format/entry-cursor.ts), so a row is copied from one encoding to the other as it is.
 *
 * 1. A record is never changed or moved: what was read from it stays true, and views of it stay valid as long as somebody holds them.
 * 2. A reference counts units of 4 bytes, UNITS_PER_CHUNK to a chunk whatever its size. 0 is no record.
 * 3. Records lie in the order in which they were added.
 */
import { assert, EMPTY_BYTES, viewOf } from "../../base/mod.ts";
import type { Entry } from "../format/entry-cursor.ts";
import {
  FLAG_CREATE,
  FLAG_EXPIRE,
  getTime,
  kindOf,
  setTime,
  STORED_KEY_BYTES_MAX,
  TOMBSTONE,
  type Row,
  type RowKind,
} from "../format/row.ts";

const UNIT_BYTES = 4;
const CHUNK_BITS = 15;
const UNITS_PER_CHUNK = 1 << CHUNK_BITS;
const UNIT_MASK = UNITS_PER_CHUNK - 1;
/** 128 KiB. */
const CHUNK_BYTES_MAX = UNITS_PER_CHUNK * UNIT_BYTES;
/** Most memtables of transactions never need more. */
const CHUNK_BYTES_MIN = 2048;
/** A longer value has memory of its own, with its tail: a chunk would be mostly waste. */
const PACKED_VALUE_BYTES_MAX = 8192;
const HEADER_BYTES = 12;
const SEQ_AND_FLAGS_BYTES = 9;
const ASIDE_INDEX_BYTES = 4;
const ASIDE_BIT = 1 << 24;
const LONG_KEY_SHIFT = 25;
const U32 = 0x1_0000_0000;
/** A call into the runtime costs more than copying this many bytes here. */
const INLINE_COPY_BYTES = 32;

/** No record. */
export const NO_ROW = 0;
/** Names a record. */
export type RowRef = number;

interface Chunk {
  readonly bytes: Uint8Array;
  readonly words: Uint32Array;
  readonly view: DataView;
  /** Unit: 4 bytes. */
  used: number;
}

/** See the header of this file. */
export class RowArena {
  readonly #chunks: Chunk[] = [];
  readonly #aside: Uint8Array[] = [];
  #last: RowRef = NO_ROW;
  /** The chunk of the record that was begun last. */
  #current: Chunk = { bytes: EMPTY_BYTES, words: new Uint32Array(0), view: viewOf(EMPTY_BYTES), used: 0 };

  /** The newest record; NO_ROW if there is none. */
  get lastRef(): RowRef {
    return this.#last;
  }

  /** Copies a row. `older` is the record of its key's next older version. */
  add(row: Row, older: RowRef): RowRef {
    const { key, kind, value, seq, createTs, expireTs } = row;
    const valueLength = kind === TOMBSTONE ? 0 : value.length;
    const flags = kind | (expireTs === undefined ? 0 : FLAG_EXPIRE) | (createTs === undefined ? 0 : FLAG_CREATE);
    const at = this.#begin(older, flags, { key, keyLength: key.length, valueLength });
    let { bytes, view } = this.#current;
    let tailAt = at;
    if (valueLength > PACKED_VALUE_BYTES_MAX) {
      bytes = this.#setAside(at, tailBytes(valueLength, flags));
      view = viewOf(bytes);
      tailAt = 0;
    }
    if (valueLength > 0) copyInto(bytes, tailAt, value);
    let end = tailAt + valueLength;
    view.setUint32(end, Math.floor(seq / U32));
    view.setUint32(end + 4, seq % U32);
    bytes[end + 8] = flags;
    end += SEQ_AND_FLAGS_BYTES;
    if (expireTs !== undefined) {
      setTime(view, end, expireTs);
      end += 8;
    }
    if (createTs !== undefined) setTime(view, end, createTs);
    return this.#last;
  }

  /** Copies an entry of a block. */
  addEntry(entry: Entry, older: RowRef): RowRef {
    const { bytes, tailAt, tailEnd } = entry;
    const at = this.#begin(older, entry.flags, entry);
    if (entry.valueLength > PACKED_VALUE_BYTES_MAX) this.#setAside(at, tailEnd - tailAt).set(bytes.subarray(tailAt, tailEnd));
    else this.#current.bytes.set(bytes.subarray(tailAt, tailEnd), at);
    return this.#last;
  }

  /** The record added after `ref`, the first one after NO_ROW; NO_ROW at the end. */
  following(ref: RowRef): RowRef {
    if (ref === this.#last) return NO_ROW;
    if (ref === NO_ROW) return 1;
    const { words, used } = this.#chunk(ref);
    const unit = ref & UNIT_MASK;
    const next = unit + recordUnits(words[unit + 1] as number, words[unit + 2] as number);
    return next < used ? ref - unit + next : ref - unit + UNITS_PER_CHUNK;
  }

  /** Makes `entry` that record. */
  read(ref: RowRef, entry: ArenaEntry): void {
    const { bytes, words } = this.#chunk(ref);
    const unit = ref & UNIT_MASK;
    const head = words[unit + 1] as number;
    const valueLength = words[unit + 2] as number;
    const keyAt = unit * UNIT_BYTES + HEADER_BYTES;
    entry.setKey(bytes, keyAt, keyLengthOf(head));
    entry.flags = flagsOf(head);
    entry.valueLength = valueLength;
    entry.seq = this.seq(ref);
    const isAside = (head & ASIDE_BIT) !== 0;
    entry.bytes = isAside ? this.#asideOf(ref) : bytes;
    entry.tailAt = isAside ? 0 : keyAt + keyLengthOf(head);
    entry.tailEnd = entry.tailAt + tailBytes(valueLength, entry.flags);
  }

  /** The record as a row. `key` is a view of its key if there is one already. */
  row(ref: RowRef, key: Uint8Array | undefined): Row {
    return new ArenaRow(this, ref, key);
  }

  /** The record as a plain object. */
  plain(ref: RowRef, key: Uint8Array | undefined): Row {
    const { words, bytes, view } = this.#chunk(ref);
    const unit = ref & UNIT_MASK;
    const head = words[unit + 1] as number;
    if ((head & ASIDE_BIT) !== 0) return plainRow(this.row(ref, key));
    const flags = flagsOf(head);
    const keyAt = unit * UNIT_BYTES + HEADER_BYTES;
    const valueAt = keyAt + keyLengthOf(head);
    const end = valueAt + (words[unit + 2] as number);
    const timeAt = end + SEQ_AND_FLAGS_BYTES;
    const hasExpiry = (flags & FLAG_EXPIRE) !== 0;
    return {
      key: key ?? bytes.subarray(keyAt, valueAt),
      kind: kindOf(flags),
      value: end === valueAt ? EMPTY_BYTES : bytes.subarray(valueAt, end),
      seq: view.getUint32(end) * U32 + view.getUint32(end + 4),
      createTs: (flags & FLAG_CREATE) === 0 ? undefined : getTime(view, hasExpiry ? timeAt + 8 : timeAt),
      expireTs: hasExpiry ? getTime(view, timeAt) : undefined,
    };
  }

  /** >= 1. */
  seq(ref: RowRef): number {
    const { words, view } = this.#chunk(ref);
    const unit = ref & UNIT_MASK;
    const head = words[unit + 1] as number;
    const valueLength = words[unit + 2] as number;
    if ((head & ASIDE_BIT) !== 0) {
      const tail = viewOf(this.#asideOf(ref));
      return tail.getUint32(valueLength) * U32 + tail.getUint32(valueLength + 4);
    }
    const at = unit * UNIT_BYTES + HEADER_BYTES + keyLengthOf(head) + valueLength;
    return view.getUint32(at) * U32 + view.getUint32(at + 4);
  }

  /** What it says of its key. */
  kind(ref: RowRef): RowKind {
    return kindOf(flagsOf(this.#chunk(ref).words[(ref & UNIT_MASK) + 1] as number));
  }

  /** The next older version of its key. */
  older(ref: RowRef): RowRef {
    return this.#chunk(ref).words[ref & UNIT_MASK] as number;
  }

  /** A view of the key. */
  key(ref: RowRef): Uint8Array {
    const { bytes, words } = this.#chunk(ref);
    const unit = ref & UNIT_MASK;
    const keyAt = unit * UNIT_BYTES + HEADER_BYTES;
    return bytes.subarray(keyAt, keyAt + keyLengthOf(words[unit + 1] as number));
  }

  /** A view of the value. */
  value(ref: RowRef): Uint8Array {
    const { bytes, words } = this.#chunk(ref);
    const unit = ref & UNIT_MASK;
    const head = words[unit + 1] as number;
    const length = words[unit + 2] as number;
    if (length === 0) return EMPTY_BYTES;
    if ((head & ASIDE_BIT) !== 0) return this.#asideOf(ref).subarray(0, length);
    const at = unit * UNIT_BYTES + HEADER_BYTES + keyLengthOf(head);
    return bytes.subarray(at, at + length);
  }

  /** Length of the key. Unit: bytes. */
  keyLength(ref: RowRef): number {
    return keyLengthOf(this.#chunk(ref).words[(ref & UNIT_MASK) + 1] as number);
  }

  /** Length of the value. Unit: bytes. */
  valueLength(ref: RowRef): number {
    return this.#chunk(ref).words[(ref & UNIT_MASK) + 2] as number;
  }

  /** Milliseconds since 1970; undefined: unknown. */
  createTs(ref: RowRef): number | undefined {
    return this.#time(ref, FLAG_CREATE);
  }

  /** Milliseconds since 1970; undefined: never. */
  expireTs(ref: RowRef): number | undefined {
    return this.#time(ref, FLAG_EXPIRE);
  }

  /** How the record's key stands to the first `length` bytes of `key`: negative, 0 or positive. */
  compareKey(ref: RowRef, key: Uint8Array, length: number): number {
    const { bytes, words } = this.#chunk(ref);
    const unit = ref & UNIT_MASK;
    const at = unit * UNIT_BYTES + HEADER_BYTES;
    const mine = keyLengthOf(words[unit + 1] as number);
    const limit = Math.min(mine, length);
    for (let i = 0; i < limit; i++) {
      const difference = (bytes[at + i] as number) - (key[i] as number);
      if (difference !== 0) return difference;
    }
    return mine - length;
  }

  #chunk(ref: RowRef): Chunk {
    return this.#chunks[ref >>> CHUNK_BITS] as Chunk;
  }

  /** Makes the next record up to its tail; where in the current chunk that, or the index that stands for it, begins. */
  #begin(older: RowRef, flags: number, entry: Pick<Entry, "key" | "keyLength" | "valueLength">): number {
    const { key, keyLength, valueLength } = entry;
    assert(keyLength <= STORED_KEY_BYTES_MAX, "a key has at most STORED_KEY_BYTES_MAX bytes");
    const head =
      ((keyLength & 0xffff) |
        (flags << 16) |
        (valueLength > PACKED_VALUE_BYTES_MAX ? ASIDE_BIT : 0) |
        ((keyLength >>> 16) << LONG_KEY_SHIFT)) >>>
      0;
    const units = recordUnits(head, valueLength);
    if (this.#current.used + units > this.#current.words.length) this.#grow(units);
    const current = this.#current;
    const unit = current.used;
    current.used += units;
    current.words[unit] = older;
    current.words[unit + 1] = head;
    current.words[unit + 2] = valueLength;
    const keyAt = unit * UNIT_BYTES + HEADER_BYTES;
    copyInto(current.bytes, keyAt, keyLength === key.length ? key : key.subarray(0, keyLength));
    this.#last = (this.#chunks.length - 1) * UNITS_PER_CHUNK + unit;
    return keyAt + keyLength;
  }

  /** Begins a chunk that has room for so many units. */
  #grow(units: number): void {
    const index = this.#chunks.length;
    assert(index < 0x1_ffff, "a reference is a u32");
    // Unit 0 of the first chunk stays free, so that no record is NO_ROW.
    const used = index === 0 ? 1 : 0;
    const usual = Math.min(CHUNK_BYTES_MAX, CHUNK_BYTES_MIN * 2 ** Math.min(index, 30));
    const buffer = new ArrayBuffer(Math.max(usual, (used + units) * UNIT_BYTES));
    this.#current = { bytes: new Uint8Array(buffer), words: new Uint32Array(buffer), view: new DataView(buffer), used };
    this.#chunks.push(this.#current);
  }

  /** Memory for the tail of the record just begun, outside the chunks. */
  #setAside(at: number, tailLength: number): Uint8Array {
    const tail = new Uint8Array(tailLength);
    this.#current.view.setUint32(at, this.#aside.length);
    this.#aside.push(tail);
    return tail;
  }

  #asideOf(ref: RowRef): Uint8Array {
    const { words, view } = this.#chunk(ref);
    const unit = ref & UNIT_MASK;
    const index = view.getUint32(unit * UNIT_BYTES + HEADER_BYTES + keyLengthOf(words[unit + 1] as number));
    return this.#aside[index] as Uint8Array;
  }

  #time(ref: RowRef, flag: number): number | undefined {
    const { words, view } = this.#chunk(ref);
    const unit = ref & UNIT_MASK;
    const head = words[unit + 1] as number;
    const flags = flagsOf(head);
    if ((flags & flag) === 0) return undefined;
    const inTail = (words[unit + 2] as number) + SEQ_AND_FLAGS_BYTES + (flag === FLAG_CREATE && (flags & FLAG_EXPIRE) !== 0 ? 8 : 0);
    if ((head & ASIDE_BIT) !== 0) return getTime(viewOf(this.#asideOf(ref)), inTail);
    return getTime(view, unit * UNIT_BYTES + HEADER_BYTES + keyLengthOf(head) + inTail);
  }
}

/** A record as an entry of a block. One is used for many in turn: valid until the next is read. */
export class ArenaEntry implements Entry {
  key: Uint8Array = new Uint8Array(64);
  keyLength = 0;
  bytes: Uint8Array = EMPTY_BYTES;
  tailAt = 0;
  tailEnd = 0;
  valueLength = 0;
  flags = 0;
  seq = 0;

  get kind(): RowKind {
    return kindOf(this.flags);
  }

  /** Takes a copy of the key. */
  setKey(bytes: Uint8Array, at: number, length: number): void {
    if (length > this.key.length) this.key = new Uint8Array(length * 2);
    const { key } = this;
    for (let i = 0; i < length; i++) key[i] = bytes[at + i] as number;
    this.keyLength = length;
  }
}

/** A record as a row: what is not asked for is not made. */
class ArenaRow implements Row {
  readonly kind: RowKind;
  readonly seq: number;
  readonly #arena: RowArena;
  readonly #ref: RowRef;
  #keyView: Uint8Array | undefined;
  #valueView: Uint8Array | undefined;

  constructor(arena: RowArena, ref: RowRef, key: Uint8Array | undefined) {
    this.#arena = arena;
    this.#ref = ref;
    this.kind = arena.kind(ref);
    this.seq = arena.seq(ref);
    this.#keyView = key;
    this.#valueView = undefined;
  }

  get key(): Uint8Array {
    return (this.#keyView ??= this.#arena.key(this.#ref));
  }

  get value(): Uint8Array {
    return (this.#valueView ??= this.#arena.value(this.#ref));
  }

  get createTs(): number | undefined {
    return this.#arena.createTs(this.#ref);
  }

  get expireTs(): number | undefined {
    return this.#arena.expireTs(this.#ref);
  }
}

/**
 * The row as a plain object. What leaves the engine must be one: it is spread, printed and sent to other threads, and held for long, when
 * a row of an arena would take all the others with it.
 */
export function plainRow(row: Row): Row {
  if (!(row instanceof ArenaRow)) return row;
  const { key, kind, value, seq, createTs, expireTs } = row;
  return { key, kind, value, seq, createTs, expireTs };
}

/** Unit: bytes. */
function keyLengthOf(head: number): number {
  return (head & 0xffff) | ((head >>> LONG_KEY_SHIFT) << 16);
}

function flagsOf(head: number): number {
  return (head >>> 16) & 0xff;
}

function tailBytes(valueLength: number, flags: number): number {
  return valueLength + SEQ_AND_FLAGS_BYTES + ((flags & FLAG_EXPIRE) === 0 ? 0 : 8) + ((flags & FLAG_CREATE) === 0 ? 0 : 8);
}

function recordUnits(head: number, valueLength: number): number {
  const stored = (head & ASIDE_BIT) !== 0 ? ASIDE_INDEX_BYTES : tailBytes(valueLength, flagsOf(head));
  return (HEADER_BYTES + keyLengthOf(head) + stored + UNIT_BYTES - 1) >>> 2;
}

function copyInto(target: Uint8Array, at: number, bytes: Uint8Array): void {
  const { length } = bytes;
  if (length <= INLINE_COPY_BYTES) for (let i = 0; i < length; i++) target[at + i] = bytes[i] as number;
  else target.set(bytes, at);
}
