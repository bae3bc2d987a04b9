/**
 * The callers who wait for what they proposed. Each waits for the outcome of the entry at one index, in one term.
 *
 * Invariants:
 * 1. A waiter is settled exactly once, and is forgotten when it is.
 * 2. If another term's entry is applied at a waiter's index, its proposal is lost for good and it is told so; never a guess.
 * 3. A waiter whose time is up is told that the outcome is open: its entry may still be applied.
 */
import { PumiceError, assert, type LogIndex, type Term } from "../base/mod.ts";
import type { Outcome } from "./requests.ts";

/** One caller. */
export interface Waiter {
  readonly term: Term;
  /** Monotonic time at which it stops waiting. Unit: ms. */
  readonly deadlineMs: number;
  readonly resolve: (outcome: Outcome) => void;
  readonly reject: (error: PumiceError) => void;
}

/** Who waits, by index. Proposals are appended in ascending order of index within a term. */
export class Waiters {
  readonly #byIndex = new Map<LogIndex, Waiter>();

  get count(): number {
    return this.#byIndex.size;
  }

  /** @throws AssertionError if somebody waits for that index in that term already. */
  add(index: LogIndex, waiter: Waiter): void {
    const earlier = this.#byIndex.get(index);
    if (earlier !== undefined) {
      assert(earlier.term < waiter.term, "one proposal per index and term");
      earlier.reject(lost(index));
    }
    this.#byIndex.set(index, waiter);
  }

  /** True if somebody waits for the entry at `index` of `term`: only then is its result wanted. */
  wants(index: LogIndex, term: Term): boolean {
    return this.#byIndex.get(index)?.term === term;
  }

  /** The entry at `index` of `term` has been applied with `outcome`. */
  settle(index: LogIndex, term: Term, outcome: Outcome): void {
    const waiter = this.#take(index);
    if (waiter === undefined) return;
    if (waiter.term === term) waiter.resolve(outcome);
    else waiter.reject(lost(index));
  }

  /** The entry at `index` of `term` has been applied and nothing is known of its result, or it was none of ours: see invariant 2. */
  passed(index: LogIndex, term: Term): void {
    const waiter = this.#byIndex.get(index);
    if (waiter !== undefined && waiter.term !== term) {
      this.#byIndex.delete(index);
      waiter.reject(lost(index));
    }
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

  #take(index: LogIndex): Waiter | undefined {
    const waiter = this.#byIndex.get(index);
    if (waiter !== undefined) this.#byIndex.delete(index);
    return waiter;
  }
}

function lost(index: LogIndex): PumiceError {
  return new PumiceError("REPLICA_NOT_LEADER", { index, reason: "leadership was lost before the entry was committed; it was not applied" });
}
