/** The engine's laws, one by one, over a store in memory. Names of SlateDB's own tests and issues stand where a law is theirs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isPumiceError, MemoryObjectStore, PumiceError } from "../../src/base/mod.ts";
import { NOT_CACHED, WriteBatch, type Db, type MergeOperator } from "../../src/lsm/mod.ts";
import { bytes, fails, keysOf, memoryWorld, openQuiet, overriding, text } from "./support/world.ts";

const concatOperator: MergeOperator = { merge: (_key, existing, operand) => bytes((text(existing) ?? "") + (text(operand) ?? "")) };

async function pairs(db: Db, options: Parameters<Db["scan"]>[0] = {}): Promise<string[]> {
  return (await db.scan(options).toArray()).map((row) => `${text(row.key)}=${text(row.value)}`);
}

test("what was put is got, what was deleted is not, and an empty value is a value", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  await db.put(bytes("a"), bytes("1"));
  await db.put(bytes("empty"), bytes(""));
  assert.equal(text(await db.get(bytes("a"))), "1");
  assert.equal(text(await db.get(bytes("empty"))), "");
  assert.equal(await db.get(bytes("none")), undefined);
  await db.delete(bytes("a"));
  assert.equal(await db.get(bytes("a")), undefined);
});

test("keys and values are copied: the caller may reuse its buffers", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  const key = bytes("k");
  const value = bytes("v");
  await db.put(key, value, { awaitDurable: false });
  key[0] = 0;
  value[0] = 0;
  const got = await db.get(bytes("k"));
  assert.equal(text(got), "v");
  got?.fill(0);
  assert.equal(text(await db.get(bytes("k"))), "v");
});

test("a durable put needs no tick of the flush interval", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components, { flushIntervalMs: undefined });
  await db.put(bytes("a"), bytes("1"));
  assert.equal(db.status().durableSeq, 1);
});

test("rows survive the loss of the process as soon as a put resolved", async () => {
  const { components } = memoryWorld();
  const first = await openQuiet(components);
  await first.put(bytes("a"), bytes("1"));
  await first.put(bytes("b"), bytes("2"));
  // No close: the process is gone.
  await using second = await openQuiet(components);
  assert.deepEqual(await pairs(second), ["a=1", "b=2"]);
  assert.equal(second.status().replayedRows, 2);
  await first.close({ flush: "none" });
});

test("close flushes the memtable, so that the next opening replays nothing", async () => {
  const { components } = memoryWorld();
  const first = await openQuiet(components);
  for (let i = 0; i < 100; i++) first.putSync(bytes(`k${i}`), bytes(`v${i}`));
  await first.close();
  await using second = await openQuiet(components);
  assert.equal(second.status().replayedRows, 0);
  assert.equal(text(await second.get(bytes("k42"))), "v42");
  assert.equal(second.putSync(bytes("x"), bytes("y")).seq, 101);
});

test("closing twice is closing once, and then every call says LSM_CLOSED", async () => {
  const { components } = memoryWorld();
  const db = await openQuiet(components);
  await Promise.all([db.close(), db.close()]);
  await db.close();
  await assert.rejects(db.put(bytes("a"), bytes("1")), fails("LSM_CLOSED"));
  await assert.rejects(db.get(bytes("a")), fails("LSM_CLOSED"));
  assert.throws(() => db.getSync(bytes("a")), fails("LSM_CLOSED"));
  assert.throws(() => db.scan(), fails("LSM_CLOSED"));
  await assert.rejects(db.flush(), fails("LSM_CLOSED"));
  assert.equal(db.status().closed, "closed");
});

test("a newer writer fences the older one: its next put fails, and then its reads", async () => {
  const { components } = memoryWorld();
  const older = await openQuiet(components);
  await older.put(bytes("a"), bytes("1"));
  await using newer = await openQuiet(components);
  await assert.rejects(older.put(bytes("b"), bytes("2")), fails("LSM_FENCED"));
  await assert.rejects(older.get(bytes("a")), fails("LSM_FENCED"));
  assert.equal(older.status().closed, "fenced");
  assert.deepEqual(await pairs(newer), ["a=1"]);
  await older.close();
});

test("a store that the object store refuses to serve ends as failed, and says why from then on", async () => {
  const { components, store } = memoryWorld();
  let isRefused = false;
  const refusing = overriding(store, {
    putIf: async (key, ...rest) => {
      if (isRefused) throw new PumiceError("STORE_REFUSED", { key });
      return await store.putIf(key, ...rest);
    },
  });
  const db = await openQuiet({ ...components, store: refusing });
  isRefused = true;
  const isSaid = (error: unknown): boolean => isPumiceError(error, "LSM_CLOSED") && isPumiceError(error.cause, "STORE_REFUSED");
  await assert.rejects(db.put(bytes("a"), bytes("1")), isSaid);
  await assert.rejects(db.get(bytes("a")), isSaid);
  assert.equal(db.status().closed, "failed");
  await db.close();
  assert.equal(db.status().closed, "failed");
});

test("an older writer notices a newer one by the manifest, without writing", async () => {
  const { components } = memoryWorld();
  const older = await openQuiet(components, { manifestPollMs: 5 });
  await using newer = await openQuiet(components);
  const deadline = performance.now() + 5000;
  while (older.status().closed === undefined && performance.now() < deadline) await components.clock.sleep(2);
  assert.equal(older.status().closed, "fenced");
  assert.equal(newer.status().closed, undefined);
  await older.close();
});

test("a batch has one sequence number, and its last write to a key counts", async () => {
  const { components } = memoryWorld({ mergeOperator: concatOperator });
  await using db = await openQuiet(components);
  const batch = new WriteBatch().put(bytes("a"), bytes("1")).put(bytes("b"), bytes("1")).put(bytes("a"), bytes("2")).delete(bytes("b"));
  const handle = await db.write(
    batch.merge(bytes("c"), bytes("x")).merge(bytes("c"), bytes("y")).delete(bytes("d")).merge(bytes("d"), bytes("z")),
  );
  assert.equal(handle.seq, 1);
  assert.deepEqual(await pairs(db), ["a=2", "c=xy", "d=z"]);
  await assert.rejects(db.write(new WriteBatch()), fails("LSM_INVALID"));
});

test("a key is 1 to 65535 bytes", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  await assert.rejects(db.put(bytes(""), bytes("1")), fails("LSM_INVALID"));
  await assert.rejects(db.put(new Uint8Array(65_536), bytes("1")), fails("LSM_INVALID"));
  await db.put(new Uint8Array(65_535), bytes("1"));
  await db.flush("memtable");
  assert.equal(text(await db.get(new Uint8Array(65_535))), "1");
});

test("a scan gives ranges and prefixes forwards and backwards, over memtable, L0 and runs", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  const model = new Map<string, string>();
  for (let round = 0; round < 6; round++) {
    for (let i = 0; i < 400; i++) {
      const key = `k${String((i * 37 + round * 11) % 500).padStart(4, "0")}`;
      if ((i + round) % 5 === 0) {
        model.delete(key);
        db.deleteSync(bytes(key));
      } else {
        model.set(key, `${round}-${i}`);
        db.putSync(bytes(key), bytes(`${round}-${i}`));
      }
    }
    if (round === 2) await db.compact();
    else if (round < 5) await db.flush("memtable");
  }
  assert.ok(db.status().l0Ssts > 0 && db.status().sortedRuns > 0 && db.status().memtableBytes > 0);
  const expected = (from: string, to: string): string[] =>
    [...model]
      .filter(([key]) => key >= from && key < to)
      .map(([key, value]) => `${key}=${value}`)
      .toSorted();
  assert.deepEqual(await pairs(db), expected("", "z"));
  assert.deepEqual(await pairs(db, { order: "descending" }), expected("", "z").reverse());
  const bounds = { gte: bytes("k0123"), lt: bytes("k0300") };
  assert.deepEqual(await pairs(db, bounds), expected("k0123", "k0300"));
  assert.deepEqual(await pairs(db, { ...bounds, order: "descending" }), expected("k0123", "k0300").reverse());
  assert.deepEqual(await pairs(db, { prefix: bytes("k02") }), expected("k02", "k03"));
  assert.deepEqual(await pairs(db, { prefix: bytes("k02"), order: "descending" }), expected("k02", "k03").reverse());
  for (const [key, value] of model) assert.equal(text(await db.get(bytes(key))), value);
  assert.deepEqual(await pairs(db, { gte: bytes("b"), lt: bytes("a") }), []);
});

test("seek goes forward inside the range only", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  for (const key of ["a", "b", "c", "d"]) db.putSync(bytes(key), bytes(key));
  const scan = db.scan({ gte: bytes("a"), lt: bytes("d") });
  assert.equal(text((await scan.next())?.key), "a");
  scan.seek(bytes("c"));
  assert.equal(text((await scan.next())?.key), "c");
  assert.throws(() => scan.seek(bytes("b")), fails("LSM_INVALID"));
  assert.throws(() => scan.seek(bytes("d")), fails("LSM_INVALID"));
  assert.equal(await scan.next(), undefined);
});

test("a scan sees the state of its beginning, whatever is written, flushed and compacted meanwhile", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  for (let i = 0; i < 1000; i++) db.putSync(bytes(`k${String(i).padStart(4, "0")}`), bytes("old"));
  const scan = db.scan();
  const seen = await scan.nextBatch(10);
  for (let i = 0; i < 1000; i++) db.putSync(bytes(`k${String(i).padStart(4, "0")}`), bytes("new"));
  db.deleteSync(bytes("k0500"));
  await db.flush("memtable");
  await db.compact();
  seen.push(...(await scan.toArray()));
  assert.equal(seen.length, 1000);
  assert.ok(seen.every((row) => text(row.value) === "old"));
});

test("merge operands add up across memtable, L0, runs and reopening, and need an operator", async () => {
  const { components } = memoryWorld({ mergeOperator: concatOperator });
  const first = await openQuiet(components);
  for (const part of ["a", "b", "c"]) {
    await first.merge(bytes("k"), bytes(part));
    await first.flush("memtable");
  }
  await first.compact();
  await first.merge(bytes("k"), bytes("d"));
  await first.close();
  await using second = await openQuiet(components);
  await second.merge(bytes("k"), bytes("e"));
  assert.equal(text(await second.get(bytes("k"))), "abcde");
  await second.put(bytes("k"), bytes("X"));
  await second.merge(bytes("k"), bytes("y"));
  assert.equal(text(await second.get(bytes("k"))), "Xy");
  await second.delete(bytes("k"));
  await second.merge(bytes("k"), bytes("z"));
  assert.equal(text(await second.get(bytes("k"))), "z");
  const { components: without } = memoryWorld();
  await using bare = await openQuiet(without);
  await assert.rejects(bare.merge(bytes("k"), bytes("a")), fails("LSM_MERGE_OPERATOR"));
});

test("a snapshot stays as it is through flush and compaction, merges included", async () => {
  const { components } = memoryWorld({ mergeOperator: concatOperator });
  await using db = await openQuiet(components);
  await db.put(bytes("k"), bytes("1"));
  await db.merge(bytes("m"), bytes("a"));
  const snapshot = db.snapshot();
  await db.put(bytes("k"), bytes("2"));
  await db.merge(bytes("m"), bytes("b"));
  await db.flush("memtable");
  await db.delete(bytes("k"));
  await db.merge(bytes("m"), bytes("c"));
  await db.compact();
  assert.equal(text(await snapshot.get(bytes("k"))), "1");
  assert.equal(text(await snapshot.get(bytes("m"))), "a");
  assert.equal(await db.get(bytes("k")), undefined);
  assert.equal(text(await db.get(bytes("m"))), "abc");
  snapshot.close();
  await assert.rejects(snapshot.get(bytes("k")), fails("LSM_CLOSED"));
  await db.put(bytes("other"), bytes("x"));
  await db.compact();
  assert.deepEqual(await pairs(db), ["m=abc", "other=x"]);
});

test("an expired row is seen until compaction, or until its time if the store filters", async () => {
  for (const filtersExpired of [false, true]) {
    const { components, clock } = memoryWorld();
    await using db = await openQuiet(components, { filtersExpired });
    await db.put(bytes("short"), bytes("1"), { ttl: { afterMs: 1000 } });
    await db.put(bytes("long"), bytes("2"), { ttl: "never" });
    clock.nowMs += 2000;
    assert.equal(text(await db.get(bytes("short"))), filtersExpired ? undefined : "1");
    await db.put(bytes("later"), bytes("3"));
    await db.compact();
    assert.deepEqual(await pairs(db), ["later=3", "long=2"]);
  }
});

test("reads at durability remote see only what is durable", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components, { flushIntervalMs: undefined });
  await db.put(bytes("a"), bytes("1"));
  db.putSync(bytes("a"), bytes("2"));
  assert.equal(text(await db.get(bytes("a"))), "2");
  assert.equal(text(await db.get(bytes("a"), { durability: "remote" })), "1");
  await db.flush();
  assert.equal(text(await db.get(bytes("a"), { durability: "remote" })), "2");
});

test("without a WAL, awaiting durability flushes the memtable by itself (SlateDB #928)", async () => {
  const { components } = memoryWorld();
  const first = await openQuiet(components, { walEnabled: false });
  await first.put(bytes("a"), bytes("1"));
  first.putSync(bytes("b"), bytes("2"));
  await using second = await openQuiet(components);
  assert.deepEqual(await pairs(second), ["a=1"]);
  await first.close({ flush: "none" });
});

test("getSync answers from memtable and cache, and says when it would have to fetch", async () => {
  const { components } = memoryWorld();
  const first = await openQuiet(components);
  first.putSync(bytes("a"), bytes("1"));
  assert.equal(text(first.getSync(bytes("a")) as Uint8Array), "1");
  await first.close();
  await using second = await openQuiet(components);
  assert.equal(second.getSync(bytes("a")), NOT_CACHED);
  assert.equal(text(await second.get(bytes("a"))), "1");
  assert.equal(text(second.getSync(bytes("a")) as Uint8Array), "1");
});

test("a cache of no bytes at all still answers", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components, { cacheBytes: 0, minFilterKeys: 10, blockSizeBytes: 1024 });
  for (let i = 0; i < 500; i++) db.putSync(bytes(`k${i}`), bytes(`v${i}`));
  await db.flush("memtable");
  for (let i = 0; i < 500; i += 7) assert.equal(text(await db.get(bytes(`k${i}`))), `v${i}`);
  assert.deepEqual((await db.multiGet([bytes("k1"), bytes("nope"), bytes("k499")])).map(text), ["v1", undefined, "v499"]);
});

test("deleteRange deletes every key of the range and no other", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  for (let i = 0; i < 2500; i++) db.putSync(bytes(`k${String(i).padStart(5, "0")}`), bytes("v"));
  assert.equal(await db.deleteRange({ gte: bytes("k00100"), lt: bytes("k02400") }), 2300);
  assert.equal((await db.scan().toArray()).length, 200);
});

test("writes wait when too much is unflushed, and none is lost", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components, { l0SstBytes: 4096, unflushedBytesMax: 16_384, l0SstsMax: 1000 });
  const value = new Uint8Array(512).fill(1);
  await Promise.all(Array.from({ length: 200 }, async (_, i) => await db.put(bytes(`k${i}`), value, { awaitDurable: false })));
  assert.equal((await db.scan().toArray()).length, 200);
  assert.ok(db.status().backpressure > 0);
});

test("an aborted wait rejects with the signal's reason, and the write still happens", async () => {
  const { components, clock, store } = memoryWorld();
  let release: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => (release = resolve));
  const slow = overriding(store, {
    putIf: async (key, ...rest) => {
      if (key.includes("/wal/") && key.endsWith("2.sst")) await gate;
      return await store.putIf(key, ...rest);
    },
  });
  await using db = await openQuiet({ ...components, store: slow, clock });
  const controller = new AbortController();
  const put = db.put(bytes("a"), bytes("1"), { signal: controller.signal });
  controller.abort(new Error("enough"));
  await assert.rejects(put, /enough/);
  release();
  await db.flush();
  assert.equal(text(await db.get(bytes("a"), { durability: "remote" })), "1");
});

test("all codecs and block sizes give the same answers", async () => {
  for (const compression of ["none", "snappy", "zlib", "lz4", "zstd"] as const) {
    for (const blockSizeBytes of [1024, 65_536]) {
      const { components } = memoryWorld();
      const first = await openQuiet(components, { compression, blockSizeBytes, minFilterKeys: 100 });
      for (let i = 0; i < 300; i++) await first.put(bytes(`key-${i}`), bytes(`value-${i}`.repeat(i % 50)), { awaitDurable: false });
      await first.put(
        bytes("big"),
        new Uint8Array(100_000).map((_, i) => i * i),
      );
      await first.flush("memtable");
      await first.put(bytes("walled"), bytes("w"));
      await using second = await openQuiet(components, { compression: "none" });
      assert.equal(text(await second.get(bytes("key-123"))), "value-123".repeat(23));
      assert.equal(text(await second.get(bytes("walled"))), "w");
      assert.deepEqual(
        await second.get(bytes("big")),
        new Uint8Array(100_000).map((_, i) => i * i),
      );
      assert.equal((await second.scan().toArray()).length, 302);
      await first.close({ flush: "none" });
    }
  }
});

test("a WAL store of its own is remembered, and opening without it is refused", async () => {
  const { components, clock } = memoryWorld();
  const walStore = new MemoryObjectStore({ clock });
  const first = await openQuiet({ ...components, walStore });
  await first.put(bytes("a"), bytes("1"));
  await first.close({ flush: "wal" });
  assert.ok((await keysOf(walStore, "db/wal/")).length >= 2);
  await assert.rejects(openQuiet(components), fails("LSM_INVALID"));
  await using second = await openQuiet({ ...components, walStore });
  assert.equal(text(await second.get(bytes("a"))), "1");
});

test("the 0.14 profile is detected, and an implicit downgrade is refused", async () => {
  const { components } = memoryWorld();
  const first = await openQuiet(components, { compat: "0.14", minFilterKeys: 1 });
  await first.put(bytes("a"), bytes("1"));
  await first.close();
  await assert.rejects(openQuiet(components, { compat: "0.12" }), fails("LSM_DOWNGRADE"));
  await using second = await openQuiet(components);
  assert.equal(second.profile, "0.14");
  assert.equal(text(await second.get(bytes("a"))), "1");
});

test("what is open is counted, and a scan that is left, read to its end or disposed keeps nothing", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  for (const key of ["a", "b", "c"]) db.putSync(bytes(key), bytes("1"));
  for await (const row of db.scan()) if (text(row.key) === "a") break;
  await db.scan().toArray();
  {
    using scan = db.scan();
    await scan.next();
    assert.equal(db.status().openReads, 1);
  }
  const snapshot = db.snapshot();
  const transaction = db.begin();
  assert.equal(db.status().openReads, 2);
  snapshot.close();
  transaction.rollback();
  assert.equal(db.status().openReads, 0);
});
