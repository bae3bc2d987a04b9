/**
 * Keeps SQLite's WAL and the Raft log bounded until snapshots exist: past a limit, between two apply transactions, a checkpoint moves
 * the WAL into the database file and syncs it; the log may then go up to the index that the file holds.
 *
 * Invariant: the log is given up only to an index whose entry stands in the synced file.
 */
import type { EntryId, PumiceError } from "../../base/mod.ts";
import type { CheckpointResult } from "../../sql/mod.ts";

/** What the policy may do. */
export interface CheckpointParts {
  readonly checkpoint: () => Promise<CheckpointResult>;
  /** Everything up to `position` is in the synced database file. */
  readonly durable: (position: EntryId) => void;
  /** Interrupts reads that are older than `ms`: they hold the WAL. The number interrupted. */
  readonly interruptReads: (ms: number) => number;
  /** Frames at the WAL's beginning that a snapshot has captured: no checkpoint passes the last of them. Undefined: no snapshots are kept. */
  readonly capturedFrames: () => number | undefined;
}

/** Counters, for status pages. */
export interface CheckpointCounts {
  readonly checkpoints: number;
  /** Checkpoints that a reader kept from being whole. */
  readonly busy: number;
  /** Checkpoints for which the disk was too full. */
  readonly putOff: number;
  readonly readsInterrupted: number;
}

/** Past this many times the limit, reads older than `STALE_READ_MS` are interrupted. */
const HARD_LIMIT_FACTOR = 16;
const STALE_READ_MS = 1000;
/** A page of the database and its header in the WAL. */
const WAL_FRAME_BYTES = 4096 + 24;
/** Applied positions that are remembered, the newest last. */
const POSITIONS_MAX = 16;

/** Decides when to checkpoint. */
export class Checkpoints {
  readonly #parts: CheckpointParts;
  readonly #limitBytes: number;
  #isRunning = false;
  /** The WAL's size at which the next one is due. Grows while readers are in the way, so that it is not tried at every batch. */
  #dueBytes: number;
  #positions: EntryId[] = [];
  #walBytes = 0;
  #refusal: PumiceError | undefined;
  #counts: CheckpointCounts = { checkpoints: 0, busy: 0, putOff: 0, readsInterrupted: 0 };

  constructor(limitBytes: number, parts: CheckpointParts) {
    this.#limitBytes = limitBytes;
    this.#dueBytes = limitBytes;
    this.#parts = parts;
  }

  get counts(): CheckpointCounts {
    return this.#counts;
  }

  /** A batch that ended at `position` has been applied; the WAL is now `walBytes` long. */
  applied(position: EntryId, walBytes: number): void {
    this.#positions.push(position);
    if (this.#positions.length > POSITIONS_MAX) this.#positions.shift();
    this.#walBytes = walBytes;
    // While the disk is full, `retry` says when.
    if (walBytes >= this.#dueBytes && this.#refusal === undefined) this.#run();
  }

  /** Why the last one was put off: the disk is full. Undefined: it was not. */
  get refusal(): PumiceError | undefined {
    return this.#refusal;
  }

  /** Makes one now: after a full disk it may be all that is needed to have room again. */
  retry(): void {
    this.#run();
  }

  #run(): void {
    // A checkpoint moves whatever readers allow, so none is made before every frame has been captured.
    if (this.#isRunning || Math.floor(this.#walBytes / WAL_FRAME_BYTES) > (this.#parts.capturedFrames() ?? Infinity)) return;
    this.#isRunning = true;
    const walBytes = this.#walBytes;
    void this.#parts.checkpoint().then((result) => this.#done(result, walBytes));
  }

  #done(result: CheckpointResult, walBytes: number): void {
    this.#isRunning = false;
    this.#refusal = result.full;
    if (result.full !== undefined) {
      this.#counts = { ...this.#counts, putOff: this.#counts.putOff + 1 };
      return;
    }
    this.#counts = {
      ...this.#counts,
      checkpoints: this.#counts.checkpoints + 1,
      busy: this.#counts.busy + (result.busy ? 1 : 0),
    };
    const position = this.#positions.find(({ index }) => index === result.durableIndex);
    if (position !== undefined) this.#parts.durable(position);
    if (!result.busy) {
      this.#dueBytes = this.#limitBytes;
      return;
    }
    this.#dueBytes = walBytes + this.#limitBytes;
    if (walBytes > this.#limitBytes * HARD_LIMIT_FACTOR) {
      const readsInterrupted = this.#counts.readsInterrupted + this.#parts.interruptReads(STALE_READ_MS);
      this.#counts = { ...this.#counts, readsInterrupted };
    }
  }
}
