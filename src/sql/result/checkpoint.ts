/** What a checkpoint of SQLite's WAL is asked for and gives. */
import type { PumiceError } from "../../base/mod.ts";

/**
 * "passive" moves what readers allow. After that, "restart" tries to have the WAL written from its beginning again, and "truncate" to make its
 * file empty as well, which costs more, now and when it grows again; both decline instead of waiting.
 */
export type CheckpointMode = "passive" | "restart" | "truncate";

/** What a checkpoint did. */
export interface CheckpointResult {
  /** A reader or another writer was in the way of a whole checkpoint. Nothing is wrong. */
  readonly busy: boolean;
  /** SQL_FULL: the main file found no room. What was moved is moved, the WAL has it all, and it may be tried again. */
  readonly full: PumiceError | undefined;
  /** Frames in the WAL, and how many of them stand in the main file; both 0 after a truncation. */
  readonly logFrames: number;
  readonly checkpointedFrames: number;
  /** Every entry up to this one survives a power failure: the log may be truncated up to it. Unit: log index. */
  readonly durableIndex: number;
}
