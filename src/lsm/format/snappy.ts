/**
 * Snappy, raw (no framing): varint length of the raw bytes, then elements. A greedy compressor with a hash table of four-byte
 * sequences, matching inside 64 KiB.
 * Source: Snappy's format description. Tag low bits: 0 literal, 1 copy with 11-bit offset, 2 copy with 16-bit offset, 3 with 32-bit.
 */
import { copyBytes, assert, type Codec } from "../../base/mod.ts";
import { HASH_BITS, MatchTable } from "./match-table.ts";

const MATCH_MIN = 4;
const OFFSET_MAX = 0xffff;
const COPY_MAX = 64;

function hash(bytes: Uint8Array, at: number): number {
  const word =
    (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
  return Math.imul(word, 0x1e35a7bd) >>> (32 - HASH_BITS);
}

class Output {
  readonly bytes: Uint8Array;
  length = 0;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
  }

  byte(value: number): void {
    this.bytes[this.length++] = value & 0xff;
  }

  literal(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const code = bytes.length - 1;
    if (code < 60) this.byte(code << 2);
    else {
      const width = code < 0x100 ? 1 : code < 0x1_0000 ? 2 : code < 0x100_0000 ? 3 : 4;
      this.byte((59 + width) << 2);
      for (let i = 0; i < width; i++) this.byte(code >>> (8 * i));
    }
    this.bytes.set(bytes, this.length);
    this.length += bytes.length;
  }

  copy(offset: number, length: number): void {
    let rest = length;
    while (rest > 0) {
      // A last piece shorter than four bytes is legal with a 16-bit offset.
      const piece = Math.min(rest, COPY_MAX);
      this.byte(((piece - 1) << 2) | 2);
      this.byte(offset);
      this.byte(offset >>> 8);
      rest -= piece;
    }
  }
}

const table = new MatchTable();

function compress(raw: Uint8Array): Uint8Array {
  const output = new Output(32 + raw.length + Math.ceil(raw.length / 6));
  let rest = raw.length;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) output.byte((rest % 0x80) | 0x80);
  output.byte(rest);
  table.begin(raw.length);
  let anchor = 0;
  let at = 0;
  while (at + MATCH_MIN <= raw.length) {
    const candidate = table.swap(hash(raw, at), at);
    let length = 0;
    if (candidate >= 0 && at - candidate <= OFFSET_MAX) {
      while (at + length < raw.length && raw[candidate + length] === raw[at + length]) length++;
    }
    if (length < MATCH_MIN) {
      at++;
      continue;
    }
    output.literal(raw.subarray(anchor, at));
    output.copy(at - candidate, length);
    at += length;
    anchor = at;
  }
  output.literal(raw.subarray(anchor));
  return copyBytes(output.bytes, 0, output.length);
}

/** Reads elements off `stored`, from `at`. */
class Input {
  at = 0;
  readonly #stored: Uint8Array;

  constructor(stored: Uint8Array) {
    this.#stored = stored;
  }

  get isAtEnd(): boolean {
    return this.at >= this.#stored.length;
  }

  /** Little-endian integer of `width` bytes. */
  integer(width: number): number {
    assert(this.at + width <= this.#stored.length, "snappy element is cut short");
    let value = 0;
    for (let i = 0; i < width; i++) value += (this.#stored[this.at++] as number) * 2 ** (8 * i);
    return value;
  }

  varint(): number {
    let value = 0;
    for (let scale = 1; scale <= 0x1000_0000; scale *= 0x80) {
      const byte = this.integer(1);
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
    }
    throw new RangeError("snappy length is too long");
  }

  take(length: number): Uint8Array {
    assert(this.at + length <= this.#stored.length, "snappy literal is cut short");
    this.at += length;
    return this.#stored.subarray(this.at - length, this.at);
  }
}

function decompress(stored: Uint8Array, maxBytes: number): Uint8Array {
  const input = new Input(stored);
  const length = input.varint();
  // Three bytes stand for 64 at most: a length beyond that is damage, and must not be allocated.
  assert(length <= Math.min(maxBytes, stored.length * 22), "snappy length is within its bound");
  const raw = new Uint8Array(length);
  let to = 0;
  while (!input.isAtEnd) {
    const tag = input.integer(1);
    const kind = tag & 3;
    if (kind === 0) {
      const code = tag >>> 2;
      const count = 1 + (code < 60 ? code : input.integer(code - 59));
      assert(to + count <= length, "snappy literal is inside");
      raw.set(input.take(count), to);
      to += count;
      continue;
    }
    const count = kind === 1 ? 4 + ((tag >>> 2) & 7) : 1 + (tag >>> 2);
    const offset = kind === 1 ? ((tag >>> 5) << 8) | input.integer(1) : input.integer(kind === 2 ? 2 : 4);
    assert(offset > 0 && offset <= to && to + count <= length, "snappy copy is inside");
    for (let i = 0; i < count; i++) raw[to + i] = raw[to + i - offset] as number;
    to += count;
  }
  assert(to === length, "snappy gave all its bytes");
  return raw;
}

/** Raw Snappy. `decompress` throws AssertionError or RangeError on damaged bytes. */
export const snappy: Codec = { compress, decompress };
