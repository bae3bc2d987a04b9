/**
 * The log: entries and hard state on disk, one sequence of frames over segments. Synchronous: it lives on a thread of its own.
 *
 * Invariants, numbered as in docs/formats/log.md:
 * 20. After a crash the log is a prefix of what was appended, and holds everything whose append returned.
 * 21. A torn tail is dropped; damage before a whole batch is refused, never cut away.
 * 22. Indexes are contiguous and terms do not go back; no frame is readable under another segment's id.
 * 23. After a failed sync nothing more is acknowledged.
 * 24. Entries are dropped only up to a commit index that is on disk.
 * 25. Term and vote on disk are at least those of the last append that returned.
 */
import { LOG_START, PumiceError, assert, isPumiceError, type EntryId } from "../../base/mod.ts";
import { planAppend, planCompaction, planHardState, compactPart, hardStatePart, type AppendPlan } from "./append-plan.ts";
import { BLANKS_MAX, type Blanks } from "./blanks.ts";
import { BATCH_END_FRAME_BYTES, headFrame, LOG_FORMAT_VERSION, segmentName, type LogIdentity, type PreviousSegment } from "./format.ts";
import type { PackedBatch } from "./pack.ts";
import { Positions } from "./positions.ts";
import { SegmentReader, readSegment, type Located, type ReadRange, type ReadResult } from "./reader.ts";
import { recover, type LogParts, type SealedSegment, type TailSegment } from "./recover.ts";
import { Tail, type WrittenBatch } from "./tail.ts";
import type { HardState } from "../../raft/mod.ts";
import type { LogState } from "./types.ts";

/** How the log lies on disk. */
export interface LogSettings {
  /** The folder of the log, and of nothing else. Made if missing. */
  readonly folder: string;
  /** A segment is finished when the next batch would pass this size. Default 64 MiB. */
  readonly segmentBytes?: number | undefined;
  /** Zeros written at a time ahead of the log's end, and the size of a new segment. Default 256 KiB. */
  readonly sliceBytes?: number | undefined;
  /** What a new log begins with. A log of an older format is given the identity, and goes on in the newest. */
  readonly begin?: LogBeginning | undefined;
}

/** How a log begins. */
export interface LogBeginning {
  readonly identity: LogIdentity;
  /** The entries and hard state of a node that founds a cluster. */
  readonly batch?: PackedBatch | undefined;
}

/**
 * What became of a group. The first `persisted` batches are durable; with a refusal, the others are not. Until the next write succeeds, a crash may
 * still bring back what was refused, like anything that was under way.
 */
export interface AppendOutcome {
  readonly persisted: number;
  /** LOG_FULL. */
  readonly refusal: PumiceError | undefined;
}

const SEGMENT_BYTES = 64 * 1024 * 1024;
const SLICE_BYTES = 256 * 1024;

const NO_HARD_STATE: HardState = { term: 0, vote: 0, commit: 0 };

/** One node's log. */
export class Log {
  readonly #parts: LogParts;
  readonly #folder: string;
  readonly #segmentBytes: number;
  readonly #zeros: Uint8Array;
  readonly #blanks: Blanks;
  readonly #reader: SegmentReader;
  #sealed: SealedSegment[];
  #tail: Tail | undefined;
  #state: LogState;
  /** The hard state on disk; that of #state may have a newer commit index. */
  #written: HardState;
  /** One past the tail's head; 0 if the tail was recovered. */
  #headEnd = 0;
  #nextId: number;
  #identity: LogIdentity | undefined;
  #hasBegun = false;
  #failure: PumiceError | undefined;
  #closed = false;

  /** Opens the log in its folder, or begins one. @throws LOG_CORRUPT, LOG_MISSING, LOG_VERSION, FS_NO_SPACE, FS_IO */
  static open(parts: LogParts, settings: LogSettings): Log {
    makeFolder(parts, settings.folder);
    const found = recover(parts, settings.folder, settings.sliceBytes ?? SLICE_BYTES);
    const log = new Log(parts, settings, found);
    try {
      log.#begin(found.tail?.state.head.version, settings.begin);
    } catch (error) {
      log.#release();
      throw error;
    }
    return log;
  }

