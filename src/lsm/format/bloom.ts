/**
 * Filters: Bloom filters over whole keys with SipHash-1-3 and enhanced double hashing.
 *
 *   legacy:    probe count u16 BE | bits
 *   composite: n u16 BE | n * (name length u16 | name | data length u64 | data); the data of "_bf" is a legacy filter
 *
 * The size is counted in rows, not in distinct keys. Unknown parts of a composite filter say "maybe".
 * Source: Dillinger and Manolios, "Bloom Filters in Probabilistic Verification", 2004 (enhanced double hashing).
 */
import { concat, equalBytes, utf8, viewOf } from "../../base/mod.ts";
import { damaged } from "./damage.ts";
import { SipHasher, type Hash64 } from "./siphash.ts";

/** Name of the whole-key Bloom filter in a composite filter. FROZEN. */
const WHOLE_KEY_FILTER = "_bf";
/** ln 2, as SlateDB rounds it. FROZEN. */
const PROBES_PER_BIT = 0.69;

/** Answers "is this key certainly absent?". */
export interface Filter {
  readonly sizeBytes: number;
  /** False only if no row of the SST has a key with that hash. */
  mightContain(hash: Hash64): boolean;
}

const FIRST_HASHES = 256;

/** Builds a legacy filter; `finish` gives its bytes. */
export class BloomBuilder {
  readonly #bitsPerKey: number;
  readonly #hasher = new SipHasher();
  /** Pairs (high, low), one for each row. */
  #hashes = new Uint32Array(FIRST_HASHES * 2);
  #length = 0;

  constructor(bitsPerKey: number) {
    this.#bitsPerKey = bitsPerKey;
  }

  /** Adds a row by its key, the first `keyLength` bytes of `key`. */
  add(key: Uint8Array, keyLength: number): void {
    this.#hasher.hash(key, keyLength);
    this.#push(this.#hasher.high, this.#hasher.low);
  }

  /** Adds a row with the key of the row before. */
  repeat(): void {
    this.#push(this.#hashes[this.#length - 2] as number, this.#hashes[this.#length - 1] as number);
  }

  finish(): Uint8Array {
    const rows = this.#length / 2;
    const probes = Math.trunc(Math.fround(Math.fround(this.#bitsPerKey) * Math.fround(PROBES_PER_BIT)));
    const bytes = new Uint8Array(2 + Math.ceil((rows * this.#bitsPerKey) / 8));
    viewOf(bytes).setUint16(0, probes);
    const bits = (bytes.length - 2) * 8;
    const hashes = this.#hashes;
    for (let i = 0; i < this.#length; i += 2) {
      let h = (hashes[i + 1] as number) % bits;
      let d = (hashes[i] as number) % bits;
      for (let probe = 0; probe < probes; probe++) {
        // Both are below `bits`, and so is the probe but in the smallest filters: a subtraction is the remainder.
        d += probe;
        while (d >= bits) d -= bits;
        const byte = 2 + (h >>> 3);
        bytes[byte] = (bytes[byte] as number) | (1 << (h & 7));
        h += d;
        if (h >= bits) h -= bits;
      }
    }
    return bytes;
  }

  #push(high: number, low: number): void {
    if (this.#length === this.#hashes.length) {
      const grown = new Uint32Array(this.#length * 2);
      grown.set(this.#hashes);
      this.#hashes = grown;
    }
    this.#hashes[this.#length++] = high;
    this.#hashes[this.#length++] = low;
  }
}

/** A composite filter that holds only the whole-key Bloom filter `legacy`. */
export function encodeComposite(legacy: Uint8Array): Uint8Array {
  const name = utf8(WHOLE_KEY_FILTER);
  const head = new Uint8Array(4);
  viewOf(head).setUint16(0, 1);
  viewOf(head).setUint16(2, name.length);
  const length = new Uint8Array(8);
  viewOf(length).setUint32(4, legacy.length);
  return concat([head, name, length, legacy]);
}

/**
 * Reads a filter that the manifest calls legacy. SlateDB 0.12 forgets that a filter is composite when it rewrites a manifest; so what is
 * a composite filter to the last byte is read as one. @throws LSM_CORRUPT
 */
export function readUnsureFilter(bytes: Uint8Array, object: string): Filter | undefined {
  const view = viewOf(bytes);
  const name = utf8(WHOLE_KEY_FILTER);
  const dataAt = 4 + name.length + 8;
  const isComposite =
    bytes.length > dataAt &&
    view.getUint16(0) === 1 &&
    view.getUint16(2) === name.length &&
    equalBytes(bytes.subarray(4, 4 + name.length), name);
  if (isComposite && view.getUint32(dataAt - 8) === 0 && view.getUint32(dataAt - 4) === bytes.length - dataAt)
    return readCompositeFilter(bytes, object);
  return readLegacyFilter(bytes, object);
}

function readLegacyFilter(bytes: Uint8Array, object: string): Filter {
  if (bytes.length < 2) throw damaged({ object, what: "filter is too short" });
  const probes = viewOf(bytes).getUint16(0);
  return new BloomFilter(bytes.subarray(2), probes);
}

/** Reads a composite filter; undefined if no part of it is known. @throws LSM_CORRUPT */
export function readCompositeFilter(bytes: Uint8Array, object: string): Filter | undefined {
  const view = viewOf(bytes);
  const need = (end: number): void => {
    if (end > bytes.length) throw damaged({ object, what: "composite filter is cut short" });
  };
  need(2);
  let at = 2;
  let known: Filter | undefined;
  for (let i = view.getUint16(0); i > 0; i--) {
    need(at + 2);
    const nameEnd = at + 2 + view.getUint16(at);
    need(nameEnd + 8);
    const length = view.getUint32(nameEnd) * 0x1_0000_0000 + view.getUint32(nameEnd + 4);
    need(nameEnd + 8 + length);
    const data = bytes.subarray(nameEnd + 8, nameEnd + 8 + length);
    if (equalBytes(bytes.subarray(at + 2, nameEnd), utf8(WHOLE_KEY_FILTER))) known = readLegacyFilter(data, object);
    at = nameEnd + 8 + length;
  }
  return known;
}

class BloomFilter implements Filter {
  readonly sizeBytes: number;
  readonly #bits: Uint8Array;
  readonly #probes: number;

  constructor(bits: Uint8Array, probes: number) {
    this.#bits = bits;
    this.#probes = probes;
    this.sizeBytes = bits.length + 100;
  }

  mightContain(hash: Hash64): boolean {
    const bits = this.#bits;
    const probes = this.#probes;
    const count = bits.length * 8;
    if (count === 0) return true;
    let h = hash.low % count;
    let d = hash.high % count;
    for (let probe = 0; probe < probes; probe++) {
      d = (d + probe) % count;
      if (((bits[h >>> 3] as number) & (1 << (h & 7))) === 0) return false;
      h = (h + d) % count;
    }
    return true;
  }
}
