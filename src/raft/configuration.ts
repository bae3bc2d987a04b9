/**
 * A configuration: who votes, in which half, and who learns; and how a membership change turns one into the next.
 * Immutable. Source: section 6 of the paper; learners as in section 4.2.1 of the thesis.
 *
 * Invariants, checked at every change: learners and voters are disjoint; learnersNext are voters of the outgoing half only;
 * a configuration that is not joint has neither learnersNext nor autoLeave.
 */
import { assert } from "../base/mod.ts";
import type { ConfChangeStep } from "./conf-change.ts";
import type { ConfState } from "./types.ts";

/** Members by role; every list is sorted. */
export interface Configuration {
  readonly incoming: readonly number[];
  /** Not empty: joint. */
  readonly outgoing: readonly number[];
  readonly learners: readonly number[];
  readonly learnersNext: readonly number[];
  readonly autoLeave: boolean;
}

/** A configuration, or why the change is refused. */
export type ChangeResult = { readonly ok: true; readonly config: Configuration } | { readonly ok: false; readonly reason: ChangeRefusal };

/** Why a change is refused. */
export type ChangeRefusal =
  | "config is already joint"
  | "can't make a zero-voter config joint"
  | "can't leave a non-joint config"
  | "can't apply simple config change in joint config"
  | "more than one voter changed without entering joint config"
  | "removed all voters";

/** The configuration of nobody. */
export const EMPTY_CONFIGURATION: Configuration = { incoming: [], outgoing: [], learners: [], learnersNext: [], autoLeave: false };

export function isJoint(config: Configuration): boolean {
  return config.outgoing.length > 0;
}

/** Voters of either half, sorted. */
export function allVoters(config: Configuration): readonly number[] {
  return isJoint(config) ? sorted(new Set([...config.incoming, ...config.outgoing])) : config.incoming;
}

export function isVoter(config: Configuration, id: number): boolean {
  return config.incoming.includes(id) || config.outgoing.includes(id);
}

/** Everyone that a leader replicates to, sorted. */
export function allMembers(config: Configuration): readonly number[] {
  return sorted(new Set([...config.incoming, ...config.outgoing, ...config.learners]));
}

export function confStateOf(config: Configuration): ConfState {
  return {
    voters: config.incoming,
    votersOutgoing: config.outgoing,
    learners: config.learners,
    learnersNext: config.learnersNext,
    autoLeave: config.autoLeave,
  };
}

export function configurationOf(state: ConfState): Configuration {
  const config: Configuration = {
    incoming: sorted(state.voters),
    outgoing: sorted(state.votersOutgoing),
    learners: sorted(state.learners),
    learnersNext: sorted(state.learnersNext),
    autoLeave: state.autoLeave,
  };
  checkInvariants(config);
  return config;
}

/** Enters a joint configuration whose outgoing half is `config` and whose incoming half is that with `steps` made. */
export function enterJoint(config: Configuration, steps: readonly ConfChangeStep[], autoLeave: boolean): ChangeResult {
  if (isJoint(config)) return refuse("config is already joint");
  if (config.incoming.length === 0) return refuse("can't make a zero-voter config joint");
  const draft = new Draft(config, new Set(config.incoming));
  if (!draft.make(steps)) return refuse("removed all voters");
  return { ok: true, config: draft.finish(autoLeave) };
}

/** Leaves a joint configuration: the outgoing half is gone, and its demoted voters are learners. */
export function leaveJoint(config: Configuration): ChangeResult {
  if (!isJoint(config)) return refuse("can't leave a non-joint config");
  const next: Configuration = {
    incoming: config.incoming,
    outgoing: [],
    learners: sorted(new Set([...config.learners, ...config.learnersNext])),
    learnersNext: [],
    autoLeave: false,
  };
  checkInvariants(next);
  return { ok: true, config: next };
}

/** Changes at most one voter, without a joint configuration. */
export function changeSimply(config: Configuration, steps: readonly ConfChangeStep[]): ChangeResult {
  if (isJoint(config)) return refuse("can't apply simple config change in joint config");
  const draft = new Draft(config, new Set());
  if (!draft.make(steps)) return refuse("removed all voters");
  const next = draft.finish(false);
  const added = next.incoming.filter((id) => !config.incoming.includes(id)).length;
  const removed = config.incoming.filter((id) => !next.incoming.includes(id)).length;
  if (added + removed > 1) return refuse("more than one voter changed without entering joint config");
  return { ok: true, config: next };
}

/** @throws AssertionError if the configuration contradicts itself. */
export function checkInvariants(config: Configuration): void {
  for (const id of config.learners) assert(!isVoter(config, id), "no learner votes");
  for (const id of config.learnersNext) {
    assert(config.outgoing.includes(id) && !config.incoming.includes(id), "a future learner still votes in the outgoing half only");
    assert(!config.learners.includes(id), "a future learner is not a learner yet");
  }
  if (isJoint(config)) return;
  assert(config.learnersNext.length === 0 && !config.autoLeave, "only a joint configuration has a future");
}

/** A configuration while its steps are made. */
class Draft {
  readonly #incoming: Set<number>;
  readonly #outgoing: ReadonlySet<number>;
  readonly #learners: Set<number>;
  readonly #learnersNext: Set<number>;

  constructor(config: Configuration, outgoing: ReadonlySet<number>) {
    this.#incoming = new Set(config.incoming);
    this.#outgoing = outgoing;
    this.#learners = new Set(config.learners);
    this.#learnersNext = new Set(config.learnersNext);
  }

  /** False if no voter is left. */
  make(steps: readonly ConfChangeStep[]): boolean {
    for (const step of steps) {
      if (step.nodeId !== 0) this.#makeStep(step);
    }
    return this.#incoming.size > 0;
  }

  finish(autoLeave: boolean): Configuration {
    const config: Configuration = {
      incoming: sorted(this.#incoming),
      outgoing: sorted(this.#outgoing),
      learners: sorted(this.#learners),
      learnersNext: sorted(this.#learnersNext),
      autoLeave,
    };
    checkInvariants(config);
    return config;
  }

  #makeStep(step: ConfChangeStep): void {
    const id = step.nodeId;
    if (step.kind === "update" || (step.kind === "add-learner" && this.#learners.has(id))) return;
    this.#incoming.delete(id);
    this.#learners.delete(id);
    this.#learnersNext.delete(id);
    if (step.kind === "add-voter") this.#incoming.add(id);
    // A voter of the outgoing half can't be a learner at the same time; it becomes one when the joint configuration is left.
    else if (step.kind === "add-learner") (this.#outgoing.has(id) ? this.#learnersNext : this.#learners).add(id);
  }
}

function refuse(reason: ChangeRefusal): ChangeResult {
  return { ok: false, reason };
}

function sorted(ids: Iterable<number>): readonly number[] {
  return [...ids].sort((left, right) => left - right);
}
