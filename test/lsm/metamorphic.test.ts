/**
 * The same operations under many option sets give the same answers: block size, codec, memtable size, WAL, filter, cache (none included), profile,
 * compaction and its sizes, and flushes, compactions, collections and reopenings at moments of their own.
 *
 * Asked are gets, rows with sequence number and times, scans both ways, snapshots, transactions (their conflicts too), merges, expiry, checkpoints
 * read by another process. Nor does it matter in what kind of Uint8Array the caller hands over its keys, values and bounds, and what it does with that
 * memory afterwards. PUMICE_SEED chooses the operations, PUMICE_GROUPS how many lots of them.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isPumiceError, seededRandom, type Random } from "../../src/base/mod.ts";
import {
  COMPRESSIONS,
  Db,
  DbReader,
  WriteBatch,
  type KeyValue,
  type LsmComponents,
  type LsmOptions,
  type MergeOperator,
  type ScanOptions,
  type Snapshot,
  type Transaction,
} from "../../src/lsm/mod.ts";
import { CARRIERS, type Carrier } from "./support/carriers.ts";
import { bytes, memoryWorld, text, type TestClock } from "./support/world.ts";

/** Appends. What it gives is carried, too: an operator may give the same memory again and again. */
function appender(carry: Carrier): MergeOperator {
  return { merge: (_key, existing, operand) => carry(bytes((text(existing) ?? "") + (text(operand) ?? ""))) };
}

const OPERATIONS = 400;

type Readable = Pick<Db, "get" | "scan">;

function rowText(row: KeyValue | undefined): string {
  return row === undefined ? "-" : `${text(row.key)}=${text(row.value)}@${row.seq},${row.createTs},${row.expireTs}`;
}

/** One life of a store: its operations are those of `seed`, what happens between them is up to `when`. */
class Life {
  readonly answers: string[] = [];
  private readonly random: Random;
  private readonly when: Random;
  private readonly options: LsmOptions;
  private readonly components: LsmComponents;
  private readonly clock: TestClock;
  private db: Db | undefined;
  private snapshots: Snapshot[] = [];
  private transactions: Transaction[] = [];
  private checkpoints: string[] = [];
  private readonly carry: Carrier;

  constructor(seed: number, options: LsmOptions, { when, carry }: { when: Random; carry: Carrier }) {
    this.carry = carry;
    this.random = seededRandom(seed);
    this.when = when;
    // Expiry is answered at the time of the read: when compaction comes must not matter.
    this.options = { ...options, gc: false, filtersExpired: true };
    const world = memoryWorld({ mergeOperator: appender(carry) });
    this.components = world.components;
    this.clock = world.clock;
  }

  async run(): Promise<void> {
    this.db = await Db.open("db", this.components, this.options);
    for (let i = 0; i < OPERATIONS; i++) {
      this.clock.nowMs += this.random.below(3);
      await this.operate(i, this.db);
      this.db = await this.disturb(this.db);
    }
    await this.look(this.db);
    this.answers.push((await this.db.scan().toArray()).map(rowText).join());
    for (const reader of [...this.snapshots, ...this.transactions]) await this.look(reader);
    for (const snapshot of this.snapshots) snapshot.close();
    for (const transaction of this.transactions) transaction.rollback();
    await this.db.close();
  }

  private async operate(i: number, db: Db): Promise<void> {
    const { random } = this;
    const roll = random.below(100);
    const lazily = { awaitDurable: false };
    if (roll < 24) await db.put(this.key(), this.value(i), { ...lazily, ttl: this.ttl() });
    else if (roll < 28) db.putSync(this.key(), this.value(i), { ttl: this.ttl() });
    else if (roll < 36) await db.delete(this.key(), lazily);
    else if (roll < 38) db.deleteSync(this.key());
    else if (roll < 48)
      await db.merge(this.key(), this.carry(bytes(`+${i}`)), { ...lazily, ttl: random.below(6) === 0 ? this.ttl() : "never" });
    else if (roll < 53)
      await db.write(
        new WriteBatch()
          .put(this.key(), this.value(i))
          .delete(this.key())
          .merge(this.key(), this.carry(bytes("m"))),
        lazily,
      );
    else if (roll < 54) this.answers.push(`deleted ${await db.deleteRange({ prefix: this.key().subarray(0, 2) }, lazily)}`);
    else if (roll < 58) this.openReader(db);
    else if (roll < 66) await this.useTransaction(i);
    else if (roll < 70) this.closeSnapshot();
    else if (roll < 72) await this.checkpoint(db);
    else if (roll < 74) await this.readCheckpoint();
    else await this.look(this.anyReader(db));
  }

