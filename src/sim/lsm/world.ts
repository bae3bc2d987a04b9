/**
 * The world of a simulated LSM life: its time, its chances, what has happened in it, and the processes that live in it, each with a clock
 * that jumps and a line to the store that may break.
 */
import {
  assert,
  isPumiceError,
  seededRandom,
  utf8,
  type Clock,
  type HostCodecs,
  type ObjectStore,
  type PumiceError,
  type Random,
} from "../../base/mod.ts";
import type { LsmComponents, MergeOperator } from "../../lsm/mod.ts";
import { SimClock } from "../world/clock.ts";
import type { ReadTimes } from "./model.ts";

/** Name of the store. */
export const ROOT = "db";
const START_MS = 1_800_000_000_000;
/** Turns of the microtask queue that count as "nothing more happens without time passing". */
const SETTLE_TURNS = 60;
/** Times that everything may stand still before something is stuck: long computations take many turns. */
const IDLE_TURNS_MAX = 1000;
/** Virtual time after which an operation that should end is stuck. */
const STUCK_MS = 3_600_000;
/** A clock is this wrong, one way or the other, where it is very wrong. */
const YEAR_MS = 31_536_000_000;

/** Operands are appended: nothing of what was merged is lost from sight. */
export const appendOperator: MergeOperator = {
  merge: (_key, existing, operand) => Uint8Array.from([...(existing ?? []), ...operand]),
};

/** A violation, with the seed that shows it. */
export class LsmSimFailure extends Error {
  override readonly name = "LsmSimFailure";
}

/** A way to the store that breaks where its process dies. */
export interface Line {
  readonly store: ObjectStore;
  /** Resolves when the process has died. */
  readonly crashed: Promise<unknown>;
  crash(): void;
}

/** The clock of one process: the world's time, its own wall. */
export class ProcessClock implements Clock {
  offsetMs = 0;
  readonly #world: SimClock;

  constructor(world: SimClock) {
    this.#world = world;
  }

  now(): number {
    return this.#world.now() + this.offsetMs;
  }

  monotonic(): number {
    return this.#world.monotonic();
  }

  async sleep(ms: number, options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    await this.#world.sleep(ms, options);
  }
}

/** See the header of this file. */
export class LsmWorld {
  readonly random: Random;
  readonly time = new SimClock(START_MS);
  /** What happened, in words. */
  readonly steps: string[] = [];
  /** How often what was read was compared with what must be there. */
  checks = 0;
  /** The highest stamp that any process has given: what expires later cannot be gone. */
  tickMax = -Infinity;
  readonly #hostCodecs: HostCodecs | undefined;
  #violation: { readonly error: unknown } | undefined;

  constructor(seed: number, hostCodecs?: HostCodecs) {
    this.random = seededRandom(seed);
    this.#hostCodecs = hostCodecs;
  }

  /** True in `percent` of cases. */
  chance(percent: number): boolean {
    return this.random.below(100) < percent;
  }

  /** Uniform in [0, bound). */
  below(bound: number): number {
    return this.random.below(bound);
  }

  /** One of them. */
  oneOf<T>(choices: readonly T[]): T {
    return choices[this.random.below(choices.length)] as T;
  }

  /** Text of some length, as bytes. */
  someValue(): Uint8Array {
    return utf8(`${this.below(1000)}`.repeat(1 + this.below(this.chance(5) ? 300 : 10)));
  }

  note(step: string): void {
    this.steps.push(step);
  }

  /** What a process is made of beside its settings. */
  components(store: ObjectStore, clock: Clock): LsmComponents {
    return { store, clock, random: this.random, mergeOperator: appendOperator, hostCodecs: this.#hostCodecs };
  }

  /** True if codecs of the host's are at hand. */
  get hasHostCodecs(): boolean {
    return this.#hostCodecs !== undefined;
  }

  /** How wrong a clock is. */
  drawOffset(): number {
    return this.chance(60) ? 0 : this.chance(50) ? this.below(60_000) - 30_000 : this.chance(50) ? -YEAR_MS : YEAR_MS;
  }

  /** What a reader may see that filters by that clock time, or does not. */
  times(filterAt?: number): ReadTimes {
    return { filterAt, tickMax: this.tickMax };
  }

  /** Counts a check. @throws LsmSimFailure if there is a difference */
  check(difference: string | undefined, what: string): void {
    this.checks++;
    if (difference !== undefined) throw new LsmSimFailure(`${what}: ${difference}`);
  }

  /** Runs a check whose failure is to end the life. */
  guard(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.blame(error);
    }
  }

  blame(error: unknown): void {
    this.#violation ??= { error };
  }

  assertUnhurt(): void {
    if (this.#violation !== undefined) throw this.#violation.error;
  }

  /** Lets something go on beside. It may end for one of those reasons; nothing else excuses a failure. */
  async beside(what: string, operation: Promise<unknown>, excuses: readonly PumiceError["code"][]): Promise<void> {
    this.note(what);
    try {
      await operation;
    } catch (error) {
      if (!excuses.some((code) => isPumiceError(error, code))) this.blame(error);
    }
  }

  /** Lets time pass. */
  async pass(ms: number): Promise<void> {
    const until = this.time.monotonic() + ms;
    for (;;) {
      await settle();
      this.assertUnhurt();
      const next = this.time.nextDeadline();
      if (next === undefined || next > until) break;
      this.time.advance(Math.max(0, next - this.time.monotonic()));
    }
    this.time.advance(until - this.time.monotonic());
    await settle();
    this.assertUnhurt();
  }

  /** Lets time pass until the promise has settled. */
  async drive<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    promise.then(
      () => (isSettled = true),
      () => (isSettled = true),
    );
    const deadline = this.time.monotonic() + STUCK_MS;
    let idleTurns = 0;
    for (;;) {
      await settle();
      this.assertUnhurt();
      if (isSettled) return await promise;
      const next = this.time.nextDeadline();
      idleTurns = next === undefined ? idleTurns + 1 : 0;
      assert(this.time.monotonic() < deadline && idleTurns < IDLE_TURNS_MAX, "what was begun comes to an end");
      if (next !== undefined) this.time.advance(Math.max(0, next - this.time.monotonic()));
    }
  }

  /** Likewise, or until the process has died: then "crashed". */
  async driveUnlessDead<T>(promise: Promise<T>, line: Line): Promise<T | "crashed"> {
    // If the process dies, how the promise ends is nobody's business.
    promise.catch(() => undefined);
    return await this.drive(Promise.race([line.crashed.then(() => "crashed" as const), promise]));
  }
}

async function settle(): Promise<void> {
  for (let i = 0; i < SETTLE_TURNS; i++) await Promise.resolve();
}
