/**
 * The apply thread, seen from the main thread: committed entries go in, results come back in the same order.
 *
 * Entries that come while the thread is busy wait here and go as one batch, which it applies in one SQLite transaction.
 *
 * Invariants:
 * 1. Entries are sent in the order of their indexes, without a gap and without a repeat.
 * 2. At most `BATCHES_UNDER_WAY` batches are with the thread; the second is there so that the thread need not wait for the main thread.
 * 3. After `fatal` nothing is sent or answered any more.
 * 4. While the disk is full the thread keeps what it has been sent; it is answered when a `retry` finds room.
 */
import { assert, PumiceError, unpackError, type Worker } from "../../base/mod.ts";
import type { SqliteStatus } from "../connection/sqlite-status.ts";
import type { EntryResult } from "../result/results.ts";
import { packApply, unpackResults } from "../wire/packing.ts";
import type { DatabaseState } from "../result/database-state.ts";
import type { ApplyRequest, ApplyResponse } from "../wire/protocol.ts";
import type { ApplyEntry } from "../command/entry.ts";
import type { CheckpointMode, CheckpointResult } from "../result/checkpoint.ts";

/** What the apply thread tells its owner. */
export interface ApplyListener {
  /** The database is of an older format: it stays as it is, and closed, until `upgrade` is called. Called at most once, first. */
  old(): void;
  /** The database is open. Called once, before all but `old`. */
  opened(held: DatabaseState): void;
  /** `entries[i]` gave `results[i]`. */
  applied(entries: readonly ApplyEntry[], results: readonly EntryResult[]): void;
  /** This machine failed: the replica must stop. Called at most once, last. */
  failed(error: PumiceError): void;
}

const BATCHES_UNDER_WAY = 2;
/** Small batches overlap: while one is applied, the results of the one before are answered. A transaction costs about 15 us, a batch 50. */
const BATCH_ENTRIES_MAX = 64;
/** Unit: bytes. One entry is taken however large. */
const BATCH_BYTES_MAX = 8 * 1024;

/** The main thread's end of the apply thread. */
export class ApplyThread {
  readonly #worker: Worker;
  readonly #listener: ApplyListener;
  readonly #underWay: (readonly ApplyEntry[])[] = [];
  readonly #checkpoints: ((result: CheckpointResult) => void)[] = [];
  readonly #statuses: ((status: SqliteStatus) => void)[] = [];
  #queue: ApplyEntry[] = [];
  #lastQueued = 0;
  #walBytes = 0;
  #state: "opening" | "open" | "closing" | "closed" | "failed" = "opening";
  #full: PumiceError | undefined;
  #isRetrying = false;
  #whenIdle: (() => void)[] = [];
  #whenClosed: (() => void) | undefined;

