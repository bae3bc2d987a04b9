/** One store, handed over many times, with everything that either engine can leave behind in it. */
import { isPumiceError } from "../../../src/base/mod.ts";
import { Admin, COMPRESSIONS, cloneStore, Db, DbReader, WalReader, type Checkpoint, type LsmOptions } from "../../../src/lsm/mod.ts";
import type { InteropCase } from "./cases.ts";
import {
  bytes,
  COMPACTING,
  errorOf,
  must,
  openOurs,
  openTheirReader,
  openTheirs,
  ourComponents,
  ourRows,
  slate,
  text,
  theirRows,
  waitUntil,
} from "./oracle.ts";
import { RichWorkload, theirScan, type RichModel } from "./rich-workload.ts";
import { Workload } from "./workload.ts";

interface Kept {
  readonly checkpoint: Checkpoint;
  readonly model: RichModel;
}

const BLOCKS = ["Block1Kib", "Block4Kib", "Block16Kib", "Block64Kib"] as const;

const NEVER = { ttl: slate.Ttl.NoExpiry() };
const DAY = { ttl: slate.Ttl.ExpireAfterTicks(86_400_000) };

/** A store in the hands of one engine after the other. */
class Relay {
  readonly root: string;
  readonly work: RichWorkload;
  private readonly isSmall: boolean;
  private readonly kept: Kept[] = [];
  /** Those who were not closed when the other took over. */
  private readonly leftOpen: (() => Promise<unknown>)[] = [];

  constructor(root: string, seed: number, isSmall: boolean) {
    this.root = root;
    this.isSmall = isSmall;
    this.work = new RichWorkload(seed, isSmall);
  }

  /** The engine that takes over checks everything; the one that hands over does so too, where there is time. */
  private get checksTwice(): boolean {
    return !this.isSmall || this.work.below(4) === 0;
  }

  async ourTurn(): Promise<void> {
    const { work, root } = this;
    const options: LsmOptions = {
      compression: work.pick(COMPRESSIONS),
      blockSizeBytes: work.pick([1024, 4096, 16_384, 65_536]),
      minFilterKeys: work.pick([1, 50, 1000]),
      filterBitsPerKey: work.pick([1, 10, 17]),
      walEnabled: work.below(5) > 0,
      l0SstsMax: 10_000,
      compactor: work.below(2) === 0 ? false : { pollIntervalMs: 20, minSources: 2, maxSstBytes: work.pick([20_000, 67_108_864]) },
    };
    const db = await openOurs(root, options);
    await work.check("our scan on taking over", { rows: db.scan(), get: async (key) => await db.get(key) });
    await work.byUs(db, 3 + work.below(25));
    if (work.below(8) === 0) {
      const { key, value } = work.large();
      await db.put(key, value);
    }
    if (work.below(3) === 0) await db.compact();
    if (work.below(3) === 0) {
      const checkpoint = await db.createCheckpoint({ name: `of turn`, lifetimeMs: 3_600_000 });
      this.kept.push({ checkpoint, model: new Map(work.model) });
    }
    if (work.below(3) === 0) await db.collectGarbage(0);
    if (this.checksTwice) await work.check("our scan", { rows: db.scan(), get: async (key) => await db.get(key) });
    await this.checkKeptByUs();
    if (work.below(4) > 0) await db.close({ flush: options.walEnabled === true && work.below(2) === 0 ? "wal" : "memtable" });
    else {
      await db.flush("memtable");
      this.leftOpen.push(async () => await errorOf(async () => await db.close()));
    }
    const { findings } = await new Admin("db", ourComponents(root)).verify();
    must(findings.length === 0, `verify: ${JSON.stringify(findings).slice(0, 500)}`);
  }

