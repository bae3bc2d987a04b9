/**
 * SST file. A section is sealed: stored bytes | CRC-32 u32 BE.
 *
 *   block* | [filter] | index | [stats] | info (FlatBuffer, never compressed) | CRC-32 of info | offset of info u64 BE | version u16 BE
 *
 * Two kinds: compacted (keys ascend; has filter and statistics) and WAL (rows in order of sequence number; has neither).
 */
import { assert, compareBytes, concat, EMPTY_BYTES, viewOf } from "../../base/mod.ts";
import { BlockWriter } from "./block-writer.ts";
import { BloomBuilder, encodeComposite } from "./bloom.ts";
import { withCrc, type Compression, type Sealer } from "./compression.ts";
import { FlatWriter } from "./flat-writer.ts";
import { MERGE, TOMBSTONE, type Row } from "./row.ts";
import { encodeIndex, encodeStats, writeInfo, type BlockCounts, type FilterFormat, type IndexEntry, type SstInfo } from "./sst-info.ts";

/** The SST format version that is written. FROZEN. */
export const SST_VERSION = 2;

/** How SSTs are written. */
export interface SstSettings {
  /** A block is closed before it grows beyond this, unless one row alone does. 1 KiB to 64 KiB. */
  readonly blockSizeBytes: number;
  readonly compression: Compression;
  /** An SST with fewer rows gets no filter. */
  readonly minFilterKeys: number;
  readonly filterBitsPerKey: number;
  readonly filterFormat: FilterFormat;
}

/** A finished SST. */
export interface BuiltSst {
  readonly bytes: Uint8Array;
  readonly info: SstInfo;
  readonly rows: number;
}

/** Takes rows in order and gives the file. */
export class SstWriter {
  private readonly sealer: Sealer;
  private readonly settings: SstSettings;
  private readonly isWal: boolean;
  private readonly block: BlockWriter;
  private readonly parts: Uint8Array[] = [];
  private readonly index: IndexEntry[] = [];
  private readonly blockCounts: BlockCounts[] = [];
  private readonly bloom: BloomBuilder;
  private counts: BlockCounts = { puts: 0, deletes: 0, merges: 0 };
  private readonly totals = { puts: 0, deletes: 0, merges: 0, rawKeyBytes: 0, rawValueBytes: 0 };
  private offset = 0;
  private rows = 0;
  private first: Row | undefined;
  private last: Row | undefined;
  private blockFirstKey: Uint8Array = EMPTY_BYTES;

  constructor(kind: "compacted" | "wal", settings: SstSettings, sealer: Sealer) {
    this.isWal = kind === "wal";
    this.settings = settings;
    this.sealer = sealer;
    this.block = new BlockWriter(settings.blockSizeBytes);
    this.bloom = new BloomBuilder(settings.filterBitsPerKey);
  }

  /** Size of the finished blocks, a lower bound of the file's size. */
  get writtenBytes(): number {
    return this.offset;
  }

  get isEmpty(): boolean {
    return this.rows === 0;
  }

  /** Appends a row. @throws AssertionError if it is out of order. */
  add(row: Row): void {
    const { last } = this;
    if (last !== undefined && last.key !== row.key && !this.isWal) {
      const order = compareBytes(last.key, row.key);
      assert(order < 0 || (order === 0 && last.seq > row.seq), "rows of an SST ascend");
    }
    if (this.block.isEmpty) this.beginBlock(row);
    else if (!this.block.add(row)) {
      this.finishBlock();
      this.beginBlock(row);
    }
    this.count(row);
  }

