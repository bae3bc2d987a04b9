/** Flushing several memtables side by side, over a store that answers when the test says so. */
import assert from "node:assert/strict";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import test, { type TestContext } from "node:test";
import { isPumiceError, PumiceError, type ObjectStore } from "../../src/base/mod.ts";
import type { Db } from "../../src/lsm/mod.ts";
import { bytes, memoryWorld, openQuiet, overriding, text, until } from "./support/world.ts";

const isSst = (key: string): boolean => key.includes("/compacted/") && key.endsWith(".sst");

interface Held {
  readonly key: string;
  readonly gate: PromiseWithResolvers<void>;
}

/** A store whose puts of SSTs wait for the test, and fail after it, so that a test that fails leaves nothing that goes on. */
function holding(context: TestContext, store: ObjectStore): { held: Held[]; slow: ObjectStore } {
  const held: Held[] = [];
  const over = new PumiceError("STORE_REFUSED", { what: "the test is over" });
  let isOver = false;
  context.after(() => {
    isOver = true;
    for (const each of held) each.gate.reject(over);
  });
  const slow = overriding(store, {
    putIf: async (key, body, condition, options) => {
      if (!isSst(key)) return await store.putIf(key, body, condition, options);
      if (isOver) throw over;
      const gate = Promise.withResolvers<void>();
      gate.promise.catch(() => undefined);
      const abort = (): void => gate.reject(options?.signal?.reason);
      options?.signal?.addEventListener("abort", abort, { once: true });
      held.push({ key, gate });
      await gate.promise;
      return await store.putIf(key, body, condition, options);
    },
  });
  return { held, slow };
}

/** Writes and freezes; the flush goes on beside. */
function freeze(db: Db, round: number): Promise<void> {
  for (let i = 0; i < 20; i++) db.putSync(bytes(`k${i}`), bytes(`v${round}`));
  const done = db.flush("memtable");
  done.catch(() => undefined);
  return done;
}

test("frozen memtables are uploaded side by side, at most four, and committed in their order, whatever order the puts end in", async (context) => {
  const { components, store } = memoryWorld();
  const { held, slow } = holding(context, store);
  const db = await openQuiet({ ...components, store: slow });
  const done = [0, 1, 2, 3, 4, 5].map((round) => freeze(db, round));
  await until(() => held.length === 4, "four puts are under way");
  for (const each of held.slice(1)) each.gate.resolve();
  for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(db.status().l0Ssts, 0, "the younger ones wait for the oldest");
  assert.equal(held.length, 4);
  held[0]?.gate.resolve();
  await until(() => held.length === 6, "the others follow");
  for (const each of held) each.gate.resolve();
  await Promise.all(done);
  const ids = db.manifest.l0.map((sst) => sst.id);
  assert.deepEqual(ids, ids.toSorted().reverse(), "the newest is first, and its ULID the highest");
  assert.deepEqual(
    ids.toReversed().map((id) => `db/compacted/${id}.sst`),
    held.map((each) => each.key),
  );
  assert.equal(text(await db.get(bytes("k7"))), "v5");
  await db.close();
  await using again = await openQuiet(components);
  assert.equal(again.status().replayedRows, 0);
  assert.equal(text(await again.get(bytes("k7"))), "v5");
});

test("if an upload fails for good, no younger memtable is committed, and the WAL has everything", async (context) => {
  const { components, store } = memoryWorld();
  const { held, slow } = holding(context, store);
  const db = await openQuiet({ ...components, store: slow });
  const done = [0, 1, 2].map((round) => freeze(db, round));
  await until(() => held.length === 3, "three puts are under way");
  held[2]?.gate.resolve();
  held[1]?.gate.resolve();
  held[0]?.gate.reject(new PumiceError("STORE_REFUSED", { what: "the test says so" }));
  for (const each of done) await assert.rejects(each, (error) => isPumiceError(error, "LSM_CLOSED"));
  await db.close().catch(() => undefined);
  await using again = await openQuiet(components);
  assert.equal(again.status().l0Ssts, 0, "nothing was committed");
  assert.equal(again.status().replayedRows, 60);
  assert.equal(text(await again.get(bytes("k7"))), "v2");
});

test("if the oldest must take another name, the younger ones take later ones: ULIDs stay in the order of the commits", async (context) => {
  const { components, store } = memoryWorld();
  const { held, slow } = holding(context, store);
  const db = await openQuiet({ ...components, store: slow });
  const done = [0, 1].map((round) => freeze(db, round));
  await until(() => held.length === 2, "two puts are under way");
  await store.put(held[0]?.key ?? "", bytes("somebody else's"));
  held[1]?.gate.resolve();
  held[0]?.gate.resolve();
  await until(() => held.length === 3, "the oldest is put again");
  assert.ok((held[2]?.key ?? "") > (held[1]?.key ?? ""));
  held[2]?.gate.resolve();
  await until(() => held.length === 4, "so is the younger one");
  held[3]?.gate.resolve();
  await Promise.all(done);
  const ids = db.manifest.l0.map((sst) => sst.id);
  assert.deepEqual(
    ids.toReversed().map((id) => `db/compacted/${id}.sst`),
    [held[2]?.key, held[3]?.key],
  );
  assert.ok((ids[0] as string) > (ids[1] as string));
  assert.equal(text(await db.get(bytes("k7"))), "v1");
  await db.close();
});

test("L0s and uploads together are never more than l0SstsMax", async (context) => {
  const { components, store } = memoryWorld();
  const { held, slow } = holding(context, store);
  const db = await openQuiet({ ...components, store: slow }, { l0SstsMax: 2 });
  const done = [0, 1, 2].map((round) => freeze(db, round));
  await until(() => held.length === 2, "two puts are under way");
  for (const each of held) each.gate.resolve();
  await until(() => db.status().l0Ssts === 2 && db.status().stalls > 0, "L0 is full");
  assert.equal(held.length, 2);
  assert.equal(db.status().frozenMemtables, 1);
  await db.close({ flush: "wal" });
  await assert.rejects(done[2] as Promise<void>, (error) => isPumiceError(error, "LSM_CLOSED"));
});

test("the memory of a flushed memtable is given back, that of the first one too", async () => {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  const held = (): number => {
    collect();
    return process.memoryUsage().arrayBuffers;
  };
  const { components, store } = memoryWorld();
  const db = await openQuiet(components);
  try {
    const before = held();
    for (let i = 0; i < 20_000; i++) db.putSync(bytes(`key ${i}`), new Uint8Array(1000));
    assert.ok(held() - before > 20_000_000, "rows are held until they are flushed");
    await db.flush("memtable");
    let stored = 0;
    for await (const { sizeBytes } of store.list("")) stored += sizeBytes;
    // What ended tests of this file leave behind may go later than this one's.
    await until(() => held() - before - stored < 10_000_000, "the memory of the memtable");
  } finally {
    await db.close();
  }
});
