/**
 * Gathers what comes in several turns of the event loop into one batch. A batch costs two hops between threads whatever its size, and
 * clients answer each other's answers: of what is asked at the same time, a part comes one turn later.
 *
 * There is no timer. A turn in which nothing new came ends the gathering; so does `GATHER_MS`, under a load that never pauses. Who asks
 * alone waits for one empty turn, some microseconds.
 */
import type { Clock } from "./clock.ts";

/** The longest gathering. Unit: ms. */
const GATHER_MS = 0.2;

/** Runs its task once for all that came while turns brought something new. */
export class Gather {
  readonly #defer: (task: () => void) => void;
  readonly #clock: Clock;
  readonly #task: () => void;
  #isGathering = false;
  #hasNew = false;
  #startedMs = 0;

  constructor(parts: { readonly defer: (task: () => void) => void; readonly clock: Clock }, task: () => void) {
    this.#defer = parts.defer;
    this.#clock = parts.clock;
    this.#task = task;
  }

  /** Something came. */
  add(): void {
    this.#hasNew = true;
    if (this.#isGathering) return;
    this.#isGathering = true;
    this.#startedMs = this.#clock.monotonic();
    this.#nextTurn();
  }

  #nextTurn(): void {
    this.#hasNew = false;
    this.#defer(() => {
      if (this.#hasNew && this.#clock.monotonic() - this.#startedMs < GATHER_MS) {
        this.#nextTurn();
        return;
      }
      this.#isGathering = false;
      this.#task();
    });
  }
}
