/** Every call that waits can be given up: against a store that does not answer, and against one that does not even answer to signals. */
import assert from "node:assert/strict";
import { test } from "node:test";
import {
  Admin,
  cloneStore,
  Db,
  DbReader,
  WalReader,
  WriteBatch,
  type Checkpoint,
  type LsmComponents,
  type WaitOptions,
} from "../../src/lsm/mod.ts";
import { StuckStore, WatchedClock } from "./support/stuck-store.ts";
import { bytes, memoryWorld, text, until } from "./support/world.ts";

/** A store with rows in an SST and in the WAL, all of which then may stop answering. */
interface World {
  readonly components: LsmComponents;
  readonly stuck: StuckStore;
  readonly clock: WatchedClock;
  readonly db: Db;
  readonly checkpoint: Checkpoint;
  /** Closed at the end. */
  readonly readers: DbReader[];
  readonly writers: Db[];
}

const OPTIONS = { gc: false, flushIntervalMs: undefined, manifestPollMs: 3_600_000, cacheBytes: 0 } as const;

async function makeWorld(honoursSignals: boolean, hasCompactor: boolean): Promise<World> {
  const base = memoryWorld();
  const stuck = new StuckStore(base.store, honoursSignals);
  const clock = new WatchedClock(base.clock);
  const mergeOperator = { merge: (_: Uint8Array, __: Uint8Array | undefined, operand: Uint8Array) => operand };
  const components = { ...base.components, store: stuck.store, clock, mergeOperator };
  const compactor = hasCompactor ? { pollIntervalMs: 3_600_000, minSources: 8 } : false;
  const db = await Db.open("db", components, { ...OPTIONS, compactor });
  for (let part = 0; part < 2; part++) {
    for (let i = 0; i < 300; i++) db.putSync(bytes(`k${String(i).padStart(4, "0")}`), bytes(`v${part}`));
    await db.flush("memtable");
  }
  const checkpoint = await db.createCheckpoint({ lifetimeMs: 3_600_000 });
  await db.put(bytes("z"), bytes("in the WAL"));
  return { components, stuck, clock, db, checkpoint, readers: [], writers: [] };
}

interface Case {
  /** Done while the store still answers; what comes back is what waits. */
  prepare(world: World): ((options: WaitOptions) => Promise<unknown>) | Promise<(options: WaitOptions) => Promise<unknown>>;
  /** The work is the store's own, or shared by other calls: it goes on when one who waits for it gives up. */
  readonly goesOn?: true;
  readonly hasCompactor?: true;
  /** The store is over after it. */
  readonly ends?: true;
}

/** Of a call that needs no preparation. */
function call(run: (world: World, options: WaitOptions) => Promise<unknown>, rest: Omit<Case, "prepare"> = {}): Case {
  return { prepare: (world) => async (options) => await run(world, options), ...rest };
}

const admin = (run: (admin: Admin, options: WaitOptions, world: World) => Promise<unknown>): Case => ({
  prepare: (world) => async (options) => await run(new Admin("db", world.components), options, world),
});
const wal = (run: (reader: WalReader, options: WaitOptions) => Promise<unknown>): Case => ({
  prepare: (world) => async (options) => await run(new WalReader("db", world.components), options),
});
const key = bytes("k0007");

