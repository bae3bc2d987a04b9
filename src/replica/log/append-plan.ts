/** What a group of batches writes, and what is true once it is durable. Pure: nothing is written here. */
import { assert, type EntryId } from "../../base/mod.ts";
import { FrameType, smallFrame } from "./format.ts";
import type { PackedBatch } from "./pack.ts";
import type { HardState } from "../../raft/mod.ts";
import type { LogState } from "./types.ts";

/** A piece of what is written, and what it does to the positions of entries. */
export interface PlanPart {
  readonly frames: Uint8Array;
  readonly effect:
    | { readonly kind: "entries" }
    | { readonly kind: "truncate"; readonly index: number }
    | { readonly kind: "reset" }
    | { readonly kind: "none" };
}

/** The outcome of planning. Without parts there is nothing that needs a write: the commit index waits for one. */
export interface AppendPlan {
  readonly parts: readonly PlanPart[];
  readonly state: LogState;
  /** The lowest index touched: entries from here on are new. Infinity if none is. */
  readonly low: number;
  /** False if it is hard state (and compaction) alone: a full disk must still take that. */
  readonly hasEntries: boolean;
}

/** Plans `batches` after `state`. `written` is the hard state on disk, whose commit may lie before that of `state`. */
export function planAppend(state: LogState, written: HardState, batches: readonly PackedBatch[]): AppendPlan {
  const parts: PlanPart[] = [];
  let { hardState, compacted, last } = state;
  let low = Infinity;
  for (const batch of batches) {
    const committed = hardState.commit;
    if (batch.hardState !== undefined) hardState = nextHardState(hardState, batch.hardState);
    if (batch.snapshot !== undefined) {
      assert(batch.snapshot.index >= compacted.index, "a reset does not go back before what was dropped");
      parts.push({ frames: smallFrame(FrameType.reset, batch.snapshot), effect: { kind: "reset" } });
      compacted = batch.snapshot;
      last = batch.snapshot;
      low = Math.min(low, batch.snapshot.index + 1);
    }
    const { first, frames } = batch.entries;
    if (frames.length === 0) continue;
    assert(first.index <= last.index + 1, "appended entries leave no gap");
    assert(first.index > compacted.index, "appended entries lie after what was dropped");
    if (first.index <= last.index) {
      assert(first.index > committed, "a committed entry is never overwritten");
      parts.push({ frames: smallFrame(FrameType.truncate, first), effect: { kind: "truncate", index: first.index } });
    } else {
      assert(first.term >= last.term, "terms do not go back");
    }
    parts.push({ frames, effect: { kind: "entries" } });
    last = batch.entries.last;
    low = Math.min(low, first.index);
  }
  const hasEntries = parts.length > 0;
  if (hasEntries ? !sameHardState(hardState, written) : needsSync(hardState, written)) parts.push(hardStatePart(hardState));
  return { parts, state: { hardState, compacted, last }, low, hasEntries };
}

/** Plans to drop entries up to `to`, which the caller has applied: so it is committed, and that is written first. */
export function planCompaction(state: LogState, to: EntryId): AppendPlan {
  assert(to.index <= state.last.index, "only entries of the log are dropped");
  const hardState = { ...state.hardState, commit: Math.max(state.hardState.commit, to.index) };
  const parts = [hardStatePart(hardState), compactPart(to)];
  return { parts, state: { ...state, hardState, compacted: to }, low: Infinity, hasEntries: false };
}

/** Plans to write the hard state as it is. */
export function planHardState(state: LogState): AppendPlan {
  return { parts: [hardStatePart(state.hardState)], state, low: Infinity, hasEntries: false };
}

export function hardStatePart(hardState: HardState): PlanPart {
  const frames = smallFrame(FrameType.hardState, { index: hardState.commit, term: hardState.term }, hardState.vote);
  return { frames, effect: { kind: "none" } };
}

export function compactPart(to: EntryId): PlanPart {
  return { frames: smallFrame(FrameType.compact, to), effect: { kind: "none" } };
}

/** Term and vote never go back; a late commit index never replaces a newer one (hazard C6). */
function nextHardState(from: HardState, to: HardState): HardState {
  assert(to.term >= from.term, "the term does not go back");
  assert(to.term > from.term || from.vote === 0 || to.vote === from.vote, "a vote does not change within its term");
  return { term: to.term, vote: to.vote, commit: Math.max(from.commit, to.commit) };
}

function needsSync(hardState: HardState, written: HardState): boolean {
  return hardState.term !== written.term || hardState.vote !== written.vote;
}

function sameHardState(left: HardState, right: HardState): boolean {
  return left.commit === right.commit && !needsSync(left, right);
}
