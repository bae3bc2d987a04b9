/** What a reader of another process's store keeps from garbage collection, and for how long. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isPumiceError } from "../../src/base/mod.ts";
import { Admin, DbReader, type Db, type LsmComponents, type ReaderOptions, type Scan } from "../../src/lsm/mod.ts";
import { bytes, memoryWorld, openQuiet, text, type TestClock } from "./support/world.ts";

const KEYS = 400;
const LIFETIME_MS = 20_000;

const key = (i: number): Uint8Array => bytes(`k${String(i).padStart(4, "0")}`);

/** Writes a value to each key, and makes one run of all there is. */
async function rewrite(db: Db, value: string): Promise<void> {
  for (let i = 0; i < KEYS; i++) db.putSync(key(i), bytes(value));
  await db.compact();
}

/** The store's time goes on, and what nothing holds is deleted. */
async function collect(db: Db, clock: TestClock, afterMs = 1000): Promise<void> {
  clock.nowMs += afterMs;
  await db.put(bytes("tick"), bytes(String(clock.nowMs)));
  await db.flush("memtable");
  await db.collectGarbage(0);
}

async function openFollower(components: LsmComponents, options: ReaderOptions = {}): Promise<DbReader> {
  const settings = { pollMs: 5000, checkpointLifetimeMs: LIFETIME_MS, cacheBytes: 0, ...options };
  return await DbReader.open("db", components, settings);
}

/** A store of several blocks whose reader has begun a scan that has most of them still to fetch. */
async function begun(
  options: ReaderOptions = {},
): Promise<{ db: Db; clock: TestClock; reader: DbReader; scan: Scan; checkpoints: () => Promise<number> }> {
  const { components, clock } = memoryWorld();
  const db = await openQuiet(components, { blockSizeBytes: 1024, compactor: { pollIntervalMs: 3_600_000, checkpointLifetimeMs: 0 } });
  await rewrite(db, "old");
  const reader = await openFollower(components, options);
  const scan = reader.scan({ readAheadBytesMax: 0, lt: key(KEYS) });
  assert.equal(text((await scan.next())?.value), "old");
  const checkpoints = async (): Promise<number> => (await new Admin("db", components).listCheckpoints()).length;
  return { db, clock, reader, scan, checkpoints };
}

/** How many rows, and which values they have. */
async function restOf(scan: Scan): Promise<{ count: number; values: string[] }> {
  const rows = await scan.toArray();
  return { count: rows.length, values: [...new Set(rows.map((row) => text(row.value) ?? ""))] };
}

test("a scan of a managed reader goes on to its end on the state of its beginning, whatever is compacted and collected meanwhile", async () => {
  const { db, clock, reader, scan } = await begun();
  for (const value of ["new", "newer", "newest"]) {
    await rewrite(db, value);
    await reader.refresh();
    await collect(db, clock);
    await reader.refresh();
    assert.equal(text(await reader.get(key(7))), value);
  }
  assert.deepEqual(await restOf(scan), { count: KEYS - 1, values: ["old"] });
  await reader.close();
  await db.close();
});

test("a scan of a managed reader that seeks stays on the state of its beginning", async () => {
  const { db, clock, reader, scan } = await begun();
  await rewrite(db, "new");
  await reader.refresh();
  await collect(db, clock);
  scan.seek(key(300));
  assert.deepEqual(await restOf(scan), { count: KEYS - 300, values: ["old"] });
  await reader.close();
  await db.close();
});

test("what a scan of a managed reader looks at is renewed for as long as it lasts, beyond the lifetime of a checkpoint", async () => {
  const { db, clock, reader, scan } = await begun();
  await rewrite(db, "new");
  await reader.refresh();
  for (let passedMs = 0; passedMs < 3 * LIFETIME_MS; passedMs += LIFETIME_MS / 2) {
    await collect(db, clock, LIFETIME_MS / 2);
    await reader.refresh();
  }
  assert.deepEqual(await restOf(scan), { count: KEYS - 1, values: ["old"] });
  await reader.close();
  await db.close();
});

test("a managed reader lets go of a state that no scan looks at any more, with its next put of the manifest", async () => {
  const { db, clock, reader, scan, checkpoints } = await begun();
  const others = [reader.scan({ readAheadBytesMax: 0 }), reader.scan({ readAheadBytesMax: 0 })];
  await rewrite(db, "new");
  await reader.refresh();
  assert.equal(await checkpoints(), 2);
  for (const each of others) await each.next();
  for (const each of [scan, ...others]) each.dispose();
  scan.dispose();
  for (let round = 0; round < 3; round++) {
    await rewrite(db, `new ${round}`);
    await reader.refresh();
    assert.equal(await checkpoints(), 2, "what is shown, and what was shown until then");
  }
  // Without news, renewing lets go of it.
  clock.nowMs += LIFETIME_MS / 2;
  await reader.refresh();
  assert.equal(await checkpoints(), 1);
  await reader.close();
  assert.equal(await checkpoints(), 0);
  await db.close();
});

test("a managed reader that is closed in the middle of scans leaves no checkpoint", async () => {
  const { db, reader, scan, checkpoints } = await begun();
  for (const value of ["new", "newer"]) {
    await rewrite(db, value);
    await reader.refresh();
    await reader.scan().next();
  }
  assert.ok((await checkpoints()) >= 2);
  await reader.close();
  assert.equal(await checkpoints(), 0);
  await assert.rejects(scan.toArray(), (error) => isPumiceError(error, "LSM_CLOSED"));
  await db.close();
});

test("a reader that keeps nothing fails in the middle of a scan rather than mix two states, and has put no checkpoint", async () => {
  const { db, clock, reader, scan, checkpoints } = await begun({ mode: "latest" });
  await rewrite(db, "new");
  await reader.refresh();
  await collect(db, clock);
  assert.equal(await checkpoints(), 0);
  await assert.rejects(scan.toArray(), (error) => isPumiceError(error, "LSM_MISSING"));
  await reader.close();
  await db.close();
});
