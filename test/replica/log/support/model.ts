/** The naive model of a log: an array of entries, and what a crash may make of what was under way. */
import assert from "node:assert/strict";
import type { EntryId } from "../../../../src/base/mod.ts";
import type { Entry, HardState } from "../../../../src/raft/mod.ts";
import type { LogState, ReadResult } from "../../../../src/replica/mod.ts";
import type { TestBatch } from "./batch.ts";

/** A log as a value. Immutable. */
export interface ModelState {
  readonly hardState: HardState;
  /** The commit index that is surely on disk; that of hardState may have been kept in memory. */
  readonly commitOnDisk: number;
  readonly compacted: EntryId;
  /** The entries after `compacted`. */
  readonly entries: readonly Entry[];
}

export const EMPTY_MODEL: ModelState = {
  hardState: { term: 0, vote: 0, commit: 0 },
  commitOnDisk: 0,
  compacted: { index: 0, term: 0 },
  entries: [],
};

export function lastOf(state: ModelState): EntryId {
  const last = state.entries.at(-1);
  return last === undefined ? state.compacted : { index: last.index, term: last.term };
}

/** The state after a group of batches was made durable. */
export function appended(state: ModelState, group: readonly TestBatch[]): ModelState {
  let { hardState, compacted, entries } = state;
  let writes = false;
  for (const batch of group) {
    if (batch.hardState !== undefined) {
      writes ||= batch.hardState.term !== hardState.term || batch.hardState.vote !== hardState.vote;
      hardState = { ...batch.hardState, commit: Math.max(hardState.commit, batch.hardState.commit) };
    }
    if (batch.snapshot !== undefined) {
      writes = true;
      compacted = { index: batch.snapshot.index, term: batch.snapshot.term };
      entries = [];
    }
    const first = batch.entries[0];
    if (first === undefined) continue;
    writes = true;
    entries = [...entries.filter((entry) => entry.index < first.index), ...batch.entries];
  }
  return { hardState, commitOnDisk: writes ? hardState.commit : state.commitOnDisk, compacted, entries };
}

/** The state after a compaction up to `index`. */
export function compactedTo(state: ModelState, index: number): ModelState {
  if (index <= state.compacted.index) return state;
  const at = state.entries.find((entry) => entry.index === index);
  assert.ok(at !== undefined);
  const commit = Math.max(state.hardState.commit, index);
  return {
    hardState: { ...state.hardState, commit },
    commitOnDisk: commit,
    compacted: { index, term: at.term },
    entries: state.entries.filter((entry) => entry.index > index),
  };
}

/** What the tests use of a log; a planted bug's log fits too. */
export interface LogLike {
  readonly state: LogState;
  read(range: { readonly lo: number; readonly hi: number; readonly maxBytes: number }): ReadResult;
}

/** Everything that the log holds, read back. */
export function contentsOf(log: LogLike, maxBytes: number): Entry[] {
  const entries: Entry[] = [];
  const { compacted, last } = log.state;
  while (compacted.index + entries.length < last.index) {
    const lo = compacted.index + entries.length + 1;
    const result = log.read({ lo, hi: Infinity, maxBytes });
    if (result.kind === "again") continue;
    assert.equal(result.kind, "entries");
    if (result.kind !== "entries") break;
    assert.ok(result.entries.length > 0, `entry ${lo} of ${last.index} is missing`);
    entries.push(...result.entries);
  }
  return entries;
}

/** Why the log is not what `expected` says; undefined if it is. The commit index may be older, but not older than on disk. */
export function difference(log: LogLike, expected: ModelState, entries: readonly Entry[]): string | undefined {
  const { hardState, compacted, last } = log.state;
  const want = lastOf(expected);
  if (hardState.term !== expected.hardState.term || hardState.vote !== expected.hardState.vote) {
    return `hard state ${JSON.stringify(hardState)}, not ${JSON.stringify(expected.hardState)}`;
  }
  if (hardState.commit < expected.commitOnDisk || hardState.commit > expected.hardState.commit) {
    return `commit ${hardState.commit}, not in [${expected.commitOnDisk}, ${expected.hardState.commit}]`;
  }
  if (compacted.index !== expected.compacted.index || compacted.term !== expected.compacted.term) {
    return `compacted ${JSON.stringify(compacted)}, not ${JSON.stringify(expected.compacted)}`;
  }
  if (last.index !== want.index || last.term !== want.term) return `last ${JSON.stringify(last)}, not ${JSON.stringify(want)}`;
  if (entries.length !== expected.entries.length) return `${entries.length} entries, not ${expected.entries.length}`;
  for (const [at, entry] of entries.entries()) {
    const other = expected.entries[at]!;
    if (entry.index !== other.index || entry.term !== other.term || entry.type !== other.type) return `entry ${other.index} differs`;
    if (Buffer.compare(entry.data, other.data) !== 0) return `the bytes of entry ${other.index} differ`;
  }
  return undefined;
}

/** The model of what a log holds now, its commit index being on disk. */
export function modelOf(log: LogLike, entries: readonly Entry[]): ModelState {
  const { hardState, compacted } = log.state;
  return { hardState, commitOnDisk: hardState.commit, compacted, entries };
}
