/**
 * Finds the log in its folder after a crash. Reads the heads of the segments that are needed and the whole of the last one; writes
 * nothing but bytes that are there already; removes what no segment of the log is. See docs/formats/log.md, "Recovery".
 */
import { PumiceError, assert, isPumiceError, viewOf, type Crc32, type File, type FileSystem } from "../../base/mod.ts";
import { Blanks, BLANKS_MAX } from "./blanks.ts";
import { FRAME_HEADER_BYTES, FrameOffset, HEAD_FRAME_BYTES, parseHead, parseName, segmentSeed } from "./format.ts";
import { FrameCursor, findLaterBatch, type CursorSource } from "./frame-cursor.ts";
import { SegmentScan, type ScanState } from "./segment-scan.ts";

/** What the log needs of the world. */
export interface LogParts {
  readonly files: FileSystem;
  readonly crc32: Crc32;
}

/** A finished segment of the log. */
export interface SealedSegment {
  readonly id: number;
  readonly name: string;
  /** One past its last byte, as its successor says. */
  readonly end: number;
  /** The checksum of its last frame, as its successor says. */
  readonly crc: number;
  /** The lowest index that it may hold an entry of. */
  readonly low: number;
}

/** The segment that is written. */
export interface TailSegment {
  readonly name: string;
  /** Open for writing; the receiver closes it. */
  readonly file: File;
  readonly scan: SegmentScan;
  readonly state: ScanState;
}

/** What was found. */
export interface Recovered {
  /** Oldest first; each is the predecessor of the next, the last that of the tail. */
  readonly sealed: SealedSegment[];
  /** Undefined: there is no log yet. */
  readonly tail: TailSegment | undefined;
  readonly blanks: Blanks;
  /** Larger than any id that was seen. */
  readonly nextId: number;
}

/** Scanned per step; only a bound of what is looked at between two looks at the progress. */
const SCAN_STEP_BYTES = 1 << 30;
/** A segment's head batch is found within so many bytes. */
const HEAD_BATCH_BYTES = 512;

/** Recovers the log in `folder`, which exists. `blankBytes`: the size of new blanks. @throws LOG_CORRUPT, LOG_MISSING, LOG_VERSION, FS_IO */
export function recover(parts: LogParts, folder: string, blankBytes: number): Recovered {
  const found = listFolder(parts.files, folder);
  const recovery = new Recovery(parts, folder, found.segments);
  const tail = recovery.findTail();
  try {
    const sealed = tail === undefined ? [] : recovery.findSealed(tail.state);
    if (tail !== undefined) makeDurable(tail);
    parts.files.syncDirectory(folder);
    const blanks = new Blanks(parts.files, folder, blankBytes);
    const wanted = new Set(sealed.map((segment) => segment.id));
    if (tail !== undefined) wanted.add(tail.state.head.id);
    recovery.clean(wanted, found.blanks, blanks);
    return { sealed, tail, blanks, nextId: found.nextId };
  } catch (error) {
    tail?.file.close();
    throw error;
  }
}

interface Listing {
  /** id -> name. */
  readonly segments: ReadonlyMap<number, string>;
  readonly blanks: readonly string[];
  readonly nextId: number;
}

function listFolder(files: FileSystem, folder: string): Listing {
  const segments = new Map<number, string>();
  const blanks: string[] = [];
  let nextId = 1;
  for (const name of files.list(folder)) {
    const parsed = parseName(name);
    if (parsed === undefined) continue;
    nextId = Math.max(nextId, parsed.id + 1);
    if (parsed.kind === "segment") segments.set(parsed.id, name);
    else blanks.push(name);
  }
  return { segments, blanks, nextId };
}

/**
 * Writes the last batch again, byte for byte, and syncs it. The process that wrote it may have been killed before its sync returned, or
 * after the sync failed: then what was read here stood in memory only. Everything before it was durable when it was written.
 */
function makeDurable(tail: TailSegment): void {
  const { batchStart, end } = tail.state;
  const bytes = new Uint8Array(end - batchStart);
  let done = 0;
  while (done < bytes.length) {
    const count = tail.file.read(bytes.subarray(done), batchStart + done);
    assert(count > 0, "a batch that was scanned is there");
    done += count;
  }
  try {
    tail.file.write(bytes, batchStart);
  } catch (error) {
    // A full file system that does not write in place. The node starts all the same; only a failed sync before is not made good.
    if (!isPumiceError(error, "FS_NO_SPACE")) throw error;
  }
  tail.file.datasync();
}

function otherHead(segment: string): PumiceError {
  return new PumiceError("LOG_CORRUPT", { segment, offset: 0, problem: "the head names another segment" });
}

