/**
 * Merges sources into SSTs, entry by entry, without an object for each: an entry that by itself decides what becomes of its key is copied as the
 * bytes it is. Only where versions have to be weighed against each other (operands, expired rows, tombstones that a snapshot may see at the bottom, a
 * filter) do entries become rows, for `retain` of engine/retention.ts to judge.
 *
 * 1. What comes out of each key is what `retain` makes of all its versions.
 * 2. Entries with equal key and sequence number are one.
 * 3. The versions of one key go into one SST: it is full only between keys.
 */
import { PumiceError, toHex } from "../../base/mod.ts";
import { retain, type RetentionRules } from "../engine/retention.ts";
import { compareKeys, type EntryCursor } from "../format/entry-cursor.ts";
import { refusedValue } from "../format/given.ts";
import { FLAG_EXPIRE, MERGE, TOMBSTONE, VALUE, type Row } from "../format/row.ts";
import type { SstWriter } from "../format/sst-writer.ts";
import type { CompactionFilter } from "../engine/compaction.ts";
import type { MergeSource } from "./merge-source.ts";

/** What a merge goes by. */
export interface MergeRules extends RetentionRules {
  readonly filter: CompactionFilter | undefined;
  /** An SST is full when its blocks have grown to this. */
  readonly maxSstBytes: number;
}

/**
 * Why a merge paused: a source must `load` first; the SST is `full`, and the next key goes into another; as many entries as were asked for were merged
 * (`rest`); all was merged (`end`).
 */
export type MergePause = "load" | "full" | "rest" | "end";

/** See the header of this file. */
export class Merger {
  /** Bytes of keys and values merged so far. */
  bytesRead = 0;
  readonly #rules: MergeRules;
  /** Those that must be moved, or loaded, before the next entry is known. */
  #waiting: MergeSource[];
  /** The others, in the order of their entries; none of them is done. */
  readonly #ready: MergeSource[] = [];
  /** The last key, its first `lastLength` bytes, and its number; none is equal to NaN. */
  #lastKey: Uint8Array = new Uint8Array(64);
  #lastLength = 0;
  #lastNumber = Number.NaN;
  #lastSeq = 0;
  /** Whatever else there is of the last key is older than anybody may see. */
  #isSettled = false;
  /** Versions of the last key that wait to be weighed, newest first; those before them are written already. */
  #versions: Row[] = [];

  constructor(sources: readonly MergeSource[], rules: MergeRules) {
    this.#rules = rules;
    this.#waiting = sources.slice();
  }

