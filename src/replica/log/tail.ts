/** The segment that is written: where its next batch goes, and how far its file is filled with zeros ahead of that. */
import { getU64, viewOf, type Crc32, type EntryId, type File } from "../../base/mod.ts";
import type { PlanPart } from "./append-plan.ts";
import { FrameOffset, FrameType, frameBytes, sealFrames, segmentSeed, smallFrame } from "./format.ts";
import type { Positions } from "./positions.ts";
import type { SegmentView } from "./reader.ts";

/** Up to this, what is appended is copied together and written at once. */
const COALESCE_BYTES = 1024 * 1024;

/** What a tail begins as. */
export interface TailStart {
  readonly id: number;
  readonly name: string;
  readonly file: File;
  readonly position: number;
  readonly crc: number;
  readonly low: number;
  readonly positions: Positions;
}

/** A batch, written and not yet durable. */
export interface WrittenBatch {
  readonly parts: readonly PlanPart[];
  readonly end: number;
  readonly crc: number;
}

/** The last segment. */
export class Tail {
  readonly id: number;
  readonly name: string;
  readonly file: File;
  /** Where the next batch begins. */
  position: number;
  /** The checksum of the frame before it. */
  crc: number;
  /** The lowest index that this segment may hold an entry of. */
  low: number;
  readonly positions: Positions;
  /** The file's size: bytes up to here are allocated. */
  filled: number;
  readonly #segmentSeed: number;
  readonly #crc32: Crc32;
  #staging = new Uint8Array(0);

  constructor(start: TailStart, crc32: Crc32) {
    this.id = start.id;
    this.name = start.name;
    this.file = start.file;
    this.position = start.position;
    this.crc = start.crc;
    this.low = start.low;
    this.positions = start.positions;
    this.filled = start.file.size();
    this.#segmentSeed = segmentSeed(start.id, crc32);
    this.#crc32 = crc32;
  }

  /** Writes `parts` and a batch-end frame after the last batch. Nothing counts until `accept`. @throws FS_NO_SPACE, FS_IO */
  write(parts: readonly PlanPart[], last: EntryId): WrittenBatch {
    const batchEnd: PlanPart = { frames: smallFrame(FrameType.batchEnd, last, this.position), effect: { kind: "none" } };
    const all = [...parts, batchEnd];
    let end = this.position;
    let crc = this.crc;
    for (const { frames } of all) {
      crc = sealFrames(frames, { segmentSeed: this.#segmentSeed, offset: end, previous: crc }, this.#crc32);
      end += frames.length;
    }
    this.#put(all, end - this.position);
    return { parts: all, end, crc };
  }

  /** The batch is durable. */
  accept(batch: WrittenBatch, low: number): void {
    let offset = this.position;
    for (const { frames, effect } of batch.parts) {
      if (effect.kind === "entries") this.#notePositions(frames, offset);
      else if (effect.kind === "truncate") this.positions.truncate(effect.index);
      else if (effect.kind === "reset") this.positions.reset();
      offset += frames.length;
    }
    this.position = batch.end;
    this.crc = batch.crc;
    this.low = Math.min(this.low, low);
    this.filled = Math.max(this.filled, batch.end);
  }

  /** Writes zeros after the filled part and makes them durable. @throws FS_NO_SPACE, FS_IO */
  extend(zeros: Uint8Array): void {
    this.file.write(zeros, this.filled);
    this.file.datasync();
    this.filled += zeros.length;
  }

  view(): SegmentView {
    const source = { file: this.file, segmentSeed: this.#segmentSeed, crc32: this.#crc32, end: this.position };
    return { name: this.name, source, positions: this.positions };
  }

  #put(parts: readonly PlanPart[], size: number): void {
    let at = this.position;
    if (size > COALESCE_BYTES) {
      for (const { frames } of parts) {
        this.file.write(frames, at);
        at += frames.length;
      }
      return;
    }
    if (this.#staging.length < size) this.#staging = new Uint8Array(Math.min(COALESCE_BYTES, Math.max(size, this.#staging.length * 2)));
    let filled = 0;
    for (const { frames } of parts) {
      this.#staging.set(frames, filled);
      filled += frames.length;
    }
    this.file.write(this.#staging.subarray(0, filled), at);
  }

  #notePositions(frames: Uint8Array, offset: number): void {
    const view = viewOf(frames);
    for (let at = 0; at < frames.length; at += frameBytes(view.getUint32(at + FrameOffset.length, true))) {
      const index = getU64(view, at + FrameOffset.index) as number;
      this.positions.entry({ index, offset: offset + at, previous: view.getUint32(at + FrameOffset.previous, true) });
    }
  }
}
