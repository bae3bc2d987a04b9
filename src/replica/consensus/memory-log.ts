/**
 * The stable log in memory: what the disk is known to hold, as the consensus core reads it. It changes only when the log on
 * disk has changed, so it is never ahead of it.
 *
 * Of what is applied it keeps at most `maxBytes`: older entries are forgotten here, not on disk. A follower that needs one is
 * served by `older`, if there is such a reader, and else by a snapshot.
 * Invariants: 1. compacted < firstIndex <= lastIndex + 1. 2. Nothing is forgotten that is not applied, or that a follower could get nowhere else.
 */
import { assert, type EntryId } from "../../base/mod.ts";
import { entryBytes, EntryWindow, totalBytes, type Entry, type LogStorage, type Snapshot } from "../../raft/mod.ts";

/** What a log's recovery found: entries after a compacted prefix. */
export interface RecoveredLog {
  /** The last index and term before the entries; 0 and 0 if nothing was ever compacted. */
  readonly compacted: EntryId;
  readonly entries: readonly Entry[];
}

/** Reads entries that memory has forgotten and the disk still has: [lo, hi), cut after `maxBytes` but never to nothing. */
export type OlderEntries = (lo: number, hi: number, maxBytes: number) => readonly Entry[] | undefined;

/** Where the memory log gets what it does not hold itself. */
export interface MemoryLogOptions {
  /** Bytes of applied entries to keep. Default 64 MiB. */
  readonly maxBytes?: number | undefined;
  readonly older?: OlderEntries | undefined;
  /** The latest snapshot that can be sent. */
  readonly snapshot: () => Snapshot | undefined;
}

const DEFAULT_MAX_BYTES = 64 * 1024 * 1024;

/** The stable log in memory. */
export class MemoryLog implements LogStorage {
  readonly #window: EntryWindow;
  /** The term of the entry before the window's first. */
  #boundaryTerm: number;
  #compactedIndex: number;
  #compactedTerm: number;
  #bytes: number;
  readonly #maxBytes: number;
  readonly #older: OlderEntries | undefined;
  readonly #latestSnapshot: () => Snapshot | undefined;

  constructor(recovered: RecoveredLog, options: MemoryLogOptions) {
    const { compacted, entries } = recovered;
    this.#window = new EntryWindow(compacted.index + 1);
    this.#window.append(entries);
    this.#bytes = totalBytes(entries);
    this.#boundaryTerm = compacted.term;
    this.#compactedIndex = compacted.index;
    this.#compactedTerm = compacted.term;
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    this.#older = options.older;
    this.#latestSnapshot = options.snapshot;
  }

  firstIndex(): number {
    return this.#older === undefined ? this.#window.firstIndex : this.#compactedIndex + 1;
  }

  lastIndex(): number {
    return this.#window.endIndex - 1;
  }

  term(index: number): number | undefined {
    const entry = this.#window.at(index);
    if (entry !== undefined) return entry.term;
    if (index === this.#window.firstIndex - 1) return this.#boundaryTerm;
    if (index === this.#compactedIndex) return this.#compactedTerm;
    if (index < this.firstIndex() || index > this.lastIndex()) return undefined;
    return this.#older?.(index, index + 1, Infinity)?.[0]?.term;
  }

  entries(lo: number, hi: number, maxBytes: number): readonly Entry[] | undefined {
    if (lo < this.firstIndex()) return undefined;
    const first = this.#window.firstIndex;
    if (lo >= first) return this.#window.slice(lo, hi, maxBytes);
    const old = this.#older?.(lo, Math.min(hi, first), maxBytes);
    if (old === undefined || old.length === 0) return undefined;
    return old;
  }

  snapshot(): Snapshot | undefined {
    const snapshot = this.#latestSnapshot();
    return snapshot === undefined || snapshot.index < this.firstIndex() - 1 ? undefined : snapshot;
  }

  /** Bytes of entries in memory. */
  get byteCount(): number {
    return this.#bytes;
  }

  /** There are more bytes than are to be kept. */
  get isOverfull(): boolean {
    return this.#bytes > this.#maxBytes;
  }

  /** Entries are durable: they replace everything from the first one's index on. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    assert(first.index >= this.#window.firstIndex, "what is applied is not replaced");
    if (first.index < this.#window.endIndex) {
      this.#bytes -= totalBytes(this.#window.slice(first.index, this.#window.endIndex, Infinity));
      this.#window.truncateFrom(first.index);
    }
    this.#window.append(entries);
    this.#bytes += totalBytes(entries);
  }

  /** A snapshot was installed: it replaces the log. */
  restore(index: number, term: number): void {
    this.#window.reset(index + 1);
    this.#bytes = 0;
    this.#boundaryTerm = term;
    this.#compactedIndex = index;
    this.#compactedTerm = term;
  }

  /** Everything up to `index` is gone from the log. */
  compact(index: number): void {
    if (index <= this.#compactedIndex) return;
    const term = this.term(index);
    assert(term !== undefined, "a log is compacted up to an entry that it has");
    this.#compactedIndex = index;
    this.#compactedTerm = term;
    if (index >= this.#window.firstIndex) this.#drop(index, term);
  }

  /** Forgets the oldest entries up to `applied`, while there are more bytes than are to be kept. */
  trim(applied: number): void {
    if (!this.isOverfull) return;
    let last: Entry | undefined;
    let bytes = this.#bytes;
    for (let at = this.#window.firstIndex; at <= applied && bytes > this.#maxBytes; at++) {
      last = this.#window.at(at);
      if (last === undefined) break;
      bytes -= entryBytes(last);
    }
    if (last !== undefined) this.#drop(last.index, last.term);
  }

  #drop(index: number, term: number): void {
    this.#bytes -= totalBytes(this.#window.slice(this.#window.firstIndex, index + 1, Infinity));
    this.#window.dropBefore(index + 1);
    this.#boundaryTerm = term;
  }
}
