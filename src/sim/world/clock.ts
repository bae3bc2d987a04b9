/** Simulated time: it stands still until the world moves it. */
import { assert, type Clock } from "../../base/mod.ts";

interface Sleeper {
  readonly deadline: number;
  readonly order: number;
  readonly wake: () => void;
}

/** The clock of one simulated machine. */
export class SimClock implements Clock {
  #monotonic = 0;
  #wallOffset: number;
  #order = 0;
  /** Sorted by deadline, then by when they went to sleep. */
  #sleepers: Sleeper[] = [];

  /** `startMs`: the wall clock at the beginning, milliseconds since 1970. */
  constructor(startMs = 0) {
    this.#wallOffset = startMs;
  }

  now(): number {
    return Math.floor(this.#monotonic + this.#wallOffset);
  }

  monotonic(): number {
    return this.#monotonic;
  }

  sleep(ms: number, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      signal?.throwIfAborted();
      const aborted = (): void => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        reject(signal?.reason);
      };
      const wake = (): void => {
        signal?.removeEventListener("abort", aborted);
        resolve();
      };
      const sleeper: Sleeper = { deadline: this.#monotonic + Math.max(0, ms), order: this.#order++, wake };
      signal?.addEventListener("abort", aborted, { once: true });
      this.#insert(sleeper);
    });
  }

  /** Lets `ms` pass and wakes, in order, those whose time has come. */
  advance(ms: number): void {
    assert(ms >= 0, "time does not go back");
    const until = this.#monotonic + ms;
    for (let first = this.#sleepers[0]; first !== undefined && first.deadline <= until; first = this.#sleepers[0]) {
      this.#sleepers.shift();
      this.#monotonic = Math.max(this.#monotonic, first.deadline);
      first.wake();
    }
    this.#monotonic = until;
  }

  /** The wall clock jumps, in either direction; monotonic time does not. */
  jump(ms: number): void {
    this.#wallOffset += ms;
  }

  /** When the next sleeper wakes, by monotonic time; undefined if none sleeps. */
  nextDeadline(): number | undefined {
    return this.#sleepers[0]?.deadline;
  }

  #insert(sleeper: Sleeper): void {
    let at = this.#sleepers.length;
    while (at > 0 && (this.#sleepers[at - 1] as Sleeper).deadline > sleeper.deadline) at--;
    this.#sleepers.splice(at, 0, sleeper);
  }
}
