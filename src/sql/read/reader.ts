/**
 * Reads: one read-only connection on a thread of its own. Requests that wait together share one read transaction, begun after the last
 * of them arrived, so that each sees everything that was applied before it was asked.
 *
 * 1. The connection is opened read-only and the authorizer lets nothing but reads through; SQLite's own word decides what writes.
 * 2. A deadline interrupts the statement by SQLite's progress handler, wherever it stands; so does `InterruptSwitch` on another thread.
 * 3. Rows become text one by one; what is longer than the limit is cut off with an error.
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { type FileSystem, PumiceError } from "../../base/mod.ts";
import { writeBackup } from "./backup.ts";
import { type FilledFormat, fillFormat } from "../result/columns.ts";
import type { SqlParam, Statement } from "../command/command.ts";
import { Connection, loadExtension } from "../connection/connection.ts";
import { dumpText } from "./dump.ts";
import { bind, type BoundParams } from "../connection/params.ts";
import { readErrorJson, writeRows } from "../result/json.ts";
import { isSimpleRead } from "./simple.ts";
import { isSingle, type Piece, type PieceDone, runPieces } from "../connection/split.ts";
import { isInterrupt, isSqliteError, machineError } from "../connection/errors.ts";
import type { SqliteStatus } from "../connection/sqlite-status.ts";
import { readStatus } from "../connection/status.ts";
import { isTooLong, TextBuffer, type TextMark, TextTooLong } from "../result/text.ts";
import type { BackupOptions, DumpOptions } from "../command/backup-options.ts";
import type { SqlRead } from "../command/read.ts";
import type { Prepared } from "../connection/prepared.ts";
import type { SqlReadResult } from "../result/results.ts";

/** What opens a reader. */
export interface ReaderOptions {
  /** The database file, opened by a state machine before. */
  readonly path: string;
  readonly extensionPath: string;
  readonly foreignKeys?: boolean | undefined;
  /** Milliseconds from base's Clock, for timings only. */
  readonly monotonic: () => number;
  /** For the files of backups, never for the database file. */
  readonly files: FileSystem;
}

/** Bytes of result text of one request, unless it says otherwise. */
export const RESULT_BYTES_DEFAULT = 1024 * 1024 * 1024;

const READ_ONLY_TEXT = "attempt to change database via query operation";
const TOO_LARGE_TEXT = "result is larger than the limit; ask for fewer rows or raise the limit";
/** rqlite's text. */
const TIMEOUT_TEXT = "query timeout";
const INTERRUPTED_TEXT = "query interrupted";

/** Why a statement was interrupted: pumice_stop(). */
const STOP_DEADLINE = 2n;

/** A request under way. */
interface Run {
  readonly request: SqlRead;
  readonly format: FilledFormat;
  readonly out: TextBuffer;
}

/** A request that is an error as a whole. */
class RequestRefused extends Error {
  override readonly name = "RequestRefused";
}

/** A read-only connection: synchronous, lives on a reader thread. */
export class Reader {
  /** A statement of the request under way was interrupted by another thread. */
  #wasInterrupted = false;
  /** For `InterruptSwitch.interrupt`. */
  readonly interruptHandle: number;
  readonly #options: ReaderOptions;
  readonly #connection: Connection;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #rollback: StatementSync;
  readonly #schemaVersion: StatementSync;
  readonly #deadline: StatementSync;
  readonly #stop: StatementSync;
  #schema = -1n;
  #isClosed = false;

  /** @throws SQL_VERSION, SQL_EXTENSION, SQL_CORRUPT, SQL_MACHINE */
  static open(options: ReaderOptions): Reader {
    try {
      return new Reader(options);
    } catch (error) {
      throw isSqliteError(error) ? machineError(error, "open a reader") : error;
    }
  }

  private constructor(options: ReaderOptions) {
    const { path, extensionPath, foreignKeys = false } = options;
    this.#options = options;
    this.#connection = new Connection({ path, extensionPath, foreignKeys, isReader: true });
    const own = (sql: string): StatementSync => this.#connection.own(sql);
    this.#begin = own("BEGIN");
    this.#commit = own("COMMIT");
    this.#rollback = own("ROLLBACK");
    this.#schemaVersion = own("PRAGMA schema_version");
    this.#deadline = own("SELECT pumice_deadline(?)");
    this.#stop = own("SELECT pumice_stop()");
    this.interruptHandle = Number(own("SELECT pumice_handle()").get()?.[0] ?? -1);
  }

