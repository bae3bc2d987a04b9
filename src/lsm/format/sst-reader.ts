/** Reading SST files: the footer, and a WAL object whole. Compacted SSTs are read piecewise, by the places in their info (store/table-store.ts). */
import { PumiceError, viewOf } from "../../base/mod.ts";
import { readBlock, type BlockOrigin } from "./block-reader.ts";
import { checkCrc, CRC_BYTES, type Sealer } from "./compression.ts";
import { damaged } from "./damage.ts";
import { FlatReader } from "./flat-reader.ts";
import type { Row } from "./row.ts";
import { decodeIndex, readInfo, type SstInfo } from "./sst-info.ts";

const TRAILER_BYTES = 10;

/** What a footer says. */
export interface SstFooter {
  readonly info: SstInfo;
  readonly formatVersion: number;
}

/** Reads the footer of a whole SST in memory. @throws LSM_CORRUPT, LSM_UNSUPPORTED */
export function readFooter(bytes: Uint8Array, object: string, sealer: Sealer): SstFooter {
  if (bytes.length < TRAILER_BYTES) throw damaged({ object, what: "SST is too short for its footer", found: bytes.length });
  const view = viewOf(bytes);
  const at = bytes.length - TRAILER_BYTES;
  const formatVersion = view.getUint16(at + 8);
  if (formatVersion !== 1 && formatVersion !== 2) {
    const what = "SST does not end with a known version";
    // The version has no checksum, but what it stands behind has: if that holds, the file is whole, and of a later engine.
    if (isInfo(bytes, at, sealer)) throw new PumiceError("LSM_UNSUPPORTED", { object, what, expected: "1 or 2", found: formatVersion });
    throw damaged({ object, what: `${what}; it may be cut short`, expected: "1 or 2", found: formatVersion, offset: at + 8 });
  }
  const infoOffset = view.getUint32(at) * 0x1_0000_0000 + view.getUint32(at + 4);
  if (infoOffset > at) throw damaged({ object, what: "SST's footer points outside it", offset: at, found: infoOffset });
  const encoded = checkCrc(bytes.subarray(infoOffset, at), sealer.crc32, { object, offset: infoOffset });
  return { info: readInfo(new FlatReader(object, encoded).root(), object), formatVersion };
}

/** True if an info with the right checksum stands before the trailer at `at`. */
function isInfo(bytes: Uint8Array, at: number, sealer: Sealer): boolean {
  const view = viewOf(bytes);
  const infoOffset = view.getUint32(at) * 0x1_0000_0000 + view.getUint32(at + 4);
  if (at - infoOffset <= CRC_BYTES || infoOffset < 0) return false;
  return sealer.crc32(bytes.subarray(infoOffset, at - CRC_BYTES), 0) === view.getUint32(at - CRC_BYTES);
}

/** The blocks of a WAL object, in order. */
export interface WalBlocks {
  readonly formatVersion: number;
  readonly blocks: readonly { readonly raw: Uint8Array; readonly origin: BlockOrigin }[];
}

/** Rows of a WAL object in order. A fence (an object of no bytes, or an SST without rows) has none. @throws LSM_CORRUPT, LSM_UNSUPPORTED */
export function readWal(bytes: Uint8Array, object: string, sealer: Sealer): Row[] {
  const { blocks, formatVersion } = readWalBlocks(bytes, object, sealer);
  const rows: Row[] = [];
  for (const { raw, origin } of blocks) for (const row of readBlock(raw, formatVersion, origin).rows()) rows.push(row);
  return rows;
}

/** Blocks of a WAL object, their checksums verified; a fence has none. @throws LSM_CORRUPT, LSM_UNSUPPORTED */
export function readWalBlocks(bytes: Uint8Array, object: string, sealer: Sealer): WalBlocks {
  if (bytes.length === 0) return { formatVersion: 2, blocks: [] };
  const { info, formatVersion } = readFooter(bytes, object, sealer);
  const sectionEnd = info.indexOffset + info.indexLength;
  if (sectionEnd > bytes.length) throw damaged({ object, what: "index lies outside the object", offset: info.indexOffset });
  const place = { object, offset: info.indexOffset };
  const index = decodeIndex(sealer.unseal(bytes.subarray(info.indexOffset, sectionEnd), info.compression, place), object);
  const blocks = index.map((entry, i) => {
    const end = index[i + 1]?.offset ?? info.filterOffset;
    const origin = { object, offset: entry.offset };
    if (end > info.indexOffset || end <= entry.offset) throw damaged({ ...origin, what: "block lies outside the data" });
    const { encodedBytes = 0 } = entry;
    const stored = bytes.subarray(entry.offset, encodedBytes === 0 ? end : Math.min(end, entry.offset + encodedBytes));
    return { raw: sealer.unseal(stored, info.compression, origin), origin };
  });
  return { formatVersion, blocks };
}