  constructor(worker: Worker, listener: ApplyListener) {
    this.#worker = worker;
    this.#listener = listener;
    worker.onMessage((message) => this.#receive(message as ApplyResponse));
    worker.onExit((error) => this.#fail(error ?? new PumiceError("WORKER_FAILED", { name: "apply" })));
  }

  /** Size of SQLite's `-wal` file after the last batch. Unit: bytes. */
  get walBytes(): number {
    return this.#walBytes;
  }

  /** Entries that have been committed and not yet applied. */
  get waitingCount(): number {
    let count = this.#queue.length;
    for (const batch of this.#underWay) count += batch.length;
    return count;
  }

  /** Why committed entries are kept and not applied: the disk is full. Undefined: all is well. */
  get refusal(): PumiceError | undefined {
    return this.#full;
  }

  /** Tries again what is kept. */
  retry(): void {
    if (this.#full === undefined || this.#isRetrying || this.#state !== "open") return;
    this.#isRetrying = true;
    this.#post({ kind: "retry" });
  }

  /** @throws AssertionError unless the entries follow those given before. */
  apply(entries: readonly ApplyEntry[]): void {
    for (const entry of entries) {
      assert(this.#lastQueued === 0 || entry.index === this.#lastQueued + 1, "entries are applied in order, without a gap");
      this.#lastQueued = entry.index;
      this.#queue.push(entry);
    }
    this.#pump();
  }

  /** After `old`: upgrades the database and opens it. */
  upgrade(): void {
    this.#post({ kind: "upgrade" });
  }

  /** Stores who this node is, before any entry that is given later. */
  identify(node: Uint8Array): void {
    this.#post({ kind: "identify", node });
  }

  /** Runs between two batches. */
  checkpoint(mode: CheckpointMode): Promise<CheckpointResult> {
    return new Promise((resolve) => {
      this.#checkpoints.push(resolve);
      this.#post({ kind: "checkpoint", mode });
    });
  }

  status(): Promise<SqliteStatus> {
    return new Promise((resolve) => {
      this.#statuses.push(resolve);
      this.#post({ kind: "status" });
    });
  }

  /** Resolves when all entries given so far have been applied, or the thread has failed, or the disk is full: that may last. */
  idle(): Promise<void> {
    if (this.waitingCount === 0 || this.#state === "failed" || this.#full !== undefined) return Promise.resolve();
    return new Promise((resolve) => this.#whenIdle.push(resolve));
  }

  /** Closes the database after what was given so far (what a full disk keeps waiting, the next start applies), and ends the thread. */
  async close(): Promise<void> {
    if (this.#state === "open") {
      await this.idle();
      if (this.#state === "open") {
        this.#state = "closing";
        const closed = new Promise<void>((resolve) => (this.#whenClosed = resolve));
        this.#post({ kind: "close" });
        await closed;
        this.#state = "closed";
      }
    }
    await this.#worker.terminate();
  }

  #pump(): void {
    while (this.#queue.length > 0 && this.#underWay.length < BATCHES_UNDER_WAY && this.#state === "open") {
      const batch = this.#takeBatch();
      this.#underWay.push(batch);
      const packed = packApply(batch);
      this.#post({ kind: "apply", batch: packed }, [packed.bytes.buffer]);
    }
  }

  #takeBatch(): readonly ApplyEntry[] {
    let count = 0;
    let bytes = 0;
    for (const entry of this.#queue) {
      if (count > 0 && (count === BATCH_ENTRIES_MAX || bytes + entry.data.length > BATCH_BYTES_MAX)) break;
      count++;
      bytes += entry.data.length;
    }
    if (count < this.#queue.length) return this.#queue.splice(0, count);
    const whole = this.#queue;
    this.#queue = [];
    return whole;
  }

  #post(request: ApplyRequest, transfer?: readonly ArrayBuffer[]): void {
    this.#worker.post(request, transfer);
  }

  #receive(response: ApplyResponse): void {
    if (this.#state === "failed" || this.#state === "closed") return;
    switch (response.kind) {
      case "old":
        this.#listener.old();
        return;
      case "opened":
        this.#state = "open";
        this.#lastQueued = response.held.applied.index;
        this.#walBytes = response.walBytes;
        this.#listener.opened(response.held);
        return;
      case "applied":
        this.#full = undefined;
        this.#isRetrying = false;
        this.#applied(unpackResults(response.results), response.walBytes);
        return;
      case "full":
        this.#full = unpackError(response.error);
        this.#isRetrying = false;
        this.#wakeIdle();
        return;
      case "checkpointed": {
        this.#walBytes = response.walBytes;
        const { full, ...checkpoint } = response.checkpoint;
        this.#checkpoints.shift()?.({ ...checkpoint, full: full && unpackError(full) });
        return;
      }
      case "status":
        this.#statuses.shift()?.(response.status);
        return;
      case "closed":
        this.#whenClosed?.();
        return;
      case "fatal":
        this.#fail(unpackError(response.error));
    }
  }

  #applied(results: readonly EntryResult[], walBytes: number): void {
    const entries = this.#underWay.shift();
    assert(entries !== undefined && entries.length === results.length, "a batch has one result for each entry");
    this.#walBytes = walBytes;
    this.#pump();
    this.#listener.applied(entries, results);
    if (this.waitingCount === 0) this.#wakeIdle();
  }

  #wakeIdle(): void {
    const waiting = this.#whenIdle;
    this.#whenIdle = [];
    for (const resolve of waiting) resolve();
  }

  #fail(error: Error): void {
    if (this.#state === "failed" || this.#state === "closed") return;
    this.#state = "failed";
    this.#wakeIdle();
    this.#whenClosed?.();
    this.#listener.failed(error instanceof PumiceError ? error : new PumiceError("WORKER_FAILED", { name: "apply" }, error));
  }
}
