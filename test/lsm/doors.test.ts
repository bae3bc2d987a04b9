/** Doors that SlateDB has and that are told in the table of docs/lsm.md: handles, subscriptions, warming, services apart from the writer, the end of a store. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { isPumiceError } from "../../src/base/mod.ts";
import { Admin, cloneStore, Db, NOT_CACHED, type DbStatus } from "../../src/lsm/mod.ts";
import { lifeOf } from "./support/address-life.ts";
import { bytes, fails, keysOf, memoryWorld, openQuiet, overriding, text, until } from "./support/world.ts";

const key = (i: number): Uint8Array => bytes(`k${String(i).padStart(5, "0")}`);

test("a write that nobody waited for can be waited for by its handle", async () => {
  const { components } = memoryWorld();
  for (const walEnabled of [true, false]) {
    const db = await openQuiet(components, { flushIntervalMs: undefined, walEnabled });
    const first = await db.put(key(1), key(1), { awaitDurable: false });
    const second = db.putSync(key(2), key(2));
    assert.ok(db.status().durableSeq < first.seq);
    await db.awaitDurable(second);
    assert.ok(db.status().durableSeq >= second.seq);
    await db.awaitDurable(first);
    await db.close();
    await assert.rejects(db.awaitDurable(first), fails("LSM_CLOSED"));
  }
});

test("a subscriber hears of durable writes, of new manifests and of the end, and of nothing after it has gone", async () => {
  const { components } = memoryWorld();
  const db = await openQuiet(components);
  const told: DbStatus[] = [];
  const early: DbStatus[] = [];
  db.subscribe((status) => told.push(status));
  const stop = db.subscribe((status) => early.push(status));
  await db.put(key(1), key(1));
  await until(() => told.at(-1)?.durableSeq === 1, "news of the put");
  stop();
  const heard = early.length;
  await db.flush("memtable");
  await until(() => told.at(-1)?.l0Ssts === 1, "news of the L0");
  const other = await openQuiet(components);
  await assert.rejects(db.put(key(2), key(2)), fails("LSM_FENCED"));
  await until(() => told.at(-1)?.closed === "fenced", "news of the end");
  assert.equal(early.length, heard);
  await other.close();
  await db.close().catch(() => undefined);
});

test("refresh finds what another process has changed", async () => {
  const { components } = memoryWorld();
  const db = await openQuiet(components, { manifestPollMs: 3_600_000 });
  await new Admin("db", components).createCheckpoint({ name: "theirs" });
  assert.equal(db.manifest.checkpoints.length, 0);
  await db.refresh();
  assert.equal(db.manifest.checkpoints[0]?.name, "theirs");
  const other = await openQuiet(components);
  await assert.rejects(db.refresh(), fails("LSM_FENCED"));
  await other.close();
  await db.close().catch(() => undefined);
});

test("what was warmed is answered without a promise, what was evicted is not", async () => {
  const { components } = memoryWorld();
  const db = await openQuiet(components);
  for (let part = 0; part < 2; part++) {
    for (let i = 0; i < 3000; i++) db.putSync(key(i * 2 + part), bytes("x".repeat(40)));
    await db.flush("memtable");
  }
  assert.equal(db.getSync(key(7)), NOT_CACHED);
  await db.warm();
  assert.equal(db.getSync(key(7)), NOT_CACHED);
  assert.equal(db.getSync(bytes("k00007absent")), undefined, "the filters are here");
  await db.warm("all");
  for (let i = 0; i < 6000; i += 13) assert.notEqual(db.getSync(key(i)), NOT_CACHED);
  db.evict();
  assert.equal(db.getSync(key(7)), NOT_CACHED);
  assert.equal(db.status().cache.sizeBytes, 0);
  await db.close();
});

test("warming ends where the cache is full", async () => {
  const { components } = memoryWorld();
  const db = await openQuiet(components, { cacheBytes: 50_000 });
  for (let i = 0; i < 10_000; i++) db.putSync(key(i), bytes("x".repeat(40)));
  await db.flush("memtable");
  await db.warm("all");
  assert.ok(
    db.metrics().some((metric) => metric.name === "object_store.bytes_read" && metric.kind === "counter" && metric.value < 200_000),
  );
  await db.close();
});

test("a compactor and a collector apart from the writer do their work until they are stopped", async () => {
  const { clock, components, store } = memoryWorld();
  const db = await openQuiet(components, { l0SstsMax: 4, manifestPollMs: 5 });
  const service = new AbortController();
  const admin = new Admin("db", components, {
    compactor: { pollIntervalMs: 5, minSources: 2, checkpointLifetimeMs: 0 },
    gc: { intervalMs: 5, minAgeMs: 0 },
  });
  const compacting = admin.runCompactor({ signal: service.signal });
  const collecting = admin.runGarbageCollector({ signal: service.signal });
  // More than L0 takes: it goes on only because the service makes room.
  for (let part = 0; part < 10; part++) {
    db.putSync(key(part), key(part));
    await db.flush("memtable");
    clock.nowMs += 60_000;
  }
  await until(() => db.status().sortedRuns > 0, "a run");
  await until(async () => (await keysOf(store, "db/compacted/")).length <= 5, "collection of what was merged");
  service.abort();
  await Promise.all([compacting, collecting]);
  for (let part = 0; part < 10; part++) assert.deepEqual(await db.get(key(part)), key(part));
  await db.close();
  await assert.rejects(new Admin("none", components).runCompactor({ signal: new AbortController().signal }), fails("LSM_NOT_FOUND"));
});

test("one compaction can be asked for by its sources, and one that cannot be done is refused", async () => {
  const { components } = memoryWorld();
  const db = await openQuiet(components, { manifestPollMs: 5 });
  for (let part = 0; part < 3; part++) {
    db.putSync(key(part), key(part));
    await db.flush("memtable");
  }
  const oldest = db.manifest.l0.slice(1).map(({ viewId }) => viewId);
  const admin = new Admin("db", components);
  await admin.compact({ l0: oldest, runs: [], destination: 0 });
  await db.refresh();
  assert.deepEqual([db.status().l0Ssts, db.status().sortedRuns], [1, 1]);
  const [done] = (await admin.readCompactions())?.value.compactions ?? [];
  assert.equal((await admin.readCompaction(done?.id ?? ""))?.status, "completed");
  assert.equal(await admin.readCompaction("00000000000000000000000000"), undefined);
  await assert.rejects(admin.compact({ l0: oldest, runs: [], destination: 0 }), fails("LSM_INVALID"));
  await db.close();
});

test("a tool keeps the profile of the store that it works on", async () => {
  const { components } = memoryWorld();
  const db = await openQuiet(components, { compat: "0.14" });
  for (let part = 0; part < 2; part++) {
    for (let i = 0; i < 2000; i++) db.putSync(key(i), key(part));
    await db.flush("memtable");
  }
  await db.close();
  const admin = new Admin("db", components);
  await admin.compact("everything");
  const { value } = await admin.readManifest();
  assert.equal(value.runs[0]?.ssts[0]?.info.filterFormat, "composite");
  const file = await admin.listCompactions();
  assert.equal((await components.store.get(file.at(-1)?.key ?? ""))?.[1], 2, "version of the compactions file");
});

test("sequence numbers and times are found from each other, at or next to the point asked for", async () => {
  const { clock, components } = memoryWorld();
  const db = await openQuiet(components);
  const start = Math.floor(clock.nowMs / 1000);
  for (let minute = 0; minute < 5; minute++) {
    db.putSync(key(minute), key(minute));
    db.putSync(key(minute), key(minute));
    clock.nowMs += 120_000;
  }
  await db.flush("memtable");
  await db.close();
  const admin = new Admin("db", components);
  assert.deepEqual(await admin.seqAt((start + 240) * 1000), { seq: 5, timeS: start + 240 });
  assert.deepEqual(await admin.seqAt((start + 250) * 1000), { seq: 5, timeS: start + 240 });
  assert.deepEqual(await admin.seqAt((start + 250) * 1000, { round: "up" }), { seq: 7, timeS: start + 360 });
  assert.deepEqual(await admin.timeOf(6), { seq: 5, timeS: start + 240 });
  assert.deepEqual(await admin.timeOf(6, { round: "up" }), { seq: 7, timeS: start + 360 });
  assert.equal(await admin.timeOf(0), undefined);
  assert.equal(await admin.seqAt((start + 9999) * 1000, { round: "up" }), undefined);
});

test("a destroyed store is gone, its neighbours are not, its writer is fenced, and a clone's parent is refused", async () => {
  const { components, store } = memoryWorld();
  const db = await openQuiet(components, { manifestPollMs: 3_600_000 });
  const neighbour = await Db.open("db2", components, { compactor: false, gc: false });
  await db.put(key(1), key(1));
  await db.flush("memtable");
  await db.compact();
  await neighbour.put(key(1), key(1));
  await neighbour.close();
  const admin = new Admin("db", components);
  await cloneStore("db", "clone", components);
  await assert.rejects(admin.destroy(), fails("LSM_INVALID"));
  assert.deepEqual(await db.get(key(1)), key(1));
  const forever = async (): Promise<number> => (await admin.listCheckpoints()).filter(({ expireTimeS }) => expireTimeS === 0).length;
  assert.equal(await forever(), 1);
  await new Admin("clone", components).destroy();
  assert.equal(await forever(), 0, "the clone's hold on its parent");
  assert.ok((await admin.destroy({ evenWithCheckpoints: true })) > 3);
  assert.deepEqual(await keysOf(store, "db/"), []);
  assert.ok((await keysOf(store, "db2/")).length > 0);
  await assert.rejects(admin.destroy(), fails("LSM_NOT_FOUND"));
  await db.close({ flush: "none" }).catch(() => undefined);
});

test("a destruction that stops on the way can be carried to its end", async () => {
  const { components, store } = memoryWorld();
  const db = await openQuiet(components);
  for (let i = 0; i < 3; i++) await db.put(key(i), key(i));
  await db.close();
  const count = (await keysOf(store, "db/")).length;
  for (let allowed = 0; allowed <= count + 2; allowed++) {
    let left = allowed;
    const dying = overriding(store, {
      delete: async (name, options) => {
        if (left-- <= 0) throw new Error("killed");
        await store.delete(name, options);
      },
    });
    await new Admin("db", { ...components, store: dying }).destroy().catch((error: unknown) => {
      if (!isPumiceError(error, "LSM_NOT_FOUND")) assert.match(String(error), /killed/);
    });
  }
  assert.deepEqual(await keysOf(store, "db/"), []);
});

test("deleteRange deletes what was there when it began, leaves what came after, and a write behind it stays", async () => {
  const { components, store } = memoryWorld();
  // Slow enough for others to come between the batches.
  const slow = overriding(store, {
    putIf: async (...args) => {
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
      return await store.putIf(...args);
    },
  });
  const db = await openQuiet({ ...components, store: slow });
  for (let i = 0; i < 3000; i++) db.putSync(key(i), key(i));
  db.putSync(bytes("other"), key(1));
  const progress = { isOver: false };
  const deleting = db.deleteRange({ prefix: bytes("k") }).finally(() => (progress.isOver = true));
  // In each turn: a key that was not there, and one of the first batch, again.
  const fresh: Uint8Array[] = [];
  for (let i = 0; !progress.isOver; i++) {
    const name = bytes(`k00500 new ${i}`);
    fresh.push(name);
    db.putSync(name, name);
    if (db.getSync(key(3)) === undefined) db.putSync(key(3), bytes("again"));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(await deleting, 3000);
  assert.ok(fresh.length > 3);
  const left = await db.scan({ prefix: bytes("k") }).toArray();
  assert.deepEqual(new Set(left.map((row) => text(row.key))), new Set([...fresh.map((name) => text(name)), text(key(3))]));
  assert.equal(text(await db.get(key(3))), "again");
  assert.notEqual(await db.get(bytes("other")), undefined);
  await db.close();
});

test("a store opened by file:// lives, with its compaction on another thread", async () => {
  const folder = mkdtempSync(join(tmpdir(), "pumice-doors-"));
  try {
    await lifeOf(pathToFileURL(folder).href);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
