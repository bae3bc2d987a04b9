/** Laws of SlateDB's own tests that no other file shows. Their names stand in parentheses; conformance.test.ts has the whole list. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isPumiceError, PumiceError } from "../../src/base/mod.ts";
import { StoreContext } from "../../src/lsm/engine/context.ts";
import { COMPACTION_STATUSES, decodeCompactions, encodeCompactions } from "../../src/lsm/format/compactions.ts";
import { encodeManifest, emptyManifest, withVersion } from "../../src/lsm/format/manifest.ts";
import { decodeTracker } from "../../src/lsm/format/sequence-tracker.ts";
import {
  Admin,
  allSsts,
  type Db,
  DbReader,
  decodeManifest,
  LSM_DEFAULTS,
  WalReader,
  WriteBatch,
  type LsmComponents,
  type MergeOperator,
} from "../../src/lsm/mod.ts";
import { bytes, fails, keysOf, memoryWorld, openQuiet, overriding, text, until } from "./support/world.ts";

const append: MergeOperator = { merge: (_key, existing, operand) => bytes((text(existing) ?? "") + (text(operand) ?? "")) };
async function rows(db: Pick<Db, "scan">, options: Parameters<Db["scan"]>[0] = {}): Promise<string> {
  return (await db.scan(options).toArray()).map((row) => `${text(row.key)}=${text(row.value)}`).join(" ");
}

/** Components whose store lets no WAL object arrive while `gate.isShut`: its puts fail and are tried again. */
function gated(components: LsmComponents): { gate: { isShut: boolean }; components: LsmComponents } {
  const gate = { isShut: false };
  const { store } = components;
  const shut = overriding(store, {
    putIf: async (key, body, condition, options) => {
      if (gate.isShut && key.includes("/wal/")) throw new PumiceError("STORE_UNAVAILABLE", { planted: true });
      return await store.putIf(key, body, condition, options);
    },
  });
  return { gate, components: { ...components, store: shut } };
}

test("a row tells its sequence number, its time and its expiry, from memtable and from L0 (test_get_key_value, should_get_key_value_with_expire_at, test_scan_row_entry, test_write_handle)", async () => {
  const { components, clock } = memoryWorld();
  await using db = await openQuiet(components);
  const first = await db.put(bytes("a"), bytes("1"));
  clock.nowMs += 7;
  const second = await db.put(bytes("b"), bytes("2"), { ttl: { atMs: clock.nowMs + 1000 } });
  assert.ok(first.seq > 0 && second.seq > first.seq && second.createTs === first.createTs + 7);
  for (const where of ["memtable", "l0"]) {
    if (where === "l0") await db.flush("memtable");
    const [a, b] = await db.scan().toArray();
    assert.deepEqual([a?.seq, a?.createTs, a?.expireTs], [first.seq, first.createTs, undefined], where);
    assert.deepEqual([b?.seq, b?.createTs, b?.expireTs], [second.seq, second.createTs, clock.nowMs + 1000], where);
    const row = await db.getRow(bytes("b"));
    assert.deepEqual([row?.seq, row?.expireTs, text(row?.value)], [second.seq, clock.nowMs + 1000, "2"]);
    assert.equal(await db.getRow(bytes("none")), undefined);
  }
});

test("batches written at the same time are whole: no reader sees a part of one (test_concurrent_batch_writes_consistency)", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  const write = async (writer: number): Promise<void> => {
    for (let i = 0; i < 20; i++) {
      const batch = new WriteBatch();
      for (let k = 0; k < 5; k++) batch.put(bytes(`k${k}`), bytes(`${writer}-${i}`));
      await db.write(batch, { awaitDurable: i % 7 === 0 });
    }
  };
  let checks = 0;
  const read = async (): Promise<void> => {
    for (let i = 0; i < 40; i++) {
      const seen = new Set((await db.scan().toArray()).map((row) => text(row.value)));
      assert.ok(seen.size <= 1, [...seen].join());
      checks++;
      if (i % 10 === 0) await db.flush("memtable");
    }
  };
  await Promise.all([write(1), write(2), write(3), read()]);
  assert.equal(checks, 40);
});

