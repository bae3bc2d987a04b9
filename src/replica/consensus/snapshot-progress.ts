/**
 * Which followers a snapshot is on its way to. A leader sends nothing else to them meanwhile, so one that nobody
 * reports on must end by itself: the message may have been lost, or the answer (hazards C2 and C3).
 */

/** The snapshots that one leader has on their way. */
export class SnapshotProgress {
  readonly #timeoutTicks: number;
  readonly #ticksLeft = new Map<number, number>();

  constructor(timeoutTicks: number) {
    this.#timeoutTicks = timeoutTicks;
  }

  started(id: number): void {
    this.#ticksLeft.set(id, this.#timeoutTicks);
  }

  /** The owner is still sending. */
  extend(id: number): void {
    if (this.#ticksLeft.has(id)) this.#ticksLeft.set(id, this.#timeoutTicks);
  }

  ended(id: number): void {
    this.#ticksLeft.delete(id);
  }

  /** One tick. Returns those of which nothing was heard in time. */
  tick(): readonly number[] {
    const failed: number[] = [];
    for (const [id, left] of this.#ticksLeft) {
      if (left > 1) this.#ticksLeft.set(id, left - 1);
      else failed.push(id);
    }
    for (const id of failed) this.#ticksLeft.delete(id);
    return failed;
  }
}
