/**
 * The log's frames. All of docs/formats/log.md in one place; the numbers here are FROZEN. Little-endian; a frame begins at a multiple of 8.
 *
 *   0 crc u32       CRC-32 of bytes [4, end of padding), started from frameSeed(segment id, offset of this frame in its file)
 *   4 previous u32  crc of the frame before this one, across segments; 0 before the first
 *   8 magic u16     0x6d70
 *  10 type u8       see FrameType
 *  11 flags u8      an entry's type; else 0
 *  12 length u32    of the payload, without padding
 *  16 index u64
 *  24 term u64
 *  32 payload, then zeros up to a multiple of 8
 *
 * Invariants (numbers of reference: the log's list in docs/formats/log.md): a frame is valid only under its own segment's id and at its
 * own offset, and only after the frame that it was written after.
 */
import { assert, getU64, setU64, toHex, utf8, viewOf, type Crc32, type EntryId } from "../../base/mod.ts";
import type { EntryType } from "../../raft/mod.ts";

/** FROZEN. "pm" in the file. */
export const FRAME_MAGIC = 0x6d70;
/** FROZEN. */
export const FRAME_HEADER_BYTES = 32;
/** FROZEN. Where a frame's fields begin in it. */
export const FrameOffset = { crc: 0, previous: 4, magic: 8, type: 10, flags: 11, length: 12, index: 16, term: 24 } as const;
/** FROZEN. Payloads are padded to a multiple of it. */
const FRAME_ALIGN_BYTES = 8;
/** FROZEN. What a segment's head says. A reader refuses what is newer; version 1 has no identity in its heads. */
export const LOG_FORMAT_VERSION = 2;

/** FROZEN. */
export const FrameType = {
  /** A segment begins. index, term: the log's last entry then. Payload: see SegmentHead. */
  head: 1,
  /** index: commit; term: term. Payload: vote u64. */
  hardState: 2,
  /** An entry. flags: its type. Payload: its data. */
  entry: 3,
  /** Entries from `index` on are gone. term: that of the entry that comes in their place. No payload. */
  truncate: 4,
  /** Entries up to `index`, whose term is `term`, may be gone. No payload. */
  compact: 5,
  /** All entries are gone, and the log goes on after (index, term). No payload. */
  reset: 6,
  /** Everything since the last such frame counts. index, term: the log's last entry now. Payload: offset u64 where the batch begins. */
  batchEnd: 7,
} as const;

/** FROZEN. An entry's type, by its flags. */
const ENTRY_TYPES: readonly EntryType[] = ["normal", "config"];

/** The flags of an entry's frame. */
export function flagsOfEntry(type: EntryType): number {
  return type === "normal" ? 0 : 1;
}

/** The entry type that the flags mean; undefined for flags that this version does not know. */
export function entryTypeOfFlags(flags: number): EntryType | undefined {
  return ENTRY_TYPES[flags];
}

/** FROZEN. Payload bytes of a batch-end frame. */
export const BATCH_END_PAYLOAD_BYTES = 8;
/** FROZEN. Payload bytes of a head frame of this version. */
const HEAD_PAYLOAD_BYTES = 64;
const CLUSTER_ID_BYTES = 16;
/** Bytes of a whole batch-end frame. */
export const BATCH_END_FRAME_BYTES = FRAME_HEADER_BYTES + BATCH_END_PAYLOAD_BYTES;
/** Bytes of a whole head frame. */
export const HEAD_FRAME_BYTES = FRAME_HEADER_BYTES + HEAD_PAYLOAD_BYTES;

/** How the frames of a segment are laid out. The head frame's own header, and the version in it, stand alike in all versions. */
export interface FrameLayout {
  readonly headerBytes: number;
  readonly offset: typeof FrameOffset;
  readonly headPayloadBytes: number;
}

/** FROZEN. */
const NEWEST_LAYOUT: FrameLayout = { headerBytes: FRAME_HEADER_BYTES, offset: FrameOffset, headPayloadBytes: HEAD_PAYLOAD_BYTES };
/** FROZEN. By version. */
const LAYOUTS: ReadonlyMap<number, FrameLayout> = new Map([
  [1, { ...NEWEST_LAYOUT, headPayloadBytes: 40 }],
  [LOG_FORMAT_VERSION, NEWEST_LAYOUT],
]);

