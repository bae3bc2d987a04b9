/** A value that another thread tells when it has time: asked for anew each time, and answered with the last one if that takes long. */
import type { Clock } from "../base/mod.ts";

/** How long an answer is waited for. Unit: ms. */
const PATIENCE_MS = 50;

/** The last known value of something that a busy thread may be slow to tell. */
export class LastKnown<T> {
  readonly #ask: () => Promise<T>;
  readonly #clock: Clock;
  #last: T | undefined;
  #asking: Promise<T> | undefined;

  constructor(ask: () => Promise<T>, clock: Clock) {
    this.#ask = ask;
    this.#clock = clock;
  }

  /** The value now, or the last one if the thread is busy. The first call waits for the first value. */
  async get(): Promise<T> {
    this.#asking ??= this.#ask().then((value) => {
      this.#last = value;
      this.#asking = undefined;
      return value;
    });
    if (this.#last === undefined) return this.#asking;
    const answered = new AbortController();
    const patience = this.#clock.sleep(PATIENCE_MS, { signal: answered.signal }).catch(() => undefined);
    const value = await Promise.race([this.#asking, patience]);
    answered.abort();
    return value ?? this.#last;
  }
}
