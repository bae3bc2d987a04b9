/**
 * The life of one LSM store under faults, from a seed: several processes one after the other and beside each other, each with its own clock
 * that jumps, over one store that is slow, fails before and after the effect, lists late, and loses its clients in the middle of a call.
 *
 * Checked: after each opening the state is that of a prefix of all commits, with every commit that was acknowledged as durable in it; a live
 * process reads its own writes; snapshots and checkpoints stay as they are; a fenced writer's write is never acknowledged; manifests and deletions
 * keep their invariants (lsm-watch.ts); in the end every checksum and every order in the store is right.
 */
import { assert, isPumiceError, MemoryObjectStore, seededRandom, utf8, type Clock, type ObjectStore, type Random } from "../base/mod.ts";
import {
  Admin,
  Db,
  DbReader,
  MERGE,
  TOMBSTONE,
  VALUE,
  WriteBatch,
  type LsmComponents,
  type LsmOptions,
  type MergeOperator,
  type Snapshot,
} from "../lsm/mod.ts";
import { SimClock } from "./clock.ts";
import { differenceOf, LsmModel, type ModelState, type ModelWrite } from "./lsm-model.ts";
import { watchedStore } from "./lsm-watch.ts";
import { CrashableStore } from "./object-store/crash.ts";
import { faultyStore, slowStore, type StoreFaultRates } from "./object-store/faults.ts";
import { staleListStore } from "./object-store/lies.ts";

const ROOT = "db";
const START_MS = 1_800_000_000_000;
const KEYS = 40;
/** Turns of the microtask queue that count as "nothing more happens without time passing". */
const SETTLE_TURNS = 60;
/** Times that everything may stand still before something is stuck: long computations take many turns. */
const IDLE_TURNS_MAX = 1000;
/** Virtual time after which an operation that should end is stuck. */
const STUCK_MS = 3_600_000;

const appendOperator: MergeOperator = {
  merge: (_key, existing, operand) => Uint8Array.from([...(existing ?? []), ...operand]),
};

/** What a simulated life consisted of. */
export interface LsmSimReport {
  readonly seed: number;
  readonly processes: number;
  readonly crashes: number;
  readonly commits: number;
  readonly acknowledged: number;
  readonly lost: number;
  readonly checks: number;
}

/** A violation, with the seed that shows it. */
export class LsmSimFailure extends Error {
  override readonly name = "LsmSimFailure";
}

/** Lives the life of `seed`. @throws LsmSimFailure */
export async function simulateLsm(seed: number): Promise<LsmSimReport> {
  const life = new Life(seed);
  try {
    return await life.run();
  } catch (error) {
    throw new LsmSimFailure(`seed=${seed} ${life.trace()}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`, {
      cause: error,
    });
  }
}

/** The clock of one process: the world's time, its own wall. */
class ProcessClock implements Clock {
  offsetMs = 0;
  private readonly world: SimClock;

  constructor(world: SimClock) {
    this.world = world;
  }

  now(): number {
    return this.world.now() + this.offsetMs;
  }

  monotonic(): number {
    return this.world.monotonic();
  }

  async sleep(ms: number, options?: { readonly signal?: AbortSignal | undefined }): Promise<void> {
    await this.world.sleep(ms, options);
  }
}

interface Process {
  readonly db: Db;
  readonly clock: ProcessClock;
  readonly line: CrashableStore;
}

class Life {
  private readonly seed: number;
  private readonly random: Random;
  private readonly world = new SimClock(START_MS);
  private readonly disk = new MemoryObjectStore({ clock: this.world });
  private readonly shared: ObjectStore;
  private readonly model = new LsmModel();
  private readonly counts = { processes: 0, crashes: 0, commits: 0, acknowledged: 0, lost: 0, checks: 0 };
  private readonly steps: string[] = [];
  private violation: { readonly error: unknown } | undefined;
  private ackedSeq = 0;
  private options: LsmOptions = {};
  private rates: StoreFaultRates = { errorBefore: 0, errorAfter: 0, timeoutBefore: 0, timeoutAfter: 0, lateEffect: 0 };
  private current: Process | undefined;
  private readonly zombies: Process[] = [];
  private snapshots: { readonly snapshot: Snapshot; readonly expected: ModelState }[] = [];
  /** Operations that the current process began beside. */
  private begun: Promise<void>[] = [];
  private checkpoints: { readonly id: string }[] = [];

