/** What the driver of the consensus core asks of its owner: a log to write, a network, a state machine. */
import type { EntryId } from "../../base/mod.ts";
import type { OlderRange } from "./memory-log.ts";
import type { ConfState, Entry, HardState, Message, Role, Snapshot } from "../../raft/mod.ts";

/**
 * One durable unit for the log: first the snapshot, if there is one, then the entries and the hard state.
 * Entries replace everything in the log from the first one's index on; a snapshot replaces all of it.
 */
export interface LogBatch {
  /** Grows with each batch; not every number occurs. */
  readonly number: number;
  readonly hardState: HardState | undefined;
  /** To be restored into the state machine and made durable before this batch counts as persisted. */
  readonly snapshot: Snapshot | undefined;
  readonly entries: readonly Entry[];
  /** False if only the commit index moved: it may be lost in a crash, so no sync is needed. */
  readonly mustSync: boolean;
}

/** The log on disk. */
export interface LogPort {
  /** Takes a batch; batches are written in order. Later, or at once, the owner calls `driver.persisted(number)`. */
  append(batch: LogBatch): void;
  /** Everything up to `to` may go, whenever it suits: it is applied here, and the commit index on disk has passed it. */
  compact(to: EntryId): void;
}

/** What changed about who leads. */
export interface RoleChange {
  readonly role: Role;
  readonly term: number;
  /** 0 if nobody is known to lead. */
  readonly lead: number;
  /** The last entry of this node's log at that moment. */
  readonly lastIndex: number;
}

/** The owner's side. None of these may call the driver's methods, except `log.append` and `apply`, which may acknowledge at once. */
export interface DriverPorts {
  readonly log: LogPort;
  /** Sends a message; it may be lost. A MsgSnap's fate is to be told by `driver.reportSnapshot`. */
  send(message: Message): void;
  /**
   * Committed entries, in order, without gap or repeat. Later, or at once, the owner calls `driver.applied(index)`.
   * Entries with empty data and of type "config" change no state; the index moves all the same.
   */
  apply(entries: readonly Entry[]): void;
  /** A read may be answered: the state machine is to have applied `index` first. `read` is what `driver.readIndex()` returned. */
  readable(read: number, index: number): void;
  roleChanged(change: RoleChange): void;
  /** The members as of the entry at `index`, which this node has applied. */
  membersChanged(members: ConfState, index: number): void;
  /**
   * Reads entries that memory has forgotten, for a follower that lags. One range at a time; later, never from within, the owner calls `driver.olderRead`. Absent:
   * memory keeps what a follower may need.
   */
  readOlder?(range: OlderRange): void;
  /** The latest snapshot that can be sent to a follower; undefined if there is none. */
  latestSnapshot(): Snapshot | undefined;
}
