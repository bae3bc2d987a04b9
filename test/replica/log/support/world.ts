/** One log on one simulated disk, driven by random but legal steps, compared with the model after each incarnation. */
import assert from "node:assert/strict";
import { crc32, isPumiceError, type EntryId, type FileSystem, type Random } from "../../../../src/base/mod.ts";
import type { Entry, HardState } from "../../../../src/raft/mod.ts";
import { Log, type AppendOutcome, type LogParts, type LogSettings, type PackedBatch } from "../../../../src/replica/mod.ts";
import { PowerLoss, SimDisk, randomOf } from "../../../../src/sim/mod.ts";
import { packed, type TestBatch } from "./batch.ts";
import { EMPTY_MODEL, appended, compactedTo, contentsOf, difference, lastOf, modelOf, type LogLike, type ModelState } from "./model.ts";

/** The log under test: the real one, or one with a planted bug. */
export interface TestedLog extends LogLike {
  append(batches: readonly PackedBatch[]): AppendOutcome;
  compact(to: EntryId): void;
  prepare(): boolean;
  close(): void;
}

/** Opens it. */
export type OpenLog = (parts: LogParts, settings: LogSettings) => TestedLog;

export const openRealLog: OpenLog = (parts, settings) => Log.open(parts, settings);

export const FOLDER = "data/log";

/** What the runs of this process met, so that a test can say that they met what they are for. */
export const met = new Set<string>();

/** What an operation came to. */
export type StepResult = "done" | "full" | "failed" | "powerLoss";

/** Sizes small enough that a short run passes many segments. */
export function smallSettings(random: Random): LogSettings {
  const sliceBytes = [512, 1024][random.below(2)]!;
  return { folder: FOLDER, segmentBytes: sliceBytes * (2 + random.below(6)), sliceBytes };
}

/** A machine with a log. */
export class LogWorld {
  readonly disk: SimDisk;
  readonly random: Random;
  settings: LogSettings;
  readonly #open: OpenLog;
  readonly #files: FileSystem;
  log: TestedLog | undefined;
  /** What is acknowledged. */
  acked: ModelState = EMPTY_MODEL;
  /** What may be on disk instead, having been under way when the process ended. */
  underWay: ModelState[] = [];
  /** What was refused since the last write that succeeded: some of it may have been written, and may be found. */
  refused: ModelState[] = [];
  #number = 0;

  constructor(seed: number, open: OpenLog = openRealLog, decorate: (files: FileSystem) => FileSystem = (files) => files) {
    this.random = randomOf(seed, "workload");
    this.disk = new SimDisk(randomOf(seed, "disk"));
    this.disk.files.makeDirectory("data");
    this.disk.files.syncDirectory("");
    this.#files = decorate(this.disk.files);
    this.settings = smallSettings(this.random);
    this.#open = open;
  }

  get opened(): TestedLog {
    assert.ok(this.log !== undefined);
    return this.log;
  }

  /** Opens the log and compares it with what may be there. From then on what was found is what is acknowledged. */
  open(): StepResult {
    const result = this.attempt(() => {
      this.log = this.#open({ files: this.#files, crc32 }, this.settings);
    });
    if (result === "done") this.check();
    return result;
  }

  /** The log holds one of the states that it may hold (invariants 20, 22, 25). */
  check(): void {
    const log = this.opened;
    this.disk.faults = undefined;
    const entries = contentsOf(log, 1 + this.random.below(400));
    const candidates = [this.acked, ...this.underWay, ...this.refused];
    const differences = candidates.map((candidate) => difference(log, candidate, entries));
    assert.ok(differences.includes(undefined), `the log is none of what it may be: ${differences.join("; ")}`);
    if (this.underWay.length > 0) met.add(differences[0] === undefined ? "what was under way was lost" : "what was under way was found");
    if (this.refused.length > 0 && differences[0] !== undefined) met.add("what was refused was found");
    if (entries.some((entry) => entry.index > 1 && entry.term > (entries[0]?.term ?? 0))) met.add("terms");
    met.add(`${Math.min(4, this.disk.files.list(FOLDER).filter((name) => !name.startsWith("blank")).length)} segments`);
    this.acked = modelOf(log, entries);
    this.underWay = [];
    this.refused = [];
  }

  /** A random legal step. */
  step(): StepResult {
    switch (this.random.below(12)) {
      case 0:
        return this.compact();
      case 1:
        return this.attempt(() => void this.opened.prepare());
      case 2:
        return this.readSome();
      case 3:
        return this.append([this.vote()]);
      default:
        return this.append(this.group());
    }
  }

  append(group: readonly TestBatch[]): StepResult {
    const before = this.acked;
    const after = appended(before, group);
    let outcome: AppendOutcome | undefined;
    this.underWay = [after];
    const result = this.attempt(() => {
      outcome = this.opened.append(group.map(packed));
    });
    if (result !== "done" || outcome === undefined) {
      // With no space for all of it, the batches in front of the entries may have been written by themselves.
      for (let count = 1; count < group.length; count++) this.underWay.push(appended(before, group.slice(0, count)));
      return result;
    }
    const kept = group.slice(0, outcome.persisted);
    if (group.some((batch) => batch.snapshot !== undefined)) met.add("a snapshot");
    if (group.some((batch) => (batch.entries[0]?.index ?? Infinity) <= lastOf(before).index)) met.add("a truncation");
    if (outcome.persisted > 0 && outcome.persisted < group.length) met.add("votes in front of refused entries");
    this.acked = appended(before, kept);
    this.underWay = [];
    if (kept.some((batch) => writes(batch, before))) this.refused = [];
    if (outcome.persisted === group.length) return "done";
    assert.ok(isPumiceError(outcome.refusal, "LOG_FULL"));
    this.refused.push(after);
    return "full";
  }

