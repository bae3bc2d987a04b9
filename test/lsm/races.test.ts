/** Two at once: each race that a simulation meets rarely is made to happen here, at the worst moment. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isPumiceError, PumiceError, type ObjectStore } from "../../src/base/mod.ts";
import { StoreContext } from "../../src/lsm/engine/context.ts";
import { Memtable } from "../../src/lsm/db/memtable.ts";
import { lookupNow, openCursor, type View } from "../../src/lsm/db/view.ts";
import { ALL_KEYS } from "../../src/lsm/format/key-range.ts";
import { nothingLoaded } from "../../src/lsm/store/tables.ts";
import { decodeCompactions } from "../../src/lsm/format/compactions.ts";
import { Admin, Db, DbReader, decodeManifest, LSM_DEFAULTS, MERGE, type GcReport, type MergeOperator } from "../../src/lsm/mod.ts";
import { bytes, keysOf, memoryWorld, openQuiet, overriding, text } from "./support/world.ts";

const DAY_MS = 86_400_000;

/** `store`, on which `at` runs once, after (or instead of) the first put of a key that `matches`. */
function interrupted(
  store: ObjectStore,
  matches: (key: string, body: Uint8Array) => boolean,
  at: { instead?: boolean; run(): Promise<void> },
): ObjectStore {
  let isArmed = true;
  return overriding(store, {
    putIf: async (key, body, ...rest) => {
      const isHere = isArmed && matches(key, body);
      if (isHere) isArmed = false;
      if (isHere && at.instead === true) {
        await at.run();
        throw new PumiceError("STORE_UNAVAILABLE", { planted: "the put never arrived" });
      }
      const result = await store.putIf(key, body, ...rest);
      if (isHere) await at.run();
      return result;
    },
  });
}

test("a claim whose answer was lost is not taken for won because another's claim has the same bytes", async () => {
  const { components, store } = memoryWorld();
  await (await openQuiet(components)).close();
  const claim = (await keysOf(store, "db/manifest/")).length + 1;
  let rival: Db | undefined;
  const lossy = interrupted(store, (key) => key.endsWith(`${claim}.manifest`), {
    instead: true,
    run: async () => {
      rival = await openQuiet(components);
    },
  });
  await using db = await openQuiet({ ...components, store: lossy });
  assert.ok(rival !== undefined);
  assert.equal(db.status().writerEpoch, rival.status().writerEpoch + 1);
  await db.put(bytes("a"), bytes("1"));
  await assert.rejects(rival.put(bytes("b"), bytes("2")), (error) => isPumiceError(error, "LSM_FENCED"));
  await rival.close();
});

test("an output of a compaction under way is not collected, however old it is (SlateDB #604)", async () => {
  const { components, clock, store } = memoryWorld();
  let report: GcReport | undefined;
  let db: Db | undefined;
  const isOutput = (key: string, body: Uint8Array): boolean =>
    key.startsWith("db/compactions/") &&
    decodeCompactions(body, key).compactions.some((each) => each.status === "running" && each.outputs.length > 1);
  const watched = interrupted(store, isOutput, {
    run: async () => {
      clock.nowMs += DAY_MS;
      await db?.put(bytes("later"), bytes("x"));
      await db?.flush("memtable");
      report = await db?.collectGarbage(0);
    },
  });
  db = await openQuiet(
    { ...components, store: watched },
    { blockSizeBytes: 1024, compactor: { maxSstBytes: 1000, pollIntervalMs: 3_600_000, minSources: 100, maxSources: 100 } },
  );
  for (let part = 0; part < 2; part++) {
    for (let i = 0; i < 200; i++) db.putSync(bytes(`k${String(i).padStart(4, "0")}`), bytes(`${part}-${i}`));
    await db.flush("memtable");
  }
  await db.compact();
  assert.ok(report !== undefined, "it collected in the middle");
  assert.equal((await db.scan().toArray()).length, 201);
  await db.close();
  assert.deepEqual((await new Admin("db", components).verify()).findings, []);
});