/** The layout of a version; undefined for one that nobody has written, or a newer program. */
export function layoutOf(version: number): FrameLayout | undefined {
  return LAYOUTS.get(version);
}

/** Bytes at a segment's beginning that say its version. */
export const VERSION_END_BYTES = FRAME_HEADER_BYTES + 4;

/** Longest payload: what a u32 holds, less room for the frame's own bytes. */
export const PAYLOAD_BYTES_MAX = 0xffff_ff00;

/** Bytes of a frame with a payload of `length`. */
export function frameBytes(length: number, headerBytes: number = FRAME_HEADER_BYTES): number {
  return headerBytes + Math.ceil(length / FRAME_ALIGN_BYTES) * FRAME_ALIGN_BYTES;
}

/** Whose log this is. */
export interface LogIdentity {
  /** 32 hexadecimal digits. */
  readonly clusterId: string;
  /** Never 0. */
  readonly nodeId: number;
}

/** What a segment's head says besides the log's last entry. */
export interface SegmentHead {
  /** Default: this one's. */
  readonly version?: number | undefined;
  /** Undefined: nobody has told the log yet. */
  readonly identity: LogIdentity | undefined;
  readonly id: number;
  /** The segment before this one in the log, and what is to be found there; undefined for the first. */
  readonly previous: PreviousSegment | undefined;
}

/** How a finished segment ended, as its successor's head keeps it. */
export interface PreviousSegment {
  readonly id: number;
  /** One past its last byte. */
  readonly end: number;
  /** The lowest index that it may hold an entry of. */
  readonly low: number;
}

/** What a frame is, before checksums. */
export interface FrameFields {
  readonly type: number;
  readonly flags?: number;
  readonly index: number;
  readonly term: number;
  /** Of the payload. */
  readonly length: number;
}

/** Writes a frame's header, but for its checksums, at `offset` of `view`. */
export function putHeader(view: DataView, offset: number, frame: FrameFields): void {
  view.setUint16(offset + FrameOffset.magic, FRAME_MAGIC, true);
  view.setUint8(offset + FrameOffset.type, frame.type);
  view.setUint8(offset + FrameOffset.flags, frame.flags ?? 0);
  view.setUint32(offset + FrameOffset.length, frame.length, true);
  setU64(view, offset + FrameOffset.index, frame.index);
  setU64(view, offset + FrameOffset.term, frame.term);
}

/** A frame with a payload of one u64, or none; without checksums. */
export function smallFrame(type: number, position: EntryId, payload?: number): Uint8Array {
  const length = payload === undefined ? 0 : 8;
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + length);
  const view = viewOf(bytes);
  putHeader(view, 0, { type, index: position.index, term: position.term, length });
  if (payload !== undefined) setU64(view, FRAME_HEADER_BYTES, payload);
  return bytes;
}

/**
 * A head frame, without checksums. Payload: version u32 | zero u32 | segment id u64 | previous id u64 (0: none) | previous end u64 |
 * previous low u64 | cluster id, 16 bytes | node id u64 (0: no identity).
 */
export function headFrame(head: SegmentHead, last: EntryId): Uint8Array {
  const bytes = new Uint8Array(HEAD_FRAME_BYTES);
  const view = viewOf(bytes);
  putHeader(view, 0, { type: FrameType.head, index: last.index, term: last.term, length: HEAD_PAYLOAD_BYTES });
  view.setUint32(FRAME_HEADER_BYTES, LOG_FORMAT_VERSION, true);
  setU64(view, FRAME_HEADER_BYTES + 8, head.id);
  setU64(view, FRAME_HEADER_BYTES + 16, head.previous?.id ?? 0);
  setU64(view, FRAME_HEADER_BYTES + 24, head.previous?.end ?? 0);
  setU64(view, FRAME_HEADER_BYTES + 32, head.previous?.low ?? 0);
  if (head.identity !== undefined) {
    bytes.set(clusterIdBytes(head.identity.clusterId), FRAME_HEADER_BYTES + 40);
    setU64(view, FRAME_HEADER_BYTES + 40 + CLUSTER_ID_BYTES, head.identity.nodeId);
  }
  return bytes;
}

