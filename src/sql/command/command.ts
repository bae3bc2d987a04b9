/**
 * Command: the payload of a normal entry of the Raft log. What an apply does is a function of the command and of the database before
 * it, and of nothing else: time, randomness and the limit of work stand in the command. The bytes are `codec.ts`'s matter and
 * `docs/formats/command.md`'s.
 */

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
  /** Rows as objects. Default false: arrays. */
  readonly associative?: boolean | undefined;
  /** BLOBs as arrays of integers. Default false: base64. */
  readonly blobArray?: boolean | undefined;
  /** Columns of tables are named `table.column`. Default false: by their own name. */
  readonly qualifyColumns?: boolean | undefined;
}

/** Names a request for good: the same id is never applied twice, the stored outcome is the answer to a retry. */
export interface RequestId {
  /** Chosen at random by the sender, 64 bits. */
  readonly session: bigint;
  /** Grows by at least 1 from request to request of a session; a session has one request under way at a time. */
  readonly sequence: bigint;
}

/** What the leader adds to a command when it proposes it, so that every replica sees the same world. */
export interface CommandStamp {
  /** The leader's wall clock, ms since 1970 UTC: `datetime('now')` while the entry is applied. */
  readonly timeMs: number;
  /** Seeds `random()` and `randomblob()`. From a good source: it can be guessed by nobody. */
  readonly seed: bigint;
  /** SQLite VM steps that all statements of the entry may take together; at least `STEPS_MIN` is granted. */
  readonly steps: number;
}

/**
 * SQL through the log. `execute`: writes; rows come back for RETURNING and EXPLAIN only. `request`: reads and writes, mixed. Reads alone
 * never go through the log: a strong one sends a barrier.
 */
export interface SqlCommand extends CommandStamp {
  readonly kind: "execute" | "request";
  readonly statements: readonly Statement[];
  /** All statements in one SQLite transaction, stopping and rolling back at the first error. Else each statement stands alone. */
  readonly transaction?: boolean | undefined;
  /**
   * A script: the first statement's text is a dump of many statements, applied wholly or not at all. BEGIN, COMMIT and
   * `PRAGMA foreign_keys` in it are passed over. Implies `transaction`. Only with `kind: "execute"`.
   */
  readonly script?: boolean | undefined;
  readonly requestId?: RequestId | undefined;
  readonly format?: ResultFormat | undefined;
}

/** One piece of a SQLite file that is being loaded. Pieces are stored until a commit or an abort. */
export interface LoadChunkCommand extends CommandStamp {
  readonly kind: "load-chunk";
  /** Names the load, chosen at random. */
  readonly load: bigint;
  /** From 0. */
  readonly number: number;
  /** At most `LOAD_CHUNK_BYTES_MAX`. */
  readonly bytes: Uint8Array;
}

/** All pieces are there: the file they form replaces the whole database. */
export interface LoadCommitCommand extends CommandStamp {
  readonly kind: "load-commit";
  readonly load: bigint;
  readonly chunkCount: number;
  readonly sizeBytes: number;
}

/** Forgets the pieces. */
export interface LoadAbortCommand extends CommandStamp {
  readonly kind: "load-abort";
  readonly load: bigint;
}

/** What nobody writes any more: read, and without effect. */
export interface RetiredCommand extends CommandStamp {
  readonly kind: "retired";
}

/** A command of any kind. */
export type Command = SqlCommand | LoadChunkCommand | LoadCommitCommand | LoadAbortCommand;

/** The smallest budget that is granted; a smaller one is raised to it. FROZEN: outcomes in existing logs depend on it. */
export const STEPS_MIN = 2_000_000;

/** The largest budget that a leader gives: minutes of plain work. Not part of the format. */
export const STEPS_MAX = 2_000_000_000;

/** VM steps that stand for one millisecond of a write's time limit. A machine of the 2020s takes 10,000 to 30,000. Not part of the format. */
export const STEPS_PER_MS = 20_000;

/** Bytes of one load chunk at most. */
export const LOAD_CHUNK_BYTES_MAX = 1024 * 1024;

/** True if `param` is bound by name. */
export function isNamedParam(param: SqlParam): param is NamedParam {
  return typeof param === "object" && param !== null && !(param instanceof Uint8Array);
}
