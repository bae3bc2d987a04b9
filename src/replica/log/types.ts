/** What the log is told and what it tells. Entries and hard state are the consensus core's. */
import type { EntryId } from "../../base/mod.ts";
import type { Entry, HardState } from "../../raft/mod.ts";

/** What is durable. */
export interface LogState {
  readonly hardState: HardState;
  /** Everything up to here was dropped: the first entry that can be read is the next. */
  readonly compacted: EntryId;
  /** The last entry; equal to `compacted` if there is none. */
  readonly last: EntryId;
}

/** What becomes durable together; the driver's LogBatch is one. Entries are contiguous and replace everything from the first one's index on. */
export interface LogAppend {
  /** Ascending; what `persisted` names. */
  readonly number: number;
  readonly hardState?: HardState | undefined;
  /** Comes first: the log is then empty and goes on after this place. The snapshot itself is somebody else's to keep. */
  readonly snapshot?: EntryId | undefined;
  readonly entries: readonly Entry[];
}
