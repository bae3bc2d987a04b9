/**
 * RowArena: the rows of a memtable, packed into chunks of memory and named by numbers. A row costs its bytes and 36 more, and nothing that a
 * garbage collector would have to look at; a view of its key or value is made only when somebody reads it.
 *
 * A record begins at a multiple of 8 bytes, in the machine's byte order (it never leaves the process):
 *
 *   seq f64 | createTs f64 | expireTs f64 | older u32 | value length u32 | key length and kind u32 | key | value, or its index in `large` u32 LE
 *
 * 1. A record is never changed or moved: what was read from it stays true, and views of it stay valid as long as somebody holds them.
 * 2. A reference counts units of 8 bytes, UNITS_PER_CHUNK to a chunk whatever its size. 0 is no record.
 * 3. Records lie in the order in which they were added.
 */
import { assert, EMPTY_BYTES } from "../../base/mod.ts";
import { KEY_BYTES_MAX, type PackedRow, type Row, type RowKind } from "../format/row.ts";

const UNIT_BYTES = 8;
const CHUNK_BITS = 14;
const UNITS_PER_CHUNK = 1 << CHUNK_BITS;
const UNIT_MASK = UNITS_PER_CHUNK - 1;
/** 128 KiB. */
const CHUNK_BYTES_MAX = UNITS_PER_CHUNK * UNIT_BYTES;
/** Most memtables of transactions never need more. */
const CHUNK_BYTES_MIN = 2048;
/** A longer value has memory of its own: a chunk would be mostly waste. */
const PACKED_VALUE_BYTES_MAX = 8192;
const HEADER_BYTES = 36;
const OLDER_WORD = 6;
const VALUE_LENGTH_WORD = 7;
const KEY_WORD = 8;
const LARGE_INDEX_BYTES = 4;
/** A call into the runtime costs more than copying this many bytes here. */
const INLINE_COPY_BYTES = 32;

/** No record. */
export const NO_ROW = 0;
/** Names a record. */
export type RowRef = number;

interface Chunk {
  readonly bytes: Uint8Array;
  readonly doubles: Float64Array;
  readonly words: Uint32Array;
  /** Unit: 8 bytes. */
  used: number;
}

/** See the header of this file. */
export class RowArena {
  private readonly chunks: Chunk[] = [];
  private readonly large: Uint8Array[] = [];
  private last: RowRef = NO_ROW;

  /** The newest record; NO_ROW if there is none. */
  get lastRef(): RowRef {
    return this.last;
  }

  /** Copies a row. `older` is the record of its key's next older version. */
  add(row: Row, older: RowRef): RowRef {
    const { key, value } = row;
    assert(key.length <= KEY_BYTES_MAX, "a key has at most KEY_BYTES_MAX bytes");
    const isPacked = value.length <= PACKED_VALUE_BYTES_MAX;
    const chunkIndex = this.reserve(recordUnits(key.length, value.length));
    const chunk = this.chunks[chunkIndex] as Chunk;
    const unit = chunk.used;
    const word = unit * 2;
    chunk.doubles[unit] = row.seq;
    chunk.doubles[unit + 1] = row.createTs ?? Number.NaN;
    chunk.doubles[unit + 2] = row.expireTs ?? Number.NaN;
    chunk.words[word + OLDER_WORD] = older;
    chunk.words[word + VALUE_LENGTH_WORD] = value.length;
    chunk.words[word + KEY_WORD] = (row.kind << 16) | key.length;
    const keyAt = unit * UNIT_BYTES + HEADER_BYTES;
    copyInto(chunk.bytes, keyAt, key);
    copyInto(chunk.bytes, keyAt + key.length, isPacked ? value : this.setAside(value));
    chunk.used += recordUnits(key.length, value.length);
    this.last = chunkIndex * UNITS_PER_CHUNK + unit;
    return this.last;
  }