  /** Runs the requests in one read transaction, begun after the call. `done` is called for each, in order. @throws SQL_CLOSED */
  readMany(requests: readonly SqlRead[], done: (position: number, result: SqlReadResult) => void): void {
    this.#assertOpen();
    try {
      // A deadline belongs to one read: BEGIN and COMMIT have none.
      this.#setDeadline(0);
      this.#begin.run();
      this.#checkSchema();
    } catch (error) {
      this.#endTransaction();
      if (!isSqliteError(error)) throw error;
      for (let i = 0; i < requests.length; i++) done(i, { results: "", error: error.message });
      return;
    }
    try {
      for (let i = 0; i < requests.length; i++) done(i, this.#readOne(requests[i] as SqlRead));
    } finally {
      this.#endTransaction();
    }
  }

  /** SQLite repeats errors of virtual tables at the end of their transaction: they have been told, and a rollback has none. */
  #endTransaction(): void {
    this.#setDeadline(0);
    if (!this.#connection.isTransaction) return;
    try {
      this.#commit.run();
    } catch (error) {
      if (!isSqliteError(error)) throw error;
      this.#setDeadline(0);
      if (this.#connection.isTransaction) this.#rollback.run();
    }
  }

  /** A statement that is kept goes on counting its steps, so that the deadline of the read before may interrupt even this one: once. */
  #setDeadline(ms: number): void {
    try {
      this.#deadline.get(ms);
    } catch (error) {
      if (!isSqliteError(error) || !isInterrupt(error)) throw error;
      this.#deadline.get(ms);
    }
  }

  /** Pins the snapshot. Columns of prepared statements are those of the schema that they were prepared with. */
  #checkSchema(): void {
    const version = this.#schemaVersion.get()?.[0];
    if (version === this.#schema) return;
    this.#schema = version as bigint;
    this.#connection.forgetStatements();
  }

  #readOne(request: SqlRead): SqlReadResult {
    const { deadlineMs = 0, resultBytesMax = RESULT_BYTES_DEFAULT } = request;
    if (request.unlessWrite === true && this.#writes(request.statements)) return { results: "", writes: true };
    const run: Run = { request, format: fillFormat(request.format), out: new TextBuffer(resultBytesMax) };
    this.#setDeadline(deadlineMs);
    this.#wasInterrupted = false;
    try {
      for (const { sql, params } of request.statements) {
        const isGood = this.#readText(run, sql, params ?? []);
        if (!isGood && request.transaction === true) break;
      }
      const results = run.out.finish();
      if (this.#wasInterrupted) return { results, interrupted: true };
      return this.#isSimple(request) ? { results, isSimple: true } : { results };
    } catch (error) {
      if (error instanceof RequestRefused) return { results: "", error: error.message };
      if (error instanceof TextTooLong) return { results: readErrorJson(TOO_LARGE_TEXT, run.format) };
      throw error;
    }
  }

  /** True if the request is one simple statement that was seen before. */
  #isSimple({ statements, timings }: SqlRead): boolean {
    const [only] = statements;
    if (only === undefined || statements.length !== 1 || timings === true || !isSingle(only.sql)) return false;
    const prepared = this.#connection.known(only.sql);
    if (prepared?.simplicity === "unknown") prepared.simplicity = this.#findSimplicity(prepared);
    if (prepared?.simplicity === "new") prepared.simplicity = "unknown";
    return prepared?.simplicity === "simple";
  }

  #findSimplicity({ sql, isExplain, columns }: Prepared): "simple" | "not simple" {
    if (isExplain || columns.length === 0) return "not simple";
    try {
      return isSimpleRead(this.#connection, sql) ? "simple" : "not simple";
    } catch (error) {
      if (!isSqliteError(error)) throw error;
      return "not simple";
    }
  }

  /** True unless each statement only reads. */
  #writes(statements: readonly Statement[]): boolean {
    try {
      return statements.some(({ sql }) => {
        // Several in one text: the log decides, one after the other.
        if (!isSingle(sql)) return true;
        const prepared = this.#connection.prepare(sql, "read");
        return prepared !== undefined && !prepared.isReadOnly;
      });
    } catch (error) {
      if (isSqliteError(error)) return true;
      throw error;
    }
  }

