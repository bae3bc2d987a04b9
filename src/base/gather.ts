/**
 * Gathers what comes in several turns of the event loop into one batch, because a batch costs two hops between threads whatever its size. Requests that
 * belong together arrive over several turns: a client sends its next one when it gets an answer.
 *
 * There is no timer. A turn in which nothing new came ends the gathering; so does `GATHER_MS`, under a load that never pauses. A request that comes
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
