import type { ResultFormat, Statement } from "./command.ts";
import type { ReadResult } from "./results.ts";

/** A read of one or more statements. */
export interface ReadRequest {
  readonly statements: readonly Statement[];
  /** Stop at the first error. Every request is one snapshot either way. */
  readonly transaction?: boolean | undefined;
  readonly format?: ResultFormat | undefined;
  /** Adds `time`, seconds, to each result. */
  readonly timings?: boolean | undefined;
  /** Milliseconds from the start of the request's run after which it is interrupted. Default none. */
  readonly deadlineMs?: number | undefined;
  /** Bytes of result text at most; more is an error of the statement. Default 1 GiB. */
  readonly resultBytesMax?: number | undefined;
  /** If a statement writes or cannot be prepared, run nothing and answer `writes: true`. For `/db/request`. */
  readonly unlessWrite?: boolean | undefined;
}

/** What `/status` shows under `store.sqlite3`. */
export interface SqliteStatus {
  readonly version: string;
  readonly compileOptions: readonly string[];
  /** Name to value, as text, of the connection asked. */
  readonly pragmas: Readonly<Record<string, string>>;
  readonly pageSizeBytes: number;
  readonly pageCount: number;
  readonly walBytes: number;
}

/** A read-only connection: synchronous, lives on a reader thread. */
export interface ReaderApi {
  /** Runs the requests in one read transaction, begun after the call. `done` is called for each, in order. */
  readMany(requests: readonly ReadRequest[], done: (position: number, result: ReadResult) => void): void;
  readonly interruptHandle: number;
  close(): void;
}
