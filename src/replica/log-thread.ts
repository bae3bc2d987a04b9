/**
 * The driver's log: batches go to the log's thread; what a full disk refused is kept here and tried again.
 *
 * A full disk fails nothing that was promised: batches that were refused wait, in order, until there is space; the hard state in front
 * of them was taken by the log's reserve. Meanwhile `refusal` tells callers to propose nothing new.
 */
import { PumiceError, isPumiceError } from "../base/mod.ts";
import type { LogBatch, LogPort } from "./driver-ports.ts";
import type { LogClient } from "./log/mod.ts";

/** Batches that wait for the disk, and the log's thread behind them. */
export class LogThread implements LogPort {
  readonly #client: LogClient;
  readonly #failed: (error: PumiceError) => void;
  /** Given and not yet known to be durable, oldest first. */
  #pending: LogBatch[] = [];
  #refusal: PumiceError | undefined;
  #isRetrying = false;

  constructor(client: LogClient, failed: (error: PumiceError) => void) {
    this.#client = client;
    this.#failed = failed;
  }

  /** Why nothing new should be proposed: the disk is full. Undefined: all is well. */
  get refusal(): PumiceError | undefined {
    return this.#refusal;
  }

  append(batch: LogBatch): void {
    this.#pending.push(batch);
    if (this.#refusal === undefined) this.#client.append(batch);
  }

  compact(index: number, term: number): void {
    this.#client.compact({ index, term }).catch((error: unknown) => this.#onError(error));
  }

  /** The log's thread made everything up to `number` durable. */
  persisted(number: number): void {
    let count = 0;
    while (count < this.#pending.length && (this.#pending[count] as LogBatch).number <= number) count++;
    this.#pending.splice(0, count);
  }

  /** The log's thread refused everything that is pending: see LogListener. */
  refused(error: PumiceError): void {
    this.#refusal = error;
  }

  /** Tries again what was refused. Called now and then. */
  retry(): void {
    if (this.#refusal === undefined || this.#isRetrying) return;
    this.#isRetrying = true;
    this.#client.rewind().then(
      () => {
        this.#isRetrying = false;
        this.#refusal = undefined;
        for (const batch of this.#pending) this.#client.append(batch);
      },
      (error: unknown) => this.#onError(error),
    );
  }

  /** Closes the log after what was given. @throws LOG_FAILED */
  close(): Promise<void> {
    return this.#client.close();
  }

  /** A disk that is still full is tried again; a log that failed has told its listener. */
  #onError(error: unknown): void {
    this.#isRetrying = false;
    if (isPumiceError(error, "LOG_FULL") || isPumiceError(error, "LOG_CLOSED") || isPumiceError(error, "LOG_FAILED")) return;
    this.#failed(error instanceof PumiceError ? error : new PumiceError("WORKER_FAILED", { name: "log" }, error));
  }
}