test("an L0 that is put and not yet in the manifest is not collected, however old it is", async () => {
  const { components, clock, store } = memoryWorld();
  let l0s = 0;
  let db: Db | undefined;
  const watched = interrupted(store, (key) => key.startsWith("db/compacted/") && ++l0s === 2, {
    run: async () => {
      clock.nowMs += DAY_MS;
      const admin = new Admin("db", components);
      await admin.createCheckpoint({ name: "moves the store's time" });
      assert.equal((await admin.collectGarbage(0)).ssts, 0);
    },
  });
  db = await openQuiet({ ...components, store: watched });
  await db.put(bytes("a"), bytes("1"));
  await db.flush("memtable");
  await db.put(bytes("b"), bytes("2"));
  await db.flush("memtable");
  assert.equal(l0s, 2);
  assert.equal(text(await db.get(bytes("b"))), "2");
  await db.close();
});

test("a flush of an older writer that comes between a newer one's claim and its fence changes nothing", async () => {
  const { components, store } = memoryWorld();
  const older = await openQuiet(components);
  await older.put(bytes("a"), bytes("1"));
  let fate: unknown;
  const watched = interrupted(store, (key) => key.endsWith(".manifest"), {
    run: async () => {
      fate = await older.flush("memtable").then(
        () => "flushed",
        (error: unknown) => error,
      );
    },
  });
  await using newer = await openQuiet({ ...components, store: watched });
  assert.ok(isPumiceError(fate, "LSM_FENCED"), String(fate));
  assert.equal(newer.manifest.l0.length, 0);
  assert.equal(text(await newer.get(bytes("a"))), "1");
  await older.close();
});

test("a WAL object that an older writer puts between a newer one's claim and its fence is replayed (SlateDB #1694)", async () => {
  const { components, store } = memoryWorld();
  const older = await openQuiet(components);
  const watched = interrupted(store, (key) => key.endsWith(".manifest"), {
    run: async () => {
      await older.put(bytes("a"), bytes("acknowledged"));
    },
  });
  await using newer = await openQuiet({ ...components, store: watched });
  assert.equal(text(await newer.get(bytes("a"))), "acknowledged");
  // It learns only now that it has been fenced, and says so: what it could not flush is not in the store.
  await assert.rejects(older.close(), (error) => isPumiceError(error, "LSM_FENCED"));
});

test("what can only be damage is refused on replay, and named: sequence numbers that go back, a gap", async () => {
  const { components, store } = memoryWorld();
  const first = await openQuiet(components);
  for (const key of ["a", "b", "c"]) await first.put(bytes(key), bytes("1"));
  await first.close({ flush: "wal" });
  const [, one, two, three] = (await keysOf(store, "db/wal/")) as [string, string, string, string];
  const bodies = new Map<string, Uint8Array>();
  for (const key of [one, two, three]) bodies.set(key, (await store.get(key)) as Uint8Array);
  await store.put(two, bodies.get(three) as Uint8Array);
  await store.put(three, bodies.get(two) as Uint8Array);
  await assert.rejects(
    openQuiet(components),
    (error) =>
      isPumiceError(error, "LSM_CORRUPT") && /sequence number goes back at row 0/.test(error.message) && error.message.includes(three),
  );
  await store.put(three, bodies.get(three) as Uint8Array);
  await assert.rejects(openQuiet(components), (error) => isPumiceError(error, "LSM_CORRUPT"), "a number repeats");
  await store.delete(two);
  await assert.rejects(openQuiet(components), (error) => isPumiceError(error, "LSM_MISSING") && error.message.includes(two));
  await store.put(two, bodies.get(two) as Uint8Array);
  await using mended = await openQuiet(components);
  assert.equal((await mended.scan().toArray()).length, 3);
});

