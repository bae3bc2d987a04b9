/** Committed entries as they reach the state machine. */

/** Asks for the result of an entry: set by the replica that a client waits on, absent on the others and in a replay. */
export interface ResultWanted {
  /** Adds `time`, seconds, to each result. */
  readonly timings: boolean;
}

/** A committed entry. Empty `data`: a no-op of Raft, which only moves the applied index. */
export interface ApplyEntry {
  readonly index: number;
  readonly term: number;
  /** A command's bytes, or none. */
  readonly data: Uint8Array;
  readonly want?: ResultWanted | undefined;
}
