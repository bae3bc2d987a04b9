/** SSTs as no writer here makes them: of format 1, with other restarts, without statistics. */
import { concat, viewOf } from "../../../src/base/mod.ts";
import { hostCodecs, nodeCrc32 } from "../../../src/host/mod.ts";
import { Sealer, type Compression } from "../../../src/lsm/format/compression.ts";
import { FlatWriter } from "../../../src/lsm/format/flat-writer.ts";
import { TOMBSTONE, type Row } from "../../../src/lsm/format/row.ts";
import { encodeIndex, writeInfo, type SstInfo } from "../../../src/lsm/format/sst-info.ts";

const sealer = new Sealer({ crc32: nodeCrc32, hostCodecs });

/** How to make it. */
export interface Craft {
  readonly formatVersion: 1 | 2;
  readonly restartEvery?: number;
  readonly compression?: Compression;
}

function u16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 255);
}

function u32(value: number): Uint8Array {
  return concat([u16(value >>> 16), u16(value & 0xffff)]);
}

function u64(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  viewOf(bytes).setBigInt64(0, BigInt(value));
  return bytes;
}

/** Sequence number, flags and times, as both formats have them. */
function stamp(row: Row): Uint8Array {
  const flags = row.kind | (row.expireTs === undefined ? 0 : 2) | (row.createTs === undefined ? 0 : 4);
  const times = [row.expireTs, row.createTs].filter((time) => time !== undefined).map(u64);
  return concat([u64(row.seq), Uint8Array.of(flags), ...times]);
}

function sharedBytes(left: Uint8Array, right: Uint8Array): number {
  let i = 0;
  while (i < left.length && left[i] === right[i]) i++;
  return i;
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
  return Uint8Array.of(...bytes, rest);
}

function blockV1(rows: readonly Row[]): Uint8Array {
  const first = rows[0]?.key ?? new Uint8Array(0);
  const offsets: number[] = [];
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const [i, row] of rows.entries()) {
    const prefix = i === 0 ? 0 : sharedBytes(first, row.key);
    const value = row.kind === TOMBSTONE ? [] : [u32(row.value.length), row.value];
    const entry = concat([u16(prefix), u16(row.key.length - prefix), row.key.subarray(prefix), stamp(row), ...value]);
    offsets.push(at);
    parts.push(entry);
    at += entry.length;
  }
  return concat([...parts, ...offsets.map(u16), u16(offsets.length)]);
}

function blockV2(rows: readonly Row[], restartEvery: number): Uint8Array {
  const restarts: number[] = [];
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const [i, row] of rows.entries()) {
    const isRestart = i % restartEvery === 0;
    const shared = isRestart ? 0 : sharedBytes(rows[i - 1]?.key ?? row.key, row.key);
    if (isRestart) restarts.push(at);
    const lengths = [shared, row.key.length - shared, row.value.length].map(varint);
    const entry = concat([...lengths, row.key.subarray(shared), row.value, stamp(row)]);
    parts.push(entry);
    at += entry.length;
  }
  return concat([...parts, ...restarts.map(u16), u16(restarts.length)]);
}

/** An SST of one block, without filter and statistics. */
export function craftSst(rows: readonly Row[], craft: Craft): { bytes: Uint8Array; info: SstInfo } {
  const compression = craft.compression ?? "none";
  const block = craft.formatVersion === 1 ? blockV1(rows) : blockV2(rows, craft.restartEvery ?? 16);
  const data = sealer.seal(block, compression);
  const index = sealer.seal(encodeIndex([{ offset: 0, firstKey: new Uint8Array(0) }]), compression);
  const info: SstInfo = {
    firstEntry: rows[0]?.key,
    lastEntry: rows.at(-1)?.key,
    indexOffset: data.length,
    indexLength: index.length,
    filterOffset: data.length,
    filterLength: 0,
    compression,
    isWal: false,
    statsOffset: 0,
    statsLength: 0,
    filterFormat: "legacy",
  };
  const writer = new FlatWriter();
  const encoded = writer.finish(writeInfo(writer, info));
  const footer = [encoded, u32(nodeCrc32(encoded, 0)), u64(data.length + index.length), u16(craft.formatVersion)];
  return { bytes: concat([data, index, ...footer]), info };
}
