/** How a node starts: it founds a cluster, joins one, or goes on where it was. Decided from what its log and its database hold. Pure. */
import { PumiceError, type Random } from "../../base/mod.ts";
import { bootstrapState, decodeConfChange, type Entry } from "../../raft/mod.ts";
import type { DatabaseState } from "../../sql/mod.ts";
import type { LogBeginning, LogIdentity, LogState } from "../log/mod.ts";
import { packBatch } from "../log/pack.ts";
import { decodeContext, decodeIdentity, decodeMembers, encodeContext } from "./members-codec.ts";
import type { Member, Members, NodeIdentity } from "./member.ts";
import { drawClusterId, NO_MEMBERS, UNDESCRIBED_MEMBERS } from "./members.ts";

/** What a node is started with. */
export interface StartSettings {
  /** The node's name. */
  readonly id: string;
  /** The name was chosen by the operator. Default false: it is the Raft address. */
  readonly isIdChosen?: boolean | undefined;
  /** The Raft address told to others, HOST:PORT. */
  readonly address: string;
  /** The URL of the API told to clients. Default: none. */
  readonly apiAddress?: string | undefined;
  /** Raft addresses of nodes of a cluster to join, if this directory is new. Default: none, a new directory founds a cluster. */
  readonly join?: readonly string[] | undefined;
}

/** What was found. */
export interface Found {
  readonly log: LogState;
  readonly identity: LogIdentity;
  /** The log is new. */
  readonly hasBegun: boolean;
  readonly database: DatabaseState;
}

/** How the node starts. `members`: as of what the database has applied; undefined if its first entry must tell. */
export type Start =
  | { readonly kind: "found"; readonly node: NodeIdentity; readonly members: Members | undefined }
  | { readonly kind: "restart"; readonly node: NodeIdentity; readonly members: Members | undefined }
  | { readonly kind: "join"; readonly addresses: readonly string[] };

/** The first member's id. Later ones are given by `nextNodeId`. */
const FIRST_NODE_ID = 1;

/** What a new log begins with: the founder's membership entry, committed, unless the node is to join a cluster. */
export function beginningOf(settings: StartSettings, random: Random): LogBeginning {
  const clusterId = drawClusterId(random);
  const identity = { clusterId, nodeId: FIRST_NODE_ID };
  if (settings.join !== undefined && settings.join.length > 0) return { identity };
  const context = encodeContext({ clusterId, described: [memberOf({ ...identity, name: settings.id }, settings)] });
  const { hardState, entries } = bootstrapState([{ id: FIRST_NODE_ID, context }]);
  return { identity, batch: packBatch({ number: 1, hardState, snapshot: undefined, entries, mustSync: true }) };
}

/** This node, as it tells others of itself. */
export function memberOf(node: NodeIdentity, settings: StartSettings): Member {
  return { nodeId: node.nodeId, name: node.name, raftAddress: settings.address, apiAddress: settings.apiAddress ?? "" };
}

/** The log and the database are of one node, and the log is not behind. @throws REPLICA_BEHIND_DATABASE, REPLICA_FOREIGN, REPLICA_MEMBERS */
export function checkFound({ log, identity, database }: Found): void {
  if (database.applied.index > log.last.index) {
    throw new PumiceError("REPLICA_BEHIND_DATABASE", { applied: database.applied.index, logEnd: log.last.index });
  }
  const stored = database.node && decodeIdentity(database.node);
  if (stored !== undefined && (stored.clusterId !== identity.clusterId || stored.nodeId !== identity.nodeId)) {
    throw new PumiceError("REPLICA_FOREIGN", {
      databaseCluster: stored.clusterId,
      databaseNode: stored.nodeId,
      logCluster: identity.clusterId,
      logNode: identity.nodeId,
    });
  }
}

/** Decides from what `checkFound` found whole, and `replay`: the entries that the database has not applied. @throws REPLICA_OTHER_NAME, REPLICA_MEMBERS */
export function decideStart(settings: StartSettings, found: Found, replay: readonly Entry[]): Start {
  const { log, identity, database } = found;
  if (log.last.index === 0 && log.compacted.index === 0) return { kind: "join", addresses: settings.join ?? [] };
  const members = database.members && decodeMembers(database.members);
  const told = database.node === undefined ? nameOf(identity.nodeId, members, replay) : decodeIdentity(database.node).name;
  if (told !== undefined && told !== settings.id && settings.isIdChosen === true) {
    throw new PumiceError("REPLICA_OTHER_NAME", {
      directory: told,
      given: settings.id,
      hint: `start it with -node-id ${told}, or give another directory`,
    });
  }
  return { kind: found.hasBegun ? "found" : "restart", node: { ...identity, name: told ?? settings.id }, members };
}

/**
 * What a node is called by the members or, if they do not describe it, by the entries after them, committed or not: a database that was lost knows
 * nothing, but the log that it is made from again does.
 */
function nameOf(nodeId: number, members: Members | undefined, replay: readonly Entry[]): string | undefined {
  const name = members?.described.find((member) => member.nodeId === nodeId)?.name;
  if (name !== undefined) return name;
  for (const entry of replay) {
    const context = entry.type === "config" ? decodeConfChange(entry.data)?.context : undefined;
    const described = context && decodeContext(context)?.described.find((member) => member.nodeId === nodeId);
    if (described !== undefined) return described.name;
  }
  return undefined;
}

/**
 * The members that a replay starts from where the database has none: nobody, if the first entry tells of the founders; else the directory
 * is of before that, and was one node.
 */
export function membersBefore(first: { readonly index: number; readonly type: string } | undefined): Members {
  return first?.index === 1 && first.type === "config" ? NO_MEMBERS : UNDESCRIBED_MEMBERS;
}
