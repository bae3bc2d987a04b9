/**
 * Compaction as simple as it can be: all rows in one array, sorted, `retain`ed key by key, and SSTs put together from arrays of numbers by what
 * docs/formats/sst.md says. Nothing here is fast, and nothing of the engine's writers and cursors is used.
 */
import { compareBytes, utf8 } from "../../../src/base/mod.ts";
import { retain, type RetentionRules } from "../../../src/lsm/engine/retention.ts";
import type { Sealer } from "../../../src/lsm/format/compression.ts";
import { FlatWriter } from "../../../src/lsm/format/flat-writer.ts";
import { sharedLength } from "../../../src/lsm/format/key-prefix.ts";
import { MERGE, TOMBSTONE, VALUE, type Row } from "../../../src/lsm/format/row.ts";
import { sipHash13 } from "../../../src/lsm/format/siphash.ts";
import { encodeIndex, encodeStats, writeInfo, type BlockCounts, type IndexEntry, type SstInfo } from "../../../src/lsm/format/sst-info.ts";
import { separator, type SstSettings } from "../../../src/lsm/format/sst-writer.ts";

/** An SST and what a manifest says of it. */
export interface ReferenceSst {
  readonly bytes: Uint8Array;
  readonly info: SstInfo;
}

/** What a compaction goes by. */
export interface ReferenceRules extends RetentionRules {
  readonly settings: SstSettings & { readonly maxSstBytes: number };
  readonly filter: ((row: Row) => "keep" | "drop") | undefined;
}

function sameKey(left: Row | undefined, right: Row): boolean {
  return left !== undefined && compareBytes(left.key, right.key) === 0;
}

/** The SSTs that a compaction of those rows makes. */
export function referenceCompaction(rows: readonly Row[], rules: ReferenceRules, sealer: Sealer): ReferenceSst[] {
  // The same row may come from several sources, the last one of them the newest.
  const sorted = rows.toReversed().sort((left, right) => compareBytes(left.key, right.key) || right.seq - left.seq);
  const unique = sorted.filter((row, i) => !(sameKey(sorted[i - 1], row) && sorted[i - 1]?.seq === row.seq));
  const keys: Row[][] = [];
  for (const row of unique) {
    if (sameKey(keys.at(-1)?.[0], row)) keys.at(-1)?.push(row);
    else keys.push([row]);
  }
  const ssts: ReferenceSst[] = [];
  let blocks: Row[][] = [];
  let finishedBytes = 0;
  for (const versions of keys) {
    let kept = retain(versions, rules);
    const [only] = kept;
    const isAsked = kept.length === 1 && rules.isBottom && only?.kind === VALUE && only.seq <= rules.minSeq;
    if (isAsked && rules.filter?.(only) === "drop") kept = [];
    if (kept.length === 0) continue;
    const blocksBefore = blocks.length;
    for (const row of kept) place(row, blocks, rules.settings.blockSizeBytes);
    // All blocks but the last are finished.
    for (const block of blocks.slice(Math.max(0, blocksBefore - 1), -1))
      finishedBytes += sealer.seal(encodeBlock(block), rules.settings.compression).length;
    if (finishedBytes < rules.settings.maxSstBytes) continue;
    ssts.push(referenceSst(blocks.flat(), rules.settings, sealer));
    blocks = [];
    finishedBytes = 0;
  }
  return blocks.length === 0 ? ssts : [...ssts, referenceSst(blocks.flat(), rules.settings, sealer)];
}

/** One SST of those rows, in order. */
export function referenceSst(rows: readonly Row[], settings: SstSettings, sealer: Sealer, version: 1 | 2 = 2): ReferenceSst {
  const file: number[] = [];
  const append = (raw: Uint8Array): number => {
    const sealed = sealer.seal(raw, settings.compression);
    for (const byte of sealed) file.push(byte);
    return sealed.length;
  };
  const index: IndexEntry[] = [];
  const counts: BlockCounts[] = [];
  let previous: Row | undefined;
  for (const block of blocksOf(rows, settings.blockSizeBytes)) {
    const [first] = block as [Row];
    index.push({ offset: file.length, firstKey: previous === undefined ? new Uint8Array(0) : separator(previous.key, first.key) });
    append(version === 1 ? encodeBlockV1(block) : encodeBlock(block));
    counts.push(countsOf(block));
    previous = block.at(-1);
  }
  const filterOffset = file.length;
  const filterLength = rows.length > 0 && rows.length >= settings.minFilterKeys ? append(filterOf(rows, settings)) : 0;
  const indexOffset = file.length;
  const indexLength = append(encodeIndex(index));
  const statsOffset = file.length;
  const sum = (get: (row: Row) => number): number => rows.reduce((total, row) => total + get(row), 0);
  const stats = { ...countsOf(rows), rawKeyBytes: sum((row) => row.key.length), rawValueBytes: sum((row) => row.value.length) };
  const statsLength = append(encodeStats({ ...stats, blocks: counts }));
  const info: SstInfo = {
    firstEntry: rows[0]?.key,
    lastEntry: rows.at(-1)?.key,
    indexOffset,
    indexLength,
    filterOffset,
    filterLength,
    compression: settings.compression,
    isWal: false,
    statsOffset,
    statsLength,
    filterFormat: filterLength > 0 ? settings.filterFormat : "legacy",
  };
  const infoOffset = file.length;
  const writer = new FlatWriter();
  const encoded = writer.finish(writeInfo(writer, info));
  file.push(...encoded, ...big(sealer.crc32(encoded, 0), 4), ...big(infoOffset, 8), 0, version);
  return { bytes: Uint8Array.from(file), info };
}