class Recovery {
  readonly #parts: LogParts;
  readonly #folder: string;
  readonly #segments: ReadonlyMap<number, string>;

  constructor(parts: LogParts, folder: string, segments: ReadonlyMap<number, string>) {
    this.#parts = parts;
    this.#folder = folder;
    this.#segments = segments;
  }

  /** The segment with the highest id that has a whole head. One above it without was being created in the crash. */
  findTail(): TailSegment | undefined {
    const ids = [...this.#segments.keys()].sort((a, b) => b - a);
    for (const id of ids) {
      const name = this.#segments.get(id) as string;
      const file = this.#parts.files.open(`${this.#folder}/${name}`, "write");
      let kept = false;
      try {
        const scan = this.#scanToEnd(this.#source(file, id), name);
        if (scan.state === undefined) continue;
        if (scan.state.head.id !== id) throw otherHead(name);
        kept = true;
        return { name, file, scan, state: scan.state };
      } finally {
        if (!kept) file.close();
      }
    }
    return undefined;
  }

  /** Scans all that is whole. @throws LOG_CORRUPT if something whole comes after the place where the scan stopped. */
  #scanToEnd(source: CursorSource, name: string): SegmentScan {
    const scan = new SegmentScan(source, name);
    for (;;) {
      const progress = scan.run(SCAN_STEP_BYTES);
      if (progress.kind === "more") continue;
      const later = findLaterBatch(source, scan.state?.end ?? 0);
      if (later === undefined) return scan;
      throw new PumiceError("LOG_CORRUPT", { segment: name, offset: progress.offset, problem: progress.problem, intactBatchAt: later });
    }
  }

  /** The predecessors of the tail that hold entries after the compacted ones, oldest first. @throws LOG_MISSING, LOG_CORRUPT */
  findSealed(tail: ScanState): SealedSegment[] {
    const sealed: SealedSegment[] = [];
    let low = tail.low;
    let state = tail;
    while (state.head.previous !== undefined && low > tail.compacted.index + 1) {
      const { id, end, low: previousLow } = state.head.previous;
      const name = this.#segments.get(id);
      if (name === undefined)
        throw new PumiceError("LOG_MISSING", { folder: this.#folder, id, entriesFrom: previousLow, entriesTo: low - 1 });
      sealed.push({ id, name, end, crc: state.previousCrc, low: previousLow });
      low = previousLow;
      state = this.#headOf(id, name);
    }
    return sealed.reverse();
  }

  /** What the head of a segment that must be there says. @throws LOG_CORRUPT */
  #headOf(id: number, name: string): ScanState {
    const file = this.#parts.files.open(`${this.#folder}/${name}`, "read");
    try {
      const source = this.#source(file, id);
      const state = new SegmentScan({ ...source, end: Math.min(source.end, HEAD_BATCH_BYTES) }, name).runHead();
      if (state.head.id !== id) throw otherHead(name);
      return state;
    } finally {
      file.close();
    }
  }

  /** A crash may leave a file under two names: the blank that it was and the segment that it is. */
  #isSegment(blank: string, ids: ReadonlySet<number>): boolean {
    const file = this.#parts.files.open(`${this.#folder}/${blank}`, "read");
    try {
      const start = new Uint8Array(HEAD_FRAME_BYTES);
      if (file.read(start, 0) < start.length) return false;
      const length = viewOf(start).getUint32(FrameOffset.length, true);
      const id = parseHead(start.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + length))?.id;
      return id !== undefined && ids.has(id) && new FrameCursor(this.#source(file, id), { offset: 0, previous: undefined }).next();
    } finally {
      file.close();
    }
  }

  /** Removes segments that are not the log's, and keeps as many blanks as are wanted. */
  clean(wanted: ReadonlySet<number>, blankNames: readonly string[], blanks: Blanks): void {
    for (const [id, name] of this.#segments) {
      if (!wanted.has(id)) this.#remove(name);
    }
    for (const name of blankNames) {
      if (blanks.count === BLANKS_MAX || this.#isSegment(name, wanted)) this.#remove(name);
      else blanks.adopt(name);
    }
  }

  /** On a disk too full to change a name the file stays: it is harmless, and looked at again next time. */
  #remove(name: string): void {
    try {
      this.#parts.files.remove(`${this.#folder}/${name}`);
    } catch (error) {
      if (!isPumiceError(error, "FS_NO_SPACE")) throw error;
    }
  }

  #source(file: File, id: number): CursorSource {
    return { file, segmentSeed: segmentSeed(id, this.#parts.crc32), crc32: this.#parts.crc32, end: file.size() };
  }
}
