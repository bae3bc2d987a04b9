/**
 * A run as a trace for a TLA+ model of Raft: one JSON object per line, with the event's name, the node, its state, role, log
 * length, configuration, and the message it is about. The format is that of etcd/raft's trace validation, so that the same
 * specification can check it. That specification models stores that answer at once; a trace of slow ones may be refused for that alone.
 */
import type { ConfState, Message, Role, TraceEvent } from "../raft/mod.ts";
import type { RaftWorld, WorldLine } from "./raft-world.ts";

const ROLES: Readonly<Record<Role, string>> = {
  follower: "StateFollower",
  "pre-candidate": "StatePreCandidate",
  candidate: "StateCandidate",
  leader: "StateLeader",
};

const BECAME: Readonly<Partial<Record<TraceEvent["kind"], string>>> = {
  started: "InitState",
  "became-follower": "BecomeFollower",
  "became-candidate": "BecomeCandidate",
  "became-leader": "BecomeLeader",
  committed: "Commit",
  appended: "Replicate",
  configuration: "ApplyConfChange",
};

/** What the specification calls the messages that it knows. */
const MESSAGES: Readonly<Record<string, string>> = {
  MsgApp: "AppendEntriesRequest",
  MsgHeartbeat: "AppendEntriesRequest",
  MsgSnap: "SnapshotRequest",
  MsgAppResp: "AppendEntriesResponse",
  MsgHeartbeatResp: "AppendEntriesResponse",
  MsgVote: "RequestVoteRequest",
  MsgVoteResp: "RequestVoteResponse",
};

/** The line of `line`, or undefined for what the specification does not know. */
export function tlaLine(world: RaftWorld, line: WorldLine): string | undefined {
  if (line.kind === "event") {
    const name = BECAME[line.event.kind];
    return name === undefined ? undefined : render(world, name, line.node, undefined);
  }
  if (line.kind !== "posted" && line.kind !== "delivered") return undefined;
  const { message } = line;
  const type = MESSAGES[message.type];
  if (type === undefined) return undefined;
  const isSent = line.kind === "posted";
  return render(world, `${isSent ? "Send" : "Receive"}${type}`, isSent ? message.from : message.to, message);
}

function render(world: RaftWorld, name: string, nodeId: number, message: Message | undefined): string {
  const node = world.nodes.get(nodeId);
  const driver = node?.driver;
  const { vote = 0 } = node?.disk.hardState ?? {};
  const event = {
    name,
    nid: String(nodeId),
    state: { term: driver?.term ?? 0, vote: String(vote), commit: driver?.commitIndex ?? 0 },
    role: ROLES[driver?.role ?? "follower"],
    log: driver?.lastIndex ?? 0,
    conf: driver === undefined ? [[], []] : halves(driver.members),
    ...(message === undefined ? {} : { msg: describe(message) }),
  };
  return JSON.stringify({ tag: "trace", event });
}

function halves(members: ConfState): readonly (readonly string[])[] {
  return [members.voters.map(String), members.votersOutgoing.map(String)];
}

function describe(message: Message): object {
  return {
    type: message.type,
    term: message.term,
    from: String(message.from),
    to: String(message.to),
    entries: message.entries.length,
    logTerm: message.logTerm,
    index: message.index,
    commit: message.commit,
    vote: String(message.vote),
    reject: message.reject,
    rejectHint: message.rejectHint,
  };
}
