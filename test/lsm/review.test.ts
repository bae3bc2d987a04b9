/** Defects that a review found, each by the test that showed it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isPumiceError, PumiceError, type ObjectStore } from "../../src/base/mod.ts";
import { nodeCrc32 } from "../../src/host/mod.ts";
import { Admin, cloneStore, Db, DbReader, VALUE, WriteBatch, type Row } from "../../src/lsm/mod.ts";
import { Memtable } from "../../src/lsm/db/memtable.ts";
import { ALL_KEYS } from "../../src/lsm/format/key-range.ts";
import { Sealer } from "../../src/lsm/format/compression.ts";
import { SstWriter } from "../../src/lsm/format/sst-writer.ts";
import { readFooter } from "../../src/lsm/format/sst-reader.ts";
import { bytes, keysOf, memoryWorld, openQuiet, overriding, text, until } from "./support/world.ts";

const READER = { pollMs: 300_000, checkpointLifetimeMs: 600_000 };

test("a reader whose checkpoint has expired makes another", async () => {
  const { components, clock } = memoryWorld();
  await using db = await openQuiet(components);
  await db.put(bytes("a"), bytes("1"));
  await using reader = await DbReader.open("db", components, READER);
  for (const { id } of await db.listCheckpoints()) await db.deleteCheckpoint(id);
  clock.nowMs += 700_000;
  await reader.refresh();
  assert.equal((await db.listCheckpoints()).length, 1);
  assert.equal(text(await reader.get(bytes("a"))), "1");
});

test("what nobody waits for leaves with the flush interval although a put is under way when it ends", async () => {
  const { components, store } = memoryWorld();
  const gate = Promise.withResolvers<void>();
  let puts = 0;
  const slow = overriding(store, {
    putIf: async (key, body, condition, options) => {
      if (key.includes("/wal/") && ++puts === 2) await gate.promise;
      return await store.putIf(key, body, condition, options);
    },
  });
  await using db = await openQuiet({ ...components, store: slow }, { flushIntervalMs: 5 });
  db.putSync(bytes("a"), bytes("1"));
  await until(() => puts === 2, "the first object is on its way");
  db.putSync(bytes("b"), bytes("2"));
  // The interval of the second write ends while the first object is still on its way.
  await new Promise((resolve) => setTimeout(resolve, 40));
  gate.resolve();
  await until(() => db.status().durableSeq === 2, "the second write is durable");
});

test("a scan of an empty range keeps nothing, nor does one that is taken as an array", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  for (const key of ["a", "b", "c"]) await db.put(bytes(key), bytes("1"));
  assert.deepEqual(await db.scan({ gte: bytes("b"), lt: bytes("a") }).toArray(), []);
  assert.equal(db.status().openReads, 0);
  assert.deepEqual(await db.scan({ gte: bytes("b"), lt: bytes("a") }).nextBatch(1), []);
  assert.equal(db.status().openReads, 0);
  assert.equal((await db.scan().toArray(1)).length, 1);
  assert.equal(db.status().openReads, 0);
});

test("what is no bytes is refused as key or value, and writes nothing", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  const wrong = (what: unknown): Uint8Array => what as Uint8Array;
  for (const bad of ["text", 5, undefined, null, [1, 2], new ArrayBuffer(3)]) {
    const refused = (error: unknown): boolean => isPumiceError(error, "LSM_INVALID");
    const name = JSON.stringify(bad) ?? "undefined";
    await assert.rejects(db.put(wrong(bad), bytes("v")), refused, `put key ${name}`);
    await assert.rejects(db.put(bytes("k"), wrong(bad)), refused, `put value ${name}`);
    await assert.rejects(db.delete(wrong(bad)), refused, `delete ${name}`);
    await assert.rejects(db.get(wrong(bad)), refused, `get ${name}`);
    assert.throws(() => db.getSync(wrong(bad)), refused, `getSync ${name}`);
    assert.throws(() => db.putSync(wrong(bad), bytes("v")), refused, `putSync ${name}`);
    assert.throws(() => new WriteBatch().put(wrong(bad), bytes("v")), refused, `batch ${name}`);
    if (bad !== undefined) assert.throws(() => db.scan({ gte: wrong(bad) }), refused, `scan ${name}`);
    if (bad !== undefined) assert.throws(() => db.scan({ prefix: wrong(bad) }), refused, `prefix ${name}`);
  }
  assert.equal(db.status().lastSeq, 0);
});

test("a time to live that is no time is refused, and writes nothing", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  const refused = (error: unknown): boolean => isPumiceError(error, "LSM_INVALID");
  for (const ttl of [{ afterMs: Number.NaN }, { afterMs: "5" }, { atMs: Number.NaN }, { atMs: undefined }, {}, 5, "never ever", null]) {
    await assert.rejects(db.put(bytes("k"), bytes("v"), { ttl: ttl as "never" }), refused, JSON.stringify(ttl));
  }
  assert.equal(db.status().lastSeq, 0);
  await db.put(bytes("k"), bytes("v"), { ttl: { afterMs: 0.5 } });
  await db.flush("memtable");
});

test("settings that do not exist, or are of another kind, are refused by name", async () => {
  const { components } = memoryWorld();
  const wrong: [string, Record<string, unknown>][] = [
    ["flushIntervalMS", { flushIntervalMS: 5 }],
    ["flushIntervalMs", { flushIntervalMs: Number.NaN }],
    ["flushIntervalMs", { flushIntervalMs: "100" }],
    ["manifestPollMs", { manifestPollMs: Number.NaN }],
    ["walEnabled", { walEnabled: "no" }],
    ["defaultTtlMs", { defaultTtlMs: Number.NaN }],
    ["defaultTtlMs", { defaultTtlMs: -1 }],
    ["filtersExpired", { filtersExpired: 1 }],
    ["compactor.pollMs", { compactor: { pollMs: 5 } }],
    ["compactor.pollIntervalMs", { compactor: { pollIntervalMs: 0 } }],
    ["compactor.includeSizeThreshold", { compactor: { includeSizeThreshold: Number.NaN } }],
    ["compactor.checkpointLifetimeMs", { compactor: { checkpointLifetimeMs: -1 } }],
    ["gc.minAgeMs", { gc: { minAgeMs: -1 } }],
    ["gc.intervalMs", { gc: { intervalMs: Number.NaN } }],
    ["gc.minAge", { gc: { minAge: 1 } }],
  ];
  for (const [setting, options] of wrong) {
    await assert.rejects(
      Db.open("db", components, options),
      (error) => isPumiceError(error, "LSM_INVALID") && error.details["setting"] === setting,
      `${setting} ${JSON.stringify(options)}`,
    );
  }
});

test("a transaction's commit waits for room like any other write", async () => {
  const { components, store } = memoryWorld();
  let isHeld = false;
  const gate = Promise.withResolvers<void>();
  const slow: ObjectStore = overriding(store, {
    putIf: async (...args) => {
      if (isHeld) await gate.promise;
      return await store.putIf(...args);
    },
  });
  await using db = await openQuiet({ ...components, store: slow }, { unflushedBytesMax: 1000 });
  isHeld = true;
  const pending = db.put(bytes("big"), new Uint8Array(2500));
  const transaction = db.begin();
  transaction.put(bytes("a"), bytes("1"));
  const commit = transaction.commit();
  const early = await Promise.race([commit.then(() => "done", String), new Promise((resolve) => setTimeout(resolve, 30, "waits"))]);
  assert.equal(early, "waits");
  isHeld = false;
  gate.resolve();
  await Promise.all([pending, commit]);
  assert.equal(text(await db.get(bytes("a"))), "1");
});

test("a clone of a store whose newest rows are in the WAL alone has them", async () => {
  const { components } = memoryWorld();
  const db = await openQuiet(components);
  await db.put(bytes("a"), bytes("1"));
  await db.flush("memtable");
  await db.put(bytes("a"), bytes("2"));
  await db.close({ flush: "wal" });
  await cloneStore("db", "copy", components);
  await using copy = await Db.open("copy", components, { compactor: false, gc: false });
  assert.equal(text(await copy.get(bytes("a"))), "2");
});

test("opening gives up on a store that does not answer", async () => {
  const { components, store } = memoryWorld();
  const dead = overriding(store, {
    list: () => {
      throw new PumiceError("STORE_UNAVAILABLE", { reason: "ENOTFOUND" });
    },
  });
  await assert.rejects(Db.open("db", { ...components, store: dead }, { readAttemptsMax: 2 }), (error) =>
    isPumiceError(error, "STORE_UNAVAILABLE"),
  );
});

test("a reader's checkpoints that another clock has made to expire do not vanish when the clock here jumps a year ahead", async () => {
  const { components, clock } = memoryWorld();
  await using db = await openQuiet(components);
  await db.put(bytes("a"), bytes("1"));
  await db.createCheckpoint({ lifetimeMs: 3_600_000 });
  const skewed = {
    ...components,
    clock: Object.assign(Object.create(clock) as typeof clock, { now: () => clock.nowMs + 365 * 86_400_000 }),
  };
  await db.close();
  await using other = await Db.open("db", skewed, { compactor: false, gc: false });
  await other.collectGarbage(0);
  assert.equal((await other.listCheckpoints()).length, 1);
});

test("the log of a transaction that nobody ends is bounded, and the transaction then cannot commit", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  const forgotten = db.begin();
  forgotten.put(bytes("mine"), bytes("1"));
  const key = (i: number): Uint8Array => new Uint8Array(60_000).fill(i & 255).fill(i >> 8, 0, 1);
  for (let i = 0; i < 700; i++) await db.put(key(i), bytes("v"), { awaitDurable: false });
  const young = db.begin();
  young.put(bytes("yours"), bytes("1"));
  await db.put(bytes("other"), bytes("v"), { awaitDurable: false });
  await young.commit();
  await assert.rejects(forgotten.commit(), (error) => isPumiceError(error, "LSM_CONFLICT"));
});

test("a signal that outlives its waits keeps none of them", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  const { signal } = new AbortController();
  let listeners = 0;
  const counting = new Proxy(signal, {
    get(target, name) {
      if (name === "addEventListener") return () => listeners++;
      if (name === "removeEventListener") return () => listeners--;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
  for (let i = 0; i < 5; i++) await db.put(bytes("a"), bytes("1"), { signal: counting });
  await db.flush("memtable", { signal: counting });
  assert.equal(listeners, 0);
});

test("closing does not wait for compactions that fail", async () => {
  const { components, store } = memoryWorld();
  const options = { gc: false, l0SstsMax: 2, compactor: { minSources: 2, pollIntervalMs: 5 } } as const;
  const first = await openQuiet(components, { l0SstsMax: 8 });
  for (const value of ["1", "2"]) {
    await first.put(bytes("a"), bytes(value));
    await first.flush("memtable");
  }
  await first.close();
  for await (const { key } of store.list("db/compacted/")) await store.delete(key);
  const db = await Db.open("db", components, options);
  await db.put(bytes("a"), bytes("3"));
  await db.close();
  await using again = await openQuiet(components);
  assert.equal(text(await again.get(bytes("a"))), "3");
});

test("a failure of compaction is told until a compaction succeeds", async () => {
  const { components, store } = memoryWorld();
  const first = await openQuiet(components);
  for (const value of ["1", "2"]) {
    await first.put(bytes("a"), bytes(value));
    await first.flush("memtable");
  }
  await first.close();
  let isAway = true;
  const faulty = overriding(store, {
    getRange: async (...args) => (isAway ? undefined : await store.getRange(...args)),
  });
  await using db = await Db.open("db", { ...components, store: faulty }, { gc: false, compactor: { minSources: 2, pollIntervalMs: 5 } });
  await until(() => isPumiceError(db.status().backgroundError, "LSM_MISSING"), "the failure is told");
  isAway = false;
  await until(() => db.status().backgroundError === undefined, "the success is told");
});

test("a batch that has a key twice, as SlateDB 0.12 writes it when TTLs differ, is replayed as SlateDB does: its last row counts", async () => {
  const row = (key: string, seq: number, value: string): Row => ({
    key: bytes(key),
    kind: VALUE,
    value: bytes(value),
    seq,
    createTs: 1,
    expireTs: undefined,
  });
  const shown = (rows: readonly Row[]): string => {
    const memtable = new Memtable();
    for (const each of rows) memtable.insert(each);
    const cursor = memtable.cursor(ALL_KEYS, "ascending");
    const seen: string[] = [];
    for (cursor.next(); cursor.row !== undefined; cursor.next())
      seen.push(`${text(cursor.row.key)}${cursor.row.seq}${text(cursor.row.value)}`);
    return seen.join(" ");
  };
  assert.equal(shown([row("a", 1, "x"), row("b", 1, "y"), row("a", 2, "z")]), "a2z a1x b1y");
  assert.equal(shown([row("b", 1, "x"), row("a", 1, "y"), row("c", 1, "z")]), "a1y b1x c1z");
  assert.equal(shown([row("a", 1, "x"), row("a", 1, "y"), row("b", 1, "z"), row("a", 2, "w")]), "a2w a1y b1z");
  assert.equal(shown([row("a", 1, "x"), row("b", 1, "z"), row("a", 1, "y")]), "a1y b1z");
  const { components, store } = memoryWorld();
  await (await openQuiet(components)).close();
  const writer = new SstWriter(
    "wal",
    { blockSizeBytes: 4096, compression: "none", minFilterKeys: 1, filterBitsPerKey: 10, filterFormat: "legacy" },
    new Sealer({ crc32: nodeCrc32 }),
  );
  for (const each of [row("a", 1, "first"), row("a", 1, "last"), row("b", 1, "z")]) writer.add(each);
  await store.put("db/wal/00000000000000000002.sst", writer.finish().bytes);
  await using reader = await DbReader.open("db", components, READER);
  assert.equal(text(await reader.get(bytes("a"))), "last");
  await using db = await openQuiet(components);
  assert.equal(text(await db.get(bytes("a"))), "last");
  assert.equal(db.status().lastSeq, 1);
});

test("a word that is none of the known ones is refused, and never means another", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  await db.put(bytes("a"), bytes("1"));
  const refused = (error: unknown): boolean => isPumiceError(error, "LSM_INVALID");
  const word = (text: string): never => text as never;
  assert.throws(() => db.scan({ order: word("desc") }), refused);
  assert.throws(() => db.scan({ durability: word("durable") }), refused);
  await assert.rejects(db.get(bytes("a"), { durability: word("durable") }), refused);
  assert.throws(() => db.begin(word("serialisable")), refused);
  await assert.rejects(db.flush(word("all")), refused);
  await assert.rejects(DbReader.open("db", components, { mode: word("follow") }), refused);
  await assert.rejects(Db.open(word(5 as never), components), refused);
  await assert.rejects(db.write([] as never), refused);
  assert.equal(db.status().openReads, 0);
});

test("a number that is none is refused as count, age or lifetime", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  await db.put(bytes("a"), bytes("1"));
  const refused = (error: unknown): boolean => isPumiceError(error, "LSM_INVALID");
  const { id } = await db.createCheckpoint();
  for (const bad of [Number.NaN, -1, "5" as never]) {
    using scan = db.scan();
    await assert.rejects(scan.nextBatch(bad), refused);
    assert.throws(() => scan.nextBatchSync(bad), refused);
    await assert.rejects(db.createCheckpoint({ lifetimeMs: bad }), refused);
    await assert.rejects(db.refreshCheckpoint(id, bad), refused);
    if (bad !== ("5" as never)) await assert.rejects(db.collectGarbage(bad), refused);
  }
  await assert.rejects(db.createCheckpoint({ lifetimeMs: Infinity }), refused);
  await assert.rejects(db.createCheckpoint({ id: "x" }), refused);
  assert.equal((await db.listCheckpoints())[0]?.expireTimeS, 0);
});

for (const [what, isSteady] of [
  ["stands still", true],
  ["sleeps with its machine, whose steady clock sleeps too,", false],
] as const) {
  test(`a writer that ${what} between its look at the manifest and its put, until that manifest's id is free again, is fenced`, async () => {
    const { components, store, clock } = memoryWorld();
    const steady = { offsetMs: 0 };
    const sleepersClock = Object.assign(Object.create(clock) as typeof clock, { monotonic: () => performance.now() + steady.offsetMs });
    const asleep = Promise.withResolvers<void>();
    const awake = Promise.withResolvers<void>();
    let isArmed = false;
    const slow = overriding(store, {
      putIf: async (key, body, condition, options) => {
        if (isArmed && key.includes("/manifest/")) {
          isArmed = false;
          asleep.resolve();
          await awake.promise;
        }
        return await store.putIf(key, body, condition, options);
      },
    });
    const settings = { walEnabled: false, manifestPollMs: 3_600_000 };
    const sleeper = await openQuiet({ ...components, store: slow, clock: sleepersClock }, settings);
    await sleeper.put(bytes("a"), bytes("1"));
    isArmed = true;
    const late = sleeper.put(bytes("z"), bytes("lost?"));
    late.catch(() => undefined);
    await asleep.promise;
    const successor = await openQuiet(components, settings);
    await successor.put(bytes("b"), bytes("2"));
    clock.nowMs += 86_400_000;
    if (isSteady) steady.offsetMs += 86_400_000;
    await successor.put(bytes("c"), bytes("3"));
    clock.nowMs += 10_000;
    await successor.collectGarbage(1000);
    awake.resolve();
    await assert.rejects(late, (error) => isPumiceError(error, "LSM_FENCED"));
    await successor.put(bytes("d"), bytes("4"));
    await successor.close();
    await sleeper.close();
    await using last = await openQuiet(components, settings);
    assert.deepEqual(
      (await last.scan().toArray()).map((row) => text(row.key)),
      ["a", "b", "c", "d"],
    );
  });
}

test("a manifest that is put slowly, and on which another process builds at once, is no overrun one", async () => {
  const { components, store, clock } = memoryWorld();
  let isSlow = false;
  const slow = overriding(store, {
    putIf: async (key, body, condition, options) => {
      const result = await store.putIf(key, body, condition, options);
      if (isSlow && key.includes("/manifest/")) {
        isSlow = false;
        clock.nowMs += 60_000;
        await (await DbReader.open("db", components, READER)).close();
      }
      return result;
    },
  });
  await using db = await openQuiet({ ...components, store: slow });
  await db.put(bytes("a"), bytes("1"));
  isSlow = true;
  await db.flush("memtable");
  assert.equal(db.status().l0Ssts, 1);
  assert.equal(text(await db.get(bytes("a"))), "1");
});

test("bytes that were damaged on their way are read once more, past any cache", async () => {
  const { components, store } = memoryWorld();
  const first = await openQuiet(components, { minFilterKeys: 1 });
  for (let i = 0; i < 100; i++) await first.put(bytes(`k${i}`), bytes("v"), { awaitDurable: false });
  await first.close();
  let damaged = 0;
  const poisoned = overriding(store, {
    getRange: async (key, range, options) => {
      const found = await store.getRange(key, range, options);
      if (options?.isFresh === true || found === undefined || found.length === 0) return found;
      damaged++;
      return found.with(found.length >> 1, (found[found.length >> 1] as number) ^ 1);
    },
  });
  await using db = await openQuiet({ ...components, store: poisoned });
  assert.equal(text(await db.get(bytes("k7"))), "v");
  assert.equal((await db.scan().toArray()).length, 100);
  assert.ok(damaged > 1);
});

test("a row that is given out is a plain object, wherever it came from, and can be spread and cloned", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  for (const isFlushed of [false, true]) {
    await db.put(bytes("a"), bytes("1"), { ttl: { atMs: 2_000_000_000_000 } });
    if (isFlushed) await db.flush("memtable");
    const [scanned] = await db.scan().toArray();
    const synchronous = db.scan().nextBatchSync(1).rows[0];
    for (const row of [scanned, await db.getRow(bytes("a")), await db.snapshot().getRow(bytes("a")), synchronous]) {
      if (row === undefined) continue;
      const cloned = structuredClone({ ...row });
      assert.deepEqual([text(cloned.key), text(cloned.value), cloned.expireTs], ["a", "1", 2_000_000_000_000]);
      assert.deepEqual(Object.keys(row).sort(), ["createTs", "expireTs", "key", "kind", "seq", "value"]);
    }
  }
});

test("a source whose rows are out of order, although its checksums fit, is damage, and is not merged", async () => {
  const { components, store } = memoryWorld();
  const first = await openQuiet(components);
  for (let round = 0; round < 2; round++) {
    await first.write(new WriteBatch().put(bytes("b"), bytes("1")).put(bytes("~"), bytes("2")).put(bytes("\x7f"), bytes("3")));
    await first.flush("memtable");
  }
  await first.close();
  const victim = (await keysOf(store, "db/compacted/"))[0] as string;
  const body = (await store.get(victim)) as Uint8Array;
  // The one block is the object's beginning: its second key becomes one that lies before the first.
  body[body.indexOf(0x7e)] = 0x61;
  const { info } = readFooter(body, victim, new Sealer({ crc32: nodeCrc32 }));
  const end = info.filterOffset - 4;
  new DataView(body.buffer, body.byteOffset).setUint32(end, nodeCrc32(body.subarray(0, end), 0));
  await store.put(victim, body);
  await using db = await openQuiet(components);
  const compactions = await keysOf(store, "db/compacted/");
  await assert.rejects(db.compact(), (error) => isPumiceError(error, "LSM_CORRUPT") && error.message.includes("out of order"));
  assert.deepEqual(await keysOf(store, "db/compacted/"), compactions);
});

test("a merge operator that throws in a compaction is told, whatever it throws", async () => {
  const { components } = memoryWorld();
  let isBroken = false;
  const mergeOperator = {
    merge: (_key: Uint8Array, _existing: Uint8Array | undefined, operand: Uint8Array) => {
      if (isBroken) throw new TypeError("the user's");
      return operand;
    },
  };
  await using db = await Db.open("db", { ...components, mergeOperator }, { gc: false, compactor: { minSources: 2, pollIntervalMs: 5 } });
  await db.merge(bytes("a"), bytes("1"));
  await db.flush("memtable");
  isBroken = true;
  await db.merge(bytes("a"), bytes("2"));
  await db.flush("memtable");
  await until(() => isPumiceError(db.status().backgroundError, "WORKER_FAILED"), "the failure is told");
  isBroken = false;
  await until(() => db.status().backgroundError === undefined, "and so is its end");
});

for (const lost of ["checkpoint", "WAL object"] as const) {
  test(`a clone that stopped on the way, and whose ${lost} is gone when it is made again, begins with the latest state`, async () => {
    const { components, store, clock } = memoryWorld();
    await using db = await openQuiet(components);
    await db.put(bytes("a"), bytes("1"));
    await db.flush("memtable");
    await db.put(bytes("b"), bytes("1"));
    let isStopped = true;
    const stopping = overriding(store, {
      putIf: async (key, body, condition, options) => {
        // After the child's first manifest, or after the parents are held.
        const isHere = lost === "checkpoint" ? key === "db/manifest/00000000000000000005.manifest" : key.startsWith("copy/wal/");
        if (isStopped && isHere) throw new PumiceError("STORE_REFUSED", { key });
        return await store.putIf(key, body, condition, options);
      },
    });
    await assert.rejects(cloneStore("db", "copy", { ...components, store: stopping }), (error) => isPumiceError(error, "STORE_REFUSED"));
    isStopped = false;
    for (let i = 0; i < 2; i++) {
      clock.nowMs += 86_400_000;
      await db.put(bytes("b"), bytes(`after ${i}`));
      await db.flush("memtable");
      await db.collectGarbage(1000);
    }
    await cloneStore("db", "copy", components);
    await cloneStore("db", "copy", components);
    await using copy = await Db.open("copy", components, { compactor: false, gc: false });
    assert.deepEqual([text(await copy.get(bytes("a"))), text(await copy.get(bytes("b")))], ["1", "after 1"]);
    assert.equal((await db.listCheckpoints()).filter((checkpoint) => checkpoint.expireTimeS === 0).length, 1, "one hold, not two");
  });
}

test("what a write waits for is told while it waits", async () => {
  const { components, store } = memoryWorld();
  let isFull = false;
  const full = overriding(store, {
    putIf: async (key, ...rest) => {
      if (isFull) throw new PumiceError("STORE_UNAVAILABLE", { key, reason: "no space left on the disk (ENOSPC)" });
      return await store.putIf(key, ...rest);
    },
  });
  await using db = await openQuiet({ ...components, store: full });
  assert.equal(db.status().storeError, undefined);
  isFull = true;
  const put = db.put(bytes("a"), bytes("1"));
  await until(() => db.status().storeError?.message.includes("no space left") === true, "the reason is told");
  isFull = false;
  await put;
  assert.equal(db.status().storeError, undefined);
});

test("a compactor that takes over while another begins neither fails the opening nor leaves the store without one", async () => {
  const { components, store } = memoryWorld();
  const first = await openQuiet(components);
  for (const key of ["a", "b"]) {
    await first.put(bytes(key), bytes("1"));
    await first.flush("memtable");
  }
  await first.close();
  let takeOvers = 1;
  const crowded = overriding(store, {
    putIf: async (key, ...rest) => {
      if (key.startsWith("db/compactions/") && takeOvers-- > 0) await new Admin("db", components).compact("everything");
      return await store.putIf(key, ...rest);
    },
  });
  await using db = await Db.open("db", { ...components, store: crowded }, { gc: false, compactor: { minSources: 2, pollIntervalMs: 5 } });
  for (const key of ["c", "d"]) {
    await db.put(bytes(key), bytes("1"));
    await db.flush("memtable");
  }
  await until(() => db.status().l0Ssts === 0, "L0 is compacted");
  assert.equal((await db.scan().toArray()).length, 4);
});
