/**
 * The callers that wait for what they proposed. Each waits for the outcome of the entry at one index, in one term.
 *
 * Invariants:
 * 1. A waiter is settled exactly once, and is forgotten when it is.
 * 2. If another term's entry is applied at a waiter's index, its proposal is lost for good and it is told so; never a guess.
 * 3. A waiter whose time is up is told that the outcome is open: its entry may still be applied.
 */
import { PumiceError, assert } from "../base/mod.ts";
import type { WriteOutcome } from "./requests.ts";

/** One caller. */
export interface Waiter {
  readonly term: number;
  /** Its result is to say how long it took. */
  readonly timings: boolean;
  /** Monotonic time at which it stops waiting. Unit: ms. */
  readonly deadlineMs: number;
  readonly resolve: (outcome: WriteOutcome) => void;
  readonly reject: (error: PumiceError) => void;
}

/** The waiting callers, by index. Proposals are appended in ascending order of index within a term. */
export class Waiters {
  readonly #byIndex = new Map<number, Waiter>();

  get count(): number {
    return this.#byIndex.size;
  }

  /** @throws AssertionError if somebody waits for that index in that term already. */
  add(index: number, waiter: Waiter): void {
    const earlier = this.#byIndex.get(index);
    if (earlier !== undefined) {
      assert(earlier.term < waiter.term, "one proposal per index and term");
      earlier.reject(lost(index));
    }
    this.#byIndex.set(index, waiter);
  }

  /** Whether the result of the entry at `index` of `term` is to have timings; undefined if nobody waits for it. */
  wants(index: number, term: number): boolean | undefined {
    const waiter = this.#byIndex.get(index);
    return waiter?.term === term ? waiter.timings : undefined;
  }

  /** The entry at `index` of `term` has been applied with `outcome`. */
  settle(index: number, term: number, outcome: WriteOutcome): void {
    const waiter = this.#take(index);
    if (waiter === undefined) return;
    if (waiter.term === term) waiter.resolve(outcome);
    else waiter.reject(lost(index));
  }

  /** Tells everybody whose deadline is at or before `nowMs` that the outcome is open. */
  expire(nowMs: number): void {
    for (const [index, waiter] of this.#byIndex) {
      if (waiter.deadlineMs > nowMs) continue;
      this.#byIndex.delete(index);
      waiter.reject(new PumiceError("REPLICA_TIMEOUT", { index }));
    }
  }

  /** Ends all waiting with `error`. */
  failAll(error: PumiceError): void {
    const waiting = [...this.#byIndex.values()];
    this.#byIndex.clear();
    for (const waiter of waiting) waiter.reject(error);
  }

  #take(index: number): Waiter | undefined {
    const waiter = this.#byIndex.get(index);
    if (waiter !== undefined) this.#byIndex.delete(index);
    return waiter;
  }
}

function lost(index: number): PumiceError {
  return new PumiceError("REPLICA_NOT_LEADER", { index, reason: "leadership was lost before the entry was committed; it was not applied" });
}