test("a batch with an empty key is refused whole, with WAL and without (test_write_batch_with_empty_key, test_write_batch_without_wal)", async () => {
  for (const walEnabled of [true, false]) {
    const { components } = memoryWorld();
    await using db = await openQuiet(components, { walEnabled });
    await assert.rejects(
      async () => await db.write(new WriteBatch().put(bytes("a"), bytes("1")).put(bytes(""), bytes("2"))),
      fails("LSM_INVALID"),
    );
    assert.equal(await rows(db), "");
    await db.write(new WriteBatch().put(bytes("a"), bytes("1")).delete(bytes("b")));
    assert.equal(await rows(db), "a=1");
  }
});

test("the newest of many versions counts, in one L0, over L0s and over runs (test_find_with_multiple_repeated_keys)", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components, { blockSizeBytes: 1024 });
  for (let version = 0; version < 200; version++) {
    await db.put(bytes("k"), bytes(`${version}`.padEnd(60, "x")), { awaitDurable: false });
    if (version % 50 === 49) await db.flush("memtable");
    if (version === 120) await db.compact();
  }
  assert.match(text(await db.get(bytes("k"))) ?? "", /^199x/);
  assert.equal((await db.scan().toArray()).length, 1);
});

test("many versions of one key over many blocks are kept for snapshots and each is found", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components, { blockSizeBytes: 1024, minFilterKeys: 1 });
  await db.put(bytes("a"), bytes("a"));
  const snapshots = [];
  for (let i = 0; i < 60; i++) {
    await db.put(bytes("k"), bytes(`${i}`.padEnd(100, "x")), { awaitDurable: false });
    snapshots.push(db.snapshot());
  }
  await db.put(bytes("z"), bytes("z"));
  for (const how of ["flush", "compact"] as const) {
    if (how === "flush") await db.flush("memtable");
    else await db.compact();
    for (const [i, snapshot] of snapshots.entries()) {
      assert.ok(text(await snapshot.get(bytes("k")))?.startsWith(`${i}x`), `${how} ${i}`);
      assert.equal((await snapshot.scan({ order: "descending" }).toArray()).length, 2);
    }
  }
  for (const snapshot of snapshots) snapshot.close();
});

test("a prefix of bytes 0xff has no end, and none that is empty is a bound (test_scan_prefix_with_options_handles_unbounded_end)", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  const ff = (count: number, last?: number): Uint8Array =>
    Uint8Array.from([...Array<number>(count).fill(255), ...(last === undefined ? [] : [last])]);
  for (const key of [bytes("a"), ff(1), ff(2), ff(2, 0), ff(3), Uint8Array.of(255, 254)])
    await db.put(key, bytes("v"), { awaitDurable: false });
  for (const flush of [false, true]) {
    if (flush) await db.flush("memtable");
    assert.equal((await db.scan({ prefix: ff(2) }).toArray()).length, 3);
    assert.equal((await db.scan({ prefix: ff(1) }).toArray()).length, 5);
    assert.equal((await db.scan({ prefix: ff(1), order: "descending" }).toArray()).length, 5);
    assert.equal((await db.scan({ prefix: new Uint8Array(0) }).toArray()).length, 6);
    assert.equal((await db.scan({ prefix: ff(4) }).toArray()).length, 0);
  }
});

test("scans at durability remote see what is durable, at memory what is committed (test_scan_should_read_only_committed_data, test_should_read_uncommitted_data_if_read_level_uncommitted)", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components, { flushIntervalMs: undefined });
  await db.put(bytes("a"), bytes("1"));
  db.putSync(bytes("a"), bytes("2"));
  db.putSync(bytes("b"), bytes("2"));
  assert.equal(await rows(db, { durability: "remote" }), "a=1");
  assert.equal(await rows(db), "a=2 b=2");
  db.deleteSync(bytes("a"));
  assert.equal(await rows(db, { durability: "remote", order: "descending" }), "a=1", "should_delete_without_awaiting_flush");
  assert.equal(await rows(db), "b=2");
  await db.flush();
  assert.equal(await rows(db, { durability: "remote" }), "b=2");
});

