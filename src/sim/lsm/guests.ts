/**
 * Processes beside the writer of a simulated LSM life, each with its own clock and its own line to the store: readers that follow or stand at
 * a checkpoint, a reader of the WAL with a token, compactors and collectors, makers of clones.
 */
import { assert, equalBytes, isPumiceError, toHex, type ObjectStore, type PumiceError } from "../../base/mod.ts";
import {
  Admin,
  cloneStore,
  Db,
  DbReader,
  TOMBSTONE,
  WalReader,
  type LsmComponents,
  type LsmOptions,
  type Profile,
  type ReaderMode,
  type WalToken,
} from "../../lsm/mod.ts";
import { commitTo, drawBatch, drawBounds, drawMinAge } from "./draw.ts";
import { differenceOf, LsmModel, type ModelCommit } from "./model.ts";
import { checkBank } from "./transactions.ts";
import { LsmSimFailure, ProcessClock, ROOT, type LsmWorld } from "./world.ts";
import { CrashableStore } from "../world/object-store/crash.ts";

/** What guests share with the life. */
export interface GuestHome {
  readonly world: LsmWorld;
  readonly model: LsmModel;
  readonly profile: Profile;
  /** A way to the store for a new process, as unreliable as the weather is. */
  connect(): ObjectStore;
}

/** A clone that was finished, and what is in it. */
export interface Clone {
  readonly root: string;
  readonly model: LsmModel;
}

/** What a process may end with whose store is away, or whose work another took over. */
const AWAY = ["STORE_UNAVAILABLE", "LSM_CONTENTION"] as const;
/** A reader without a checkpoint may lose a race with collection; a checkpoint ends by the collector's clock. */
const COLLECTED = ["LSM_MISSING", "LSM_CHECKPOINT_NOT_FOUND"] as const;

/** See the header of this file. */
export class Guests {
  readonly clones: Clone[] = [];
  /** True if the clocks of this life are far apart. Set by the life. */
  isSkewed = false;
  readonly counts = { readers: 0, walRows: 0, admins: 0, clones: 0 };
  readonly #home: GuestHome;
  readonly #tasks: Promise<void>[] = [];
  /** Where the reader of the WAL stands: by its token, and by the row that it saw last. */
  #walToken: WalToken | undefined;
  #walSeen: { readonly seq: number; readonly key: string } | undefined;
  #isFollowing = false;
  #cloneNumber = 0;

  constructor(home: GuestHome) {
    this.#home = home;
  }

  /** Waits for all guests. */
  async settled(): Promise<void> {
    await Promise.all(this.#tasks);
  }

  /** Opens a reader that looks at the store for a while. */
  read(mode: ReaderMode): void {
    const excuses = mode === "managed" ? this.#skewed([...AWAY]) : [...AWAY, ...COLLECTED];
    this.#spawn(`reader-${typeof mode === "string" ? mode : "checkpoint"}`, this.#reader(mode), excuses);
  }

  /** Reads on in the WAL, by the token. */
  followWal(): void {
    if (this.#isFollowing) return;
    this.#isFollowing = true;
    this.#spawn(
      "wal",
      this.#walReader().finally(() => (this.#isFollowing = false)),
      AWAY,
    );
  }

  /** Compacts or collects, in a process of its own that may die of it. */
  administer(kind: "everything" | "tiered" | "collect"): void {
    this.#spawn(`admin-${kind}`, this.#admin(kind), [...AWAY, "LSM_FENCED"]);
  }

  /** Makes a clone, dying on the way and beginning again. */
  clone(checkpoint: string | undefined, leastSeq: number): void {
    // The clone's checkpoint has a lifetime, by clocks that may be a year apart; a given one may have been deleted.
    this.#spawn("clone", this.#makeClone(checkpoint, leastSeq), [...AWAY, ...COLLECTED]);
  }

  #spawn(what: string, task: Promise<void>, excuses: readonly PumiceError["code"][]): void {
    this.#tasks.push(this.#home.world.beside(what, task, excuses));
  }

