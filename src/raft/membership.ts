/** Membership (section 6): a configuration takes effect on a node when that node applies it. */
import { assert } from "../base/mod.ts";
import { decodeConfChange, entersJoint, leavesJoint, type ConfChange } from "./conf-change.ts";
import {
  changeSimply,
  configurationOf,
  confStateOf,
  enterJoint,
  isJoint,
  isVoter,
  leaveJoint,
  type ChangeResult,
  type Configuration,
} from "./configuration.ts";
import { maybeCommit, sendTimeoutNow } from "./leader.ts";
import type { Raft } from "./raft.ts";
import { broadcastAppend, sendWhatIsNew } from "./replication.ts";
import type { ConfState, Entry } from "./types.ts";

/** The configuration after `change`. */
export function configurationAfter(config: Configuration, change: ConfChange): ChangeResult {
  if (leavesJoint(change)) return leaveJoint(config);
  const joint = entersJoint(change);
  if (joint !== undefined) return enterJoint(config, change.changes, joint.autoLeave);
  return changeSimply(config, change.changes);
}

/** Applies a committed membership change. @throws AssertionError if the configuration does not allow it. */
export function applyConfChange(r: Raft, change: ConfChange): ConfState {
  const result = configurationAfter(r.tracker.config, change);
  assert(result.ok, "a committed membership change fits the configuration");
  switchConfiguration(r, result.config);
  return confStateOf(result.config);
}

/** Takes `config`. `isReset`: the log was replaced, and all progress starts anew. */
export function switchConfiguration(r: Raft, config: Configuration, isReset = false): void {
  r.tracker.switchTo(config, r.log.lastIndex());
  if (isReset) r.tracker.resetProgress(r.id, r.log.lastIndex());
  r.trace?.({ kind: "configuration", config });
  if (r.role !== "leader") return;
  const self = r.tracker.progress(r.id);
  if (self === undefined || self.isLearner) {
    if (r.config.onRemoval === "immediate") {
      r.becomeFollower(r.term, 0);
      return;
    }
    if (r.config.onRemoval === "handover" && !isJoint(config)) r.handoverIndex = r.log.committed;
  } else {
    r.handoverIndex = 0;
  }
  if (config.incoming.length === 0) return;
  if (maybeCommit(r)) broadcastAppend(r);
  else sendWhatIsNew(r);
  if (r.transferee !== 0 && !isVoter(config, r.transferee)) r.transferee = 0;
  maybeHandOver(r);
}

/**
 * A removed leader stops when a quorum of the voters that remain knows that it was removed. Stopping earlier can leave a
 * group that no longer elects anybody: voters that still count on nodes which have already left.
 */
export function maybeHandOver(r: Raft): void {
  if (r.handoverIndex === 0) return;
  const known = r.tracker.quorumIndex((id) => (id === r.id ? r.log.committed : (r.tracker.progress(id)?.knownCommit ?? 0)));
  if (known < r.handoverIndex) return;
  let successor = 0;
  let best = -1;
  for (const id of r.tracker.config.incoming) {
    const progress = r.tracker.progress(id);
    if (id === r.id || progress === undefined || progress.match <= best || progress.knownCommit < r.handoverIndex) continue;
    best = progress.match;
    successor = id;
  }
  r.trace?.({ kind: "handover", successor });
  if (successor !== 0) sendTimeoutNow(r, successor);
  r.becomeFollower(r.term, 0);
}

/** The members after the committed membership entry `entry`: what a state machine stores with its applied index. */
export function membersAfter(members: ConfState, entry: Entry): ConfState {
  const change = decodeConfChange(entry.data);
  assert(entry.type === "config" && change !== undefined, "a committed membership change is well formed");
  const result = configurationAfter(configurationOf(members), change);
  assert(result.ok, "a committed membership change fits the configuration");
  return confStateOf(result.config);
}