test("without a WAL, durable is what is in L0 (test_get_with_durability_level_when_wal_disabled, should_notify_seq_watcher_on_l0_flush_when_wal_disabled)", async () => {
  const { components, store } = memoryWorld();
  await using db = await openQuiet(components, { walEnabled: false });
  const before = (await keysOf(store, "db/wal/")).length;
  db.putSync(bytes("a"), bytes("1"));
  assert.equal(await db.get(bytes("a"), { durability: "remote" }), undefined);
  assert.equal(db.status().durableSeq, 0);
  await db.flush("memtable");
  assert.equal(db.status().durableSeq, 1);
  assert.equal(text(await db.get(bytes("a"), { durability: "remote" })), "1");
  assert.equal((await keysOf(store, "db/wal/")).length, before, "no WAL object was put (test_wal_disabled)");
});

test("a store whose WAL is turned off and on again loses nothing (test_disable_wal_after_wal_enabled)", async () => {
  const { components } = memoryWorld();
  const expected: string[] = [];
  for (const [i, walEnabled] of [true, false, true, false, false, true].entries()) {
    const db = await openQuiet(components, { walEnabled });
    assert.equal(await rows(db), expected.join(" "));
    await db.put(bytes(`k${i}`), bytes("v"));
    expected.push(`k${i}=v`);
    await db.close(i % 2 === 0 ? { flush: walEnabled ? "wal" : "memtable" } : {});
  }
  await using last = await openQuiet(components);
  assert.equal(await rows(last), expected.join(" "));
});

test("a wait for durability ends with the store (test_write_handle_await_durable_returns_error_if_db_closes_first)", async () => {
  const world = gated(memoryWorld().components);
  const db = await openQuiet(world.components, { flushIntervalMs: undefined });
  world.gate.isShut = true;
  const put = assert.rejects(db.put(bytes("a"), bytes("1")), fails("LSM_CLOSED"));
  await db.close({ flush: "none" });
  await put;
});

test("close says that it could not flush, and the store is closed all the same (test_close_should_return_error_if_wal_flush_fails, test_close_failed_state_does_not_flush)", async () => {
  const { components } = memoryWorld();
  const db = await openQuiet(components);
  await db.put(bytes("a"), bytes("1"));
  const newer = await openQuiet(components);
  db.putSync(bytes("lost"), bytes("1"));
  await assert.rejects(db.close(), fails("LSM_FENCED"));
  assert.equal(db.status().closed, "fenced");
  assert.equal(await rows(newer), "a=1");
  await newer.close();
  assert.equal(newer.status().closed, "closed");
});

test("writers who wait for room are told when the store is fenced (test_backpressure_waiter_exits_when_db_is_fenced)", async () => {
  const { components } = memoryWorld();
  const world = gated(components);
  const db = await openQuiet(world.components, { unflushedBytesMax: 4000, l0SstBytes: 2000, manifestPollMs: 5 });
  world.gate.isShut = true;
  const value = new Uint8Array(500);
  const puts = Array.from({ length: 30 }, async (_, i) => await db.put(bytes(`k${i}`), value, { awaitDurable: false }));
  const settled = Promise.allSettled(puts);
  await until(() => db.status().backpressure > 0, "they wait");
  await using newer = await openQuiet(components);
  const fates = await settled;
  assert.ok(fates.some((fate) => fate.status === "rejected" && isPumiceError(fate.reason, "LSM_FENCED")));
  assert.equal((await newer.scan().toArray()).length, 0);
  await db.close().catch(() => undefined);
});

test("a memtable is frozen after so many WAL objects, however small (test_put_flushes_memtable_after_max_wal_flushes)", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components, { walFilesMax: 5 });
  for (let i = 0; i < 12; i++) await db.put(bytes(`k${i}`), bytes("v"));
  await until(() => db.status().l0Ssts >= 2, "two L0s");
  assert.ok(db.manifest.replayAfterWalId >= 10);
});

