/** What a store tells of itself. */
import type { PumiceError } from "../../base/mod.ts";
import type { CacheStats } from "../store/block-cache.ts";
import type { Profile } from "./settings.ts";

/** Counters since the compactor was started. */
export interface CompactorStats {
  readonly epoch: number;
  readonly running: number;
  readonly completed: number;
  readonly failed: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly sstsWritten: number;
  /** When the last one ended, seconds since 1970; 0: none yet. */
  readonly lastCompletedS: number;
}

/** What one run of garbage collection deleted. */
export interface GcReport {
  readonly checkpoints: number;
  /** Parents of a clone of which it uses nothing any more. */
  readonly detached: number;
  readonly manifests: number;
  readonly compactions: number;
  readonly wals: number;
  readonly ssts: number;
}

/** State and counters of an open store. Counters begin at its opening. */
export interface DbStatus {
  /** Why it is no longer open; undefined while it is. */
  readonly closed: "closed" | "fenced" | "failed" | undefined;
  readonly profile: Profile;
  readonly writerEpoch: number;
  /** Sequence number of the newest write. */
  readonly lastSeq: number;
  /** Writes up to this survive the loss of this machine. */
  readonly durableSeq: number;
  /** Writes up to this are in L0 or sorted runs. */
  readonly flushedSeq: number;
  /** Newest stamp, milliseconds since 1970. */
  readonly lastTick: number;
  /** Stamps reused because the wall clock was behind. */
  readonly clock: { readonly reusedTicks: number; readonly aheadMsMax: number };
  readonly memtableBytes: number;
  /** Bytes in frozen memtables and in the WAL's buffer. */
  readonly unflushedBytes: number;
  readonly frozenMemtables: number;
  readonly l0Ssts: number;
  readonly sortedRuns: number;
  /** WAL objects put. */
  readonly walFiles: number;
  /** Snapshots, transactions and scans that are open: what they see is kept. A number that only grows is a leak. */
  readonly openReads: number;
  /** Rows that the opening found in the WAL. */
  readonly replayedRows: number;
  readonly cache: CacheStats;
  /** Undefined if no compactor is embedded. */
  readonly compactor: CompactorStats | undefined;
  /**
   * What failed last in compaction or garbage collection, which are tried again, or of the merge operator at a flush, which leaves the operands as they
   * are; undefined if nothing did.
   */
  readonly backgroundError: PumiceError | undefined;
  /** Why the object store is being asked again, a full disk for example; undefined once it has answered. Writes that wait, wait for this. */
  readonly storeError: PumiceError | undefined;
  /** Rows written. */
  readonly puts: number;
  /** Commits. */
  readonly batches: number;
  readonly gets: number;
  readonly scans: number;
  readonly snapshots: number;
  readonly transactions: number;
  /** Checkpoints asked for. */
  readonly checkpoints: number;
  /** Flushes of the WAL and of the memtable that were asked for. */
  readonly walFlushes: number;
  readonly memtableFlushes: number;
  /** Memtables that were frozen. */
  readonly freezes: number;
  /** Bytes of rows written into memtables, estimated. */
  readonly memtableWriteBytes: number;
  /** Bytes of memtables that became L0s, estimated. */
  readonly l0FlushBytes: number;
  /** Bytes of WAL objects put. */
  readonly walBytes: number;
  /** Bytes that wait to become WAL objects. */
  readonly walBufferBytes: number;
  readonly l0Flushes: number;
  /** Times that flushing waited for compaction. */
  readonly stalls: number;
  /** Times that a write waited for flushing. */
  readonly backpressure: number;
}
