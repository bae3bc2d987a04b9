/** Randomness, as the world gives it. */

/** A source of random numbers. Not for secrets unless the implementation says so. */
export interface Random {
  /** Uniform in [0, 2^32). */
  u32(): number;
  /** Uniform in [0, bound). @throws AssertionError unless 0 < bound <= 2^32. */
  below(bound: number): number;
  /** Uniform 64 bits. */
  u64(): bigint;
  /** Fills `target`. */
  fill(target: Uint8Array): void;
}