test("flushing the memtable makes the WAL durable first, and moves all of the manifest's marks at once (test_memtable_flush_also_flushes_wal, test_wal_id_last_seen_should_only_reflect_flushed_wals)", async () => {
  const { components, store } = memoryWorld();
  await using db = await openQuiet(components, { flushIntervalMs: undefined });
  for (let i = 0; i < 3; i++) db.putSync(bytes(`k${i}`), bytes("v"));
  await db.flush("memtable");
  const { manifest } = db;
  const wals = (await keysOf(store, "db/wal/")).length;
  assert.equal(db.status().durableSeq, 3);
  assert.deepEqual([manifest.lastL0Seq, manifest.replayAfterWalId, manifest.walIdLastSeen], [3, wals, wals]);
  db.putSync(bytes("waiting"), bytes("v"));
  await db.createCheckpoint({ source: (await db.createCheckpoint()).id });
  assert.ok(db.manifest.walIdLastSeen <= (await keysOf(store, "db/wal/")).length);
});

test("the sequence tracker goes on over flush and reopening (test_sequence_tracker_persisted_across_flush_and_reload)", async () => {
  const { components, clock } = memoryWorld();
  const first = await openQuiet(components);
  await first.put(bytes("a"), bytes("1"));
  clock.nowMs += 120_000;
  await first.put(bytes("b"), bytes("1"));
  await first.flush("memtable");
  clock.nowMs += 120_000;
  await first.put(bytes("c"), bytes("1"));
  await first.close({ flush: "wal" });
  const second = await openQuiet(components);
  await second.close();
  const { value } = await new Admin("db", components).readManifest();
  const points = decodeTracker(value.sequenceTracker, "m");
  assert.deepEqual(
    points.map(({ seq }) => seq),
    [1, 2, 3],
  );
  assert.equal((points[2]?.timeS ?? 0) - (points[0]?.timeS ?? 0), 240);
});

test("sequence numbers go on after reopening, from WAL, from L0 and from both (test_restore_seq_number, test_all_kv_seq_num_are_greater_than_0)", async () => {
  const { components } = memoryWorld();
  let last = 0;
  for (const flush of ["wal", "memtable", "wal", "wal", "memtable"] as const) {
    const db = await openQuiet(components);
    assert.equal(db.status().lastSeq, last);
    last = (await db.put(bytes(`k${last}`), bytes("v"))).seq;
    await db.close({ flush });
  }
  await using db = await openQuiet(components);
  assert.deepEqual(
    (await db.scan().toArray()).map((row) => row.seq),
    [1, 2, 3, 4, 5],
  );
});

test("each opening puts a fence and a claim, and nothing else (test_db_open_should_write_empty_wal)", async () => {
  const { components, store } = memoryWorld();
  for (let i = 1; i <= 3; i++) {
    await using db = await openQuiet(components);
    assert.deepEqual([(await keysOf(store, "db/wal/")).length, db.status().writerEpoch], [i, i]);
    assert.equal((await keysOf(store, "db/manifest/")).length, i + 1);
  }
});

test("a WAL longer than a memtable is replayed into several, no commit split, none lost (should_not_split_one_commit_seq_across_replayed_memtables, test_wal_replay_flushes_oversized_active_memtable_before_backpressure)", async () => {
  const { components, store } = memoryWorld();
  const first = await openQuiet(components);
  for (let i = 0; i < 10; i++) {
    const batch = new WriteBatch();
    for (let k = 0; k < 20; k++) batch.put(bytes(`k${i}-${String(k).padStart(2, "0")}`), new Uint8Array(50).fill(i));
    await first.write(batch);
  }
  await first.close({ flush: "wal" });
  await using second = await openQuiet(components, { l0SstBytes: 1500, l0SstsMax: 1000, unflushedBytesMax: 2000 });
  await second.flush("memtable");
  assert.ok(second.status().l0Ssts >= 5);
  assert.equal((await second.scan().toArray()).length, 200);
  for (const sst of second.manifest.l0) {
    const { stats } = await new Admin("db", components).describeSst(sst.id);
    assert.equal((stats?.puts ?? 1) % 20, 0, "whole commits");
  }
  assert.ok((await keysOf(store, "db/compacted/")).length >= 5);
});

test("what recent readers see is told to the compactor: the least of snapshots, else the last flushed (test_recent_snapshot_min_seq)", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  await db.put(bytes("a"), bytes("1"));
  await db.flush("memtable");
  assert.equal(db.manifest.recentSnapshotMinSeq, 1);
  const snapshot = db.snapshot();
  const transaction = db.begin();
  await db.put(bytes("b"), bytes("1"));
  await db.put(bytes("c"), bytes("1"));
  await db.flush("memtable");
  assert.equal(db.manifest.recentSnapshotMinSeq, 1);
  snapshot.close();
  await db.put(bytes("d"), bytes("1"));
  await db.flush("memtable");
  assert.equal(db.manifest.recentSnapshotMinSeq, 1, "the transaction still reads there");
  transaction.rollback();
  await db.put(bytes("e"), bytes("1"));
  await db.flush("memtable");
  assert.equal(db.manifest.recentSnapshotMinSeq, 5);
});

