/**
 * A part of an object in a file of the disk cache. Little-endian. FROZEN in version 1.
 *
 *     magic "PMCP" | version u32 = 1 | crc32 u32 of all that follows up to the payload | identity length u32 | payload length u32
 *     | identity (UTF-8) | one crc32 u32 for each 64 KiB of the payload | payload
 *
 * The identity is the whole name of the part, so that a file under a wrong name is not taken for another part. The checksums are by chunk,
 * so that a small read need not check a large part. What does not add up is no part: the reader says so and the object store is asked.
 */
import { fs } from "../built-ins.ts";
import { nodeCrc32 } from "../codec.ts";
import { fstat, open, readFully } from "../local-store/files.ts";

/** Bytes under one checksum. FROZEN. */
export const CHUNK_BYTES = 65_536;
const MAGIC = 0x50434d50;
const VERSION = 1;
const HEADER_BYTES = 20;
/** No name is longer; a length beyond it is damage. */
const IDENTITY_BYTES_MAX = 4096;

/** What must be known of a part file to read from it. */
export interface PartLayout {
  readonly payloadBytes: number;
  readonly payloadOffset: number;
  readonly checksums: Uint32Array;
}

/** The bytes of the file, without the payload, which follows. */
export function encodePartHeader(identity: string, payload: Uint8Array): Uint8Array {
  const name = Buffer.from(identity, "utf8");
  const chunkCount = Math.ceil(payload.length / CHUNK_BYTES);
  const header = Buffer.alloc(HEADER_BYTES + name.length + 4 * chunkCount);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt32LE(VERSION, 4);
  header.writeUInt32LE(name.length, 12);
  header.writeUInt32LE(payload.length, 16);
  name.copy(header, HEADER_BYTES);
  for (let i = 0; i < chunkCount; i++) {
    const checksum = nodeCrc32(payload.subarray(i * CHUNK_BYTES, (i + 1) * CHUNK_BYTES), 0);
    header.writeUInt32LE(checksum, HEADER_BYTES + name.length + 4 * i);
  }
  header.writeUInt32LE(nodeCrc32(header.subarray(12), 0), 8);
  return header;
}

/** The layout of the file if it is whole, as far as its header and size tell, and the part of that identity. */
export async function readPartLayout(fd: number, identity: string): Promise<PartLayout | undefined> {
  const fileBytes = Number((await fstat(fd)).size);
  const fixed = Buffer.alloc(HEADER_BYTES);
  if ((await readFully(fd, fixed, 0)) < HEADER_BYTES) return undefined;
  const [nameBytes, payloadBytes] = [fixed.readUInt32LE(12), fixed.readUInt32LE(16)];
  if (fixed.readUInt32LE(0) !== MAGIC || fixed.readUInt32LE(4) !== VERSION || nameBytes > IDENTITY_BYTES_MAX) return undefined;
  const chunkCount = Math.ceil(payloadBytes / CHUNK_BYTES);
  const payloadOffset = HEADER_BYTES + nameBytes + 4 * chunkCount;
  if (fileBytes !== payloadOffset + payloadBytes) return undefined;
  const rest = Buffer.alloc(payloadOffset - HEADER_BYTES);
  if ((await readFully(fd, rest, HEADER_BYTES)) < rest.length) return undefined;
  if (nodeCrc32(rest, nodeCrc32(fixed.subarray(12), 0)) !== fixed.readUInt32LE(8)) return undefined;
  if (rest.toString("utf8", 0, nameBytes) !== identity) return undefined;
  const checksums = new Uint32Array(chunkCount);
  for (let i = 0; i < chunkCount; i++) checksums[i] = rest.readUInt32LE(nameBytes + 4 * i);
  return { payloadBytes, payloadOffset, checksums };
}

/** Bytes [start, end) of the payload, cut at its end; undefined if a checksum does not fit. */
export async function readPayload(fd: number, layout: PartLayout, start: number, end: number): Promise<Uint8Array | undefined> {
  const cutEnd = Math.min(end, layout.payloadBytes);
  if (start >= cutEnd) return new Uint8Array(0);
  const firstChunk = Math.floor(start / CHUNK_BYTES);
  const from = firstChunk * CHUNK_BYTES;
  const to = Math.min(Math.ceil(cutEnd / CHUNK_BYTES) * CHUNK_BYTES, layout.payloadBytes);
  const bytes = new Uint8Array(to - from);
  if ((await readFully(fd, bytes, layout.payloadOffset + from)) < bytes.length) return undefined;
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
    const checksum = layout.checksums[firstChunk + at / CHUNK_BYTES];
    if (nodeCrc32(bytes.subarray(at, at + CHUNK_BYTES), 0) !== checksum) return undefined;
  }
  return start === from && cutEnd === to ? bytes : bytes.slice(start - from, cutEnd - from);
}

/** Opens a part file for `use` and closes it. */
export async function withPartFile<T>(path: string, use: (fd: number) => Promise<T>): Promise<T> {
  const fd = await open(path, "r");
  try {
    return await use(fd);
  } finally {
    fs.closeSync(fd);
  }
}