function countsOf(rows: readonly Row[]): BlockCounts {
  const count = (kind: Row["kind"]): number => rows.filter((row) => row.kind === kind).length;
  return { puts: count(VALUE), deletes: count(TOMBSTONE), merges: count(MERGE) };
}

/** A row goes into the last block, unless that would grow beyond its size. */
function place(row: Row, blocks: Row[][], blockSizeBytes: number): void {
  const last = blocks.at(-1);
  if (last !== undefined && blockBytes([...last, row]) <= blockSizeBytes) last.push(row);
  else blocks.push([row]);
}

function blockBytes(rows: readonly Row[]): number {
  const entries = rows.reduce((sum, row, i) => sum + entryBytes(row, rows[i - 1], i), 0);
  return entries + 2 * Math.ceil(rows.length / 16) + 2;
}

/** Bytes of each row's entry as it was counted last, for the row before it and its place. */
const counted = new WeakMap<Row, { before: Row | undefined; i: number; bytes: number }>();

function entryBytes(row: Row, before: Row | undefined, i: number): number {
  const known = counted.get(row);
  if (known?.before === before && known?.i === i) return known.bytes;
  const bytes = entryOf(row, before, i).length;
  counted.set(row, { before, i, bytes });
  return bytes;
}

function blocksOf(rows: readonly Row[], blockSizeBytes: number): Row[][] {
  const blocks: Row[][] = [];
  for (const row of rows) place(row, blocks, blockSizeBytes);
  return blocks;
}

function encodeBlock(rows: readonly Row[]): Uint8Array {
  const block: number[] = [];
  const restarts: number[] = [];
  for (const [i, row] of rows.entries()) {
    if (i % 16 === 0) restarts.push(block.length);
    for (const byte of entryOf(row, rows[i - 1], i)) block.push(byte);
  }
  return Uint8Array.from([...block, ...restarts.flatMap((restart) => big(restart, 2)), ...big(restarts.length, 2)]);
}

function entryOf(row: Row, before: Row | undefined, i: number): number[] {
  const shared = i % 16 === 0 || before === undefined ? 0 : sharedLength(before.key, row.key, row.key.length);
  const suffix = row.key.slice(shared);
  return [...varint(shared), ...varint(suffix.length), ...varint(row.value.length), ...suffix, ...row.value, ...seqAndTimes(row)];
}

function encodeBlockV1(rows: readonly Row[]): Uint8Array {
  const block: number[] = [];
  const offsets: number[] = [];
  const firstKey = rows[0]?.key ?? new Uint8Array(0);
  for (const [i, row] of rows.entries()) {
    offsets.push(block.length);
    const shared = i === 0 ? 0 : sharedLength(firstKey, row.key, row.key.length);
    const suffix = row.key.slice(shared);
    block.push(...big(shared, 2), ...big(suffix.length, 2), ...suffix, ...seqAndTimes(row));
    if (row.kind !== TOMBSTONE) block.push(...big(row.value.length, 4), ...row.value);
  }
  return Uint8Array.from([...block, ...offsets.flatMap((offset) => big(offset, 2)), ...big(offsets.length, 2)]);
}

function seqAndTimes(row: Row): number[] {
  const flags = row.kind | (row.expireTs === undefined ? 0 : 2) | (row.createTs === undefined ? 0 : 4);
  const times = [row.expireTs, row.createTs].flatMap((time) => (time === undefined ? [] : big(time, 8)));
  return [...big(row.seq, 8), flags, ...times];
}

function filterOf(rows: readonly Row[], settings: SstSettings): Uint8Array {
  const probes = Math.trunc(Math.fround(settings.filterBitsPerKey * Math.fround(0.69)));
  const bytes = Array.from({ length: Math.ceil((rows.length * settings.filterBitsPerKey) / 8) }, () => 0);
  const bits = BigInt(bytes.length * 8);
  for (const row of rows) {
    const { high, low } = sipHash13(row.key);
    let h = BigInt(low) % bits;
    let d = BigInt(high) % bits;
    for (let probe = 0n; probe < BigInt(probes); probe++) {
      d = (d + probe) % bits;
      bytes[Number(h >> 3n)]! |= 1 << Number(h & 7n);
      h = (h + d) % bits;
    }
  }
  const legacy = [...big(probes, 2), ...bytes];
  if (settings.filterFormat === "legacy") return Uint8Array.from(legacy);
  return Uint8Array.from([...big(1, 2), ...big(3, 2), ...utf8("_bf"), ...big(legacy.length, 8), ...legacy]);
}

function varint(value: number): number[] {
  return value < 0x80 ? [value] : [(value % 0x80) | 0x80, ...varint(Math.floor(value / 0x80))];
}

function big(value: number, width: number): number[] {
  const unsigned = BigInt.asUintN(64, BigInt(value));
  return Array.from({ length: width }, (_, i) => Number((unsigned >> BigInt(8 * (width - 1 - i))) & 0xffn));
}
