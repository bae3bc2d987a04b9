/**
 * Tells a read that its client has gone. As an AbortSignal for callers that use only what a pure room may use (src/base/globals.d.ts):
 * a platform AbortController with its events costs more than a microsecond, which every point read would pay.
 */

/** A signal for one listener. */
export class ClientSignal {
  aborted = false;
  reason: unknown = undefined;
  #listener: (() => void) | undefined;

  addEventListener(_type: "abort", listener: () => void): void {
    this.#listener = listener;
    if (this.aborted) listener();
  }

  removeEventListener(): void {
    this.#listener = undefined;
  }

  throwIfAborted(): void {
    if (this.aborted) throw this.reason;
  }

  abort(reason: unknown): void {
    if (this.aborted) return;
    this.aborted = true;
    this.reason = reason;
    this.#listener?.();
  }

  /** The same object, for callers that take any AbortSignal. */
  asAbortSignal(): AbortSignal {
    return this as unknown as AbortSignal;
  }
}
