/**
 * The faults of a network and a service: errors and silence before a call takes effect and after it, effects that come when the caller
 * has long been told of failure, slowness, and too many requests. Each call draws its fate from the seed.
 */
import { assert, PumiceError, type Clock, type ObjectStore, type Random } from "../../../base/mod.ts";
import { interceptStore, isChange, type StoreCall } from "./intercept.ts";

/** Probabilities, each of a call. Together at most 1; the rest goes well. */
export interface StoreFaultRates {
  /** 5xx, and nothing happened. */
  readonly errorBefore: number;
  /** 5xx, and it happened. */
  readonly errorAfter: number;
  /** No answer for `timeoutMs`, and nothing happened. */
  readonly timeoutBefore: number;
  /** No answer for `timeoutMs`, and it happened at once. */
  readonly timeoutAfter: number;
  /** An error, and it happens up to `lateMsMax` later: a request that was still on its way. Changes only. */
  readonly lateEffect: number;
}

/** No faults. */
export const NO_STORE_FAULTS: StoreFaultRates = { errorBefore: 0, errorAfter: 0, timeoutBefore: 0, timeoutAfter: 0, lateEffect: 0 };

/** Settings and components. */
export interface FaultyStoreOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Asked at each call, so that a world can have weather. */
  readonly rates: StoreFaultRates | ((call: StoreCall) => StoreFaultRates);
  /** Default 10,000. */
  readonly timeoutMs?: number | undefined;
  /** Default 30,000. */
  readonly lateMsMax?: number | undefined;
}

/** `inner`, unreliable. */
export function faultyStore(inner: ObjectStore, options: FaultyStoreOptions): ObjectStore {
  const { clock, random, rates } = options;
  const timeoutMs = options.timeoutMs ?? 10_000;
  const lateMsMax = options.lateMsMax ?? 30_000;
  return interceptStore(inner, async (call, run) => {
    const { signal } = call;
    const fate = drawFate(typeof rates === "function" ? rates(call) : rates, random, isChange(call));
    if (fate === undefined) return run();
    if (fate === "errorAfter" || fate === "timeoutAfter") await run();
    if (fate === "timeoutBefore" || fate === "timeoutAfter") await clock.sleep(timeoutMs, { signal });
    if (fate === "lateEffect") {
      // Nobody waits for it, and its own failure is nobody's: the caller has had its error.
      void clock
        .sleep(random.below(lateMsMax) + 1)
        .then(run)
        .catch(() => undefined);
    }
    throw planted(call, fate);
  });
}

function drawFate(rates: StoreFaultRates, random: Random, canBeLate: boolean): keyof StoreFaultRates | undefined {
  let left = random.u32() / 2 ** 32;
  for (const [fate, rate] of Object.entries(rates) as [keyof StoreFaultRates, number][]) {
    assert(rate >= 0 && rate <= 1, "a rate is a probability");
    if (left < rate) return fate === "lateEffect" && !canBeLate ? "errorBefore" : fate;
    left -= rate;
  }
  return undefined;
}

function planted(call: StoreCall, fate: string): PumiceError {
  return new PumiceError("STORE_UNAVAILABLE", { planted: fate, operation: call.operation, key: call.key });
}

/** How slow. */
export interface SlowStoreOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Milliseconds before each call reaches the store, uniform in [min, max], and again before its answer comes back. */
  readonly msMin: number;
  readonly msMax: number;
}

/** `inner`, far away: calls overtake one another. */
export function slowStore(inner: ObjectStore, options: SlowStoreOptions): ObjectStore {
  const { clock, random, msMin, msMax } = options;
  const draw = (): number => msMin + (msMax > msMin ? random.below(msMax - msMin + 1) : 0);
  return interceptStore(inner, async (call, run) => {
    await clock.sleep(draw(), { signal: call.signal });
    const result = await run();
    await clock.sleep(draw(), { signal: call.signal });
    return result;
  });
}

/** How many calls. */
export interface ThrottledStoreOptions {
  readonly clock: Clock;
  readonly callsPerSecond: number;
  /** Calls that may come at once after a pause. Default: those of one second. */
  readonly burstCount?: number | undefined;
}

/** `inner`, which refuses calls beyond a rate before they take effect, as S3 does with 503 SlowDown. */
export function throttledStore(inner: ObjectStore, options: ThrottledStoreOptions): ObjectStore {
  const { clock, callsPerSecond } = options;
  const burstCount = options.burstCount ?? callsPerSecond;
  let allowance = burstCount;
  let filledMs = clock.monotonic();
  return interceptStore(inner, (call, run) => {
    const nowMs = clock.monotonic();
    allowance = Math.min(burstCount, allowance + ((nowMs - filledMs) * callsPerSecond) / 1000);
    filledMs = nowMs;
    if (allowance < 1) return Promise.reject(planted(call, "throttled"));
    allowance--;
    return run();
  });
}
