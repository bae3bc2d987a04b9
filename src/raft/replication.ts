/** How a leader sends its log: appends, snapshots, heartbeats (sections 5.3 and 7). */
import type { Progress } from "./progress.ts";
import type { Raft } from "./raft.ts";
import { NO_ENTRIES, payloadBytes } from "./types.ts";

/** Sends every follower what it lacks, now or once per Ready. */
export function broadcastAppend(r: Raft): void {
  if (r.config.coalesce) {
    r.appendsDue = true;
    return;
  }
  for (const id of r.tracker.members) if (id !== r.id) sendAppend(r, id);
}

/** Sends followers entries that they lack; nothing to those that lack none. */
export function sendWhatIsNew(r: Raft): void {
  for (const id of r.tracker.members) if (id !== r.id) maybeSendAppend(r, id, false);
}

/** Sends what was left to be sent once per Ready. */
export function flushLeader(r: Raft): void {
  if (r.appendsDue) {
    r.appendsDue = false;
    for (const id of r.tracker.members) if (id !== r.id) flushTo(r, id);
  }
  if (r.roundDue) broadcastRound(r);
}

function flushTo(r: Raft, to: number): void {
  const progress = r.tracker.progress(to);
  if (progress === undefined) return;
  if (!maybeSendAppend(r, to, progress.sentCommit < r.log.committed)) return;
  while (progress.state === "replicate" && maybeSendAppend(r, to, false));
}

/** Sends an append, an empty one if there is nothing to append. */
export function sendAppend(r: Raft, to: number): void {
  maybeSendAppend(r, to, true);
}

/** Sends an append with as much as fits, or a snapshot if what `to` needs was compacted. True if something was sent. */
export function maybeSendAppend(r: Raft, to: number, evenIfEmpty: boolean): boolean {
  const progress = r.tracker.progress(to);
  if (progress === undefined || progress.isPaused()) return false;
  const index = progress.next - 1;
  const logTerm = r.log.term(index);
  // What is on its way into memory is waited for: a snapshot would cost far more.
  if (logTerm === undefined) return !r.log.isFetching(index) && maybeSendSnapshot(r, to, progress);
  // A full window still lets an empty append through: it finds out whether something was lost.
  const isOpen = progress.state !== "replicate" || !progress.inflights.full();
  const entries = isOpen ? r.log.entriesFrom(progress.next, r.config.maxMessageBytes) : NO_ENTRIES;
  if (entries === undefined) return !r.log.isFetching(progress.next) && maybeSendSnapshot(r, to, progress);
  if (entries.length === 0 && !evenIfEmpty) return false;
  const commit = r.log.committed;
  r.send({ type: "MsgApp", to, index, logTerm, entries, commit });
  progress.sentEntries(entries.length, payloadBytes(entries));
  progress.sentCommit = commit;
  return true;
}

function maybeSendSnapshot(r: Raft, to: number, progress: Progress): boolean {
  if (!progress.recentActive) {
    r.trace?.({ kind: "snapshot-withheld-inactive", to });
    return false;
  }
  const snapshot = r.log.snapshot();
  if (snapshot === undefined) {
    r.trace?.({ kind: "snapshot-unavailable", to });
    return false;
  }
  r.trace?.({ kind: "snapshot-sent", to, progress, snapshot, firstIndex: r.log.firstIndex(), commit: r.log.committed });
  progress.becomeSnapshot(snapshot.index);
  r.trace?.({ kind: "progress-paused", of: to, progress });
  r.send({ type: "MsgSnap", to, snapshot });
  return true;
}

/** Sends a round of heartbeats: they keep the lead, confirm reads, and tell what is committed and surely there. */
export function broadcastRound(r: Raft): void {
  r.roundDue = false;
  const context = r.reads.startRound(r.ticks);
  for (const to of r.tracker.members) {
    const progress = r.tracker.progress(to);
    if (to === r.id || progress === undefined) continue;
    // Not beyond what the follower is known to have: more could commit what its log has in place of it.
    const commit = Math.min(progress.match, r.log.committed);
    r.send({ type: "MsgHeartbeat", to, commit, context });
    progress.sentCommit = Math.max(progress.sentCommit, commit);
  }
}
