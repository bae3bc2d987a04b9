/** Takes every file of a store apart and puts it together again: the bytes must be the same. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { equalBytes, toHex, viewOf } from "../../../src/base/mod.ts";
import { hostCodecs, nodeCrc32 } from "../../../src/host/mod.ts";
import { decodeCompactions, encodeCompactions } from "../../../src/lsm/format/compactions.ts";
import { Sealer } from "../../../src/lsm/format/compression.ts";
import { decodeManifest, encodeManifest } from "../../../src/lsm/format/manifest.ts";
import { readBlock } from "../../../src/lsm/format/block-reader.ts";
import type { Row } from "../../../src/lsm/format/row.ts";
import { decodeTracker, encodeTracker } from "../../../src/lsm/format/sequence-tracker.ts";
import { FlatWriter } from "../../../src/lsm/format/flat-writer.ts";
import { decodeIndex, decodeStats, encodeIndex, encodeStats, writeInfo, type SstInfo } from "../../../src/lsm/format/sst-info.ts";
import { readFooter } from "../../../src/lsm/format/sst-reader.ts";
import { encodeFence, SstWriter } from "../../../src/lsm/format/sst-writer.ts";
import { must } from "./oracle.ts";

const sealer = new Sealer({ crc32: nodeCrc32, hostCodecs });

/** How SlateDB was told to write. */
export interface WrittenWith {
  readonly blockSizeBytes: number;
  readonly minFilterKeys: number;
  /** Default 10. */
  readonly filterBitsPerKey?: number;
}

/** Checks every file below `root`/db; gives how many there were. @throws Failure */
export function reencodeAll(root: string, how: WrittenWith): number {
  let files = 0;
  const each = (folder: string, check: (bytes: Uint8Array, name: string) => void): void => {
    if (!existsSync(join(root, "db", folder))) return;
    for (const name of readdirSync(join(root, "db", folder))) {
      check(new Uint8Array(readFileSync(join(root, "db", folder, name))), `${folder}/${name}`);
      files++;
    }
  };
  each("manifest", (bytes, name) => {
    const manifest = decodeManifest(bytes, name);
    must(
      equalBytes(encodeTracker(decodeTracker(manifest.sequenceTracker, name)), manifest.sequenceTracker),
      `${name}: sequence tracker differs`,
    );
    must(equalBytes(encodeManifest(manifest), bytes), `${name} differs`);
  });
  each("compactions", (bytes, name) => {
    const again = encodeCompactions(decodeCompactions(bytes, name), 1);
    must(equalBytes(again, bytes), `${name} differs:\n${toHex(bytes)}\n${toHex(again)}`);
  });
  each("wal", (bytes, name) => checkSst(bytes, name, how));
  each("compacted", (bytes, name) => checkSst(bytes, name, how));
  return files;
}

function checkSst(bytes: Uint8Array, name: string, how: WrittenWith): void {
  const { info } = readFooter(bytes, name, sealer);
  if (info.firstEntry === undefined) {
    must(info.compression !== "none" || equalBytes(encodeFence(sealer), bytes), `${name}: the fence differs`);
    return;
  }
  const indexEnd = info.indexOffset + info.indexLength;
  const index = decodeIndex(
    sealer.unseal(bytes.subarray(info.indexOffset, indexEnd), info.compression, { object: name, offset: info.indexOffset }),
    name,
  );
  const rows: Row[] = [];
  index.forEach((entry, i) => {
    const origin = { object: name, offset: entry.offset };
    const stored = bytes.subarray(entry.offset, index[i + 1]?.offset ?? info.filterOffset);
    for (const row of readBlock(sealer.unseal(stored, info.compression, origin), 2, origin).rows()) rows.push(row);
  });
  const settings = { ...how, compression: "none", filterBitsPerKey: how.filterBitsPerKey ?? 10, filterFormat: info.filterFormat } as const;
  const writer = new SstWriter(info.isWal ? "wal" : "compacted", settings, sealer);
  for (const row of rows) writer.add(row);
  const built = writer.finish();
  if (info.compression === "none") must(equalBytes(built.bytes, bytes), `${name} differs`);
  // Compressors differ in their choices; what they compress does not: section by section.
  const theirs = sectionsOf(bytes, info, name);
  const ours = sectionsOf(built.bytes, built.info, name);
  must(theirs.blocks.length === ours.blocks.length, `${name}: ${theirs.blocks.length} blocks, ours has ${ours.blocks.length}`);
  theirs.blocks.forEach((block, i) => must(equalBytes(block, ours.blocks[i] as Uint8Array), `${name}: block ${i} differs`));
  must(sameSection(theirs.filter, ours.filter), `${name}: filter differs`);
  must(sameSection(theirs.stats, ours.stats), `${name}: statistics differ`);
  must(
    sameSection(theirs.stats, theirs.stats === undefined ? undefined : encodeStats(decodeStats(theirs.stats, name))),
    `${name}: statistics again`,
  );
  must(equalBytes(theirs.index, encodeIndex(index)), `${name}: index differs`);
  const keys = decodeIndex(ours.index, name).map((entry) => entry.firstKey);
  must(
    index.every((entry, i) => equalBytes(entry.firstKey, keys[i] as Uint8Array)) && keys.length === index.length,
    `${name}: separators differ`,
  );
  const infoWriter = new FlatWriter();
  const again = infoWriter.finish(writeInfo(infoWriter, info));
  const stored = bytes.subarray(infoOffsetOf(bytes), bytes.length - 14);
  must(equalBytes(again, stored), `${name}: info differs`);
  must(equalBytes(built.info.firstEntry ?? bytes, info.firstEntry), `${name}: first entry differs`);
  must(sameSection(built.info.lastEntry, info.lastEntry), `${name}: last entry differs`);
}

/** An SST's sections as they were before they were compressed. */
interface Sections {
  readonly blocks: readonly Uint8Array[];
  readonly index: Uint8Array;
  readonly filter: Uint8Array | undefined;
  readonly stats: Uint8Array | undefined;
}

function sectionsOf(bytes: Uint8Array, info: SstInfo, name: string): Sections {
  const open = (start: number, end: number): Uint8Array =>
    new Uint8Array(sealer.unseal(bytes.subarray(start, end), info.compression, { object: name, offset: start }));
  const index = open(info.indexOffset, info.indexOffset + info.indexLength);
  const entries = decodeIndex(index, name);
  return {
    blocks: entries.map((entry, i) => open(entry.offset, entries[i + 1]?.offset ?? info.filterOffset)),
    index,
    filter: info.filterLength === 0 ? undefined : open(info.filterOffset, info.filterOffset + info.filterLength),
    stats: info.statsLength === 0 ? undefined : open(info.statsOffset, info.statsOffset + info.statsLength),
  };
}

function sameSection(left: Uint8Array | undefined, right: Uint8Array | undefined): boolean {
  return left === undefined || right === undefined ? left === right : equalBytes(left, right);
}

function infoOffsetOf(bytes: Uint8Array): number {
  return Number(viewOf(bytes).getBigUint64(bytes.length - 10));
}
