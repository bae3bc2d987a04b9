/**
 * What a store must hold: the commits of its one line of history, in order, replayed naively.
 *
 * A key's value is the list of what it was made of since the last put or deletion, each part with its expiry: a reader that filters must not see
 * what has expired, another may or may not, as compaction has or has not come by. Nothing older than the list may ever come back.
 */
import { assert, compareBytes, equalBytes, toHex } from "../../base/mod.ts";
import { MERGE, TOMBSTONE, VALUE, type RowKind } from "../../lsm/mod.ts";

/** One write of a commit. */
export interface ModelWrite {
  readonly key: Uint8Array;
  readonly kind: RowKind;
  readonly value: Uint8Array;
  /** Milliseconds since 1970; undefined: never. */
  readonly expireTs?: number | undefined;
}

/** One commit, as it is in the line of history. */
export interface ModelCommit {
  readonly seq: number;
  readonly createTs: number;
  readonly writes: readonly ModelWrite[];
  /** none: it was made without a WAL. some: a range was deleted; which of its keys were still there, if they expire, nobody knows. */
  readonly wal: "all" | "some" | "none";
}

interface Part {
  readonly hex: string;
  readonly expireTs: number | undefined;
}

/** Hex of key to what its value was made of, oldest first. */
export type ModelState = ReadonlyMap<string, readonly Part[]>;

/** What a reader may see of rows that expire. Milliseconds since 1970. */
export interface ReadTimes {
  /** It filters: what has expired at this time is invisible to it. */
  readonly filterAt: number | undefined;
  /** What has expired at this time may be gone. */
  readonly tickMax: number;
}

/** A row of the WAL, as a reader of it must see it. */
export interface ModelRow {
  readonly seq: number;
  readonly key: Uint8Array;
  readonly kind: RowKind;
  readonly value: Uint8Array;
  readonly expireTs: number | undefined;
}

/** See the header of this file. */
export class LsmModel {
  /** The highest stamp ever given, lost commits included. */
  tickMax = -Infinity;
  #commits: ModelCommit[];
  #live: Map<string, readonly Part[]>;

  /** A store that begins with `commits`: a clone. */
  constructor(commits: readonly ModelCommit[] = []) {
    this.#commits = commits.slice();
    this.#live = replay(commits);
    for (const { createTs } of commits) this.tickMax = Math.max(this.tickMax, createTs);
  }

  /** The state now. */
  get state(): ModelState {
    return this.#live;
  }

  /** The last commit's number; 0 if there is none. */
  get lastSeq(): number {
    return this.#commits.at(-1)?.seq ?? 0;
  }

