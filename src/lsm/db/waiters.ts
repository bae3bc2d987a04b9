/** Waits until a sequence number is reached. */
import { onAbort } from "../../base/mod.ts";

interface Waiter {
  readonly seq: number;
  resolve(): void;
  reject(error: unknown): void;
}

/** See the header of this file. */
export class SeqWaiters {
  #waiters: Waiter[] = [];
  #reached: number;
  #failure: { readonly error: unknown } | undefined;

  constructor(reached: number) {
    this.#reached = reached;
  }

  /** The highest sequence number that was reached. */
  get seq(): number {
    return this.#reached;
  }

  get isEmpty(): boolean {
    return this.#waiters.length === 0;
  }

  /** Resolves when `seq` is reached. Rejects when `fail` is called before, or with the signal's reason. */
  async wait(seq: number, signal?: AbortSignal): Promise<void> {
    if (seq <= this.#reached) return;
    if (this.#failure !== undefined) throw this.#failure.error;
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiter: Waiter = { seq, resolve, reject };
    this.#waiters.push(waiter);
    const forget = onAbort(signal, (reason) => {
      this.#waiters = this.#waiters.filter((each) => each !== waiter);
      reject(reason);
    });
    await promise.finally(forget);
  }

  /** Lets those go whose sequence number is reached. */
  advance(seq: number): void {
    if (seq <= this.#reached) return;
    this.#reached = seq;
    if (this.#waiters.length === 0) return;
    const done = this.#waiters.filter((waiter) => waiter.seq <= seq);
    this.#waiters = this.#waiters.filter((waiter) => waiter.seq > seq);
    for (const waiter of done) waiter.resolve();
  }

  /** Rejects all waits, also later ones, for what is not reached. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) waiter.reject(error);
  }
}
