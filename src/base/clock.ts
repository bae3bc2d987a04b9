/** Time, as the world tells it. The only way by which a pure room learns what time it is or waits. */

/** Two clocks and a way to wait. */
export interface Clock {
  /** Wall clock, milliseconds since 1970-01-01 UTC. It may jump in either direction. */
  now(): number;
  /** Milliseconds, with fractions, since some fixed moment. Never goes back. */
  monotonic(): number;
  /**
   * Resolves once at least `ms` milliseconds of monotonic time have passed, and others had their turn. A program that has nothing else to do ends without
   * waiting for it if `keepsProcess` is false (default true). @throws the signal's reason when it aborts first.
   */
  sleep(ms: number, options?: { readonly signal?: AbortSignal | undefined; readonly keepsProcess?: boolean | undefined }): Promise<void>;
}
