/** What goes on beside a store in use: a check, collections, many openings, a clock that was wrong, a damaged boundary. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Admin, type Db, type LsmComponents } from "../../src/lsm/mod.ts";
import { bytes, fails, keysOf, memoryWorld, openQuiet, overriding } from "./support/world.ts";

const YEAR_MS = 365 * 86_400_000;
const DAY_MS = 86_400_000;

function gets(db: Db): number {
  const requests = db.metrics().filter(({ name, labels }) => name === "object_store.request_count" && labels["op"] === "get");
  return requests.reduce((sum, each) => sum + (each.kind === "histogram" ? 0 : each.value), 0);
}

test("a check of a store in use finds no damage in what is collected meanwhile, by right", async () => {
  const { components, clock, store } = memoryWorld();
  await using db = await openQuiet(components);
  for (let round = 0; round < 3; round++) {
    for (let i = 0; i < 100; i++) db.putSync(bytes(`k${i}`), bytes(`v${round}`));
    await db.flush("memtable");
  }
  for (let i = 0; i < 5; i++) await db.put(bytes(`w${i}`), bytes("v"));
  const reached = Promise.withResolvers<void>();
  const goOn = Promise.withResolvers<void>();
  const slow = overriding(store, {
    getRange: async (...args) => {
      reached.resolve();
      await goOn.promise;
      return await store.getRange(...args);
    },
  });
  const checking = new Admin("db", { ...components, store: slow }).verify();
  await reached.promise;
  clock.nowMs += YEAR_MS;
  await db.compact();
  clock.nowMs += YEAR_MS;
  await db.put(bytes("x"), bytes("y"));
  await db.flush("memtable");
  const collected = await db.collectGarbage();
  assert.ok(collected.ssts > 0 && collected.wals > 0 && collected.manifests > 0, JSON.stringify(collected));
  goOn.resolve();
  assert.deepEqual((await checking).findings, []);
  const [sst] = await keysOf(store, "db/compacted/");
  await store.delete(sst ?? "");
  const { findings } = await new Admin("db", components).verify();
  assert.deepEqual(
    findings.map(({ object }) => object),
    [sst],
    "what the manifest in force needs is a finding",
  );
});

test("a missing WAL object that is to be replayed is a finding", async () => {
  const { components, store } = memoryWorld();
  await using db = await openQuiet(components);
  for (let i = 0; i < 5; i++) await db.put(bytes(`w${i}`), bytes("v"));
  const key = (await keysOf(store, "db/wal/"))[2] ?? "";
  await store.delete(key);
  const { findings } = await new Admin("db", components).verify();
  assert.deepEqual(findings, [{ object: key, problem: "gap in the WAL" }]);
});

for (const [name, damage] of Object.entries({
  "a flipped bit": (body: Uint8Array) => body.map((byte, i) => (i === 0 ? byte ^ 128 : byte)),
  "no bytes": () => new Uint8Array(0),
  text: () => bytes("1e2"),
  "a number too large": () => bytes("99999999999999999999"),
})) {
  test(`a boundary with ${name} is LSM_CORRUPT, and the error names it`, async () => {
    const { components, store, clock } = memoryWorld();
    const db = await openQuiet(components, { compat: "0.14" });
    for (let i = 0; i < 3; i++) {
      await db.put(bytes("k"), bytes("v"));
      await db.flush("memtable");
      clock.nowMs += 1000;
    }
    await db.collectGarbage(0);
    await db.close();
    const key = "db/gc/manifest.boundary";
    await store.put(key, damage((await store.get(key)) ?? new Uint8Array(0)));
    await assert.rejects(openQuiet(components), (error: Error) => fails("LSM_CORRUPT")(error) && error.message.includes(key));
  });
}

for (const compat of ["0.12", "0.14"] as const) {
  test(`a store of profile ${compat} that was opened often costs no more than one opened once`, async () => {
    const { components, clock, store } = memoryWorld();
    for (let i = 0; i < 100; i++) {
      const each = await openQuiet(components, { compat, l0SstsMax: 10_000 });
      await each.put(bytes("k"), bytes(`v${i}`));
      await each.close();
    }
    await using db = await openQuiet(components, { l0SstsMax: 10_000 });
    await db.compact();
    clock.nowMs += 1000;
    await db.put(bytes("k"), bytes("z"));
    await db.flush("memtable");
    await db.collectGarbage(0);
    const before = gets(db);
    await db.collectGarbage(0);
    assert.ok(gets(db) - before < 10, `${gets(db) - before} gets to find nothing`);
    assert.ok((await keysOf(store, "db/wal/")).length >= 100, "young fences are kept");
    clock.nowMs += 600_001;
    await db.put(bytes("k"), bytes("z"));
    await db.flush("memtable");
    await db.collectGarbage(0);
    assert.ok((await keysOf(store, "db/wal/")).length < 5, `${(await keysOf(store, "db/wal/")).length} WAL objects`);
  });
}

test("rows expire by the clock as it is, though it once was a year ahead", async () => {
  const { components, clock } = memoryWorld();
  const options = { compactor: { checkpointLifetimeMs: 0, pollIntervalMs: 3_600_000 } };
  await using db = await openQuiet(components, options);
  for (let i = 0; i < 10; i++) db.putSync(bytes(`session${i}`), bytes("v"), { ttl: { afterMs: DAY_MS } });
  clock.nowMs += YEAR_MS;
  db.putSync(bytes("glitch"), bytes("v"));
  clock.nowMs -= YEAR_MS;
  await db.flush("memtable");
  await db.compact();
  assert.equal((await db.scan({ prefix: bytes("session") }).toArray()).length, 10);
  await db.put(bytes("new"), bytes("v"), { ttl: { afterMs: 1000 } });
  assert.equal((await db.getRow(bytes("new")))?.expireTs, clock.nowMs + 1000);
  await db.flush("memtable");
  clock.nowMs += 1001;
  await db.put(bytes("other"), bytes("v"));
  await db.flush("memtable");
  await db.compact();
  assert.equal(await db.get(bytes("new")), undefined);
  assert.equal((await db.scan({ prefix: bytes("session") }).toArray()).length, 10);
  clock.nowMs += DAY_MS;
  await db.put(bytes("other"), bytes("w"));
  await db.flush("memtable");
  await db.compact();
  assert.equal((await db.scan({ prefix: bytes("session") }).toArray()).length, 0);
});

test("filtered reads and another process judge by the clock as it is, too", async () => {
  const { components, clock } = memoryWorld();
  const first = await openQuiet(components, { filtersExpired: true });
  await first.put(bytes("session"), bytes("v"), { ttl: { afterMs: DAY_MS } });
  clock.nowMs += YEAR_MS;
  await first.put(bytes("glitch"), bytes("v"));
  clock.nowMs -= YEAR_MS;
  assert.ok((await first.get(bytes("session"))) !== undefined);
  await first.close();
  await using second = await openQuiet(components, { filtersExpired: true });
  assert.ok((await second.get(bytes("session"))) !== undefined);
  clock.nowMs += DAY_MS + 1;
  assert.equal(await second.get(bytes("session")), undefined);
});

test("a wall clock that is set back a little brings nothing back that has expired", async () => {
  const { components, clock } = memoryWorld();
  await using db = await openQuiet(components, { filtersExpired: true });
  await db.put(bytes("k"), bytes("v"), { ttl: { afterMs: 1000 } });
  clock.nowMs += 1001;
  await db.put(bytes("other"), bytes("v"));
  assert.equal(await db.get(bytes("k")), undefined);
  clock.nowMs -= 30_000;
  assert.equal(await db.get(bytes("k")), undefined);
});

test("an address's path is part of a store's name for everything that is given its components", async () => {
  const { components, store } = memoryWorld();
  const below: LsmComponents = { ...components, path: "team/data" };
  const db = await openQuiet(below);
  await db.put(bytes("k"), bytes("v"));
  await db.close();
  const neighbour = await openQuiet(components);
  await neighbour.put(bytes("k"), bytes("other"));
  await neighbour.close();
  assert.ok((await keysOf(store, "")).some((key) => key.startsWith("team/data/db/manifest/")));
  assert.deepEqual((await new Admin("db", below).verify()).findings, []);
  await new Admin("db", below).destroy();
  assert.equal((await keysOf(store, "team/")).length, 0);
  await using still = await openQuiet(components);
  assert.deepEqual(await still.get(bytes("k")), bytes("other"));
});
