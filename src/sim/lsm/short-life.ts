/**
 * A short life of an LSM store that can be lived again and again, each time dying at another call: once without a crash, to count the calls, then
 * once for each of them. What is done follows from the seed alone, so the lives are equal up to the crash.
 *
 * After each death: the store is opened by another process, which must find every commit that was acknowledged, no commit in part, and nothing
 * else; checkpoints that were made are whole; a clone that stopped on the way is finished by making it again; every file is verified; what is
 * written then is there at the next opening.
 */
import { assert, isPumiceError, MemoryObjectStore, utf8, type HostCodecs } from "../../base/mod.ts";
import { Admin, cloneStore, Db, DbReader, type Checkpoint, type LsmComponents, type LsmOptions, type Profile } from "../../lsm/mod.ts";
import { commitTo, presentOf, drawBatch, drawBounds, drawOptions } from "./draw.ts";
import { differenceOf, isCertain, LsmModel, partOf } from "./model.ts";
import { checkBank, TransactionWorkload } from "./transactions.ts";
import { watchedStore } from "./watch.ts";
import { LsmSimFailure, LsmWorld, ProcessClock, ROOT, type Line } from "./world.ts";
import { CrashableStore, type CrashPoint } from "../world/object-store/crash.ts";

const CLONE = "clone";

/** Where a short life keeps its store. */
export interface ShortLifeDisk {
  /** A line for a process that dies at that call, or at none. Calls are those that change something. */
  connect(world: LsmWorld, point: CrashPoint | undefined): Promise<Line & { readonly changeCount: () => number }>;
  /** The process has died, and the next can come. */
  recover(): void;
}

/** What a short life was. */
export interface ShortLifeReport {
  /** Calls that changed something, up to the crash or the end. */
  readonly calls: number;
  readonly isCrashed: boolean;
  readonly commits: number;
  readonly checks: number;
}

/** What there is beside the seed. */
export interface ShortLifeParts {
  readonly disk: () => ShortLifeDisk;
  readonly hostCodecs?: HostCodecs | undefined;
}