test("operands of one key with different expiries in one batch are refused (should_reject_batch_local_merges_across_differing_ttls)", async () => {
  const { components } = memoryWorld({ mergeOperator: append });
  await using db = await openQuiet(components);
  const batch = new WriteBatch().merge(bytes("k"), bytes("a"), { ttl: { afterMs: 5 } }).merge(bytes("k"), bytes("b"), { ttl: "never" });
  await assert.rejects(async () => await db.write(batch), fails("LSM_INVALID"));
  assert.equal(await db.get(bytes("k")), undefined);
});

test("operands keep their order over many L0s, runs and SSTs (should_preserve_merge_order_across_multiple_ssts)", async () => {
  const { components } = memoryWorld({ mergeOperator: append });
  await using db = await openQuiet(components, {
    blockSizeBytes: 1024,
    compactor: { maxSstBytes: 500, pollIntervalMs: 3_600_000, minSources: 99, maxSources: 99 },
  });
  let expected = "";
  for (let i = 0; i < 40; i++) {
    await db.merge(bytes(`k${i % 3}`), bytes(`${i}.`), { awaitDurable: false });
    if (i % 3 === 0) expected += `${i}.`;
    if (i % 4 === 3) await db.flush("memtable");
    if (i % 16 === 15) await db.compact();
  }
  assert.equal(text(await db.get(bytes("k0"))), expected);
  await db.compact();
  assert.equal(text(await db.get(bytes("k0"))), expected);
  assert.equal(text((await db.scan({ order: "descending" }).toArray()).at(-1)?.value), expected);
});

test("a key that is deleted and comes back inside a scanned range is a conflict (test_txn_ssi_tombstone_resurrection_in_scan_range)", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  await db.put(bytes("m"), bytes("1"));
  await db.delete(bytes("m"));
  const transaction = db.begin("serializable");
  assert.equal((await transaction.scan({ gte: bytes("a"), lt: bytes("z") }).toArray()).length, 0);
  transaction.put(bytes("other"), bytes("1"));
  await db.put(bytes("m"), bytes("back"));
  await assert.rejects(transaction.commit(), fails("LSM_CONFLICT"));
  const snapshot = db.begin("snapshot");
  await snapshot.scan({}).toArray();
  snapshot.put(bytes("other"), bytes("1"));
  await db.put(bytes("n"), bytes("1"));
  await snapshot.commit();
});

test("a range that was scanned to its bounds conflicts inside and not outside of them (test_txn_ssi_commit_conflit_with_ranges)", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  const cases: [Parameters<Db["scan"]>[0], string, boolean][] = [
    [{ gte: bytes("b"), lt: bytes("d") }, "b", true],
    [{ gte: bytes("b"), lt: bytes("d") }, "d", false],
    [{ gt: bytes("b"), lte: bytes("d") }, "b", false],
    [{ gt: bytes("b"), lte: bytes("d") }, "d", true],
    [{ prefix: bytes("b") }, "bzz", true],
    [{ prefix: bytes("b") }, "c", false],
    [{ lt: bytes("b") }, "a", true],
    [{ order: "descending", gte: bytes("x") }, "zzz", true],
  ];
  for (const [bounds, written, isConflict] of cases) {
    const transaction = db.begin();
    await transaction.scan(bounds).next();
    transaction.put(bytes("0"), bytes("1"));
    await db.put(bytes(written), bytes("1"));
    if (isConflict) await assert.rejects(transaction.commit(), fails("LSM_CONFLICT"), written);
    else await transaction.commit();
  }
});

