/** Laws of a store that several look at: readers, checkpoints, clones, the WAL as a stream, compaction, garbage collection, checks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { MemoryObjectStore } from "../../src/base/mod.ts";
import {
  Admin,
  cloneStore,
  Db,
  DbReader,
  decodeManifest,
  WalReader,
  WriteBatch,
  type LsmComponents,
  type WalToken,
} from "../../src/lsm/mod.ts";
import { bytes, fails, keysOf, memoryWorld, openQuiet, overriding, text } from "./support/world.ts";

async function rows(db: Pick<Db, "scan">): Promise<string> {
  return (await db.scan().toArray()).map((row) => `${text(row.key)}=${text(row.value)}`).join(" ");
}

async function fill(db: Db, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) db.putSync(bytes(`k${String(i).padStart(4, "0")}`), bytes(`v${i}`));
  await db.flush("memtable");
}

async function assertSound(components: LsmComponents): Promise<void> {
  assert.deepEqual((await new Admin("db", components).verify()).findings, []);
}

test("a reader follows the writer through WAL, L0 and compaction, and holds a checkpoint meanwhile", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  await db.put(bytes("a"), bytes("1"));
  const reader = await DbReader.open("db", components, { pollMs: 3_600_000, checkpointLifetimeMs: 7_200_000 });
  assert.equal(await rows(reader), "a=1");
  await db.put(bytes("b"), bytes("2"));
  assert.equal(await rows(reader), "a=1");
  await reader.refresh();
  assert.equal(await rows(reader), "a=1 b=2");
  await db.flush("memtable");
  await db.put(bytes("c"), bytes("3"));
  await db.compact();
  await reader.refresh();
  assert.equal(await rows(reader), "a=1 b=2 c=3");
  // What it shows, and what it showed until then: reads may have begun on that while the new one was made.
  assert.equal((await db.listCheckpoints()).filter((checkpoint) => checkpoint.expireTimeS - checkpoint.createTimeS === 7200).length, 2);
  await reader.close();
  assert.equal((await db.listCheckpoints()).filter((checkpoint) => checkpoint.expireTimeS - checkpoint.createTimeS === 7200).length, 0);
  await assert.rejects(reader.get(bytes("a")), fails("LSM_CLOSED"));
});

test("a reader without news writes no manifests (SlateDB #1893)", async () => {
  const { components, store } = memoryWorld();
  await using db = await openQuiet(components);
  await fill(db, 0, 10);
  await using reader = await DbReader.open("db", components, { pollMs: 3_600_000, checkpointLifetimeMs: 7_200_000 });
  const before = await keysOf(store, "db/manifest/");
  for (let i = 0; i < 20; i++) await reader.refresh();
  assert.deepEqual(await keysOf(store, "db/manifest/"), before);
});

test("a checkpoint is read as it was, and garbage collection keeps it until it is deleted", async () => {
  const { components, clock, store } = memoryWorld();
  await using db = await openQuiet(components);
  await fill(db, 0, 50);
  const checkpoint = await db.createCheckpoint({ name: "before" });
  await db.deleteRange({});
  await fill(db, 100, 110);
  await db.compact();
  clock.nowMs += 3_600_000;
  await db.put(bytes("tick"), bytes("1"));
  await db.flush("memtable");
  await db.collectGarbage(1000);
  await using reader = await DbReader.open("db", components, { mode: { checkpoint: checkpoint.id } });
  assert.equal((await reader.scan().toArray()).length, 50);
  assert.equal(text(await reader.get(bytes("k0007"))), "v7");
  const ssts = (await keysOf(store, "db/compacted/")).length;
  await db.deleteCheckpoint(checkpoint.id);
  await db.collectGarbage(1000);
  assert.ok((await keysOf(store, "db/compacted/")).length < ssts);
  await assert.rejects(DbReader.open("db", components, { mode: { checkpoint: checkpoint.id } }), fails("LSM_CHECKPOINT_NOT_FOUND"));
  await assertSound(components);
});

test("a clone begins as its parent's checkpoint, goes its own way, and outlives what the parent deletes", async () => {
  const { components, clock } = memoryWorld();
  await using parent = await openQuiet(components);
  await fill(parent, 0, 20);
  await parent.put(bytes("walled"), bytes("w"));
  await parent.flush("memtable");
  await cloneStore("db", "child", components);
  await cloneStore("db", "child", components);
  await parent.deleteRange({});
  await parent.compact();
  clock.nowMs += 86_400_000;
  await parent.put(bytes("later"), bytes("x"));
  await parent.flush("memtable");
  await parent.collectGarbage(1000);
  await using child = await Db.open("child", components, { compactor: false, gc: false });
  assert.equal((await child.scan().toArray()).length, 21);
  assert.equal(text(await child.get(bytes("walled"))), "w");
  await child.put(bytes("own"), bytes("1"));
  assert.equal(await parent.get(bytes("own")), undefined);
  await cloneStore("child", "grandchild", components);
  await using grandchild = await Db.open("grandchild", components, { compactor: false, gc: false });
  assert.equal((await grandchild.scan().toArray()).length, 22, "what was durable in the WAL alone is in the clone");
  await child.compact();
  clock.nowMs += 86_400_000;
  const report = await child.collectGarbage(1000);
  assert.equal(report.detached, 0, "the grandchild's checkpoint still needs the parent");
  await assert.rejects(cloneStore("none", "x", components), fails("LSM_NOT_FOUND"));
  await assert.rejects(cloneStore("child", "db", components), fails("LSM_INVALID"));
});

test("a clone that uses nothing of its parent any more lets go of it", async () => {
  const { components, clock } = memoryWorld();
  await using parent = await openQuiet(components);
  await fill(parent, 0, 20);
  await cloneStore("db", "child", components);
  await using child = await Db.open("child", components, { compactor: false, gc: false });
  await child.compact();
  clock.nowMs += 86_400_000;
  assert.equal((await child.collectGarbage(1000)).detached, 1);
  assert.equal(child.manifest.externalDbs.length, 0);
  assert.equal((await parent.listCheckpoints()).filter((checkpoint) => checkpoint.expireTimeS === 0).length, 0);
  assert.equal((await child.scan().toArray()).length, 20);
});

test("the WAL is a stream of changes that goes on from a token", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  await db.write(new WriteBatch().put(bytes("a"), bytes("1")).delete(bytes("b")));
  await db.put(bytes("c"), bytes("3"), { ttl: { afterMs: 5 } });
  const wal = new WalReader("db", components);
  const seen: string[] = [];
  let token: WalToken | undefined;
  for await (const change of wal.follow()) {
    seen.push(`${text(change.row.key)} ${change.row.kind} ${change.row.seq}`);
    token = change.token;
    if (seen.length === 1) break;
  }
  for await (const change of wal.follow({ after: token })) seen.push(`${text(change.row.key)} ${change.row.kind} ${change.row.seq}`);
  assert.deepEqual(seen, ["a 0 1", "b 1 1", "c 0 2"]);
  const stop = new AbortController();
  const following = (async () => {
    const changes: string[] = [];
    for await (const change of wal.follow({ after: { walId: 4, rows: 0 }, pollMs: 1, signal: stop.signal })) {
      changes.push(text(change.row.key) ?? "");
      if (changes.length === 2) return changes;
    }
    return changes;
  })();
  await db.put(bytes("d"), bytes("4"));
  await db.put(bytes("e"), bytes("5"));
  assert.deepEqual(await following, ["d", "e"]);
});

test("the embedded compactor keeps L0 short, and what was written is what is read", async () => {
  const { components } = memoryWorld();
  await using db = await Db.open("db", components, {
    gc: false,
    l0SstBytes: 2000,
    l0SstsMax: 6,
    flushIntervalMs: 1,
    compactor: { pollIntervalMs: 5, checkpointLifetimeMs: 0 },
  });
  for (let i = 0; i < 3000; i++) await db.put(bytes(`k${(i * 7) % 500}`), bytes(`v${i}`), { awaitDurable: false });
  await db.flush("memtable");
  const status = db.status();
  assert.ok((status.compactor?.completed ?? 0) > 0, "it compacted");
  assert.ok(status.l0Ssts <= 6);
  for (let i = 2500; i < 3000; i++) assert.equal(text(await db.get(bytes(`k${(i * 7) % 500}`))), `v${i}`);
  await assertSound(components);
});

test("L0s that do not overlap become a run without being rewritten, if asked for (SlateDB #1110)", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components, {
    compactor: { movesTrivially: true, pollIntervalMs: 3_600_000, minSources: 100, maxSources: 100 },
  });
  for (let i = 0; i < 5; i++) await fill(db, i * 10, i * 10 + 10);
  const before = db.manifest.l0.map((sst) => sst.id).toSorted();
  await db.compact();
  assert.deepEqual(db.manifest.runs[0]?.ssts.map((sst) => sst.id).toSorted(), before);
  assert.equal((await db.scan().toArray()).length, 50);
  await assertSound(components);
});

test("outputs roll at their size, and no key is split over two SSTs", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components, {
    compactor: { maxSstBytes: 3000, pollIntervalMs: 3_600_000, minSources: 100, maxSources: 100 },
    blockSizeBytes: 1024,
  });
  const snapshots = [];
  for (let round = 0; round < 3; round++) {
    await fill(db, 0, 300);
    snapshots.push(db.snapshot());
  }
  await db.compact();
  const run = db.manifest.runs[0];
  assert.ok((run?.ssts.length ?? 0) > 3);
  await assertSound(components);
  for (const snapshot of snapshots) assert.equal((await snapshot.scan().toArray()).length, 300);
  assert.equal((await db.scan({ order: "descending" }).toArray()).length, 300);
});

test("a newer compactor fences an older one, and the writer goes on (one compactor epoch lives)", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components, { compactor: { pollIntervalMs: 5 } });
  await fill(db, 0, 10);
  await new Admin("db", components).compact("everything");
  await db.put(bytes("x"), bytes("1"));
  await db.flush("memtable");
  assert.equal(db.status().closed, undefined);
  assert.equal((await db.scan().toArray()).length, 11);
});

test("garbage collection deletes old WAL objects, SSTs and manifests, and no fence that a sleeping writer may need (SlateDB #352)", async () => {
  const { components, clock, store } = memoryWorld();
  await using db = await openQuiet(components);
  for (let i = 0; i < 5; i++) {
    await db.put(bytes(`k${i}`), bytes("v"));
    await db.flush("memtable");
  }
  await db.compact();
  assert.deepEqual(await db.collectGarbage(300_000), { checkpoints: 0, detached: 0, manifests: 0, compactions: 0, wals: 0, ssts: 0 });
  clock.nowMs += 599_000;
  await db.put(bytes("late"), bytes("v"));
  await db.flush("memtable");
  const report = await db.collectGarbage(300_000);
  assert.ok(report.wals >= 4 && report.manifests > 5 && report.ssts === 0 && report.checkpoints === 0, JSON.stringify(report));
  assert.ok((await keysOf(store, "db/wal/")).includes("db/wal/00000000000000000001.sst"), "the fence is there");
  clock.nowMs += 3_600_000;
  await db.put(bytes("later"), bytes("v"));
  await db.flush("memtable");
  const { checkpoints, ssts } = await db.collectGarbage(300_000);
  assert.deepEqual({ checkpoints, ssts }, { checkpoints: 1, ssts: 5 }, "what the compaction kept for readers goes with its checkpoint");
  assert.equal((await keysOf(store, "db/wal/")).includes("db/wal/00000000000000000001.sst"), false, "ten minutes are enough for a fence");
  assert.equal((await db.scan().toArray()).length, 7);
  await assertSound(components);
});

test("a writer that slept through its successor's whole life and a collection is fenced (SlateDB #352, #1622)", async () => {
  const { components, clock } = memoryWorld();
  const sleeper = await openQuiet(components, { manifestPollMs: 3_600_000 });
  await sleeper.put(bytes("a"), bytes("1"));
  const successor = await openQuiet(components);
  for (let i = 0; i < 5; i++) await successor.put(bytes(`b${i}`), bytes("2"));
  await successor.flush("memtable");
  clock.nowMs += 86_400_000;
  await successor.put(bytes("c"), bytes("3"));
  await successor.flush("memtable");
  await successor.collectGarbage(1000);
  await successor.close();
  await assert.rejects(sleeper.put(bytes("z"), bytes("lost?")), fails("LSM_FENCED"));
  await using last = await openQuiet(components);
  assert.equal(await last.get(bytes("z")), undefined);
  await sleeper.close();
});

test("verify names what is damaged and goes on", async () => {
  const { components, store } = memoryWorld();
  await using db = await openQuiet(components);
  await fill(db, 0, 100);
  await fill(db, 100, 200);
  await db.put(bytes("w"), bytes("1"));
  await assertSound(components);
  const [victim, missing] = (await keysOf(store, "db/compacted/")) as [string, string];
  const body = (await store.get(victim)) as Uint8Array;
  await store.put(victim, body.with(10, (body[10] as number) ^ 1));
  await store.delete(missing);
  const { findings } = await new Admin("db", components).verify();
  assert.deepEqual(new Set(findings.map(({ object }) => object)), new Set([victim, missing]));
  assert.match(findings.find(({ object }) => object === victim)?.problem ?? "", /checksum mismatch.*expected=.*found=/);
});

test("an administrator reads manifests, compactions and SSTs", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components, { compactor: { pollIntervalMs: 3_600_000 } });
  await fill(db, 0, 100);
  await db.compact();
  const admin = new Admin("db", components);
  const { id, value } = await admin.readManifest();
  assert.equal((await admin.listManifests()).at(-1)?.id, id);
  const sst = await admin.describeSst(value.runs[0]?.ssts[0]?.id ?? "");
  assert.equal(sst.stats?.puts, 100);
  assert.ok(sst.isUsed);
  assert.equal((await admin.readCompactions())?.value.compactions.at(-1)?.status, "completed");
  assert.equal((await admin.timeline())[0]?.seq, 1);
  const checkpoint = await admin.createCheckpoint({ name: "n", lifetimeMs: 1000 });
  assert.equal((await admin.refreshCheckpoint(checkpoint.id, undefined)).expireTimeS, 0);
  assert.equal((await admin.listCheckpoints("n")).length, 1);
  await admin.deleteCheckpoint(checkpoint.id);
  assert.equal((await admin.listCheckpoints("n")).length, 0);
  await assert.rejects(new Admin("none", components).readManifest(), fails("LSM_NOT_FOUND"));
});

test("an interrupted compaction is taken over by the next compactor (SlateDB #1192)", async () => {
  const { components, store } = memoryWorld();
  let left = 1;
  const failing: MemoryObjectStore = new Proxy(store, {
    get: (target, name) => {
      if (name === "putIf") {
        return async (...args: Parameters<MemoryObjectStore["putIf"]>) => {
          // The manifest that would commit the compaction never arrives: the process dies before it.
          if (args[0].startsWith("db/manifest/") && left === 0) await new Promise(() => undefined);
          return await target.putIf(...args);
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
  const options = {
    compactor: { pollIntervalMs: 3_600_000, maxSstBytes: 1000 },
    gc: false,
    flushIntervalMs: 5,
    blockSizeBytes: 1024,
  } as const;
  const first = await Db.open("db", { ...components, store: failing }, options);
  for (let i = 0; i < 3; i++) await fill(first, i * 50, i * 50 + 100);
  left = 0;
  void first.compact().catch(() => undefined);
  const admin = new Admin("db", components);
  const deadline = performance.now() + 5000;
  while (((await admin.readCompactions())?.value.compactions.at(-1)?.outputs.length ?? 0) < 3 && performance.now() < deadline)
    await components.clock.sleep(1);
  await using second = await Db.open("db", components, options);
  while ((second.status().compactor?.running ?? 0) > 0 && performance.now() < deadline) await components.clock.sleep(1);
  assert.equal(second.manifest.l0.length, 0);
  assert.equal(second.manifest.runs.length, 1);
  assert.equal((await second.scan().toArray()).length, 200);
  await assertSound(components);
});

test("a compaction filter drops rows at the bottom, and none that is newer than the oldest snapshot", async () => {
  const { components } = memoryWorld({ compactionFilter: (row) => (text(row.value) === "drop" ? "drop" : "keep") });
  await using db = await openQuiet(components);
  await db.put(bytes("a"), bytes("drop"));
  await db.put(bytes("b"), bytes("keep"));
  const snapshot = db.snapshot();
  await db.put(bytes("c"), bytes("drop"));
  await db.compact();
  assert.equal(await rows(snapshot), "b=keep");
  assert.equal(await rows(db), "b=keep c=drop");
  snapshot.close();
  await db.put(bytes("d"), bytes("keep"));
  await db.compact();
  assert.equal(await rows(db), "b=keep d=keep");
});

test("a picker of one's own decides what is merged", async () => {
  const asked: number[] = [];
  const { components } = memoryWorld({
    compactionPicker: {
      pick: (manifest, busy) => {
        asked.push(manifest.l0.length);
        if (manifest.l0.length < 2 || busy.length > 0) return undefined;
        return {
          l0: manifest.l0.map((sst) => sst.viewId),
          runs: manifest.runs.map((run) => run.id),
          destination: manifest.runs.at(-1)?.id ?? 0,
        };
      },
    },
  });
  await using db = await openQuiet(components, { compactor: { pollIntervalMs: 3_600_000 } });
  for (let i = 0; i < 5; i++) await fill(db, i * 10, i * 10 + 10);
  const deadline = performance.now() + 5000;
  while (db.status().l0Ssts > 1 && performance.now() < deadline) await components.clock.sleep(1);
  assert.ok(db.status().l0Ssts <= 1 && db.manifest.runs.length === 1 && asked.length > 2);
  assert.equal((await db.scan().toArray()).length, 50);
});

test("a compaction that fails, and garbage that cannot be collected, are told and stop nothing", async () => {
  const { components, store } = memoryWorld();
  await using db = await openQuiet(components, { compactor: { pollIntervalMs: 5, minSources: 2 }, gc: { intervalMs: 5, minAgeMs: 0 } });
  await fill(db, 0, 10);
  const [sst] = (await keysOf(store, "db/compacted/")) as [string];
  const body = (await store.get(sst)) as Uint8Array;
  await store.put(sst, body.with(5, (body[5] as number) ^ 1));
  await fill(db, 10, 20);
  const deadline = performance.now() + 5000;
  while (db.status().backgroundError === undefined && performance.now() < deadline) await components.clock.sleep(1);
  assert.equal(db.status().backgroundError?.code, "LSM_CORRUPT");
  await db.put(bytes("goes on"), bytes("1"));
  assert.equal(text(await db.get(bytes("k0015"))), "v15");
  assert.equal(db.status().closed, undefined);
});

test("an interrupted merge of L0s beside a run goes on with what it had made, above that run (SlateDB #1660)", async () => {
  const { components, store } = memoryWorld();
  const options = { gc: false, flushIntervalMs: 5, blockSizeBytes: 1024 } as const;
  const compactor = { pollIntervalMs: 5, minSources: 3, maxSources: 100, maxSstBytes: 1000 };
  const first = await Db.open("db", components, { ...options, compactor: { ...compactor, pollIntervalMs: 3_600_000, minSources: 100 } });
  await fill(first, 0, 100);
  await first.compact();
  for (let i = 0; i < 2; i++) await fill(first, i * 50, i * 50 + 100);
  await first.close();
  // The process dies before the manifest that would commit the merge.
  const dying = overriding(store, {
    putIf: async (key, body, ...rest) => {
      const isCommit = key.startsWith("db/manifest/") && decodeManifest(body, key).runs.length > 1;
      return await (isCommit ? new Promise<never>(() => undefined) : store.putIf(key, body, ...rest));
    },
  });
  const second = await Db.open("db", { ...components, store: dying }, { ...options, compactor });
  void fill(second, 100, 200).catch(() => undefined);
  const admin = new Admin("db", components);
  const deadline = performance.now() + 10_000;
  const outputs = async (): Promise<readonly string[]> =>
    (await admin.readCompactions())?.value.compactions.find((each) => each.status === "running")?.outputs.map((sst) => sst.id) ?? [];
  while ((await outputs()).length < 3 && performance.now() < deadline) await components.clock.sleep(1);
  const made = await outputs();
  await using third = await Db.open("db", components, { ...options, compactor });
  while (third.manifest.runs.length < 2 && performance.now() < deadline) await components.clock.sleep(1);
  const [newest, oldest] = third.manifest.runs;
  assert.ok(newest !== undefined && oldest !== undefined && newest.id > oldest.id);
  assert.equal(newest.ssts[0]?.id, made[0], "what was made is used");
  assert.equal((await third.scan().toArray()).length, 200);
  await assertSound(components);
});
