/**
 * The life of one LSM store under faults, from a seed: several processes one after the other and beside each other, each with its own clock
 * that jumps, over one store that is slow, fails before and after the effect, lists late, and loses its clients in the middle of a call.
 *
 * Checked: after each opening the state is that of a prefix of all commits, with every commit that was acknowledged as durable in it; a live
 * process reads its own writes, by get, multiGet and scans in both directions, while it changes; transactions (lsm-transactions.ts); snapshots,
 * checkpoints, readers, clones and the WAL's reader (lsm-guests.ts) see states of the one line; a fenced writer's write is never acknowledged;
 * what has expired goes, and nothing else does; manifests and deletions keep their invariants (lsm-watch.ts); in the end every checksum and
 * every order in the store is right.
 */
import { assert, fromUtf8, isPumiceError, MemoryObjectStore, toHex, utf8, type HostCodecs, type ObjectStore } from "../../base/mod.ts";
import { Admin, Db, DbReader, type KeyValue, type LsmComponents, type LsmOptions, type Profile, type Snapshot } from "../../lsm/mod.ts";
import { commitTo, presentOf, drawBatch, drawBounds, drawKey, drawMinAge, drawOptions, drawRates, unreliable } from "./draw.ts";
import { checkClones, Guests, type GuestHome } from "./guests.ts";
import { differenceOf, isCertain, LsmModel, partOf, type ModelState } from "./model.ts";
import { checkBank, TransactionWorkload } from "./transactions.ts";
import { watchedStore } from "./watch.ts";
import { LsmSimFailure, LsmWorld, ProcessClock, ROOT } from "./world.ts";
import { CrashableStore } from "../world/object-store/crash.ts";
import { NO_STORE_FAULTS, type StoreFaultRates } from "../world/object-store/faults.ts";
import { staleListStore } from "../world/object-store/lies.ts";

/** What a simulated life consisted of. */
export interface LsmSimReport {
  readonly seed: number;
  readonly processes: number;
  readonly crashes: number;
  readonly races: number;
  readonly commits: number;
  readonly acknowledged: number;
  readonly lost: number;
  readonly transactions: number;
  readonly conflicts: number;
  readonly readers: number;
  readonly walRows: number;
  readonly admins: number;
  readonly clones: number;
  readonly checks: number;
}

/** Lives the life of `seed`. Without the host's codecs its files are compressed otherwise. @throws LsmSimFailure */
export async function simulateLsm(seed: number, parts: { readonly hostCodecs?: HostCodecs } = {}): Promise<LsmSimReport> {
  const life = new Life(seed, parts.hostCodecs);
  try {
    return await life.run();
  } catch (error) {
    throw new LsmSimFailure(`seed=${seed} ${life.trace()}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`, {
      cause: error,
    });
  }
}

/** What an operation may fail of: its process ended, or the store was away for longer than it waits. */
const EXCUSES = ["LSM_CLOSED", "LSM_FENCED", "STORE_UNAVAILABLE", "LSM_CONTENTION"] as const;

interface Process {
  readonly db: Db;
  readonly clock: ProcessClock;
  readonly line: CrashableStore;
}

class Life {
  readonly #seed: number;
  readonly #world: LsmWorld;
  readonly #shared: ObjectStore;
  readonly #model = new LsmModel();
  readonly #profile: Profile;
  readonly #home: GuestHome;
  readonly #guests: Guests;
  readonly #transactions: TransactionWorkload;
  readonly #counts = { processes: 0, crashes: 0, races: 0, acknowledged: 0, commits: 0, lost: 0 };
  #ackedSeq = 0;
  #options: LsmOptions = {};
  #rates: StoreFaultRates = NO_STORE_FAULTS;
  #current: Process | undefined;
  readonly #zombies: Process[] = [];
  #snapshots: { readonly snapshot: Snapshot; readonly expected: ModelState }[] = [];
  /** Operations that the current process began beside. */
  #begun: Promise<void>[] = [];
  readonly #checkpoints: { readonly id: string; readonly leastSeq: number }[] = [];

