/**
 * The driver's log: batches go to the log's thread; what a full disk refused is kept here and tried again.
 *
 * A batch that only moves the commit index is not sent: it may be lost in a crash, so it is acknowledged when all before it are, and
 * travels with the next batch that is sent. That spares each write two hops between threads.
 *
 * A full disk fails nothing that was promised: batches that were refused wait, in order, until there is space; the hard state in front
 * of them was taken by the log's reserve. Meanwhile `refusal` tells callers to propose nothing new.
 *
 * Invariants:
 * 1. Batches are acknowledged in order, each once, and none that must be synced before the log's thread has synced it.
 * 2. The commit index on disk has reached an index before the log is compacted up to it.
 */
import { PumiceError, isPumiceError } from "../base/mod.ts";
import type { LogBatch, LogPort } from "./driver-ports.ts";
import type { LogClient } from "./log/mod.ts";

/** Whom the log tells. */
export interface LogThreadOwner {
  /** Every batch up to `number` is durable, as far as it has to be. May be called from within `append`. */
  readonly acknowledge: (number: number) => void;
  readonly failed: (error: PumiceError) => void;
}

/** Batches that wait for the disk, and the log's thread behind them. */
export class LogThread implements LogPort {
  readonly #client: LogClient;
  readonly #owner: LogThreadOwner;
  /** Given and not yet acknowledged, oldest first. */
  readonly #pending: LogBatch[] = [];
  /** The newest commit index, if nothing has carried it to the log's thread yet. */
  #unsent: LogBatch | undefined;
  #refusal: PumiceError | undefined;
  #isRetrying = false;

  constructor(client: LogClient, owner: LogThreadOwner) {
    this.#client = client;
    this.#owner = owner;
  }

  /** Why nothing new should be proposed: the disk is full. Undefined: all is well. */
  get refusal(): PumiceError | undefined {
    return this.#refusal;
  }

  append(batch: LogBatch): void {
    if (isCommitOnly(batch)) {
      this.#unsent = batch;
      if (this.#pending.length === 0) this.#owner.acknowledge(batch.number);
      else this.#pending.push(batch);
      return;
    }
    const whole = { ...batch, hardState: batch.hardState ?? this.#unsent?.hardState };
    this.#unsent = undefined;
    this.#pending.push(whole);
    if (this.#refusal === undefined) this.#client.append(whole);
  }

  compact(index: number, term: number): void {
    this.#sendCommit();
    this.#client.compact({ index, term }).catch((error: unknown) => this.#onError(error));
  }

  /** The log's thread made everything up to `number` durable. */
  persisted(number: number): void {
    let last = 0;
    let count = 0;
    for (const batch of this.#pending) {
      if (batch.number > number && !isCommitOnly(batch)) break;
      last = batch.number;
      count++;
    }
    if (count === 0) return;
    this.#pending.splice(0, count);
    this.#owner.acknowledge(last);
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
        for (const batch of this.#pending) if (!isCommitOnly(batch)) this.#client.append(batch);
      },
      (error: unknown) => this.#onError(error),
    );
  }

  /** Closes the log after what was given. @throws LOG_FAILED */
  close(): Promise<void> {
    if (this.#refusal === undefined) this.#sendCommit();
    return this.#client.close();
  }

  #sendCommit(): void {
    if (this.#unsent === undefined || this.#refusal !== undefined) return;
    this.#client.append(this.#unsent);
    this.#unsent = undefined;
  }

  /** A disk that is still full is tried again; a log that failed has told its listener. */
  #onError(error: unknown): void {
    this.#isRetrying = false;
    if (isPumiceError(error, "LOG_FULL") || isPumiceError(error, "LOG_CLOSED") || isPumiceError(error, "LOG_FAILED")) return;
    this.#owner.failed(error instanceof PumiceError ? error : new PumiceError("WORKER_FAILED", { name: "log" }, error));
  }
}

function isCommitOnly(batch: LogBatch): boolean {
  return !batch.mustSync && batch.snapshot === undefined && batch.entries.length === 0;
}