  /** Merges up to `entriesMax` entries into the writer. @throws LSM_CORRUPT */
  merge(writer: SstWriter, entriesMax: number): MergePause {
    const ready = this.#ready;
    const rules = this.#rules;
    for (let count = 0; count < entriesMax; count++) {
      if (this.#waiting.length > 0 && !this.#settleWaiting()) return "load";
      const source = ready[0];
      if (source === undefined) {
        this.#weigh(writer);
        return "end";
      }
      const { entry } = source;
      const { seq } = entry;
      if (source.number === this.#lastNumber && this.#isLastKey(entry)) {
        if (seq > this.#lastSeq) throw disorder(entry);
        if (!this.#isSettled && seq !== this.#lastSeq) this.#judge(entry, seq, writer);
      } else {
        if (this.#versions.length > 0) this.#weigh(writer);
        if (writer.writtenBytes >= rules.maxSstBytes) return "full";
        if (source.number <= this.#lastNumber && this.#isBehind(source)) throw disorder(entry);
        this.#remember(source);
        this.#isSettled = false;
        this.#judge(entry, seq, writer);
      }
      this.#lastSeq = seq;
      this.bytesRead += entry.keyLength + entry.valueLength;
      this.#advanceFirst(source);
    }
    return "rest";
  }

  /** Brings what a source lacks. */
  async load(): Promise<void> {
    await Promise.all(this.#waiting.map(async (source) => await source.load()));
  }

  /** Decides about a version of which all newer ones are decided, or puts it to those that wait. */
  #judge(entry: EntryCursor, seq: number, writer: SstWriter): void {
    const { minSeq, tick, isBottom, filter } = this.#rules;
    const { flags } = entry;
    const isTombstone = (flags & TOMBSTONE) !== 0;
    const isPlain =
      filter === undefined &&
      this.#versions.length === 0 &&
      (flags & MERGE) === 0 &&
      ((flags & FLAG_EXPIRE) === 0 || (entry.expireTs as number) > tick) &&
      // At the bottom a tombstone that a snapshot may see stays only if something older of its key does.
      (!isTombstone || (entry.valueLength === 0 && (!isBottom || seq <= minSeq)));
    if (!isPlain) {
      this.#versions.push(entry.row());
      return;
    }
    if (!isTombstone || !isBottom) writer.addEntry(entry);
    this.#isSettled = seq <= minSeq;
  }

  /** Writes what is to be kept of the versions that wait. */
  #weigh(writer: SstWriter): void {
    const kept = retain(this.#versions, this.#rules);
    this.#versions = [];
    const { filter, minSeq, isBottom } = this.#rules;
    const only = kept[0];
    // Above the bottom, an older version would come back to light: only at the bottom may a row vanish.
    const isAsked = filter !== undefined && isBottom && kept.length === 1 && only?.kind === VALUE && only.seq <= minSeq;
    if (isAsked && isDropped(filter(only), only)) return;
    for (const row of kept) writer.add(row);
  }

  #isLastKey(entry: EntryCursor): boolean {
    const lastKey = this.#lastKey;
    const lastLength = this.#lastLength;
    if (entry.keyLength !== lastLength) return false;
    const { key } = entry;
    for (let i = lastLength - 1; i >= 0; i--) if (key[i] !== lastKey[i]) return false;
    return true;
  }

  /** True if the entry's key is less than the last one; numbers that differ have told most of it. */
  #isBehind(source: MergeSource): boolean {
    return source.number < this.#lastNumber || compareKeys(source.entry, { key: this.#lastKey, keyLength: this.#lastLength }) < 0;
  }

  #remember(source: MergeSource): void {
    const { key, keyLength } = source.entry;
    if (keyLength > this.#lastKey.length) this.#lastKey = new Uint8Array(keyLength * 2);
    const lastKey = this.#lastKey;
    for (let i = 0; i < keyLength; i++) lastKey[i] = key[i] as number;
    this.#lastLength = keyLength;
    this.#lastNumber = source.number;
  }

  /** Moves the first source, and puts it where its next entry belongs. */
  #advanceFirst(source: MergeSource): void {
    const ready = this.#ready;
    if (!source.next()) {
      ready.shift();
      this.#waiting.push(source);
      return;
    }
    if (source.isDone) {
      ready.shift();
      return;
    }
    let i = 0;
    for (let next = ready[1]; next !== undefined && isBefore(next, source); next = ready[i + 1]) {
      ready[i] = next;
      i++;
    }
    ready[i] = source;
  }

  /** Brings the waiting sources in. False if one of them must load. */
  #settleWaiting(): boolean {
    const still: MergeSource[] = [];
    for (const source of this.#waiting) {
      if (!source.next()) still.push(source);
      else if (!source.isDone) {
        let i = this.#ready.length;
        while (i > 0 && isBefore(source, this.#ready[i - 1] as MergeSource)) i--;
        this.#ready.splice(i, 0, source);
      }
    }
    this.#waiting = still;
    return still.length === 0;
  }
}

/** By key, versions of one key newest first, and the same version by the age of its source. */
function isBefore(left: MergeSource, right: MergeSource): boolean {
  if (left.number !== right.number) return left.number < right.number;
  const order = compareKeys(left.entry, right.entry) || right.entry.seq - left.entry.seq || left.age - right.age;
  return order < 0;
}

/** Checksums fit and yet the order does not: the writer of a source was at fault. Merging would spread it. */
function disorder({ key, keyLength, seq }: EntryCursor): PumiceError {
  const what = "rows of a source of the compaction are out of order; verify names the object";
  return new PumiceError("LSM_CORRUPT", { what, key: toHex(key.subarray(0, Math.min(32, keyLength))), seq });
}

/** What the filter says, if it says one of the two things that it may. @throws LSM_INVALID otherwise: a promise, say, must not count as one of them */
function isDropped(verdict: unknown, { key }: Row): boolean {
  if (verdict === "keep" || verdict === "drop") return verdict === "drop";
  throw new PumiceError("LSM_INVALID", {
    what: "the compaction filter says neither keep nor drop",
    found: refusedValue(verdict),
    key: toHex(key.subarray(0, 32)),
  });
}
