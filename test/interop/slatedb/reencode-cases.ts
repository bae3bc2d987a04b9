/** Many stores of SlateDB under all its settings of the format: every file is made again from what was read of it. */
import { join } from "node:path";
import { COMPRESSIONS } from "../../../src/lsm/mod.ts";
import { Admin } from "../../../src/lsm/mod.ts";
import type { InteropCase } from "./cases.ts";
import { COMPACTING, must, openTheirReader, openTheirs, ourComponents, slate, waitUntil } from "./oracle.ts";
import { reencodeAll } from "./reencode.ts";
import { RichWorkload } from "./rich-workload.ts";

const BLOCKS = {
  Block1Kib: 1024,
  Block2Kib: 2048,
  Block4Kib: 4096,
  Block8Kib: 8192,
  Block16Kib: 16_384,
  Block32Kib: 32_768,
  Block64Kib: 65_536,
} as const;

/** All cases of this file. */
export const reencodeCases: readonly InteropCase[] = [
  {
    name: "35 stores of SlateDB, each codec with each block size: blocks, indexes, filters, statistics, infos, manifests, compactions again to the byte",
    run: async (root) => {
      let seed = 100;
      for (const compression of COMPRESSIONS) {
        for (const [block, blockSizeBytes] of Object.entries(BLOCKS)) {
          const work = new RichWorkload(seed++);
          const how = { blockSizeBytes, minFilterKeys: work.pick([1, 20, 1000]), filterBitsPerKey: work.pick([1, 2, 7, 10, 23]) };
          const sub = join(root, `${compression}-${block}`);
          const settings = {
            compression_codec: compression === "none" ? null : `${compression[0]?.toUpperCase()}${compression.slice(1)}`,
            min_filter_keys: how.minFilterKeys,
            filter_bits_per_key: how.filterBitsPerKey,
            compactor_options: seed % 5 === 0 ? { ...COMPACTING, scheduler_options: { min_compaction_sources: "2" } } : null,
          };
          const db = await openTheirs(sub, { settings, blockSize: block as keyof typeof BLOCKS });
          const reader = seed % 4 === 0 ? await openTheirReader(sub, {}) : undefined;
          for (let i = 0; i < 3; i++) {
            await work.byThem(db, 8);
            await db.flush_with_options({ flush_type: slate.FlushType.MemTable });
          }
          if (settings.compactor_options !== null) {
            const admin = new Admin("db", ourComponents(sub));
            await waitUntil("SlateDB compacts", async () => (await admin.readManifest()).value.runs.length > 0);
          }
          await reader?.shutdown();
          await db.shutdown();
          must(reencodeAll(sub, how) >= 10, "there are files");
        }
      }
    },
  },
];