  constructor(seed: number) {
    this.seed = seed;
    this.random = seededRandom(seed);
    const watched = watchedStore(this.disk, ROOT, (error) => this.blame(error));
    this.shared = this.chance(50) ? staleListStore(watched, { clock: this.world, random: this.random, staleMsMax: 3000 }) : watched;
  }

  trace(): string {
    return `options=${JSON.stringify(this.options)} last=[${this.steps.slice(-25).join(" ")}]`;
  }

  async run(): Promise<LsmSimReport> {
    const profile = this.chance(50) ? "0.12" : "0.14";
    const processes = 2 + this.random.below(4);
    for (let i = 0; i < processes; i++) {
      this.options = this.drawOptions(profile);
      this.rates = this.drawRates();
      await this.become();
      await this.live();
      await this.part();
    }
    await this.finale();
    return { seed: this.seed, ...this.counts };
  }

  /** Opens the store in a new process and checks what it finds. */
  private async become(): Promise<void> {
    this.counts.processes++;
    for (let attempt = 0; ; attempt++) {
      const clock = new ProcessClock(this.world);
      clock.offsetMs = this.drawOffset();
      // Some processes die while they open.
      const line = new CrashableStore(
        this.unreliable(),
        this.chance(20) && attempt < 3 ? { at: 1 + this.random.below(25), when: this.chance(50) ? "before" : "after" } : undefined,
      );
      this.steps.push(`open${attempt}`);
      const opening = Db.open(ROOT, this.components(line.store, clock), this.options);
      const outcome = await this.drive(Promise.race([opening, line.crashed.then(() => "crashed" as const)]));
      if (outcome === "crashed") {
        this.counts.crashes++;
        continue;
      }
      await this.adopt({ db: outcome, clock, line });
      return;
    }
  }

  private async adopt(process: Process): Promise<void> {
    const { lastSeq } = process.db.status();
    assert(lastSeq >= this.ackedSeq, "every acknowledged commit is recovered");
    const expected = this.model.stateAt(lastSeq);
    this.model.truncate(lastSeq);
    this.snapshots = [];
    this.begun = [];
    this.current = process;
    // If it lived before the check, a crash point may end it.
    const rows = await this.drive(Promise.race([process.db.scan().toArray(), process.line.crashed.then(() => undefined)]));
    if (rows === undefined) return;
    this.check(differenceOf(rows, expected), "state after opening");
  }

  /** Works in the current process. */
  private async live(): Promise<void> {
    const steps = 20 + this.random.below(80);
    for (let i = 0; i < steps && this.current !== undefined; i++) {
      const { current } = this;
      const end = current.db.status().closed;
      if (end !== undefined) {
        // Only a newer writer may end it, and there is none.
        assert(end !== "fenced", "the newest writer is not fenced");
        assert(end !== "failed", "no fault of the store ends a writer");
        return;
      }
      this.step(current);
      for (const zombie of this.zombies) if (this.chance(20)) this.zombieStep(zombie);
      await this.pass(this.random.below(this.chance(10) ? 20_000 : 300));
    }
  }

  /** Ends the current process, in one of the ways in which processes end. */
  private async part(): Promise<void> {
    const process = this.current;
    if (process === undefined) return;
    this.current = undefined;
    const roll = this.random.below(10);
    if (roll < 5) {
      this.steps.push("crash");
      this.counts.crashes++;
      process.line.crash();
    } else if (roll < 8) {
      this.steps.push("close");
      const how = this.chance(50) ? {} : { flush: this.chance(50) ? ("wal" as const) : ("none" as const) };
      await this.drive(Promise.race([process.db.close(how), process.line.crashed]));
      // What was begun in a process that closed has ended too, well or not.
      await this.drive(Promise.race([Promise.all(this.begun), process.line.crashed]));
    } else {
      this.steps.push("leave");
      this.zombies.push(process);
    }
  }

