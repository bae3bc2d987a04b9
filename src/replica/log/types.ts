/** What the log tells. The hard state is the consensus core's. */
import type { EntryId } from "../../base/mod.ts";
import type { HardState } from "../../raft/mod.ts";

/** What is durable. */
export interface LogState {
  readonly hardState: HardState;
  /** Everything up to here was dropped: the first entry that can be read is the next. */
  readonly compacted: EntryId;
  /** The last entry; equal to `compacted` if there is none. */
  readonly last: EntryId;
}
