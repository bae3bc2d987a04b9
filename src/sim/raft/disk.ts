/**
 * The log of one simulated node: batches wait to be written, in order; a crash keeps some first ones of those that wait, each
 * whole. A batch without need of a sync may be lost even after it was acknowledged, until a later one is synced.
 */
import { assert, viewOf } from "../../base/mod.ts";
import { EntryWindow, type Entry, type HardState } from "../../raft/mod.ts";
import type { LogBatch } from "../../replica/mod.ts";
import { chainHash } from "./hash.ts";

/** A log on a disk that can crash. */
export class SimDisk {
  hardState: HardState = { term: 0, vote: 0, commit: 0 };
  readonly window = new EntryWindow(1);
  compacted = { index: 0, term: 0 };
  readonly pending: LogBatch[] = [];
  /** The commit index of the last synced batch. */
  #syncedCommit = 0;
  /** chains[k] is the hash of the log up to the entry at window.firstIndex - 1 + k. */
  #chains: number[] = [0];

  get lastIndex(): number {
    return this.window.endIndex - 1;
  }

  /** The term at `index`; undefined if the log does not have it. */
  termAt(index: number): number | undefined {
    return index === this.compacted.index ? this.compacted.term : this.window.at(index)?.term;
  }

  /** The hash of the log up to `index`, which it has. */
  chainAt(index: number): number {
    const chain = this.#chains[index - this.window.firstIndex + 1];
    assert(chain !== undefined, "the log has the entry whose hash is asked for");
    return chain;
  }

  entries(): readonly Entry[] {
    return this.window.slice(this.window.firstIndex, this.window.endIndex, Infinity);
  }

  /** Writes the oldest waiting batch. */
  writeNext(): LogBatch | undefined {
    const batch = this.pending.shift();
    if (batch !== undefined) this.#write(batch);
    return batch;
  }

  /** Power fails. The first `kept` of the waiting batches had reached the disk; `losesCommit`: what was not synced is lost. */
  crash(kept: number, losesCommit: boolean): readonly LogBatch[] {
    const written = this.pending.splice(0, kept);
    for (const batch of written) this.#write(batch);
    this.pending.length = 0;
    if (losesCommit) this.hardState = { ...this.hardState, commit: Math.max(this.#syncedCommit, this.compacted.index) };
    return written;
  }

  compact(index: number): void {
    const term = this.termAt(index);
    assert(term !== undefined && index <= this.lastIndex, "the log is compacted up to an entry that it has");
    this.#chains.splice(0, index - this.compacted.index);
    this.window.dropBefore(index + 1);
    this.compacted = { index, term };
  }

  #write(batch: LogBatch): void {
    const { snapshot, entries, hardState } = batch;
    if (snapshot !== undefined) {
      this.window.reset(snapshot.index + 1);
      this.compacted = { index: snapshot.index, term: snapshot.term };
      this.#chains = [chainOf(snapshot.data)];
    }
    const first = entries[0];
    if (first !== undefined) {
      this.window.truncateFrom(Math.min(first.index, this.window.endIndex));
      this.#chains.length = this.window.length + 1;
      this.window.append(entries);
      let chain = this.#chains[this.#chains.length - 1] as number;
      for (const entry of entries) {
        chain = chainHash(chain, entry);
        this.#chains.push(chain);
      }
    }
    if (hardState !== undefined) this.hardState = hardState;
    if (batch.mustSync) this.#syncedCommit = this.hardState.commit;
  }
}

/** Registers of the simulated state machine: a proposal of id n writes n to register n % REGISTERS. */
export const REGISTERS = 8;

/** A snapshot's bytes: the hash of the log that it stands for, and the registers. */
export function snapshotBytes(chain: number, registers: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(4 * (1 + REGISTERS));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, chain, true);
  registers.forEach((value, at) => view.setUint32(4 + at * 4, value, true));
  return bytes;
}

/** The hash in a snapshot's bytes. */
export function chainOf(bytes: Uint8Array): number {
  return viewOf(bytes).getUint32(0, true);
}

/** The registers in a snapshot's bytes. */
export function registersOf(bytes: Uint8Array): number[] {
  const view = viewOf(bytes);
  return Array.from({ length: REGISTERS }, (_, at) => view.getUint32(4 + at * 4, true));
}