  async theirTurn(): Promise<void> {
    const { work, root } = this;
    const compression = work.pick(COMPRESSIONS);
    const settings = {
      compression_codec: compression === "none" ? null : `${compression[0]?.toUpperCase()}${compression.slice(1)}`,
      min_filter_keys: work.pick([1, 50, 1000]),
      filter_bits_per_key: work.pick([1, 10, 17]),
      l0_max_ssts: 10_000,
      wal_enabled: work.below(5) > 0,
      compactor_options: work.below(2) === 0 ? null : { ...COMPACTING, scheduler_options: { min_compaction_sources: "2" } },
    };
    const db = await openTheirs(root, { settings, blockSize: work.pick(BLOCKS) });
    await work.check("SlateDB's scan on taking over", { rows: theirScan(db), get: async (key) => await db.get(key) });
    // Without a WAL, SlateDB's durable write waits for a flush that only a full memtable starts.
    const isWalled = settings.wal_enabled;
    await work.byThem(db, 3 + work.below(25), isWalled);
    if (isWalled && work.below(8) === 0) {
      const { key, value } = work.large();
      await db.put(key, value);
    }
    if (!isWalled || work.below(2) === 0) await db.flush_with_options({ flush_type: slate.FlushType.MemTable });
    if (this.checksTwice) await work.check("SlateDB's scan", { rows: theirScan(db), get: async (key) => await db.get(key) });
    await this.checkKeptByThem();
    if (work.below(4) > 0) await db.shutdown();
    else this.leftOpen.push(async () => await errorOf(async () => await db.shutdown()));
  }

  async end(): Promise<void> {
    const db = await openOurs(this.root, { compactor: false });
    await this.work.check("our scan at the end", { rows: db.scan(), get: async (key) => await db.get(key) });
    // The tick must have passed the last expiry: it moves with rows.
    await new Promise((resolve) => setTimeout(resolve, 5));
    await db.put(bytes("last"), bytes("x"));
    this.work.model.set(Buffer.from("last").toString("hex"), bytes("x"));
    await db.compact();
    must(!(await this.work.showsFleeting(async (key) => await db.get(key))), "expired rows are gone after a compaction of everything");
    must(this.work.fleetingRows > 3, "there were rows that expire");
    await db.close();
    const theirs = await openTheirs(this.root);
    await this.work.check("SlateDB's scan at the end", { rows: theirScan(theirs), get: async (key) => await theirs.get(key) });
    await theirs.shutdown();
    for (const close of this.leftOpen) await close();
  }

  private async checkKeptByUs(): Promise<void> {
    const one = this.kept.at(-1);
    if (one === undefined) return;
    const reader = await DbReader.open("db", ourComponents(this.root), { mode: { checkpoint: one.checkpoint.id } });
    await this.work.check("our reader at a checkpoint", { rows: reader.scan(), get: async (key) => await reader.get(key) }, one.model);
    await reader.close();
  }

  private async checkKeptByThem(): Promise<void> {
    if (this.kept.length === 0) return;
    const one = this.work.pick(this.kept);
    const reader = await openTheirReader(this.root, { checkpoint: one.checkpoint.id });
    await this.work.check(
      "SlateDB's reader at our checkpoint",
      { rows: theirScan(reader), get: async (key) => await reader.get(key) },
      one.model,
    );
    await reader.shutdown();
  }
}

function relay(seed: number, isSmall = false): InteropCase {
  return {
    name: `one ${isSmall ? "small " : ""}store is handed over ${isSmall ? 20 : 24} times, with all kinds of rows, settings, compactions and checkpoints (seed ${seed})`,
    isQuick: isSmall,
    run: async (root) => {
      const store = new Relay(root, seed, isSmall);
      for (let turn = 0; turn < (isSmall ? 20 : 24); turn++) await (turn % 2 === seed % 2 ? store.ourTurn() : store.theirTurn());
      await store.end();
    },
  };
}