const CASES: Readonly<Record<string, Case>> = {
  "Db.open": call(async ({ components }, options) => await Db.open("other", components, { ...OPTIONS, ...options })),
  "Db.put": call(async ({ db }, options) => await db.put(key, key, options), { goesOn: true }),
  "Db.delete": call(async ({ db }, options) => await db.delete(key, options), { goesOn: true }),
  "Db.merge": call(async ({ db }, options) => await db.merge(key, key, options), { goesOn: true }),
  "Db.write": call(async ({ db }, options) => await db.write(new WriteBatch().put(key, key), options), { goesOn: true }),
  "Db.deleteRange, reading": call(async ({ db }, options) => await db.deleteRange({}, options), { goesOn: true }),
  "Db.deleteRange, writing": {
    goesOn: true,
    prepare: ({ db }) => {
      db.putSync(bytes("zz"), key);
      return async (options) => await db.deleteRange({ gte: bytes("zz") }, options);
    },
  },
  "Db.get": call(async ({ db }, options) => await db.get(key, options), { goesOn: true }),
  "Db.getRow": call(async ({ db }, options) => await db.getRow(key, options), { goesOn: true }),
  "Db.multiGet": call(async ({ db }, options) => await db.multiGet([key, bytes("k0100"), bytes("z")], options), { goesOn: true }),
  "Db.scan, by the call": call(async ({ db }, options) => await db.scan().nextBatch(10, options), { goesOn: true }),
  "Db.scan, by the scan": call(async ({ db }, { signal }) => await db.scan({ signal }).toArray(), { goesOn: true }),
  "Scan.toArray": call(async ({ db }, options) => await db.scan().toArray(10, options), { goesOn: true }),
  "Snapshot.get": call(async ({ db }, options) => await db.snapshot().get(key, options), { goesOn: true }),
  "Transaction.get": call(async ({ db }, options) => await db.begin().get(key, options), { goesOn: true }),
  "Transaction.commit": {
    goesOn: true,
    prepare: ({ db }) => {
      const transaction = db.begin();
      transaction.put(key, key);
      return async (options) => await transaction.commit(options);
    },
  },
  "Db.transact": call(async ({ db }, options) => await db.transact((transaction) => transaction.put(key, key), options), { goesOn: true }),
  "Db.flush of the WAL": {
    goesOn: true,
    prepare: ({ db }) => {
      db.putSync(key, key);
      return async (options) => await db.flush("wal", options);
    },
  },
  "Db.flush of the memtable": call(async ({ db }, options) => await db.flush("memtable", options), { goesOn: true }),
  "Db.awaitDurable": {
    goesOn: true,
    prepare: ({ db }) => {
      const handle = db.putSync(key, key);
      return async (options) => await db.awaitDurable(handle, options);
    },
  },
  "Db.refresh": call(async ({ db }, options) => await db.refresh(options)),
  "Db.warm": {
    goesOn: true,
    prepare: async ({ components, writers }) => {
      // The other has no cache to warm.
      const db = await Db.open("warm", components, { ...OPTIONS, compactor: false, cacheBytes: 1_000_000 });
      writers.push(db);
      db.putSync(key, key);
      await db.flush("memtable");
      return async (options) => await db.warm("all", options);
    },
  },
  "Db.createCheckpoint": {
    prepare: async ({ db }) => {
      await db.flush("memtable");
      return async (options) => await db.createCheckpoint(options);
    },
  },
  "Db.refreshCheckpoint": call(async ({ db, checkpoint }, options) => await db.refreshCheckpoint(checkpoint.id, 1000, options)),
  "Db.deleteCheckpoint": call(async ({ db, checkpoint }, options) => await db.deleteCheckpoint(checkpoint.id, options)),
  "Db.listCheckpoints": call(async ({ db }, options) => await db.listCheckpoints(undefined, options)),
  "Db.compact, without a compactor": {
    prepare: async ({ db }) => {
      await db.flush("memtable");
      return async (options) => await db.compact(options);
    },
  },
  "Db.compact, by the embedded compactor": {
    // The compactor looks at the manifest again.
    goesOn: true,
    hasCompactor: true,
    prepare: async ({ db }) => {
      await db.flush("memtable");
      return async (options) => await db.compact(options);
    },
  },
  "Db.collectGarbage": call(async ({ db }, options) => await db.collectGarbage(0, options)),
  "Db.close": {
    ends: true,
    prepare: ({ db }) => {
      db.putSync(key, key);
      return async (options) => await db.close(options);
    },
  },
  "Db.close with a compactor": {
    hasCompactor: true,
    ends: true,
    prepare:
      ({ db }) =>
      async (options) =>
        await db.close(options),
  },
  "DbReader.open": call(async ({ components }, options) => await DbReader.open("db", components, options)),
  "DbReader.open at a checkpoint": call(
    async ({ components, checkpoint }, options) =>
      await DbReader.open("db", components, { mode: { checkpoint: checkpoint.id }, ...options }),
  ),
  "DbReader.refresh": {
    prepare: async ({ components }) => {
      const reader = await DbReader.open("db", components, { mode: "latest", pollMs: 3_000_000, checkpointLifetimeMs: 9_000_000 });
      return async (options) => {
        try {
          await reader.refresh(options);
        } finally {
          await reader.close();
        }
      };
    },
  },
  "DbReader.get": {
    goesOn: true,
    prepare: async ({ components }) => {
      const reader = await DbReader.open("db", components, { mode: "latest", cacheBytes: 0 });
      return async (options) => {
        try {
          return await reader.get(key, options);
        } finally {
          await reader.close();
        }
      };
    },
  },
  "DbReader.close": {
    prepare: async ({ components, readers }) => {
      const reader = await DbReader.open("db", components);
      readers.push(reader);
      return async (options) => await reader.close(options);
    },
  },
  cloneStore: call(async ({ components }, options) => await cloneStore("db", "clone", components, options)),
  "WalReader.list": wal(async (reader, options) => await reader.list(0, Infinity, options)),
  "WalReader.read": wal(async (reader, options) => await reader.read(2, options)),
  "WalReader.follow": wal(async (reader, options) => await reader.follow({ ...options, pollMs: 1000 }).next()),
  "Admin.listManifests": admin(async (each, options) => await each.listManifests(options)),
  "Admin.readManifest": admin(async (each, options) => await each.readManifest(undefined, options)),
  "Admin.listCompactions": admin(async (each, options) => await each.listCompactions(options)),
  "Admin.readCompactions": admin(async (each, options) => await each.readCompactions(undefined, options)),
  "Admin.readCompaction": admin(async (each, options) => await each.readCompaction("none", options)),
  "Admin.seqAt": admin(async (each, options) => await each.seqAt(0, options)),
  "Admin.timeOf": admin(async (each, options) => await each.timeOf(1, options)),
  "Admin.destroy": {
    prepare:
      ({ components }) =>
      async (options) =>
        await new Admin("none", components).destroy(options),
  },
  "Admin.listCheckpoints": admin(async (each, options) => await each.listCheckpoints(undefined, options)),
  "Admin.createCheckpoint": admin(async (each, options) => await each.createCheckpoint(options)),
  "Admin.refreshCheckpoint": admin(async (each, options, { checkpoint }) => await each.refreshCheckpoint(checkpoint.id, 1000, options)),
  "Admin.deleteCheckpoint": admin(async (each, options, { checkpoint }) => await each.deleteCheckpoint(checkpoint.id, options)),
  "Admin.describeSst": admin(async (each, options, { db }) => await each.describeSst(db.manifest.l0[0]?.id ?? "", options)),
  "Admin.timeline": admin(async (each, options) => await each.timeline(options)),
  "Admin.collectGarbage": admin(async (each, options) => await each.collectGarbage(0, "0.12", options)),
  "Admin.compact": admin(async (each, options) => await each.compact("everything", "0.12", options)),
  "Admin.verify": admin(async (each, options) => await each.verify(options)),
  "Admin.planRepair": admin(async (each, options) => await each.planRepair(options)),
  "Admin.repair": admin(async (each, options) => await each.repair({ baseManifestId: 1, steps: [] }, options)),
};