  compact(): StepResult {
    const { compacted, hardState, entries } = this.acked;
    const applied = Math.min(hardState.commit, lastOf(this.acked).index);
    if (applied <= compacted.index) return "done";
    const index = compacted.index + 1 + this.random.below(applied - compacted.index);
    const term = entries.find((entry) => entry.index === index)!.term;
    this.underWay = [compactedTo(this.acked, index)];
    const result = this.attempt(() => this.opened.compact({ index, term }));
    if (result === "done") {
      this.acked = compactedTo(this.acked, index);
      this.underWay = [];
      this.refused = [];
    } else if (result === "full") {
      this.refused.push(...this.underWay);
      this.underWay = [];
    }
    return result;
  }

  close(): StepResult {
    this.underWay = [this.acked];
    return this.attempt(() => this.opened.close());
  }

  readSome(): StepResult {
    const { compacted, entries } = this.acked;
    if (entries.length === 0) return "done";
    const at = this.random.below(entries.length);
    return this.attempt(() => {
      for (;;) {
        const lo = compacted.index + 1 + at;
        const result = this.opened.read({ lo, hi: lo + 1 + this.random.below(10), maxBytes: this.random.below(300) });
        if (result.kind === "again") continue;
        assert.ok(result.kind === "entries" && result.entries.length > 0);
        assert.deepEqual(result.entries, entries.slice(at, at + result.entries.length));
        return;
      }
    });
  }

  /** Of the errors that a log may throw, which. */
  attempt(work: () => void): StepResult {
    try {
      work();
      return "done";
    } catch (error) {
      if (error instanceof PowerLoss || (isPumiceError(error, "LOG_FAILED") && hasCause(error, PowerLoss))) return "powerLoss";
      if (isPumiceError(error, "LOG_FULL") || isPumiceError(error, "FS_NO_SPACE")) return "full";
      if (isPumiceError(error, "LOG_FAILED") || isPumiceError(error, "FS_IO")) return "failed";
      throw error;
    }
  }

  /** One to three batches, with entries, truncations, snapshots and commit indexes as a core would give them. */
  group(): TestBatch[] {
    let state = this.acked;
    return Array.from({ length: 1 + this.random.below(3) }, () => {
      const batch = this.batch(state);
      state = appended(state, [batch]);
      return batch;
    });
  }

  vote(): TestBatch {
    const { term, commit } = this.acked.hardState;
    const hardState = { term: term + 1, vote: this.random.below(4), commit };
    return { number: ++this.#number, hardState, entries: [] };
  }

  batch(state: ModelState): TestBatch {
    const { random } = this;
    const last = lastOf(state);
    let hardState: HardState | undefined;
    let term = Math.max(state.hardState.term, last.term, 1);
    if (random.below(4) === 0) term++;
    const snapshot = random.below(40) === 0 ? { index: Math.max(last.index, state.hardState.commit) + random.below(5), term } : undefined;
    const end = snapshot?.index ?? last.index;
    const lowest = snapshot === undefined ? Math.max(state.hardState.commit, state.compacted.index) + 1 : end + 1;
    const isTruncation = term > last.term && random.below(3) === 0 && lowest <= end;
    const first = isTruncation ? lowest + random.below(end + 1 - lowest) : end + 1;
    const entries: Entry[] = Array.from({ length: random.below(8) === 0 ? 0 : 1 + random.below(4) }, (_, i) => this.entry(first + i, term));
    const lastIndex = entries.at(-1)?.index ?? end;
    if (random.below(2) === 0 || term > state.hardState.term) {
      const vote = term > state.hardState.term ? random.below(4) : state.hardState.vote;
      const commit = Math.max(snapshot?.index ?? 0, state.hardState.commit, random.below(3) === 0 ? random.below(lastIndex + 1) : 0);
      hardState = { term, vote, commit: random.below(10) === 0 ? 0 : commit };
    }
    if (snapshot !== undefined) {
      const { vote } = hardState ?? state.hardState;
      hardState = { term: Math.max(term, state.hardState.term), vote, commit: snapshot.index };
    }
    return { number: ++this.#number, hardState, snapshot, entries };
  }

  entry(index: number, term: number): Entry {
    const size = this.random.below(30) === 0 ? 300 + this.random.below(3000) : this.random.below(60);
    const data = Uint8Array.from({ length: size }, () => this.random.u32());
    return { index, term, type: this.random.below(5) === 0 ? "config" : "normal", data };
  }
}

/** The log writes something for this batch: more than a commit index. */
export function writes(batch: TestBatch, before: ModelState): boolean {
  const { term, vote } = batch.hardState ?? before.hardState;
  return batch.entries.length > 0 || batch.snapshot !== undefined || term !== before.hardState.term || vote !== before.hardState.vote;
}

function hasCause(error: Error, type: typeof PowerLoss): boolean {
  for (let cause: unknown = error; cause instanceof Error; cause = cause.cause) if (cause instanceof type) return true;
  return false;
}
