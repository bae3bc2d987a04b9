/** How the costs of a put and a get grow with the keys: all in one memtable; and with flushes and compactions, read from warm tables. */
import { components, Db, LocalObjectStore, NOT_CACHED, type LsmOptions } from "../../src/entry/lsm.ts";
import { keyOf, perSecond, rssMiB, shuffled, VALUE } from "./lsm-workload.ts";

const PROBES = 10_000;
const PUTS_PER_TURN = 1000;
const MEMTABLE_BYTES_MAX = 2 ** 33;

/** The figures for that many keys, in microseconds an operation unless they say otherwise. */
export async function measureGrowth(root: string, keys: number): Promise<Record<string, number>> {
  const figures: Record<string, number> = {};
  const order = shuffled(keys);
  const probes = Array.from({ length: PROBES }, (_, i) => keyOf(order[(i * 7919) % keys] as number));
  const open = async (name: string, options: LsmOptions): Promise<Db> =>
    await Db.open(name, components(new LocalObjectStore({ root, isSynced: false })), { gc: false, cacheBytes: 2 ** 32, ...options });
  const put = async (db: Db): Promise<number> =>
    1e6 /
    (await perSecond(keys, async () => {
      for (const [turn, i] of order.entries()) {
        await db.put(keyOf(i), VALUE, { awaitDurable: false });
        // Timers and the disk get their turn: else nothing would leave before the end.
        if (turn % PUTS_PER_TURN === 0) await new Promise(setImmediate);
      }
    }));
  const get = async (db: Db): Promise<number> => {
    // Once to bring it near, once to measure.
    for (const key of probes) await db.get(key);
    return (
      1e6 /
      (await perSecond(PROBES, async () => {
        for (const key of probes) if (db.getSync(key) === NOT_CACHED) await db.get(key);
      }))
    );
  };

  let db = await open("memtable", { l0SstBytes: MEMTABLE_BYTES_MAX, unflushedBytesMax: MEMTABLE_BYTES_MAX, compactor: false });
  figures["put, all in one memtable"] = await put(db);
  figures["get from that memtable"] = await get(db);
  figures["memory then, MiB"] = rssMiB();
  await db.close({ flush: "none" });

  db = await open("tables", {});
  figures["put, default settings, compaction beside"] = await put(db);
  await db.flush("memtable");
  await db.compact();
  figures["get from warm tables"] = await get(db);
  figures["memory at the end, MiB"] = rssMiB();
  await db.close();
  return figures;
}