  /** A copy of the state now. */
  frozen(): ModelState {
    return new Map(this.#live);
  }

  /** Adds a commit. Invariant 41: sequence numbers rise, across processes too; stamps never fall (section 5.3, invariant 2). */
  commit(commit: ModelCommit): void {
    const previous = this.#commits.at(-1);
    assert(previous === undefined || commit.seq > previous.seq, "sequence numbers rise from commit to commit, across epochs");
    assert(previous === undefined || commit.createTs >= previous.createTs, "stamps never fall, across epochs");
    this.#commits.push(commit);
    this.tickMax = Math.max(this.tickMax, commit.createTs);
    for (const write of commit.writes) apply(this.#live, write);
  }

  /** Forgets commits above `seq`: they were lost with their process. */
  truncate(seq: number): void {
    const kept = this.#commits.filter((commit) => commit.seq <= seq);
    if (kept.length === this.#commits.length) return;
    this.#commits = kept;
    this.#live = replay(kept);
  }

  /** The commits up to `seq`. */
  upTo(seq: number): readonly ModelCommit[] {
    return this.#commits.filter((commit) => commit.seq <= seq);
  }

  /** The state after all commits up to `seq`. */
  stateAt(seq: number): ModelState {
    return seq >= this.lastSeq ? this.frozen() : replay(this.upTo(seq));
  }

  /** Hex of every key that was written after `seq`. */
  keysAfter(seq: number): Set<string> {
    const keys = new Set<string>();
    for (const commit of this.#commits) if (commit.seq > seq) for (const { key } of commit.writes) keys.add(toHex(key));
    return keys;
  }

  /** True if that commit deleted a range. */
  isRangeDeletion(seq: number): boolean {
    return this.#commits.some((commit) => commit.seq === seq && commit.wal === "some");
  }

  /** The rows that commits [from, to] put into the WAL: one per key of a commit, in order. */
  walRows(from: number, to: number): ModelRow[] {
    return this.#commits.filter((commit) => commit.wal === "all" && commit.seq >= from && commit.seq <= to).flatMap(rowsOf);
  }
}

function replay(commits: readonly ModelCommit[]): Map<string, readonly Part[]> {
  const state = new Map<string, readonly Part[]>();
  for (const commit of commits) for (const write of commit.writes) apply(state, write);
  return state;
}

function apply(state: Map<string, readonly Part[]>, write: ModelWrite): void {
  const key = toHex(write.key);
  const part = { hex: toHex(write.value), expireTs: write.expireTs };
  if (write.kind === TOMBSTONE) state.delete(key);
  else if (write.kind === MERGE) state.set(key, [...(state.get(key) ?? []), part]);
  else state.set(key, [part]);
}

/** Several writes of one key are one row; all writes of a commit expire alike. */
function rowsOf(commit: ModelCommit): ModelRow[] {
  const rows: ModelRow[] = [];
  for (const { key, kind, value, expireTs } of commit.writes) {
    const at = rows.findIndex((row) => equalBytes(row.key, key));
    const before = rows[at];
    const row = { seq: commit.seq, key, kind, value, expireTs: kind === TOMBSTONE ? undefined : expireTs };
    if (before === undefined) rows.push(row);
    else if (kind !== MERGE) rows[at] = row;
    else rows[at] = { ...row, kind: before.kind === MERGE ? MERGE : VALUE, value: Uint8Array.from([...before.value, ...value]) };
  }
  return rows.sort((left, right) => compareBytes(left.key, right.key));
}

/** The part of a state whose keys, in hex, are in [start, end). */
export function partOf(state: ModelState, start: string, end: string): ModelState {
  return new Map([...state].filter(([key]) => key >= start && key < end));
}

/** The first difference between what was read, ascending, and what must be there, or undefined. */
export function differenceOf(
  rows: readonly { readonly key: Uint8Array; readonly value: Uint8Array }[],
  expected: ModelState,
  times: ReadTimes,
): string | undefined {
  const seen = new Set<string>();
  const goneAt = Math.max(times.tickMax, times.filterAt ?? -Infinity);
  for (const [i, row] of rows.entries()) {
    const next = rows[i + 1];
    if (next !== undefined && compareBytes(row.key, next.key) >= 0) return `keys out of order at ${toHex(next.key)}`;
    const key = toHex(row.key);
    seen.add(key);
    const parts = expected.get(key);
    if (parts === undefined) return `key ${key} is ${toHex(row.value)}, expected absent`;
    if (!canBe(toHex(row.value), parts, times)) return `key ${key} is ${toHex(row.value)}, expected ${show(parts)} at ${show(times)}`;
  }
  for (const [key, parts] of expected) {
    if (seen.has(key) || parts.every((part) => isExpired(part, goneAt))) continue;
    return `key ${key} is absent, expected ${show(parts)} at ${show(times)}`;
  }
  return undefined;
}

/** True if a reader at these times certainly sees the key. */
export function isCertain(parts: readonly Part[], times: ReadTimes): boolean {
  return parts.some((part) => !isExpired(part, Math.max(times.tickMax, times.filterAt ?? -Infinity)));
}

function isExpired(part: Part, at: number): boolean {
  return part.expireTs !== undefined && part.expireTs <= at;
}

/** True if `hex` is made of all parts that have not expired, in order, with some of those that may be gone in between. */
function canBe(hex: string, parts: readonly Part[], times: ReadTimes): boolean {
  /** Lengths of the beginnings of `hex` that are explained so far; those by at least one part apart. */
  let none = true;
  let some = new Set<number>();
  for (const part of parts) {
    if (times.filterAt !== undefined && isExpired(part, times.filterAt)) continue;
    const isOptional = isExpired(part, times.tickMax);
    const next = new Set<number>(isOptional ? some : []);
    for (const length of none ? [0, ...some] : some) if (hex.startsWith(part.hex, length)) next.add(length + part.hex.length);
    if (!isOptional) none = false;
    some = next;
  }
  return some.has(hex.length);
}

function show(what: unknown): string {
  return JSON.stringify(what);
}
