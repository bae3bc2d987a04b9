/**
 * Reads entries back. Every frame is checked each time it is read. A finished segment is scanned once, in slices, before its first entry is
 * handed out: only its end tells which of its entries still count.
 */
import { copyBytes, PumiceError, type File } from "../../base/mod.ts";
import { FrameCursor, type CursorSource } from "./frame-cursor.ts";
import { FrameType, entryTypeOfFlags, segmentSeed } from "./format.ts";
import type { Positions } from "./positions.ts";
import type { LogParts, SealedSegment } from "./recover.ts";
import { SegmentScan } from "./segment-scan.ts";
import type { Entry } from "../../raft/mod.ts";

/** What a read gives. */
export type ReadResult =
  /** In order from the first index asked for; fewer than asked for if the byte limit or a segment's end came first. */
  | { readonly kind: "entries"; readonly entries: readonly Entry[] }
  /** A slice of work was done; read again. */
  | { readonly kind: "again" }
  /** The first index asked for was dropped. */
  | { readonly kind: "compacted" };

/** Entries [lo, hi), to be cut after `maxBytes` of payload but never to nothing. */
export interface ReadRange {
  readonly lo: number;
  readonly hi: number;
  readonly maxBytes: number;
}

/** Scanned of a finished segment in one read. */
const SCAN_SLICE_BYTES = 1024 * 1024;

/** A segment's file and where its entries stand. */
export interface SegmentView {
  readonly name: string;
  readonly source: CursorSource;
  readonly positions: Positions;
}

/** Entries of `range` from one segment, which holds range.lo. @throws LOG_CORRUPT */
export function readSegment(view: SegmentView, range: ReadRange): Entry[] {
  const entries: Entry[] = [];
  const cursor = new FrameCursor(view.source, { offset: 0, previous: undefined });
  let bytes = 0;
  let index = range.lo;
  while (index < range.hi) {
    const found = view.positions.find(index);
    if (found === undefined) break;
    cursor.seek(found.point);
    const until = Math.min(range.hi, found.until);
    while (index < until) {
      if (!cursor.next()) {
        if (cursor.offset === view.source.end) return entries;
        throw new PumiceError("LOG_CORRUPT", { segment: view.name, offset: cursor.offset, problem: cursor.problem });
      }
      if (cursor.type !== FrameType.entry || cursor.index < index) continue;
      const type = entryTypeOfFlags(cursor.flags);
      if (cursor.index > index || type === undefined) {
        throw new PumiceError("LOG_CORRUPT", { segment: view.name, offset: cursor.start, problem: `entry ${index} is not here` });
      }
      bytes += cursor.length;
      if (entries.length > 0 && bytes > range.maxBytes) return entries;
      entries.push({ index, term: cursor.term, type, data: copyBytes(cursor.payload()) });
      index++;
    }
  }
  return entries;
}

/** Reads finished segments; keeps the file of one open, and the positions of those that were read. */
export class SealedReader {
  readonly #parts: LogParts;
  readonly #folder: string;
  readonly #positions = new Map<number, Positions>();
  #open: { readonly id: number; readonly file: File; readonly source: CursorSource; readonly scan: SegmentScan } | undefined;

  constructor(parts: LogParts, folder: string) {
    this.#parts = parts;
    this.#folder = folder;
  }

  /** Entries of `range` from `segment`, which holds range.lo. @throws LOG_CORRUPT, FS_IO */
  read(segment: SealedSegment, range: ReadRange): ReadResult {
    const { source, scan } = this.#use(segment);
    let positions = this.#positions.get(segment.id);
    if (positions === undefined) {
      positions = this.#scan(segment, scan);
      if (positions === undefined) return { kind: "again" };
      this.#positions.set(segment.id, positions);
    }
    return { kind: "entries", entries: readSegment({ name: segment.name, source, positions }, range) };
  }

  /** The segment is about to lose its name. */
  forget(segment: SealedSegment): void {
    this.#positions.delete(segment.id);
    if (this.#open?.id === segment.id) this.close();
  }

  /** What the writer knew of a segment when it finished it. */
  remember(segment: SealedSegment, positions: Positions): void {
    this.#positions.set(segment.id, positions);
  }

  close(): void {
    this.#open?.file.close();
    this.#open = undefined;
  }

  #use(segment: SealedSegment): { readonly source: CursorSource; readonly scan: SegmentScan } {
    if (this.#open?.id === segment.id) return this.#open;
    this.close();
    const { files, crc32 } = this.#parts;
    const file = files.open(`${this.#folder}/${segment.name}`, "read");
    const source: CursorSource = { file, segmentSeed: segmentSeed(segment.id, crc32), crc32, end: segment.end };
    this.#open = { id: segment.id, file, source, scan: new SegmentScan(source, segment.name) };
    return this.#open;
  }

  /** One slice; the positions once the segment's end is reached, and is the end that the next segment names. */
  #scan(segment: SealedSegment, scan: SegmentScan): Positions | undefined {
    const progress = scan.run(SCAN_SLICE_BYTES);
    if (progress.kind === "more") return undefined;
    if (progress.offset < segment.end || scan.state?.end !== segment.end || scan.state.crc !== segment.crc) {
      const problem = progress.offset < segment.end ? progress.problem : "it ends otherwise than the next segment says";
      throw new PumiceError("LOG_CORRUPT", { segment: segment.name, offset: progress.offset, problem });
    }
    return scan.positions;
  }
}
