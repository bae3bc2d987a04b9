/** What bench/lsm.ts measures of our engine. */
import { deflateSync } from "node:zlib";
import { components, Db, NOT_CACHED, WriteBatch, LocalObjectStore, type LsmOptions } from "../../src/entry/lsm.ts";
import { keyOf, percentile, perSecond, rssMiB, shuffled, VALUE } from "./lsm-workload.ts";

function open(root: string, options: LsmOptions = {}): Promise<Db> {
  return Db.open("db", components(new LocalObjectStore({ root, isSynced: false })), { gc: false, ...options });
}

/** All figures, by name. */
export async function measureOurs(root: string, rows: number): Promise<Record<string, number>> {
  const figures: Record<string, number> = {};
  const keys = shuffled(rows).map(keyOf);
  let db = await open(root);
  figures["put, not awaited, /s"] = await perSecond(rows, () => {
    for (const key of keys) db.putSync(key, VALUE);
  });
  figures["put, not awaited, /s (promise)"] = await perSecond(rows, async () => {
    for (const key of keys) await db.put(key, VALUE, { awaitDurable: false });
  });
  figures["batches of 100, rows/s"] = await perSecond(rows, async () => {
    for (let i = 0; i < rows; i += 100) {
      const batch = new WriteBatch();
      for (const key of keys.slice(i, i + 100)) batch.put(key, VALUE);
      await db.write(batch, { awaitDurable: false });
    }
  });
  figures["get from memtable, /s"] = await perSecond(rows, () => {
    for (const key of keys) if (db.getSync(key) === NOT_CACHED) throw new Error("not in the memtable");
  });
  figures["get from memtable, /s (promise)"] = await perSecond(rows, async () => {
    for (const key of keys) await db.get(key);
  });
  await db.flush("memtable");
  for (const key of keys) await db.get(key);
  figures["get from warm L0, /s"] = await perSecond(rows, async () => {
    for (const key of keys) if (db.getSync(key) === NOT_CACHED) await db.get(key);
  });
  figures["get from warm L0, /s (promise)"] = await perSecond(rows, async () => {
    for (const key of keys) await db.get(key);
  });
  const absent = keys.map((_, i) => keyOf(rows + i));
  figures["get absent, /s"] = await perSecond(rows, async () => {
    for (const key of absent) if (db.getSync(key) === NOT_CACHED) await db.get(key);
  });
  figures["scan, rows/s"] = await perSecond(rows, async () => {
    const scan = db.scan();
    let seen = 0;
    for (let batch = await scan.nextBatch(1000); batch.length > 0; batch = await scan.nextBatch(1000)) seen += batch.length;
    if (seen !== rows) throw new Error(`${seen} rows`);
  });
  const durable: number[] = [];
  for (let i = 0; i < 50; i++) {
    const started = performance.now();
    await db.put(keyOf(i), VALUE);
    durable.push(performance.now() - started);
  }
  figures["durable put, p50, ms"] = percentile(durable, 0.5);
  figures["memory at the end, MiB"] = rssMiB();
  for (const key of keys) db.putSync(key, VALUE);
  await db.close({ flush: "wal" });
  const started = performance.now();
  db = await open(root);
  await db.get(keyOf(0));
  figures["reopen with a WAL of all rows, ms"] = performance.now() - started;
  await db.close();
  return figures;
}

/** How the cost of a put and a get from warm tables grows with the rows. */
export async function measureGrowth(root: string): Promise<Record<string, number>> {
  const figures: Record<string, number> = {};
  for (const rows of [10_000, 100_000, 1_000_000]) {
    const db = await Db.open(`db${rows}`, components(new LocalObjectStore({ root, isSynced: false })), {
      gc: false,
      cacheBytes: 1_073_741_824,
    });
    const order = shuffled(rows);
    figures[`put, ${rows} rows, us`] =
      1e6 /
      (await perSecond(rows, async () => {
        for (const i of order) await db.put(keyOf(i), VALUE, { awaitDurable: false });
      }));
    await db.flush("memtable");
    const probes = order.slice(0, 10_000).map(keyOf);
    for (const key of probes) await db.get(key);
    figures[`get, ${rows} rows, us`] =
      1e6 /
      (await perSecond(probes.length, async () => {
        for (const key of probes) if (db.getSync(key) === NOT_CACHED) await db.get(key);
      }));
    await db.close();
  }
  return figures;
}

/** Compaction: MB/s of input, beside reading and writing the same bytes with the same codec and nothing else. */
export async function measureCompaction(root: string, rows: number): Promise<Record<string, number>> {
  const figures: Record<string, number> = {};
  for (const compression of ["none", "zlib"] as const) {
    const store = new LocalObjectStore({ root, isSynced: false });
    const db = await Db.open(`db-${compression}`, components(store), {
      gc: false,
      compression,
      compactor: { pollIntervalMs: 3_600_000, minSources: 100, maxSources: 100 },
      l0SstsMax: 100,
    });
    for (let part = 0; part < 4; part++) {
      for (const i of shuffled(rows)) await db.put(keyOf(i * 4 + part), VALUE, { awaitDurable: false });
      await db.flush("memtable");
    }
    const bytes = rows * 4 * 116;
    const started = performance.now();
    await db.compact();
    const seconds = (performance.now() - started) / 1000;
    figures[`compaction, ${compression}, MB/s`] = bytes / 1e6 / seconds;
    const ssts = db.manifest.runs.flatMap((run) => run.ssts);
    const copyStarted = performance.now();
    for (const sst of ssts) {
      const body = (await store.get(`db-${compression}/compacted/${sst.id}.sst`)) ?? new Uint8Array(0);
      if (compression === "zlib") for (let at = 0; at < bytes / ssts.length; at += 4096) deflateSync(new Uint8Array(4096).fill(at % 251));
      await store.put(`copy-${compression}-${sst.id}`, body);
    }
    figures[`copy of the same, ${compression}, MB/s`] = bytes / 1e6 / ((performance.now() - copyStarted) / 1000);
    const written = db.status().compactor?.bytesWritten ?? 0;
    figures[`bytes written per byte compacted, ${compression}`] = written / bytes;
    await db.close();
  }
  return figures;
}
