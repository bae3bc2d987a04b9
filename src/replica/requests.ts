/** What may be asked of a replica, and what it answers. */
import type { RequestId, ResultFormat, ResultText, Statement } from "../sql/mod.ts";

/**
 * How fresh a read is. `none`: whatever this node has. `weak`: this node believes that it leads. `linearizable`: at least as new as every
 * write acknowledged before the read began (ReadIndex). `strong`: through the log. `auto`: weak on a voter, none elsewhere.
 */
export type Level = "none" | "weak" | "linearizable" | "strong" | "auto";

/** A write: statements, or a command that its sender has encoded already (`encodeCommand`), with whatever stamp: the leader's comes in its place. */
export type WriteRequest = StatementsRequest | EncodedRequest;

/** A command's bytes. They are not kept. */
export interface EncodedRequest {
  readonly kind: "encoded";
  readonly command: Uint8Array;
  /** As in StatementsRequest. Unit: ms. */
  readonly dbTimeoutMs?: number | undefined;
  /** As in StatementsRequest. */
  readonly timings?: boolean | undefined;
}

/** SQL that goes through the log. `request` may mix reads and writes. */
export interface StatementsRequest {
  readonly kind: "execute" | "request";
  readonly statements: readonly Statement[];
  /** All in one SQLite transaction, rolled back at the first error. Default false: each statement stands alone. */
  readonly transaction?: boolean | undefined;
  /** The one statement is a dump of many, applied wholly or not at all; its own BEGIN and COMMIT are passed over. Default false. */
  readonly script?: boolean | undefined;
  /** Turned into a budget of SQLite VM steps. Unit: ms. Default: the replica's default budget. */
  readonly dbTimeoutMs?: number | undefined;
  /** A request with an id is applied at most once; a retry gets the stored outcome. */
  readonly requestId?: RequestId | undefined;
  readonly format?: ResultFormat | undefined;
  /** Adds `time` to each result. Default false. */
  readonly timings?: boolean | undefined;
}

/** SQL that only reads. */
export interface ReadRequest {
  readonly statements: readonly Statement[];
  readonly level: Level;
  /** Level none: refuse with `stale read` where this node has not heard from its leader for longer. Unit: ms. */
  readonly freshnessMs?: number | undefined;
  /** With `freshnessMs`: what this node has applied must be as fresh, too. */
  readonly freshnessStrict?: boolean | undefined;
  /** How long a linearizable read waits for its index. Unit: ms. Default 10,000. */
  readonly linearizableTimeoutMs?: number | undefined;
  /** Interrupts a statement that runs longer. Unit: ms. Default: none. */
  readonly dbTimeoutMs?: number | undefined;
  /** All in one read transaction. */
  readonly transaction?: boolean | undefined;
  readonly format?: ResultFormat | undefined;
  /** Adds `time` to each result. Default false. */
  readonly timings?: boolean | undefined;
  /** Bytes of result text at most. Default: the reader's. */
  readonly resultBytesMax?: number | undefined;
}

/** `results`: the text that stands between the brackets of `"results":[...]`. `error`: the request was refused as a whole, the text is for the client. */
export type WriteOutcome =
  | { readonly kind: "results"; readonly results: ResultText; readonly raftIndex?: number | undefined }
  | { readonly kind: "error"; readonly error: string };

/** What came of a read. */
export type ReadOutcome = WriteOutcome;

/** What came of a read that was to be run only if it reads. `writes`: nothing has been done. */
export type MaybeReadOutcome = ReadOutcome | { readonly kind: "writes" };