/** The version in a head frame's payload; 0, which is none, if it is too short. */
export function headVersion(payload: Uint8Array): number {
  return payload.length < 4 ? 0 : viewOf(payload).getUint32(0, true);
}

/** What a head frame's payload says; undefined if it contradicts itself. */
export function parseHead(payload: Uint8Array): SegmentHead | undefined {
  const version = headVersion(payload);
  if (payload.length !== layoutOf(version)?.headPayloadBytes) return undefined;
  const view = viewOf(payload);
  const [id, previousId, end, low] = [8, 16, 24, 32].map((offset) => getU64(view, offset));
  if (id === undefined || previousId === undefined || end === undefined || low === undefined) return undefined;
  if (previousId >= id) return undefined;
  const previous = previousId === 0 ? undefined : { id: previousId, end, low };
  const nodeId = version === 1 ? 0 : getU64(view, 40 + CLUSTER_ID_BYTES);
  if (nodeId === undefined) return undefined;
  const identity = nodeId === 0 ? undefined : { clusterId: toHex(payload.subarray(40, 40 + CLUSTER_ID_BYTES)), nodeId };
  return { version, identity, id, previous };
}

function clusterIdBytes(id: string): Uint8Array {
  assert(/^[0-9a-f]{32}$/.test(id), "a cluster id is 32 hexadecimal digits");
  return Uint8Array.from({ length: CLUSTER_ID_BYTES }, (_, at) => Number.parseInt(id.slice(at * 2, at * 2 + 2), 16));
}

/**
 * Where the checksum of a frame starts from, so that it is valid in no other segment and at no other offset. Within one segment two
 * offsets never have the same seed (below 2^35 bytes); `segmentSeed` is that of the segment.
 */
export function frameSeed(segmentSeed: number, offset: number): number {
  return (segmentSeed ^ Math.imul(offset / FRAME_ALIGN_BYTES, 0x9e37_79b1)) >>> 0;
}

/** The part of `frameSeed` that all frames of a segment share. */
export function segmentSeed(id: number, crc32: Crc32): number {
  const bytes = new Uint8Array(8);
  setU64(viewOf(bytes), 0, id);
  return crc32(bytes, crc32(utf8("pumice log"), 0));
}

/** Where a frame stands: how its checksum is made. */
export interface Place {
  readonly segmentSeed: number;
  /** Of the first byte, in the segment's file. */
  readonly offset: number;
  /** The checksum of the frame before it. */
  readonly previous: number;
}

/** Gives the frames in `bytes`, which begins at `place`, their checksums. Returns that of the last. */
export function sealFrames(bytes: Uint8Array, place: Place, crc32: Crc32): number {
  const view = viewOf(bytes);
  let previous = place.previous;
  let at = 0;
  while (at < bytes.length) {
    const size = frameBytes(view.getUint32(at + FrameOffset.length, true));
    view.setUint32(at + FrameOffset.previous, previous, true);
    previous = crc32(bytes.subarray(at + FrameOffset.previous, at + size), frameSeed(place.segmentSeed, place.offset + at));
    view.setUint32(at + FrameOffset.crc, previous, true);
    at += size;
  }
  assert(at === bytes.length, "frames fill their bytes");
  return previous;
}

const SEGMENT_NAME = /^([0-9a-f]{16})-([0-9a-f]{8,14})\.log$/;
const BLANK_NAME = /^blank-([0-9a-f]{8,14})\.log$/;

/** A segment's file name. `firstIndex` is for people: the first index that it was begun for. */
export function segmentName(firstIndex: number, id: number): string {
  return `${firstIndex.toString(16).padStart(16, "0")}-${id.toString(16).padStart(8, "0")}.log`;
}

/** The name of a file that waits to become a segment. */
export function blankName(id: number): string {
  return `blank-${id.toString(16).padStart(8, "0")}.log`;
}

/** What a file of the log's folder is by its name; undefined for a stranger. */
export function parseName(name: string): { readonly kind: "segment" | "blank"; readonly id: number } | undefined {
  const segment = SEGMENT_NAME.exec(name)?.[2];
  if (segment !== undefined) return { kind: "segment", id: Number.parseInt(segment, 16) };
  const blank = BLANK_NAME.exec(name)?.[1];
  return blank === undefined ? undefined : { kind: "blank", id: Number.parseInt(blank, 16) };
}
