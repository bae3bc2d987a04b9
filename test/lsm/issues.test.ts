/** What SlateDB's users reported, each as a law with the number. Others stand in clock, db, races, shared-store and transactions. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isPumiceError, MemoryObjectStore, PumiceError, seededRandom, type ObjectMeta, type ObjectStore } from "../../src/base/mod.ts";
import { InlineExecutor } from "../../src/lsm/compaction/executor.ts";
import { StoreContext } from "../../src/lsm/engine/context.ts";
import { readCompositeFilter, readUnsureFilter } from "../../src/lsm/format/bloom.ts";
import { encodeCompactions } from "../../src/lsm/format/compactions.ts";
import { sipHash13 } from "../../src/lsm/format/siphash.ts";
import { Admin, COMPRESSIONS, Db, LSM_DEFAULTS, WalReader, type CompactionExecutor } from "../../src/lsm/mod.ts";
import { CrashableStore } from "../../src/sim/mod.ts";
import { fromHex } from "./support/hex.ts";
import { bytes, keysOf, memoryWorld, openQuiet, overriding, text, until } from "./support/world.ts";

const DAY_MS = 86_400_000;

/** The values of all keys, as text. */
async function rows(db: Pick<Db, "scan">): Promise<string[]> {
  return (await db.scan().toArray()).map((row) => `${text(row.key)}=${text(row.value)}`);
}

async function copyOf(store: ObjectStore): Promise<MemoryObjectStore> {
  const copy = new MemoryObjectStore({ clock: Date });
  for await (const { key } of store.list("")) await copy.put(key, (await store.get(key)) as Uint8Array);
  return copy;
}

test("a store with any codec that was not closed is opened again with every durable row (SlateDB #591)", async () => {
  for (const compression of COMPRESSIONS) {
    for (const isFlushed of [false, true]) {
      const { components, store } = memoryWorld();
      const first = await openQuiet(components, { compression });
      const random = seededRandom(591);
      const expected: string[] = [];
      for (let i = 0; i < 50; i++) {
        const value = (i % 2 === 0 ? "v".repeat(random.below(3000)) : String(random.u32())) + i;
        await first.put(bytes(`k${String(i).padStart(2, "0")}`), bytes(value), { awaitDurable: i % 10 === 9 });
        expected.push(`k${String(i).padStart(2, "0")}=${value}`);
        if (isFlushed && i === 24) await first.flush("memtable");
      }
      // Nothing is closed: what is in the store now is all there is.
      const left = await copyOf(store);
      await first.close({ flush: "none" });
      await using second = await openQuiet({ ...components, store: left }, { compression });
      assert.deepEqual(await rows(second), expected, `${compression} ${isFlushed}`);
    }
  }
});

test("a compaction worker that dies, or fails with any error, takes nothing with it, and the work is done later (SlateDB #1850, #1838)", async () => {
  const { components } = memoryWorld();
  let failures = 0;
  const inline = new InlineExecutor(StoreContext.of("db", components, LSM_DEFAULTS));
  const flaky: CompactionExecutor = {
    run: async (job, progress) => {
      failures++;
      if (failures === 1) throw new Error("worker panicked");
      if (failures === 2) throw new PumiceError("WORKER_FAILED", { planted: true });
      return await inline.run(job, progress);
    },
  };
  await using db = await openQuiet({ ...components, compactionExecutor: flaky }, { compactor: { pollIntervalMs: 5, minSources: 2 } });
  for (let i = 0; i < 3; i++) {
    await db.put(bytes(`k${i}`), bytes("v"));
    await db.flush("memtable");
  }
  await until(() => db.status().sortedRuns > 0, "it is compacted in the end");
  assert.ok(failures >= 3);
  await db.put(bytes("more"), bytes("v"));
  assert.equal((await rows(db)).length, 4);
  assert.equal(db.status().closed, undefined);
});