test("a memtable and the L0 made of it, seen together for a moment, count each operand once", async () => {
  const mergeOperator: MergeOperator = { merge: (_key, existing, operand) => bytes(`${text(existing) ?? ""}${text(operand)}`) };
  const { components } = memoryWorld({ mergeOperator });
  await using db = await openQuiet(components);
  const snapshot = db.snapshot();
  for (const operand of ["x", "y"]) await db.merge(bytes("k"), bytes(operand));
  await db.flush("memtable");
  const memtable = new Memtable();
  for (const [i, operand] of ["x", "y"].entries()) {
    memtable.insert({ key: bytes("k"), kind: MERGE, value: bytes(operand), seq: i + 1, createTs: 1, expireTs: undefined });
  }
  const view: View = { memtables: [memtable], ...StoreContext.of("db", components, LSM_DEFAULTS).treeOf(db.manifest) };
  const lookup = { key: bytes("k"), maxSeq: 10, rules: { operator: mergeOperator, expireAtMs: undefined } };
  const loaded = nothingLoaded();
  let found = lookupNow(view, lookup, loaded);
  while (typeof found === "function") {
    await found(loaded);
    found = lookupNow(view, lookup, loaded);
  }
  assert.equal(text(found?.value), "xy");
  const cursor = openCursor(view, { range: ALL_KEYS, order: "ascending", readAhead: { cachesBlocks: false, readAheadBytesMax: 0 } });
  const seqs: number[] = [];
  for (;;) {
    while (!cursor.next()) await cursor.load();
    if (cursor.row === undefined) break;
    seqs.push(cursor.row.seq);
  }
  assert.deepEqual(seqs, [2, 1]);
  snapshot.close();
});

test("a scan that begins at any moment of a flush counts each operand once (life 618 of the simulation)", async () => {
  const mergeOperator: MergeOperator = { merge: (_key, existing, operand) => bytes(`${text(existing) ?? ""}${text(operand)}`) };
  const { components } = memoryWorld({ mergeOperator });
  await using db = await openQuiet(components, { walEnabled: false });
  const options = { awaitDurable: false };
  // The L0 folds the operands of k under the number of the newest: it must not be taken before the memtable's, which are those it was made of.
  await db.put(bytes("a"), bytes("before"), options);
  for (const operand of ["x", "y"]) await db.merge(bytes("k"), bytes(operand), options);
  await db.put(bytes("z"), bytes("behind"), options);
  const scans: Promise<string[]>[] = [];
  const look = (): void => {
    for (const order of ["ascending", "descending"] as const) {
      const reading = db.scan({ order }).toArray();
      scans.push(reading.then((rows) => rows.map((row) => `${text(row.key)}=${text(row.value)}`).toSorted()));
    }
  };
  const flushing = db.flush("memtable");
  // Nothing here waits for anything but promises, so each step of the flush has a scan that begins just behind it.
  for (let turn = 0; db.status().frozenMemtables > 0 && turn < 100_000; turn++) {
    look();
    await Promise.resolve();
  }
  await flushing;
  look();
  for (const rows of await Promise.all(scans)) assert.deepEqual(rows, ["a=before", "k=xy", "z=behind"]);
});

test("a writer that another process has compacted and collected under finds the newer tables (life 40274 of the simulation)", async () => {
  const { components, clock } = memoryWorld();
  await using db = await openQuiet(components, { cacheBytes: 0, blockSizeBytes: 1024, manifestPollMs: 3_600_000 });
  const key = (i: number): Uint8Array => bytes(`k${String(i).padStart(3, "0")}`);
  for (let i = 0; i < 200; i++) db.putSync(key(i), bytes(`v${i}`));
  await db.flush("memtable");
  clock.nowMs += 1000;
  await db.put(key(0), bytes("newer"));
  await db.flush("memtable");
  const begun = db.scan({ readAheadBytesMax: 0 });
  assert.equal(text((await begun.next())?.value), "newer");
  const admin = new Admin("db", components, { compactor: { checkpointLifetimeMs: 0 } });
  await admin.compact("everything");
  clock.nowMs += 1000;
  // The store's time goes on, without a look of the writer's.
  const { id } = await admin.createCheckpoint();
  await admin.deleteCheckpoint(id);
  assert.ok((await admin.collectGarbage(0)).ssts > 0);
  assert.equal((await begun.toArray()).length, 199);
  db.evict();
  assert.equal(text(await db.get(key(7))), "v7");
  assert.equal((await db.scan().toArray()).length, 200);
});