  /** A new log gets what it begins with, one of an older format a segment of this one. A start that a crash broke off is done again. */
  #begin(version: number | undefined, begin: LogBeginning | undefined): void {
    const { hardState, compacted, last } = this.#state;
    const isEmpty = last.index === 0 && compacted.index === 0 && hardState.term === 0;
    if (this.#blanks.count === 0) this.#createBlank();
    if (version !== LOG_FORMAT_VERSION || (isEmpty && begin !== undefined)) {
      this.#identity = begin?.identity ?? this.#identity;
      if (!this.#rotate()) throw new PumiceError("FS_NO_SPACE", { operation: "begin a log", path: this.#folder });
    }
    if (this.#blanks.count === 0) this.#createBlank();
    if (!isEmpty || begin?.batch === undefined) return;
    this.#hasBegun = true;
    const refusal = this.#append(planAppend(this.#state, this.#written, [begin.batch]));
    if (refusal !== undefined) throw new PumiceError("FS_NO_SPACE", { operation: "begin a log", path: this.#folder }, refusal);
  }

  private constructor(parts: LogParts, settings: LogSettings, found: ReturnType<typeof recover>) {
    const segmentBytes = settings.segmentBytes ?? SEGMENT_BYTES;
    const sliceBytes = settings.sliceBytes ?? SLICE_BYTES;
    assert(sliceBytes > 0 && sliceBytes % 8 === 0 && sliceBytes <= segmentBytes, "a slice is a part of a segment");
    this.#parts = parts;
    this.#folder = settings.folder;
    this.#segmentBytes = segmentBytes;
    this.#zeros = new Uint8Array(sliceBytes);
    this.#blanks = found.blanks;
    this.#nextId = found.nextId;
    this.#sealed = found.sealed;
    this.#reader = new SegmentReader(parts, settings.folder);
    this.#tail = found.tail === undefined ? undefined : this.#tailOf(found.tail);
    const state = found.tail?.state;
    this.#state = state === undefined ? { hardState: NO_HARD_STATE, compacted: LOG_START, last: LOG_START } : stateOf(state);
    this.#written = this.#state.hardState;
    this.#identity = state?.head.identity;
  }

  /** Whose log this is; undefined if nobody has told it. */
  get identity(): LogIdentity | undefined {
    return this.#identity;
  }

  /** True if it was begun by this opening. */
  get hasBegun(): boolean {
    return this.#hasBegun;
  }

  /** What is durable, but for the commit index, which may be newer here. */
  get state(): LogState {
    return this.#state;
  }

  /**
   * Makes a group of batches durable with one write and one sync. Their frames are written into. A group that changes nothing but the commit
   * index is remembered and costs no write.
   * @throws LOG_FAILED if a write or a sync failed: nothing is acknowledged any more. LOG_CLOSED
   */
  append(batches: readonly PackedBatch[]): AppendOutcome {
    const refusal = this.#append(planAppend(this.#usable(), this.#written, batches));
    if (refusal === undefined) return { persisted: batches.length, refusal };
    // A vote that waited in front of entries is not refused with them.
    const entriesAt = batches.findIndex((batch) => batch.snapshot !== undefined || batch.entries.frames.length > 0);
    if (entriesAt <= 0) return { persisted: 0, refusal };
    const again = this.#append(planAppend(this.#state, this.#written, batches.slice(0, entriesAt)));
    return { persisted: again === undefined ? entriesAt : 0, refusal };
  }

  /**
   * Drops entries up to `to`, which the caller has applied and can restore without the log. Segments that hold no other entries go.
   * @throws LOG_FULL, LOG_FAILED, LOG_CLOSED
   */
  compact(to: EntryId): void {
    const state = this.#usable();
    if (to.index <= state.compacted.index) return;
    const refusal = this.#append(planCompaction(state, to));
    if (refusal !== undefined) throw refusal;
  }

  /** Entries from `range.lo` on. @throws LOG_CORRUPT, LOG_CLOSED, FS_IO */
  read(range: ReadRange): ReadResult {
    const located = this.locate(range);
    if (located.kind === "compacted") return located;
    if (located.kind === "nowhere") return { kind: "entries", entries: [] };
    const { place, hi } = located;
    if (place.crc === undefined) return { kind: "entries", entries: readSegment(this.#open().view(), { ...range, hi }) };
    return this.#reader.read(place, { ...range, hi });
  }

  /** Where entries from `range.lo` on stand: in one segment, up to `hi`. @throws LOG_CLOSED */
  locate(range: ReadRange): Located {
    const { compacted, last } = this.#usable();
    if (range.lo <= compacted.index) return { kind: "compacted" };
    let hi = Math.min(range.hi, last.index + 1);
    if (range.lo >= hi) return { kind: "nowhere" };
    const tail = this.#open();
    if (tail.low <= range.lo) return { kind: "segment", place: { id: tail.id, name: tail.name, end: tail.position, crc: undefined }, hi };
    hi = Math.min(hi, tail.low);
    const at = this.#sealed.findLastIndex((segment) => segment.low <= range.lo);
    const segment = this.#sealed[at];
    assert(segment !== undefined, "every entry that was not dropped lies in a segment");
    for (const later of this.#sealed.slice(at + 1)) hi = Math.min(hi, later.low);
    const { id, name, end, crc } = segment;
    return { kind: "segment", place: { id, name, end, crc }, hi };
  }

  /** Does a slice of what makes later appends fast: call it while nothing waits. True if there is more to do. @throws LOG_FAILED */
  prepare(): boolean {
    if (this.#closed || this.#failure !== undefined) return false;
    return this.#guard(() => {
      if (this.#blanks.count < BLANKS_MAX) {
        if (!this.#createBlank()) return false;
      } else if (!this.#isFilledAhead() && !this.#extend()) {
        return false;
      }
      return this.#blanks.count < BLANKS_MAX || !this.#isFilledAhead();
    });
  }

  /** Writes down the newest commit index, which also proves the last batch to have been durable. Idempotent. */
  close(): void {
    if (this.#closed) return;
    try {
      if (this.#failure === undefined) this.#append(planHardState(this.#state));
    } finally {
      this.#closed = true;
      this.#release();
    }
  }

  #isFilledAhead(): boolean {
    const tail = this.#open();
    return tail.filled - tail.position >= 2 * this.#zeros.length || tail.filled + this.#zeros.length > this.#segmentBytes;
  }

  /** False if there is no space. */
  #extend(): boolean {
    try {
      this.#open().extend(this.#zeros);
      return true;
    } catch (error) {
      if (!isPumiceError(error, "FS_NO_SPACE")) throw error;
      return false;
    }
  }

  /** Appends; LOG_FULL is returned, not thrown. */
  #append(plan: AppendPlan): PumiceError | undefined {
    if (plan.parts.length === 0) {
      this.#state = plan.state;
      return undefined;
    }
    return this.#guard(() => {
      // Entries are taken only while the reserve stands, so that they never eat the space for a vote.
      if (plan.hasEntries && this.#blanks.count === 0 && !this.#createBlank()) return full("no reserve");
      const size = plan.parts.reduce((sum, part) => sum + part.frames.length, BATCH_END_FRAME_BYTES);
      if (this.#open().position + size > this.#segmentBytes && !this.#isFresh() && !this.#rotateFor(plan) && plan.hasEntries) {
        return full("no next segment");
      }
      let written = this.#write(plan);
      if (written === undefined && !plan.hasEntries && this.#rotate()) written = this.#write(plan);
      if (written === undefined) return full("no space");
      const tail = this.#open();
      tail.file.datasync();
      tail.accept(written, plan.low);
      const dropped = plan.state.compacted.index > this.#state.compacted.index;
      this.#written = plan.state.hardState;
      this.#state = plan.state;
      if (dropped) this.#dropSegments();
      return undefined;
    });
  }

  /** Undefined if there was no space. */
  #write(plan: AppendPlan): WrittenBatch | undefined {
    try {
      return this.#open().write(plan.parts, plan.state.last);
    } catch (error) {
      if (!isPumiceError(error, "FS_NO_SPACE")) throw error;
      return undefined;
    }
  }

  /** True if the tail holds nothing but its head: a longer batch would not fit better elsewhere. */
  #isFresh(): boolean {
    return this.#open().position <= this.#headEnd;
  }

  /** A new tail. For entries, one blank more than the reserve is needed. */
  #rotateFor(plan: AppendPlan): boolean {
    if (this.#blanks.count < BLANKS_MAX) this.#createBlank();
    if (plan.hasEntries && this.#blanks.count < BLANKS_MAX) return false;
    return this.#rotate();
  }

  /**
   * Finishes the tail and begins another segment, whose head is durable, name included, before anything follows it. False if there is
   * no blank, or no space for its head.
   */
  #rotate(): boolean {
    const id = this.#takeId();
    const { last, hardState, compacted } = this.#state;
    const name = segmentName(last.index + 1, id);
    const path = `${this.#folder}/${name}`;
    if (!this.#blanks.takeAs(name)) return false;
    const old = this.#tail;
    const previous: PreviousSegment | undefined = old && { id: old.id, end: old.position, low: old.low };
    const file = this.#parts.files.open(path, "write");
    const positions = new Positions();
    const tail = new Tail({ id, name, file, position: 0, crc: old?.crc ?? 0, low: last.index + 1, positions }, this.#parts.crc32);
    const head = { frames: headFrame({ identity: this.#identity, id, previous }, last), effect: { kind: "none" } } as const;
    try {
      tail.accept(tail.write([head, hardStatePart(hardState), compactPart(compacted)], last), Infinity);
    } catch (error) {
      file.close();
      if (!isPumiceError(error, "FS_NO_SPACE")) throw error;
      // A file system that does not write in place. The half-made segment must be gone before the old one is written again.
      this.#parts.files.remove(path);
      this.#parts.files.syncDirectory(this.#folder);
      return false;
    }
    file.datasync();
    this.#parts.files.syncDirectory(this.#folder);
    this.#written = hardState;
    this.#headEnd = tail.position;
    this.#tail = tail;
    if (old !== undefined) this.#seal(old);
    return true;
  }

  #seal(old: Tail): void {
    const segment: SealedSegment = { id: old.id, name: old.name, end: old.position, crc: old.crc, low: old.low };
    old.file.close();
    this.#sealed.push(segment);
    this.#reader.remember(segment, old.positions);
  }

  /** Lets go of the segments before the one that holds the first entry. The mark up to which they were dropped is durable. */
  #dropSegments(): void {
    const first = this.#state.compacted.index + 1;
    let keep = this.#sealed.length;
    if (this.#open().low > first) {
      do keep--;
      while (keep > 0 && (this.#sealed[keep] as SealedSegment).low > first);
    }
    for (const segment of this.#sealed.splice(0, keep)) {
      this.#reader.forget(segment);
      this.#blanks.recycle(segment.name, this.#takeId(), this.#segmentBytes);
    }
  }

  #createBlank(): boolean {
    return this.#blanks.create(this.#takeId());
  }

  #takeId(): number {
    return this.#nextId++;
  }

  #tailOf(found: TailSegment): Tail {
    const { head, end, crc, low } = found.state;
    const { name, file } = found;
    return new Tail({ id: head.id, name, file, position: end, crc, low, positions: found.scan.positions }, this.#parts.crc32);
  }

  #open(): Tail {
    assert(this.#tail !== undefined, "an open log has a tail");
    return this.#tail;
  }

  #usable(): LogState {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#closed) throw new PumiceError("LOG_CLOSED", { folder: this.#folder });
    return this.#state;
  }

  /** Whatever goes wrong in `work` is final: what is on disk is not known any more (invariant 23). */
  #guard<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      this.#failure ??= new PumiceError("LOG_FAILED", { folder: this.#folder, reason: error instanceof Error ? error.message : "" }, error);
      throw this.#failure;
    }
  }

  #release(): void {
    this.#reader.close();
    this.#tail?.file.close();
  }
}

function full(reason: string): PumiceError {
  return new PumiceError("LOG_FULL", { reason });
}

function stateOf(found: LogState): LogState {
  return { hardState: found.hardState, compacted: found.compacted, last: found.last };
}

/** Makes the folder, and its name durable. */
function makeFolder(parts: LogParts, folder: string): void {
  let path = folder;
  const missing: string[] = [];
  while (!parts.files.exists(path)) {
    missing.push(path);
    const parent = parentOf(path);
    if (parent === path) break;
    path = parent;
  }
  parts.files.makeDirectory(folder);
  parts.files.syncDirectory(parentOf(folder));
  for (const made of missing) parts.files.syncDirectory(parentOf(made));
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  if (slash < 0) return ".";
  return slash === 0 ? "/" : path.slice(0, slash);
}