test("WAL objects that an active checkpoint would replay are not collected (test_do_not_remove_wals_referenced_by_active_checkpoints)", async () => {
  const { components, clock } = memoryWorld();
  await using db = await openQuiet(components);
  await db.put(bytes("a"), bytes("1"));
  await db.flush("memtable");
  await db.put(bytes("b"), bytes("1"));
  const clone = await new Admin("db", components).createCheckpoint();
  await db.put(bytes("c"), bytes("1"));
  await db.flush("memtable");
  const { value } = await new Admin("db", components).readManifest(clone.manifestId);
  clock.nowMs += 86_400_000;
  await db.put(bytes("d"), bytes("1"));
  await db.flush("memtable");
  await db.collectGarbage(0);
  const left = (await new WalReader("db", components).list()).map(({ id }) => id);
  for (let id = value.replayAfterWalId + 1; id <= value.walIdLastSeen; id++) assert.ok(left.includes(id), `WAL ${id}`);
  const reader = await DbReader.open("db", components, { mode: { checkpoint: clone.id } });
  assert.equal(await rows(reader), value.walIdLastSeen > value.replayAfterWalId ? "a=1 b=1" : "a=1");
  await reader.close();
});

test("an expired checkpoint goes, one that never expires stays (test_remove_expired_checkpoints)", async () => {
  const { components, clock } = memoryWorld();
  await using db = await openQuiet(components);
  await db.put(bytes("a"), bytes("1"));
  await db.createCheckpoint({ name: "short", lifetimeMs: 1000 });
  await db.createCheckpoint({ name: "ever" });
  clock.nowMs += 5000;
  await db.put(bytes("b"), bytes("1"));
  await db.flush("memtable");
  assert.equal((await db.collectGarbage(0)).checkpoints, 1);
  assert.deepEqual(
    (await db.listCheckpoints()).map(({ name }) => name),
    ["ever"],
  );
});

test("a version put at or below the boundary counts as never written, and is made again above it (test_should_fail_write_at_or_behind_boundary)", async () => {
  const { components, store } = memoryWorld();
  await (await openQuiet(components, { compat: "0.14" })).close();
  const context = StoreContext.of("db", components, LSM_DEFAULTS);
  await context.manifests.refresh();
  const stale = context.manifests.known?.id ?? 0;
  // Others go on by three versions, and collection deletes all but the last.
  const admin = new Admin("db", components);
  for (let i = 0; i < 3; i++) await admin.createCheckpoint({ name: `${i}` });
  const keys = await keysOf(store, "db/manifest/");
  for (const key of keys.slice(0, -1)) await store.delete(key);
  await store.put("db/gc/manifest.boundary", bytes(String(stale + 2)));
  context.manifests.honoursBoundary = true;
  const made = await context.manifests.update((manifest) => ({ ...manifest, recentSnapshotMinSeq: 77 }));
  assert.equal(made.id, stale + 4);
  assert.equal(made.value.checkpoints.length, 3, "it was made of the newest");
});

test("a tool that tends a store goes by the store's profile: boundaries before deletions in 0.14, none in 0.12; and one that is there always counts", async () => {
  for (const compat of ["0.12", "0.14"] as const) {
    const { components, store, clock } = memoryWorld();
    const db = await openQuiet(components, { compat, minFilterKeys: 1 });
    for (let i = 0; i < 3; i++) {
      await db.put(bytes(`k${i}`), bytes("v"));
      await db.flush("memtable");
    }
    await db.close();
    await new Admin("db", components).compact("everything");
    clock.nowMs += 86_400_000;
    await new Admin("db", components).createCheckpoint({ name: "moves the store's time" });
    assert.ok((await new Admin("db", components).collectGarbage(0)).manifests > 0);
    const last = (await keysOf(store, "db/compactions/")).at(-1) as string;
    assert.equal(decodeCompactions((await store.get(last)) as Uint8Array, last).fileVersion, compat === "0.12" ? 1 : 2);
    const left = (await keysOf(store, "db/manifest/")).map((key) => Number(/(\d{20})/.exec(key)?.[1]));
    const boundary = await store.get("db/gc/manifest.boundary");
    if (compat === "0.12") assert.equal(boundary, undefined);
    else assert.equal(Number(text(boundary)), (left[0] ?? 0) - 1);
    assert.deepEqual((await new Admin("db", components).verify()).findings, []);
    // Who never looked for a boundary does so at its first put, and takes no id below it.
    const context = StoreContext.of("db", components, LSM_DEFAULTS);
    await context.manifests.refresh();
    await store.put("db/gc/manifest.boundary", bytes(String((left.at(-1) ?? 0) + 1)));
    await store.put(
      `db/manifest/${String((left.at(-1) ?? 0) + 2).padStart(20, "0")}.manifest`,
      (await store.get((await keysOf(store, "db/manifest/")).at(-1) as string)) as Uint8Array,
    );
    const made = await context.manifests.update((manifest) => ({ ...manifest, recentSnapshotMinSeq: 7 }));
    assert.equal(made.id, (left.at(-1) ?? 0) + 3, compat);
  }
});

