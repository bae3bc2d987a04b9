/**
 * A contiguous run of entries, addressed by log index: append at the end, truncate the end, drop the beginning, read the
 * middle. Dropping costs nothing per entry that stays: a head moves, and the array is packed once half of it is dead.
 * Invariant: items[head + k].index === first + k.
 */
import { assert } from "../base/mod.ts";
import { entryBytes, type Entry } from "./types.ts";

/** Dead places are tolerated up to this many before the array is packed. */
const PACK_MIN = 1024;

/** A window of the log. */
export class EntryWindow {
  #items: Entry[] = [];
  #head = 0;
  #first: number;

  constructor(firstIndex: number) {
    this.#first = firstIndex;
  }

  /** The index of the first entry, or where it would be. */
  get firstIndex(): number {
    return this.#first;
  }

  /** One past the last entry's index. */
  get endIndex(): number {
    return this.#first + this.length;
  }

  get length(): number {
    return this.#items.length - this.#head;
  }

  /** The entry at `index`, or undefined outside the window. */
  at(index: number): Entry | undefined {
    return index < this.#first ? undefined : this.#items[index - this.#first + this.#head];
  }

  /** Adds entries at the end. @throws AssertionError if they do not begin there. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    assert(first.index === this.endIndex, "appended entries begin at the window's end");
    for (const entry of entries) this.#items.push(entry);
  }

  /** Adds one entry at the end. @throws AssertionError if it does not belong there. */
  push(entry: Entry): void {
    assert(entry.index === this.endIndex, "a pushed entry continues the window");
    this.#items.push(entry);
  }

  /** Drops every entry at `index` and after. */
  truncateFrom(index: number): void {
    assert(index >= this.#first, "a window is not truncated before its beginning");
    const keep = index - this.#first + this.#head;
    if (keep < this.#items.length) this.#items.length = keep;
  }

  /** Drops every entry before `index`; the window then begins at `index`. */
  dropBefore(index: number): void {
    if (index <= this.#first) return;
    assert(index <= this.endIndex, "a window does not drop what it does not have");
    this.#head += index - this.#first;
    this.#first = index;
    if (this.#head === this.#items.length) {
      this.#items = [];
      this.#head = 0;
    } else if (this.#head >= PACK_MIN && this.#head * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
  }

  /** Empties the window and moves it to `firstIndex`. */
  reset(firstIndex: number): void {
    this.#items = [];
    this.#head = 0;
    this.#first = firstIndex;
  }

  /** The entries of [lo, hi), cut after `maxBytes` but never to nothing. Both ends must lie in the window. */
  slice(lo: number, hi: number, maxBytes: number): Entry[] {
    assert(lo >= this.#first && lo <= hi && hi <= this.endIndex, "a slice lies in the window");
    const start = lo - this.#first + this.#head;
    const end = hi - this.#first + this.#head;
    return this.#items.slice(start, maxBytes === Infinity ? end : this.#cut(start, end, maxBytes));
  }

  #cut(start: number, end: number, maxBytes: number): number {
    let bytes = 0;
    for (let at = start; at < end; at++) {
      bytes += entryBytes(this.#items[at] as Entry);
      if (bytes > maxBytes) return at === start ? at + 1 : at;
    }
    return end;
  }
}
