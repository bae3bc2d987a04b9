/** SSTs whose blocks are padded to an alignment, as SlateDB 0.18 writes them with `with_sst_block_alignment`: the index says how long a block is without its padding. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { concat, viewOf } from "../../src/base/mod.ts";
import { Admin, Db, DbReader, type LsmComponents, type SstInfo } from "../../src/lsm/mod.ts";
import { StoreContext } from "../../src/lsm/engine/context.ts";
import { LSM_DEFAULTS } from "../../src/lsm/engine/settings.ts";
import { withCrc, type Sealer } from "../../src/lsm/format/compression.ts";
import { FlatWriter } from "../../src/lsm/format/flat-writer.ts";
import { encodeManifest } from "../../src/lsm/format/manifest.ts";
import { decodeIndex, encodeIndex, writeInfo } from "../../src/lsm/format/sst-info.ts";
import { readFooter } from "../../src/lsm/format/sst-reader.ts";
import { bytes, fails, memoryWorld, openQuiet, text } from "./support/world.ts";

const ROWS = 400;

/** The SST with each block padded with zeros to a multiple of `alignment`. */
function aligned(sst: Uint8Array, sealer: Sealer, alignment: number): { body: Uint8Array; info: SstInfo } {
  const { info } = readFooter(sst, "sst", sealer);
  const { compression } = info;
  const section = (at: number, length: number): Uint8Array => sst.subarray(at, at + length);
  const index = decodeIndex(
    sealer.unseal(section(info.indexOffset, info.indexLength), compression, { object: "sst", offset: info.indexOffset }),
    "sst",
  );
  const blocks: Uint8Array[] = [];
  let offset = 0;
  const entries = index.map((entry, i) => {
    const block = sst.subarray(entry.offset, index[i + 1]?.offset ?? info.filterOffset);
    const padded = new Uint8Array(Math.ceil(block.length / alignment) * alignment);
    padded.set(block);
    blocks.push(padded);
    const encodedBytes = padded.length === block.length ? 0 : block.length;
    offset += padded.length;
    return { offset: offset - padded.length, firstKey: entry.firstKey, encodedBytes };
  });
  const filter = section(info.filterOffset, info.filterLength);
  const stats = section(info.statsOffset, info.statsLength);
  const newIndex = sealer.seal(encodeIndex(entries), compression);
  const indexOffset = offset + filter.length;
  const statsOffset = indexOffset + newIndex.length;
  const moved: SstInfo = { ...info, filterOffset: offset, indexOffset, indexLength: newIndex.length, statsOffset };
  const writer = new FlatWriter();
  const trailer = new Uint8Array(10);
  viewOf(trailer).setUint32(4, statsOffset + stats.length);
  viewOf(trailer).setUint16(8, 2);
  const footer = withCrc(writer.finish(writeInfo(writer, moved)), sealer.crc32);
  return { body: concat([...blocks, filter, newIndex, stats, footer, trailer]), info: moved };
}

/** A store with such an L0 and such a WAL object. Gives the L0's key. */
async function withAlignedBlocks(components: LsmComponents, compression: "none" | "lz4"): Promise<string> {
  const db = await openQuiet(components, { blockSizeBytes: 1024, compression, minFilterKeys: 10 });
  for (let i = 0; i < ROWS; i++) db.putSync(bytes(`k${String(i).padStart(3, "0")}`), bytes(`value ${i}`));
  await db.flush("memtable");
  for (let i = 0; i < 100; i++) db.putSync(bytes(`w${String(i).padStart(3, "0")}`), bytes(`later ${i}`.repeat(5)));
  await db.close({ flush: "wal" });
  const context = StoreContext.of("db", components, LSM_DEFAULTS);
  const { id, value: manifest } = await context.manifest();
  const [l0] = manifest.l0;
  assert.ok(l0 !== undefined);
  const key = context.paths.sst(l0.id);
  const { body, info } = aligned((await components.store.get(key)) ?? new Uint8Array(0), context.sealer, 4096);
  await components.store.put(key, body);
  await components.store.put(context.paths.manifest(id + 1), encodeManifest({ ...manifest, l0: [{ ...l0, info }] }));
  for (const wal of await context.walsAfter(manifest.replayAfterWalId)) {
    const stored = (await components.store.get(wal.key)) ?? new Uint8Array(0);
    if (stored.length > 256) await components.store.put(wal.key, aligned(stored, context.sealer, 4096).body);
  }
  return key;
}

async function mustHave(db: Pick<Db, "get" | "scan">): Promise<void> {
  for (let i = 0; i < ROWS; i++) assert.equal(text(await db.get(bytes(`k${String(i).padStart(3, "0")}`))), `value ${i}`);
  const rows = await db.scan({ order: "descending" }).toArray();
  assert.equal(rows.length, ROWS + 100);
  assert.equal(text(rows[0]?.value), "later 99".repeat(5));
}

for (const compression of ["none", "lz4"] as const) {
  test(`SSTs of aligned blocks are read, checked and merged (${compression})`, async () => {
    const { components } = memoryWorld();
    await withAlignedBlocks(components, compression);
    const admin = new Admin("db", components);
    assert.deepEqual((await admin.verify()).findings, []);
    assert.deepEqual((await admin.planRepair()).steps, []);
    const reader = await DbReader.open("db", components, { mode: "latest" });
    await mustHave(reader);
    await reader.close();
    await using db = await Db.open("db", components, { compactor: false, gc: false, cacheBytes: 0 });
    await db.warm("all");
    await mustHave(db);
    await db.compact();
    await mustHave(db);
    assert.deepEqual((await admin.verify()).findings, []);
  });
}

test("damage in an aligned block is found, and an index that says a block is longer than its place is damage", async () => {
  const { components, store } = memoryWorld();
  const key = await withAlignedBlocks(components, "none");
  const body = (await store.get(key)) ?? new Uint8Array(0);
  body[100] = (body[100] ?? 0) ^ 1;
  await store.put(key, body);
  assert.deepEqual(
    (await new Admin("db", components).verify()).findings.map(({ object }) => object),
    [key],
  );
  const firstKey = new Uint8Array(0);
  const overlapping = encodeIndex([
    { offset: 0, firstKey, encodedBytes: 200 },
    { offset: 100, firstKey: bytes("k"), encodedBytes: 0 },
  ]);
  assert.throws(() => decodeIndex(overlapping, "sst"), fails("LSM_CORRUPT"));
});
