/**
 * Where a four-byte sequence was seen last, by its hash: shared by all calls of a codec, for making and clearing a table costs as much as compressing a block.
 *
 * 1. Positions of a call are stored above those of all calls before it, so that what is below its base is as good as empty.
 */

/** Bits of a hash. */
export const HASH_BITS = 13;

const BASE_MAX = 0x4000_0000;

/** See the header of this file. */
export class MatchTable {
  readonly #positions = new Int32Array(1 << HASH_BITS).fill(-1);
  #base = 0;
  #top = 0;

  /** Forgets all. Positions up to `length` follow. */
  begin(length: number): void {
    this.#base = this.#top;
    if (this.#base + length > BASE_MAX) {
      this.#positions.fill(-1);
      this.#base = 0;
    }
    this.#top = this.#base + length;
  }

  /** The last position of that hash, negative if there was none; `at` takes its place. */
  swap(hash: number, at: number): number {
    const position = (this.#positions[hash] as number) - this.#base;
    this.#positions[hash] = at + this.#base;
    return position;
  }
}
