/** A store that can stop answering, and a clock that knows who sleeps: what a call that was given up leaves behind is seen. */
import type { Clock, ObjectMeta, ObjectStore, StoreOptions } from "../../../src/base/mod.ts";
import { overriding } from "./world.ts";

/** See the header of this file. */
export class StuckStore {
  readonly store: ObjectStore;
  /** Whether calls wait until `release`. */
  isStuck = false;
  /** Which objects that concerns. */
  isHeld: (key: string) => boolean = () => true;
  /** Calls that wait. */
  waiting = 0;
  private waiters: (() => void)[] = [];
  private readonly honoursSignals: boolean;

  constructor(inner: ObjectStore, honoursSignals: boolean) {
    this.honoursSignals = honoursSignals;
    const gate = this.gate.bind(this);
    this.store = overriding(inner, {
      get: async (key, options) => (await gate(key, options), await inner.get(key, options)),
      getRange: async (key, range, options) => (await gate(key, options), await inner.getRange(key, range, options)),
      head: async (key, options) => (await gate(key, options), await inner.head(key, options)),
      put: async (key, body, options) => (await gate(key, options), await inner.put(key, body, options)),
      putIf: async (key, body, condition, options) => (await gate(key, options), await inner.putIf(key, body, condition, options)),
      delete: async (key, options) => (await gate(key, options), await inner.delete(key, options)),
      async *list(prefix, options): AsyncGenerator<ObjectMeta> {
        await gate(prefix, options);
        yield* inner.list(prefix, options);
      },
    });
  }

  /** Lets all calls go on. */
  release(): void {
    this.isStuck = false;
    const { waiters } = this;
    this.waiters = [];
    for (const go of waiters) go();
  }

  private async gate(key: string, options: StoreOptions | undefined): Promise<void> {
    if (!this.isStuck || !this.isHeld(key)) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.waiting++;
    this.waiters.push(resolve);
    const signal = this.honoursSignals ? options?.signal : undefined;
    const aborted = (): void => reject(signal?.reason);
    if (signal?.aborted === true) aborted();
    signal?.addEventListener("abort", aborted, { once: true });
    try {
      await promise;
    } finally {
      this.waiting--;
      signal?.removeEventListener("abort", aborted);
    }
  }
}

/** `clock`, with a count of those who sleep. */
export class WatchedClock implements Clock {
  sleeping = 0;
  private readonly clock: Clock;

  constructor(clock: Clock) {
    this.clock = clock;
  }

  now(): number {
    return this.clock.now();
  }

  monotonic(): number {
    return this.clock.monotonic();
  }

  async sleep(ms: number, options?: StoreOptions): Promise<void> {
    this.sleeping++;
    try {
      await this.clock.sleep(ms, options);
    } finally {
      this.sleeping--;
    }
  }
}