  /** The file. The writer is of no further use. */
  finish(): BuiltSst {
    if (!this.block.isEmpty) this.finishBlock();
    const { compression } = this.settings;
    const filterOffset = this.offset;
    let filterLength = 0;
    if (!this.isWal && this.rows >= this.settings.minFilterKeys && this.rows > 0) {
      const legacy = this.bloom.finish();
      const raw = this.settings.filterFormat === "legacy" ? legacy : encodeComposite(legacy);
      filterLength = this.append(this.sealer.seal(raw, compression));
    }
    const indexOffset = this.offset;
    const indexLength = this.append(this.sealer.seal(encodeIndex(this.index), compression));
    const statsOffset = this.isWal ? 0 : this.offset;
    const stats = { ...this.totals, blocks: this.blockCounts };
    const statsLength = this.isWal ? 0 : this.append(this.sealer.seal(encodeStats(stats), compression));
    const info: SstInfo = {
      firstEntry: this.first === undefined ? undefined : this.isWal ? seqKey(this.first.seq) : this.first.key,
      lastEntry: this.isWal ? undefined : this.last?.key,
      indexOffset,
      indexLength,
      filterOffset,
      filterLength,
      compression,
      isWal: this.isWal,
      statsOffset,
      statsLength,
      filterFormat: filterLength > 0 ? this.settings.filterFormat : "legacy",
    };
    this.parts.push(encodeFooter(info, this.offset, this.sealer));
    return { bytes: concat(this.parts), info, rows: this.rows };
  }

  private beginBlock(row: Row): void {
    const { last } = this;
    this.blockFirstKey = this.isWal ? seqKey(row.seq) : last === undefined ? EMPTY_BYTES : separator(last.key, row.key);
    this.block.add(row);
  }

  private count(row: Row): void {
    this.rows++;
    this.first ??= row;
    this.last = row;
    if (this.isWal) return;
    this.bloom.add(row.key);
    this.totals.rawKeyBytes += row.key.length;
    this.totals.rawValueBytes += row.value.length;
    const field = row.kind === TOMBSTONE ? "deletes" : row.kind === MERGE ? "merges" : "puts";
    this.totals[field]++;
    this.counts[field]++;
  }

  private finishBlock(): void {
    this.index.push({ offset: this.offset, firstKey: this.blockFirstKey });
    this.append(this.sealer.seal(this.block.finish(), this.settings.compression));
    this.blockCounts.push(this.counts);
    this.counts = { puts: 0, deletes: 0, merges: 0 };
  }

  private append(bytes: Uint8Array): number {
    this.parts.push(bytes);
    this.offset += bytes.length;
    return bytes.length;
  }
}

/** Info, its checksum, its offset and the version: the end of every SST. */
function encodeFooter(info: SstInfo, infoOffset: number, sealer: Sealer): Uint8Array {
  const writer = new FlatWriter();
  const encoded = withCrc(writer.finish(writeInfo(writer, info)), sealer.crc32);
  const footer = new Uint8Array(encoded.length + 10);
  footer.set(encoded);
  const view = viewOf(footer);
  view.setUint32(encoded.length, Math.floor(infoOffset / 0x1_0000_0000));
  view.setUint32(encoded.length + 4, infoOffset % 0x1_0000_0000);
  view.setUint16(encoded.length + 8, SST_VERSION);
  return footer;
}

/** The empty SST by which a writer of the 0.12 profile fences a WAL id. It is of kind compacted, and always the same 114 bytes. */
export function encodeFence(sealer: Sealer): Uint8Array {
  const index = sealer.seal(encodeIndex([]), "none");
  const empty = { puts: 0, deletes: 0, merges: 0, rawKeyBytes: 0, rawValueBytes: 0, blocks: [] };
  const stats = sealer.seal(encodeStats(empty), "none");
  const info: SstInfo = {
    firstEntry: undefined,
    lastEntry: undefined,
    indexOffset: 0,
    indexLength: index.length,
    filterOffset: 0,
    filterLength: 0,
    compression: "none",
    isWal: false,
    statsOffset: index.length,
    statsLength: stats.length,
    filterFormat: "legacy",
  };
  return concat([index, stats, encodeFooter(info, index.length + stats.length, sealer)]);
}

/** A sequence number as u64 BE: a WAL's index key. */
export function seqKey(seq: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = viewOf(bytes);
  view.setUint32(0, Math.floor(seq / 0x1_0000_0000));
  view.setUint32(4, seq % 0x1_0000_0000);
  return bytes;
}

/** The shortest s with previous < s <= next; `next` whole if both are equal. */
export function separator(previous: Uint8Array, next: Uint8Array): Uint8Array {
  const length = Math.min(previous.length, next.length);
  for (let i = 0; i < length; i++) {
    if (previous[i] !== next[i]) return next.slice(0, i + 1);
  }
  return next.slice(0, Math.min(next.length, previous.length + 1));
}