test("a reader takes each WAL object in once, though it looks twice at once, or stops halfway (life 26 of the simulation)", async () => {
  const { components, store } = memoryWorld();
  await using db = await openQuiet(components);
  await db.put(bytes("k"), bytes("0"));
  let fails = "";
  const failing = overriding(store, {
    get: async (key, ...rest) => {
      if (!key.endsWith(fails) || fails === "") return await store.get(key, ...rest);
      fails = "";
      throw new PumiceError("STORE_REFUSED", { planted: true, key });
    },
  });
  await using reader = await DbReader.open(
    "db",
    { ...components, store: failing },
    { mode: "latest", pollMs: 3_600_000, checkpointLifetimeMs: 7_200_000 },
  );
  for (const value of ["1", "2", "3"]) await db.put(bytes("k"), bytes(value));
  fails = `${(await keysOf(store, "db/wal/")).length}.sst`;
  await assert.rejects(reader.refresh(), (error) => isPumiceError(error, "STORE_REFUSED"));
  assert.equal(text(await reader.get(bytes("k"))), "0", "what was taken in is visible with the whole");
  await Promise.all([reader.refresh(), reader.refresh()]);
  assert.equal(text(await reader.get(bytes("k"))), "3");
});

test("a reader never goes back, though collection takes WAL objects away while it looks", async () => {
  const { components, clock, store } = memoryWorld();
  await using db = await openQuiet(components);
  await db.put(bytes("a"), bytes("1"));
  let isArmed = false;
  const racing = overriding(store, {
    get: async (key, ...rest) => {
      if (isArmed && key.startsWith("db/wal/")) {
        isArmed = false;
        await db.put(bytes("c"), bytes("3"));
        await db.flush("memtable");
        clock.nowMs += DAY_MS;
        await db.put(bytes("d"), bytes("4"));
        await db.flush("memtable");
        await db.collectGarbage(1000);
      }
      return await store.get(key, ...rest);
    },
  });
  await using reader = await DbReader.open(
    "db",
    { ...components, store: racing },
    { mode: "latest", pollMs: 3_600_000, checkpointLifetimeMs: 7_200_000 },
  );
  await db.flush("memtable");
  await db.put(bytes("b"), bytes("2"));
  await reader.refresh();
  const { lastSeq } = reader;
  // Another tree with the same rows: the WAL is read anew.
  await new Admin("db", components).compact("everything");
  isArmed = true;
  await reader.refresh();
  assert.ok(reader.lastSeq > lastSeq, `${reader.lastSeq}`);
  assert.equal(text(await reader.get(bytes("d"))), "4");
});

test("a store that is closed while its compactor comes back is closed (life 157 of the simulation)", async () => {
  const { components, store, clock } = memoryWorld();
  const closed = Promise.withResolvers<void>();
  let db: Db | undefined;
  let claims = 0;
  // The third compactor to claim the store is the first again: after its rest it comes back.
  const watched = interrupted(store, (key, body) => key.startsWith("db/manifest/") && isClaim(key, body) && ++claims === 2, {
    run: async () => {
      closed.resolve(db?.close());
      await clock.sleep(20);
    },
  });
  // Had it not been closed, nothing of it would go on when the test is over.
  using over = new DisposableStack();
  let isOver = false;
  over.defer(() => (isOver = true));
  const impatient = { now: () => clock.now(), monotonic: () => clock.monotonic(), sleep: clock.sleep.bind(clock) };
  impatient.sleep = async (ms, options) =>
    await (isOver ? new Promise<void>(() => undefined) : clock.sleep(ms === 30_000 ? 1 : ms, options));
  let epoch = 0;
  function isClaim(key: string, body: Uint8Array): boolean {
    const { compactorEpoch } = decodeManifest(body, key);
    const isNew = compactorEpoch > epoch;
    epoch = Math.max(epoch, compactorEpoch);
    return isNew;
  }
  db = await Db.open("db", { ...components, clock: impatient, store: watched }, { gc: false, compactor: { pollIntervalMs: 5 } });
  await db.put(bytes("a"), bytes("1"));
  // Not by way of `watched`: another process.
  await new Admin("db", components).compact("everything");
  const ends = closed.promise.then(() => true);
  assert.ok(await Promise.race([ends, clock.sleep(10_000).then(() => false)]), "it was closed");
});

