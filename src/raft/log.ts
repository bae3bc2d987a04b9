/**
 * The log of one node: a stable part that the host keeps, an unstable tail, and three positions.
 * Invariant: applied <= applying <= committed <= lastIndex. None of the three ever decreases.
 */
import { assert, type EntryId } from "../base/mod.ts";
import type { LogStorage } from "./storage.ts";
import type { Trace } from "./trace.ts";
import { NO_ENTRIES, totalBytes, type Entry, type Snapshot } from "./types.ts";
import { Unstable } from "./unstable.ts";

/** Limits of the log. */
export interface LogLimits {
  /** Bytes handed out for application and not yet acknowledged as applied. */
  readonly maxApplyingBytes: number;
}

/** The log. */
export class RaftLog {
  readonly unstable: Unstable;
  committed: number;
  /** What was handed out for application. */
  applying: number;
  applied: number;
  readonly #storage: LogStorage;
  readonly #maxApplyingBytes: number;
  #applyingBytes = 0;
  #applyingPaused = false;
  readonly #trace: Trace | undefined;

  constructor(storage: LogStorage, limits: LogLimits, trace: Trace | undefined) {
    this.#storage = storage;
    this.#maxApplyingBytes = limits.maxApplyingBytes;
    this.#trace = trace;
    const compacted = storage.firstIndex() - 1;
    this.unstable = new Unstable(storage.lastIndex() + 1, trace);
    this.committed = compacted;
    this.applying = compacted;
    this.applied = compacted;
  }

  firstIndex(): number {
    const snapshot = this.unstable.snapshot;
    return snapshot === undefined ? this.#storage.firstIndex() : snapshot.index + 1;
  }

  lastIndex(): number {
    return this.unstable.lastIndex() ?? this.#storage.lastIndex();
  }

  lastTerm(): number {
    const term = this.term(this.lastIndex());
    assert(term !== undefined, "the last entry's term is known");
    return term;
  }

  /** The term at `index`; undefined if it was compacted or is beyond the end. */
  term(index: number): number | undefined {
    const unstable = this.unstable.term(index);
    if (unstable !== undefined) return unstable;
    if (index + 1 < this.firstIndex() || index > this.lastIndex()) return undefined;
    return this.#storage.term(index);
  }

  /** True if the entry at `index` is in the log but not in memory, and is on its way there. */
  isFetching(index: number): boolean {
    return index >= this.firstIndex() && index <= this.lastIndex() && this.#storage.fetch(index);
  }

  matchTerm(index: number, term: number): boolean {
    return this.term(index) === term;
  }

  /** Section 5.4.1: a log is up to date if its last term is higher, or equal and it is at least as long. */
  isUpToDate(term: number, index: number): boolean {
    const lastTerm = this.lastTerm();
    return term > lastTerm || (term === lastTerm && index >= this.lastIndex());
  }

  /** Appends what follows (prevIndex, prevTerm), if the log has that. Returns the last new index, or undefined if not. */
  maybeAppend(prev: EntryId, entries: readonly Entry[], leaderCommit: number): number | undefined {
    if (!this.matchTerm(prev.index, prev.term)) return undefined;
    const lastNew = prev.index + entries.length;
    const conflict = this.#findConflict(entries);
    if (conflict !== 0) {
      assert(conflict > this.committed, "an entry conflicts with a committed entry");
      const known = conflict - prev.index - 1;
      this.append(known === 0 ? entries : entries.slice(known));
    }
    this.commitTo(Math.min(leaderCommit, lastNew));
    return lastNew;
  }

  /** Appends entries, dropping what conflicts. Returns the last index. */
  append(entries: readonly Entry[]): number {
    const first = entries[0];
    if (first === undefined) return this.lastIndex();
    assert(first.index > this.committed, "appended entries lie after what is committed");
    this.unstable.truncateAndAppend(entries);
    return this.lastIndex();
  }

  /**
   * The highest index at or below `index` whose term is at most `term`, and its term (0 if it is not known): where two logs
   * can meet at best. Skips a whole term in one round trip.
   */
  findConflictByTerm(index: number, term: number): EntryId {
    const at = this.term(index);
    if (at === undefined) return { index, term: 0 };
    if (at <= term) return { index, term: at };
    // Terms never decrease along a log, so the place is found by halving. `low` always has a term of at most `term`.
    let low = this.firstIndex() - 1;
    const lowest = this.term(low);
    if (low > index || lowest === undefined) return { index, term: 0 };
    if (lowest > term) return { index: Math.max(0, low - 1), term: 0 };
    for (let high = index; high - low > 1;) {
      const middle = Math.floor((low + high) / 2);
      if ((this.term(middle) ?? Infinity) <= term) low = middle;
      else high = middle;
    }
    return { index: low, term: this.term(low) ?? 0 };
  }

