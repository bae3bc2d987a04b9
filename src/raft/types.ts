/**
 * The nouns of the Raft paper: entries, hard state, configurations, snapshots. Terms, indexes and node ids are numbers,
 * asserted to be safe integers where they enter the core (a message, a restart); 0 is "none" for each of them.
 */

/** What an entry carries: the user's bytes ("normal"; empty for a leader's no-op), or a membership change ("config"). */
export type EntryType = "normal" | "config";

/** One entry of the log. Immutable; `data` is owned by the log from the moment it is proposed. */
export interface Entry {
  readonly index: number;
  readonly term: number;
  readonly type: EntryType;
  readonly data: Uint8Array;
}

/** What must survive a crash besides the entries. Term and vote need a sync; the commit index only travels along. */
export interface HardState {
  readonly term: number;
  /** The node that got this node's vote in `term`, or 0. */
  readonly vote: number;
  readonly commit: number;
}

/** The members, as a snapshot records them. Every list is sorted by id. `votersOutgoing` is empty unless joint. */
export interface ConfState {
  readonly voters: readonly number[];
  readonly votersOutgoing: readonly number[];
  readonly learners: readonly number[];
  /** Voters of the outgoing half that become learners when the joint configuration is left. */
  readonly learnersNext: readonly number[];
  readonly autoLeave: boolean;
}

/** A state of the state machine that stands for all entries up to `index`. `data` is opaque to the core. */
export interface Snapshot {
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
  readonly data: Uint8Array;
}

/** What a node is in its term. */
export type Role = "follower" | "pre-candidate" | "candidate" | "leader";

/** What is not durable: who leads, and what this node is. */
export interface SoftState {
  readonly lead: number;
  readonly role: Role;
}

/** The answer to a read: once the state machine has applied `index`, it may answer the read that `context` names. */
export interface ReadState {
  readonly index: number;
  readonly context: number;
}

/** No members at all: what a node has that waits for its first snapshot. */
export const EMPTY_CONF_STATE: ConfState = { voters: [], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };

/** No entries. Shared and never written. */
export const NO_ENTRIES: readonly Entry[] = [];

/** The bytes that an entry counts for in size limits: its payload and a fixed overhead for index, term and type. */
export function entryBytes(entry: Entry): number {
  return entry.data.length + ENTRY_OVERHEAD_BYTES;
}

/** The payload bytes of entries: what the limit on uncommitted proposals counts. */
export function payloadBytes(entries: readonly Entry[]): number {
  let bytes = 0;
  for (const entry of entries) bytes += entry.data.length;
  return bytes;
}

/** The bytes that entries count for in size limits. */
export function totalBytes(entries: readonly Entry[]): number {
  return payloadBytes(entries) + entries.length * ENTRY_OVERHEAD_BYTES;
}

/** Unit: bytes. Index, term, type and length in the log's frame. */
const ENTRY_OVERHEAD_BYTES = 24;