test("a fence whose answer was lost is not taken for ours because another's has the same bytes", async () => {
  const { components, store } = memoryWorld();
  await (await openQuiet(components)).close();
  let rival: Db | undefined;
  let isLost = false;
  const fence = `${String((await keysOf(store, "db/wal/")).length + 1).padStart(20, "0")}.sst`;
  const racing = overriding(store, {
    // After the newer writer has listed the WAL, and before it claims its epoch, the rival opens: its fence stands where the newer one will put its own.
    async *list(prefix, ...rest) {
      yield* store.list(prefix, ...rest);
      if (prefix === "db/wal/") rival ??= await openQuiet(components);
    },
    putIf: async (key, ...rest) => {
      if (isLost || !key.endsWith(fence)) return await store.putIf(key, ...rest);
      isLost = true;
      throw new PumiceError("STORE_UNAVAILABLE", { planted: "the put never arrived" });
    },
  });
  await using newer = await openQuiet({ ...components, store: racing });
  assert.ok(isLost && rival !== undefined && newer.status().writerEpoch > rival.status().writerEpoch);
  await assert.rejects(rival.put(bytes("a"), bytes("lost?")), (error) => isPumiceError(error, "LSM_FENCED"));
  await newer.put(bytes("b"), bytes("2"));
  assert.equal(await newer.get(bytes("a")), undefined);
  await rival.close();
});

test("a compactor that was taken over after its last output commits nothing", async () => {
  const { components, store } = memoryWorld();
  const isMade = (key: string, body: Uint8Array): boolean =>
    key.startsWith("db/compactions/") &&
    decodeCompactions(body, key).compactions.some((each) => each.status === "running" && each.outputs.length > 0);
  const watched = interrupted(store, isMade, { run: async () => await new Admin("db", components).compact("everything") });
  await using db = await openQuiet(
    { ...components, store: watched },
    { compactor: { pollIntervalMs: 3_600_000, minSources: 100, maxSources: 100 } },
  );
  for (let part = 0; part < 2; part++) {
    for (let i = 0; i < 20; i++) db.putSync(bytes(`k${i}`), bytes(`${part}-${i}`));
    await db.flush("memtable");
  }
  await assert.rejects(db.compact(), (error) => isPumiceError(error, "LSM_FENCED"));
  const { value } = await new Admin("db", components).readManifest();
  assert.deepEqual([value.l0.length, value.runs.length], [0, 1]);
  assert.equal((await db.scan().toArray()).length, 20);
  assert.deepEqual((await new Admin("db", components).verify()).findings, []);
});

test("a manifest put under an id that was collected meanwhile counts as never written (profile 0.14)", async () => {
  const { components, clock, store } = memoryWorld();
  let isArmed = false;
  const watched = interrupted(store, (key) => isArmed && key.startsWith("db/manifest/"), {
    instead: true,
    run: async () => {
      const admin = new Admin("db", components);
      for (let i = 0; i < 3; i++) {
        await admin.deleteCheckpoint((await admin.createCheckpoint()).id);
        // Less than what makes a writer look again by itself: only the boundary tells.
        clock.nowMs += 2000;
      }
      assert.ok((await admin.collectGarbage(1000, "0.14")).manifests >= 3);
    },
  });
  await using db = await openQuiet({ ...components, store: watched }, { compat: "0.14" });
  isArmed = true;
  await db.createCheckpoint({ name: "mine" });
  assert.equal((await new Admin("db", components).listCheckpoints("mine")).length, 1);
});

test("a write whose answer was lost, and whose name a newer writer's fence has taken, is not acknowledged", async () => {
  const { components, store } = memoryWorld();
  let rival: Db | undefined;
  let isArmed = false;
  const lossy = interrupted(store, (key) => isArmed && key.startsWith("db/wal/"), {
    instead: true,
    run: async () => {
      rival = await openQuiet(components);
    },
  });
  const db = await openQuiet({ ...components, store: lossy });
  isArmed = true;
  await assert.rejects(db.put(bytes("a"), bytes("lost")), (error) => isPumiceError(error, "LSM_FENCED"));
  assert.equal(await rival?.get(bytes("a")), undefined);
  await rival?.close();
  await db.close();
});
