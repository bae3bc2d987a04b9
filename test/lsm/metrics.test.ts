/** Every metric of the page moves, every metric there is is on the page, and the text is what Prometheus reads. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { PumiceError, type Metric, type ObjectStore } from "../../src/base/mod.ts";
import { cloneStore, openDb, openReader, CachingObjectStore, DiskCache, prometheusText } from "../../src/entry/lsm.ts";
import { Db, DbReader, WriteBatch } from "../../src/lsm/mod.ts";
import { bytes, memoryWorld, overriding } from "./support/world.ts";

/** Names in the tables under "Metrics" of docs/lsm.md. */
function documented(): Set<string> {
  const page = readFileSync(fileURLToPath(new URL("../../docs/lsm.md", import.meta.url)), "utf8");
  const section = /^## Metrics\n([\s\S]*?)^## /m.exec(page)?.[1] ?? "";
  return new Set([...section.matchAll(/^\| `([a-z0-9_.]+)`/gm)].map((match) => match[1] as string));
}

const valueOf = (metric: Metric): number => (metric.kind === "histogram" ? metric.count : metric.value);

/** The sum of all metrics of that name and those labels. */
function total(metrics: readonly Metric[], name: string, labels: Readonly<Record<string, string>> = {}): number {
  const found = metrics.filter(
    (metric) => metric.name === name && Object.entries(labels).every(([key, value]) => metric.labels[key] === value),
  );
  assert.ok(found.length > 0, `there is ${name} ${JSON.stringify(labels)}`);
  return found.reduce((sum, metric) => sum + valueOf(metric), 0);
}

/** Names that were above zero at some time. */
class Moved {
  readonly names = new Set<string>();
  readonly all = new Set<string>();

  see(metrics: readonly Metric[]): void {
    for (const metric of metrics) {
      const name = `${metric.name}${JSON.stringify(metric.labels)}`;
      this.all.add(name);
      if (valueOf(metric) > 0) this.names.add(name);
    }
  }
}

const operator = { merge: (_: Uint8Array, existing: Uint8Array | undefined, operand: Uint8Array) => operand ?? existing };
const key = (i: number): Uint8Array => bytes(`key${String(i).padStart(6, "0")}`);

