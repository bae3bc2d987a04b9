/**
 * SST file. A section is sealed: stored bytes | CRC-32 u32 BE.
 *
 *   block* | [filter] | index | [stats] | info (FlatBuffer, never compressed) | CRC-32 of info | offset of info u64 BE | version u16 BE
 *
 * Two kinds: compacted (keys ascend; has filter and statistics) and WAL (rows in order of sequence number; has neither).
 */
import { copyBytes, assert, concat, EMPTY_BYTES, viewOf } from "../../base/mod.ts";
import { BlockWriter } from "./block-writer.ts";
import { BloomBuilder, encodeComposite } from "./bloom.ts";
import { CRC_BYTES, withCrc, type Compression, type Sealer } from "./compression.ts";
import type { Entry } from "./entry-cursor.ts";
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

/** What a file of rows of that estimated size comes to at most, roughly: without compression, with checksums, index, filter and footer. */
export function expectedBytes(rowsBytes: number): number {
  return Math.ceil(rowsBytes * 1.1) + 1024;
}

/** Memory that a writer is given. */
export interface WriterMemory {
  /** Where the file is built as far as that suffices, so that nothing is copied twice; it is the caller's again afterwards. */
  readonly memory?: Uint8Array | undefined;
  /** Blocks are made at its beginning: see BlockWriter. */
  readonly blockMemory?: Uint8Array | undefined;
  /** Finished bytes are collected in pieces of this size. Default 1 MiB. */
  readonly pieceBytes?: number | undefined;
}

/** A finished SST. */
export interface BuiltSst {
  readonly bytes: Uint8Array;
  readonly info: SstInfo;
  readonly rows: number;
}

/** Default of `pieceBytes`. */
const PIECE_BYTES = 1_048_576;
const FIRST_PIECE_BYTES = 4096;

/** Takes rows in order and gives the file, whole or in pieces. */
export class SstWriter {
  readonly #sealer: Sealer;
  readonly #settings: SstSettings;
  readonly #isWal: boolean;
  readonly #block: BlockWriter;
  /** Finished bytes: full pieces, and the one that grows. */
  #pieces: Uint8Array[] = [];
  #piece: Uint8Array;
  #pieceLength = 0;
  readonly #pieceBytes: number;
  readonly #index: IndexEntry[] = [];
  readonly #blockCounts: BlockCounts[] = [];
  readonly #bloom: BloomBuilder;
  #counts: BlockCounts = { puts: 0, deletes: 0, merges: 0 };
  readonly #totals = { puts: 0, deletes: 0, merges: 0, rawKeyBytes: 0, rawValueBytes: 0 };
  #offset = 0;
  #rows = 0;
  /** Compacted: the first key. WAL: the first sequence number. */
  #firstEntry: Uint8Array | undefined;
  #lastSeq = 0;
  #blockFirstKey: Uint8Array = EMPTY_BYTES;

  constructor(kind: "compacted" | "wal", settings: SstSettings & WriterMemory, sealer: Sealer) {
    this.#isWal = kind === "wal";
    this.#settings = settings;
    this.#pieceBytes = settings.pieceBytes ?? PIECE_BYTES;
    this.#piece = settings.memory ?? EMPTY_BYTES;
    this.#sealer = sealer;
    this.#block = new BlockWriter(settings.blockSizeBytes, settings.blockMemory);
    this.#bloom = new BloomBuilder(settings.filterBitsPerKey);
  }

  /** Size of the finished blocks, a lower bound of the file's size. */
  get writtenBytes(): number {
    return this.#offset;
  }

  get isEmpty(): boolean {
    return this.#rows === 0;
  }

  /** True if there is something to `take`. */
  get hasPieces(): boolean {
    return this.#pieces.length > 0;
  }

  /** Appends a row. @throws AssertionError if it is out of order. */
  add(row: Row): void {
    const { key, kind, seq } = row;
    const shared = this.#place(key, key.length, seq);
    if (this.#block.isEmpty || !this.#block.add(row, shared)) {
      this.#beginBlock(key, seq);
      this.#block.add(row, 0);
    }
    this.#totals.rawValueBytes += row.value.length;
    this.#count(kind);
  }

  /** The same with an entry. It is no tombstone with a value. */
  addEntry(entry: Entry): void {
    const { key, keyLength, seq } = entry;
    const shared = this.#place(key, keyLength, seq);
    if (this.#block.isEmpty || !this.#block.addEntry(entry, shared)) {
      this.#beginBlock(key.subarray(0, keyLength), seq);
      this.#block.addEntry(entry, 0);
    }
    this.#totals.rawValueBytes += entry.valueLength;
    this.#count(entry.kind);
  }

  /** The finished bytes since the last call that make whole pieces: what an upload can go on with. */
  take(): Uint8Array[] {
    const pieces = this.#pieces;
    this.#pieces = [];
    return pieces;
  }

