/**
 * A connection for simple reads on the main thread: the way to a reader thread and back costs several times what such a read takes. It never
 * holds the thread for long:
 *
 * 1. Only what a reader thread has found simple (simple.ts) is run, one statement at a time, with values up to `VALUE_BYTES_MAX` and a
 *    result up to `RESULT_BYTES_MAX`, for at most `TIME_MS`; it waits for no lock.
 * 2. Whatever is in the way, an error too, is no answer: the read goes to a reader thread, which gives the result or the error.
 * 3. A read that took long all the same (a page came from a slow disk) is paid for: for `REST_FACTOR` times as long there is none.
 */
import type { StatementSync } from "node:sqlite";
import { assert } from "../../base/mod.ts";
import { fillFormat } from "../result/columns.ts";
import { Connection } from "../connection/connection.ts";
import { bind } from "../connection/params.ts";
import { writeRows } from "../result/json.ts";
import { isSqliteError } from "../connection/errors.ts";
import { isTooLong, TextBuffer } from "../result/text.ts";
import type { SqlRead } from "../command/read.ts";
import type { SqlReadResult } from "../result/results.ts";

/** What opens an inline reader. */
export interface InlineReaderOptions {
  /** The database file, opened by a state machine before. */
  readonly path: string;
  readonly extensionPath: string;
  readonly foreignKeys: boolean;
  /** Milliseconds from base's Clock. */
  readonly monotonic: () => number;
}

/** Larger values make a statement an error here. Unit: bytes. */
const VALUE_BYTES_MAX = 16 * 1024;
const RESULT_BYTES_MAX = 64 * 1024;
/** Every parameter is for the one statement. */
const ALL = { start: 0, isLast: true };
/** Looked at once per thousand steps. Unit: ms. */
const TIME_MS = 1;
/** A read that takes no longer costs nothing after it. Unit: ms. */
const QUICK_MS = 1;
const REST_FACTOR = 20;

/** Simple reads, at once. */
export class InlineReader {
  readonly #connection: Connection;
  readonly #monotonic: () => number;
  readonly #schemaVersion: StatementSync;
  readonly #deadline: StatementSync;
  #schema: bigint;
  #restsUntilMs = 0;

  /** @throws SQL_VERSION, SQL_EXTENSION, and SQLite's errors */
  constructor(options: InlineReaderOptions) {
    const { path, extensionPath, foreignKeys } = options;
    const limits = { valueBytesMax: VALUE_BYTES_MAX, lockTimeoutMs: 0 };
    this.#connection = new Connection({ path, extensionPath, foreignKeys, isReader: true, ...limits });
    this.#monotonic = options.monotonic;
    this.#schemaVersion = this.#connection.own("PRAGMA schema_version");
    this.#deadline = this.#connection.own("SELECT pumice_deadline(?)");
    this.#schema = this.#firstVersion();
  }

  /** The answer to a request of one statement that a reader has found simple; undefined: ask a reader. */
  read(request: SqlRead): SqlReadResult | undefined {
    const startedMs = this.#monotonic();
    if (startedMs < this.#restsUntilMs) return undefined;
    try {
      return this.#read(request);
    } catch (error) {
      if (!isSqliteError(error) && !isTooLong(error)) throw error;
      return undefined;
    } finally {
      const endedMs = this.#monotonic();
      if (endedMs - startedMs > QUICK_MS) this.#restsUntilMs = endedMs + (endedMs - startedMs) * REST_FACTOR;
    }
  }

  #read({ statements, format }: SqlRead): SqlReadResult | undefined {
    const [only] = statements;
    if (only === undefined) return undefined;
    const prepared = this.#connection.prepare(only.sql, "read");
    if (prepared === undefined || !prepared.isReadOnly || prepared.columns.length === 0) return undefined;
    const binding = bind(prepared, only.params ?? [], ALL);
    if (binding.error !== undefined) return undefined;
    this.#deadline.get(TIME_MS);
    // All at once costs half of what one by one does; there are few.
    const rows = this.#connection.running("read", () => prepared.statement.all(...binding.params));
    // Rows of another schema do not fit the columns.
    if (!this.#hasSameSchema()) return undefined;
    const out = new TextBuffer(RESULT_BYTES_MAX);
    writeRows(out, rows, { columns: prepared.columns, format: fillFormat(format), seconds: undefined }, () => undefined);
    return { results: out.finish() };
  }

  /** Columns are those of the schema that the statement was prepared with. Versions only grow: the same before and after is the same during it. */
  #hasSameSchema(): boolean {
    const version = this.#version();
    if (version === this.#schema) return true;
    this.#schema = version;
    this.#connection.forgetStatements();
    return false;
  }

  /** If the database is locked now, start with an unknown version: the first read then goes to a reader thread. */
  #firstVersion(): bigint {
    try {
      return this.#version();
    } catch (error) {
      if (!isSqliteError(error)) throw error;
      return -1n;
    }
  }

  #version(): bigint {
    const version = this.#schemaVersion.get()?.[0];
    assert(typeof version === "bigint", "a schema has a version");
    return version;
  }

  close(): void {
    this.#connection.close();
  }
}