  /** Without faults: opens, reads, and checks every file. */
  private async finale(): Promise<void> {
    this.rates = { errorBefore: 0, errorAfter: 0, timeoutBefore: 0, timeoutAfter: 0, lateEffect: 0 };
    await this.pass(60_000);
    this.options = { ...this.options, compactor: { pollIntervalMs: 1000 } };
    const components = this.components(this.shared, new ProcessClock(this.world));
    await this.pass(10_000);
    const db = await this.drive(Db.open(ROOT, components, this.options));
    await this.adopt({ db, clock: new ProcessClock(this.world), line: new CrashableStore(this.shared) });
    for (const { id } of this.checkpoints) await this.checkCheckpoint(id, components);
    this.check(differenceOf(await this.drive(db.scan().toArray()), this.model.state), "final state");
    await this.drive(db.compact());
    this.check(differenceOf(await this.drive(db.scan().toArray()), this.model.state), "state after compaction");
    const backwards = (await this.drive(db.scan({ order: "descending" }).toArray())).reverse();
    this.check(differenceOf(backwards, this.model.state), "state read backwards");
    await this.drive(db.close());
    const { findings } = await this.drive(new Admin(ROOT, components).verify());
    this.check(findings[0] === undefined ? undefined : `${findings[0].object}: ${findings[0].problem}`, "verification");
    for (const zombie of this.zombies) await this.drive(Promise.race([zombie.db.close({ flush: "none" }), this.world.sleep(60_000)]));
    this.assertUnhurt();
  }

  private step(process: Process): void {
    const roll = this.random.below(100);
    const { db } = process;
    if (roll < 55) this.write(process);
    else if (roll < 65) this.readKey(db);
    else if (roll < 72) this.readAll(db);
    else if (roll < 76) this.attempt("flush", db.flush("wal"));
    else if (roll < 81) this.attempt("flushM", db.flush("memtable"));
    else if (roll < 84) this.attempt("compact", db.compact());
    else if (roll < 88) this.attempt("gc", db.collectGarbage(this.random.below(20_000)));
    else if (roll < 92) this.takeSnapshot(db);
    else if (roll < 95) this.checkSnapshots();
    else if (roll < 97) this.checkpoint(db);
    else {
      process.clock.offsetMs += this.chance(50) ? this.random.below(120_000) - 60_000 : this.random.below(60) - 30;
      this.steps.push("jump");
    }
  }

  private write(process: Process): void {
    const writes = Array.from({ length: this.chance(70) ? 1 : 1 + this.random.below(5) }, () => this.drawWrite());
    const batch = new WriteBatch();
    for (const { key, kind, value } of writes) {
      if (kind === VALUE) batch.put(key, value);
      else if (kind === TOMBSTONE) batch.delete(key);
      else batch.merge(key, value);
    }
    const handle = this.tryCommit(process.db, batch);
    if (handle === undefined) return;
    this.steps.push(`w${handle.seq}`);
    this.counts.commits++;
    this.model.commit(handle.seq, writes);
    if (this.chance(60)) this.awaitDurable(process, handle.seq);
  }

  private tryCommit(db: Db, batch: WriteBatch): { readonly seq: number } | undefined {
    try {
      return db.writeSync(batch);
    } catch (error) {
      if (isPumiceError(error, "LSM_BUSY")) return undefined;
      throw error;
    }
  }

  /** Waits beside for what was written to be durable: a write of a moment later shares its fate. */
  private awaitDurable(process: Process, seq: number): void {
    const { db } = process;
    void db.flush(this.options.walEnabled === false ? "memtable" : "wal").then(
      () => {
        this.counts.acknowledged++;
        if (this.current?.db === db) this.ackedSeq = Math.max(this.ackedSeq, seq);
        // Known to be durable only now, though a successor may have recovered it long ago.
        else if (this.current !== undefined)
          this.guard(() => assert(seq <= this.recoveredSeq(), "a fenced writer's write is never acknowledged"));
        else this.ackedSeq = Math.max(this.ackedSeq, seq);
      },
      () => {
        this.counts.lost++;
      },
    );
  }

