/**
 * Reads entries back. Every frame is checked each time it is read. A finished segment is scanned once, in slices, before its first entry is
 * handed out: only its end tells which of its entries still count.
 */
import { copyBytes, PumiceError, type File } from "../../base/mod.ts";
import { FrameCursor, type CursorSource } from "./frame-cursor.ts";
import { FrameType, entryTypeOfFlags, segmentSeed } from "./format.ts";
import type { Positions } from "./positions.ts";
import type { LogParts } from "./recover.ts";
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

/** A source whose end moves on while the segment is written. */
type GrowingSource = { -readonly [Key in keyof CursorSource]: CursorSource[Key] };

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

/** A segment as far as it is durable. */
export interface SegmentPlace {
  readonly id: number;
  readonly name: string;
  /** One past its last byte. */
  readonly end: number;
  /** The checksum of its last frame; undefined for a segment that is still written. */
  readonly crc: number | undefined;
}

/** Where the entries of a range stand, up to `hi`. */
export type Located =
  | { readonly kind: "segment"; readonly place: SegmentPlace; readonly hi: number }
  /** There are none yet. */
  | { readonly kind: "nowhere" }
  /** The first index asked for was dropped. */
  | { readonly kind: "compacted" };

/** Reads segments; keeps the file of one open, and the positions of finished ones that were read. */
export class SegmentReader {
  readonly #parts: LogParts;
  readonly #folder: string;
  readonly #positions = new Map<number, Positions>();
  #open: { readonly id: number; readonly file: File; readonly source: GrowingSource; readonly scan: SegmentScan } | undefined;

  constructor(parts: LogParts, folder: string) {
    this.#parts = parts;
    this.#folder = folder;
  }

  /** Entries of `range` from `segment`, which holds range.lo. @throws LOG_CORRUPT, FS_IO */
  read(segment: SegmentPlace, range: ReadRange): ReadResult {
    const { source, scan } = this.#use(segment);
    let positions = this.#positions.get(segment.id);
    if (positions === undefined) {
      positions = this.#scan(segment, scan);
      if (positions === undefined) return { kind: "again" };
      if (segment.crc !== undefined) this.#positions.set(segment.id, positions);
    }
    return { kind: "entries", entries: readSegment({ name: segment.name, source, positions }, range) };
  }

  /** The segment is about to lose its name. */
  forget(segment: SegmentPlace): void {
    this.#positions.delete(segment.id);
    if (this.#open?.id === segment.id) this.close();
  }

  /** What the writer knew of a segment when it finished it. */
  remember(segment: SegmentPlace, positions: Positions): void {
    this.#positions.set(segment.id, positions);
  }

  close(): void {
    this.#open?.file.close();
    this.#open = undefined;
  }

  #use(segment: SegmentPlace): { readonly source: CursorSource; readonly scan: SegmentScan } {
    if (this.#open?.id === segment.id) {
      this.#open.source.end = segment.end;
      return this.#open;
    }
    this.close();
    const { files, crc32 } = this.#parts;
    const file = files.open(`${this.#folder}/${segment.name}`, "read");
    const source: GrowingSource = { file, segmentSeed: segmentSeed(segment.id, crc32), crc32, end: segment.end };
    this.#open = { id: segment.id, file, source, scan: new SegmentScan(source, segment.name) };
    return this.#open;
  }

  /** One slice; the positions once the segment's end is reached, and is the end that the next segment names, if there is one. */
  #scan(segment: SegmentPlace, scan: SegmentScan): Positions | undefined {
    const progress = scan.run(SCAN_SLICE_BYTES);
    if (progress.kind === "more") return undefined;
    const isOther = scan.state?.end !== segment.end || (segment.crc !== undefined && scan.state.crc !== segment.crc);
    if (progress.offset < segment.end || isOther) {
      const problem = progress.offset < segment.end ? progress.problem : "it ends otherwise than the next segment says";
      throw new PumiceError("LOG_CORRUPT", { segment: segment.name, offset: progress.offset, problem });
    }
    return scan.positions;
  }
}
