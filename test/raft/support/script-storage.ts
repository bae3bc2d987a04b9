/** The stable log of a node in a script: a synchronous store, and the snapshot that the script's state machine would give. */
import { EntryWindow, type Entry, type HardState, type LogStorage, type Snapshot } from "../../../src/raft/mod.ts";

export class ScriptStorage implements LogStorage {
  readonly #window: EntryWindow;
  #boundaryTerm: number;
  hardState: HardState = { term: 0, vote: 0, commit: 0 };
  /** One snapshot per applied entry, and the one that the node began with. */
  readonly history: Snapshot[] = [];

  constructor(start: Snapshot) {
    this.#window = new EntryWindow(start.index + 1);
    this.#boundaryTerm = start.term;
    this.history.push(start);
  }

  firstIndex(): number {
    return this.#window.firstIndex;
  }

  lastIndex(): number {
    return this.#window.endIndex - 1;
  }

  term(index: number): number | undefined {
    if (index === this.#window.firstIndex - 1) return this.#boundaryTerm;
    return this.#window.at(index)?.term;
  }

  entries(lo: number, hi: number, maxBytes: number): readonly Entry[] | undefined {
    return lo < this.firstIndex() ? undefined : this.#window.slice(lo, hi, maxBytes);
  }

  fetch(): boolean {
    return false;
  }

  snapshot(): Snapshot | undefined {
    return this.history.at(-1);
  }

  all(): readonly Entry[] {
    return this.#window.slice(this.firstIndex(), this.#window.endIndex, Infinity);
  }

  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    this.#window.truncateFrom(Math.min(first.index, this.#window.endIndex));
    this.#window.append(entries);
  }

  restore(snapshot: Snapshot): void {
    this.#window.reset(snapshot.index + 1);
    this.#boundaryTerm = snapshot.term;
    this.history.push(snapshot);
  }

  compact(index: number): void {
    const term = this.term(index);
    if (term === undefined) throw new Error(`requested index ${index} is unavailable`);
    this.#window.dropBefore(index + 1);
    this.#boundaryTerm = term;
  }
}
