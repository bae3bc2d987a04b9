/** The same work done by each engine in a store of its own: every answer must be the same, to sequence numbers and expiries. */
import { seededRandom } from "../../../src/base/mod.ts";
import { WriteBatch, type Db } from "../../../src/lsm/mod.ts";
import type { InteropCase } from "./cases.ts";
import { bytes, COMPACTING, must, openOurs, openTheirs, slate, text } from "./oracle.ts";

const FAR_MS = 4_000_000_000_000;
const KEYS = 25;

/** A row as both can tell it. */
function rowText(
  row: { key: Uint8Array; value: Uint8Array; seq: number | bigint; expire: number | bigint | undefined } | undefined,
): string {
  return row === undefined ? "-" : `${text(row.key)}=${text(row.value)} seq=${row.seq} expires=${row.expire ?? "never"}`;
}

async function ourAnswers(db: Db): Promise<string[]> {
  const answers: string[] = [];
  for (let i = 0; i < KEYS; i++) {
    const row = await db.getRow(bytes(`k${i}`));
    answers.push(rowText(row === undefined ? undefined : { ...row, expire: row.expireTs }));
  }
  for (const row of await db.scan({ gte: bytes("k1"), lt: bytes("k2") }).toArray()) answers.push(rowText({ ...row, expire: row.expireTs }));
  return answers;
}

async function theirAnswers(db: slate.Db): Promise<string[]> {
  const answers: string[] = [];
  for (let i = 0; i < KEYS; i++) {
    const row = await db.get_key_value(bytes(`k${i}`));
    answers.push(rowText(row === undefined ? undefined : { ...row, expire: row.expire_ts }));
  }
  const scan = await db.scan({ start: bytes("k1"), start_inclusive: true, end: bytes("k2"), end_inclusive: false });
  for (let row = await scan.next(); row !== undefined; row = await scan.next()) answers.push(rowText({ ...row, expire: row.expire_ts }));
  return answers;
}

/** All cases of this file. */
export const sameWorkCases: readonly InteropCase[] = [1, 2, 3].map((seed) => ({
  name: `the same work in two stores gives the same rows, sequence numbers and expiries (seed ${seed})`,
  isQuick: seed === 1,
  run: async (root: string) => {
    const random = seededRandom(seed);
    let ours = await openOurs(`${root}/ours`, { l0SstsMax: 10_000 });
    let theirs = await openTheirs(`${root}/theirs`, { settings: { l0_max_ssts: 10_000 } });
    const compare = async (when: string): Promise<void> => {
      const [mine, other] = [await ourAnswers(ours), await theirAnswers(theirs)];
      const at = mine.findIndex((answer, i) => answer !== other[i]);
      must(at === -1 && mine.length === other.length, `${when}: ours ${mine[at]}, SlateDB ${other[at]}`);
    };
    for (let step = 0; step < 250; step++) {
      const batch = new WriteBatch();
      const theirBatch = new slate.WriteBatch();
      const used = new Set<number>();
      for (let i = 1 + random.below(4); i > 0; i--) {
        const number = random.below(KEYS);
        // One operation a key: operands of one batch with other expiries are refused here, and lost there.
        if (used.has(number)) continue;
        used.add(number);
        const [key, value, roll] = [bytes(`k${number}`), bytes(`${step}.`), random.below(10)];
        const at = random.below(3) === 0 ? FAR_MS + random.below(5) * 1000 : undefined;
        const [ttl, theirTtl] =
          at === undefined ? (["never", slate.Ttl.NoExpiry()] as const) : ([{ atMs: at }, slate.Ttl.ExpireAt(at)] as const);
        if (roll < 4) {
          batch.put(key, value, { ttl });
          theirBatch.put_with_options(key, value, { ttl: theirTtl });
        } else if (roll < 6) {
          batch.delete(key);
          theirBatch.delete(key);
        } else {
          batch.merge(key, value, { ttl });
          theirBatch.merge_with_options(key, value, { ttl: theirTtl });
        }
      }
      await ours.write(batch, { awaitDurable: false });
      await theirs.write_with_options(theirBatch, { await_durable: false });
      if (random.below(12) === 0) {
        await compare(`step ${step}`);
        await ours.flush("memtable");
        await theirs.flush_with_options({ flush_type: slate.FlushType.MemTable });
        await compare(`step ${step}, flushed`);
      }
      if (random.below(60) === 0) {
        await ours.compact();
        await ours.close();
        await theirs.flush();
        await theirs.shutdown();
        ours = await openOurs(`${root}/ours`, { l0SstsMax: 10_000 });
        theirs = await openTheirs(`${root}/theirs`, {
          settings: { l0_max_ssts: 10_000, compactor_options: { ...COMPACTING, scheduler_options: { min_compaction_sources: "2" } } },
        });
        await compare(`step ${step}, reopened`);
      }
    }
    await compare("in the end");
    await ours.close();
    await theirs.shutdown();
  },
}));
