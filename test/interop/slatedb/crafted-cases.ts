/** Files that neither engine writes today and that both must read, or that only one of them reads: what the other does with them is on record here. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isPumiceError } from "../../../src/base/mod.ts";
import { nodeCrc32 } from "../../../src/host/mod.ts";
import { Admin, DbReader } from "../../../src/lsm/mod.ts";
import { encodeCompactions } from "../../../src/lsm/format/compactions.ts";
import { Sealer } from "../../../src/lsm/format/compression.ts";
import { flatRef, flatU64, flatU8, FlatWriter } from "../../../src/lsm/format/flat-writer.ts";
import { ulidFromHalves, ulidToHalves } from "../../../src/lsm/format/identifiers.ts";
import { decodeManifest, withVersion, writeHalves, type Manifest, type SstRef } from "../../../src/lsm/format/manifest.ts";
import { TOMBSTONE, VALUE, type Row } from "../../../src/lsm/format/row.ts";
import { writeInfo } from "../../../src/lsm/format/sst-info.ts";
import { SstWriter } from "../../../src/lsm/format/sst-writer.ts";
import type { InteropCase } from "./cases.ts";
import { changeManifest, seed, walFile } from "./dangerous.ts";
import { craftSst, type Craft } from "./crafted.ts";
import {
  bytes,
  COMPACTING,
  errorOf,
  lastFile,
  must,
  openOurs,
  openTheirs,
  ourComponents,
  ourRows,
  slate,
  text,
  theirRows,
  waitUntil,
} from "./oracle.ts";

const ROWS: readonly Row[] = Array.from({ length: 60 }, (_, i) => ({
  key: bytes(`key-${String(i).padStart(3, "0")}`),
  kind: i % 10 === 7 ? TOMBSTONE : VALUE,
  value: bytes(i % 10 === 7 ? "" : `value-${i}`),
  seq: 1,
  createTs: i % 3 === 0 ? undefined : 1000 + i,
  // A tombstone of format 1 may have an expiry on disk.
  expireTs: i % 5 === 2 ? 4_000_000_000_000 : undefined,
}));

/** Puts a crafted SST in the place of the store's only L0. */
function replaceL0(root: string, craft: Craft): void {
  const { bytes: file, info } = craftSst(ROWS, craft);
  writeFileSync(lastFile(root, "compacted"), file);
  changeManifest(root, (manifest) => ({
    ...manifest,
    l0: manifest.l0.map((sst) => ({ ...sst, info, formatVersion: craft.formatVersion })),
  }));
}

const VISIBLE = ROWS.filter((row) => row.kind === VALUE);

async function bothSee(root: string): Promise<void> {
  const theirs = await openTheirs(root);
  for (const row of ROWS)
    must(text(await theirs.get(row.key)) === (row.kind === VALUE ? text(row.value) : undefined), `SlateDB's get of ${text(row.key)}`);
  must([...(await theirRows(theirs)).keys()].length === VISIBLE.length + 3, "SlateDB's scan");
  await theirs.shutdown();
  const ours = await openOurs(root);
  for (const row of ROWS)
    must(text(await ours.get(row.key)) === (row.kind === VALUE ? text(row.value) : undefined), `our get of ${text(row.key)}`);
  must((await ourRows(ours)).size === VISIBLE.length + 3, "our scan");
  await ours.compact();
  must((await ourRows(ours)).size === VISIBLE.length + 3, "our scan after compacting it");
  await ours.close();
}

function readable(name: string, craft: Craft): InteropCase {
  return {
    name: `${name}: both read it, and we compact it`,
    isDangerous: true,
    run: async (root) => {
      await seed(root);
      replaceL0(root, craft);
      await bothSee(root);
    },
  };
}