  commitTo(index: number): void {
    if (index <= this.committed) return;
    assert(index <= this.lastIndex(), "commit lies within the log: was the log truncated or lost?");
    this.committed = index;
  }

  /** Replaces the log by a snapshot. */
  restore(snapshot: Snapshot): void {
    this.#trace?.({ kind: "log-restore", log: this, snapshot });
    this.committed = snapshot.index;
    this.unstable.restore(snapshot);
  }

  /** Entries of [lo, hi), cut after `maxBytes` but never to nothing; undefined if `lo` was compacted. */
  slice(lo: number, hi: number, maxBytes: number): readonly Entry[] | undefined {
    assert(lo <= hi && hi <= this.lastIndex() + 1, "a slice lies in the log");
    if (lo < this.firstIndex()) return undefined;
    if (lo === hi) return NO_ENTRIES;
    const offset = this.unstable.offset;
    if (lo >= offset) return this.unstable.slice(lo, hi, maxBytes);
    const cut = Math.min(hi, offset);
    const stable = this.#storage.entries(lo, cut, maxBytes);
    if (stable === undefined || hi <= offset || stable.length < cut - lo) return stable;
    return this.#withUnstable(stable, hi, maxBytes);
  }

  /** Entries from `lo` to the end. */
  entriesFrom(lo: number, maxBytes: number): readonly Entry[] | undefined {
    return lo > this.lastIndex() ? NO_ENTRIES : this.slice(lo, this.lastIndex() + 1, maxBytes);
  }

  snapshot(): Snapshot | undefined {
    return this.unstable.snapshot ?? this.#storage.snapshot();
  }

  hasPendingSnapshot(): boolean {
    return this.unstable.snapshot !== undefined;
  }

  /** Committed entries that were not handed out yet, within the limits. `allowUnstable`: also those that are not durable here. */
  nextCommitted(allowUnstable: boolean): readonly Entry[] {
    if (!this.hasNextCommitted(allowUnstable)) return NO_ENTRIES;
    const room = this.#maxApplyingBytes - this.#applyingBytes;
    const entries = this.slice(this.applying + 1, this.#maxAppliable(allowUnstable) + 1, room);
    assert(entries !== undefined, "what is not applied is not compacted");
    return entries;
  }

  hasNextCommitted(allowUnstable: boolean): boolean {
    if (this.#applyingPaused || this.hasPendingSnapshot()) return false;
    return this.#maxAppliable(allowUnstable) > this.applying;
  }

  /** Entries up to `index`, of `bytes`, were handed out for application. */
  acceptApplying(index: number, bytes: number, allowUnstable: boolean): void {
    assert(index >= this.applying && index <= this.committed, "what is handed out for application is committed");
    this.applying = index;
    this.#applyingBytes += bytes;
    this.#applyingPaused = this.#applyingBytes >= this.#maxApplyingBytes || index < this.#maxAppliable(allowUnstable);
  }

  /** Entries up to `index` were applied; `bytes` of what was handed out are no longer outstanding. */
  appliedTo(index: number, bytes: number): void {
    assert(index >= this.applied && index <= this.committed, "applied moves forward, up to what is committed");
    this.applied = index;
    this.applying = Math.max(this.applying, index);
    this.#applyingBytes = Math.max(0, this.#applyingBytes - bytes);
    this.#applyingPaused = this.#applyingBytes >= this.#maxApplyingBytes;
  }

  #maxAppliable(allowUnstable: boolean): number {
    return allowUnstable ? this.committed : Math.min(this.committed, this.unstable.offset - 1);
  }

  #withUnstable(stable: readonly Entry[], hi: number, maxBytes: number): readonly Entry[] {
    const offset = this.unstable.offset;
    const room = maxBytes === Infinity ? Infinity : maxBytes - totalBytes(stable);
    if (room <= 0) return stable;
    const rest = this.unstable.slice(offset, hi, room);
    return rest.length === 1 && totalBytes(rest) > room ? stable : stable.concat(rest);
  }

  /** The index of the first entry that the log does not have; 0 if it has them all. */
  #findConflict(entries: readonly Entry[]): number {
    for (const entry of entries) {
      if (this.matchTerm(entry.index, entry.term)) continue;
      if (entry.index <= this.lastIndex()) {
        this.#trace?.({ kind: "conflict", index: entry.index, existingTerm: this.term(entry.index) ?? 0, term: entry.term });
      }
      return entry.index;
    }
    return 0;
  }
}
