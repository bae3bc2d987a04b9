/**
 * What a leader knows of one follower (section 5.3: matchIndex and nextIndex), and how it sends to it.
 *
 * - probe: the follower's log is unknown. One append at a time, until it answers.
 * - replicate: the log matches up to `match`. Appends are sent ahead, within the window.
 * - snapshot: what the follower needs was compacted. Nothing is sent until the snapshot is in, or failed.
 *
 * Invariant: match < next.
 */
import { assert } from "../base/mod.ts";
import { Inflights } from "./inflights.ts";

/** How a leader sends to a follower. */
export type ProgressState = "probe" | "replicate" | "snapshot";

/** The window's limits. */
export interface WindowLimits {
  readonly maxInflightMessages: number;
  readonly maxInflightBytes: number;
}

/** One follower, as its leader sees it. */
export class Progress {
  match = 0;
  next: number;
  state: ProgressState = "probe";
  /** The index of the snapshot that was sent, in state snapshot; else 0. */
  pendingSnapshot = 0;
  /** Heard from since the last check of the quorum. */
  recentActive: boolean;
  /** No append may be sent until something is heard: a probe is out, or the window is full. */
  paused = false;
  isLearner: boolean;
  /** The highest commit index that was sent to it. */
  sentCommit = 0;
  /** The highest commit index that it said it knows. */
  knownCommit = 0;
  /** The last heartbeat round that it answered. */
  ackedRound = 0;
  readonly inflights: Inflights;

  constructor(next: number, isLearner: boolean, limits: WindowLimits) {
    this.next = next;
    this.isLearner = isLearner;
    this.recentActive = false;
    this.inflights = new Inflights(limits.maxInflightMessages, limits.maxInflightBytes);
  }

  becomeProbe(): void {
    const pending = this.state === "snapshot" ? this.pendingSnapshot : 0;
    this.#enter("probe");
    this.next = Math.max(this.match, pending) + 1;
    this.sentCommit = Math.min(this.sentCommit, this.next - 1);
  }

  becomeReplicate(): void {
    this.#enter("replicate");
    this.next = this.match + 1;
  }

  becomeSnapshot(index: number): void {
    this.#enter("snapshot");
    this.pendingSnapshot = index;
    this.next = index + 1;
    this.sentCommit = index;
  }

  isPaused(): boolean {
    return this.state === "snapshot" || this.paused;
  }

  /** An append with `count` entries of `bytes` was sent. */
  sentEntries(count: number, bytes: number): void {
    assert(this.state !== "snapshot", "no entries are sent during a snapshot");
    if (this.state === "replicate") {
      if (count > 0) {
        this.next += count;
        this.inflights.add(this.next - 1, bytes);
      }
      this.paused = this.inflights.full();
    } else if (count > 0) {
      this.paused = true;
    }
  }

  /** True if telling the follower of `commit` tells it something, and something that its log can hold. */
  canBumpCommit(commit: number): boolean {
    return commit > this.sentCommit && this.sentCommit < this.next - 1;
  }

  /** The follower has everything up to `index`. False if that is no news. */
  maybeUpdate(index: number): boolean {
    if (index <= this.match) return false;
    this.match = index;
    this.next = Math.max(this.next, index + 1);
    this.paused = false;
    return true;
  }

  /** The follower refused the append at `rejected`; it may match at `hint`. False if the refusal is an old one. */
  maybeDecrease(rejected: number, hint: number): boolean {
    if (this.state === "replicate") {
      if (rejected <= this.match) return false;
      this.next = this.match + 1;
      this.sentCommit = Math.min(this.sentCommit, this.next - 1);
      return true;
    }
    if (this.next - 1 !== rejected) return false;
    this.next = Math.max(Math.min(rejected, hint + 1), this.match + 1);
    this.sentCommit = Math.min(this.sentCommit, this.next - 1);
    this.paused = false;
    return true;
  }

  #enter(state: ProgressState): void {
    this.state = state;
    this.paused = false;
    this.pendingSnapshot = 0;
    this.inflights.reset();
  }
}
