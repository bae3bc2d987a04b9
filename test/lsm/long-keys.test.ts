/** Keys that later releases of SlateDB write, and those of these profiles do not: longer than 65,535 bytes. They are read, kept and merged; none is written anew. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Admin, type Db, DbReader, WriteBatch, type LsmComponents } from "../../src/lsm/mod.ts";
import { sstSettings, StoreContext } from "../../src/lsm/engine/context.ts";
import { LSM_DEFAULTS } from "../../src/lsm/engine/settings.ts";
import { VALUE } from "../../src/lsm/format/row.ts";
import { SstWriter } from "../../src/lsm/format/sst-writer.ts";
import { bytes, fails, keysOf, memoryWorld, openQuiet, text } from "./support/world.ts";

/** A key of that length: keys of several lengths differ at their end alone. */
function longKey(length: number): Uint8Array {
  const key = new Uint8Array(length).fill(0x6b);
  key.set(bytes(`:${length}`), length - 8);
  return key;
}

const LENGTHS = [65_535, 65_536, 70_000, 200_000, 1_000_000];

/** A store in whose WAL another engine has put rows with such keys. */
async function withLongKeys(components: LsmComponents, lengths: readonly number[]): Promise<void> {
  const db = await openQuiet(components);
  await db.put(bytes("short"), bytes("v"));
  const { lastSeq } = db.status();
  await db.close({ flush: "wal" });
  const context = StoreContext.of("db", components, LSM_DEFAULTS);
  const writer = new SstWriter("wal", sstSettings(LSM_DEFAULTS, "0.14"), context.sealer);
  const createTs = components.clock.now();
  for (const [i, length] of lengths.entries())
    writer.add({ key: longKey(length), kind: VALUE, value: bytes(`v${length}`), seq: lastSeq + 1 + i, createTs, expireTs: undefined });
  const wals = await context.walsAfter(0);
  const walId = (wals.at(-1)?.id ?? 0) + 1;
  await components.store.put(context.paths.wal(walId), writer.finish().bytes);
}

async function mustHave(db: Pick<Db, "get" | "scan">, what: string): Promise<void> {
  for (const length of LENGTHS) assert.equal(text(await db.get(longKey(length))), `v${length}`, `${what}: ${length} bytes`);
  assert.equal(await db.get(longKey(99_999)), undefined);
  const rows = await db.scan({ gte: longKey(65_536), lt: bytes("l") }).toArray();
  assert.ok(
    rows.every(({ key, value }) => text(value) === `v${key.length}`),
    what,
  );
  const backwards = await db.scan({ prefix: new Uint8Array(60_000).fill(0x6b), order: "descending" }).toArray();
  assert.deepEqual(new Set(backwards.map(({ key }) => key.length)), new Set(LENGTHS), what);
}

test("a store with keys above 65,535 bytes in its WAL is whole: opened, read, flushed, compacted, checked, and nothing is to be repaired", async () => {
  const { components } = memoryWorld();
  await withLongKeys(components, LENGTHS);
  const admin = new Admin("db", components);
  assert.deepEqual((await admin.verify()).findings, []);
  assert.deepEqual((await admin.planRepair()).steps, []);
  const reader = await DbReader.open("db", components, { mode: "latest" });
  await mustHave(reader, "a reader");
  await reader.close();
  const db = await openQuiet(components, { blockSizeBytes: 1024 });
  await mustHave(db, "the WAL, replayed");
  const transaction = db.begin();
  assert.equal(text(await transaction.get(longKey(70_000))), "v70000");
  transaction.markRead([longKey(70_000)]);
  transaction.rollback();
  await db.flush("memtable");
  await mustHave(db, "L0");
  await db.put(bytes("other"), bytes("w"));
  await db.flush("memtable");
  await db.compact();
  db.evict();
  await mustHave(db, "a run");
  await db.close();
  assert.deepEqual((await admin.verify()).findings, []);
  const again = await openQuiet(components, { cacheBytes: 0 });
  await mustHave(again, "opened again");
  await again.close();
});

test("such a key is not written: the refusal says which files cannot hold it", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  const tooLong = longKey(65_536);
  const says = (error: Error): boolean => fails("LSM_INVALID")(error) && /profiles 0\.12 and 0\.14/.test(error.message);
  await assert.rejects(db.put(tooLong, bytes("v")), says);
  await assert.rejects(db.delete(tooLong), says);
  assert.throws(() => new WriteBatch().put(tooLong, bytes("v")), says);
  assert.throws(() => db.begin().put(tooLong, bytes("v")), says);
  assert.equal(await db.get(tooLong), undefined);
  assert.equal((await db.multiGet([tooLong]))[0], undefined);
});

test("a key beyond what a memtable can hold is told of as that, not as damage, and no repair is planned", async () => {
  const { components, store } = memoryWorld();
  await withLongKeys(components, [0x80_0000]);
  await assert.rejects(openQuiet(components), fails("LSM_UNSUPPORTED"));
  await assert.rejects(new Admin("db", components).planRepair(), fails("LSM_UNSUPPORTED"));
  assert.ok((await keysOf(store, "db/wal/")).length > 1);
});
