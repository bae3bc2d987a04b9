/**
 * Reproducible randomness: the same seed gives the same numbers on every machine. Not for secrets.
 * Source: xoshiro128** by Blackman and Vigna, "Scrambled Linear Pseudorandom Number Generators", 2018; seeded by splitmix32.
 */
import { assert } from "./assert.ts";
import type { Random } from "./random.ts";

/** 2^32. */
const U32_RANGE = 0x1_0000_0000;

/** A source of random numbers that `seed` determines (its low 64 bits). */
export function seededRandom(seed: number | bigint): Random {
  return new SeededRandom(BigInt.asUintN(64, BigInt(seed)));
}

/** Uniform in [0, bound), drawn from `u32` without bias. @throws AssertionError unless 0 < bound <= 2^32. */
export function uniformBelow(bound: number, u32: () => number): number {
  assert(Number.isInteger(bound) && bound > 0 && bound <= U32_RANGE, "a random number's bound is in (0, 2^32]");
  const fair = U32_RANGE - (U32_RANGE % bound);
  for (;;) {
    const value = u32();
    if (value < fair) return value % bound;
  }
}

class SeededRandom implements Random {
  /** The generator's state, never all zero: splitmix32 gives four zeros in a row for no seed. */
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(seed: bigint) {
    let state = Number(seed & 0xffffffffn) ^ Math.imul(Number(seed >> 32n), 0x9e3779b1);
    const high = Number(seed >> 32n);
    const split = (): number => {
      state = (state + 0x9e3779b9) | 0;
      let mixed = state ^ (state >>> 16) ^ high;
      mixed = Math.imul(mixed, 0x21f0aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97);
      return mixed ^ (mixed >>> 15);
    };
    this.#a = split();
    this.#b = split();
    this.#c = split();
    this.#d = split() | 1;
  }

  u32(): number {
    const scrambled = Math.imul(rotateLeft(Math.imul(this.#b, 5), 7), 9);
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = rotateLeft(this.#d, 11);
    return scrambled >>> 0;
  }

  below(bound: number): number {
    return uniformBelow(bound, () => this.u32());
  }

  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }

  fill(target: Uint8Array): void {
    for (let i = 0; i < target.length; i += 4) {
      const bits = this.u32();
      const end = Math.min(target.length, i + 4);
      for (let j = i; j < end; j++) target[j] = bits >>> ((j - i) * 8);
    }
  }
}

function rotateLeft(bits: number, count: number): number {
  return (bits << count) | (bits >>> (32 - count));
}
