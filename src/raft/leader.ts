/** What a leader does (sections 5.2, 5.3 and 8): take proposals, answer followers, count, commit, keep leading. */
import { assert, EMPTY_BYTES } from "../base/mod.ts";
import { decodeConfChange, type ConfChange } from "./conf-change.ts";
import { isJoint } from "./configuration.ts";
import { maybeHandOver } from "./membership.ts";
import type { Message } from "./message.ts";
import type { Progress } from "./progress.ts";
import type { Raft, StepOutcome } from "./raft.ts";
import { broadcastAppend, broadcastRound, maybeSendAppend, sendAppend } from "./replication.ts";
import { confirmRound, readIndex, releaseEarlyReads } from "./leader-reads.ts";
import type { Entry, EntryType } from "./types.ts";

/** What is proposed: an entry without its place. */
export interface Proposal {
  readonly type: EntryType;
  readonly data: Uint8Array;
}

/** Why a leader takes no proposal. */
export type ProposalRefusal = "removed" | "transferring" | "too-much-uncommitted";

/** Wins: a no-op opens the term, and commits what earlier terms left (section 8). */
export function becomeLeader(r: Raft): void {
  assert(r.role === "candidate", "only a candidate becomes leader");
  r.reset(r.term);
  r.lead = r.id;
  r.role = "leader";
  const self = r.tracker.progress(r.id);
  assert(self !== undefined, "a leader is a member when it is elected");
  self.becomeReplicate();
  self.recentActive = true;
  // A membership change may be among the entries that are not committed yet; nothing is proposed until all are applied.
  r.pendingConfIndex = r.log.lastIndex();
  appendEntries(r, [{ type: "normal", data: EMPTY_BYTES }]);
  r.trace?.({ kind: "became-leader", term: r.term });
  broadcastAppend(r);
}

/** Appends proposals to the leader's own log and has them sent; or says why not. */
export function propose(r: Raft, proposals: readonly Proposal[]): ProposalRefusal | undefined {
  assert(proposals.length > 0, "something is proposed");
  if (r.tracker.progress(r.id) === undefined || r.handoverIndex !== 0) return "removed";
  if (r.transferee !== 0) {
    r.trace?.({ kind: "proposal-dropped-transfer", transferee: r.transferee, term: r.term });
    return "transferring";
  }
  if (!takeIn(r, proposals)) {
    r.trace?.({ kind: "proposal-dropped-size" });
    return "too-much-uncommitted";
  }
  appendEntries(r, admitConfChanges(r, proposals));
  broadcastAppend(r);
  return undefined;
}

/** Why `change` can't be proposed now; undefined if it can. Source: section 6, one change at a time. */
export function confChangeRefusal(r: Raft, change: ConfChange): string | undefined {
  if (r.pendingConfIndex > r.log.applied)
    return `possible unapplied conf change at index ${r.pendingConfIndex} (applied to ${r.log.applied})`;
  const joint = isJoint(r.tracker.config);
  const leaves = change.changes.length === 0;
  if (joint && !leaves) return "must transition out of joint config first";
  if (!joint && leaves) return "not in joint state; refusing empty conf change";
  return undefined;
}

/** Steps a leader. */
export function stepLeader(r: Raft, message: Message): StepOutcome {
  switch (message.type) {
    case "MsgBeat":
      broadcastRound(r);
      return "ok";
    case "MsgCheckQuorum":
      checkQuorum(r);
      return "ok";
    case "MsgProp":
      return propose(r, message.entries) === undefined ? "ok" : "dropped";
    case "MsgReadIndex":
      return readIndex(r, message.from, message.context) ? "ok" : "dropped";
    case "MsgForgetLeader":
      return "ok";
    default:
      break;
  }
  const progress = r.tracker.progress(message.from);
  if (progress === undefined) r.trace?.({ kind: "progress-missing", of: message.from });
  else stepFromFollower(r, message, progress);
  return "ok";
}

/** One tick of a leader. */
export function tickLeader(r: Raft): void {
  r.heartbeatElapsed++;
  r.electionElapsed++;
  if (r.electionElapsed >= r.config.electionTicks) {
    r.electionElapsed = 0;
    if (r.config.checkQuorum) checkQuorum(r);
    // A transfer that took an election timeout has failed.
    if (r.role === "leader") r.transferee = 0;
  }
  if (r.role !== "leader" || r.heartbeatElapsed < r.config.heartbeatTicks) return;
  r.heartbeatElapsed = 0;
  broadcastRound(r);
}