test("a store that lives long keeps nothing of what it has done: caches stay in their bounds, reads and runs do not add up (SlateDB #1379)", async () => {
  const { components, store, clock } = memoryWorld();
  await using db = await openQuiet(components, { cacheBytes: 5000, blockSizeBytes: 1024, minFilterKeys: 1 });
  for (let round = 0; round < 60; round++) {
    for (let i = 0; i < 100; i++) db.putSync(bytes(`k${i}`), bytes(`${round}`.repeat(10)));
    const transaction = db.begin();
    transaction.put(bytes("t"), bytes("x"));
    await transaction.commit({ awaitDurable: false });
    for await (const row of db.scan()) if (text(row.key) === "k50") break;
    await db.flush("memtable");
    for (let i = 0; i < 100; i += 9) assert.equal(text(await db.get(bytes(`k${i}`))), `${round}`.repeat(10));
    if (round % 5 === 4) {
      await db.compact();
      clock.nowMs += DAY_MS;
      await db.put(bytes("k0"), bytes("moves the store's time"));
      await db.flush("memtable");
      await db.collectGarbage(0);
    }
    const { cache, openReads, memtableBytes, unflushedBytes } = db.status();
    assert.ok(cache.sizeBytes <= 5000, `cache=${cache.sizeBytes}`);
    assert.deepEqual([openReads, memtableBytes, unflushedBytes], [0, 0, 0]);
  }
  const left = (await keysOf(store, "db/")).filter((key) => !key.startsWith("db/wal/")).length;
  assert.ok(left < 40, `objects=${left}`);
});

test("a version that is listed and gone when it is fetched is no error: the newer one is found (SlateDB #1215)", async () => {
  const { components, store, clock } = memoryWorld();
  const first = await openQuiet(components);
  for (let i = 0; i < 5; i++) {
    await first.put(bytes(`k${i}`), bytes("v"));
    await first.flush("memtable");
  }
  const before: ObjectMeta[] = [];
  for await (const meta of store.list("db/manifest/")) before.push(meta);
  await first.compact();
  clock.nowMs += DAY_MS;
  await first.put(bytes("late"), bytes("v"));
  await first.close();
  await new Admin("db", components).collectGarbage(0);
  let isStale = true;
  const stale = overriding(store, {
    // The first look at the manifests is that of before the collection: none of what it shows is there any more.
    list: (prefix, options) => {
      if (prefix !== "db/manifest/" || !isStale) return store.list(prefix, options);
      isStale = false;
      return (async function* () {
        yield* before;
      })();
    },
  });
  await using second = await openQuiet({ ...components, store: stale });
  assert.ok(!isStale);
  assert.equal((await rows(second)).length, 6);
});

test("garbage that another collector deletes meanwhile is no error (SlateDB #1215)", async () => {
  const { components, store, clock } = memoryWorld();
  const db = await openQuiet(components);
  for (let i = 0; i < 5; i++) {
    await db.put(bytes(`k${i}`), bytes("v"));
    await db.flush("memtable");
  }
  await db.compact();
  clock.nowMs += DAY_MS;
  await db.put(bytes("late"), bytes("v"));
  await db.close();
  const racing = overriding(store, {
    delete: async (key, options) => {
      await store.delete(key, options);
      await store.delete(key, options);
    },
  });
  const [one, other] = [new Admin("db", { ...components, store: racing }), new Admin("db", components)];
  await Promise.all([one.collectGarbage(0), other.collectGarbage(0)]);
  assert.deepEqual((await new Admin("db", components).verify()).findings, []);
});

test("a compaction of L0s that is taken over gets a run id above all others, as version 1 of the file does not tell it (SlateDB #1660)", async () => {
  const { components, store } = memoryWorld();
  const first = await openQuiet(components);
  await first.put(bytes("k"), bytes("oldest"));
  await first.put(bytes("only in the run"), bytes("x"));
  await first.compact();
  assert.deepEqual(
    first.manifest.runs.map((run) => run.id),
    [0],
  );
  for (const value of ["older", "newest"]) {
    await first.put(bytes("k"), bytes(value));
    await first.flush("memtable");
  }
  const { manifest } = first;
  await first.close();
  const l0 = manifest.l0.map((sst) => sst.viewId);
  const id = manifest.l0[0]?.id ?? "";
  const job = { id, spec: { l0, runs: [], destination: 0 }, status: "running", outputs: [] } as const;
  const last = (await keysOf(store, "db/compactions/")).length;
  const file = encodeCompactions({ compactorEpoch: manifest.compactorEpoch, compactions: [job] }, 1);
  await store.put(`db/compactions/${String(last + 1).padStart(20, "0")}.compactions`, file);
  await using second = await openQuiet(components, { compactor: { pollIntervalMs: 5, minSources: 100, maxSources: 100 } });
  await until(() => second.manifest.l0.length === 0, "it is finished");
  assert.deepEqual(
    second.manifest.runs.map((run) => run.id),
    [1, 0],
  );
  assert.deepEqual(await rows(second), ["k=newest", "only in the run=x"]);
});

