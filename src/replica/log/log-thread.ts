/**
 * The driver's log: batches go to the log's thread; what a full disk refused is kept here and tried again.
 *
 * One group is with the log's thread at a time; what comes meanwhile is merged into the next one. A batch that only moves the commit
 * index is not sent: it may be lost in a crash, so it is acknowledged when all before it are, and travels with the next batch that is
 * sent. Both spare hops between threads, which cost more than what they carry.
 *
 * A full disk fails nothing that was promised: batches that were refused wait, in order, until there is space; the hard state in front
 * of them was taken by the log's reserve. Meanwhile `refusal` tells callers to propose nothing new.
 *
 * Invariants:
 * 1. Batches are acknowledged in order, each once, and none that must be synced before the log's thread has synced it.
 * 2. The commit index on disk has reached an index before the log is compacted up to it.
 */
import { PumiceError, isPumiceError } from "../../base/mod.ts";
import { payloadBytes } from "../../raft/mod.ts";
import type { LogBatch, LogPort } from "../consensus/ports.ts";
import type { LogClient } from "./mod.ts";

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
  /** The last batch of the group that the log's thread has; 0: it has none. */
  #underWay = 0;
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
    this.#sendGroup();
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
    if (number >= this.#underWay) this.#underWay = 0;
    if (count === 0) return;
    this.#pending.splice(0, count);
    this.#sendGroup();
    this.#owner.acknowledge(last);
  }

  /** The log's thread refused everything that is pending: see LogListener. */
  refused(error: PumiceError): void {
    this.#refusal = error;
    this.#underWay = 0;
  }

  /** Tries again what was refused. Called now and then. */
  retry(): void {
    if (this.#refusal === undefined || this.#isRetrying) return;
    this.#isRetrying = true;
    this.#client.rewind().then(
      () => {
        this.#isRetrying = false;
        this.#refusal = undefined;
        this.#sendGroup();
      },
      (error: unknown) => this.#onError(error),
    );
  }

  /** Closes the log after what was given. @throws LOG_FAILED */
  close(): Promise<void> {
    if (this.#refusal === undefined) this.#sendCommit();
    return this.#client.close();
  }

  /** Everything that waits, as far as it can be one batch. */
  #sendGroup(): void {
    if (this.#underWay !== 0 || this.#refusal !== undefined) return;
    let group: LogBatch | undefined;
    let bytes = 0;
    for (const batch of this.#pending) {
      if (isCommitOnly(batch)) continue;
      if (group !== undefined && (bytes > GROUP_BYTES_MAX || !follows(group, batch))) break;
      group = group === undefined ? batch : merge(group, batch);
      bytes += payloadBytes(batch.entries);
    }
    if (group === undefined) return;
    this.#underWay = group.number;
    this.#client.append(group);
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

/** Unit: bytes. */
const GROUP_BYTES_MAX = 4 * 1024 * 1024;

/** True if `next` only adds entries behind those of `group`: it replaces nothing. */
function follows(group: LogBatch, next: LogBatch): boolean {
  const last = group.entries.at(-1);
  const first = next.entries[0];
  return next.snapshot === undefined && (first === undefined || (last !== undefined && first.index === last.index + 1));
}

function merge(group: LogBatch, next: LogBatch): LogBatch {
  return {
    number: next.number,
    hardState: next.hardState ?? group.hardState,
    snapshot: group.snapshot,
    entries: [...group.entries, ...next.entries],
    mustSync: true,
  };
}

function isCommitOnly(batch: LogBatch): boolean {
  return !batch.mustSync && batch.snapshot === undefined && batch.entries.length === 0;
}
