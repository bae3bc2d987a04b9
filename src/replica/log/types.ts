/** What the log is told and what it tells. Entries and hard state are the consensus core's. */
import type { Entry, HardState } from "../../raft/mod.ts";

/** A place in the log: an index and the term of the entry there. (0, 0) is before the first entry. */
export interface LogPosition {
  readonly index: number;
  readonly term: number;
}

/** Before the first entry. */
export const LOG_START: LogPosition = { index: 0, term: 0 };

/** What is durable. */
export interface LogState {
  readonly hardState: HardState;
  /** Everything up to here was dropped: the first entry that can be read is the next. */
  readonly compacted: LogPosition;
  /** The last entry; equal to `compacted` if there is none. */
  readonly last: LogPosition;
}

/** What becomes durable together; the driver's LogBatch is one. Entries are contiguous and replace everything from the first one's index on. */
export interface LogAppend {
  /** Ascending; what `persisted` names. */
  readonly number: number;
  readonly hardState?: HardState | undefined;
  /** Comes first: the log is then empty and goes on after this place. The snapshot itself is somebody else's to keep. */
  readonly snapshot?: LogPosition | undefined;
  readonly entries: readonly Entry[];
}
