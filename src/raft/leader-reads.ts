/** How a leader answers reads (section 8; thesis 6.4). The bookkeeping is in reads.ts. */
import type { Raft } from "./raft.ts";
import type { PendingRead } from "./reads.ts";
import { broadcastRound } from "./replication.ts";

/** Takes a read of `from` (0: this node). False if there are too many already. */
export function readIndex(r: Raft, from: number, context: number): boolean {
  if (r.earlyReads.length + r.reads.waitingCount >= r.config.maxPendingReads) {
    r.trace?.({ kind: "read-dropped-full" });
    return false;
  }
  // Before its first commit a leader does not know what earlier terms have committed, not even if it leads alone.
  if (!hasCommittedInTerm(r)) r.earlyReads.push({ round: 0, index: 0, from, context });
  else admitRead(r, from, context);
  return true;
}

/** The leader's first commit: reads that waited for it go on. */
export function releaseEarlyReads(r: Raft): void {
  if (r.earlyReads.length === 0 || !hasCommittedInTerm(r)) return;
  const early = r.earlyReads;
  r.earlyReads = [];
  for (const read of early) admitRead(r, read.from, read.context);
}

/** Some follower answered a round: a quorum may have. */
export function confirmRound(r: Raft): void {
  const isLease = r.config.readMode === "lease";
  if (!isLease && r.reads.waitingCount === 0) return;
  const round = r.tracker.quorumIndex((id) => (id === r.id ? r.reads.round : (r.tracker.progress(id)?.ackedRound ?? 0)));
  if (round === 0 || round > r.reads.round) return;
  for (const read of r.reads.confirm(round)) answer(r, read);
}

function admitRead(r: Raft, from: number, context: number): void {
  const index = r.log.committed;
  if (r.tracker.isSoleVoter(r.id) || holdsLease(r)) {
    answer(r, { round: 0, index, from, context });
    return;
  }
  r.reads.wait(index, from, context);
  if (r.config.coalesce) r.roundDue = true;
  else broadcastRound(r);
}

function hasCommittedInTerm(r: Raft): boolean {
  return r.log.matchTerm(r.log.committed, r.term);
}

function holdsLease(r: Raft): boolean {
  if (r.config.readMode !== "lease" || r.leaseBroken) return false;
  const start = r.reads.leaseStart();
  return start >= 0 && r.ticks < start + r.config.electionTicks - r.config.leaseMarginTicks;
}

function answer(r: Raft, read: PendingRead): void {
  if (read.from === 0 || read.from === r.id) r.readStates.push({ index: read.index, context: read.context });
  else r.send({ type: "MsgReadIndexResp", to: read.from, index: read.index, context: read.context });
}
