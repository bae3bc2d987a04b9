/** Walks the frames of one segment's file, forward, checking each: the one reader of the format. */
import { getU64, viewOf, type Crc32, type File } from "../../base/mod.ts";
import {
  BATCH_END_FRAME_BYTES,
  BATCH_END_PAYLOAD_BYTES,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  FrameOffset,
  FrameType,
  frameBytes,
  frameSeed,
  headVersion,
  LOG_FORMAT_VERSION,
  layoutOf,
  VERSION_END_BYTES,
  type FrameLayout,
} from "./format.ts";

/** Read at once, unless a frame is longer. */
const WINDOW_BYTES = 256 * 1024;

/** What a cursor reads. */
export interface CursorSource {
  readonly file: File;
  readonly segmentSeed: number;
  readonly crc32: Crc32;
  /** Nothing is read from here on. */
  readonly end: number;
}

/** A position before a frame: its offset, and the checksum that it must name as that of the frame before it. */
export interface CursorStart {
  readonly offset: number;
  /** Undefined: any. The first frame of a segment may follow what was dropped. */
  readonly previous: number | undefined;
}

/** Reads one frame after the other. After `next` returned true, the fields are those of the frame that it passed. */
export class FrameCursor {
  /** The format version that the segment's head says, 0 if it has none. A scan from the head on checks it; frames are laid out by it. */
  readonly version: number;
  /** Of the next frame. */
  offset: number;
  /** The checksum of the last frame passed: what the next one must name. */
  previous: number | undefined;
  type = 0;
  flags = 0;
  index = 0;
  term = 0;
  /** Of the frame passed. */
  start = 0;
  /** Bytes of the payload of the frame passed. */
  length = 0;
  /** Why `next` returned false. */
  problem = "";

  readonly #source: CursorSource;
  readonly #layout: FrameLayout;
  #window = new Uint8Array(0);
  #view = viewOf(this.#window);
  #windowStart = 0;

  constructor(source: CursorSource, start: CursorStart) {
    this.#source = source;
    this.version = versionOf(source);
    // A version that is not known is refused where the head is read.
    this.#layout = layoutOf(this.version) ?? NEWEST_LAYOUT;
    this.offset = start.offset;
    this.previous = start.previous;
  }

  /** Goes elsewhere in the file. What was read stays read. */
  seek(start: CursorStart): void {
    this.offset = start.offset;
    this.previous = start.previous;
  }

  /** Passes the next frame if it is valid; else says what is wrong in `problem` and stays. */
  next(): boolean {
    const { headerBytes, offset } = this.#layout;
    if (!this.#fill(headerBytes)) return this.#fail("the file ends");
    let at = this.offset - this.#windowStart;
    if (this.#view.getUint16(at + offset.magic, true) !== FRAME_MAGIC) return this.#fail("no frame begins here");
    const length = this.#view.getUint32(at + offset.length, true);
    const size = frameBytes(length, headerBytes);
    if (!this.#fill(size)) return this.#fail("the frame is cut off");
    at = this.offset - this.#windowStart;
    const view = this.#view;
    const crc = view.getUint32(at + offset.crc, true);
    const seed = frameSeed(this.#source.segmentSeed, this.offset);
    if (this.#source.crc32(this.#window.subarray(at + offset.previous, at + size), seed) !== crc)
      return this.#fail("the checksum is wrong");
    if (this.previous !== undefined && view.getUint32(at + offset.previous, true) !== this.previous)
      return this.#fail("it follows another frame");
    const index = getU64(view, at + offset.index);
    const term = getU64(view, at + offset.term);
    if (index === undefined || term === undefined) return this.#fail("an integer is too large");
    this.type = view.getUint8(at + offset.type);
    this.flags = view.getUint8(at + offset.flags);
    this.index = index;
    this.term = term;
    this.start = this.offset;
    this.length = length;
    this.previous = crc;
    this.offset += size;
    return true;
  }

  /** The payload of the frame passed. Valid until next(). */
  payload(): Uint8Array {
    const at = this.start - this.#windowStart + this.#layout.headerBytes;
    return this.#window.subarray(at, at + this.length);
  }

  /** The payload of the frame passed, if it is one u64. */
  payloadU64(): number | undefined {
    return this.length === 8 ? getU64(this.#view, this.start - this.#windowStart + this.#layout.headerBytes) : undefined;
  }

  /** The checksum that the frame passed names as that of the frame before it. */
  named(): number {
    return this.#view.getUint32(this.start - this.#windowStart + this.#layout.offset.previous, true);
  }

  #fail(problem: string): false {
    this.problem = problem;
    return false;
  }

  /** True if `size` bytes from the offset on are in the window, which is moved there if need be. */
  #fill(size: number): boolean {
    if (this.offset + size > this.#source.end) return false;
    const have = this.#windowStart + this.#window.length;
    if (this.offset >= this.#windowStart && this.offset + size <= have) return true;
    const wanted = Math.min(Math.max(size, WINDOW_BYTES), this.#source.end - this.offset);
    const fresh = new Uint8Array(wanted);
    this.#window = fresh.subarray(0, readAll(this.#source.file, fresh, this.offset));
    this.#view = viewOf(this.#window);
    this.#windowStart = this.offset;
    return size <= this.#window.length;
  }
}

const NEWEST_LAYOUT = layoutOf(LOG_FORMAT_VERSION) as FrameLayout;

/** The version in a segment's head, unchecked; 0 if the file ends before it. */
function versionOf({ file, end }: CursorSource): number {
  const start = new Uint8Array(Math.min(VERSION_END_BYTES, end));
  const filled = readAll(file, start, 0);
  return headVersion(start.subarray(Math.min(FRAME_HEADER_BYTES, filled), filled));
}

/**
 * The offset of a valid batch-end frame of a batch that begins after `offset`; undefined if there is none. A batch is written only once
 * the one before it is durable: such a frame proves that what stood at `offset` was durable.
 */
export function findLaterBatch(source: CursorSource, offset: number): number | undefined {
  const step = WINDOW_BYTES - BATCH_END_FRAME_BYTES;
  const window = new Uint8Array(WINDOW_BYTES);
  for (let start = offset; start < source.end; start += step) {
    const filled = readAll(source.file, window.subarray(0, Math.min(WINDOW_BYTES, source.end - start)), start);
    const found = findBatchEnd(source, window.subarray(0, filled), start, offset);
    if (found !== undefined) return found;
  }
  return undefined;
}

function findBatchEnd(source: CursorSource, window: Uint8Array, windowStart: number, after: number): number | undefined {
  const view = viewOf(window);
  const last = window.length - BATCH_END_FRAME_BYTES;
  // Magic, type and flags of a batch-end frame, as one little-endian word.
  const word = FRAME_MAGIC | (FrameType.batchEnd << 16);
  for (let at = 0; at <= last; at += 8) {
    if (view.getUint32(at + FrameOffset.magic, true) !== word || view.getUint32(at + FrameOffset.length, true) !== BATCH_END_PAYLOAD_BYTES)
      continue;
    const batch = getU64(view, at + FRAME_HEADER_BYTES);
    if (batch === undefined || batch <= after) continue;
    const seed = frameSeed(source.segmentSeed, windowStart + at);
    if (source.crc32(window.subarray(at + FrameOffset.previous, at + BATCH_END_FRAME_BYTES), seed) === view.getUint32(at, true))
      return windowStart + at;
  }
  return undefined;
}

/** Reads until `target` is full or the file ends. */
function readAll(file: File, target: Uint8Array, position: number): number {
  let done = 0;
  while (done < target.length) {
    const count = file.read(target.subarray(done), position + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}
