/** What a store must hold: the commits of its one line of history, in order, replayed naively. */
import { compareBytes, toHex } from "../base/mod.ts";
import { MERGE, TOMBSTONE, type RowKind } from "../lsm/mod.ts";

/** One write of a commit. */
export interface ModelWrite {
  readonly key: Uint8Array;
  readonly kind: RowKind;
  readonly value: Uint8Array;
}

/** Hex of key to hex of value. */
export type ModelState = ReadonlyMap<string, string>;

interface Commit {
  readonly seq: number;
  readonly writes: readonly ModelWrite[];
}

/** See the header of this file. */
export class LsmModel {
  private commits: Commit[] = [];
  private readonly live = new Map<string, string>();

  /** The state now. */
  get state(): ModelState {
    return this.live;
  }

  /** Adds a commit. */
  commit(seq: number, writes: readonly ModelWrite[]): void {
    this.commits.push({ seq, writes });
    for (const write of writes) apply(this.live, write);
  }

  /** Forgets commits above `seq`: they were lost with their process. */
  truncate(seq: number): void {
    this.commits = this.commits.filter((commit) => commit.seq <= seq);
    const state = this.stateAt(seq);
    this.live.clear();
    for (const [key, value] of state) this.live.set(key, value);
  }

  /** The state after all commits up to `seq`. */
  stateAt(seq: number): ModelState {
    const state = new Map<string, string>();
    for (const commit of this.commits) if (commit.seq <= seq) for (const write of commit.writes) apply(state, write);
    return state;
  }
}

function apply(state: Map<string, string>, write: ModelWrite): void {
  const key = toHex(write.key);
  if (write.kind === TOMBSTONE) state.delete(key);
  else if (write.kind === MERGE) state.set(key, (state.get(key) ?? "") + toHex(write.value));
  else state.set(key, toHex(write.value));
}

/** The first difference between what was read and what must be there, or undefined. */
export function differenceOf(
  rows: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[],
  expected: ModelState,
): string | undefined {
  for (const [i, row] of rows.entries()) {
    const next = rows[i + 1];
    if (next !== undefined && compareBytes(row.key, next.key) >= 0) return `keys out of order at ${toHex(next.key)}`;
    const value = expected.get(toHex(row.key));
    if (value !== toHex(row.value)) return `key ${toHex(row.key)} is ${toHex(row.value)}, expected ${value ?? "absent"}`;
  }
  return rows.length === expected.size ? undefined : `${rows.length} rows, expected ${expected.size}`;
}
