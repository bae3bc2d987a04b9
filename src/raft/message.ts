/**
 * Messages: what nodes say to each other, and what a host says to its own node. One record with every field, so that all
 * messages share one hidden class and one codec; which fields mean something is said at each type.
 */
import { NO_ENTRIES, type Entry, type Snapshot } from "./types.ts";

/** The message types. The names are etcd/raft's, which every Raft engineer knows. */
export type MessageType =
  /** Local: start an election. */
  | "MsgHup"
  /** Local: a leader's heartbeat is due. */
  | "MsgBeat"
  /** Local: a leader checks that a quorum was heard from. */
  | "MsgCheckQuorum"
  /** Local: `from` could not be reached. */
  | "MsgUnreachable"
  /** Local: the snapshot sent to `from` was installed, or failed (`reject`). */
  | "MsgSnapStatus"
  /** Local: forget who leads, so that pre-votes are granted. */
  | "MsgForgetLeader"
  /** Entries to append, on their way to the leader. Their index and term are 0. */
  | "MsgProp"
  /** Append: entries after (`index`, `logTerm`), and the leader's commit index. */
  | "MsgApp"
  /** Answer: everything up to `index` is in the log; or `reject` with a hint of where to look (`rejectHint`, `logTerm`). */
  | "MsgAppResp"
  /** Request for a vote for the log that ends at (`index`, `logTerm`). `force`: a transfer, which no lease holds back. */
  | "MsgVote"
  | "MsgVoteResp"
  /** As MsgVote, for the term that the sender would have. Nobody's term changes. */
  | "MsgPreVote"
  | "MsgPreVoteResp"
  /** Snapshot in `snapshot`. */
  | "MsgSnap"
  /** `commit`: what the receiver may commit. `context`: the round, for reads and leases. */
  | "MsgHeartbeat"
  | "MsgHeartbeatResp"
  /** `from` is to become leader. */
  | "MsgTransferLeader"
  /** Campaign now: a transfer's last step. */
  | "MsgTimeoutNow"
  /** A read, named by `context`, on its way to the leader. */
  | "MsgReadIndex"
  /** Its answer: `index`. */
  | "MsgReadIndexResp";

/** A message. 0 in a numeric field means that it says nothing. */
export interface Message {
  readonly type: MessageType;
  from: number;
  readonly to: number;
  term: number;
  readonly logTerm: number;
  index: number;
  readonly commit: number;
  readonly vote: number;
  readonly reject: boolean;
  readonly rejectHint: number;
  /** A read's name, or a heartbeat's round. */
  readonly context: number;
  /** A vote request that no lease may hold back. */
  readonly force: boolean;
  /** An index that the sender knows to be committed, and its term: in acknowledgements, and in refusals of votes. */
  knownCommit: number;
  knownCommitTerm: number;
  readonly entries: readonly Entry[];
  readonly snapshot: Snapshot | undefined;
}

/** The fields that a message of some type fills; the rest say nothing. */
export type MessageFields = Partial<Message> & { readonly type: MessageType; readonly to: number };

/** A message with every field present, in one order. */
export function createMessage(fields: MessageFields): Message {
  return {
    type: fields.type,
    from: fields.from ?? 0,
    to: fields.to,
    term: fields.term ?? 0,
    logTerm: fields.logTerm ?? 0,
    index: fields.index ?? 0,
    commit: fields.commit ?? 0,
    vote: fields.vote ?? 0,
    reject: fields.reject ?? false,
    rejectHint: fields.rejectHint ?? 0,
    context: fields.context ?? 0,
    force: fields.force ?? false,
    knownCommit: fields.knownCommit ?? 0,
    knownCommitTerm: fields.knownCommitTerm ?? 0,
    entries: fields.entries ?? NO_ENTRIES,
    snapshot: fields.snapshot,
  };
}

const LOCAL_TYPES: ReadonlySet<MessageType> = new Set<MessageType>([
  "MsgHup",
  "MsgBeat",
  "MsgCheckQuorum",
  "MsgUnreachable",
  "MsgSnapStatus",
  "MsgForgetLeader",
]);

const RESPONSE_TYPES: ReadonlySet<MessageType> = new Set<MessageType>([
  "MsgAppResp",
  "MsgVoteResp",
  "MsgPreVoteResp",
  "MsgHeartbeatResp",
  "MsgReadIndexResp",
  "MsgUnreachable",
]);

/** True for what only a host may say to its own node: such a message from the network is refused. */
export function isLocalType(type: MessageType): boolean {
  return LOCAL_TYPES.has(type);
}

/** True for answers: they are refused from a node that is not a member. */
export function isResponseType(type: MessageType): boolean {
  return RESPONSE_TYPES.has(type);
}

/** True for the four messages of an election. */
export function isVoteType(type: MessageType): boolean {
  return type === "MsgVote" || type === "MsgVoteResp" || type === "MsgPreVote" || type === "MsgPreVoteResp";
}

/** True for answers that promise something durable: they leave only once the log holds what they promise. */
export function promisesDurability(type: MessageType): boolean {
  return type === "MsgAppResp" || type === "MsgVoteResp" || type === "MsgPreVoteResp";
}