  /** True if no statement of the text failed. Its result is that of its last statement, or of the one that failed. */
  #readText(run: Run, sql: string, params: readonly SqlParam[]): boolean {
    const before = run.out.mark();
    return runPieces(sql, params, (piece) => this.#readPiece(run, piece, before));
  }

  /**
   * One statement. Its result or error takes the place of that of the statement before it in the same text, at `before`; what is no
   * statement leaves it there.
   */
  #readPiece(run: Run, { sql, params, start, isLast }: Piece, before: TextMark): PieceDone {
    const { out } = run;
    try {
      const prepared = this.#connection.prepare(sql, "read");
      if (prepared === undefined) return { paramCount: 0, length: sql.length };
      out.cutBack(before);
      if (!out.isEmpty) out.add(",");
      if (!prepared.isReadOnly) return this.#fail(run, READ_ONLY_TEXT);
      const binding = bind(prepared, params, { start, isLast });
      if (binding.error !== undefined) return this.#fail(run, binding.error);
      return this.#readPrepared(run, prepared, binding.params) ? prepared : undefined;
    } catch (error) {
      const text = this.#explain(error);
      if (text === undefined) throw error;
      out.cutBack(before);
      if (!out.isEmpty) out.add(",");
      return this.#fail(run, text);
    }
  }

  #fail(run: Run, text: string): undefined {
    run.out.add(readErrorJson(text, run.format));
  }

  #readPrepared(run: Run, prepared: Prepared, params: BoundParams): boolean {
    const { out, format, request } = run;
    const started = request.timings === true ? this.#options.monotonic() : 0;
    const seconds = request.timings === true ? (): number => (this.#options.monotonic() - started) / 1000 : undefined;
    let isGood = true;
    this.#connection.running("read", () => {
      if (prepared.columns.length === 0) {
        prepared.statement.run(...params);
        out.add("{}");
        return;
      }
      const rows = this.#connection.rows(prepared, params);
      writeRows(out, rows, { columns: prepared.columns, format, seconds }, (error) => {
        isGood = false;
        // From here on the statements are ours.
        this.#connection.authorizer.mode = "own";
        return this.#explain(error);
      });
    });
    return isGood;
  }

  /** The text of an error that is a result; undefined for any other. @throws RequestRefused */
  #explain(error: unknown): string | undefined {
    if (isTooLong(error)) return TOO_LARGE_TEXT;
    if (!isSqliteError(error)) return undefined;
    if (isInterrupt(error)) {
      if (this.#stop.get()?.[0] === STOP_DEADLINE) return TIMEOUT_TEXT;
      this.#wasInterrupted = true;
      return INTERRUPTED_TEXT;
    }
    const { refusal } = this.#connection.authorizer;
    if (refusal?.scope === "request") throw new RequestRefused(refusal.text);
    return refusal?.text ?? error.message;
  }

  /** Writes a whole, standalone copy of the database to `target`, which must not exist. @throws SQL_BACKUP */
  backup(target: string, options: BackupOptions): void {
    this.#assertOpen();
    const { path, extensionPath, files } = this.#options;
    writeBackup({ path, extensionPath, files, target, options });
  }

  /** The database as SQL text, in pieces, of one snapshot. On a connection of its own, so that reads go on between the pieces. */
  dump(options: DumpOptions): Generator<string, void, undefined> {
    this.#assertOpen();
    const { path, extensionPath } = this.#options;
    return dumpText({ path, extensionPath, options });
  }

  status(walBytes: number): SqliteStatus {
    this.#assertOpen();
    return readStatus(this.#connection, walBytes);
  }

  /** Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#connection.close();
  }

  #assertOpen(): void {
    if (this.#isClosed) throw new PumiceError("SQL_CLOSED");
  }
}

/** Interrupts reads that run on other threads of this process. */
export class InterruptSwitch {
  readonly #database: DatabaseSync;
  readonly #interrupt: StatementSync;

  /** @throws SQL_EXTENSION */
  constructor(extensionPath: string) {
    loadExtension(extensionPath);
    this.#database = new DatabaseSync(":memory:", { allowExtension: true });
    this.#database.loadExtension(extensionPath);
    this.#interrupt = this.#database.prepare("SELECT pumice_interrupt(?)");
  }

  /** Interrupts what runs on the reader of that handle, within about a thousand VM steps. Nothing happens if nothing runs. */
  interrupt(handle: number): void {
    this.#interrupt.get(handle);
  }

  close(): void {
    this.#database.close();
  }
}