  constructor(seed: number, hostCodecs: HostCodecs | undefined) {
    this.#seed = seed;
    this.#world = new LsmWorld(seed, hostCodecs);
    const world = this.#world;
    const model = this.#model;
    const watched = watchedStore(new MemoryObjectStore({ clock: world.time }), ROOT, (error) => world.blame(error));
    this.#shared = world.chance(50) ? staleListStore(watched, { clock: world.time, random: world.random, staleMsMax: 3000 }) : watched;
    this.#profile = world.chance(50) ? "0.12" : "0.14";
    this.#home = { world, model, profile: this.#profile, connect: () => unreliable(world, this.#shared, () => this.#rates) };
    this.#guests = new Guests(this.#home);
    this.#guests.isSkewed = world.chance(30);
    this.#transactions = new TransactionWorkload(world, model, { onCommit: (db, seq, done) => this.#awaitCommit(db, seq, done) });
  }

  trace(): string {
    return `options=${JSON.stringify(this.#options)} last=[${this.#world.steps.slice(-25).join(" ")}]`;
  }

  async run(): Promise<LsmSimReport> {
    const processes = 2 + this.#world.below(4);
    for (let i = 0; i < processes; i++) {
      this.#options = drawOptions(this.#world, this.#profile);
      this.#rates = drawRates(this.#world);
      await this.#become();
      await this.#live();
      await this.#part();
    }
    await this.#finale();
    const { committed, conflicts } = this.#transactions;
    return { seed: this.#seed, ...this.#counts, transactions: committed, conflicts, ...this.#guests.counts, checks: this.#world.checks };
  }

  /** Opens the store in a new process, or in two at the same moment, and checks what the newest finds. */
  async #become(): Promise<void> {
    for (let attempt = 0; this.#current === undefined; attempt++) {
      const isRace = attempt < 3 && this.#world.chance(15);
      const openings = [this.#open(attempt), ...(isRace ? [this.#open(attempt)] : [])];
      if (isRace) this.#counts.races++;
      const opened = (await this.#world.drive(Promise.all(openings))).filter((process) => process !== undefined);
      const newest = opened.toSorted((left, right) => right.db.status().writerEpoch - left.db.status().writerEpoch)[0];
      this.#zombies.push(...opened.filter((process) => process !== newest));
      // A process that claimed the store after it and died, or was fenced off, ended it too: then somebody must open it again.
      if (newest !== undefined && (await this.#isNewest(newest))) await this.#adopt(newest);
      else if (newest !== undefined) this.#zombies.push(newest);
    }
  }

  /** Opens a store; undefined if the process died over it, or another was faster. */
  async #open(attempt: number): Promise<Process | undefined> {
    const world = this.#world;
    this.#counts.processes++;
    const clock = new ProcessClock(world.time);
    clock.offsetMs = world.drawOffset();
    // Some processes die while they open.
    const point =
      world.chance(20) && attempt < 3 ? ({ at: 1 + world.below(25), when: world.chance(50) ? "before" : "after" } as const) : undefined;
    const line = new CrashableStore(this.#home.connect(), point);
    world.note(`open${attempt}`);
    try {
      const opening = Db.open(ROOT, world.components(line.store, clock), this.#options);
      opening.catch(() => undefined);
      const db = await Promise.race([opening, line.crashed.then(() => undefined)]);
      if (db === undefined) this.#counts.crashes++;
      return db === undefined ? undefined : { db, clock, line };
    } catch (error) {
      if (isPumiceError(error, "LSM_FENCED")) return undefined;
      throw error;
    }
  }

  async #isNewest(process: Process): Promise<boolean> {
    const { value } = await this.#world.drive(new Admin(ROOT, this.#world.components(this.#shared, process.clock)).readManifest());
    return value.writerEpoch === process.db.status().writerEpoch && process.db.status().closed === undefined;
  }

  async #adopt(process: Process): Promise<void> {
    const { lastSeq } = process.db.status();
    assert(lastSeq >= this.#ackedSeq, "every acknowledged commit is recovered");
    assert(lastSeq <= this.#model.lastSeq, "nothing is recovered that was not committed");
    this.#model.truncate(lastSeq);
    this.#snapshots = [];
    this.#begun = [];
    this.#transactions.forget();
    this.#current = process;
    const expected = this.#model.frozen();
    const times = this.#filterTime(process);
    // If it lived before the check, a crash point may end it.
    const rows = await this.#world.driveUnlessDead(process.db.scan().toArray(), process.line);
    if (rows === "crashed") return;
    this.#compare(rows, expected, { what: "state after opening", filterAt: times });
    this.#transactions.openBank(process.db);
  }

  /** The time by which the process hides what has expired; undefined if it does not. */
  #filterTime({ db, clock }: Pick<Process, "db" | "clock">): number | undefined {
    return db.settings.filtersExpired ? presentOf(db, clock) : undefined;
  }

  /** What was read, ascending, against what must be there. */
  #compare(rows: readonly KeyValue[], expected: ModelState, about: { what: string; filterAt: number | undefined }): void {
    this.#world.tickMax = Math.max(this.#world.tickMax, this.#model.tickMax);
    this.#world.check(differenceOf(rows, expected, this.#world.times(about.filterAt)), about.what);
    checkBank(rows, about.what);
  }

  /** Works in the current process. */
  async #live(): Promise<void> {
    const steps = 20 + this.#world.below(80);
    for (let i = 0; i < steps && this.#current !== undefined; i++) {
      const current = this.#current;
      const world = this.#world;
      const end = current.db.status().closed;
      if (end !== undefined) {
        // Only a newer writer may end it, and there is none.
        assert(end !== "fenced", "the newest writer is not fenced");
        assert(end !== "failed", "no fault of the store ends a writer");
        return;
      }
      if (world.chance(80)) this.#step(current);
      else this.#guestStep();
      if (world.chance(2)) await this.#deleteRange(current);
      for (const zombie of this.#zombies) if (world.chance(20)) this.#zombieStep(zombie);
      await world.pass(world.below(world.chance(10) ? 20_000 : 300));
    }
  }

  /** Ends the current process, in one of the ways in which processes end. */
  async #part(): Promise<void> {
    const world = this.#world;
    const process = this.#current;
    if (process === undefined) return;
    this.#current = undefined;
    const roll = world.below(10);
    // What closes ends its transactions itself.
    if (roll < 5 || roll >= 8) this.#transactions.forget();
    if (roll < 5) {
      world.note("crash");
      this.#counts.crashes++;
      process.line.crash();
    } else if (roll < 8) {
      world.note("close");
      const how = world.chance(50) ? {} : { flush: world.chance(50) ? ("wal" as const) : ("none" as const) };
      await world.driveUnlessDead(process.db.close(how), process.line);
      // What was begun in a process that closed has ended too, well or not.
      await world.driveUnlessDead(Promise.all(this.#begun), process.line);
    } else {
      world.note("leave");
      this.#zombies.push(process);
    }
  }

  /** Without faults: opens, reads, and checks every file. */
  async #finale(): Promise<void> {
    const world = this.#world;
    this.#rates = NO_STORE_FAULTS;
    await world.drive(this.#guests.settled());
    await world.pass(60_000);
    this.#options = { ...this.#options, compactor: { pollIntervalMs: 1000 } };
    const clock = new ProcessClock(world.time);
    const components = world.components(this.#shared, clock);
    const db = await world.drive(Db.open(ROOT, components, this.#options));
    const process = { db, clock, line: new CrashableStore(this.#shared) };
    await this.#adopt(process);
    for (const checkpoint of this.#checkpoints) await this.#checkCheckpoint(checkpoint, components);
    const read = async (what: string, order: "ascending" | "descending" = "ascending"): Promise<void> => {
      const filterAt = this.#filterTime(process);
      const rows = await world.drive(db.scan({ order }).toArray());
      this.#compare(order === "ascending" ? rows : rows.reverse(), this.#model.state, { what, filterAt });
    };
    await read("final state");
    await world.drive(db.compact());
    await read("state after compaction");
    await read("state read backwards", "descending");
    // What nobody needs goes: clones and checkpoints need theirs.
    await world.pass(400_000);
    commitTo(db, this.#model, drawBatch(world), clock);
    await world.drive(db.flush("memtable"));
    await world.drive(db.collectGarbage(drawMinAge(world, this.#profile)));
    await read("state after collection");
    for (const checkpoint of this.#checkpoints) await this.#checkCheckpoint(checkpoint, components);
    await world.drive(db.close());
    const { findings } = await world.drive(new Admin(ROOT, components).verify());
    world.check(findings[0] === undefined ? undefined : `${findings[0].object}: ${findings[0].problem}`, "verification");
    await world.drive(checkClones(this.#home, this.#guests.clones, components));
    for (const zombie of this.#zombies) await world.drive(Promise.race([zombie.db.close({ flush: "none" }), world.time.sleep(60_000)]));
    world.assertUnhurt();
  }

  #step(process: Process): void {
    const world = this.#world;
    const roll = world.below(100);
    const { db } = process;
    if (roll < 34) this.#write(process);
    else if (roll < 42) {
      for (let i = 1 + world.below(3); i > 0; i--) this.#transactions.begin(db);
    } else if (roll < 47) this.#transactions.disturb(db);
    else if (roll < 55) this.#readKey(process);
    else if (roll < 59) this.#readMany(process);
    else if (roll < 67) this.#readRange(process);
    else if (roll < 71) this.#attempt("flush", db.flush("wal"));
    else if (roll < 76) this.#attempt("flushM", db.flush("memtable"));
    else if (roll < 79) this.#attempt("compact", db.compact());
    else if (roll < 82) this.#attempt("gc", db.collectGarbage(drawMinAge(world, this.#profile)));
    else if (roll < 86) this.#takeSnapshot(db);
    else if (roll < 90) this.#checkSnapshots(process);
    else if (roll < 93) this.#checkpoint(db);
    else if (roll < 96) this.#expectStatus(process);
    else {
      process.clock.offsetMs += world.chance(50) ? world.below(120_000) - 60_000 : world.below(60) - 30;
      world.note("jump");
    }
  }

  /** Somebody else does something to the store. */
  #guestStep(): void {
    const world = this.#world;
    const guests = this.#guests;
    const checkpoint = this.#checkpoints.length === 0 ? undefined : world.oneOf(this.#checkpoints);
    const roll = world.below(100);
    if (roll < 20) guests.read(world.chance(60) ? "managed" : "latest");
    else if (roll < 25 && checkpoint !== undefined) guests.read({ checkpoint: checkpoint.id });
    else if (roll < 55) guests.followWal();
    else if (roll < 62) guests.administer(world.chance(50) ? "everything" : "tiered");
    else if (roll < 70) guests.administer("collect");
    else if (roll < 75 && guests.clones.length < 3) guests.clone(checkpoint?.id, checkpoint?.leastSeq ?? 0);
  }

  #write(process: Process): void {
    const seq = commitTo(process.db, this.#model, drawBatch(this.#world), process.clock);
    if (seq === undefined) return;
    this.#world.note(`w${seq}`);
    this.#counts.commits++;
    if (this.#world.chance(60)) this.#awaitDurable(process.db, seq);
  }

  /** Waits beside for what was written to be durable: a write of a moment later shares its fate. */
  #awaitDurable(db: Db, seq: number): void {
    this.#awaitCommit(db, seq, db.flush(db.settings.walEnabled ? "wal" : "memtable"), true);
  }

  #awaitCommit(db: Db, seq: number, done: Promise<unknown>, isDurable = false): void {
    done.then(
      () => {
        // A commit that was not to wait resolves at once and says nothing.
        if (!isDurable && db.status().durableSeq < seq) return;
        this.#counts.acknowledged++;
        if (this.#current === undefined || this.#current.db === db) this.#ackedSeq = Math.max(this.#ackedSeq, seq);
        // Known to be durable only now, though a successor may have recovered it long ago.
        else this.#world.guard(() => assert(this.#model.upTo(seq).at(-1)?.seq === seq, "a fenced writer's write is never acknowledged"));
      },
      () => {
        this.#counts.lost++;
      },
    );
  }

  #zombieStep(zombie: Process): void {
    this.#world.note("z");
    try {
      const { seq } = zombie.db.putSync(utf8("zombie"), utf8("never"));
      void zombie.db.flush().then(
        () => this.#world.guard(() => assert(this.#current === undefined && seq < 0, "a fenced writer's write is never acknowledged")),
        () => undefined,
      );
    } catch (error) {
      if (!isPumiceError(error)) throw error;
    }
  }

  /** A range deleted with nothing beside, so that its commit is known. */
  async #deleteRange({ db, clock, line }: Process): Promise<void> {
    const world = this.#world;
    const model = this.#model;
    const range = drawBounds(world);
    // The bank and the keys of transactions have their own rules.
    const expected = partOf(range.of(model.state), toHex(utf8("key-")), toHex(utf8("key.")));
    if (expected.size !== range.of(model.state).size || !this.#transactions.isIdle) return;
    const before = db.status();
    const filterAt = this.#filterTime({ db, clock });
    world.note("deleteRange");
    const outcome = await world.driveUnlessDead(
      db.deleteRange(range.bounds, { awaitDurable: false }).catch((error: unknown) => {
        if (EXCUSES.some((code) => isPumiceError(error, code)) || isPumiceError(error, "LSM_BUSY")) return "failed" as const;
        throw error;
      }),
      line,
    );
    const after = db.status();
    if (after.lastSeq === before.lastSeq) return;
    assert(model.lastSeq < after.lastSeq, "a deletion of a range is a commit");
    world.tickMax = Math.max(world.tickMax, model.tickMax, after.lastTick);
    const certain = [...expected].filter(([, parts]) => isCertain(parts, world.times(filterAt)));
    // What may have expired meanwhile was deleted or not: nobody can tell the difference.
    const writes = certain.map(([hex]) => ({ key: bytesOf(hex), kind: 1 as const, value: new Uint8Array(0) }));
    model.commit({ seq: after.lastSeq, createTs: after.lastTick, writes, wal: db.settings.walEnabled ? "some" : "none" });
    if (typeof outcome === "number")
      assert(outcome >= certain.length && outcome <= expected.size, "as many keys are deleted as there were");
  }

  #readKey(process: Process): void {
    const { db } = process;
    const key = drawKey(this.#world);
    const hex = toHex(key);
    const about = { what: "get", filterAt: this.#filterTime(process) };
    const expected = partOf(this.#model.state, hex, `${hex}00`);
    const reading = db.getRow(key).then((row) => this.#compare(row === undefined ? [] : [row], expected, about));
    this.#attempt("get", reading);
  }

  #readMany(process: Process): void {
    const { db } = process;
    const keys = [...new Set(Array.from({ length: 1 + this.#world.below(8) }, () => fromUtf8(drawKey(this.#world))))].sort();
    const wanted = new Set(keys.map((key) => toHex(utf8(key))));
    const about = { what: "multiGet", filterAt: this.#filterTime(process) };
    const expected: ModelState = new Map([...this.#model.state].filter(([hex]) => wanted.has(hex)));
    const reading = db.multiGet(keys.map((key) => utf8(key))).then((values) => {
      const rows = values.flatMap((value, i) => (value === undefined ? [] : [rowOf(keys[i] as string, value)]));
      this.#compare(rows, expected, about);
    });
    this.#attempt("multiGet", reading);
  }

  /** A scan that takes its time: what is written meanwhile is not in it. */
  #readRange(process: Process): void {
    const { db } = process;
    const world = this.#world;
    const { bounds, of } = drawBounds(world);
    const order = world.chance(50) ? ("ascending" as const) : ("descending" as const);
    const about = { what: `scan ${order} ${JSON.stringify(Object.keys(bounds))}`, filterAt: this.#filterTime(process) };
    const expected = of(this.#model.frozen());
    const scan = db.scan({ ...bounds, order, cachesBlocks: world.chance(50) });
    const isSlow = world.chance(50);
    const reading = async (): Promise<void> => {
      const rows: KeyValue[] = [];
      for (;;) {
        const batch = await scan.nextBatch(isSlow ? 1 + world.below(7) : 1000);
        if (batch.length === 0) break;
        rows.push(...batch);
        if (isSlow) await world.time.sleep(world.below(500));
      }
      this.#compare(order === "ascending" ? rows : rows.reverse(), expected, about);
    };
    this.#attempt("scan", reading());
  }

  #takeSnapshot(db: Db): void {
    this.#snapshots.push({ snapshot: db.snapshot(), expected: this.#model.frozen() });
    if (this.#snapshots.length > 3) this.#snapshots.shift()?.snapshot.close();
  }

  #checkSnapshots(process: Process): void {
    for (const { snapshot, expected } of this.#snapshots) {
      const about = { what: "snapshot", filterAt: this.#filterTime(process) };
      const order = this.#world.chance(50) ? ("ascending" as const) : ("descending" as const);
      const reading = snapshot
        .scan({ order })
        .toArray()
        .then((rows) => this.#compare(order === "ascending" ? rows : rows.reverse(), expected, about));
      this.#attempt("snapshot", reading);
    }
  }

  /** What the store says of itself holds together. */
  #expectStatus({ db }: Process): void {
    const { lastSeq, durableSeq, flushedSeq, openReads } = db.status();
    assert(lastSeq === this.#model.lastSeq || db.status().closed !== undefined, "the last sequence number is that of the last commit");
    assert(flushedSeq <= durableSeq || !db.settings.walEnabled, "what is in L0 is durable");
    assert(durableSeq <= lastSeq, "only what was written is durable");
    assert(openReads >= this.#snapshots.length, "every snapshot is an open read");
  }

  #checkpoint(db: Db): void {
    const leastSeq = this.#model.lastSeq;
    this.#attempt(
      "checkpoint",
      db.createCheckpoint({ name: "sim" }).then(({ id }) => {
        // One that is made while its process is fenced may stand in a state that is not of our line.
        if (this.#current?.db === db) this.#checkpoints.push({ id, leastSeq });
      }),
    );
  }

  async #checkCheckpoint(checkpoint: { id: string; leastSeq: number }, components: LsmComponents): Promise<void> {
    const world = this.#world;
    const skipsWal = world.chance(50);
    const reader = await world.drive(DbReader.open(ROOT, components, { mode: { checkpoint: checkpoint.id }, skipsWal }));
    assert(reader.lastSeq >= checkpoint.leastSeq, "a checkpoint holds everything that was written before it");
    const rows = await world.drive(reader.scan().toArray());
    this.#compare(rows, this.#model.stateAt(reader.lastSeq), { what: "checkpoint", filterAt: undefined });
    await world.drive(reader.close());
  }

  /** Lets an operation go on beside. It may end with its process; nothing else excuses a failure. */
  #attempt(what: string, operation: Promise<unknown>): void {
    this.#begun.push(this.#world.beside(what, operation, EXCUSES));
  }
}

function bytesOf(hex: string): Uint8Array {
  return Uint8Array.from({ length: hex.length / 2 }, (_, i) => Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16));
}

function rowOf(key: string, value: Uint8Array): KeyValue {
  return { key: utf8(key), value, seq: 0, createTs: undefined, expireTs: undefined };
}
