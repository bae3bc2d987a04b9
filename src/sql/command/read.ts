/** Reads as they reach a reader. */
import type { ResultFormat, Statement } from "./command.ts";

/** A read of one or more statements. */
export interface SqlRead {
  readonly statements: readonly Statement[];
  /** Stop at the first error. Every request is one snapshot either way. */
  readonly transaction?: boolean | undefined;
  readonly format?: ResultFormat | undefined;
  /** Adds `time`, seconds, to each result. */
  readonly timings?: boolean | undefined;
  /** Milliseconds from the start of the request's run after which it is interrupted. Default none. */
  readonly deadlineMs?: number | undefined;
  /** Bytes of result text at most; more is an error of the statement. Default `RESULT_BYTES_DEFAULT`. */
  readonly resultBytesMax?: number | undefined;
  /** If a statement writes or cannot be prepared, run nothing and answer `writes: true`. For `/db/request`. */
  readonly unlessWrite?: boolean | undefined;
}
