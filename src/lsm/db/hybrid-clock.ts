/**
 * The clock that stamps rows: the wall clock as long as it goes forward, else the last stamp again. It never goes back, never waits and
 * never fails; equal stamps are legal. SlateDB #431 and the waiting that came after it cannot happen here.
 */
import { assert, type Clock } from "../../base/mod.ts";
import { TICK_MIN } from "../format/row.ts";

/** See the header of this file. Stamps are milliseconds since 1970. */
export class HybridClock {
  readonly #clock: Pick<Clock, "now">;
  #lastTick = TICK_MIN;
  #backwards = 0;
  #aheadMs = 0;

  constructor(clock: Pick<Clock, "now">) {
    this.#clock = clock;
  }

  /** The stamp of a write. Not smaller than any stamp before. */
  tick(): number {
    const wall = this.#clock.now();
    assert(Number.isSafeInteger(wall), "the wall clock gives whole milliseconds");
    if (wall < this.#lastTick) {
      this.#backwards++;
      this.#aheadMs = Math.max(this.#aheadMs, this.#lastTick - wall);
      return this.#lastTick;
    }
    this.#lastTick = wall;
    return wall;
  }

  /** Never gives a stamp before `tick` from now on. */
  observe(tick: number): void {
    if (tick > this.#lastTick) this.#lastTick = tick;
  }

  /** The last stamp given or observed. */
  get last(): number {
    return this.#lastTick;
  }

  /** How many stamps were reused because the wall clock was behind, and by how many milliseconds at most. */
  get skew(): { readonly reusedTicks: number; readonly aheadMsMax: number } {
    return { reusedTicks: this.#backwards, aheadMsMax: this.#aheadMs };
  }
}
