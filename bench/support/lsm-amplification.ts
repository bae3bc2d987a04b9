/** Write amplification: what is written to the store for each byte of keys and values, by kind of object, under a load of random overwrites. */
import { components, Db, LocalObjectStore, type ObjectStore } from "../../src/entry/lsm.ts";
import { keyOf, VALUE } from "./lsm-workload.ts";
import { seededRandom } from "../../src/base/mod.ts";

const ROW_BYTES = 116;
const MIB = 1_048_576;

/** How much, and how. */
export interface AmplificationLoad {
  /** MiB of keys and values to put. */
  readonly userMib: number;
  /** Size of a memtable, and so of an L0. */
  readonly l0Mib: number;
  /** Keys that are put again and again; fewer keys, more of what is written is overwritten later. */
  readonly keys: number;
}

/** `store`, which tells what is put into it. */
function counted(store: LocalObjectStore, count: (key: string, bytes: number) => void): ObjectStore {
  return {
    get: (key, options) => store.get(key, options),
    getRange: (key, range, options) => store.getRange(key, range, options),
    head: (key, options) => store.head(key, options),
    list: (prefix, options) => store.list(prefix, options),
    put: (key, body, options) => {
      count(key, body.length);
      return store.put(key, body, options);
    },
    putIf: (key, body, condition, options) => {
      count(key, body.length);
      return store.putIf(key, body, condition, options);
    },
    createFrom: (key, parts, options) => {
      async function* counting(): AsyncGenerator<Uint8Array> {
        for await (const part of parts) {
          count(key, part.length);
          yield part;
        }
      }
      return store.createFrom(key, counting(), options);
    },
    delete: (key, options) => store.delete(key, options),
  };
}

/** Bytes written for each byte of keys and values, by counters, until compaction has come to rest. */
export async function measureAmplification(root: string, load: AmplificationLoad): Promise<Record<string, number>> {
  const written = { wal: 0, ssts: 0, other: 0 };
  const store = counted(new LocalObjectStore({ root, isSynced: false }), (key, bytes) => {
    written[key.includes("/wal/") ? "wal" : key.includes("/compacted/") ? "ssts" : "other"] += bytes;
  });
  const db = await Db.open("db", components(store), { gc: false, l0SstBytes: load.l0Mib * MIB });
  const random = seededRandom(1);
  const rows = Math.floor((load.userMib * MIB) / ROW_BYTES);
  const started = performance.now();
  for (let i = 0; i < rows; i++) {
    await db.put(keyOf(random.below(load.keys)), VALUE, { awaitDurable: false });
    // Timers and the disk get their turn.
    if (i % 1000 === 0) await new Promise(setImmediate);
  }
  await db.flush("memtable");
  const loadedMs = performance.now() - started;
  while ((db.status().compactor?.running ?? 0) > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  const user = rows * ROW_BYTES;
  const compaction = db.status().compactor?.bytesWritten ?? 0;
  const figures = {
    "puts, /s, compaction beside on the same thread": (rows / loadedMs) * 1000,
    "L0s written": db.status().l0Flushes,
    compactions: db.status().compactor?.completed ?? 0,
    "runs at the end": db.status().sortedRuns,
    "WAL, bytes per byte put": written.wal / user,
    "L0, bytes per byte put": (written.ssts - compaction) / user,
    "compaction, bytes per byte put": compaction / user,
    "manifests and the like, bytes per byte put": written.other / user,
    "write amplification, all together": (written.wal + written.ssts + written.other) / user,
  };
  await db.close({ flush: "none" });
  return figures;
}