test("a crash at any call while a long WAL is replayed and flushed in pieces loses no row (SlateDB #1857, #1625)", async () => {
  const { components, store } = memoryWorld();
  const first = await openQuiet(components);
  const expected: string[] = [];
  for (let i = 0; i < 12; i++) {
    await first.put(bytes(`k${String(i).padStart(2, "0")}`), bytes("x".repeat(200)));
    expected.push(`k${String(i).padStart(2, "0")}=${"x".repeat(200)}`);
  }
  const original = await copyOf(store);
  await first.close({ flush: "none" });
  // Each replayed memtable holds two WAL objects' rows, the last may share an object with the next.
  const options = { l0SstBytes: 400, l0SstsMax: 1000 };
  const life = async (over: ObjectStore): Promise<void> => {
    const db = await openQuiet({ ...components, store: over }, options);
    await db.flush("memtable");
    await db.close();
  };
  const counting = new CrashableStore(await copyOf(original));
  await life(counting.store);
  assert.ok(counting.changes.length >= 12, `changes=${counting.changes.length}`);
  for (const at of counting.changes) {
    for (const when of ["before", "after"] as const) {
      const left = await copyOf(original);
      const process = new CrashableStore(left, { at, when });
      void life(process.store).catch(() => undefined);
      await process.crashed;
      await using second = await openQuiet({ ...components, store: left });
      assert.deepEqual(await rows(second), expected, `at=${at} ${when}`);
    }
  }
});

test("an opener that slept between its look at the WAL and its claim puts its fence beyond all that came meanwhile (SlateDB #1682)", async () => {
  const { components, store, clock } = memoryWorld();
  await (await openQuiet(components)).close();
  const claims = (await keysOf(store, "db/manifest/")).length;
  let hasSlept = false;
  const sleepy = overriding(store, {
    putIf: async (key, body, condition, options) => {
      if (key.endsWith(`${claims + 1}.manifest`) && !hasSlept) {
        hasSlept = true;
        const rival = await openQuiet(components);
        for (let i = 0; i < 4; i++) await rival.put(bytes(`rival-${i}`), bytes("v"));
        await rival.flush("memtable");
        await rival.put(bytes("rival-wal"), bytes("v"));
        await rival.close({ flush: "wal" });
        clock.nowMs += DAY_MS;
        await new Admin("db", components).createCheckpoint({ lifetimeMs: 1000, name: "moves the store's time" });
        await new Admin("db", components).collectGarbage(0);
      }
      return await store.putIf(key, body, condition, options);
    },
  });
  await using sleeper = await openQuiet({ ...components, store: sleepy });
  assert.ok(hasSlept);
  assert.equal((await rows(sleeper)).length, 5);
  await sleeper.put(bytes("sleeper"), bytes("v"));
  const lastId = (await new WalReader("db", components).list()).at(-1)?.id ?? 0;
  assert.ok(lastId > sleeper.manifest.replayAfterWalId);
  await sleeper.close({ flush: "wal" });
  await using last = await openQuiet(components);
  assert.equal((await rows(last)).length, 6);
});

test("a filter of no bits, or without a part that is known, denies nothing (SlateDB #1969)", () => {
  const hash = sipHash13(bytes("any"));
  for (const empty of [fromHex("0006"), fromHex("0000")]) assert.equal(readUnsureFilter(empty, "sst")?.mightContain(hash), true);
  // One part, `_bf`, of two bytes: 6 probes in no bits. Then: one part of another name.
  assert.equal(readCompositeFilter(fromHex("0001 0003 5f6266 0000000000000002 0006"), "sst")?.mightContain(hash), true);
  assert.equal(readCompositeFilter(fromHex("0001 0002 7862 0000000000000001 ff"), "sst"), undefined);
  for (const cut of ["00", "0001", "0001 0003 5f62", "0001 0003 5f6266 0000000000000009 00"])
    assert.throws(
      () => readCompositeFilter(fromHex(cut), "sst"),
      (error) => isPumiceError(error, "LSM_CORRUPT"),
    );
});

test("readers that find nothing new put no manifest, and a store at rest asks little (SlateDB #1893)", async () => {
  const { components, store } = memoryWorld();
  let calls = 0;
  const counted = overriding(store, {
    get: async (...args) => (calls++, await store.get(...args)),
    list: (...args) => (calls++, store.list(...args)),
  });
  await using db = await Db.open("db", { ...components, store: counted }, { gc: false, compactor: false, manifestPollMs: 5 });
  await db.put(bytes("k"), bytes("v"));
  const manifests = (await keysOf(store, "db/manifest/")).length;
  calls = 0;
  await new Promise((resolve) => setTimeout(resolve, 300));
  assert.equal((await keysOf(store, "db/manifest/")).length, manifests);
  // At its first interval it would be 60 looks of two calls each; the interval doubles while nothing is written.
  assert.ok(calls < 40, `calls=${calls}`);
});