test("each metric of a writer moves with what it counts", async () => {
  const world = memoryWorld({ mergeOperator: operator });
  let failures = 0;
  const store: ObjectStore = {
    ...overriding(world.store, {
      putIf: async (name, body, condition, options) => {
        if (failures-- > 0) throw new PumiceError("STORE_UNAVAILABLE", { key: name });
        return await world.store.putIf(name, body, condition, options);
      },
    }),
    metrics: () => [{ kind: "gauge", name: "object_store_cache.cache_keys", help: "parts", labels: {}, value: 3 }],
  };
  const db = await Db.open(
    "db",
    { ...world.components, store },
    {
      gc: false,
      flushIntervalMs: undefined,
      compactor: { pollIntervalMs: 3_600_000, minSources: 8 },
      minFilterKeys: 1,
      unflushedBytesMax: 200_000,
      l0SstBytes: 100_000,
    },
  );
  const moved = new Moved();
  const look = (): Metric[] => {
    const metrics = db.metrics();
    moved.see(metrics);
    return metrics;
  };

  const empty = look();
  assert.equal(total(empty, "db.write_ops"), 0);
  assert.ok(total(empty, "object_store.request_count", { op: "put_if" }) > 0, "the manifest and the fence");

  await db.write(new WriteBatch().put(key(1), key(1)).put(key(2), key(2)));
  db.putSync(key(3), key(3));
  const written = look();
  assert.equal(total(written, "db.write_ops"), 3);
  assert.equal(total(written, "db.write_batch_count"), 2);
  assert.equal(total(written, "wal.wal_buffer_flushes"), 1);
  assert.ok(total(written, "wal.wal_buffer_estimated_bytes") > 0);
  assert.ok(total(written, "wal.wal_flush_bytes") > 0);
  assert.ok(total(written, "db.memtable_write_bytes") > 0);
  assert.equal(total(written, "db.last_seq"), 2);
  assert.equal(total(written, "db.durable_seq"), 1);

  failures = 2;
  await db.flush();
  assert.equal(total(look(), "object_store.error_count", { op: "put_if" }), 2);

  world.clock.nowMs -= 5000;
  db.putSync(key(4), key(4));
  assert.equal(total(look(), "clock.held_back_count"), 1);
  assert.equal(total(look(), "clock.ahead_ms_max"), 5000);
  world.clock.nowMs += 5000;

  // Operands wait for each other in the memtable and in two L0s, over a value.
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 50; i++) db.putSync(key(i * 2), bytes("x".repeat(50)));
    await db.merge(key(1), bytes("a"));
    await db.merge(key(1), bytes("b"));
    await db.flush("memtable");
  }
  await db.get(key(1));
  const flushed = look();
  assert.equal(total(flushed, "memtable_flush.l0_flush_count"), 2);
  assert.equal(total(flushed, "memtable_flush.memtable_freeze_count"), 2);
  assert.equal(total(flushed, "db.l0_sst_count"), 2);
  assert.ok(total(flushed, "db.l0_flush_bytes") > 0);
  assert.ok(total(flushed, "merge_operator_operands", { path: "flush" }) > 0);
  assert.ok(total(flushed, "merge_operator_operands", { path: "read" }) > 0);

  const gets = total(flushed, "db.request_count", { op: "get" });
  await db.get(key(10));
  await db.multiGet([key(10), key(12)]);
  db.getSync(key(12));
  for (let i = 0; i < 50; i++) await db.get(key(i * 2 + 1));
  const read = look();
  assert.equal(total(read, "db.request_count", { op: "get" }), gets + 54);
  assert.ok(total(read, "db.sst_filter_negative_count") >= 40, "absent keys are denied by filters");
  assert.ok(total(read, "db.sst_filter_positive_count") > 0);
  assert.ok(total(read, "db_cache.access_count", { entry_kind: "data_block", result: "hit" }) > 0);
  assert.ok(total(read, "db_cache.access_count", { entry_kind: "index", result: "miss" }) > 0);
  // By 10 bits a key one absent key in a hundred passes.
  for (let i = 0; i < 5000 && total(db.metrics(), "db.sst_filter_false_positive_count") === 0; i++) await db.get(bytes(`key000001x${i}`));
  assert.ok(total(look(), "db.sst_filter_false_positive_count") > 0);

  const scan = db.scan();
  await scan.nextBatch(1);
  const snapshot = db.snapshot();
  const transaction = db.begin();
  assert.ok(total(look(), "db.open_reads") >= 2);
  transaction.rollback();
  snapshot.close();
  scan.dispose();

  await db.compact();
  const compacted = look();
  assert.equal(total(compacted, "compactor.completed_count"), 1);
  assert.equal(total(compacted, "compactor.ssts_written"), 1);
  assert.equal(total(compacted, "db.sorted_run_count"), 1);
  assert.ok(total(compacted, "merge_operator_operands", { path: "compact" }) > 0);

  // More than may be unflushed: writes wait.
  for (let i = 0; i < 60; i++) void db.put(key(i), new Uint8Array(10_000), { awaitDurable: false });
  await db.flush("memtable");
  assert.ok(total(look(), "db.backpressure_count") > 0);

  await db.createCheckpoint({ lifetimeMs: 1000 });
  look();
  world.clock.nowMs += 86_400_000;
  await db.compact();
  db.putSync(key(1), key(1));
  await db.flush("memtable");
  await db.collectGarbage(0);
  const collected = look();
  assert.equal(total(collected, "gc.count"), 1);
  for (const resource of ["manifest", "wal", "compacted", "compactions", "checkpoint"])
    assert.ok(total(collected, "gc.deleted_count", { resource }) > 0, resource);

  const source = (await db.createCheckpoint({ lifetimeMs: 3_600_000 })).id;
  await db.close();
  await cloneStore("db", "clone", world.components, { checkpoint: source });
  const clone = await Db.open("clone", world.components, { gc: false, flushIntervalMs: undefined });
  moved.see(clone.metrics());
  assert.equal(total(clone.metrics(), "db.external_db_count"), 1);
  await clone.compact();
  world.clock.nowMs += 86_400_000;
  await clone.collectGarbage(0);
  await clone.collectGarbage(0);
  moved.see(clone.metrics());
  await clone.close();

  const still = [...moved.all].filter((name) => !moved.names.has(name));
  const excused = [/error_count/, /"op":"head"/, /"op":"put"/, /compactor\.(?:failed|running)/, /l0_stall/, /evicted/];
  assert.deepEqual(
    still.filter((name) => !excused.some((pattern) => pattern.test(name))),
    [],
    "these never moved",
  );
});

test("what waits for compaction, runs, fails and makes room in the cache is counted", async () => {
  const world = memoryWorld();
  let isBroken = true;
  const { promise: mayGoOn, resolve: goOn } = Promise.withResolvers<void>();
  const { promise: isThere, resolve: there } = Promise.withResolvers<void>();
  const compactionExecutor = {
    run: async () => {
      if (isBroken) throw new PumiceError("LSM_CORRUPT", { object: "planted" });
      there();
      await mayGoOn;
      return [];
    },
  };
  const settings = {
    gc: false,
    l0SstsMax: 2,
    compactor: { pollIntervalMs: 20, minSources: 2 },
    cacheBytes: 2000,
    flushIntervalMs: undefined,
  } as const;
  const db = await Db.open("db", { ...world.components, compactionExecutor }, settings);
  const fill = async (): Promise<void> => {
    for (let i = 0; i < 200; i++) db.putSync(key(i), bytes("some value"));
    await db.flush("memtable");
  };
  await fill();
  await fill();
  for (let i = 0; i < 200; i++) await db.get(key(i));
  assert.ok(total(db.metrics(), "db_cache.evicted_count") > 0);
  const third = fill();
  const deadline = performance.now() + 30_000;
  while (total(db.metrics(), "compactor.failed_count") === 0 || total(db.metrics(), "db.l0_stall_count") === 0) {
    assert.ok(performance.now() < deadline, "no failure, no stall");
    await new Promise((resolve) => setImmediate(resolve));
  }
  isBroken = false;
  await isThere;
  assert.equal(total(db.metrics(), "compactor.running_compactions"), 1);
  goOn();
  await third;
  assert.ok(total(db.metrics(), "compactor.last_compaction_timestamp_sec") > 0);
  await db.close();
});

