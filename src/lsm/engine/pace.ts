/** Long work in short pieces, so that others on the same thread get their turn. */
import type { Clock } from "../../base/mod.ts";

const PIECE_MS = 8;
const CHECK_EVERY = 256;

/** Call `due()` often; when it says so, await `rest()`. */
export class Pace {
  readonly #clock: Clock;
  readonly #signal: AbortSignal | undefined;
  readonly #pieceMs: number;
  #calls = 0;
  #since: number;

  constructor(clock: Clock, signal?: AbortSignal, pieceMs: number = PIECE_MS) {
    this.#clock = clock;
    this.#signal = signal;
    this.#pieceMs = pieceMs;
    this.#since = clock.monotonic();
  }

  /** True if it is time to let others in. */
  due(): boolean {
    this.#calls++;
    return this.#calls % CHECK_EVERY === 0 && this.isOver();
  }

  /** The same, for callers that ask seldom. */
  isOver(): boolean {
    return this.#clock.monotonic() - this.#since >= this.#pieceMs;
  }

  async rest(): Promise<void> {
    await this.#clock.sleep(0, { signal: this.#signal });
    this.#since = this.#clock.monotonic();
  }
}
