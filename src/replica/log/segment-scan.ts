/**
 * Reads a segment batch by batch and keeps what its whole batches say. A batch counts when its batch-end frame was reached, wholly or
 * not at all.
 */
import { LOG_START, PumiceError, type EntryId } from "../../base/mod.ts";
import { FrameCursor, type CursorSource } from "./frame-cursor.ts";
import { FrameType, LOG_FORMAT_VERSION, parseHead, type SegmentHead } from "./format.ts";
import { Positions, type Point } from "./positions.ts";
import type { HardState } from "../../raft/mod.ts";

/** Entries closer than this to the one that was noted last are not noted. */
const NOTE_BYTES = 64 * 1024;

/** The log after some batch of a segment. */
export interface ScanState {
  readonly head: SegmentHead;
  /** The checksum of the last frame of the segment before this one. */
  readonly previousCrc: number;
  readonly last: EntryId;
  readonly hardState: HardState;
  readonly compacted: EntryId;
  /** The lowest index that this segment may hold an entry of. */
  readonly low: number;
  /** Where the last whole batch begins. */
  readonly batchStart: number;
  /** One past the last whole batch. */
  readonly end: number;
  /** The checksum of its last frame. */
  readonly crc: number;
}

/** How far a scan came. */
export type ScanProgress =
  | { readonly kind: "more" }
  /** No valid frame at `offset`, in the batch that begins at `state.end` (0 if there is no state). */
  | { readonly kind: "stopped"; readonly offset: number; readonly problem: string };

type Note =
  | { readonly kind: "entry"; readonly point: Point }
  | { readonly kind: "truncate"; readonly index: number }
  | { readonly kind: "reset" };

type Draft = { -readonly [Key in keyof ScanState]: ScanState[Key] };

/** A scan from a segment's first byte. */
export class SegmentScan {
  /** After the last whole batch; undefined before the first, the head's. */
  state: ScanState | undefined;
  readonly positions = new Positions();
  readonly #cursor: FrameCursor;
  readonly #name: string;
  #draft: Draft | undefined;
  #notes: Note[] = [];
  #noted = -NOTE_BYTES;

  constructor(source: CursorSource, name: string) {
    this.#cursor = new FrameCursor(source, { offset: 0, previous: undefined });
    this.#name = name;
  }

  /** Scans on, for about `budgetBytes`. @throws LOG_CORRUPT, LOG_VERSION if valid frames contradict each other. */
  run(budgetBytes: number): ScanProgress {
    const cursor = this.#cursor;
    const until = cursor.offset + budgetBytes;
    while (cursor.offset < until) {
      if (!cursor.next()) return { kind: "stopped", offset: cursor.offset, problem: cursor.problem };
      if (this.#draft === undefined) this.#begin();
      else this.#take(this.#draft);
    }
    return { kind: "more" };
  }

  /** Scans the head's batch and no more. @throws LOG_CORRUPT if it is not whole, and as `run` does. */
  runHead(): ScanState {
    for (;;) {
      if (this.state !== undefined) return this.state;
      const progress = this.run(1);
      if (progress.kind === "more") continue;
      throw new PumiceError("LOG_CORRUPT", { segment: this.#name, offset: progress.offset, problem: progress.problem });
    }
  }

  /** The first frame of a batch. */
  #begin(): void {
    if (this.state === undefined) {
      this.#draft = this.#takeHead();
      return;
    }
    this.#draft = { ...this.state, batchStart: this.#cursor.start };
    this.#take(this.#draft);
  }

  #takeHead(): Draft {
    const { type, index, term } = this.#cursor;
    const payload = this.#cursor.payload();
    if (type !== FrameType.head) throw this.#contradiction("the first frame is not a head");
    const { version } = this.#cursor;
    if (version > LOG_FORMAT_VERSION) throw new PumiceError("LOG_VERSION", { segment: this.#name, version, known: LOG_FORMAT_VERSION });
    const head = parseHead(payload);
    if (head === undefined) throw this.#contradiction("the head makes no sense");
    const hardState: HardState = { term: 0, vote: 0, commit: 0 };
    const last = { index, term };
    const previousCrc = this.#cursor.named();
    return { head, previousCrc, last, hardState, compacted: LOG_START, low: index + 1, batchStart: 0, end: 0, crc: 0 };
  }

  #take(draft: Draft): void {
    const { type, index, term } = this.#cursor;
    switch (type) {
      case FrameType.entry:
        return this.#takeEntry(draft);
      case FrameType.hardState:
        return this.#takeHardState(draft);
      case FrameType.truncate:
        if (index > draft.last.index || index <= draft.compacted.index) throw this.#contradiction("a truncation outside the log");
        // The term before the cut is unknown here; the entry that follows carries the one that counts.
        draft.last = { index: index - 1, term: 0 };
        draft.low = Math.min(draft.low, index);
        this.#note({ kind: "truncate", index });
        return;
      case FrameType.compact:
        if (index < draft.compacted.index || index > draft.last.index) throw this.#contradiction("a compaction outside the log");
        draft.compacted = { index, term };
        return;
      case FrameType.reset:
        draft.compacted = { index, term };
        draft.last = { index, term };
        draft.low = Math.min(draft.low, index + 1);
        this.#note({ kind: "reset" });
        return;
      case FrameType.batchEnd:
        return this.#takeBatchEnd(draft);
      default:
        throw this.#contradiction(`unknown frame type ${type}`);
    }
  }

  #takeEntry(draft: Draft): void {
    const { index, term, start } = this.#cursor;
    if (index !== draft.last.index + 1) throw this.#contradiction(`entry ${index} after ${draft.last.index}`);
    if (term < draft.last.term) throw this.#contradiction(`term ${term} after ${draft.last.term}`);
    draft.last = { index, term };
    if (start - this.#noted >= NOTE_BYTES) {
      this.#note({ kind: "entry", point: { index, offset: start, previous: this.#cursor.named() } });
      this.#noted = start;
    }
  }

  #takeHardState(draft: Draft): void {
    const { index, term } = this.#cursor;
    const vote = this.#cursor.payloadU64();
    if (vote === undefined) throw this.#contradiction("a hard state without a vote");
    if (term < draft.hardState.term || index < draft.hardState.commit) throw this.#contradiction("a hard state that goes back");
    draft.hardState = { term, vote, commit: index };
  }

  #takeBatchEnd(draft: Draft): void {
    const { index, start, offset, previous } = this.#cursor;
    const batchStart = this.#cursor.payloadU64();
    if (batchStart !== draft.batchStart || index !== draft.last.index || start === draft.batchStart) {
      throw this.#contradiction("the end of another batch");
    }
    draft.end = offset;
    draft.crc = previous ?? 0;
    this.state = draft;
    this.#draft = undefined;
    for (const note of this.#notes) this.#apply(note);
    this.#notes = [];
  }

  #note(note: Note): void {
    this.#notes.push(note);
    // What follows a cut is noted whatever the distance.
    if (note.kind !== "entry") this.#noted = -NOTE_BYTES;
  }

  #apply(note: Note): void {
    if (note.kind === "entry") this.positions.entry(note.point);
    else if (note.kind === "truncate") this.positions.truncate(note.index);
    else this.positions.reset();
  }

  #contradiction(problem: string): PumiceError {
    return new PumiceError("LOG_CORRUPT", { segment: this.#name, offset: this.#cursor.start, problem });
  }
}