  private key(): Uint8Array {
    const { random } = this;
    return this.carry(bytes(`k${"p".repeat(random.below(3))}${random.below(120)}`));
  }

  private value(i: number): Uint8Array {
    const { random } = this;
    return this.carry(bytes(random.below(60) === 0 ? `big${i}`.repeat(2000) : `v${i}`.repeat(random.below(8))));
  }

  private ttl(): "never" | { afterMs: number } {
    return this.random.below(4) === 0 ? { afterMs: 1 + this.random.below(200) } : "never";
  }

  private openReader(db: Db): void {
    const isTransaction = this.random.below(2) === 0;
    const isolation = this.random.below(2) === 0 ? "snapshot" : "serializable";
    if (this.snapshots.length + this.transactions.length >= 4) return;
    if (isTransaction) this.transactions.push(db.begin(isolation));
    else this.snapshots.push(db.snapshot());
  }

  private closeSnapshot(): void {
    const at = this.random.below(4);
    this.snapshots[at]?.close();
    this.snapshots = this.snapshots.filter((_, i) => i !== at);
  }

  private async useTransaction(i: number): Promise<void> {
    const { random } = this;
    const transaction = this.transactions[random.below(4)];
    const [key, roll] = [this.key(), random.below(8)];
    if (transaction === undefined) return;
    if (roll === 6) transaction.markRead([key]);
    else if (roll === 7) transaction.unmarkWrite([key]);
    else if (roll < 2) transaction.put(key, this.value(i));
    else if (roll < 3) transaction.merge(key, this.carry(bytes(`t${i}`)));
    else if (roll < 4) transaction.delete(key);
    else {
      this.transactions = this.transactions.filter((each) => each !== transaction);
      if (roll === 5) transaction.rollback();
      else this.answers.push(await outcome(transaction));
    }
  }

  private async checkpoint(db: Db): Promise<void> {
    this.checkpoints.push((await db.createCheckpoint()).id);
  }

  private async readCheckpoint(): Promise<void> {
    const id = this.checkpoints[this.random.below(4)];
    if (id === undefined) return;
    const reader = await DbReader.open("db", this.components, { mode: { checkpoint: id }, filtersExpired: true });
    this.answers.push(text(await reader.get(this.key())) ?? "-");
    this.answers.push(`checkpoint ${(await reader.scan(this.bounds()).toArray(20)).map(rowText).join()}`);
    await reader.close();
  }

  private anyReader(db: Db): Readable {
    return [...this.snapshots, ...this.transactions][this.random.below(8)] ?? db;
  }

  private bounds(): ScanOptions {
    const { random } = this;
    const order = random.below(2) === 0 ? "ascending" : "descending";
    const [low, high, roll] = [this.key(), this.key(), random.below(5)];
    if (roll === 0) return { prefix: low.subarray(0, 2), order };
    if (roll === 1) return { gt: low, lte: high, order };
    if (roll === 2) return { lt: high, order };
    return roll === 3 ? { gte: low, lt: high, order } : { gte: low, order };
  }

  private async look(reader: Readable): Promise<void> {
    const { random } = this;
    const roll = random.below(10);
    if (roll < 3) this.answers.push(text(await reader.get(this.key())) ?? "-");
    else if (roll < 5 && reader instanceof Db) this.answers.push(rowText(await reader.getRow(this.key())));
    else if (roll === 5 && reader instanceof Db)
      this.answers.push((await reader.multiGet([this.key(), this.key(), this.key()])).map((value) => text(value) ?? "-").join());
    else if (roll === 6) {
      const scan = reader.scan();
      scan.seek(this.key());
      this.answers.push((await scan.toArray(5)).map((row) => `${text(row.key)}=${text(row.value)}`).join());
    } else {
      const scan = reader.scan(this.bounds());
      const rows = [...(await scan.nextBatch(3)), ...(await scan.nextBatch(random.below(30)))];
      scan.dispose();
      this.answers.push(rows.map((row) => `${text(row.key)}=${text(row.value)}`).join());
    }
  }

