/** Takes every file of a store apart and puts it together again: the bytes must be the same. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { compareBytes, equalBytes, toHex } from "../../src/base/mod.ts";
import { hostCodecs, nodeCrc32 } from "../../src/host/mod.ts";
import { decodeCompactions, encodeCompactions } from "../../src/lsm/format/compactions.ts";
import { Sealer } from "../../src/lsm/format/compression.ts";
import { decodeManifest, encodeManifest } from "../../src/lsm/format/manifest.ts";
import { readBlock } from "../../src/lsm/format/block-reader.ts";
import type { Row } from "../../src/lsm/format/row.ts";
import { decodeTracker, encodeTracker } from "../../src/lsm/format/sequence-tracker.ts";
import { decodeIndex } from "../../src/lsm/format/sst-info.ts";
import { readFooter } from "../../src/lsm/format/sst-reader.ts";
import { encodeFence, SstWriter } from "../../src/lsm/format/sst-writer.ts";
import { must } from "./oracle.ts";

const sealer = new Sealer({ crc32: nodeCrc32, hostCodecs });

/** How SlateDB was told to write. */
export interface WrittenWith {
  readonly blockSizeBytes: number;
  readonly minFilterKeys: number;
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
  const settings = { ...how, compression: info.compression, filterBitsPerKey: 10, filterFormat: info.filterFormat };
  const writer = new SstWriter(info.isWal ? "wal" : "compacted", settings, sealer);
  for (const row of rows) writer.add(row);
  const built = writer.finish();
  // Compressors differ in their choices; what they compress does not.
  if (info.compression === "none") must(equalBytes(built.bytes, bytes), `${name} differs`);
  must(compareBytes(built.info.firstEntry ?? bytes, info.firstEntry) === 0, `${name}: first entry differs`);
}
