/** Time: SlateDB #431 and what came of it. Names of SlateDB's tests stand in parentheses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { seededRandom } from "../../src/base/mod.ts";
import { nodeCrc32 } from "../../src/host/mod.ts";
import { HybridClock } from "../../src/lsm/db/hybrid-clock.ts";
import { Sealer } from "../../src/lsm/format/compression.ts";
import { TICK_MIN } from "../../src/lsm/format/row.ts";
import { SstWriter } from "../../src/lsm/format/sst-writer.ts";
import { decodeManifest, VALUE } from "../../src/lsm/mod.ts";
import { bytes, keysOf, memoryWorld, openQuiet, text } from "./support/world.ts";

test("#431: 5000 random rows, flush, close, reopen, scan, while the clock moves and jumps back (test_reopen_database)", async () => {
  for (const flush of ["memtable", "wal"] as const) {
    const { components, clock } = memoryWorld();
    const random = seededRandom(431);
    const first = await openQuiet(components, { l0SstBytes: 20_000, l0SstsMax: 10_000 });
    const expected = new Map<string, string>();
    for (let i = 0; i < 5000; i++) {
      const [key, value] = [`k${random.u32()}`, `v${random.u32()}`];
      expected.set(key, value);
      await first.put(bytes(key), bytes(value), { awaitDurable: false });
      clock.nowMs += random.below(100) === 0 ? -30 : random.below(3);
    }
    await first.flush();
    await first.close({ flush });
    clock.nowMs -= 30;
    await using second = await openQuiet(components);
    assert.ok(first.manifest.lastL0ClockTick <= second.status().lastTick);
    const rows = await second.scan().toArray();
    assert.deepEqual(new Map(rows.map((row) => [text(row.key), text(row.value)])), expected);
    await second.put(bytes("more"), bytes("v"));
  }
});

test("rows that are older than the manifest's tick, or go back among themselves, as other writers leave them, are replayed", async () => {
  const { components, store } = memoryWorld();
  const first = await openQuiet(components);
  const { createTs } = await first.put(bytes("a"), bytes("1"));
  await first.close();
  const sealer = new Sealer({ crc32: nodeCrc32 });
  const writer = new SstWriter(
    "wal",
    { blockSizeBytes: 4096, compression: "none", minFilterKeys: 1, filterBitsPerKey: 10, filterFormat: "legacy" },
    sealer,
  );
  for (const [i, time] of [createTs - 5, createTs - 60_000, undefined, createTs - 7].entries()) {
    writer.add({ key: bytes(`k${i}`), kind: VALUE, value: bytes("v"), seq: 2 + i, createTs: time, expireTs: undefined });
  }
  await store.put("db/wal/00000000000000000003.sst", writer.finish().bytes);
  await using second = await openQuiet(components);
  assert.equal((await second.scan().toArray()).length, 5);
  assert.equal(second.status().lastTick, createTs);
});

test("a wall clock that jumps back by 30 ms, a minute or a year delays and fails nothing, and is counted", async () => {
  for (const jumpMs of [30, 60_000, 31_536_000_000]) {
    const { components, clock } = memoryWorld();
    await using db = await openQuiet(components);
    const before = await db.put(bytes("a"), bytes("1"));
    clock.nowMs -= jumpMs;
    const started = performance.now();
    const after = await db.put(bytes("b"), bytes("2"));
    assert.ok(performance.now() - started < 1000);
    assert.equal(after.createTs, before.createTs);
    assert.deepEqual(db.status().clock, { reusedTicks: 1, aheadMsMax: jumpMs });
    clock.nowMs += jumpMs + 5;
    assert.equal((await db.put(bytes("c"), bytes("3"))).createTs, before.createTs + 5);
  }
});

test("a manifest tick ahead of the wall clock is no error: ticks go on from it (test_recover_clock_tick_from_manifest)", async () => {
  const { components, clock } = memoryWorld();
  const first = await openQuiet(components);
  const { createTs } = await first.put(bytes("a"), bytes("1"));
  await first.close();
  clock.nowMs -= 60_000;
  await using second = await openQuiet(components);
  assert.equal((await second.put(bytes("b"), bytes("2"))).createTs, createTs);
});

test("the tick is recovered from the WAL if that is newer than L0 (test_recover_clock_tick_from_wal)", async () => {
  const { components, clock } = memoryWorld();
  const first = await openQuiet(components);
  await first.put(bytes("a"), bytes("1"));
  await first.flush("memtable");
  clock.nowMs += 1000;
  const { createTs } = await first.put(bytes("b"), bytes("2"));
  await first.close({ flush: "wal" });
  clock.nowMs -= 500;
  await using second = await openQuiet(components);
  assert.equal((await second.put(bytes("c"), bytes("3"))).createTs, createTs);
});

test("the manifest's tick moves only with L0 (test_should_update_manifest_clock_tick_on_l0_flush)", async () => {
  const { components, clock, store } = memoryWorld();
  await using db = await openQuiet(components);
  const tick = async (): Promise<number> => {
    const key = (await keysOf(store, "db/manifest/")).at(-1) as string;
    return decodeManifest((await store.get(key)) as Uint8Array, key).lastL0ClockTick;
  };
  assert.equal(await tick(), TICK_MIN);
  const first = await db.put(bytes("a"), bytes("1"));
  await db.createCheckpoint({ name: "x" });
  assert.equal(await tick(), first.createTs);
  clock.nowMs += 1000;
  await db.put(bytes("b"), bytes("2"));
  await db.deleteCheckpoint((await db.listCheckpoints("x"))[0]?.id ?? "");
  assert.equal(await tick(), first.createTs, "a manifest put between flushes does not move it");
  await db.flush("memtable");
  assert.equal(await tick(), first.createTs + 1000);
});

test("stamps never go back, whatever the wall clock does (test_monotonicity_enforcement_on_mono_clock)", () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.integer({ min: -100, max: 100 }), fc.integer({ min: -1e12, max: 1e12 }))),
      fc.integer(),
      (jumps, observed) => {
        let now = 1_800_000_000_000;
        const clock = new HybridClock({ now: () => now });
        clock.observe(observed);
        let last = clock.last;
        for (const jump of jumps) {
          now += jump;
          const tick = clock.tick();
          assert.ok(tick >= last);
          assert.ok(tick === now || tick === last, "it is the wall clock's time, or the last stamp again");
          last = tick;
        }
      },
    ),
  );
});

test("a TTL at the ends of time is kept: never before, never after", async () => {
  const { components } = memoryWorld();
  const first = await openQuiet(components, { filtersExpired: true });
  await first.put(bytes("past"), bytes("1"), { ttl: { atMs: -1 } });
  await first.put(bytes("future"), bytes("2"), { ttl: { atMs: Number.MAX_SAFE_INTEGER } });
  await first.put(bytes("end"), bytes("3"), { ttl: { atMs: 2 ** 63 } });
  await first.close();
  await using second = await openQuiet(components, { filtersExpired: true });
  const rows = await second.scan().toArray();
  assert.deepEqual(
    rows.map((row) => [text(row.key), row.expireTs]),
    [
      ["end", 2 ** 63],
      ["future", Number.MAX_SAFE_INTEGER],
    ],
  );
});
