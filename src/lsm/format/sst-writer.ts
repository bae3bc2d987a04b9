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
import { ByteSink } from "./byte-sink.ts";
import { withCrc, type Compression, type Sealer } from "./compression.ts";
import { FlatWriter } from "./flat-writer.ts";
import { MERGE, PackedRow, TOMBSTONE, type Row } from "./row.ts";
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

/** What a file of rows of that estimated size comes to at most, roughly: without compression, with checksums, index, filter and footer. */
export function expectedBytes(rowsBytes: number): number {
  return Math.ceil(rowsBytes * 1.1) + 1024;
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
  private readonly sink: ByteSink;
  private readonly packed = new PackedRow();
  private readonly index: IndexEntry[] = [];
  private readonly blockCounts: BlockCounts[] = [];
  private readonly bloom: BloomBuilder;
  private counts: BlockCounts = { puts: 0, deletes: 0, merges: 0 };
  private readonly totals = { puts: 0, deletes: 0, merges: 0, rawKeyBytes: 0, rawValueBytes: 0 };
  private rows = 0;
  private firstSeq = 0;
  /** Compacted: first and last key. */
  private firstKey: Uint8Array | undefined;
  private lastKey: Uint8Array | undefined;
  private lastSeq = 0;
  private blockFirstKey: Uint8Array = EMPTY_BYTES;

  /** `settings.sink`: where the file is to be built; a new one if absent. */
  constructor(kind: "compacted" | "wal", settings: SstSettings & { readonly sink?: ByteSink }, sealer: Sealer) {
    this.isWal = kind === "wal";
    this.settings = settings;
    this.sink = settings.sink ?? new ByteSink();
    this.sealer = sealer;
    this.block = new BlockWriter(settings.blockSizeBytes);
    this.bloom = new BloomBuilder(settings.filterBitsPerKey);
  }

  /** Size of the finished blocks, a lower bound of the file's size. */
  get writtenBytes(): number {
    return this.sink.length;
  }

  get isEmpty(): boolean {
    return this.rows === 0;
  }

  /** Appends a row. Its key must not change. @throws AssertionError if it is out of order. */
  add(row: Row): void {
    const { key } = row;
    if (!this.isWal) {
      const { lastKey } = this;
      if (lastKey !== undefined && lastKey !== key) {
        const order = compareBytes(lastKey, key);
        assert(order < 0 || (order === 0 && this.lastSeq > row.seq), "rows of an SST ascend");
      }
      this.firstKey ??= key;
    }
    this.append(this.packed.set(row), key);
    if (!this.isWal) this.count(row);
  }

  /** Appends a row of a WAL. */
  addToWal(row: PackedRow): void {
    assert(this.isWal, "rows of an SST have keys that stay");
    this.append(row, EMPTY_BYTES);
  }

  /** The file. The writer is of no further use. */
  finish(): BuiltSst {
    if (!this.block.isEmpty) this.finishBlock();
    const { compression } = this.settings;
    const filterOffset = this.sink.length;
    let filterLength = 0;
    if (!this.isWal && this.rows >= this.settings.minFilterKeys && this.rows > 0) {
      const legacy = this.bloom.finish();
      const raw = this.settings.filterFormat === "legacy" ? legacy : encodeComposite(legacy);
      filterLength = this.section(raw);
    }
    const indexOffset = this.sink.length;
    const indexLength = this.section(encodeIndex(this.index));
    const statsOffset = this.isWal ? 0 : this.sink.length;
    const stats = { ...this.totals, blocks: this.blockCounts };
    const statsLength = this.isWal ? 0 : this.section(encodeStats(stats));
    const info: SstInfo = {
      // Copies: a manifest keeps them for long, and they may be views of much larger memory.
      firstEntry: this.isWal && this.rows > 0 ? seqKey(this.firstSeq) : this.firstKey?.slice(),
      lastEntry: this.isWal ? undefined : this.lastKey?.slice(),
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
    this.sink.append(encodeFooter(info, this.sink.length, this.sealer));
    return { bytes: this.sink.finish(), info, rows: this.rows };
  }

  private append(row: PackedRow, key: Uint8Array): void {
    if (this.block.isEmpty) this.beginBlock(row, key);
    else if (!this.block.addPacked(row)) {
      this.finishBlock();
      this.beginBlock(row, key);
    }
    if (this.rows === 0) this.firstSeq = row.seq;
    this.rows++;
    this.lastSeq = row.seq;
    if (!this.isWal) this.lastKey = key;
  }

  private beginBlock(row: PackedRow, key: Uint8Array): void {
    const { lastKey } = this;
    this.blockFirstKey = this.isWal ? seqKey(row.seq) : lastKey === undefined ? EMPTY_BYTES : separator(lastKey, key);
    this.block.addPacked(row);
  }

  private count(row: Row): void {
    this.bloom.add(row.key);
    this.totals.rawKeyBytes += row.key.length;
    this.totals.rawValueBytes += row.value.length;
    const field = row.kind === TOMBSTONE ? "deletes" : row.kind === MERGE ? "merges" : "puts";
    this.totals[field]++;
    this.counts[field]++;
  }

  private finishBlock(): void {
    this.index.push({ offset: this.sink.length, firstKey: this.blockFirstKey });
    this.section(this.block.finish());
    this.blockCounts.push(this.counts);
    this.counts = { puts: 0, deletes: 0, merges: 0 };
  }

  /** Appends a section, sealed. Gives the length that it then has. */
  private section(raw: Uint8Array): number {
    const start = this.sink.length;
    this.sealer.sealInto(this.sink, raw, this.settings.compression);
    return this.sink.length - start;
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