/** The manifest of version 1 with one L0 whose format version is left out, as SlateDB before 0.11 wrote it. */
function withoutFormatVersion(manifest: Manifest): Uint8Array {
  const writer = new FlatWriter();
  const sst = manifest.l0[0] as SstRef;
  const parts = [flatRef(0, writeHalves(writer, ulidToHalves(sst.id))), flatRef(1, writeInfo(writer, sst.info))];
  const l0 = writer.refs([writer.table(parts)]);
  const empty = writer.refs([]);
  const tracker = writer.bytes(manifest.sequenceTracker);
  const root = writer.table([
    flatU8(2, 1),
    flatU64(3, manifest.writerEpoch),
    flatU64(5, manifest.replayAfterWalId),
    flatU64(6, manifest.walIdLastSeen),
    flatRef(8, l0),
    flatRef(9, empty),
    flatU64(10, BigInt(manifest.lastL0ClockTick)),
    flatRef(11, empty),
    flatU64(12, manifest.lastL0Seq),
    flatU64(14, manifest.recentSnapshotMinSeq),
    flatRef(15, tracker),
  ]);
  return withVersion(1, writer.finish(root));
}

/** A compactions file that says that a compaction of all L0s is under way. */
function interruptedCompaction(root: string, manifest: Manifest): void {
  mkdirSync(join(root, "db/compactions"), { recursive: true });
  const { high, low } = ulidToHalves(manifest.l0[0]?.id ?? "");
  const l0 = manifest.l0.map((sst) => sst.viewId);
  const job = {
    id: ulidFromHalves({ high, low: low + 1n }),
    spec: { l0, runs: [], destination: 0 },
    status: "running",
    outputs: [],
  } as const;
  const file = encodeCompactions({ compactorEpoch: manifest.compactorEpoch, compactions: [job] }, 1);
  writeFileSync(join(root, "db/compactions", `${"1".padStart(20, "0")}.compactions`), file);
}

async function manifestOf(root: string): Promise<Manifest> {
  return (await new Admin("db", ourComponents(root)).readManifest()).value;
}

/** A manifest of version 2 in which the L0 is moved into a segment. */
function intoSegment(root: string): void {
  changeManifest(root, (manifest) => ({
    ...manifest,
    l0: [],
    segmentExtractor: "by-first-byte",
    segments: [{ prefix: bytes("k"), l0LastCompacted: undefined, l0: manifest.l0, runs: [] }],
  }));
}

