/** The nouns of membership. Their bytes: docs/formats/members.md. */
import type { ConfState } from "../../raft/mod.ts";

/** One member, as its operator and its clients know it. */
export interface Member {
  /** Given by the cluster. What Raft calls a node. */
  readonly nodeId: number;
  /** What its operator calls it; kept for good. */
  readonly name: string;
  /** HOST:PORT told to other nodes. */
  readonly raftAddress: string;
  /** The URL told to clients. */
  readonly apiAddress: string;
}

/** Who this node is. */
export interface NodeIdentity {
  /** 32 hexadecimal digits, drawn when the cluster was founded. */
  readonly clusterId: string;
  readonly nodeId: number;
  readonly name: string;
}

/** All members. */
export interface Members {
  /** Empty until an entry has told it. */
  readonly clusterId: string;
  readonly confState: ConfState;
  /** The last node id that was given. */
  readonly lastNodeId: number;
  /** In the order of their ids. A member that nobody has described is missing. */
  readonly described: readonly Member[];
}