  /** The file. The writer is of no further use, and nothing was taken from it. */
  finish(): BuiltSst {
    const { info, pieces } = this.finishPieces();
    return { bytes: pieces.length === 1 ? (pieces[0] as Uint8Array) : concat(pieces), info, rows: this.#rows };
  }

  /** The rest of the file, after what was taken. The writer is of no further use. */
  finishPieces(): { readonly pieces: readonly Uint8Array[]; readonly info: SstInfo } {
    if (!this.#block.isEmpty) this.#finishBlock();
    const { compression } = this.#settings;
    const filterOffset = this.#offset;
    let filterLength = 0;
    if (!this.#isWal && this.#rows >= this.#settings.minFilterKeys && this.#rows > 0) {
      const legacy = this.#bloom.finish();
      filterLength = this.#seal(this.#settings.filterFormat === "legacy" ? legacy : encodeComposite(legacy));
    }
    const indexOffset = this.#offset;
    const indexLength = this.#seal(encodeIndex(this.#index));
    const statsOffset = this.#isWal ? 0 : this.#offset;
    const statsLength = this.#isWal ? 0 : this.#seal(encodeStats({ ...this.#totals, blocks: this.#blockCounts }));
    const info: SstInfo = {
      firstEntry: this.#firstEntry,
      lastEntry: this.#isWal || this.#rows === 0 ? undefined : copyBytes(this.#block.lastKey),
      indexOffset,
      indexLength,
      filterOffset,
      filterLength,
      compression,
      isWal: this.#isWal,
      statsOffset,
      statsLength,
      filterFormat: filterLength > 0 ? this.#settings.filterFormat : "legacy",
    };
    this.#append(encodeFooter(info, this.#offset, this.#sealer));
    this.#pieces.push(this.#piece.subarray(0, this.#pieceLength));
    return { pieces: this.take(), info };
  }

  /** Takes a row into account, as far as its place goes; gives how much its key shares with the one before. */
  #place(key: Uint8Array, keyLength: number, seq: number): number {
    const shared = this.#block.sharedWithLast(key, keyLength);
    if (this.#rows === 0) this.#firstEntry = this.#isWal ? seqKey(seq) : copyBytes(key, 0, keyLength);
    if (!this.#isWal) {
      const order = this.#rows === 0 ? -1 : this.#block.compareLast(key, keyLength, shared);
      assert(order < 0 || (order === 0 && this.#lastSeq > seq), "rows of an SST ascend");
      if (order === 0) this.#bloom.repeat();
      else this.#bloom.add(key, keyLength);
    }
    this.#rows++;
    this.#lastSeq = seq;
    this.#totals.rawKeyBytes += keyLength;
    return shared;
  }

  #count(kind: Row["kind"]): void {
    const field = kind === TOMBSTONE ? "deletes" : kind === MERGE ? "merges" : "puts";
    this.#totals[field]++;
    this.#counts[field]++;
  }

  #beginBlock(key: Uint8Array, seq: number): void {
    if (!this.#block.isEmpty) this.#finishBlock();
    const isFirst = this.#index.length === 0;
    this.#blockFirstKey = this.#isWal ? seqKey(seq) : isFirst ? EMPTY_BYTES : separator(this.#block.lastKey, key);
  }

  #finishBlock(): void {
    this.#index.push({ offset: this.#offset, firstKey: this.#blockFirstKey });
    this.#seal(this.#block.finish());
    this.#blockCounts.push(this.#counts);
    this.#counts = { puts: 0, deletes: 0, merges: 0 };
  }

  /** Appends a section with its seal; the bytes that it takes. */
  #seal(raw: Uint8Array): number {
    const body = this.#sealer.encode(raw, this.#settings.compression);
    const crc = this.#sealer.crc32(body, 0);
    const length = body.length + CRC_BYTES;
    if (length >= this.#pieceBytes && this.#pieceLength + length > this.#piece.length) return this.#append(body) + this.#append(u32(crc));
    this.#reserve(length);
    const piece = this.#piece;
    piece.set(body, this.#pieceLength);
    this.#pieceLength += length;
    piece[this.#pieceLength - 4] = crc >>> 24;
    piece[this.#pieceLength - 3] = crc >>> 16;
    piece[this.#pieceLength - 2] = crc >>> 8;
    piece[this.#pieceLength - 1] = crc;
    this.#offset += length;
    return length;
  }

  #append(bytes: Uint8Array): number {
    if (bytes.length >= this.#pieceBytes && this.#pieceLength + bytes.length > this.#piece.length) {
      this.#closePiece();
      // A copy: uncompressed, these are the block writer's own bytes, and the next block is built where they lie.
      this.#pieces.push(copyBytes(bytes));
    } else {
      this.#reserve(bytes.length);
      this.#piece.set(bytes, this.#pieceLength);
      this.#pieceLength += bytes.length;
    }
    this.#offset += bytes.length;
    return bytes.length;
  }

  /** Makes room for `bytes` in the piece that grows. */
  #reserve(bytes: number): void {
    const needed = this.#pieceLength + bytes;
    if (needed <= this.#piece.length) return;
    if (needed > this.#pieceBytes) {
      this.#closePiece();
      this.#piece = new Uint8Array(this.#pieceBytes);
      return;
    }
    const grown = new Uint8Array(Math.min(this.#pieceBytes, Math.max(FIRST_PIECE_BYTES, needed, this.#piece.length * 2)));
    grown.set(this.#piece.subarray(0, this.#pieceLength));
    this.#piece = grown;
  }

  #closePiece(): void {
    if (this.#pieceLength > 0) this.#pieces.push(this.#piece.subarray(0, this.#pieceLength));
    this.#piece = EMPTY_BYTES;
    this.#pieceLength = 0;
  }
}

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value);
  return bytes;
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
    if (previous[i] !== next[i]) return copyBytes(next, 0, i + 1);
  }
  return copyBytes(next, 0, Math.min(next.length, previous.length + 1));
}
