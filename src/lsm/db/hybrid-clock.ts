/**
 * The clock that stamps rows: the wall clock as long as it goes forward, else the last stamp again. It never goes back, never waits and
 * never fails; equal stamps are legal. SlateDB #431 and the waiting that came after it cannot happen here.
 *
 * What expires when is not judged by stamps alone: a wall clock that once was a year ahead has left its stamp in the store for good, and rows would
 * expire a year early. See engine/present.ts.
 */
import { assert, type Clock } from "../../base/mod.ts";
import { presentMs } from "../engine/present.ts";
import { TICK_MIN } from "../format/row.ts";

/** See the header of this file. Stamps are milliseconds since 1970. */
export class HybridClock {
  readonly #clock: Pick<Clock, "now">;
  #lastTick = TICK_MIN;
  #presentAtTick = TICK_MIN;
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
      this.#presentAtTick = presentMs(this.#lastTick, wall);
      return this.#lastTick;
    }
    this.#lastTick = wall;
    this.#presentAtTick = wall;
    return wall;
  }

  /** Never gives a stamp before `tick` from now on. */
  observe(tick: number): void {
    if (tick > this.#lastTick) this.#lastTick = tick;
  }

  /** The present when the last stamp was given: what a time to live is counted from. */
  get presentAtTick(): number {
    return this.#presentAtTick;
  }

  /** The time by which rows expire: see presentMs. */
  get present(): number {
    return presentMs(this.#lastTick, this.#clock.now());
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
