/**
 * Who belongs to the cluster, as a value that the log builds: each membership entry turns it into the next, alike on every node. It commits with the
 * applied index. Ids are given in ascending order and never again, also not after a member has left.
 */
import { assert, PumiceError, type Random } from "../../base/mod.ts";
import {
  allMembers,
  configurationOf,
  decodeConfChange,
  EMPTY_CONF_STATE,
  membersAfter as configurationAfter,
  type ConfState,
  type Entry,
} from "../../raft/mod.ts";
import type { Member, Members } from "./member.ts";
import { decodeContext, type MembershipContext } from "./members-codec.ts";

/** Before the first membership entry. */
export const NO_MEMBERS: Members = { clusterId: "", confState: EMPTY_CONF_STATE, lastNodeId: 0, described: [] };

/** The members of a directory of before there were membership entries: one node, which nobody has described. */
export const UNDESCRIBED_MEMBERS: Members = { ...NO_MEMBERS, confState: { ...EMPTY_CONF_STATE, voters: [1] }, lastNodeId: 1 };

/** A new cluster's id. */
export function drawClusterId(random: Random): string {
  return [random.u64(), random.u64()].map((half) => half.toString(16).padStart(16, "0")).join("");
}

/** The id that a node which joins is to be given. */
export function nextNodeId(members: Members): number {
  return members.lastNodeId + 1;
}

/** The members after the committed membership entry `entry`. @throws REPLICA_MEMBERS if the entry makes no sense or is another cluster's */
export function membersAfter(members: Members, entry: Entry): Members {
  const change = decodeConfChange(entry.data);
  assert(change !== undefined, "a committed membership change is well formed");
  const context = decodeContext(change.context);
  const confState = configurationAfter(members.confState, entry);
  const lastNodeId = Math.max(members.lastNodeId, ...change.changes.map(({ nodeId }) => nodeId));
  return { clusterId: clusterIdAfter(members, context), confState, lastNodeId, described: describedAfter(members, confState, context) };
}

function clusterIdAfter(members: Members, context: MembershipContext | undefined): string {
  if (context === undefined) return members.clusterId;
  if (members.clusterId !== "" && members.clusterId !== context.clusterId) {
    throw new PumiceError("REPLICA_MEMBERS", {
      reason: "an entry of another cluster",
      cluster: members.clusterId,
      entry: context.clusterId,
    });
  }
  return context.clusterId;
}

/** Those of the configuration, described as the newest entry does it. */
function describedAfter(members: Members, confState: ConfState, context: MembershipContext | undefined): readonly Member[] {
  const byId = new Map([...members.described, ...(context?.described ?? [])].map((member) => [member.nodeId, member]));
  const ids = allMembers(configurationOf(confState));
  return ids.flatMap((id) => byId.get(id) ?? []);
}