test("a write that lost to another is made again of the newer version, and both are kept (test_should_fail_write_on_version_conflict, test_should_write_manifest_safely)", async () => {
  const { components } = memoryWorld();
  await (await openQuiet(components)).close();
  const contexts = Array.from({ length: 4 }, () => StoreContext.of("db", components, LSM_DEFAULTS));
  for (const context of contexts) await context.manifests.refresh();
  await Promise.all(
    contexts.map(async (context, i) => {
      for (let k = 0; k < 5; k++) {
        const id = `00000000-0000-4000-8000-0000000${i}000${k}`;
        const checkpoint = { id, manifestId: 1, expireTimeS: 0, createTimeS: 0, name: undefined };
        await context.manifests.update((manifest) => ({ ...manifest, checkpoints: [...manifest.checkpoints, checkpoint] }));
      }
    }),
  );
  assert.equal((await new Admin("db", components).readManifest()).value.checkpoints.length, 20);
});

test("an unknown version of manifest, compactions file or SST is refused by name (test_version_checking)", async () => {
  const { components, store } = memoryWorld();
  const db = await openQuiet(components);
  await db.put(bytes("a"), bytes("1"));
  await db.close({ flush: "wal" });
  assert.throws(() => decodeManifest(withVersion(3, encodeManifest(emptyManifest(undefined)).subarray(2)), "m"), fails("LSM_UNSUPPORTED"));
  const wal = (await keysOf(store, "db/wal/")).at(-1) as string;
  const body = (await store.get(wal)) as Uint8Array;
  await store.put(wal, body.with(body.length - 1, 3));
  await assert.rejects(openQuiet(components), (error) => isPumiceError(error, "LSM_UNSUPPORTED") && error.message.includes(wal));
  await assert.rejects(new Admin("db", components).planRepair(), fails("LSM_UNSUPPORTED"));
  await store.put(wal, body.subarray(0, body.length - 3));
  await assert.rejects(openQuiet(components), (error) => isPumiceError(error, "LSM_CORRUPT") && error.message.includes(wal));
});

test("an SST without a format version in the manifest is of format 1 (test_should_decode_sst_with_no_version_set_using_original_version)", () => {
  const sst = {
    id: "01M7Y5NT8TEP3MX7ANVX6EXAK5",
    viewId: "01M7Y5NT8TEP3MX7ANVX6EXAK5",
    formatVersion: 2,
    info: {
      firstEntry: bytes("a"),
      lastEntry: bytes("b"),
      indexOffset: 10,
      indexLength: 5,
      filterOffset: 10,
      filterLength: 0,
      statsOffset: 0,
      statsLength: 0,
      compression: "none",
      isWal: false,
      filterFormat: "legacy",
    },
    visibleRange: undefined,
  } as const;
  const file = encodeManifest({ ...emptyManifest(undefined), l0: [sst] });
  assert.equal(decodeManifest(file, "m").l0[0]?.formatVersion, 2);
  // The SST's vtable: 12 bytes long, id, info, no range, and the version's place, which is taken out here.
  const at = file.findIndex(
    (_, i) =>
      file[i] === 12 && file[i + 1] === 0 && file[i + 8] === 0 && file[i + 9] === 0 && (file[i + 10] ?? 0) > 0 && file[i + 2] === 16,
  );
  assert.ok(at > 0);
  assert.equal(decodeManifest(file.with(at + 10, 0), "m").l0[0]?.formatVersion, 1);
});

