/** Places in the Raft log. */

/** A place in the log: an index, and the term of the entry there. Both name an entry for good (section 5.3 of the paper). */
export interface EntryId {
  readonly index: number;
  readonly term: number;
}

/** Before the first entry. */
export const LOG_START: EntryId = { index: 0, term: 0 };
