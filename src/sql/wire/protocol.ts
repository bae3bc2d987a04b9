/**
 * Messages between the replica and the threads that run SQLite. `src/entry/apply-worker.ts` runs one StateMachine,
 * `src/entry/reader-worker.ts` one Reader; both by the loops in `apply/service.ts` and `read/service.ts`.
 *
 * A worker's first message is `opened` or `fatal`. After `fatal` it does nothing more: the replica stops.
 * Requests are answered in their order, except that reads may be answered in several `reads` messages, and that batches wait for a disk that is full.
 */
import type { EntryId, PackedError } from "../../base/mod.ts";
import type { SqliteStatus } from "../connection/sqlite-status.ts";
import type { EntryResult } from "../result/results.ts";
import type { PackedApply, PackedResults } from "./packing.ts";
import type { BackupOptions, DumpOptions } from "../command/backup-options.ts";
import type { SqlRead } from "../command/read.ts";
import type { CheckpointMode, CheckpointResult } from "../result/checkpoint.ts";
import type { DatabaseState } from "../result/database-state.ts";
import type { SqlReadResult } from "../result/results.ts";

/** First argument of both workers: plain data. */
export interface SqlWorkerInit {
  /** The database file. Its folder exists. */
  readonly path: string;
  /** The extension built by scripts/build-native.mjs. */
  readonly extensionPath: string;
  /** Foreign keys are enforced. The same on every replica. */
  readonly foreignKeys: boolean;
}

/** First argument of a reader worker. */
export interface ReaderWorkerInit extends SqlWorkerInit {
  /** One Int32 that is shared: the id, cut to 32 bits, of the read that runs now. Default: nobody wants to know. */
  readonly running?: SharedArrayBuffer | undefined;
}

/** What a checkpoint did, as it crosses threads. */
export interface WireCheckpoint extends Omit<CheckpointResult, "full"> {
  readonly full: PackedError | undefined;
}

/** To the apply worker. */
export type ApplyRequest =
  /** After `old`: upgrades the database and opens it. */
  | { readonly kind: "upgrade" }
  | { readonly kind: "apply"; readonly batch: PackedApply }
  /** After `full`: tries again what is kept. */
  | { readonly kind: "retry" }
  | { readonly kind: "checkpoint"; readonly mode: CheckpointMode }
  /** Stores who this node is: opaque bytes that stay with the database. Not answered. */
  | { readonly kind: "identify"; readonly node: Uint8Array }
  | { readonly kind: "status" }
  | { readonly kind: "close" };

/** From the apply worker. */
export type ApplyResponse =
  /** The database is of an older format, and waits as it is for `upgrade`. */
  | { readonly kind: "old" }
  | { readonly kind: "opened"; readonly held: DatabaseState; readonly sqliteVersion: string; readonly walBytes: number }
  | { readonly kind: "applied"; readonly results: PackedResults<EntryResult>; readonly applied: EntryId; readonly walBytes: number }
  /** The disk is full: this batch and those after it are kept, and answered when a `retry` finds room. */
  | { readonly kind: "full"; readonly error: PackedError }
  | { readonly kind: "checkpointed"; readonly checkpoint: WireCheckpoint; readonly walBytes: number }
  | { readonly kind: "status"; readonly status: SqliteStatus }
  | { readonly kind: "closed" }
  | { readonly kind: "fatal"; readonly error: PackedError };

/** From a checkpoint worker, for each message that it gets. After `fatal` the replica stops. */
export type CheckpointerResponse =
  | { readonly kind: "moved"; readonly full: PackedError | undefined }
  | { readonly kind: "fatal"; readonly error: PackedError };

/** To a reader worker. Ids are chosen by the sender. */
export type ReaderRequest =
  | { readonly kind: "read"; readonly requests: readonly IdentifiedRead[] }
  | { readonly kind: "backup"; readonly id: number; readonly target: string; readonly options: BackupOptions }
  /** Opens a dump. Each `dump-next` gets one `dump-chunk` until `isLast`; `dump-stop` ends it early. */
  | { readonly kind: "dump"; readonly id: number; readonly options: DumpOptions }
  | { readonly kind: "dump-next"; readonly id: number }
  | { readonly kind: "dump-stop"; readonly id: number }
  | { readonly kind: "status"; readonly id: number }
  | { readonly kind: "close" };

/** A read and the id of its answer. */
export interface IdentifiedRead {
  readonly id: number;
  readonly request: SqlRead;
}

/** From a reader worker. `interruptHandle` is for `InterruptSwitch.interrupt` on any thread of the process. */
export type ReaderResponse =
  | { readonly kind: "opened"; readonly interruptHandle: number }
  | { readonly kind: "reads"; readonly ids: readonly number[]; readonly results: PackedResults<SqlReadResult> }
  | { readonly kind: "backup-done"; readonly id: number; readonly error: PackedError | undefined }
  | {
      readonly kind: "dump-chunk";
      readonly id: number;
      readonly text: string;
      readonly isLast: boolean;
      readonly error: PackedError | undefined;
    }
  | { readonly kind: "status"; readonly id: number; readonly status: SqliteStatus }
  | { readonly kind: "closed" }
  | { readonly kind: "fatal"; readonly error: PackedError };
