/** The same operations under many option sets give the same answers: block size, codec, memtable size, WAL, filter, cache, compaction, profile. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom, type Random } from "../../src/base/mod.ts";
import { COMPRESSIONS, Db, WriteBatch, type LsmOptions, type MergeOperator } from "../../src/lsm/mod.ts";
import { bytes, memoryWorld, text } from "./support/world.ts";

const append: MergeOperator = { merge: (_key, existing, operand) => bytes((text(existing) ?? "") + (text(operand) ?? "")) };

/** Applies the same random operations; the answers to all reads on the way, as text. `when` says when to flush, compact and reopen. */
async function answers(seed: number, options: LsmOptions, when: Random): Promise<string[]> {
  const random = seededRandom(seed);
  const { components } = memoryWorld({ mergeOperator: append });
  let db = await Db.open("db", components, { gc: false, ...options });
  const all: string[] = [];
  const key = (): Uint8Array => bytes(`k${"p".repeat(random.below(3))}${random.below(150)}`);
  for (let i = 0; i < 500; i++) {
    const roll = random.below(100);
    if (roll < 40) await db.put(key(), bytes(`v${i}`.repeat(random.below(8))), { awaitDurable: false });
    else if (roll < 55) await db.delete(key(), { awaitDurable: false });
    else if (roll < 65) await db.merge(key(), bytes(`+${i}`), { awaitDurable: false });
    else if (roll < 72)
      await db.write(new WriteBatch().put(key(), bytes("b")).delete(key()).merge(key(), bytes("m")), { awaitDurable: false });
    else if (roll < 90) all.push(text(await db.get(key())) ?? "-");
    else {
      const order = random.below(2) === 0 ? "ascending" : "descending";
      const rows = await db.scan({ gte: key(), order }).toArray(20);
      all.push(rows.map((row) => `${text(row.key)}=${text(row.value)}`).join());
    }
    const event = when.below(100);
    if (event < 3) await db.flush("memtable");
    else if (event === 3) await db.compact();
    else if (event === 4) {
      await db.close(when.below(2) === 0 || options.walEnabled === false ? {} : { flush: "wal" });
      db = await Db.open("db", components, { gc: false, ...options });
    }
  }
  all.push((await db.scan().toArray()).map((row) => `${text(row.key)}=${text(row.value)}`).join());
  await db.close();
  return all;
}

function drawOptions(random: Random): LsmOptions {
  const pick = <T>(list: readonly T[]): T => list[random.below(list.length)] as T;
  return {
    compat: pick(["0.12", "0.14"]),
    blockSizeBytes: pick([1024, 4096, 65_536]),
    compression: pick(COMPRESSIONS),
    l0SstBytes: pick([500, 5000, 67_108_864]),
    walEnabled: random.below(4) > 0,
    minFilterKeys: pick([0, 10, 1000]),
    filterBitsPerKey: pick([1, 10, 20]),
    cacheBytes: pick([0, 10_000, 67_108_864]),
    flushIntervalMs: pick([undefined, 1, 100]),
    compactor: { pollIntervalMs: 20, checkpointLifetimeMs: 0, maxSstBytes: pick([1000, 100_000]), movesTrivially: random.below(2) === 0 },
  };
}

const SEED = Number(process.env["PUMICE_SEED"] ?? 20_261_121);

test(`options change no answer (PUMICE_SEED=${SEED})`, async () => {
  const random = seededRandom(SEED);
  for (let group = 0; group < 3; group++) {
    const expected = await answers(SEED + group, { compactor: false, l0SstsMax: 10_000 }, seededRandom(1));
    for (let variant = 0; variant < 5; variant++) {
      const options = drawOptions(random);
      const found = await answers(SEED + group, options, random);
      const differs = found.findIndex((answer, i) => answer !== expected[i]);
      assert.equal(
        differs,
        -1,
        `seed=${SEED + group} options=${JSON.stringify(options)} answer ${differs}: ${found[differs]} instead of ${expected[differs]}`,
      );
    }
  }
});