  /** The record added after `ref`, the first one after NO_ROW; NO_ROW at the end. */
  following(ref: RowRef): RowRef {
    if (ref === this.last) return NO_ROW;
    if (ref === NO_ROW) return 1;
    const chunkIndex = ref >>> CHUNK_BITS;
    const chunk = this.chunks[chunkIndex] as Chunk;
    const unit = ref & UNIT_MASK;
    const next =
      unit + recordUnits((chunk.words[unit * 2 + KEY_WORD] as number) & 0xffff, chunk.words[unit * 2 + VALUE_LENGTH_WORD] as number);
    return next < chunk.used ? chunkIndex * UNITS_PER_CHUNK + next : (chunkIndex + 1) * UNITS_PER_CHUNK;
  }

  seq(ref: RowRef): number {
    return this.chunk(ref).doubles[ref & UNIT_MASK] as number;
  }

  kind(ref: RowRef): RowKind {
    return ((this.chunk(ref).words[(ref & UNIT_MASK) * 2 + KEY_WORD] as number) >>> 16) as RowKind;
  }

  /** The next older version of its key. */
  older(ref: RowRef): RowRef {
    return this.chunk(ref).words[(ref & UNIT_MASK) * 2 + OLDER_WORD] as number;
  }

  /** A view of the key. */
  key(ref: RowRef): Uint8Array {
    const { bytes, words } = this.chunk(ref);
    const unit = ref & UNIT_MASK;
    const keyAt = unit * UNIT_BYTES + HEADER_BYTES;
    return bytes.subarray(keyAt, keyAt + ((words[unit * 2 + KEY_WORD] as number) & 0xffff));
  }

  /** A view of the value. */
  value(ref: RowRef): Uint8Array {
    const { bytes, words } = this.chunk(ref);
    const unit = ref & UNIT_MASK;
    const length = words[unit * 2 + VALUE_LENGTH_WORD] as number;
    if (length === 0) return EMPTY_BYTES;
    const at = unit * UNIT_BYTES + HEADER_BYTES + ((words[unit * 2 + KEY_WORD] as number) & 0xffff);
    if (length <= PACKED_VALUE_BYTES_MAX) return bytes.subarray(at, at + length);
    const index =
      (bytes[at] as number) + (bytes[at + 1] as number) * 256 + (bytes[at + 2] as number) * 65_536 + (bytes[at + 3] as number) * 16_777_216;
    return this.large[index] as Uint8Array;
  }

  /** Length of the value. Unit: bytes. */
  valueLength(ref: RowRef): number {
    return this.chunk(ref).words[(ref & UNIT_MASK) * 2 + VALUE_LENGTH_WORD] as number;
  }

  /** Makes `row` that record. */
  read(ref: RowRef, row: PackedRow): void {
    const { bytes, doubles, words } = this.chunk(ref);
    const unit = ref & UNIT_MASK;
    const keyWord = words[unit * 2 + KEY_WORD] as number;
    row.keyBytes = bytes;
    row.keyAt = unit * UNIT_BYTES + HEADER_BYTES;
    row.keyLength = keyWord & 0xffff;
    row.valueLength = words[unit * 2 + VALUE_LENGTH_WORD] as number;
    const isPacked = row.valueLength <= PACKED_VALUE_BYTES_MAX;
    row.valueBytes = isPacked ? bytes : this.value(ref);
    row.valueAt = isPacked ? row.keyAt + row.keyLength : 0;
    row.kind = (keyWord >>> 16) as RowKind;
    row.seq = doubles[unit] as number;
    row.createTs = doubles[unit + 1] as number;
    row.expireTs = doubles[unit + 2] as number;
  }

  /** The record as a row. `key` is a view of its key if there is one already. */
  row(ref: RowRef, key: Uint8Array | undefined): Row {
    return new ArenaRow(this, ref, key);
  }

  /** Milliseconds since 1970, or undefined. */
  createTs(ref: RowRef): number | undefined {
    return orUndefined(this.chunk(ref).doubles[(ref & UNIT_MASK) + 1] as number);
  }