/** All cases of this file. */
export const handOverCases: readonly InteropCase[] = [
  relay(1, true),
  relay(2),
  relay(3),
  {
    name: "the two fence each other in turn, nobody is closed: each dead writer fails every call, no acknowledged row is lost",
    isQuick: true,
    run: async (root) => {
      const expected = new Map<string, string>();
      const dead: (() => Promise<void>)[] = [];
      for (let round = 0; round < 5; round++) {
        const ours = await openOurs(root);
        await ours.put(bytes(`ours-${round}`), bytes("1"));
        expected.set(`ours-${round}`, "1");
        const theirs = await openTheirs(root);
        await theirs.put(bytes(`theirs-${round}`), bytes("2"));
        expected.set(`theirs-${round}`, "2");
        must(isPumiceError(await errorOf(async () => await ours.put(bytes("late"), bytes("x"))), "LSM_FENCED"), "our write is fenced");
        must(isPumiceError(await errorOf(async () => await ours.get(bytes("late"))), "LSM_FENCED"), "and so is our read");
        dead.push(async () => await ours.close().catch(() => undefined));
        const next = await openOurs(root);
        for (const call of [() => theirs.put(bytes("late"), bytes("x")), () => theirs.get(bytes("late"))]) {
          const error = await errorOf(call);
          must(error instanceof slate.ErrorClosed && error.reason === "Fenced", `SlateDB's call is fenced: ${String(error)}`);
        }
        await next.close();
      }
      const last = await openTheirs(root);
      const rows = [...(await theirRows(last)).keys()].map((hex) => Buffer.from(hex, "hex").toString());
      must(rows.join() === [...expected.keys()].toSorted().join(), `rows: ${rows.join()}`);
      await last.shutdown();
      for (const close of dead) await close();
    },
  },
  {
    name: "our reader and our WAL reader follow a SlateDB that writes and compacts; its manifest keeps our checkpoint",
    run: async (root) => {
      const work = new Workload(21, 300);
      const theirs = await openTheirs(root, { settings: { compactor_options: COMPACTING } });
      await work.byThem(theirs, 10);
      await theirs.flush_with_options({ flush_type: slate.FlushType.MemTable });
      const reader = await DbReader.open("db", ourComponents(root), { pollMs: 20, checkpointLifetimeMs: 60_000 });
      const frozen = await theirSnapshotCheckpoint(root);
      const before = new Map(work.model);
      for (let i = 0; i < 5; i++) {
        await work.byThem(theirs, 30);
        await theirs.flush_with_options({ flush_type: slate.FlushType.MemTable });
        await reader.refresh();
        const rows = await ourRows(reader);
        must(rows.size === work.model.size, `our reader sees ${rows.size} of ${work.model.size} rows`);
      }
      const stopped = await DbReader.open("db", ourComponents(root), { mode: { checkpoint: frozen } });
      must((await ourRows(stopped)).size === before.size, "the checkpoint stays what it was while SlateDB goes on");
      await stopped.close();
      let changes = 0;
      let lastSeq = 0;
      for await (const { row } of new WalReader("db", ourComponents(root)).follow()) {
        must(row.seq >= lastSeq, "sequence numbers do not go back");
        lastSeq = row.seq;
        changes++;
      }
      must(changes > 300 && lastSeq === reader.lastSeq, `${changes} changes up to ${lastSeq}, our reader is at ${reader.lastSeq}`);
      await reader.close();
      await theirs.shutdown();
    },
  },
  {
    name: "SlateDB's reader follows us while we write, compact and collect garbage around its checkpoint",
    run: async (root) => {
      const work = new Workload(22, 300);
      const ours = await openOurs(root);
      await work.byUs(ours, 10);
      const reader = await openTheirReader(root, { pollMs: 50, lifetimeMs: 60_000 });
      for (let i = 0; i < 3; i++) {
        await work.byUs(ours, 30);
        await ours.flush("memtable");
        await ours.compact();
        await ours.collectGarbage(0);
        await waitUntil("SlateDB's reader follows", async () => {
          const rows = await theirRows(reader);
          return rows.size === work.model.size && [...work.model].every(([key, value]) => rows.get(key) === value);
        });
      }
      must((await ours.listCheckpoints()).length >= 1, "its checkpoint is in our manifest");
      await reader.shutdown();
      await ours.close();
    },
  },
  {
    name: "our clone of a SlateDB store: SlateDB opens it, writes to it and compacts it; the parent stays as it is",
    isQuick: true,
    run: async (root) => {
      const work = new Workload(23, 400);
      const parent = await openTheirs(root);
      for (let i = 0; i < 3; i++) {
        await work.byThem(parent, 40);
        await parent.flush_with_options({ flush_type: slate.FlushType.MemTable });
      }
      await parent.shutdown();
      await cloneStore("db", "child", ourComponents(root));
      const copy = new Map(work.model);
      const child = await openTheirs(
        root,
        { settings: { compactor_options: { ...COMPACTING, scheduler_options: { min_compaction_sources: "2" } } } },
        "child",
      );
      must((await theirRows(child)).size === copy.size, "SlateDB reads the clone's borrowed SSTs");
      await child.put(bytes("only the child's"), bytes("1"));
      await child.flush_with_options({ flush_type: slate.FlushType.MemTable });
      await waitUntil(
        "SlateDB compacts the clone",
        async () => (await new Admin("child", ourComponents(root)).readManifest()).value.runs.length > 0,
      );
      must((await theirRows(child)).size === copy.size + 1, "and compacts them into its own");
      await child.shutdown();
      const ours = await Db.open("child", ourComponents(root), { compactor: false, gc: false });
      must((await ourRows(ours)).size === copy.size + 1, "we read what came of it");
      await ours.compact();
      await ours.collectGarbage(0);
      await ours.close();
      const again = await openTheirs(root);
      must((await theirRows(again)).size === copy.size, "the parent is untouched");
      await again.shutdown();
    },
  },
  {
    name: "each collects the other's garbage, and everything that is needed stays",
    run: async (root) => {
      const work = new Workload(24, 300);
      const ours = await openOurs(root);
      for (let i = 0; i < 4; i++) {
        await work.byUs(ours, 20);
        await ours.compact();
      }
      const checkpoint = await ours.createCheckpoint({ lifetimeMs: 3_600_000 });
      const before = work.model.size;
      await work.byUs(ours, 20);
      await ours.close();
      const admin = new Admin("db", ourComponents(root));
      const manifests = (await admin.listManifests()).length;
      const directory = { interval: "50ms", min_age: "0s" };
      const gc = { manifest_options: directory, wal_options: directory, compacted_options: directory, compactions_options: directory };
      const theirs = await openTheirs(root, { settings: { garbage_collector_options: gc } });
      await waitUntil("SlateDB collects", async () => (await admin.listManifests()).length < manifests / 2);
      await theirs.put(bytes("after"), bytes("1"));
      work.model.set(Buffer.from("after").toString("hex"), Buffer.from("1").toString("hex"));
      must((await theirRows(theirs)).size === work.model.size, "SlateDB has its rows");
      await theirs.shutdown();
      must((await new Admin("db", ourComponents(root)).verify()).findings.length === 0, "nothing that is needed was collected by SlateDB");
      const reader = await openTheirReader(root, { checkpoint: checkpoint.id });
      must((await theirRows(reader)).size === before, "the checkpoint is readable");
      await reader.shutdown();
      // Without its collector: that one may have left nothing for ours, if it ran once more after the last manifest of SlateDB's shutdown.
      const littering = await openTheirs(root);
      await waitUntil("SlateDB has put manifests that are older than its newest", async () => {
        await littering.put(bytes("after"), bytes("1"));
        await littering.flush_with_options({ flush_type: slate.FlushType.MemTable });
        const times = (await admin.listManifests()).map(({ lastModifiedMs }) => lastModifiedMs);
        return times.length > 2 && (times.at(-2) ?? Infinity) < (times.at(-1) ?? 0);
      });
      await littering.shutdown();
      const report = await new Admin("db", ourComponents(root)).collectGarbage(0);
      must(report.manifests > 0, `we collect SlateDB's: ${JSON.stringify(report)}`);
      const again = await openTheirs(root);
      must((await theirRows(again)).size === work.model.size, "nothing that SlateDB needs was collected by us");
      await again.shutdown();
    },
  },
  {
    name: "a WAL store of its own: each replays what the other left in it",
    run: async (root) => {
      const wals = `${root}/wals`;
      const work = new Workload(25, 100);
      for (let round = 0; round < 3; round++) {
        const theirs = await openTheirs(root, { walRoot: wals });
        await work.byThem(theirs, 15);
        await theirs.shutdown();
        const ours = await Db.open("db", ourComponents(root, wals), { compactor: false, gc: false });
        must((await ourRows(ours)).size === work.model.size, "we replay SlateDB's WAL");
        await work.byUs(ours, 15);
        await ours.close({ flush: "wal" });
      }
      const last = await openTheirs(root, { walRoot: wals });
      must((await theirRows(last)).size === work.model.size, "SlateDB replays ours");
      await last.shutdown();
    },
  },
  {
    name: "a batch whose merges differ in TTL: SlateDB writes its key more than once, and we show what SlateDB shows of it",
    isQuick: true,
    run: async (root) => {
      const theirs = await openTheirs(root);
      const shown: (string | undefined)[] = [];
      for (const [i, fill] of MIXED_TTLS.entries()) {
        const batch = new slate.WriteBatch();
        fill(batch, bytes(`k${i}`));
        await theirs.write(batch);
        shown.push(text(await theirs.get(bytes(`k${i}`))));
      }
      await theirs.shutdown();
      let rows = 0;
      for await (const _ of new WalReader("db", ourComponents(root)).follow()) rows++;
      must(rows === 5, `the WAL has ${rows} rows`);
      const reader = await DbReader.open("db", ourComponents(root), { mode: "latest" });
      const ours = await openOurs(root);
      for (const [i, expected] of shown.entries()) {
        must(text(await reader.get(bytes(`k${i}`))) === expected, `our reader's k${i} is ${expected}`);
        must(text(await ours.get(bytes(`k${i}`))) === expected, `our k${i} is ${expected}`);
      }
      await reader.close();
      await ours.close();
    },
  },
  {
    name: "a snapshot of ours and transactions go on while SlateDB's reader looks; a merge's operands add up over three hand-overs",
    isQuick: true,
    run: async (root) => {
      for (const [i, who] of ["ours", "theirs", "ours", "theirs"].entries()) {
        if (who === "ours") {
          const db = await openOurs(root);
          await db.merge(bytes("m"), bytes(String(i)));
          await db.transact((transaction) => transaction.put(bytes("t"), bytes(`${text(bytes("t"))}${i}`)));
          await db.flush("memtable");
          await db.close();
        } else {
          const db = await openTheirs(root);
          await db.merge(bytes("m"), bytes(String(i)));
          await db.flush_with_options({ flush_type: slate.FlushType.MemTable });
          await db.shutdown();
        }
      }
      const ours = await openOurs(root);
      must(text(await ours.get(bytes("m"))) === "0123", "we add them up");
      await ours.compact();
      await ours.close();
      const theirs = await openTheirs(root);
      must(
        text(await theirs.get(bytes("m"))) === "0123" && text(await theirs.get(bytes("t"))) === "t2",
        "SlateDB too, after our compaction",
      );
      await theirs.shutdown();
    },
  },
];

/** Batches that SlateDB 0.12 writes with several rows of one key, as their TTLs differ. */
const MIXED_TTLS: readonly ((batch: slate.WriteBatch, key: Uint8Array) => void)[] = [
  (batch, key) => {
    batch.put_with_options(key, bytes("P"), DAY);
    batch.merge_with_options(key, bytes("m"), NEVER);
  },
  (batch, key) => {
    batch.merge_with_options(key, bytes("m"), NEVER);
    batch.merge_with_options(key, bytes("n"), DAY);
    batch.merge_with_options(key, bytes("o"), NEVER);
  },
];

async function theirSnapshotCheckpoint(root: string): Promise<string> {
  return (await new Admin("db", ourComponents(root)).createCheckpoint({ lifetimeMs: 60_000 })).id;
}
