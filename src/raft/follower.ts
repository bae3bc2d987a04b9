/** What a follower does with a message (sections 5.2, 5.3 and 7). */
import { hup, learnCommit } from "./election.ts";
import { switchConfiguration } from "./membership.ts";
import { configurationOf } from "./configuration.ts";
import type { Message } from "./message.ts";
import type { Raft, StepOutcome } from "./raft.ts";
import type { Snapshot } from "./types.ts";

/** Steps a follower. */
export function stepFollower(r: Raft, message: Message): StepOutcome {
  switch (message.type) {
    case "MsgProp":
      return forwardProposal(r, message);
    case "MsgApp":
      heardFromLeader(r, message);
      handleAppend(r, message);
      break;
    case "MsgHeartbeat":
      heardFromLeader(r, message);
      handleHeartbeat(r, message);
      break;
    case "MsgSnap":
      heardFromLeader(r, message);
      handleSnapshot(r, message);
      break;
    case "MsgTransferLeader":
      if (r.lead === 0) r.trace?.({ kind: "transfer-dropped-no-leader", term: r.term });
      else r.send({ ...message, to: r.lead });
      break;
    case "MsgForgetLeader":
      forgetLeader(r);
      break;
    case "MsgTimeoutNow":
      r.trace?.({ kind: "timeout-now", from: message.from, term: r.term });
      hup(r, "transfer");
      break;
    case "MsgReadIndex":
      if (r.lead === 0) {
        r.trace?.({ kind: "read-dropped-no-leader", term: r.term });
        return "dropped";
      }
      r.send({ ...message, to: r.lead });
      break;
    case "MsgReadIndexResp":
      r.readStates.push({ index: message.index, context: message.context });
      break;
    case "MsgVoteResp":
    case "MsgPreVoteResp":
      if (message.reject) learnCommit(r, message);
      break;
    default:
      break;
  }
  return "ok";
}

/** Section 5.3: the consistency check, then the append. Acknowledged once durable. */
export function handleAppend(r: Raft, message: Message): void {
  const { from, index, logTerm } = message;
  if (index < r.log.committed) {
    // An old message. What is committed is in the log, and never changes.
    r.send({ type: "MsgAppResp", to: from, index: r.log.committed });
    return;
  }
  const lastNew = r.log.maybeAppend({ index, term: logTerm }, message.entries, message.commit);
  if (lastNew !== undefined) {
    r.send({ type: "MsgAppResp", to: from, index: lastNew });
    return;
  }
  r.trace?.({ kind: "append-rejected", message, existingTerm: r.log.term(index) ?? 0 });
  const hint = r.log.findConflictByTerm(Math.min(index, r.log.lastIndex()), logTerm);
  r.send({ type: "MsgAppResp", to: from, index, reject: true, rejectHint: hint.index, logTerm: hint.term });
}

/** Learns the commit index, and answers with the round, which confirms that its sender leads. */
export function handleHeartbeat(r: Raft, message: Message): void {
  r.log.commitTo(message.commit);
  r.promiseLease();
  r.send({ type: "MsgHeartbeatResp", to: message.from, context: message.context });
}

/** Section 7: takes a snapshot, unless the log has all that it stands for. */
export function handleSnapshot(r: Raft, message: Message): void {
  const { snapshot } = message;
  if (snapshot === undefined) return;
  const commit = r.log.committed;
  if (restore(r, snapshot)) {
    r.trace?.({ kind: "snapshot-accepted", commit: r.log.committed, snapshot });
    r.send({ type: "MsgAppResp", to: message.from, index: r.log.lastIndex() });
  } else {
    r.trace?.({ kind: "snapshot-ignored", commit: Math.max(commit, r.log.committed), snapshot });
    r.send({ type: "MsgAppResp", to: message.from, index: r.log.committed });
  }
}

function heardFromLeader(r: Raft, message: Message): void {
  r.electionElapsed = 0;
  r.lead = message.from;
}

function forwardProposal(r: Raft, message: Message): StepOutcome {
  if (r.lead === 0) {
    r.trace?.({ kind: "proposal-dropped-no-leader", term: r.term });
    return "dropped";
  }
  if (!r.config.forwardProposals) {
    r.trace?.({ kind: "proposal-not-forwarded", lead: r.lead, term: r.term });
    return "dropped";
  }
  r.send({ ...message, to: r.lead });
  return "ok";
}

function forgetLeader(r: Raft): void {
  if (r.config.readMode === "lease") {
    // It would grant a vote while the leader counts on that it does not.
    r.trace?.({ kind: "forget-leader-refused" });
    return;
  }
  if (r.lead === 0) return;
  r.trace?.({ kind: "forget-leader", lead: r.lead, term: r.term });
  r.lead = 0;
}

/** False if the snapshot is not needed. */
function restore(r: Raft, snapshot: Snapshot): boolean {
  if (snapshot.index <= r.log.committed) return false;
  // Whether this node is among its members does not matter: what follows it in the log may be what adds this node.
  if (r.log.matchTerm(snapshot.index, snapshot.term)) {
    // The log has what the snapshot stands for; all that is new is that it is committed.
    r.trace?.({ kind: "fast-forwarded", commit: r.log.committed, snapshot, ...r.logEnd() });
    r.log.commitTo(snapshot.index);
    return false;
  }
  r.log.restore(snapshot);
  switchConfiguration(r, configurationOf(snapshot.confState), true);
  r.trace?.({ kind: "restored", commit: r.log.committed, snapshot, ...r.logEnd() });
  return true;
}