  /** Up to where the current process knows the line that a former one wrote. */
  private recoveredSeq(): number {
    return this.current?.db.status().lastSeq ?? Infinity;
  }

  private zombieStep(zombie: Process): void {
    this.steps.push("z");
    try {
      const { seq } = zombie.db.putSync(utf8("zombie"), utf8("never"));
      void zombie.db.flush().then(
        () => this.guard(() => assert(this.current === undefined && seq < 0, "a fenced writer's write is never acknowledged")),
        () => undefined,
      );
    } catch (error) {
      if (!isPumiceError(error)) throw error;
    }
  }

  private readKey(db: Db): void {
    const key = this.drawKey();
    const expected = new Map(this.model.state);
    this.attempt(
      "get",
      db.getRow(key).then((row) => this.guard(() => this.check(differenceOf(row === undefined ? [] : [row], only(expected, key)), "get"))),
    );
  }

  private readAll(db: Db): void {
    const expected = new Map(this.model.state);
    this.attempt(
      "scan",
      db
        .scan()
        .toArray()
        .then((rows) => this.guard(() => this.check(differenceOf(rows, expected), "scan"))),
    );
  }

  private takeSnapshot(db: Db): void {
    this.snapshots.push({ snapshot: db.snapshot(), expected: new Map(this.model.state) });
    if (this.snapshots.length > 3) this.snapshots.shift()?.snapshot.close();
  }

  private checkSnapshots(): void {
    for (const { snapshot, expected } of this.snapshots) {
      this.attempt(
        "snapshot",
        snapshot
          .scan()
          .toArray()
          .then((rows) => this.guard(() => this.check(differenceOf(rows, expected), "snapshot"))),
      );
    }
  }

  private checkpoint(db: Db): void {
    this.attempt(
      "checkpoint",
      db.createCheckpoint({ name: "sim" }).then(({ id }) => {
        // One that is made while its process is fenced may stand in a state that is not of our line.
        if (this.current?.db === db) this.checkpoints.push({ id });
      }),
    );
  }

  private async checkCheckpoint(id: string, components: LsmComponents): Promise<void> {
    const reader = await this.drive(DbReader.open(ROOT, components, { mode: { checkpoint: id }, skipsWal: true }));
    const rows = await this.drive(reader.scan().toArray());
    this.check(differenceOf(rows, this.model.stateAt(reader.lastSeq)), "checkpoint");
    await this.drive(reader.close());
  }

  /** Lets an operation go on beside. It may end with its process; nothing else excuses a failure. */
  private attempt(what: string, operation: Promise<unknown>): void {
    this.steps.push(what);
    this.begun.push(
      operation.then(
        () => undefined,
        (error: unknown) => {
          const isExcused =
            isPumiceError(error) && ["LSM_CLOSED", "LSM_FENCED", "STORE_UNAVAILABLE", "LSM_CONTENTION"].includes(error.code);
          if (!isExcused) this.blame(error);
        },
      ),
    );
  }

  private components(store: ObjectStore, clock: Clock): LsmComponents {
    return { store, clock, random: this.random, mergeOperator: appendOperator };
  }

  private unreliable(): ObjectStore {
    const faulty = faultyStore(this.shared, {
      clock: this.world,
      random: this.random,
      rates: () => this.rates,
      timeoutMs: 2000,
      lateMsMax: 10_000,
    });
    return slowStore(faulty, { clock: this.world, random: this.random, msMin: 0, msMax: 1 + this.random.below(80) });
  }

