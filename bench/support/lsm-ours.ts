/** What bench/lsm.ts measures of our engine. */
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
