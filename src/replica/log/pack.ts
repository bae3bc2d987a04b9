/** A batch as it crosses to the log's thread: the entries are one buffer of frames that lack only their checksums, moved and not copied. */
import { LOG_START, assert, getU64, isSafeCount, viewOf, type EntryId } from "../../base/mod.ts";
import {
  FRAME_HEADER_BYTES,
  FrameOffset,
  FrameType,
  PAYLOAD_BYTES_MAX,
  entryTypeOfFlags,
  flagsOfEntry,
  frameBytes,
  putHeader,
} from "./format.ts";
import type { Entry, HardState } from "../../raft/mod.ts";
import type { LogBatch } from "../consensus/ports.ts";

/** A batch, packed. Owns `frames`: its receiver writes checksums into it. */
export interface PackedBatch {
  readonly number: number;
  readonly hardState: HardState | undefined;
  readonly snapshot: EntryId | undefined;
  readonly entries: PackedEntries;
}

/** Contiguous entries. */
export interface PackedEntries {
  /** Of the first entry; (0, 0) if there is none. */
  readonly first: EntryId;
  /** Of the last entry; (0, 0) if there is none. */
  readonly last: EntryId;
  readonly frames: Uint8Array<ArrayBuffer>;
}

/** Packs a batch. The entries' bytes are copied. @throws AssertionError if the entries are not contiguous or their terms go back. */
export function packBatch(batch: LogBatch): PackedBatch {
  const { number, hardState, snapshot } = batch;
  return { number, hardState, snapshot: snapshot && { index: snapshot.index, term: snapshot.term }, entries: packEntries(batch.entries) };
}

/** Packs entries. @throws AssertionError if they are not contiguous or their terms go back. */
export function packEntries(entries: readonly Entry[]): PackedEntries {
  const first = entries[0];
  const last = entries.at(-1);
  let size = 0;
  for (const entry of entries) size += frameBytes(entry.data.length);
  const frames = new Uint8Array(size);
  if (first === undefined || last === undefined) return { first: LOG_START, last: LOG_START, frames };
  const view = viewOf(frames);
  let { index, term } = first;
  assert(isSafeCount(index) && index > 0, "the first entry has index 1");
  let at = 0;
  for (const entry of entries) {
    assert(entry.index === index, "packed entries are contiguous");
    assert(entry.term >= term, "terms do not go back within a batch");
    const length = entry.data.length;
    assert(length <= PAYLOAD_BYTES_MAX, "an entry's length fits its frame");
    putHeader(view, at, { type: FrameType.entry, flags: flagsOfEntry(entry.type), index, term: entry.term, length });
    frames.set(entry.data, at + FRAME_HEADER_BYTES);
    at += frameBytes(length);
    term = entry.term;
    index++;
  }
  return { first: { index: first.index, term: first.term }, last: { index: last.index, term: last.term }, frames };
}

/** The entries of `packed`; their data share its memory. */
export function unpackEntries(packed: PackedEntries): Entry[] {
  const entries: Entry[] = [];
  const view = viewOf(packed.frames);
  let index = packed.first.index;
  for (let at = 0; at < packed.frames.length; index++) {
    const length = view.getUint32(at + FrameOffset.length, true);
    const type = entryTypeOfFlags(view.getUint8(at + FrameOffset.flags));
    assert(type !== undefined, "a packed entry has a known type");
    const term = getU64(view, at + FrameOffset.term) as number;
    const start = at + FRAME_HEADER_BYTES;
    entries.push({ index, term, type, data: packed.frames.subarray(start, start + length) });
    at += frameBytes(length);
  }
  return entries;
}
