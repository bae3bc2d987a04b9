/**
 * The stable log in memory: what the disk is known to hold, as the consensus core reads it. It changes only when the log on
 * disk has changed, so it is never ahead of it.
 *
 * Of what is applied it keeps at most `maxBytes`: older entries are forgotten here, not on disk. Those that a follower needs are read from there, piece by
 * piece, in the order in which they were asked for; the core waits meanwhile. Without a way to read them, a snapshot serves.
 * Invariants: 1. compacted < firstIndex <= lastIndex + 1. 2. Nothing is forgotten that is not applied, or that a follower could get nowhere else.
 */
import { assert, type EntryId } from "../../base/mod.ts";
import { entryBytes, EntryWindow, totalBytes, type Entry, type LogStorage, type Snapshot } from "../../raft/mod.ts";

/** What a log's recovery found: entries after a compacted prefix. */
export interface RecoveredLog {
  /** The last index and term before the entries; 0 and 0 if nothing was ever compacted. */
  readonly compacted: EntryId;
  /** Entries up to here stand on disk only. Default: `compacted`. */
  readonly onDisk?: EntryId | undefined;
  readonly entries: readonly Entry[];
}

/** A range of entries that memory has forgotten and the disk still has: [lo, hi), to be cut after `maxBytes` but never to nothing. */
export interface OlderRange {
  readonly lo: number;
  readonly hi: number;
  readonly maxBytes: number;
}

/** Where the memory log gets what it does not hold itself. */
export interface MemoryLogOptions {
  /** Bytes of applied entries to keep. Default 64 MiB. */
  readonly maxBytes?: number | undefined;
  /** Asks for entries on disk; `fetched` is called later, never from within. Undefined: what memory forgets, only a snapshot can give. */
  readonly readOlder?: ((range: OlderRange) => void) | undefined;
  /** The latest snapshot that can be sent. */
  readonly snapshot: () => Snapshot | undefined;
}

/** Bytes that one read of older entries brings. */
const FETCH_BYTES = 4 * 1024 * 1024;
/** Pieces of older entries that are kept: more than one, so that two followers far apart do not take each other's. */
const PIECES_MAX = 4;
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
  readonly #readOlder: MemoryLogOptions["readOlder"];
  /** Older entries that were fetched, the newest piece last. */
  #pieces: (readonly Entry[])[] = [];
  /** Indexes that were asked for, the first of them under way. */
  #wanted: number[] = [];
  readonly #latestSnapshot: () => Snapshot | undefined;

  constructor(recovered: RecoveredLog, options: MemoryLogOptions) {
    const { compacted, entries, onDisk = compacted } = recovered;
    this.#window = new EntryWindow(onDisk.index + 1);
    this.#window.append(entries);
    this.#bytes = totalBytes(entries);
    this.#boundaryTerm = onDisk.term;
    this.#compactedIndex = compacted.index;
    this.#compactedTerm = compacted.term;
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    this.#readOlder = options.readOlder;
    this.#latestSnapshot = options.snapshot;
  }

  firstIndex(): number {
    return this.#readOlder === undefined ? this.#window.firstIndex : this.#compactedIndex + 1;
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
    return this.#fetchedAt(index)?.[0]?.term;
  }

  entries(lo: number, hi: number, maxBytes: number): readonly Entry[] | undefined {
    if (lo < this.firstIndex()) return undefined;
    const first = this.#window.firstIndex;
    if (lo >= first) return this.#window.slice(lo, hi, maxBytes);
    return cut(this.#fetchedAt(lo) ?? [], hi, maxBytes);
  }

  fetch(index: number): boolean {
    if (this.#readOlder === undefined || index < this.firstIndex() || index >= this.#window.firstIndex) return false;
    if (this.#wanted.includes(index)) return true;
    this.#wanted.push(index);
    if (this.#wanted.length === 1) this.#readNext();
    return true;
  }

  /** What `readOlder` asked for; undefined if it is gone. */
  fetched(entries: readonly Entry[] | undefined): void {
    this.#wanted.shift();
    if (entries !== undefined && entries.length > 0) this.#pieces.push(entries);
    if (this.#pieces.length > PIECES_MAX) this.#pieces.shift();
    this.#readNext();
  }

  #readNext(): void {
    const [lo] = this.#wanted;
    if (lo !== undefined) this.#readOlder?.({ lo, hi: this.#window.firstIndex, maxBytes: FETCH_BYTES });
  }

  /** Fetched entries from `index` on; undefined if there are none. */
  #fetchedAt(index: number): readonly Entry[] | undefined {
    for (const piece of this.#pieces) {
      const at = index - (piece[0]?.index ?? Infinity);
      if (at >= 0 && at < piece.length) return piece.slice(at);
    }
    return undefined;
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
    this.#pieces = [];
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

/** Entries below `hi`, cut after `maxBytes` but never to nothing; undefined if there are none. */
function cut(entries: readonly Entry[], hi: number, maxBytes: number): readonly Entry[] | undefined {
  let bytes = 0;
  let count = 0;
  for (const entry of entries) {
    bytes += entryBytes(entry);
    if (entry.index >= hi || (count > 0 && bytes > maxBytes)) break;
    count++;
  }
  return count === 0 ? undefined : entries.slice(0, count);
}
