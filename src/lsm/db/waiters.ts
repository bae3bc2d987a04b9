/** Those who wait until a sequence number is reached. */

interface Waiter {
  readonly seq: number;
  resolve(): void;
  reject(error: unknown): void;
}

/** See the header of this file. */
export class SeqWaiters {
  private waiters: Waiter[] = [];
  private reached: number;
  private failure: { readonly error: unknown } | undefined;

  constructor(reached: number) {
    this.reached = reached;
  }

  /** The highest sequence number that was reached. */
  get seq(): number {
    return this.reached;
  }

  get isEmpty(): boolean {
    return this.waiters.length === 0;
  }

  /** Resolves when `seq` is reached. Rejects when `fail` is called before, or with the signal's reason. */
  async wait(seq: number, signal?: AbortSignal): Promise<void> {
    if (seq <= this.reached) return;
    if (this.failure !== undefined) throw this.failure.error;
    signal?.throwIfAborted();
    await new Promise<void>((resolve, reject) => {
      const forget = (): void => signal?.removeEventListener("abort", onAbort);
      const waiter: Waiter = {
        seq,
        resolve: () => {
          forget();
          resolve();
        },
        reject: (error) => {
          forget();
          reject(error);
        },
      };
      const onAbort = (): void => {
        this.waiters = this.waiters.filter((each) => each !== waiter);
        reject(signal?.reason);
      };
      this.waiters.push(waiter);
      // Taken off again: a signal may live as long as the program.
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** Lets those go whose sequence number is reached. */
  advance(seq: number): void {
    if (seq <= this.reached) return;
    this.reached = seq;
    if (this.waiters.length === 0) return;
    const done = this.waiters.filter((waiter) => waiter.seq <= seq);
    this.waiters = this.waiters.filter((waiter) => waiter.seq > seq);
    for (const waiter of done) waiter.resolve();
  }

  /** Rejects all who wait now or later for what is not reached. */
  fail(error: unknown): void {
    this.failure ??= { error };
    const waiters = this.waiters;
    this.waiters = [];
    for (const waiter of waiters) waiter.reject(error);
  }
}