/** What the state machine has applied may let the leader leave a joint configuration. */
export function appliedTo(r: Raft, index: number, bytes: number): void {
  r.log.appliedTo(index, bytes);
  const { config } = r.tracker;
  if (!config.autoLeave || r.role !== "leader" || index < r.pendingConfIndex) return;
  // Not refused for size: leaving has no payload. A transfer may be in the way; then the next leader, or the next apply, does it.
  const refused = propose(r, [{ type: "config", data: EMPTY_BYTES }]) !== undefined;
  r.trace?.({ kind: "auto-leave", config, refused });
}

function stepFromFollower(r: Raft, message: Message, progress: Progress): void {
  switch (message.type) {
    case "MsgAppResp":
      handleAppendAnswer(r, message, progress);
      break;
    case "MsgHeartbeatResp":
      handleHeartbeatAnswer(r, message, progress);
      break;
    case "MsgSnapStatus":
      handleSnapshotStatus(r, message, progress);
      break;
    case "MsgUnreachable":
      // Optimism has failed: what was sent ahead is probably lost.
      if (progress.state === "replicate") progress.becomeProbe();
      r.trace?.({ kind: "progress-unreachable", of: message.from, progress });
      break;
    case "MsgTransferLeader":
      startTransfer(r, message.from, progress);
      break;
    default:
      break;
  }
}

function handleAppendAnswer(r: Raft, message: Message, progress: Progress): void {
  progress.recentActive = true;
  progress.knownCommit = Math.max(progress.knownCommit, message.knownCommit);
  if (message.reject) {
    handleRejection(r, message, progress);
    return;
  }
  const isNews = progress.maybeUpdate(message.index);
  if (isNews || (progress.match === message.index && progress.state === "probe")) handleAcknowledgement(r, message.from, progress);
  if (r.role === "leader") maybeHandOver(r);
}

function handleRejection(r: Raft, message: Message, progress: Progress): void {
  r.trace?.({ kind: "append-refused", message });
  const { rejectHint, logTerm } = message;
  // The follower said where its log stands; this log's own terms may rule out more of it.
  const hint = logTerm > 0 ? r.log.findConflictByTerm(rejectHint, logTerm).index : rejectHint;
  if (!progress.maybeDecrease(message.index, hint)) return;
  r.trace?.({ kind: "progress-decreased", of: message.from, progress });
  if (progress.state === "replicate") progress.becomeProbe();
  sendAppend(r, message.from);
}

function handleAcknowledgement(r: Raft, from: number, progress: Progress): void {
  if (progress.state === "probe") {
    progress.becomeReplicate();
  } else if (progress.state === "snapshot") {
    // Any snapshot that reconnects the log will do, not only the one that was sent.
    if (progress.match + 1 >= r.log.firstIndex()) {
      r.trace?.({ kind: "progress-recovered", of: from, progress });
      progress.becomeProbe();
      progress.becomeReplicate();
    }
  } else {
    progress.inflights.freeTo(progress.match);
  }
  if (maybeCommit(r)) {
    releaseEarlyReads(r);
    broadcastAppend(r);
  } else if (from !== r.id && progress.canBumpCommit(r.log.committed)) {
    sendAppend(r, from);
  }
  if (from === r.id) return;
  // An acknowledgement may open the window for several messages.
  while (maybeSendAppend(r, from, false));
  if (from === r.transferee && progress.match === r.log.lastIndex()) {
    r.trace?.({ kind: "transfer-caught-up", transferee: from });
    sendTimeoutNow(r, from);
  }
}

function handleHeartbeatAnswer(r: Raft, message: Message, progress: Progress): void {
  progress.recentActive = true;
  progress.paused = false;
  progress.knownCommit = Math.max(progress.knownCommit, message.knownCommit);
  progress.ackedRound = Math.max(progress.ackedRound, Math.min(message.context, r.reads.round));
  // It is behind, or its log is not known: an append, if only an empty one, finds out whether something was lost.
  if (progress.match < r.log.lastIndex() || progress.state === "probe") sendAppend(r, message.from);
  confirmRound(r);
  maybeHandOver(r);
}

