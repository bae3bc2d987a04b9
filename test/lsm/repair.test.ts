/** Repair of damaged stores: at whatever call it stops, doing it again mends; a writer that runs meanwhile is fenced off. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isPumiceError, MemoryObjectStore, utf8, type ObjectStore } from "../../src/base/mod.ts";
import { Admin, components, openDb } from "../../src/entry/lsm.ts";
import { CrashableStore } from "../../src/sim/mod.ts";

const choices = { compactor: false, gc: false } as const;

/** A store with two SSTs, a checkpoint and WAL objects: one SST, one WAL object with others behind it, and the manifest in force are damaged. */
async function damaged(): Promise<MemoryObjectStore> {
  const store = new MemoryObjectStore({ clock: Date });
  const db = await openDb(store, "db", choices);
  for (const round of ["a", "b"]) {
    for (let i = 0; i < 20; i++) await db.put(utf8(`${round}${i}`), utf8("v"), { awaitDurable: false });
    await db.flush("memtable");
  }
  for (let i = 0; i < 4; i++) {
    await db.put(utf8(`c${i}`), utf8("v"), { awaitDurable: false });
    await db.flush("wal");
  }
  await db.close({ flush: "wal" });
  await new Admin("db", components(store)).createCheckpoint();
  const keys = async (under: string): Promise<string[]> => {
    const found: string[] = [];
    for await (const { key } of store.list(`db/${under}/`)) found.push(key);
    return found;
  };
  const spoil = async (key: string): Promise<void> => {
    const bytes = (await store.get(key)) as Uint8Array;
    bytes[Math.min(20, bytes.length - 1)] = (bytes[Math.min(20, bytes.length - 1)] as number) ^ 1;
    await store.put(key, bytes);
  };
  await spoil((await keys("compacted"))[0] as string);
  await spoil((await keys("wal")).at(-3) as string);
  await store.put((await keys("manifest")).at(-1) as string, utf8("x"));
  return store;
}

async function copyOf(store: ObjectStore): Promise<MemoryObjectStore> {
  const copy = new MemoryObjectStore({ clock: Date });
  for await (const { key } of store.list("")) await copy.put(key, (await store.get(key)) as Uint8Array);
  return copy;
}

async function repair(store: ObjectStore): Promise<void> {
  const admin = new Admin("db", components(store));
  await new Admin("db", components(store)).repair(await admin.planRepair());
}

test("a repair that stops at any call leaves no hole in the WAL, and is finished by doing it again", async () => {
  const original = await damaged();
  const counting = new CrashableStore(await copyOf(original));
  await repair(counting.store);
  assert.ok(counting.changes.length >= 6, `changes=${counting.changes.length}`);
  for (const at of counting.changes) {
    for (const when of ["before", "after"] as const) {
      const store = await copyOf(original);
      const process = new CrashableStore(store, { at, when });
      await Promise.race([repair(process.store), process.crashed]);
      const ids: number[] = [];
      for await (const { key } of store.list("db/wal/")) ids.push(Number(/(\d{20})\.sst$/.exec(key)?.[1]));
      assert.deepEqual(
        ids,
        ids.map((_, i) => (ids[0] ?? 0) + i),
        `at=${at} ${when}: no hole`,
      );
      await repair(store);
      const admin = new Admin("db", components(store));
      assert.deepEqual((await admin.planRepair()).steps, [], `at=${at} ${when}`);
      assert.deepEqual((await admin.verify()).findings, []);
      const db = await openDb(store, "db", choices);
      const rows = (await db.scan().toArray()).map((row) => Buffer.from(row.key).toString());
      assert.equal(rows.filter((key) => !key.startsWith("c")).length, 20, "one SST of two is left");
      assert.deepEqual(
        rows.filter((key) => key.startsWith("c")),
        ["c0"],
      );
      await db.put(utf8("new"), utf8("v"));
      await db.close();
      // What was taken out of the way is still there, as it was.
      const kept: string[] = [];
      for await (const { key } of store.list("db/set-aside/")) kept.push(key.replace(/\.\d$/, ""));
      const moved = [...new Set(kept)].map((key) => key.replace("set-aside/", ""));
      assert.equal(moved.filter((key) => key.startsWith("db/wal/")).length, 3, moved.join());
      for (const key of kept) {
        const name = key.replace("set-aside/", "");
        assert.deepEqual(await store.get(key), await original.get(name), key);
      }
    }
  }
});

test("a writer that runs during a repair is fenced off by it", async () => {
  const store = new MemoryObjectStore({ clock: Date });
  const db = await openDb(store, "db", choices);
  await db.put(utf8("k"), utf8("v"));
  await db.flush("memtable");
  for await (const { key } of store.list("db/compacted/")) await store.delete(key);
  await repair(store);
  await assert.rejects(
    async () => {
      await db.put(utf8("k"), utf8("v"));
      await db.flush("memtable");
    },
    (e) => isPumiceError(e, "LSM_FENCED"),
  );
  await db.close().catch(() => undefined);
});