test("a value that codecs make longer is stored all the same (test_compression_overflow_bug)", async () => {
  for (const compression of ["snappy", "lz4", "zlib", "zstd"] as const) {
    const { components } = memoryWorld();
    await using db = await openQuiet(components, { compression });
    const value = new Uint8Array(100_000).map((_, i) => (Math.imul(i, 2_654_435_761) >>> 13) & 255);
    await db.put(bytes("k"), value);
    await db.flush("memtable");
    assert.deepEqual(await db.get(bytes("k")), value);
  }
});

test("version 1 of the compactions file says only what SlateDB 0.12 knows", () => {
  const job = { id: "01M7Y5NT8TEP3MX7ANVX6EXAK5", spec: { l0: [], runs: [7, 3], destination: 3 }, outputs: [] } as const;
  for (const status of COMPACTION_STATUSES) {
    const content = { compactorEpoch: 1, compactions: [{ ...job, status }] };
    assert.deepEqual(decodeCompactions(encodeCompactions(content, 2), "c").compactions, content.compactions);
    if (status === "compacted" || status === "scheduled") assert.throws(() => encodeCompactions(content, 1), fails("LSM_UNSUPPORTED"));
    else assert.deepEqual(decodeCompactions(encodeCompactions(content, 1), "c").compactions, content.compactions);
  }
});

test("each id is written once, and a store of the 0.12 profile has nothing in it that SlateDB 0.12 cannot read, in a whole life", async () => {
  const { components, store, clock } = memoryWorld({ mergeOperator: append });
  const written = new Set<string>();
  const once = (key: string): void => {
    assert.ok(!written.has(key), `${key} is put twice`);
    written.add(key);
  };
  const watched = overriding(store, {
    put: async (key, ...rest) => {
      once(key);
      return await store.put(key, ...rest);
    },
    putIf: async (key, ...rest) => {
      const result = await store.putIf(key, ...rest);
      if (result.ok) once(key);
      return result;
    },
  });
  for (let life = 0; life < 4; life++) {
    await using db = await openQuiet(
      { ...components, store: watched },
      { minFilterKeys: 5, blockSizeBytes: 1024, compactor: { pollIntervalMs: 5, minSources: 2, maxSstBytes: 2000 } },
    );
    for (let i = 0; i < 60; i++) {
      await db.put(bytes(`k${(i * 7) % 40}`), bytes(`${life}-${i}`), { awaitDurable: false, ttl: i % 9 === 0 ? { afterMs: 5 } : "never" });
      if (i % 8 === 0) await db.delete(bytes(`k${i}`), { awaitDurable: false });
      if (i % 5 === 0) await db.merge(bytes(`m${i}`), bytes("x"), { awaitDurable: false });
      if (i % 10 === 9) await db.flush("memtable");
      clock.nowMs += 1;
    }
    await db.createCheckpoint({ name: `of life ${life}` });
    await db.compact();
    clock.nowMs += 86_400_000;
    await db.put(bytes("late"), bytes("v"));
    await db.flush("memtable");
    await db.collectGarbage(0);
  }
  let looked = 0;
  for (const key of await keysOf(store, "db/")) {
    const body = (await store.get(key)) as Uint8Array;
    looked++;
    if (key.startsWith("db/manifest/")) {
      const manifest = decodeManifest(body, key);
      assert.equal(manifest.fileVersion, 1);
      assert.deepEqual([manifest.segments, manifest.segmentExtractor], [[], undefined]);
      for (const sst of allSsts(manifest)) {
        assert.deepEqual([sst.formatVersion, sst.info.filterFormat, sst.viewId], [2, "legacy", sst.id]);
        assert.ok(sst.info.filterOffset > 0 && sst.info.indexOffset === sst.info.filterOffset + sst.info.filterLength);
      }
      const ids = manifest.l0.map((sst) => sst.id);
      assert.deepEqual(ids, ids.toSorted().reverse(), "L0s are newest first");
    } else if (key.startsWith("db/compactions/")) assert.equal(decodeCompactions(body, key).fileVersion, 1);
    else if (key.startsWith("db/wal/")) assert.ok(body.length >= 114, "no fence is without bytes");
    else assert.ok(key.startsWith("db/compacted/"), key);
  }
  assert.ok(looked > 20 && written.size > 100, `${looked} objects of ${written.size}`);
});
