/** Cases that may hang or crash SlateDB: damaged stores, and stores of newer profiles. What we do with them is checked beside. */
import { rmSync, writeFileSync } from "node:fs";
import { isPumiceError, type ErrorCode } from "../../../src/base/mod.ts";
import { COMPRESSIONS } from "../../../src/lsm/mod.ts";
import { nodeCrc32 } from "../../../src/host/mod.ts";
import { encodeCompactions } from "../../../src/lsm/format/compactions.ts";
import { Sealer } from "../../../src/lsm/format/compression.ts";
import { decodeManifest, encodeManifest, type Manifest, type SstRef } from "../../../src/lsm/format/manifest.ts";
import { VALUE } from "../../../src/lsm/format/row.ts";
import { SstWriter } from "../../../src/lsm/format/sst-writer.ts";
import type { InteropCase } from "./cases.ts";
import { bytes, errorOf, lastFile, must, openOurs, openTheirs, patchFile, slate, text } from "./oracle.ts";

const sealer = new Sealer({ crc32: nodeCrc32 });

/** A store of ours with an L0 of k0.. and WAL objects of w0.. */
export async function seed(root: string, rows = 3): Promise<void> {
  const db = await openOurs(root);
  for (let i = 0; i < rows; i++) db.putSync(bytes(`k${i}`), bytes(`v${i}`));
  await db.flush("memtable");
  for (let i = 0; i < 3; i++) await db.put(bytes(`w${i}`), bytes(`x${i}`));
  await db.close({ flush: "wal" });
}

/** Changes the manifest in force in place. */
export function changeManifest(root: string, change: (manifest: Manifest) => Manifest): void {
  patchFile(lastFile(root, "manifest"), (file) => encodeManifest(change(decodeManifest(file, "manifest"))));
}

/** A case where both must refuse to open. */
function bothRefuse(name: string, damage: (root: string) => void, code: ErrorCode): InteropCase {
  return {
    name: `${name}: neither engine opens`,
    isDangerous: true,
    run: async (root) => {
      await seed(root);
      damage(root);
      const ours = await errorOf(async () => await openOurs(root));
      must(isPumiceError(ours, code), `we refuse with ${code}, but: ${String(ours)}`);
      const theirs = await errorOf(async () => await openTheirs(root));
      must(theirs !== undefined, "SlateDB refuses");
    },
  };
}

/** The WAL objects are fence 1 (and maybe more), then data. Gives the path of the `back`th last. */
export function walFile(root: string, back: number): string {
  const last = lastFile(root, "wal");
  const id = Number(/(\d{20})\.sst$/.exec(last)?.[1]) - back;
  return last.replace(/\d{20}\.sst$/, `${String(id).padStart(20, "0")}.sst`);
}

const refusals: InteropCase[] = [
  bothRefuse("a gap in the WAL", (root) => rmSync(walFile(root, 1)), "LSM_MISSING"),
  bothRefuse(
    "a WAL object with a wrong checksum",
    (root) => patchFile(walFile(root, 0), (file) => file.with(4, (file[4] as number) ^ 1)),
    "LSM_CORRUPT",
  ),
  bothRefuse("a WAL object cut short", (root) => patchFile(walFile(root, 0), (file) => file.slice(0, file.length - 30)), "LSM_CORRUPT"),
  bothRefuse("manifest version 3", (root) => patchFile(lastFile(root, "manifest"), (file) => file.with(1, 3)), "LSM_UNSUPPORTED"),
];

/** Replaces the newest L0 by an SST of many rows, its reference changed as given. */
function replaceL0(root: string, change: (sst: SstRef) => SstRef, filterFormat: "legacy" | "composite"): void {
  const settings = { blockSizeBytes: 4096, compression: COMPRESSIONS[0], minFilterKeys: 1, filterBitsPerKey: 10, filterFormat };
  const writer = new SstWriter("compacted", settings, sealer);
  for (let i = 0; i < 1000; i++)
    writer.add({ key: bytes(`k${String(i).padStart(4, "0")}`), kind: VALUE, value: bytes("v"), seq: 1, createTs: 1, expireTs: undefined });
  const built = writer.finish();
  writeFileSync(lastFile(root, "compacted"), built.bytes);
  changeManifest(root, (manifest) => ({ ...manifest, l0: manifest.l0.map((sst) => change({ ...sst, info: built.info })) }));
}

async function theirAnswers(root: string): Promise<{ gets: number; scanned: number }> {
  const db = await openTheirs(root);
  let gets = 0;
  for (let i = 0; i < 1000; i++) if ((await db.get(bytes(`k${String(i).padStart(4, "0")}`))) !== undefined) gets++;
  const scan = await db.scan_prefix(bytes("k"));
  let scanned = 0;
  while ((await scan.next()) !== undefined) scanned++;
  await db.shutdown();
  return { gets, scanned };
}

