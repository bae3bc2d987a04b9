/** The log as the core sees it: what is stable, read synchronously. The driver's memory implements it; the core never writes it. */
import type { Entry, Snapshot } from "./types.ts";

/**
 * A read-only view of the stable log, [firstIndex, lastIndex], after a compacted prefix that ends at firstIndex - 1.
 * It changes only between calls into the core, and only by what a Ready handed out, by compaction, or by a snapshot.
 */
export interface LogStorage {
  /** The first index that can be read; lastIndex + 1 if the log is empty. At least 1. */
  firstIndex(): number;
  /** The last stable index; firstIndex - 1 if the log is empty. */
  lastIndex(): number;
  /** The term at `index` in [firstIndex - 1, lastIndex]; undefined outside, and where memory does not have it (`fetch`). The term at 0 is 0. */
  term(index: number): number | undefined;
  /**
   * Entries of [lo, hi), cut after `maxBytes` but never to nothing; undefined if `lo` was compacted, or is not in memory (`fetch`).
   * The array is the caller's; the entries are shared and immutable.
   */
  entries(lo: number, hi: number, maxBytes: number): readonly Entry[] | undefined;
  /**
   * Asked for an entry in [firstIndex, lastIndex] whose term is undefined, or that `entries` does not give. True: it is on disk only and is being brought into
   * memory; the host tells the core when it has come. False: it is gone.
   */
  fetch(index: number): boolean;
  /** The latest snapshot, index >= firstIndex - 1; undefined while there is none to send. */
  snapshot(): Snapshot | undefined;
}
