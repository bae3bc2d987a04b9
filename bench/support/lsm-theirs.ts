/** What bench/lsm.ts measures of SlateDB's own binding. Its settings are its defaults. */
import * as slate from "@slatedb/uniffi";
import { keyOf, percentile, perSecond, rssMiB, shuffled, VALUE } from "./lsm-workload.ts";

async function open(root: string): Promise<slate.Db> {
  const builder = new slate.DbBuilder("db", slate.ObjectStore.resolve(`file://${root}`));
  const settings = slate.Settings.default();
  settings.set("garbage_collector_options", "null");
  builder.with_settings(settings);
  return await builder.build();
}

const notDurable = { await_durable: false };

/** All figures, by name. */
export async function measureTheirs(root: string, rows: number): Promise<Record<string, number>> {
  const figures: Record<string, number> = {};
  const keys = shuffled(rows).map(keyOf);
  const putOptions = { ttl: slate.Ttl.Default() };
  let db = await open(root);
  figures["put, not awaited, /s"] = await perSecond(rows, async () => {
    for (let i = 0; i < rows; i += 256)
      await Promise.all(keys.slice(i, i + 256).map((key) => db.put_with_options(key, VALUE, putOptions, notDurable)));
  });
  figures["batches of 100, rows/s"] = await perSecond(rows, async () => {
    for (let i = 0; i < rows; i += 100) {
      const batch = new slate.WriteBatch();
      for (const key of keys.slice(i, i + 100)) batch.put(key, VALUE);
      await db.write_with_options(batch, notDurable);
    }
  });
  figures["get from memtable, /s"] = await perSecond(rows, async () => {
    for (const key of keys) await db.get(key);
  });
  await db.flush_with_options({ flush_type: slate.FlushType.MemTable });
  for (const key of keys) await db.get(key);
  figures["get from warm L0, /s"] = await perSecond(rows, async () => {
    for (const key of keys) await db.get(key);
  });
  const absent = keys.map((_, i) => keyOf(rows + i));
  figures["get absent, /s"] = await perSecond(rows, async () => {
    for (const key of absent) await db.get(key);
  });
  figures["scan, rows/s"] = await perSecond(rows, async () => {
    const scan = await db.scan({ start: undefined, start_inclusive: true, end: undefined, end_inclusive: false });
    let seen = 0;
    while ((await scan.next()) !== undefined) seen++;
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
  for (let i = 0; i < rows; i += 256)
    await Promise.all(keys.slice(i, i + 256).map((key) => db.put_with_options(key, VALUE, putOptions, notDurable)));
  await db.shutdown();
  const started = performance.now();
  db = await open(root);
  await db.get(keyOf(0));
  figures["reopen with a WAL of all rows, ms"] = performance.now() - started;
  await db.shutdown();
  return figures;
}