function handleSnapshotStatus(r: Raft, message: Message, progress: Progress): void {
  if (progress.state !== "snapshot") return;
  if (message.reject) {
    progress.pendingSnapshot = 0;
    progress.becomeProbe();
    r.trace?.({ kind: "snapshot-failed", of: message.from, progress });
  } else {
    progress.becomeProbe();
    r.trace?.({ kind: "snapshot-succeeded", of: message.from, progress });
  }
  // Its own answer, or a heartbeat's, says when to go on.
  progress.paused = true;
}

function startTransfer(r: Raft, to: number, progress: Progress): void {
  if (progress.isLearner) {
    r.trace?.({ kind: "transfer-to-learner" });
    return;
  }
  if (r.transferee === to) {
    r.trace?.({ kind: "transfer-repeated", transferee: to, term: r.term });
    return;
  }
  if (r.transferee !== 0) {
    r.trace?.({ kind: "transfer-aborted", transferee: r.transferee, term: r.term });
    r.transferee = 0;
  }
  if (to === r.id) {
    r.trace?.({ kind: "transfer-to-self" });
    return;
  }
  r.trace?.({ kind: "transfer-started", transferee: to, term: r.term });
  // It has an election timeout from now.
  r.electionElapsed = 0;
  r.transferee = to;
  if (progress.match === r.log.lastIndex()) {
    sendTimeoutNow(r, to);
    r.trace?.({ kind: "transfer-immediate", transferee: to });
  } else {
    sendAppend(r, to);
  }
}

/** Tells `to` to campaign now. It asks no lease, so none may be counted on from here. */
export function sendTimeoutNow(r: Raft, to: number): void {
  r.leaseBroken = true;
  r.send({ type: "MsgTimeoutNow", to });
}

/** Commits what a quorum holds, if the last of it is of this term (section 5.4.2). True if that was news. */
export function maybeCommit(r: Raft): boolean {
  const index = r.tracker.committedIndex();
  if (index <= r.log.committed || !r.log.matchTerm(index, r.term)) return false;
  r.log.commitTo(index);
  r.trace?.({ kind: "committed", index });
  return true;
}

function checkQuorum(r: Raft): void {
  if (!r.tracker.isQuorumActive(r.id)) {
    r.trace?.({ kind: "quorum-inactive" });
    r.becomeFollower(r.term, 0);
  }
  for (const id of r.tracker.members) {
    const progress = r.tracker.progress(id);
    if (id !== r.id && progress !== undefined) progress.recentActive = false;
  }
}

/** False if the payload of these proposals would be too much beside what is not applied yet. One proposal alone always fits. */
function takeIn(r: Raft, proposals: readonly Proposal[]): boolean {
  let bytes = 0;
  for (const proposal of proposals) bytes += proposal.data.length;
  if (r.uncommittedBytes > 0 && bytes > 0 && r.uncommittedBytes + bytes > r.config.maxUncommittedBytes) return false;
  r.uncommittedBytes += bytes;
  return true;
}

function appendEntries(r: Raft, proposals: readonly Proposal[]): void {
  const { term } = r;
  const firstIndex = r.log.lastIndex() + 1;
  const entries: Entry[] = [];
  let index = firstIndex;
  for (const { type, data } of proposals) entries.push({ index: index++, term, type, data });
  const last = r.log.append(entries);
  r.trace?.({ kind: "appended", firstIndex, lastIndex: last });
  // The leader's own copy counts once it is durable.
  r.send({ type: "MsgAppResp", to: r.id, index: last });
}

/** Turns membership changes that may not be proposed now into no-ops, and notes those that may. */
function admitConfChanges(r: Raft, proposals: readonly Proposal[]): readonly Proposal[] {
  let admitted: Proposal[] | undefined;
  for (let at = 0; at < proposals.length; at++) {
    const proposal = proposals[at] as Proposal;
    if (proposal.type !== "config") continue;
    const change = decodeConfChange(proposal.data);
    assert(change !== undefined, "a proposed membership change is well formed");
    const reason = confChangeRefusal(r, change);
    if (reason === undefined || r.config.allowUnsafeConfChanges) {
      r.pendingConfIndex = r.log.lastIndex() + at + 1;
      continue;
    }
    r.trace?.({ kind: "conf-change-ignored", change, config: r.tracker.config, reason });
    admitted ??= [...proposals];
    admitted[at] = { type: "normal", data: EMPTY_BYTES };
  }
  return admitted ?? proposals;
}
