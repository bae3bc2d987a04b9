/** The core's values as the scripts print them. */
import type { ConfChange, Configuration, ConfState, Entry, HardState, Message, Role, Snapshot } from "../../../src/raft/mod.ts";
import { decodeConfChange } from "../../../src/raft/mod.ts";
import type { Progress } from "../../../src/raft/progress.ts";

/** Set as context of a change that a script proposes in the old encoding for a single node. */
export const V1_CONTEXT = new Uint8Array([0x76, 0x31]);

const STATES: Record<Role, string> = {
  follower: "StateFollower",
  "pre-candidate": "StatePreCandidate",
  candidate: "StateCandidate",
  leader: "StateLeader",
};

const PROGRESS_STATES = { probe: "StateProbe", replicate: "StateReplicate", snapshot: "StateSnapshot" } as const;
const LETTERS = { "add-voter": "v", "add-learner": "l", remove: "r", update: "u" } as const;

export function hex(id: number): string {
  return id.toString(16);
}

export function roleName(role: Role): string {
  return STATES[role];
}

export function describeProgress(progress: Progress): string {
  let text = `${PROGRESS_STATES[progress.state]} match=${progress.match} next=${progress.next}`;
  if (progress.isLearner) text += " learner";
  if (progress.isPaused()) text += " paused";
  if (progress.pendingSnapshot > 0) text += ` pendingSnap=${progress.pendingSnapshot}`;
  if (!progress.recentActive) text += " inactive";
  const { count } = progress.inflights;
  if (count > 0) text += ` inflight=${count}${progress.inflights.full() ? "[full]" : ""}`;
  return text;
}

export function describeConfiguration(config: Configuration): string {
  let text = `voters=${ids(config.incoming)}`;
  if (config.outgoing.length > 0) text += `&&${ids(config.outgoing)}`;
  if (config.learners.length > 0) text += ` learners=${ids(config.learners)}`;
  if (config.learnersNext.length > 0) text += ` learners_next=${ids(config.learnersNext)}`;
  if (config.autoLeave) text += " autoleave";
  return text;
}

function ids(list: readonly number[]): string {
  return `(${list.join(" ")})`;
}

export function describeConfState(state: ConfState): string {
  const list = (values: readonly number[]): string => `[${values.join(" ")}]`;
  return `Voters:${list(state.voters)} VotersOutgoing:${list(state.votersOutgoing)} Learners:${list(state.learners)} LearnersNext:${list(state.learnersNext)} AutoLeave:${state.autoLeave}`;
}

export function describeSnapshot(snapshot: Snapshot): string {
  return `Index:${snapshot.index} Term:${snapshot.term} ConfState:${describeConfState(snapshot.confState)}`;
}

export function describeHardState(state: HardState): string {
  return `Term:${state.term}${state.vote === 0 ? "" : ` Vote:${state.vote}`} Commit:${state.commit}`;
}

/** True for a change that a script proposed in the old encoding. */
function isV1(change: ConfChange): boolean {
  return change.context.length === V1_CONTEXT.length && change.context.every((byte, at) => byte === V1_CONTEXT[at]);
}

/** `v1 l2`: a change's steps. */
export function describeSteps(change: ConfChange): string {
  return change.changes.map(({ kind, nodeId }) => `${LETTERS[kind]}${nodeId}`).join(" ");
}

export function describeEntry(entry: Entry): string {
  if (entry.type === "normal") return `${entry.term}/${entry.index} EntryNormal ${quote(entry.data)}`;
  const change = decodeConfChange(entry.data);
  if (change === undefined) throw new Error(`malformed membership change at index ${entry.index}`);
  const steps = describeSteps(change);
  return `${entry.term}/${entry.index} ${isV1(change) ? "EntryConfChange" : "EntryConfChangeV2"}${steps === "" ? "" : ` ${steps}`}`;
}

/** A message, or what a script prints like one. */
export interface Described {
  readonly from: string;
  readonly to: string;
  readonly type: string;
  readonly term: number;
  readonly logTerm?: number;
  readonly index?: number;
  readonly reject?: boolean;
  readonly rejectHint?: number;
  readonly commit?: number;
  readonly vote?: number;
  readonly entries?: readonly Entry[];
  readonly snapshot?: Snapshot | undefined;
  readonly responses?: readonly string[];
}

export function describeMessage(message: Message): string {
  return describe({ ...message, from: hex(message.from), to: hex(message.to) });
}

export function describe(m: Described): string {
  let text = `${m.from}->${m.to} ${m.type} Term:${m.term} Log:${m.logTerm ?? 0}/${m.index ?? 0}`;
  if (m.reject === true) text += ` Rejected (Hint: ${m.rejectHint ?? 0})`;
  if ((m.commit ?? 0) !== 0) text += ` Commit:${m.commit}`;
  if ((m.vote ?? 0) !== 0) text += ` Vote:${m.vote}`;
  const entries = (m.entries ?? []).map(describeEntry);
  if (entries.length === 1) text += ` Entries:[${entries[0]}]`;
  else if (entries.length > 1) text += ` Entries:[${entries.map((entry) => `\n  ${entry}`).join("")}\n]`;
  if (m.snapshot !== undefined) text += `\n  Snapshot: ${describeSnapshot(m.snapshot)}`;
  const responses = m.responses ?? [];
  if (responses.length > 0) text += ` Responses:[${responses.map((response) => `\n${indent(response)}`).join("")}\n]`;
  return text;
}

/** Every line two spaces further in. */
export function indent(text: string): string {
  return text.replace(/^(?=.)/gm, "  ");
}

/** Bytes as a quoted string of the scripts. */
function quote(bytes: Uint8Array): string {
  let text = "";
  for (const char of new TextDecoder().decode(bytes)) {
    const code = char.codePointAt(0) ?? 0;
    if (char === '"' || char === "\\") text += `\\${char}`;
    else if (char === "\n") text += "\\n";
    else if (char === "\t") text += "\\t";
    else if (char === "\r") text += "\\r";
    else if (code < 0x20 || code === 0x7f) text += `\\x${code.toString(16).padStart(2, "0")}`;
    else text += char;
  }
  return `"${text}"`;
}
