/**
 * A run as a trace for a TLA+ model of Raft: one JSON object per line, with the event's name, the node, its state, role, log
 * length, configuration, and the message it is about. The format is that of etcd/raft's trace validation, so that the same
 * specification can check it. That specification models stores that answer at once; a trace of slow ones may be refused for that alone.
 */
import type { ConfState, Message, Role, TraceEvent } from "../../raft/mod.ts";
import type { RaftWorld, WorldLine } from "./world.ts";

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
    const { node, event } = line;
    const name = BECAME[event.kind];
    if (event.kind === "started") return text(name ?? "", node, initial(event));
    // What comes before the start is the making of the node, not its life.
    return name === undefined || world.nodes.get(node)?.driver === undefined ? undefined : render(world, name, node, undefined);
  }
  if (line.kind === "persisted") return render(world, "Ready", line.node, undefined);
  if (line.kind === "changed") return render(world, "ChangeConf", line.node, undefined);
  if (line.kind !== "posted" && line.kind !== "delivered") return undefined;
  const { message } = line;
  const type = MESSAGES[message.type];
  if (type === undefined) return undefined;
  const isSent = line.kind === "posted";
  return render(world, `${isSent ? "Send" : "Receive"}${type}`, isSent ? message.from : message.to, message);
}

function initial(event: Extract<TraceEvent, { readonly kind: "started" }>): object {
  const { term, commit, lastIndex, members } = event;
  return { state: { term, vote: "0", commit }, role: ROLES.follower, log: lastIndex, conf: [members.map(String), []] };
}

function render(world: RaftWorld, name: string, nodeId: number, message: Message | undefined): string {
  const driver = world.nodes.get(nodeId)?.driver;
  const status = driver?.status();
  return text(name, nodeId, {
    state: { term: status?.term ?? 0, vote: String(status?.vote ?? 0), commit: status?.commit ?? 0 },
    role: ROLES[status?.role ?? "follower"],
    log: status?.lastIndex ?? 0,
    conf: status === undefined ? [[], []] : halves(status.confState),
    ...(message === undefined ? {} : { msg: describe(message) }),
  });
}

function text(name: string, node: number, rest: object): string {
  return JSON.stringify({ tag: "trace", event: { name, nid: String(node), ...rest } });
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
