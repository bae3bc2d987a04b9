import type { FileSystem } from "../base/mod.ts";
import type { EntryResult, ResultWanted } from "./results.ts";

/** The last entry that the database file holds. Index 0: none. */
export interface Applied {
  readonly index: number;
  readonly term: number;
}

/** A committed entry. Empty `data`: a no-op of Raft, which only moves the applied index. */
export interface ApplyEntry {
  readonly index: number;
  readonly term: number;
  /** A command's bytes, or none. */
  readonly data: Uint8Array;
  readonly want?: ResultWanted | undefined;
}

/** What opens a database. */
export interface StateMachineOptions {
  /** The database file; created if absent. Its folder exists. */
  readonly path: string;
  /** The extension built by scripts/build-native.mjs. */
  readonly extensionPath: string;
  /** Default false, as rqlite. The same on every replica, always. */
  readonly foreignKeys?: boolean | undefined;
  /** For the `-wal` file and for the staging file of a load, never for the database file. */
  readonly files: FileSystem;
  /** Milliseconds from base's Clock, for timings only. */
  readonly monotonic: () => number;
}

/** "passive" moves what readers allow. "truncate" tries, after that, to make the `-wal` file empty; it declines instead of waiting. */
export type CheckpointMode = "passive" | "truncate";

/** What a checkpoint did. */
export interface CheckpointResult {
  /** A reader or another writer was in the way of a whole checkpoint. Nothing is wrong. */
  readonly busy: boolean;
  /** Frames in the WAL, and how many of them stand in the main file; both 0 after a truncation. */
  readonly logFrames: number;
  readonly checkpointedFrames: number;
  /** Every entry up to this one survives a power failure: the log may be truncated up to it. Unit: log index. */
  readonly durableIndex: number;
}

/** The database as a deterministic state machine: synchronous, lives on the apply thread. */
export interface StateMachineApi {
  readonly applied: Applied;
  /** Applies entries in the order of their indexes. @throws SQL_MACHINE, SQL_CORRUPT: only this machine failed; close and stop the node. */
  apply(entries: readonly ApplyEntry[]): EntryResult[];
  checkpoint(mode: CheckpointMode): CheckpointResult;
  walBytes(): number;
  close(): void;
}

export type StateMachineOpen = (options: StateMachineOptions) => StateMachineApi;
