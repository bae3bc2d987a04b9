/** The machine's clocks. */
import type { Clock } from "../base/mod.ts";

/** The longest wait that Node's timers take, milliseconds; a longer one is waited in parts. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** The clock of this machine. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  async sleep(ms, options = {}) {
    const { signal, keepsProcess = true } = options;
    const deadline = performance.now() + ms;
    signal?.throwIfAborted();
    // A sleep of no time is there to let other work have its turn: timers and what the network brought among them.
    if (ms <= 0) await new Promise((resolve) => setImmediate(resolve));
    for (;;) {
      // A timer may fire up to a millisecond early, so the deadline is looked at again.
      const left = deadline - performance.now();
      if (left <= 0) return;
      await wait(Math.min(Math.ceil(left), TIMER_MS_MAX), { signal, keepsProcess });
    }
  },
};

function wait(ms: number, { signal, keepsProcess }: { signal: AbortSignal | undefined; keepsProcess: boolean }): Promise<void> {
  return new Promise((resolve, reject) => {
    const aborted = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", aborted);
      resolve();
    }, ms);
    if (!keepsProcess) timer.unref();
    signal?.addEventListener("abort", aborted, { once: true });
  });
}
