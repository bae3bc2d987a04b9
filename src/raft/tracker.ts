/** The configuration in force, with each member's progress and the votes of an election. */
import { EMPTY_CONFIGURATION, allMembers, allVoters, type Configuration } from "./configuration.ts";
import { Progress, type WindowLimits } from "./progress.ts";
import { jointIndex, jointVote, type Acked, type VoteResult } from "./quorum.ts";

/** What a vote stands at. */
export interface Tally {
  readonly granted: number;
  readonly rejected: number;
  readonly result: VoteResult;
}

/** Members, progress, votes. */
export class Tracker {
  #current: Configuration = EMPTY_CONFIGURATION;
  /** Every member's progress, in the order of `members`. */
  readonly #progresses = new Map<number, Progress>();
  #memberIds: readonly number[] = [];
  #voterIds: readonly number[] = [];
  readonly #votes = new Map<number, boolean>();
  readonly #limits: WindowLimits;

  constructor(limits: WindowLimits) {
    this.#limits = limits;
  }

  get config(): Configuration {
    return this.#current;
  }

  /** Voters of both halves and learners, sorted. */
  get members(): readonly number[] {
    return this.#memberIds;
  }

  /** Voters of both halves, sorted. */
  get voters(): readonly number[] {
    return this.#voterIds;
  }

  progress(id: number): Progress | undefined {
    return this.#progresses.get(id);
  }

  /** The node decides alone: the one voter of a configuration that is not joint. */
  isSoleVoter(id: number): boolean {
    return this.#current.outgoing.length === 0 && this.#current.incoming.length === 1 && this.#current.incoming[0] === id;
  }

  /** Takes `config`: members that stay keep their progress; new ones are probed from `lastIndex` on. */
  switchTo(config: Configuration, lastIndex: number): void {
    this.#current = config;
    this.#memberIds = allMembers(config);
    this.#voterIds = allVoters(config);
    const kept = new Map<number, Progress>();
    for (const id of this.#memberIds) {
      let progress = this.#progresses.get(id);
      if (progress === undefined) {
        progress = new Progress(Math.max(lastIndex, 1), false, this.#limits);
        // A new member counts as heard from, so that a leader is not deposed by the members that it just added.
        progress.recentActive = true;
      }
      progress.isLearner = config.learners.includes(id);
      kept.set(id, progress);
    }
    this.#progresses.clear();
    for (const [id, progress] of kept) this.#progresses.set(id, progress);
  }

  /** Starts all progress anew, as at the beginning of a term. */
  resetProgress(self: number, lastIndex: number): void {
    for (const id of this.#memberIds) {
      const progress = new Progress(lastIndex + 1, this.#current.learners.includes(id), this.#limits);
      if (id === self) progress.match = lastIndex;
      this.#progresses.set(id, progress);
    }
  }

  /** The highest value that a quorum has acknowledged. */
  quorumIndex(acked: Acked): number {
    return jointIndex(this.#current.incoming, this.#current.outgoing, acked);
  }

  /** The highest index that a quorum holds (section 5.3). */
  committedIndex(): number {
    return this.quorumIndex(this.#matchOf);
  }

  /** A quorum was heard from since the last check. `self` counts. */
  isQuorumActive(self: number): boolean {
    const active = jointVote(
      this.#current.incoming,
      this.#current.outgoing,
      (id) => id === self || (this.#progresses.get(id)?.recentActive ?? false),
    );
    return active === "won";
  }

  resetVotes(): void {
    this.#votes.clear();
  }

  /** The first vote of `id` counts. */
  recordVote(id: number, granted: boolean): void {
    if (!this.#votes.has(id)) this.#votes.set(id, granted);
  }

  tally(): Tally {
    let granted = 0;
    let rejected = 0;
    for (const id of this.#voterIds) {
      const vote = this.#votes.get(id);
      if (vote === true) granted++;
      else if (vote === false) rejected++;
    }
    return { granted, rejected, result: jointVote(this.#current.incoming, this.#current.outgoing, (id) => this.#votes.get(id)) };
  }

  readonly #matchOf: Acked = (id) => this.#progresses.get(id)?.match ?? 0;
}
