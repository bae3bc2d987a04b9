/**
 * How batches cross between threads: a clone of many small objects costs more than what is in them, so entries go as one moved buffer,
 * and the short texts of results as one text.
 */
import { viewOf } from "../../base/mod.ts";
import { moveText } from "./move-text.ts";
import type { ResultText } from "../result/results.ts";
import type { ApplyEntry } from "../command/entry.ts";

/** Bytes of an entry before its data: term f64 | length u32 | want u32. */
const ENTRY_HEADER_BYTES = 16;
const NOT_WANTED = 0;
const WANTED = 1;
const WANTED_WITH_TIMINGS = 2;
/** Its data are members. */
const MEMBERSHIP = 3;

/** Entries of consecutive indexes, in a buffer that is moved. */
export interface PackedApply {
  readonly firstIndex: number;
  readonly count: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Packs entries, at least one, of consecutive indexes. Their data are copied. */
export function packApply(entries: readonly ApplyEntry[]): PackedApply {
  let size = 0;
  for (const { data } of entries) size += ENTRY_HEADER_BYTES + data.length;
  const bytes = new Uint8Array(size);
  const view = viewOf(bytes);
  let at = 0;
  for (const { term, kind, data, want } of entries) {
    view.setFloat64(at, term, true);
    view.setUint32(at + 8, data.length, true);
    view.setUint32(
      at + 12,
      kind === "membership" ? MEMBERSHIP : want === undefined ? NOT_WANTED : want.timings ? WANTED_WITH_TIMINGS : WANTED,
      true,
    );
    bytes.set(data, at + ENTRY_HEADER_BYTES);
    at += ENTRY_HEADER_BYTES + data.length;
  }
  return { firstIndex: entries[0]?.index ?? 0, count: entries.length, bytes };
}

/** The entries; their data share the packed memory. */
export function unpackApply(packed: PackedApply): ApplyEntry[] {
  const { bytes, firstIndex, count } = packed;
  const view = viewOf(bytes);
  const entries: ApplyEntry[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const length = view.getUint32(at + 8, true);
    const want = view.getUint32(at + 12, true);
    const start = at + ENTRY_HEADER_BYTES;
    entries.push({
      index: firstIndex + i,
      term: view.getFloat64(at, true),
      data: bytes.subarray(start, start + length),
      kind: want === MEMBERSHIP ? "membership" : length === 0 ? "nothing" : "command",
      want: want === NOT_WANTED || want === MEMBERSHIP ? undefined : { timings: want === WANTED_WITH_TIMINGS },
    });
    at = start + length;
  }
  return entries;
}

interface Result {
  readonly results: ResultText;
  readonly error?: string | undefined;
  readonly writes?: boolean | undefined;
  readonly interrupted?: boolean | undefined;
  readonly isSimple?: boolean | undefined;
}

/** Results in order: the short texts joined, and where each ends; what is more than a short text stands in `others` by position. */
export interface PackedResults<R extends Result> {
  readonly text: string;
  readonly ends: Uint32Array<ArrayBuffer>;
  readonly others: readonly { readonly at: number; readonly result: R }[];
}

/** Packs results. Buffers to be moved with the message are added to `transfer`. */
export function packResults<R extends Result>(results: readonly R[], transfer: ArrayBuffer[]): PackedResults<R> {
  let text = "";
  const ends = new Uint32Array(results.length);
  const others: { at: number; result: R }[] = [];
  for (const [at, result] of results.entries()) {
    const moved = moveText(result.results, transfer);
    const isMarked = result.writes !== undefined || result.interrupted !== undefined || result.isSimple !== undefined;
    const isPlain = result.error === undefined && !isMarked;
    if (typeof moved === "string" && isPlain) text += moved;
    else others.push({ at, result: { ...result, results: moved } });
    ends[at] = text.length;
  }
  return { text, ends, others };
}

/** The results again, in order. */
export function unpackResults<R extends Result>(packed: PackedResults<R>): R[] {
  const { text, ends, others } = packed;
  const results: R[] = [];
  let start = 0;
  for (const end of ends) {
    results.push({ results: text.slice(start, end) } as R);
    start = end;
  }
  for (const { at, result } of others) results[at] = result;
  return results;
}
