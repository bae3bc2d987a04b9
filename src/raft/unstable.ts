/**
 * What the log holds but the disk may not: a tail of entries from `offset` on, and at most one incoming snapshot. It takes
 * precedence over the stable log: a conflict moves `offset` back before the stable log's end.
 * Invariant: offset <= offsetInProgress <= offset + entries. What lies before offsetInProgress was handed out in a Ready.
 */
import { assert } from "../base/mod.ts";
import { EntryWindow } from "./entry-window.ts";
import type { Trace } from "./trace.ts";
import type { Entry, Snapshot } from "./types.ts";

/** The unstable tail. */
export class Unstable {
  snapshot: Snapshot | undefined;
  snapshotInProgress = false;
  readonly #window: EntryWindow;
  /** The next index to hand out. */
  #inProgress: number;
  readonly #trace: Trace | undefined;

  constructor(offset: number, trace: Trace | undefined) {
    this.#window = new EntryWindow(offset);
    this.#inProgress = offset;
    this.#trace = trace;
  }

  get offset(): number {
    return this.#window.firstIndex;
  }

  get offsetInProgress(): number {
    return this.#inProgress;
  }

  get count(): number {
    return this.#window.length;
  }

  /** The last index that is known here, or undefined if nothing is unstable. */
  lastIndex(): number | undefined {
    if (this.#window.length > 0) return this.#window.endIndex - 1;
    return this.snapshot?.index;
  }

  /** The term at `index` if it is unstable. */
  term(index: number): number | undefined {
    const entry = this.#window.at(index);
    if (entry !== undefined) return entry.term;
    return this.snapshot !== undefined && this.snapshot.index === index ? this.snapshot.term : undefined;
  }

  /** Unstable entries of [lo, hi). */
  slice(lo: number, hi: number, maxBytes: number): Entry[] {
    return this.#window.slice(lo, hi, maxBytes);
  }

  /** Entries that no Ready has handed out yet. */
  nextEntries(): Entry[] {
    return this.#window.slice(this.#inProgress, this.#window.endIndex, Infinity);
  }

  hasNextEntries(): boolean {
    return this.#window.endIndex > this.#inProgress;
  }

  /** The snapshot, if no Ready has handed it out yet. */
  nextSnapshot(): Snapshot | undefined {
    return this.snapshotInProgress ? undefined : this.snapshot;
  }

  /** Marks all as handed out. */
  acceptInProgress(): void {
    this.#inProgress = this.#window.endIndex;
    if (this.snapshot !== undefined) this.snapshotInProgress = true;
  }

  /** Entries up to (`index`, `term`) are durable, if they still are what the log holds. */
  stableTo(index: number, term: number): void {
    const entry = this.#window.at(index);
    if (entry === undefined) {
      if (this.snapshot?.index === index) this.#trace?.({ kind: "stable-ignored-snapshot", index });
      else this.#trace?.({ kind: "stable-ignored-missing", index });
      return;
    }
    if (entry.term !== term) {
      this.#trace?.({ kind: "stable-ignored-mismatch", index, term, existingTerm: entry.term });
      return;
    }
    this.#window.dropBefore(index + 1);
    this.#inProgress = Math.max(this.#inProgress, index + 1);
  }

  /** The snapshot at `index` is durable and restored. */
  stableSnapshotTo(index: number): void {
    if (this.snapshot?.index !== index) return;
    this.snapshot = undefined;
    this.snapshotInProgress = false;
  }

  /** Replaces everything by a snapshot. */
  restore(snapshot: Snapshot): void {
    this.#window.reset(snapshot.index + 1);
    this.#inProgress = snapshot.index + 1;
    this.snapshot = snapshot;
    this.snapshotInProgress = false;
  }

  /** Appends entries, after dropping what conflicts with them: everything from their first index on. */
  truncateAndAppend(entries: readonly Entry[]): void {
    const first = entries[0];
    assert(first !== undefined, "there is something to append");
    if (first.index === this.#window.endIndex) {
      this.#window.append(entries);
    } else if (first.index <= this.#window.firstIndex) {
      this.#trace?.({ kind: "unstable-replaced", index: first.index });
      this.#window.reset(first.index);
      this.#inProgress = first.index;
      this.#window.append(entries);
    } else {
      this.#trace?.({ kind: "unstable-truncated", index: first.index });
      this.#window.truncateFrom(first.index);
      this.#inProgress = Math.min(this.#inProgress, first.index);
      this.#window.append(entries);
    }
  }
}
