/**
 * SipHash-1-3 with a zero key, on pairs of 32-bit integers: bigint arithmetic is sixty times slower.
 * Source: Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012.
 */

/** The 64 bits of a hash. Both unsigned. */
export interface Hash64 {
  readonly high: number;
  readonly low: number;
}

/** SipHash-1-3 of `bytes` with key 0. */
export function sipHash13(bytes: Uint8Array): Hash64 {
  hasher.hash(bytes, bytes.length);
  return { high: hasher.high >>> 0, low: hasher.low >>> 0 };
}

/** Hashes without allocating: the result is read off it. */
export class SipHasher {
  /** The 64 bits of the last hash, as signed integers. */
  high = 0;
  low = 0;

  /** SipHash-1-3 of the first `length` of `bytes` with key 0. */
  hash(bytes: Uint8Array, length: number): void {
    // The state: v0..v3 as pairs (high, low).
    let h0 = 0x736f6d65;
    let l0 = 0x70736575;
    let h1 = 0x646f7261;
    let l1 = 0x6e646f6d;
    let h2 = 0x6c796765;
    let l2 = 0x6e657261;
    let h3 = 0x74656462;
    let l3 = 0x79746573;
    const words = length >>> 3;
    const steps = words + 1 + FINAL_ROUNDS;
    // One round for each word, one for the rest and the length, and the final ones, for which nothing is mixed in.
    for (let step = 0; step < steps; step++) {
      let high = 0;
      let low = 0;
      if (step < words) {
        low = word(bytes, step * 8);
        high = word(bytes, step * 8 + 4);
      } else if (step === words) {
        high = (length & 0xff) << 24;
        for (let at = words * 8, shift = 0; at < length; at++, shift += 8) {
          if (shift < 32) low |= (bytes[at] as number) << shift;
          else high |= (bytes[at] as number) << (shift - 32);
        }
      } else if (step === words + 1) l2 ^= 0xff;
      h3 ^= high;
      l3 ^= low;
      let swap: number;
      // v0 += v1; v1 = rotl(v1, 13) ^ v0; v0 = rotl(v0, 32)
      l0 = (l0 + l1) | 0;
      h0 = (h0 + h1 + carry(l0, l1)) | 0;
      swap = (h1 << 13) | (l1 >>> 19);
      l1 = ((l1 << 13) | (h1 >>> 19)) ^ l0;
      h1 = swap ^ h0;
      swap = h0;
      h0 = l0;
      l0 = swap;
      // v2 += v3; v3 = rotl(v3, 16) ^ v2
      l2 = (l2 + l3) | 0;
      h2 = (h2 + h3 + carry(l2, l3)) | 0;
      swap = (h3 << 16) | (l3 >>> 16);
      l3 = ((l3 << 16) | (h3 >>> 16)) ^ l2;
      h3 = swap ^ h2;
      // v0 += v3; v3 = rotl(v3, 21) ^ v0
      l0 = (l0 + l3) | 0;
      h0 = (h0 + h3 + carry(l0, l3)) | 0;
      swap = (h3 << 21) | (l3 >>> 11);
      l3 = ((l3 << 21) | (h3 >>> 11)) ^ l0;
      h3 = swap ^ h0;
      // v2 += v1; v1 = rotl(v1, 17) ^ v2; v2 = rotl(v2, 32)
      l2 = (l2 + l1) | 0;
      h2 = (h2 + h1 + carry(l2, l1)) | 0;
      swap = (h1 << 17) | (l1 >>> 15);
      l1 = ((l1 << 17) | (h1 >>> 15)) ^ l2;
      h1 = swap ^ h2;
      swap = h2;
      h2 = l2;
      l2 = swap;
      h0 ^= high;
      l0 ^= low;
    }
    this.high = h0 ^ h1 ^ h2 ^ h3;
    this.low = l0 ^ l1 ^ l2 ^ l3;
  }
}

const FINAL_ROUNDS = 3;

/** The bit that the sum of two low halves carries: it came out below what was added. */
function carry(sum: number, added: number): number {
  return sum >>> 0 < added >>> 0 ? 1 : 0;
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
}

const hasher = new SipHasher();