/** All dangerous cases. */
export const dangerousCases: readonly InteropCase[] = [
  ...refusals,
  {
    name: "our 0.12 filter: SlateDB finds all of 1000 keys",
    isDangerous: true,
    run: async (root) => {
      await seed(root);
      replaceL0(root, (sst) => sst, "legacy");
      const found = await theirAnswers(root);
      must(found.gets === 1000 && found.scanned === 1000, `${found.gets} gets, ${found.scanned} scanned`);
    },
  },
  {
    isQuick: true,
    name: "a composite filter makes SlateDB 0.12.1 lose gets and forget the format; we still find every key",
    isDangerous: true,
    run: async (root) => {
      await seed(root);
      replaceL0(root, (sst) => sst, "composite");
      const found = await theirAnswers(root);
      must(found.gets < 1000 && found.scanned === 1000, `${found.gets} gets, ${found.scanned} scanned`);
      const ours = await openOurs(root);
      for (let i = 0; i < 1000; i++) must((await ours.get(bytes(`k${String(i).padStart(4, "0")}`))) !== undefined, "we find every key");
      await ours.close();
    },
  },
  {
    name: "an empty object as fence in the replay range: SlateDB 0.12.1 cannot open, we can",
    isDangerous: true,
    run: async (root) => {
      await seed(root);
      const last = walFile(root, 0);
      writeFileSync(walFile(root, -1), new Uint8Array(0));
      must(last.length > 0, "there is a WAL");
      const theirs = await errorOf(async () => await openTheirs(root));
      must(theirs !== undefined, "SlateDB refuses");
      const ours = await openOurs(root);
      must(ours.profile === "0.14" && text(await ours.get(bytes("w2"))) === "x2", "we read, and know the profile");
      await ours.close();
    },
  },
  {
    name: "compactions version 2: SlateDB 0.12.1 cannot open with a compactor, we detect the profile",
    isDangerous: true,
    run: async (root) => {
      await seed(root);
      const path = lastFile(root, "manifest")
        .replace("/manifest/", "/compactions/")
        .replace(/\d{20}\.manifest$/, `${"1".padStart(20, "0")}.compactions`);
      const { mkdirSync } = await import("node:fs");
      mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      writeFileSync(path, encodeCompactions({ compactorEpoch: 0, compactions: [] }, 2));
      const theirs = await errorOf(async () => await openTheirs(root, { settings: { compactor_options: { poll_interval: "5s" } } }));
      must(theirs !== undefined, "SlateDB refuses");
      const error = await errorOf(async () => await openOurs(root, { compat: "0.12" }));
      must(isPumiceError(error, "LSM_DOWNGRADE"), "we refuse an implicit downgrade");
    },
  },
  {
    name: "an L0 that the manifest names and that is missing: both open, both fail the read",
    isDangerous: true,
    run: async (root) => {
      await seed(root);
      rmSync(lastFile(root, "compacted"));
      const ours = await openOurs(root);
      const error = await errorOf(async () => await ours.get(bytes("k1")));
      must(isPumiceError(error, "LSM_MISSING"), `we name what is missing: ${String(error)}`);
      must(text(await ours.get(bytes("w1"))) === "x1", "other keys are read");
      await ours.close({ flush: "wal" });
      const theirs = await openTheirs(root);
      must((await errorOf(async () => await theirs.get(bytes("k1")))) !== undefined, "SlateDB fails too");
    },
  },
  {
    name: "filterOffset 0 hangs or kills SlateDB's read, which is why it is always written",
    isDangerous: true,
    run: async (root) => {
      await seed(root);
      replaceL0(root, (sst) => ({ ...sst, info: { ...sst.info, filterOffset: 0, filterLength: 0 } }), "legacy");
      const theirs = await openTheirs(root);
      must((await errorOf(async () => await theirs.get(bytes("k0999")), 3000)) !== undefined, "it does not answer");
      const ours = await errorOf(async () => await openOurs(root));
      must(isPumiceError(ours, "LSM_CORRUPT"), `we say what is wrong: ${String(ours)}`);
    },
  },
  {
    name: "times that go back in a WAL are read by both",
    isDangerous: true,
    run: async (root) => {
      await seed(root);
      const settings = {
        blockSizeBytes: 4096,
        compression: COMPRESSIONS[0],
        minFilterKeys: 1000,
        filterBitsPerKey: 10,
        filterFormat: "legacy" as const,
      };
      const writer = new SstWriter("wal", settings, sealer);
      writer.add({ key: bytes("back"), kind: VALUE, value: bytes("1"), seq: 100, createTs: 5, expireTs: undefined });
      writer.add({ key: bytes("none"), kind: VALUE, value: bytes("2"), seq: 101, createTs: undefined, expireTs: undefined });
      writeFileSync(walFile(root, -1), writer.finish().bytes);
      const theirs = await openTheirs(root);
      must(text(await theirs.get(bytes("back"))) === "1", "SlateDB reads");
      await theirs.shutdown();
      const ours = await openOurs(root);
      must(text(await ours.get(bytes("none"))) === "2", "we read");
      await ours.close();
    },
  },
  {
    name: "a tick far ahead in the manifest: SlateDB's put waits or fails, its reads work",
    isDangerous: true,
    run: async (root) => {
      await seed(root);
      changeManifest(root, (manifest) => ({ ...manifest, lastL0ClockTick: Date.now() + 60_000 }));
      const theirs = await openTheirs(root);
      must(text(await theirs.get(bytes("k1"))) === "v1", "SlateDB reads");
      const error = await errorOf(async () => await theirs.put(bytes("a"), bytes("1")), 15_000);
      must(error instanceof slate.ErrorInvalid, `SlateDB's put fails: ${String(error)}`);
    },
  },
];