/** Lives the short life of `seed` on a disk of its own, up to the crash at `point`. @throws LsmSimFailure */
export async function liveShortly(seed: number, point: CrashPoint | undefined, parts: ShortLifeParts): Promise<ShortLifeReport> {
  const life = new ShortLife(seed, parts);
  try {
    return await life.run(point);
  } catch (error) {
    const where = point === undefined ? "no crash" : `crash ${point.when} call ${point.at}`;
    throw new LsmSimFailure(
      `seed=${seed} ${where} ${life.trace()}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      {
        cause: error,
      },
    );
  }
}

/** Lives the short life of `seed` once whole, then with a crash before and after each `stride`-th call. Gives the number of lives. @throws LsmSimFailure */
export async function crashEverywhere(
  seed: number,
  parts: ShortLifeParts & { readonly stride?: number; readonly first?: number },
): Promise<{ readonly lives: number; readonly calls: number; readonly checks: number }> {
  const { calls, checks } = await liveShortly(seed, undefined, parts);
  const totals = { lives: 1, calls, checks };
  for (let at = 1 + (parts.first ?? 0); at <= calls; at += parts.stride ?? 1) {
    for (const when of ["before", "after"] as const) {
      const report = await liveShortly(seed, { at, when }, parts);
      assert(report.isCrashed, "a life that is lived again comes to the same call");
      totals.lives++;
      totals.checks += report.checks;
    }
  }
  return totals;
}

/** A store in memory that counts the calls that change it. */
export function memoryShortLife(): ShortLifeDisk {
  let inner: ReturnType<typeof watchedStore> | undefined;
  return {
    async connect(world, point) {
      inner ??= watchedStore(new MemoryObjectStore({ clock: world.time }), ROOT, (error) => world.blame(error));
      const line = new CrashableStore(inner, point, { countsChangesOnly: true });
      return { store: line.store, crashed: line.crashed, crash: () => line.crash(), changeCount: () => line.changes.length };
    },
    recover: () => undefined,
  };
}

type Died = "crashed";

class ShortLife {
  readonly #world: LsmWorld;
  readonly #disk: ShortLifeDisk;
  readonly #model = new LsmModel();
  readonly #profile: Profile;
  readonly #transactions: TransactionWorkload;
  readonly #checkpoints: { readonly made: Checkpoint; readonly leastSeq: number }[] = [];
  #line: (Line & { readonly changeCount: () => number }) | undefined;
  #clock: ProcessClock;
  #acked = 0;
  #cloneModel: LsmModel | undefined;
  #cloneAcked = 0;

  constructor(seed: number, parts: ShortLifeParts) {
    this.#world = new LsmWorld(seed, parts.hostCodecs);
    this.#disk = parts.disk();
    this.#profile = this.#world.oneOf(["0.12", "0.14"] as const);
    this.#clock = new ProcessClock(this.#world.time);
    this.#transactions = new TransactionWorkload(this.#world, this.#model, {
      onCommit: (_db, _seq, done) => void done.catch(() => undefined),
    });
  }

  trace(): string {
    return `last=[${this.#world.steps.slice(-12).join(" ")}]`;
  }

  async run(point: CrashPoint | undefined): Promise<ShortLifeReport> {
    this.#line = await this.#disk.connect(this.#world, point);
    const isCrashed = (await this.#live()) === "crashed";
    const calls = this.#line.changeCount();
    this.#world.note(isCrashed ? "died" : "ended");
    this.#transactions.forget();
    this.#line.crash();
    this.#disk.recover();
    await this.#reopen();
    return { calls, isCrashed, commits: this.#model.lastSeq, checks: this.#world.checks };
  }

  /** Two processes, one after the other, with other settings. */
  async #live(): Promise<Died | undefined> {
    for (let process = 0; process < 2; process++) {
      const db = await this.#drive(Db.open(ROOT, this.#components(), this.#options()));
      if (db === "crashed") return db;
      const { lastSeq } = db.status();
      assert(lastSeq === this.#model.lastSeq || process === 1, "a process goes on where the one before ended");
      this.#model.truncate(lastSeq);
      this.#transactions.openBank(db);
      const steps = 6 + this.#world.below(6);
      for (let i = 0; i < steps; i++) {
        if ((await this.#step(db)) === "crashed") return "crashed";
        await this.#world.pass(this.#world.below(2000));
      }
      const flush = this.#world.oneOf(["wal", "memtable", "none"] as const);
      this.#world.note(`close-${flush}`);
      // What was not flushed is lost, which is no surprise.
      if ((await this.#drive(db.close({ flush }))) === "crashed") return "crashed";
      if (flush !== "none") this.#acked = this.#model.lastSeq;
      this.#transactions.forget();
    }
    return undefined;
  }

  /** All that can be done, one after the other: a crash is the only thing that comes between. */
  async #step(db: Db): Promise<Died | void> {
    const world = this.#world;
    const model = this.#model;
    for (let i = world.below(4); i > 0; i--) commitTo(db, model, drawBatch(world), this.#clock);
    const roll = world.below(100);
    if (roll < 25) return await this.#acknowledge(db.settings.walEnabled ? "wal" : "memtable", db);
    if (roll < 40) return await this.#acknowledge("memtable", db);
    if (roll < 50) return await this.#drop(this.#named("compact", db.compact()));
    if (roll < 58) return await this.#checkpoint(db);
    if (roll < 66) return await this.#drop(this.#named("gc", db.collectGarbage(this.#profile === "0.12" ? 40_000 : 0)));
    if (roll < 74) return await this.#deleteRange(db);
    if (roll < 82) return await this.#transact(db);
    if (roll < 90) return await this.#clone();
    return await this.#read(db);
  }

  async #acknowledge(kind: "wal" | "memtable", db: Db): Promise<Died | void> {
    const { lastSeq } = this.#model;
    if ((await this.#named(kind, db.flush(kind))) === "crashed") return "crashed";
    this.#acked = Math.max(this.#acked, lastSeq);
  }

  async #checkpoint(db: Db): Promise<Died | void> {
    const leastSeq = this.#model.lastSeq;
    const made = await this.#named("checkpoint", db.createCheckpoint({ name: "short" }));
    if (made === "crashed") return made;
    this.#acked = leastSeq;
    this.#checkpoints.push({ made, leastSeq });
  }

  async #deleteRange(db: Db): Promise<Died | void> {
    const world = this.#world;
    const model = this.#model;
    const range = drawBounds(world);
    const general = partOf(range.of(model.state), hexOf("key-"), hexOf("key."));
    if (general.size !== range.of(model.state).size) return;
    const before = db.status().lastSeq;
    const filterAt = db.settings.filtersExpired ? presentOf(db, this.#clock) : undefined;
    const outcome = await this.#named("deleteRange", db.deleteRange(range.bounds, { awaitDurable: false }));
    const after = db.status();
    if (after.lastSeq > before) {
      world.tickMax = Math.max(world.tickMax, model.tickMax, after.lastTick);
      const writes = [...general]
        .filter(([, parts]) => isCertain(parts, world.times(filterAt)))
        .map(([hex]) => ({ key: bytesOf(hex), kind: 1 as const, value: new Uint8Array(0) }));
      model.commit({ seq: after.lastSeq, createTs: after.lastTick, writes, wal: "some" });
    }
    if (outcome === "crashed") return outcome;
  }

  async #transact(db: Db): Promise<Died | void> {
    for (let i = 0; i < 3; i++) this.#transactions.begin(db);
    while (!this.#transactions.isIdle) {
      if ((await this.#drive(this.#world.time.sleep(50))) === "crashed") return "crashed";
    }
  }

  async #read(db: Db): Promise<Died | void> {
    const filterAt = db.settings.filtersExpired ? presentOf(db, this.#clock) : undefined;
    const rows = await this.#named("read", db.scan().toArray());
    if (rows === "crashed") return rows;
    this.#compare(rows, this.#model, "read", filterAt);
  }

  /** Makes a clone, and writes to it. Again and again: the second time there is nothing to do. */
  async #clone(): Promise<Died | void> {
    if ((await this.#named("clone", cloneStore(ROOT, CLONE, this.#components()))) === "crashed") return "crashed";
    return await this.#useClone();
  }

  async #useClone(): Promise<Died | void> {
    const db = await this.#named("open-clone", Db.open(CLONE, this.#components(), { ...this.#options(), walEnabled: true, gc: false }));
    if (db === "crashed") return db;
    const { lastSeq } = db.status();
    this.#cloneModel ??= new LsmModel(this.#model.upTo(lastSeq));
    assert(lastSeq >= this.#cloneAcked && lastSeq <= this.#cloneModel.lastSeq, "a clone keeps what was acknowledged");
    this.#cloneModel.truncate(lastSeq);
    const filterAt = db.settings.filtersExpired ? presentOf(db, this.#clock) : undefined;
    const rows = await this.#drive(db.scan().toArray());
    if (rows === "crashed") return rows;
    this.#compare(rows, this.#cloneModel, "a clone", filterAt);
    commitTo(db, this.#cloneModel, drawBatch(this.#world), this.#clock);
    const written = this.#cloneModel.lastSeq;
    if ((await this.#drive(db.close())) === "crashed") return "crashed";
    this.#cloneAcked = written;
  }

  /** Without crashes: everything is looked at. */
  async #reopen(): Promise<void> {
    const world = this.#world;
    const model = this.#model;
    await world.pass(60_000);
    this.#line = await this.#disk.connect(world, undefined);
    this.#clock = new ProcessClock(world.time);
    const components = this.#components();
    const options = { ...this.#options(), filtersExpired: false };
    let db = await world.drive(Db.open(ROOT, components, options));
    const { lastSeq } = db.status();
    assert(lastSeq >= this.#acked, "every acknowledged commit is recovered");
    assert(lastSeq <= model.lastSeq, "nothing is recovered that was not committed");
    model.truncate(lastSeq);
    this.#compare(await world.drive(db.scan().toArray()), model, "state after the crash");
    for (const { made, leastSeq } of this.#checkpoints) {
      const reader = await world.drive(DbReader.open(ROOT, components, { mode: { checkpoint: made.id } }));
      assert(reader.lastSeq >= leastSeq, "a checkpoint holds everything that was written before it");
      this.#compare(await world.drive(reader.scan().toArray()), new LsmModel(model.upTo(reader.lastSeq)), "checkpoint after the crash");
      await world.drive(reader.close());
    }
    await this.#finishClone(components);
    for (let i = 0; i < 3; i++) commitTo(db, model, drawBatch(world), this.#clock);
    await world.drive(db.close({ flush: world.oneOf(["wal", "memtable"]) }));
    db = await world.drive(Db.open(ROOT, components, options));
    assert(db.status().lastSeq === model.lastSeq, "what was written after the crash is there");
    await world.drive(db.compact());
    this.#compare(await world.drive(db.scan().toArray()), model, "state after the crash and a compaction");
    await world.drive(db.close());
    for (const root of this.#cloneModel === undefined ? [ROOT] : [ROOT, CLONE]) {
      const { findings } = await world.drive(new Admin(root, components).verify());
      world.check(findings[0] === undefined ? undefined : `${findings[0].object}: ${findings[0].problem}`, "verification");
    }
    world.assertUnhurt();
  }

  /** A clone that was begun can be made again, whatever step it stopped at. */
  async #finishClone(components: LsmComponents): Promise<void> {
    const world = this.#world;
    try {
      await world.drive(new Admin(CLONE, components).readManifest());
    } catch (error) {
      if (isPumiceError(error, "LSM_NOT_FOUND")) return;
      throw error;
    }
    await world.drive(cloneStore(ROOT, CLONE, components));
    await this.#useClone();
  }

  #options(): LsmOptions {
    // Nothing goes on by itself but what the clock starts: the calls are the same each time.
    return { ...drawOptions(this.#world, this.#profile), gc: false, l0SstsMax: 100 };
  }

  #components(): LsmComponents {
    assert(this.#line !== undefined, "a process has a line");
    return this.#world.components(this.#line.store, this.#clock);
  }

  #compare(rows: Parameters<typeof differenceOf>[0], model: LsmModel, what: string, filterAt?: number): void {
    this.#world.tickMax = Math.max(this.#world.tickMax, this.#model.tickMax, model.tickMax);
    this.#world.check(differenceOf(rows, model.state, this.#world.times(filterAt)), what);
    checkBank(rows, what);
  }

  async #named<T>(what: string, operation: Promise<T>): Promise<T | Died> {
    this.#world.note(what);
    return await this.#drive(operation);
  }

  async #drop(outcome: Promise<unknown>): Promise<Died | void> {
    if ((await outcome) === "crashed") return "crashed";
  }

  async #drive<T>(operation: Promise<T>): Promise<T | Died> {
    assert(this.#line !== undefined, "a process has a line");
    return await this.#world.driveUnlessDead(operation, this.#line);
  }
}

function hexOf(text: string): string {
  return [...utf8(text)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16));
}
