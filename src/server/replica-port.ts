/** What the server needs of a replica, and no more: the tests of the queue put their own in its place. */

/** A value that SQLite stores. `number` is always REAL, integers are `bigint` (int64), booleans are stored as 0 and 1. */
export type SqlValue = null | bigint | number | string | Uint8Array | boolean;

/** A parameter bound by name. `name` has no prefix: it matches `:name`, `@name` and `$name`. */
export interface NamedParam {
  readonly name: string;
  readonly value: SqlValue;
}

/** A positional parameter, or one bound by name. Both may stand in one list; the order counts for the positional ones. */
export type SqlParam = SqlValue | NamedParam;

/** SQL text (usually one statement; several are split by SQLite, and then consume the parameters from left to right) and its parameters. */
export interface Statement {
  readonly sql: string;
  readonly params?: readonly SqlParam[] | undefined;
}

/** How result rows are written. Part of the command because the stored outcome of a request id is written so on every replica. */
export interface ResultFormat {
  readonly associative?: boolean | undefined;
  readonly blobArray?: boolean | undefined;
  readonly timings?: boolean | undefined;
}

export type Json = string | Uint8Array;

export type Level = "none" | "weak" | "linearizable" | "strong" | "auto";

export interface WriteRequest {
  kind: "execute" | "request";
  statements: readonly Statement[];
  transaction: boolean;
  script?: boolean;
  dbTimeoutMs?: number | undefined;
  requestId?: { session: bigint; sequence: bigint };
  format: ResultFormat;
}
export interface ReadRequest {
  statements: readonly Statement[];
  level: Level;
  freshnessMs?: number | undefined;
  freshnessStrict?: boolean;
  linearizableTimeoutMs?: number | undefined;
  dbTimeoutMs?: number | undefined;
  transaction: boolean;
  format: ResultFormat;
  orWrite?: boolean;
}
export type Outcome = { kind: "results"; results: Json; raftIndex?: number } | { kind: "error"; error: string } | { kind: "writes" };

export interface ReplicaPort {
  write(request: WriteRequest, options?: { signal?: AbortSignal; timeoutMs?: number }): Promise<Outcome>;
  read(request: ReadRequest, options?: { signal?: AbortSignal }): Promise<Outcome>;
  load(source: AsyncIterable<Uint8Array>, options?: { signal?: AbortSignal }): Promise<void>;
  backup(options: { format: "binary" | "delete" | "sql"; vacuum: boolean; tables: readonly string[]; signal?: AbortSignal }): AsyncIterable<Uint8Array>;
  status(): Promise<unknown>;
  leader(): { id: string; address: string } | undefined;
  isReady(): boolean;
  waitApplied(index: number | "commit", options: { timeoutMs: number }): Promise<boolean>;
  readonly nodeId: string;
}