  /** Lifetimes of checkpoints mean nothing between clocks that are far apart. */
  #skewed(excuses: PumiceError["code"][]): readonly PumiceError["code"][] {
    return this.isSkewed ? [...excuses, ...COLLECTED] : excuses;
  }

  #newProcess(crashesIn?: number): { line: CrashableStore; components: LsmComponents; clock: ProcessClock } {
    const { world } = this.#home;
    const clock = new ProcessClock(world.time);
    clock.offsetMs = this.isSkewed ? world.drawOffset() : 0;
    const point =
      crashesIn === undefined ? undefined : ({ at: 1 + world.below(crashesIn), when: world.chance(50) ? "before" : "after" } as const);
    const line = new CrashableStore(this.#home.connect(), point);
    return { line, clock, components: world.components(line.store, clock) };
  }

  async #reader(mode: ReaderMode): Promise<void> {
    const { world, model } = this.#home;
    this.counts.readers++;
    const { components, clock, line } = this.#newProcess();
    const filtersExpired = world.chance(40);
    const settings = { mode, pollMs: 200 + world.below(2000), checkpointLifetimeMs: 20_000, filtersExpired, cacheBytes: 50_000 };
    const reader = await DbReader.open(ROOT, components, { ...settings, skipsWal: world.chance(20) });
    let seen = 0;
    for (let i = 1 + world.below(6); i > 0; i--) {
      await world.time.sleep(world.below(3000));
      if (world.chance(30)) await reader.refresh();
      const { lastSeq } = reader;
      assert(lastSeq >= seen, "what a reader has seen it goes on seeing");
      assert(lastSeq <= model.lastSeq, "a reader sees what was committed");
      seen = lastSeq;
      const { bounds, of } = drawBounds(world);
      const times = filtersExpired ? clock.now() : undefined;
      const order = world.chance(50) ? "ascending" : "descending";
      const rows = await reader.scan({ ...bounds, order }).toArray();
      if (order === "descending") rows.reverse();
      world.tickMax = Math.max(world.tickMax, model.tickMax);
      // One whose tables were collected before its first row begins again, on a newer state: but on one.
      const difference = (seq: number): string | undefined => differenceOf(rows, of(model.stateAt(seq)), world.times(times));
      let found = difference(lastSeq);
      for (let seq = lastSeq + 1; found !== undefined && seq <= reader.lastSeq; seq++) if (difference(seq) === undefined) found = undefined;
      world.check(found, `a scan of a reader, ${JSON.stringify(mode)}, at ${lastSeq} to ${reader.lastSeq}`);
      checkBank(rows, "a reader");
    }
    // Some die without giving their checkpoint back.
    if (world.chance(30)) line.crash();
    else await reader.close();
  }

  async #walReader(): Promise<void> {
    const { world, model } = this.#home;
    const { components } = this.#newProcess();
    try {
      for await (const { row, token } of new WalReader(ROOT, components).follow({ after: this.#walToken })) {
        this.#walToken = token;
        this.counts.walRows++;
        const seen = { seq: row.seq, key: toHex(row.key) };
        const from = this.#walSeen ?? { seq: row.seq, key: "" };
        const rows = model.walRows(from.seq, row.seq);
        const next = rows.find((each) => each.seq > from.seq || toHex(each.key) > from.key);
        const isNext =
          (row.kind === TOMBSTONE && model.isRangeDeletion(row.seq) && (next === undefined || next.seq > row.seq)) ||
          (next !== undefined &&
            next.seq === row.seq &&
            equalBytes(next.key, row.key) &&
            next.kind === row.kind &&
            equalBytes(next.value, row.value) &&
            next.expireTs === row.expireTs);
        world.check(isNext ? undefined : `row ${JSON.stringify(seen)} after ${JSON.stringify(from)}`, "the WAL's reader");
        this.#walSeen = seen;
        // It stops anywhere, and goes on from there later.
        if (world.chance(2)) return;
      }
    } catch (error) {
      if (!isPumiceError(error, "LSM_MISSING")) throw error;
      // Collected beyond the token: it begins with what there is.
      this.#walToken = undefined;
      this.#walSeen = undefined;
    }
  }

  async #admin(kind: "everything" | "tiered" | "collect"): Promise<void> {
    const { world, profile } = this.#home;
    this.counts.admins++;
    const { line, components } = this.#newProcess(world.chance(50) ? 60 : undefined);
    const options: LsmOptions = {
      blockSizeBytes: 1024,
      compactor: { minSources: 2, maxSstBytes: 200 + world.below(4000), checkpointLifetimeMs: world.chance(50) ? 0 : 5000 },
    };
    const admin = new Admin(ROOT, components, options);
    const work = kind === "collect" ? admin.collectGarbage(drawMinAge(world, profile), profile) : admin.compact(kind, profile);
    await Promise.race([work, line.crashed]);
    line.crash();
    work.catch(() => undefined);
  }

  async #makeClone(checkpoint: string | undefined, leastSeq: number): Promise<void> {
    const { world } = this.#home;
    const root = `clone-${this.#cloneNumber++}`;
    for (let attempt = 0; ; attempt++) {
      const { line, components } = this.#newProcess(attempt < 4 && world.chance(70) ? 12 : undefined);
      const options = checkpoint === undefined ? {} : { checkpoint };
      const work = cloneStore(ROOT, root, components, options).then(() => "made" as const);
      const outcome = await Promise.race([work, line.crashed.then(() => "crashed" as const)]);
      work.catch(() => undefined);
      if (outcome === "made") break;
    }
    await this.#openClone(root, leastSeq);
  }

  /** Looks into a new clone, writes to it, and lets it compact and collect. */
  async #openClone(root: string, leastSeq: number): Promise<void> {
    const { world, model: parent } = this.#home;
    const { components, clock } = this.#newProcess();
    const db = await Db.open(root, components, { compat: this.#home.profile, gc: false, compactor: { pollIntervalMs: 3_600_000 } });
    const { lastSeq } = db.status();
    assert(lastSeq >= leastSeq && lastSeq <= parent.lastSeq, "a clone begins with its checkpoint");
    const commits: readonly ModelCommit[] = parent.upTo(lastSeq);
    const model = new LsmModel(commits);
    const look = async (what: string): Promise<void> => {
      const rows = await db.scan().toArray();
      world.tickMax = Math.max(world.tickMax, parent.tickMax, model.tickMax);
      world.check(differenceOf(rows, model.state, world.times()), what);
      checkBank(rows, what);
    };
    await look("a new clone");
    for (let i = 0; i < 5; i++) commitTo(db, model, drawBatch(world), clock);
    await db.flush("memtable");
    if (world.chance(50)) await db.compact();
    await look("a clone that was written to");
    if (world.chance(50)) await db.collectGarbage(drawMinAge(world, this.#home.profile));
    await db.close();
    this.clones.push({ root, model });
    this.counts.clones++;
  }
}

/** In the end: what clones hold is what was put into them, though their parent went on. @throws LsmSimFailure */
export async function checkClones(home: GuestHome, clones: readonly Clone[], calm: LsmComponents): Promise<void> {
  const { world } = home;
  for (const { root, model } of clones) {
    const reader = await DbReader.open(root, calm, { mode: "latest" });
    const rows = await reader.scan().toArray();
    world.check(differenceOf(rows, model.state, world.times()), `${root} in the end`);
    checkBank(rows, root);
    await reader.close();
    const { findings } = await new Admin(root, calm).verify();
    const first = findings[0];
    if (first !== undefined) throw new LsmSimFailure(`${root}: ${first.object}: ${first.problem}`);
  }
}