/** Where the call stops: at its first request of the store, and, where it has more, at a later one. */
for (const [name, each] of Object.entries(CASES)) {
  for (const honoursSignals of [true, false]) {
    test(`${name} can be given up${honoursSignals ? " and leaves nothing behind" : ", though the store knows no signals"}`, async () => {
      const world = await makeWorld(honoursSignals, each.hasCompactor === true);
      const { stuck, clock, db } = world;
      const run = await each.prepare(world);
      const controller = new AbortController();
      const reason = new Error("the caller has gone");
      const before = { sleeping: clock.sleeping, waiting: stuck.waiting };
      stuck.isStuck = true;
      const promise = run({ signal: controller.signal });
      let isSettled = false;
      const settled = promise.then(
        () => assert.fail("it waits for the store"),
        (error: unknown) => {
          isSettled = true;
          assert.equal(error, reason);
        },
      );
      await until(() => stuck.waiting > before.waiting, "a request");
      assert.equal(isSettled, false);
      controller.abort(reason);
      await until(() => isSettled, "the end of the call");
      await settled;
      // A reader of the test's own, and a store that was closed, sleep no more than before.
      assert.ok(clock.sleeping <= before.sleeping, `${clock.sleeping} timers, ${before.sleeping} before`);
      if (honoursSignals && each.goesOn !== true) await until(() => stuck.waiting === before.waiting, "the end of all requests");
      stuck.release();
      for (const other of world.writers) await other.close();
      if (each.ends === true) {
        await assert.rejects(db.put(key, key), (error: Error) => "code" in error && error.code === "LSM_CLOSED");
        assert.equal(clock.sleeping, 0);
      } else {
        await db.put(bytes("after"), bytes("all is well"));
        assert.equal(text(await db.get(bytes("after"))), "all is well");
        await db.compact();
      }
      await db.close();
      assert.equal(clock.sleeping, 0, "timers of a closed store");
      await until(() => stuck.waiting === 0, "the end of all requests");
    });
  }

  test(`${name} does not begin for a signal that has aborted`, async () => {
    const world = await makeWorld(true, each.hasCompactor === true);
    const run = await each.prepare(world);
    const reason = new Error("too late");
    const { lastSeq } = world.db.status();
    await assert.rejects(run({ signal: AbortSignal.abort(reason) }), (error) => error === reason);
    assert.equal(world.db.status().lastSeq, lastSeq, "nothing was written");
    await world.db.close({ flush: "none" });
    for (const other of [...world.readers, ...world.writers]) await other.close();
  });
}

test("a merge that was given up does not stay in the list of what runs", async () => {
  const world = await makeWorld(true, true);
  const { stuck, db, components } = world;
  const controller = new AbortController();
  // At its reads: the list says by then that it runs.
  stuck.isHeld = (key) => key.includes("/compacted/");
  await db.flush("memtable");
  stuck.isStuck = true;
  const compacting = db.compact({ signal: controller.signal });
  await until(() => stuck.waiting > 0, "a request");
  controller.abort(new Error("enough"));
  await assert.rejects(compacting, /enough/);
  stuck.release();
  await db.compact();
  const file = await new Admin("db", components).readCompactions();
  assert.deepEqual(
    file?.value.compactions.filter(({ status }) => status === "running" || status === "submitted"),
    [],
  );
  assert.equal(db.status().sortedRuns, 1);
  await db.close();
});
