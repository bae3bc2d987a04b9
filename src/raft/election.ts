/** Elections (section 5.2), with the thesis's pre-vote (9.6) and leadership transfer (3.10). */
import type { Message } from "./message.ts";
import type { Raft } from "./raft.ts";
import type { Tally } from "./tracker.ts";

/** Why a node campaigns. A transfer asks no leave of leases, and makes no pre-vote. */
export type CampaignKind = "pre-vote" | "election" | "transfer";

/** Campaigns, if this node may. */
export function hup(r: Raft, kind: CampaignKind): void {
  if (r.role === "leader") {
    r.trace?.({ kind: "campaign-ignored-leader" });
    return;
  }
  if (!r.isPromotable()) {
    r.trace?.({ kind: "campaign-unpromotable" });
    return;
  }
  if (r.config.readMode === "lease" && kind !== "transfer" && r.leaseTicksLeft() > 0 && !r.tracker.isSoleVoter(r.id)) {
    // Its own vote is one that this node has promised to hold back.
    r.trace?.({ kind: "campaign-blocked-by-lease" });
    return;
  }
  if (r.hasUnappliedConfChange()) {
    // It might count votes in a configuration that is gone.
    r.trace?.({ kind: "campaign-blocked-by-config", term: r.term });
    return;
  }
  r.trace?.({ kind: "election-started", term: r.term });
  campaign(r, kind);
}

/** Asks every voter for its vote, this node itself included: its own counts once it is durable. */
export function campaign(r: Raft, kind: CampaignKind): void {
  const isPreVote = kind === "pre-vote";
  if (isPreVote) r.becomePreCandidate();
  else r.becomeCandidate();
  const type = isPreVote ? "MsgPreVote" : "MsgVote";
  const term = isPreVote ? r.term + 1 : r.term;
  const { lastTerm, lastIndex } = r.logEnd();
  for (const to of r.tracker.voters) {
    if (to === r.id) {
      r.send({ type: isPreVote ? "MsgPreVoteResp" : "MsgVoteResp", to, term });
      continue;
    }
    r.trace?.({ kind: "vote-requested", type, to, term: r.term, lastTerm, lastIndex });
    r.send({ type, to, term, index: lastIndex, logTerm: lastTerm, force: kind === "transfer" });
  }
}

/** Grants or refuses a vote. A learner votes too: it may be a voter that does not know it yet. */
export function handleVoteRequest(r: Raft, message: Message): void {
  const isPreVote = message.type === "MsgPreVote";
  const type = isPreVote ? "MsgPreVoteResp" : "MsgVoteResp";
  const { from, term, logTerm, index } = message;
  const canVote = r.vote === from || (r.vote === 0 && r.lead === 0) || (isPreVote && term > r.term);
  if (canVote && r.log.isUpToDate(logTerm, index)) {
    r.trace?.({ kind: "vote-cast", message, vote: r.vote, term: r.term, ...r.logEnd() });
    r.send({ type, to: from, term });
    if (isPreVote) return;
    r.electionElapsed = 0;
    r.vote = from;
    return;
  }
  r.trace?.({ kind: "vote-rejected", message, vote: r.vote, term: r.term, ...r.logEnd() });
  r.send({ type, to: from, term: r.term, reject: true, ...r.commitFact() });
}

/** Counts a vote. */
export function countVote(r: Raft, message: Message): Tally {
  r.trace?.({ kind: "vote-received", type: message.type, from: message.from, granted: !message.reject, term: r.term });
  r.tracker.recordVote(message.from, !message.reject);
  const tally = r.tracker.tally();
  r.trace?.({ kind: "votes", type: message.type, granted: tally.granted, rejected: tally.rejected });
  return tally;
}

/**
 * Takes the commit index that a refusal names, if this log has that entry. A voter may be waiting for a membership change to
 * commit that only nodes which are no longer voters know to be committed; without this, nobody could ever win.
 */
export function learnCommit(r: Raft, message: Message): void {
  if (message.knownCommit <= r.log.committed || !r.log.matchTerm(message.knownCommit, message.knownCommitTerm)) return;
  r.log.commitTo(message.knownCommit);
  r.trace?.({ kind: "learned-commit", from: message.from, index: message.knownCommit });
  if (r.role !== "follower" && r.hasUnappliedConfChange()) r.becomeFollower(r.term, 0);
}
