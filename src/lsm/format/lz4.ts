/**
 * LZ4: u32 LE length of the raw bytes | one LZ4 block. A greedy compressor with a hash table of four-byte sequences.
 * Source: the LZ4 block format description. Sequence: token (literal length << 4 | match length - 4) | more lengths | literals | offset u16 LE.
 */
import { copyBytes, assert, viewOf, type Codec } from "../../base/mod.ts";
import { HASH_BITS, MatchTable } from "./match-table.ts";

const MATCH_MIN = 4;
/** The last match must begin this far from the end, and the last five bytes are literals. */
const TAIL_BYTES = 12;
const LAST_LITERALS = 5;
const OFFSET_MAX = 0xffff;

function hash(bytes: Uint8Array, at: number): number {
  const word =
    (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
  return Math.imul(word, 0x9e3779b1) >>> (32 - HASH_BITS);
}

/** Length of the common bytes at `left` and `right` (left < right), `right` staying below `limit`. */
function matchLength(bytes: Uint8Array, left: number, right: { at: number; limit: number }): number {
  let length = 0;
  while (right.at + length < right.limit && bytes[left + length] === bytes[right.at + length]) length++;
  return length;
}

class Output {
  bytes: Uint8Array;
  length = 0;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
  }

  lengthTail(length: number): void {
    let rest = length - 15;
    for (; rest >= 255; rest -= 255) this.bytes[this.length++] = 255;
    this.bytes[this.length++] = rest;
  }

  sequence(literals: Uint8Array, match: { length: number; offset: number } | undefined): void {
    const matchCode = match === undefined ? 0 : match.length - MATCH_MIN;
    this.bytes[this.length++] = (Math.min(literals.length, 15) << 4) | Math.min(matchCode, 15);
    if (literals.length >= 15) this.lengthTail(literals.length);
    this.bytes.set(literals, this.length);
    this.length += literals.length;
    if (match === undefined) return;
    this.bytes[this.length++] = match.offset & 0xff;
    this.bytes[this.length++] = match.offset >>> 8;
    if (matchCode >= 15) this.lengthTail(matchCode);
  }
}

const table = new MatchTable();

function compress(raw: Uint8Array): Uint8Array {
  const output = new Output(4 + raw.length + Math.ceil(raw.length / 255) + 16);
  viewOf(output.bytes).setUint32(0, raw.length, true);
  output.length = 4;
  table.begin(raw.length);
  let anchor = 0;
  let at = 0;
  while (at <= raw.length - TAIL_BYTES - 1) {
    const candidate = table.swap(hash(raw, at), at);
    const length =
      candidate >= 0 && at - candidate <= OFFSET_MAX ? matchLength(raw, candidate, { at, limit: raw.length - LAST_LITERALS }) : 0;
    if (length < MATCH_MIN) {
      at++;
      continue;
    }
    output.sequence(raw.subarray(anchor, at), { length, offset: at - candidate });
    at += length;
    anchor = at;
  }
  output.sequence(raw.subarray(anchor), undefined);
  return copyBytes(output.bytes, 0, output.length);
}

function decompress(stored: Uint8Array, maxBytes: number): Uint8Array {
  assert(stored.length >= 4, "lz4 begins with its length");
  const length = viewOf(stored).getUint32(0, true);
  // A byte stands for 255 at most: a length beyond that is damage, and must not be allocated.
  assert(length <= Math.min(maxBytes, stored.length * 255), "lz4 length is within its bound");
  const raw = new Uint8Array(length);
  let from = 4;
  let to = 0;
  const longLength = (code: number): number => {
    let total = code;
    if (code !== 15) return total;
    let byte: number;
    do {
      assert(from < stored.length, "lz4 length is cut short");
      byte = stored[from++] as number;
      total += byte;
    } while (byte === 255);
    return total;
  };
  while (from < stored.length) {
    const token = stored[from++] as number;
    const literals = longLength(token >>> 4);
    assert(from + literals <= stored.length && to + literals <= length, "lz4 literals are inside");
    raw.set(stored.subarray(from, from + literals), to);
    from += literals;
    to += literals;
    if (from === stored.length) break;
    assert(from + 2 <= stored.length, "lz4 offset is cut short");
    const offset = (stored[from] as number) | ((stored[from + 1] as number) << 8);
    from += 2;
    const matched = longLength(token & 15) + MATCH_MIN;
    assert(offset > 0 && offset <= to && to + matched <= length, "lz4 match is inside");
    for (let i = 0; i < matched; i++) raw[to + i] = raw[to + i - offset] as number;
    to += matched;
  }
  assert(to === length, "lz4 gave all its bytes");
  return raw;
}

/** LZ4 with the raw length before it. `decompress` throws AssertionError on damaged bytes. */
export const lz4: Codec = { compress, decompress };