  private drawOptions(compat: "0.12" | "0.14"): LsmOptions {
    const walEnabled = !this.chance(10);
    return {
      compat,
      flushIntervalMs: this.chance(30) ? undefined : 10 + this.random.below(500),
      walEnabled,
      l0SstBytes: 200 + this.random.below(4000),
      l0SstsMax: 4 + this.random.below(6),
      walFilesMax: this.chance(20) ? 3 : 4096,
      unflushedBytesMax: 50_000,
      blockSizeBytes: this.chance(50) ? 1024 : 4096,
      compression: this.chance(50) ? "none" : this.chance(50) ? "lz4" : "snappy",
      minFilterKeys: this.random.below(20),
      cacheBytes: this.chance(30) ? 0 : 100_000,
      compactor:
        !walEnabled || this.chance(70)
          ? {
              pollIntervalMs: 500,
              maxSstBytes: 200 + this.random.below(4000),
              movesTrivially: this.chance(50),
              checkpointLifetimeMs: this.chance(50) ? 0 : 5000,
            }
          : false,
      gc: this.chance(50) ? { intervalMs: 1000, minAgeMs: 1000 + this.random.below(10_000) } : false,
    };
  }

  private drawRates(): StoreFaultRates {
    if (this.chance(30)) return { errorBefore: 0, errorAfter: 0, timeoutBefore: 0, timeoutAfter: 0, lateEffect: 0 };
    const rate = (): number => this.random.below(6) / 100;
    return { errorBefore: rate(), errorAfter: rate(), timeoutBefore: rate() / 3, timeoutAfter: rate() / 3, lateEffect: rate() };
  }

  private drawOffset(): number {
    return this.chance(60) ? 0 : this.chance(50) ? this.random.below(60_000) - 30_000 : this.chance(50) ? -31_536_000_000 : 31_536_000_000;
  }

  private drawKey(): Uint8Array {
    return utf8(`key-${this.random.below(KEYS)}`);
  }

  private drawWrite(): ModelWrite {
    const roll = this.random.below(10);
    const kind = roll < 6 ? VALUE : roll < 8 ? TOMBSTONE : MERGE;
    const value =
      kind === TOMBSTONE ? utf8("") : utf8(`${this.random.below(1000)}`.repeat(1 + this.random.below(this.chance(5) ? 300 : 10)));
    return { key: this.drawKey(), kind, value };
  }

  private chance(percent: number): boolean {
    return this.random.below(100) < percent;
  }

  private check(difference: string | undefined, what: string): void {
    this.counts.checks++;
    if (difference !== undefined) throw new LsmSimFailure(`${what}: ${difference}`);
  }

  private guard(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.blame(error);
    }
  }

  private blame(error: unknown): void {
    this.violation ??= { error };
  }

  private assertUnhurt(): void {
    if (this.violation !== undefined) throw this.violation.error;
  }

  /** Lets time pass. */
  private async pass(ms: number): Promise<void> {
    const until = this.world.monotonic() + ms;
    for (;;) {
      await settle();
      this.assertUnhurt();
      const next = this.world.nextDeadline();
      if (next === undefined || next > until) break;
      this.world.advance(Math.max(0, next - this.world.monotonic()));
    }
    this.world.advance(until - this.world.monotonic());
    await settle();
    this.assertUnhurt();
  }

  /** Lets time pass until the promise has settled. */
  private async drive<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    promise.then(
      () => (isSettled = true),
      () => (isSettled = true),
    );
    const deadline = this.world.monotonic() + STUCK_MS;
    let idleTurns = 0;
    for (;;) {
      await settle();
      this.assertUnhurt();
      if (isSettled) return await promise;
      const next = this.world.nextDeadline();
      idleTurns = next === undefined ? idleTurns + 1 : 0;
      assert(this.world.monotonic() < deadline && idleTurns < IDLE_TURNS_MAX, "what was begun comes to an end");
      if (next !== undefined) this.world.advance(Math.max(0, next - this.world.monotonic()));
    }
  }
}

function only(state: ModelState, key: Uint8Array): ModelState {
  const hex = [...key].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  const value = state.get(hex);
  return value === undefined ? new Map() : new Map([[hex, value]]);
}

async function settle(): Promise<void> {
  for (let i = 0; i < SETTLE_TURNS; i++) await Promise.resolve();
}