  /** What may happen at any time and changes no answer. */
  private async disturb(db: Db): Promise<Db> {
    const { when } = this;
    const event = when.below(100);
    if (event < 5) await db.flush("memtable");
    else if (event < 7) await db.compact();
    else if (event === 7) await db.flush("wal");
    else if (event === 8) await db.collectGarbage(0);
    else if (event < 12 && this.snapshots.length + this.transactions.length === 0) {
      const isLost = this.options.walEnabled === false;
      await db.close(when.below(2) === 0 || isLost ? {} : { flush: "wal" });
      return await Db.open("db", this.components, this.options);
    }
    return db;
  }
}

async function outcome(transaction: Transaction): Promise<string> {
  try {
    return `committed ${(await transaction.commit({ awaitDurable: false }))?.seq}`;
  } catch (error) {
    if (isPumiceError(error, "LSM_CONFLICT")) return "conflict";
    throw error;
  }
}

function drawOptions(random: Random): LsmOptions {
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)] as T;
  const minSources = pick([2, 4]);
  return {
    compat: pick(["0.12", "0.14"]),
    blockSizeBytes: pick([1024, 4096, 65_536]),
    compression: pick(COMPRESSIONS),
    l0SstBytes: pick([500, 5000, 67_108_864]),
    l0SstsMax: pick([2, 8]) + minSources,
    walEnabled: random.below(4) > 0,
    walFilesMax: pick([1, 4096]),
    minFilterKeys: pick([0, 10, 1000]),
    filterBitsPerKey: pick([1, 10, 20]),
    cacheBytes: pick([0, 10_000, 67_108_864]),
    flushIntervalMs: pick([undefined, 1, 100]),
    compactor: {
      pollIntervalMs: 20,
      minSources,
      includeSizeThreshold: pick([1, 4]),
      maxConcurrent: pick([1, 4]),
      checkpointLifetimeMs: pick([0, 900_000]),
      maxSstBytes: pick([1000, 100_000]),
      movesTrivially: random.below(2) === 0,
    },
  };
}

const SEED = Number(process.env["PUMICE_SEED"] ?? 20_261_121);
const GROUPS = Number(process.env["PUMICE_GROUPS"] ?? 3);

test(`options change no answer, nor does what holds the bytes of a call (PUMICE_SEED=${SEED})`, async () => {
  const random = seededRandom(SEED);
  let conflicts = 0;
  for (let group = 0; group < GROUPS; group++) {
    const plain = new Life(SEED + group, { compactor: false, l0SstsMax: 10_000 }, { when: seededRandom(1), carry: (each) => each });
    await plain.run();
    conflicts += plain.answers.filter((answer) => answer === "conflict").length;
    for (const [kind, newCarrier] of Object.entries(CARRIERS)) {
      const options = drawOptions(random);
      const life = new Life(SEED + group, options, { when: random, carry: newCarrier() });
      try {
        await life.run();
      } catch (error) {
        throw new Error(`seed=${SEED + group} bytes=${kind} options=${JSON.stringify(options)} after ${life.answers.length} answers`, {
          cause: error,
        });
      }
      const differs = life.answers.findIndex((answer, i) => answer !== plain.answers[i]);
      const [found, expected] = [life.answers[differs], plain.answers[differs]].map((answer) => answer?.slice(0, 500));
      assert.equal(
        differs,
        -1,
        `seed=${SEED + group} bytes=${kind} options=${JSON.stringify(options)} answer ${differs}: ${found} instead of ${expected}`,
      );
      assert.equal(life.answers.length, plain.answers.length);
    }
  }
  assert.ok(conflicts > 0 || GROUPS < 3, "there are transactions that conflict");
});
