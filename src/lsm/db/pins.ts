/** Sequence numbers at which somebody reads: flush and compaction keep what they see. */

/** See the header of this file. */
export class Pins {
  readonly #counts = new Map<number, number>();

  /** Keeps what a reader at `seq` sees until what is given back is called. Calling that again does nothing. */
  pin(seq: number): () => void {
    this.#counts.set(seq, (this.#counts.get(seq) ?? 0) + 1);
    let isPinned = true;
    return () => {
      if (!isPinned) return;
      isPinned = false;
      const count = (this.#counts.get(seq) ?? 1) - 1;
      if (count === 0) this.#counts.delete(seq);
      else this.#counts.set(seq, count);
    };
  }

  /** How many there are. */
  get count(): number {
    let count = 0;
    for (const each of this.#counts.values()) count += each;
    return count;
  }

  /** The lowest, or undefined if there is none. */
  get least(): number | undefined {
    let least: number | undefined;
    for (const seq of this.#counts.keys()) if (least === undefined || seq < least) least = seq;
    return least;
  }
}