test("a reader counts its own, and the WAL's store is counted apart", async () => {
  const world = memoryWorld();
  const walStore = memoryWorld().store;
  const components = { ...world.components, walStore };
  const db = await Db.open("db", components, { gc: false, compactor: false });
  await db.put(key(1), key(1));
  assert.ok(total(db.metrics(), "object_store.request_count", { store_type: "wal", op: "put_if" }) >= 2);
  const reader = await DbReader.open("db", components, { mode: "latest" });
  await reader.get(key(1));
  await reader.scan().toArray();
  await reader.refresh();
  const metrics = reader.metrics();
  assert.equal(total(metrics, "db.request_count", { op: "get" }), 1);
  assert.equal(total(metrics, "db.request_count", { op: "scan" }), 1);
  assert.equal(total(metrics, "reader.refresh_count"), 2);
  assert.equal(total(metrics, "reader.last_seq"), 1);
  assert.ok(total(metrics, "object_store.bytes_read", { store_type: "wal" }) > 0);
  await reader.close();
  await db.close();
});

test("requests of the compaction thread are on the bill, and those of the disk cache are told by their store", async () => {
  const folder = mkdtempSync(join(tmpdir(), "pumice-metrics-"));
  try {
    const db = await openDb(folder, "s", { gc: false, compactor: { pollIntervalMs: 3_600_000 } });
    for (let part = 0; part < 2; part++) {
      for (let i = 0; i < 500; i++) db.putSync(key(i), key(part));
      await db.flush("memtable");
    }
    const before = db.metrics();
    await db.compact();
    const after = db.metrics();
    const op = { op: "get_range" };
    assert.ok(total(after, "object_store.request_count", op) > total(before, "object_store.request_count", op), "the thread read the L0s");
    await db.close();

    const cache = await DiskCache.open({ folder: join(folder, "cache"), bytesMax: 1e8 });
    const inner = memoryWorld().store;
    const store = new CachingObjectStore({ store: inner, cache, storeName: "test" });
    const cached = await openDb(store, "s", { gc: false, compactor: false, cacheBytes: 0 });
    cached.putSync(key(1), key(1));
    await cached.flush("memtable");
    await cached.get(key(1));
    await store.close();
    await cached.get(key(1));
    assert.ok(total(cached.metrics(), "object_store_cache.part_access_count") >= 2);
    assert.ok(total(cached.metrics(), "object_store_cache.part_hit_count") >= 1);
    assert.ok(total(cached.metrics(), "object_store_cache.cache_bytes") > 0);
    await cached.close();

    const page = documented();
    const reader = await openReader(folder, "s", { mode: "latest" });
    const names = new Set([...after, ...cached.metrics(), ...reader.metrics()].map(({ name }) => name));
    await reader.close();
    assert.deepEqual(
      [...names].filter((name) => !page.has(name)),
      [],
      "not on the page",
    );
    assert.deepEqual(
      [...page].filter((name) => !names.has(name)),
      [],
      "only on the page",
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("the text is Prometheus' own: one head a family, labels quoted, histograms cumulated up to +Inf", () => {
  const text = prometheusText([
    { kind: "counter", name: "db.write_ops", help: "rows\nwritten", labels: {}, value: 3 },
    { kind: "gauge", name: "a.b", help: "x", labels: { op: 'a"b\\c\n' }, value: 1.5 },
    { kind: "gauge", name: "a.b", help: "x", labels: { op: "d" }, value: 2 },
    {
      kind: "histogram",
      name: "t",
      help: "h",
      labels: { op: "get" },
      count: 3,
      sum: 0.5,
      buckets: [
        { le: 0.1, count: 1 },
        { le: Infinity, count: 3 },
      ],
    },
  ]);
  assert.equal(
    text,
    String.raw`# HELP pumice_lsm_db_write_ops_total rows\nwritten
# TYPE pumice_lsm_db_write_ops_total counter
pumice_lsm_db_write_ops_total 3
# HELP pumice_lsm_a_b x
# TYPE pumice_lsm_a_b gauge
pumice_lsm_a_b{op="a\"b\\c\n"} 1.5
pumice_lsm_a_b{op="d"} 2
# HELP pumice_lsm_t h
# TYPE pumice_lsm_t histogram
pumice_lsm_t_bucket{op="get",le="0.1"} 1
pumice_lsm_t_bucket{op="get",le="+Inf"} 3
pumice_lsm_t_sum{op="get"} 0.5
pumice_lsm_t_count{op="get"} 3
`,
  );
  assert.equal(prometheusText([]), "");
});
