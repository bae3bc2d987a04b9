/** What an opened database tells of itself. Members and node are bytes of the replica's: docs/formats/members.md. */
import type { EntryId } from "../../base/mod.ts";

/** What a database holds besides its rows. */
export interface DatabaseState {
  readonly applied: EntryId;
  /** The members as of `applied`; undefined if no entry has told them yet. */
  readonly members: Uint8Array | undefined;
  /** Who this node is; undefined if nobody has told the database yet. */
  readonly node: Uint8Array | undefined;
}