  /** Milliseconds since 1970, or undefined. */
  expireTs(ref: RowRef): number | undefined {
    return orUndefined(this.chunk(ref).doubles[(ref & UNIT_MASK) + 2] as number);
  }

  /** How the record's key stands to `key`: negative, 0 or positive. */
  compareKey(ref: RowRef, key: Uint8Array): number {
    const { bytes, words } = this.chunk(ref);
    const unit = ref & UNIT_MASK;
    const at = unit * UNIT_BYTES + HEADER_BYTES;
    const length = (words[unit * 2 + KEY_WORD] as number) & 0xffff;
    const limit = Math.min(length, key.length);
    for (let i = 0; i < limit; i++) {
      const difference = (bytes[at + i] as number) - (key[i] as number);
      if (difference !== 0) return difference;
    }
    return length - key.length;
  }

  private chunk(ref: RowRef): Chunk {
    return this.chunks[ref >>> CHUNK_BITS] as Chunk;
  }

  /** The chunk that has room for so many units: the last, or a new one. */
  private reserve(units: number): number {
    const lastIndex = this.chunks.length - 1;
    const last = this.chunks[lastIndex];
    if (last !== undefined && last.used + units <= last.doubles.length) return lastIndex;
    assert(lastIndex < 0x3_fffe, "a reference is a u32");
    // Unit 0 of the first chunk stays free, so that no record is NO_ROW.
    const used = last === undefined ? 1 : 0;
    const doubled = Math.min(CHUNK_BYTES_MAX, CHUNK_BYTES_MIN * 2 ** Math.min(lastIndex + 1, 30));
    const buffer = new ArrayBuffer(Math.max(doubled, (used + units) * UNIT_BYTES));
    this.chunks.push({ bytes: new Uint8Array(buffer), doubles: new Float64Array(buffer), words: new Uint32Array(buffer), used });
    return lastIndex + 1;
  }

  /** Keeps a copy of a long value; gives the bytes that stand for it in its record. */
  private setAside(value: Uint8Array): Uint8Array {
    const index = this.large.length;
    this.large.push(Uint8Array.prototype.slice.call(value));
    return Uint8Array.of(index, index >>> 8, index >>> 16, index >>> 24);
  }
}

/** A record as a row: what is not asked for is not made. */
class ArenaRow implements Row {
  readonly kind: RowKind;
  readonly seq: number;
  private readonly arena: RowArena;
  private readonly ref: RowRef;
  private keyView: Uint8Array | undefined;
  private valueView: Uint8Array | undefined;

  constructor(arena: RowArena, ref: RowRef, key: Uint8Array | undefined) {
    this.arena = arena;
    this.ref = ref;
    this.kind = arena.kind(ref);
    this.seq = arena.seq(ref);
    this.keyView = key;
  }

  get key(): Uint8Array {
    return (this.keyView ??= this.arena.key(this.ref));
  }

  get value(): Uint8Array {
    return (this.valueView ??= this.arena.value(this.ref));
  }

  get createTs(): number | undefined {
    return this.arena.createTs(this.ref);
  }

  get expireTs(): number | undefined {
    return this.arena.expireTs(this.ref);
  }
}

function recordUnits(keyLength: number, valueLength: number): number {
  const stored = valueLength <= PACKED_VALUE_BYTES_MAX ? valueLength : LARGE_INDEX_BYTES;
  return (HEADER_BYTES + keyLength + stored + UNIT_BYTES - 1) >>> 3;
}

function orUndefined(time: number): number | undefined {
  return Number.isNaN(time) ? undefined : time;
}

function copyInto(target: Uint8Array, at: number, bytes: Uint8Array): void {
  const { length } = bytes;
  if (length <= INLINE_COPY_BYTES) for (let i = 0; i < length; i++) target[at + i] = bytes[i] as number;
  else target.set(bytes, at);
}