/** All cases of this file. */
export const craftedCases: readonly InteropCase[] = [
  readable("an SST of format 1, with tombstones that have an expiry", { formatVersion: 1 }),
  readable("an SST of format 1, zlib", { formatVersion: 1, compression: "zlib" }),
  readable("an SST with a restart every 4 entries, without statistics and filter", { formatVersion: 2, restartEvery: 4 }),
  readable("the same in zstd", { formatVersion: 2, restartEvery: 1, compression: "zstd" }),
  {
    name: "the footer of an L0 is destroyed: both read on, as they use the copy in the manifest; our verify reads sections, not footers",
    isDangerous: true,
    run: async (root) => {
      await seed(root);
      const path = lastFile(root, "compacted");
      const file = new Uint8Array(readFileSync(path));
      file.fill(0, file.length - 20);
      writeFileSync(path, file);
      const theirs = await openTheirs(root);
      must(text(await theirs.get(bytes("k1"))) === "v1", "SlateDB reads");
      await theirs.shutdown();
      const ours = await openOurs(root);
      must(text(await ours.get(bytes("k1"))) === "v1", "we read");
      await ours.close();
    },
  },
  {
    name: "an L0 of format 2 without its format version: SlateDB panics, which is why it is always written; we say what is wrong",
    isDangerous: true,
    run: async (root) => {
      await seed(root);
      const path = lastFile(root, "manifest");
      writeFileSync(path, withoutFormatVersion(decodeManifest(new Uint8Array(readFileSync(path)), path)));
      const ours = await openOurs(root);
      const error = await errorOf(async () => await ours.get(bytes("k1")));
      must(isPumiceError(error, "LSM_CORRUPT"), `we refuse the block: ${String(error)}`);
      await ours.close({ flush: "none" });
      const theirs = await openTheirs(root);
      const other = await errorOf(async () => await theirs.get(bytes("k1")), 3000);
      must(other !== undefined, "SlateDB does not answer");
    },
  },
  {
    name: "a manifest of version 2 without segments: SlateDB opens it and writes version 1 again; so do we",
    isDangerous: true,
    run: async (root) => {
      await seed(root);
      const path = lastFile(root, "manifest");
      // A view with an id of its own is what makes version 2 necessary here.
      changeManifest(root, (manifest) => ({
        ...manifest,
        l0: manifest.l0.map((sst) => ({ ...sst, viewId: `${sst.id.slice(0, -1)}${sst.id.endsWith("0") ? "1" : "0"}` })),
      }));
      must(readFileSync(path)[1] === 2, "it is of version 2");
      const theirs = await openTheirs(root);
      must((await theirRows(theirs)).size === 6, "SlateDB reads all");
      await theirs.shutdown();
      must(readFileSync(lastFile(root, "manifest"))[1] === 1, "SlateDB writes version 1");
      const ours = await openOurs(root);
      must((await ourRows(ours)).size === 6, "we read all");
      await ours.close();
      must(readFileSync(lastFile(root, "manifest"))[1] === 1, "we write version 1");
    },
  },
  {
    name: "a store with segments: SlateDB 0.12.1 sees no row of them and drops them; we read them and refuse to write",
    isDangerous: true,
    run: async (root) => {
      await seed(root);
      intoSegment(root);
      const reader = await DbReader.open("db", ourComponents(root), { mode: "latest" });
      must((await ourRows(reader)).size === 6, "our reader sees root, segment and WAL");
      await reader.close();
      const refused = await errorOf(async () => await openOurs(root));
      must(isPumiceError(refused, "LSM_SEGMENTED"), `we refuse to write: ${String(refused)}`);
      must((await new Admin("db", ourComponents(root)).verify()).findings.length === 0, "it verifies");
      const theirs = await openTheirs(root);
      must((await theirRows(theirs)).size === 3, "SlateDB 0.12.1 sees the WAL's rows only");
      await theirs.shutdown();
      must((await manifestOf(root)).segments.length === 0, "and has dropped the segments");
    },
  },
  {
    name: "an SST of kind WAL without rows as fence: both replay over it",
    isDangerous: true,
    run: async (root) => {
      await seed(root);
      const settings = {
        blockSizeBytes: 4096,
        compression: "none",
        minFilterKeys: 1000,
        filterBitsPerKey: 10,
        filterFormat: "legacy",
      } as const;
      writeFileSync(walFile(root, -1), new SstWriter("wal", settings, new Sealer({ crc32: nodeCrc32 })).finish().bytes);
      const theirs = await openTheirs(root);
      must((await theirRows(theirs)).size === 6, "SlateDB reads");
      await theirs.shutdown();
      const ours = await openOurs(root);
      must((await ourRows(ours)).size === 6, "we read");
      await ours.close();
    },
  },
  {
    name: "an object of no bytes below the replay point, and a boundary of garbage collection: SlateDB ignores both, we know the profile",
    isDangerous: true,
    run: async (root) => {
      await seed(root);
      const first = await openOurs(root);
      await first.put(bytes("more"), bytes("1"));
      await first.close();
      const { replayAfterWalId } = await manifestOf(root);
      writeFileSync(join(root, "db/wal", `${String(replayAfterWalId - 1).padStart(20, "0")}.sst`), new Uint8Array(0));
      mkdirSync(join(root, "db/gc"));
      writeFileSync(join(root, "db/gc/manifest.boundary"), "1");
      const theirs = await openTheirs(root);
      must((await theirRows(theirs)).size === 7, "SlateDB reads");
      await theirs.put(bytes("theirs"), bytes("1"));
      await theirs.shutdown();
      must(isPumiceError(await errorOf(async () => await openOurs(root, { compat: "0.12" })), "LSM_DOWNGRADE"), "no implicit downgrade");
      const ours = await openOurs(root);
      must(ours.profile === "0.14" && (await ourRows(ours)).size === 8, "we read, as 0.14");
      await ours.close();
    },
  },
  {
    name: "a tick 2 s ahead of the wall clock: SlateDB waits and then writes, we write at once",
    isDangerous: true,
    run: async (root) => {
      await seed(root);
      const tick = Date.now() + 2000;
      changeManifest(root, (manifest) => ({ ...manifest, lastL0ClockTick: tick }));
      const ours = await openOurs(root);
      const started = performance.now();
      const handle = await ours.put(bytes("ours"), bytes("1"));
      must(performance.now() - started < 1000 && handle.createTs === tick, "we use the tick again, at once");
      await ours.close();
      const theirs = await openTheirs(root);
      const before = performance.now();
      const written = await theirs.put(bytes("theirs"), bytes("1"));
      must(Number(written.create_ts) >= tick, "SlateDB's stamp does not go back");
      must(performance.now() - before < 8000, "and comes in the end");
      await theirs.shutdown();
    },
  },
  {
    name: "SlateDB takes over a compaction that is listed as running, and so do we: no row is lost, no run is doubled",
    isDangerous: true,
    run: async (root) => {
      for (const who of ["ours", "theirs"]) {
        const sub = join(root, who);
        const db = await openOurs(sub);
        for (let i = 0; i < 3; i++) {
          for (let k = 0; k < 50; k++) db.putSync(bytes(`k${k * (i + 1)}`), bytes(String(i)));
          await db.flush("memtable");
        }
        const rows = (await ourRows(db)).size;
        await db.close();
        interruptedCompaction(sub, await manifestOf(sub));
        if (who === "ours") {
          const again = await openOurs(sub, { compactor: { pollIntervalMs: 20 } });
          await waitUntil("we finish it", () => again.manifest.l0.length === 0 && again.manifest.runs.length === 1);
          must((await ourRows(again)).size === rows, "every row");
          await again.close();
        } else {
          const again = await openTheirs(sub, { settings: { compactor_options: COMPACTING } });
          await waitUntil("SlateDB ends it", () => readdirSync(join(sub, "db/compactions")).length > 2);
          must((await theirRows(again)).size === rows, "every row");
          await again.shutdown();
        }
        must((await new Admin("db", ourComponents(sub)).verify()).findings.length === 0, `${who}: it verifies`);
      }
    },
  },
  {
    name: "a checkpoint of a state in a store that SlateDB compacts: its old SSTs stay readable to us",
    isQuick: true,
    run: async (root) => {
      const ours = await openOurs(root);
      for (let i = 0; i < 4; i++) {
        for (let k = 0; k < 40; k++) ours.putSync(bytes(`k${k}`), bytes(String(i)));
        await ours.flush("memtable");
      }
      const { id } = await ours.createCheckpoint({ lifetimeMs: 3_600_000 });
      await ours.close();
      const theirs = await openTheirs(root, { settings: { compactor_options: COMPACTING } });
      await theirs.put(bytes("k0"), bytes("later"));
      await waitUntil("SlateDB compacts", async () => (await manifestOf(root)).runs.length > 0);
      await theirs.flush_with_options({ flush_type: slate.FlushType.MemTable });
      await theirs.shutdown();
      const reader = await DbReader.open("db", ourComponents(root), { mode: { checkpoint: id } });
      must((await ourRows(reader)).size === 40 && text(await reader.get(bytes("k0"))) === "3", "the checkpoint's state");
      await reader.close();
      const kept = (await manifestOf(root)).checkpoints;
      must(kept.length >= 2 && kept.some((checkpoint) => checkpoint.id === id), "SlateDB's own 15-minute checkpoint stands beside ours");
      must((await new Admin("db", ourComponents(root)).verify()).findings.length === 0, "all of them verify");
    },
  },
];
