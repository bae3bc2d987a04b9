/** The parts of compaction that a program may choose: which merges happen, where they run, and what they keep. */
import type { Ulid } from "../format/identifiers.ts";
import type { CompactionSpec } from "../format/compactions.ts";
import type { Manifest, SstRef } from "../format/manifest.ts";
import type { Row } from "../format/row.ts";
import type { SstSettings } from "../format/sst-writer.ts";
import type { RequestCounts } from "../store/counted-store.ts";
import type { RetentionRules } from "./retention.ts";

/** A user's say in what compaction keeps. Asked only at the bottom of the tree, of values not newer than the oldest snapshot; what is dropped is gone for all. */
export type CompactionFilter = (row: Row) => "keep" | "drop";

/** One merge. */
export interface CompactionJob {
  readonly id: Ulid;
  /** Names the sources, and those alone. */
  readonly sources: Pick<Manifest, "l0" | "runs" | "externalDbs">;
  /** Finished output of an earlier attempt. */
  readonly outputs: readonly SstRef[];
  readonly rules: Omit<RetentionRules, "operator">;
  readonly settings: SstSettings & { readonly maxSstBytes: number };
}

/** Hears of progress. */
export interface CompactionProgress {
  /** All outputs so far; the last is new. */
  onOutput(outputs: readonly SstRef[]): Promise<void>;
  onBytes(counts: { readonly read: number; readonly written: number }): void;
  /** What was asked of the object store elsewhere, once, at the end. */
  onRequests?(counts: RequestCounts): void;
}

/** Runs merges. */
export interface CompactionExecutor {
  /** False if the job had better be merged on the thread of the store. Default: true. */
  takes?(job: CompactionJob): boolean;
  /** The outputs, ascending. Gives up when `signal` is aborted. */
  run(job: CompactionJob, progress: CompactionProgress, signal: AbortSignal): Promise<readonly SstRef[]>;
}

/** Decides what to compact. */
export interface CompactionPicker {
  /** The next compaction, or undefined. `busy` are those under way: none of their sources may be used. */
  pick(manifest: Manifest, busy: readonly CompactionSpec[]): CompactionSpec | undefined;
}
