/** Committed entries as they reach the state machine. */
import type { EntryId } from "../../base/mod.ts";

/** Asks for the result of an entry: set by the replica that a client waits on, absent on the others and in a replay. */
export interface ResultWanted {
  /** Adds `time`, seconds, to each result. */
  readonly timings: boolean;
}

/**
 * What an entry is. command: SQL, or a part of a load. membership: the members change; `data` are all of them after it, opaque here.
 * nothing: it only moves the applied index.
 */
export type ApplyKind = "command" | "membership" | "nothing";

/** A committed entry. */
export interface ApplyEntry extends EntryId {
  /** Default: command, or nothing if there are no data. */
  readonly kind?: ApplyKind | undefined;
  readonly data: Uint8Array;
  readonly want?: ResultWanted | undefined;
}

/** What the entry is, with the default filled in. */
export function kindOf(entry: ApplyEntry): ApplyKind {
  return entry.kind ?? (entry.data.length === 0 ? "nothing" : "command");
}
