/** Long work in short pieces, so that others on the same thread get their turn. */
import type { Clock } from "../../base/mod.ts";

const PIECE_MS = 8;
const CHECK_EVERY = 256;

/** Call `due()` often; when it says so, await `rest()`. */
export class Pace {
  private readonly clock: Clock;
  private readonly signal: AbortSignal | undefined;
  private calls = 0;
  private since: number;

  constructor(clock: Clock, signal?: AbortSignal) {
    this.clock = clock;
    this.signal = signal;
    this.since = clock.monotonic();
  }

  /** True if it is time to let others in. */
  due(): boolean {
    this.calls++;
    return this.calls % CHECK_EVERY === 0 && this.clock.monotonic() - this.since >= PIECE_MS;
  }

  async rest(): Promise<void> {
    await this.clock.sleep(0, { signal: this.signal });
    this.since = this.clock.monotonic();
  }
}
