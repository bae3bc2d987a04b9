/** What a candidate does with a message, before and after its pre-vote (section 5.2). */
import { campaign, countVote, learnCommit } from "./election.ts";
import { handleAppend, handleHeartbeat, handleSnapshot } from "./follower.ts";
import { becomeLeader } from "./leader.ts";
import type { Message } from "./message.ts";
import type { Raft, StepOutcome } from "./raft.ts";

/** Steps a candidate or pre-candidate. A leader of its own term makes it a follower. */
export function stepCandidate(r: Raft, message: Message): StepOutcome {
  switch (message.type) {
    case "MsgProp":
      r.trace?.({ kind: "proposal-dropped-no-leader", term: r.term });
      return "dropped";
    case "MsgApp":
      r.becomeFollower(message.term, message.from);
      handleAppend(r, message);
      break;
    case "MsgHeartbeat":
      r.becomeFollower(message.term, message.from);
      handleHeartbeat(r, message);
      break;
    case "MsgSnap":
      r.becomeFollower(message.term, message.from);
      handleSnapshot(r, message);
      break;
    case "MsgVoteResp":
      if (r.role === "candidate") takeVote(r, message);
      break;
    case "MsgPreVoteResp":
      if (r.role === "pre-candidate") takeVote(r, message);
      break;
    case "MsgTimeoutNow":
      r.trace?.({ kind: "timeout-now-ignored", from: message.from, term: r.term, role: r.role });
      break;
    case "MsgReadIndex":
      r.trace?.({ kind: "read-dropped-no-leader", term: r.term });
      return "dropped";
    default:
      break;
  }
  return "ok";
}

function takeVote(r: Raft, message: Message): void {
  const tally = countVote(r, message);
  if (tally.result === "won") {
    if (r.role === "pre-candidate") campaign(r, "election");
    else becomeLeader(r);
    return;
  }
  if (tally.result === "lost") r.becomeFollower(r.term, 0);
  if (message.reject) learnCommit(r, message);
}
