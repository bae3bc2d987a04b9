/** What a reader must know of an SST to read it: in its own footer, and copied into the manifest. Also its index and statistics. */
import { assert } from "../../base/mod.ts";
import { COMPRESSIONS, compressionOf, type Compression } from "./compression.ts";
import { damaged } from "./damage.ts";
import { FlatReader, type FlatTable } from "./flat-reader.ts";
import { flatRef, flatU16, flatU32, flatU64, flatU8, FlatWriter, type FlatOffset } from "./flat-writer.ts";

/** The two formats of a filter section. */
export type FilterFormat = "legacy" | "composite";

/** Places and formats of an SST's sections. Offsets and lengths in bytes, lengths with checksum. */
export interface SstInfo {
  /** Compacted: the first key. WAL: the first sequence number as u64 BE. Undefined if there are no rows. */
  readonly firstEntry: Uint8Array | undefined;
  /** Compacted: the last key. Undefined in a WAL and in what SlateDB before 0.11 wrote. */
  readonly lastEntry: Uint8Array | undefined;
  readonly indexOffset: number;
  readonly indexLength: number;
  /** End of the blocks, whether or not there is a filter. */
  readonly filterOffset: number;
  readonly filterLength: number;
  readonly compression: Compression;
  readonly isWal: boolean;
  /** 0 if there are no statistics. */
  readonly statsOffset: number;
  readonly statsLength: number;
  readonly filterFormat: FilterFormat;
}

/** Writes the info as a table of `writer`. */
export function writeInfo(writer: FlatWriter, info: SstInfo): FlatOffset {
  const firstEntry = info.firstEntry === undefined ? undefined : writer.bytes(info.firstEntry);
  const lastEntry = info.lastEntry === undefined ? undefined : writer.bytes(info.lastEntry);
  return writer.table([
    flatRef(0, firstEntry),
    flatU64(1, info.indexOffset),
    flatU64(2, info.indexLength),
    flatU64(3, info.filterOffset),
    flatU64(4, info.filterLength),
    flatU8(5, COMPRESSIONS.indexOf(info.compression)),
    flatU8(6, info.isWal ? 1 : 0),
    flatRef(7, lastEntry),
    flatU64(8, info.statsOffset),
    flatU64(9, info.statsLength),
    flatU8(10, info.filterFormat === "composite" ? 1 : 0),
  ]);
}

/** Reads an info. The bytes of its entries are copied. @throws LSM_CORRUPT, LSM_UNSUPPORTED */
export function readInfo(table: FlatTable, object: string): SstInfo {
  const filterFormat = table.u8(10);
  if (filterFormat > 1) throw damaged({ object, what: "unknown filter format", found: filterFormat });
  const info: SstInfo = {
    firstEntry: table.ownBytes(0),
    lastEntry: table.ownBytes(7),
    indexOffset: table.u64(1),
    indexLength: table.u64(2),
    filterOffset: table.u64(3),
    filterLength: table.u64(4),
    compression: compressionOf(table.u8(5), object),
    isWal: table.u8(6) === 1,
    statsOffset: table.u64(8),
    statsLength: table.u64(9),
    filterFormat: filterFormat === 1 ? "composite" : "legacy",
  };
  if (info.firstEntry !== undefined && info.filterOffset + info.filterLength > info.indexOffset) {
    throw damaged({ object, what: "sections overlap", expected: info.indexOffset, found: info.filterOffset + info.filterLength });
  }
  if (info.firstEntry !== undefined && info.filterOffset === 0) throw damaged({ object, what: "the end of the blocks is not told" });
  return info;
}

/** One block's place in the index. */
export interface IndexEntry {
  readonly offset: number;
  /** Compacted: greater than every key before the block, not greater than its first. WAL: the first sequence number as u64 BE. */
  readonly firstKey: Uint8Array;
  /** Of a block that padding follows: its bytes without the padding, checksum included. 0 or undefined: it ends where the next begins. */
  readonly encodedBytes?: number | undefined;
}

/** FlatBuffer of an index. */
export function encodeIndex(entries: readonly IndexEntry[]): Uint8Array {
  const writer = new FlatWriter();
  const metas = entries.map((entry) => {
    const firstKey = writer.bytes(entry.firstKey);
    return writer.table([flatU64(0, entry.offset), flatRef(1, firstKey), ...(entry.encodedBytes ? [flatU32(2, entry.encodedBytes)] : [])]);
  });
  return writer.finish(writer.table([flatRef(0, writer.refs(metas))]));
}

/** Reads an index: block offsets ascend from 0 and keys never go back. @throws LSM_CORRUPT */
export function decodeIndex(bytes: Uint8Array, object: string): IndexEntry[] {
  const metas = new FlatReader(object, bytes).root().requiredTables(0);
  const entries = metas.map((meta) => ({ offset: meta.u64(0), firstKey: meta.ownBytes(1), encodedBytes: meta.u32(2) }));
  let previous = -1;
  return entries.map((entry, i) => {
    if (entry.firstKey === undefined) throw damaged({ object, what: "index entry has no key" });
    if (entry.offset + entry.encodedBytes > (entries[i + 1]?.offset ?? Infinity))
      throw damaged({ object, what: "block is longer than its place", offset: entry.offset });
    if (entry.offset <= previous) throw damaged({ object, what: "index offsets do not ascend", offset: entry.offset });
    previous = entry.offset;
    return { offset: entry.offset, firstKey: entry.firstKey, encodedBytes: entry.encodedBytes };
  });
}

/** Rows of one block by kind. */
export interface BlockCounts {
  puts: number;
  deletes: number;
  merges: number;
}

/** Statistics of an SST. Sizes in bytes, uncompressed. */
export interface SstStats {
  readonly puts: number;
  readonly deletes: number;
  readonly merges: number;
  readonly rawKeyBytes: number;
  readonly rawValueBytes: number;
  readonly blocks: readonly BlockCounts[];
}

/** FlatBuffer of statistics. */
export function encodeStats(stats: SstStats): Uint8Array {
  const writer = new FlatWriter();
  const blocks = stats.blocks.map((block) => {
    assert(block.puts + block.deletes + block.merges <= 0xffff, "a block's row count is a u16");
    return writer.table([flatU16(0, block.puts), flatU16(1, block.deletes), flatU16(2, block.merges)]);
  });
  const blockVector = blocks.length === 0 ? undefined : writer.refs(blocks);
  return writer.finish(
    writer.table([
      flatU64(0, stats.puts),
      flatU64(1, stats.deletes),
      flatU64(2, stats.merges),
      flatU64(3, stats.rawKeyBytes),
      flatU64(4, stats.rawValueBytes),
      flatRef(5, blockVector),
    ]),
  );
}

/** Reads statistics. @throws LSM_CORRUPT */
export function decodeStats(bytes: Uint8Array, object: string): SstStats {
  const root = new FlatReader(object, bytes).root();
  const blocks = (root.tables(5) ?? []).map((block) => ({
    puts: block.u16(0) ?? 0,
    deletes: block.u16(1) ?? 0,
    merges: block.u16(2) ?? 0,
  }));
  return { puts: root.u64(0), deletes: root.u64(1), merges: root.u64(2), rawKeyBytes: root.u64(3), rawValueBytes: root.u64(4), blocks };
}
