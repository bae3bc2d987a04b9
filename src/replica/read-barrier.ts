/**
 * Linearizable reads: the callers that wait for this node to be as new as the leader was when they asked.
 *
 * Reads that ask in the same turn share one confirmation by the leader. When it names an index, they wait until it is applied.
 * Source: Raft thesis, section 6.4 (ReadIndex).
 */
import { PumiceError } from "../base/mod.ts";

interface Waiter {
  readonly deadlineMs: number;
  readonly resolve: () => void;
  readonly reject: (error: PumiceError) => void;
}

/** A confirmation that was asked for, and the callers that wait for it. */
interface Round {
  readonly waiters: Waiter[];
  /** What must be applied; undefined until the leader has confirmed. */
  index: number | undefined;
}

/** The reads that wait. */
export class ReadBarrier {
  /** Asks the leader; undefined if none is known. */
  readonly #ask: () => number | undefined;
  readonly #rounds = new Map<number, Round>();
  #fresh: Waiter[] = [];

  constructor(ask: () => number | undefined) {
    this.#ask = ask;
  }

  /** Resolves when this node may answer a read that began now. The owner calls `flush` in this turn. @throws REPLICA_NOT_LEADER, REPLICA_TIMEOUT */
  wait(deadlineMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#fresh.push({ deadlineMs, resolve, reject });
    });
  }

  /** Asks once for all that began to wait in this turn. */
  flush(): void {
    if (this.#fresh.length === 0) return;
    const waiters = this.#fresh;
    this.#fresh = [];
    const read = this.#ask();
    if (read === undefined) {
      for (const waiter of waiters) waiter.reject(new PumiceError("REPLICA_NOT_LEADER", { reason: "no leader is known" }));
      return;
    }
    this.#rounds.set(read, { waiters, index: undefined });
  }

  /** The leader has confirmed `read`: it may be answered once `index` is applied. */
  confirmed(read: number, index: number, applied: number): void {
    const round = this.#rounds.get(read);
    if (round === undefined) return;
    round.index = index;
    this.applied(applied);
  }

  /** Everything up to `applied` has been applied. */
  applied(applied: number): void {
    for (const [read, { index, waiters }] of this.#rounds) {
      if (index === undefined || index > applied) continue;
      this.#rounds.delete(read);
      for (const waiter of waiters) waiter.resolve();
    }
  }

  /** Ends the waiting of those whose deadline is at or before `nowMs`. */
  expire(nowMs: number): void {
    for (const [read, round] of this.#rounds) {
      const late = round.waiters.filter((waiter) => waiter.deadlineMs <= nowMs);
      if (late.length === 0) continue;
      const rest = round.waiters.filter((waiter) => waiter.deadlineMs > nowMs);
      if (rest.length === 0) this.#rounds.delete(read);
      else this.#rounds.set(read, { ...round, waiters: rest });
      for (const waiter of late)
        waiter.reject(new PumiceError("REPLICA_TIMEOUT", { reason: "the read's index was not confirmed and applied" }));
    }
  }

  /** Ends all waiting with `error`. */
  failAll(error: PumiceError): void {
    const rounds = [...this.#rounds.values()];
    this.#rounds.clear();
    for (const waiter of [...this.#fresh, ...rounds.flatMap((round) => round.waiters)]) waiter.reject(error);
    this.#fresh = [];
  }
}
