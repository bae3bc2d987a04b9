/**
 * The database as a deterministic state machine: the same entries give the same database and the same results, however they are
 * batched, on every replica and after every restart. Synchronous; lives on the apply thread.
 *
 * 1. All entries of a call are applied in one SQLite transaction, which also holds the applied index and term.
 * 2. If one of them cannot live in a shared transaction, the transaction is rolled back and each entry is applied alone.
 * 3. An error that only this machine got is thrown and never becomes a result; after it nothing more is applied. A full disk is the
 *    exception: what met it is rolled back, and may be tried again.
 */
import type { StatementSync } from "node:sqlite";
import { assert, AssertionError, type EntryId, type File, type FileSystem, isPumiceError, PumiceError } from "../../base/mod.ts";
import type { Command, LoadCommitCommand, RetiredCommand, SqlCommand } from "../command/command.ts";
import { decodeCommand } from "../command/codec.ts";
import { Connection } from "../connection/connection.ts";
import { isFaultOfMachine } from "./doubt.ts";
import {
  Broken,
  type BrokenReason,
  EntryRunner,
  errorText,
  grantedSteps,
  TIMEOUT_TEXT,
  type RunControl,
  type RunWanted,
} from "./entry-runner.ts";
import { replaceDatabase } from "./load.ts";
import { errorJson } from "../result/json.ts";
import type { EntryResult } from "../result/results.ts";
import { Sessions } from "./sessions.ts";
import { isSingle } from "../connection/split.ts";
import { fullError, isFull, isInterrupt, isSqliteError, machineError, type SqliteError, verdictOf } from "../connection/errors.ts";
import { StateTable } from "./state-table.ts";
import type { SqliteStatus } from "../connection/sqlite-status.ts";
import { readStatus } from "../connection/status.ts";
import { type ApplyEntry, kindOf } from "../command/entry.ts";
import type { DatabaseState } from "../result/database-state.ts";
import type { CheckpointMode, CheckpointResult } from "../result/checkpoint.ts";

/** What opens a database. */
export interface StateMachineOptions {
  /** The database file; created if absent. Its folder exists. */
  readonly path: string;
  /** The extension built by scripts/build-native.mjs. */
  readonly extensionPath: string;
  /** Default false, as rqlite. The same on every replica, always. */
  readonly foreignKeys?: boolean | undefined;
  /** Default true: an internal table of an older format is upgraded. False: it is left, and OldStateFormat is thrown. */
  readonly isUpgraded?: boolean | undefined;
  /** For the `-wal` file and for the staging file of a load, never for the database file. */
  readonly files: FileSystem;
  /** Milliseconds from base's Clock, for timings only. */
  readonly monotonic: () => number;
}

/** What became of entries. */
export interface ApplyOutcome {
  /** Of the first ones; of all of them unless `full` is set. */
  readonly results: EntryResult[];
  /** SQL_FULL: the others found no room, and are as if they had not been tried. */
  readonly full: PumiceError | undefined;
}

/** Everything that belongs to one open apply connection. */
interface Open {
  readonly connection: Connection;
  readonly table: StateTable;
  readonly sessions: Sessions;
  readonly runner: EntryRunner;
  readonly begin: StatementSync;
  readonly commit: StatementSync;
  readonly walFrames: StatementSync;
}

/** What is known of an entry that is applied alone, from its earlier tries. */
interface Attempt {
  readonly failed: Map<number, string>;
  /** Errors of the last try. */
  readonly errors: Map<number, string>;
  spentAt: number;
  /** Decided on a connection just opened. */
  isFresh: boolean;
  isUnchecked: boolean;
}

/** SQLite refuses to commit what an entry has done, or fails in a statement of ours between two of its statements. */
interface Uncommittable {
  readonly kind: "uncommittable";
  readonly error: SqliteError;
}

type AnyCommand = Command | RetiredCommand;

const NO_SKIPS: ReadonlyMap<number, string> = new Map();
const noErrors = (): Map<number, string> => new Map();
const NOTHING: EntryResult = { results: "" };
/** The error of a VACUUM that does not stand alone: sent again alone it may run. */
export const VACUUM_ALONE_TEXT = "VACUUM must be the only statement of its request, without the transaction flag";

/** The state machine of one database file. */
export class StateMachine {
  readonly #options: StateMachineOptions;
  #open: Open;
  #applied: EntryId;
  #durableIndex = 0;
  #failure: PumiceError | undefined;
  #isClosed = false;
  #wal: File | undefined;

  /** @throws OldStateFormat, SQL_VERSION, SQL_EXTENSION, SQL_STATE, SQL_CORRUPT, SQL_MACHINE */
  static open(options: StateMachineOptions): StateMachine {
    return new StateMachine(options);
  }

  private constructor(options: StateMachineOptions) {
    this.#options = options;
    this.#open = openConnection(options);
    this.#applied = this.#open.table.applied();
  }

  /** The last entry that the file holds. */
  get applied(): EntryId {
    return this.#applied;
  }

  /** What the database holds besides its rows. */
  state(): DatabaseState {
    const { table } = this.#open;
    return { applied: this.#applied, members: table.members(), node: table.node() };
  }

  /** Stores who this node is, in a transaction of its own. @throws SQL_MACHINE, SQL_CORRUPT, SQL_FULL */
  identify(node: Uint8Array): void {
    this.#assertUsable();
    try {
      this.#open.table.setNode(node);
    } catch (error) {
      throw this.#fail(error, "identify");
    }
  }

  /** All of `entries`, as `applySome` does. @throws SQL_FULL if not all found room, and what `applySome` throws */
  apply(entries: readonly ApplyEntry[]): EntryResult[] {
    const { results, full } = this.applySome(entries);
    if (full !== undefined) throw full;
    return results;
  }

  /**
   * Applies committed entries, in the order of their indexes, each exactly once, while the disk has room.
   * @throws SQL_MACHINE, SQL_CORRUPT (stop the node), SQL_COMMAND_FORMAT, SQL_ORDER, SQL_CLOSED
   */
  applySome(entries: readonly ApplyEntry[]): ApplyOutcome {
    this.#assertUsable();
    this.#checkOrder(entries);
    let results: EntryResult[] = [];
    if (entries.length === 0) return { results, full: undefined };
    try {
      const together = this.#applyTogether(entries);
      if (together !== undefined) results = together;
      else for (const entry of entries) results.push(this.#applyAlone(entry));
      return { results, full: undefined };
    } catch (error) {
      if (!isFull(error)) throw this.#fail(error, "apply");
      this.#undoFull();
      return { results, full: fullError(error, "apply") };
    }
  }

  /** Nothing of the transaction under way has happened. */
  #undoFull(): void {
    try {
      this.#open.runner.leave();
      this.#rollback();
      this.#open.runner.clearDiskFull();
      // A script may have had them switched off, which is undone only outside of a transaction.
      this.#open.connection.exec(`PRAGMA foreign_keys = ${this.#options.foreignKeys === true ? "ON" : "OFF"}`);
    } catch (error) {
      throw this.#fail(error, "roll back");
    }
  }

  #checkOrder(entries: readonly ApplyEntry[]): void {
    let { index, term } = this.#applied;
    for (const entry of entries) {
      if (entry.index !== index + 1 || entry.term < term) {
        throw new PumiceError("SQL_ORDER", { applied: index, appliedTerm: term, index: entry.index, term: entry.term });
      }
      ({ index, term } = entry);
    }
  }

  /** All in one transaction; undefined, with nothing applied, if they have to be applied one by one. */
  #applyTogether(entries: readonly ApplyEntry[]): EntryResult[] | undefined {
    const { table, sessions, runner, begin, commit } = this.#open;
    const results: EntryResult[] = [];
    begin.run();
    runner.beginTransaction();
    try {
      for (const entry of entries) results.push(this.#runShared(entry));
      const last = entries[entries.length - 1] as ApplyEntry;
      runner.leave();
      table.setApplied(last);
      commit.run();
      sessions.commit();
      this.#applied = { index: last.index, term: last.term };
      return results;
    } catch (error) {
      runner.leave();
      if (!(error instanceof Broken) && !this.#isEntrys(error)) throw error;
      this.#rollback();
      return undefined;
    }
  }

  /** True if an entry may have caused the error of a statement of ours: of COMMIT, or of a savepoint. */
  #isEntrys(error: unknown): error is SqliteError {
    return isSqliteError(error) && verdictOf(error, this.#open.runner.isDiskFull) !== "machine";
  }

  #runShared(entry: ApplyEntry): EntryResult {
    switch (kindOf(entry)) {
      case "nothing":
        return NOTHING;
      case "membership":
        this.#open.table.setMembers(entry.index, entry.data);
        return NOTHING;
      case "command":
        break;
    }
    return this.#runCommand(entry, decodeCommand(entry.data));
  }

  #runCommand(entry: ApplyEntry, command: AnyCommand): EntryResult {
    // Half of the budget: what needs more is decided by applyAlone, on a connection without a past.
    if (isSql(command))
      return this.#runSql(entry, command, {
        isAlone: false,
        isFresh: false,
        steps: grantedSteps(command) / 2,
        failed: NO_SKIPS,
        errors: noErrors(),
        spentAt: Infinity,
        isUnchecked: false,
      });
    if (command.kind === "retired") return NOTHING;
    // It replaces the database in a transaction of its own.
    if (command.kind === "load-commit") throw new Broken({ kind: "vacuum", unit: 0 });
    if (command.kind === "load-chunk") this.#open.table.putChunk(command.load, command.number, command.bytes);
    else this.#open.table.deleteChunks(command.load);
    return NOTHING;
  }

  #runSql(entry: ApplyEntry, command: SqlCommand, control: RunControl): EntryResult {
    const { sessions, runner } = this.#open;
    const { requestId } = command;
    const known = requestId === undefined ? undefined : sessions.known(requestId);
    if (known !== undefined) return known;
    const wanted = wantedOf(entry, command);
    const result = runner.run(command, control, wanted);
    if (requestId !== undefined) sessions.remember(requestId, entry.index, result);
    return result;
  }

  #rollback(): void {
    const { connection, sessions, runner } = this.#open;
    if (connection.isTransaction) connection.exec("ROLLBACK");
    connection.forgetStatements();
    sessions.rollback();
    runner.rolledBack();
    if (runner.mustReopen) this.#reopen();
  }

  /**
   * One entry in a transaction of its own. A statement that ends the transaction is noted with its error, and the entry is run again
   * from its beginning without it, until every statement is either done or noted. The last run is what counts.
   *
   * The budget: steps are not counted alike on a connection with a past (the schema is loaded already, FTS5 has read its settings,
   * statements are prepared), so such a connection only lets an entry pass that needs less than half. Any other is decided on a
   * connection just opened, where the count is the same everywhere. Before that, what was noted is forgotten, so that what happens
   * there depends on the entry and the database alone.
   */
  #applyAlone(entry: ApplyEntry): EntryResult {
    // In a transaction of its own as well.
    if (kindOf(entry) !== "command") return this.#finishAlone(entry, () => this.#runShared(entry));
    const command = decodeCommand(entry.data);
    if (command.kind === "load-commit") return this.#load(entry, command);
    const attempt: Attempt = { failed: new Map(), errors: noErrors(), spentAt: Infinity, isFresh: false, isUnchecked: false };
    for (;;) {
      const tried = this.#tryAlone(entry, command, attempt);
      if (tried.kind === "done") return tried.result;
      const { reason } = tried;
      switch (reason.kind) {
        case "refused":
          return this.#finishAlone(entry, this.#remembered(entry, command, { results: "", error: reason.text }));
        case "vacuum":
          if (isOnlyStatement(command)) return this.#vacuum(entry, command);
          attempt.failed.set(reason.unit, VACUUM_ALONE_TEXT);
          break;
        case "ended":
          attempt.failed.set(reason.unit, reason.text);
          break;
        case "interrupted":
          if (attempt.isFresh) attempt.spentAt = reason.unit;
          else becomeFresh(attempt);
          break;
        case "fresh":
          becomeFresh(attempt);
          break;
        case "doubtful":
          if (attempt.isFresh) attempt.failed.set(reason.unit, this.#resultText(reason.error));
          else becomeFresh(attempt);
          break;
        case "undone":
          return this.#finishAlone(entry, this.#remembered(entry, command, reason.result));
        case "uncommittable": {
          const isKnown = [...attempt.errors.keys()].every((unit) => attempt.failed.has(unit));
          if (attempt.isFresh && isKnown) {
            const error = isInterrupt(reason.error) ? TIMEOUT_TEXT : this.#resultText(reason.error);
            return this.#finishAlone(entry, this.#remembered(entry, command, { results: "", error }));
          }
          // A statement that failed may have left SQLite unable to commit: without it the others may be.
          if (attempt.isFresh) for (const [unit, text] of attempt.errors) attempt.failed.set(unit, text);
          else becomeFresh(attempt);
          break;
        }
        case "foreign-keys-off":
          attempt.isUnchecked = true;
          break;
        case "alone":
          throw new AssertionError("the reason alone cannot occur in applyAlone");
      }
    }
  }

  #tryAlone(
    entry: ApplyEntry,
    command: AnyCommand,
    attempt: Attempt,
  ): { kind: "done"; result: EntryResult } | { kind: "broken"; reason: BrokenReason | Uncommittable } {
    attempt.errors.clear();
    if (attempt.isFresh) this.#reopen();
    const { connection, begin, runner } = this.#open;
    if (attempt.isUnchecked) connection.exec("PRAGMA foreign_keys = OFF");
    begin.run();
    runner.beginTransaction();
    try {
      const steps = attempt.isFresh ? grantedSteps(command) : grantedSteps(command) / 2;
      const result = isSql(command) ? this.#runSql(entry, command, { ...attempt, isAlone: true, steps }) : this.#runShared(entry);
      runner.leave();
      return { kind: "done", result: this.#commitAlone(entry, result) };
    } catch (error) {
      runner.leave();
      const reason =
        error instanceof Broken ? error.reason : this.#isEntrys(error) ? ({ kind: "uncommittable", error } as const) : undefined;
      if (reason === undefined) throw error;
      this.#rollback();
      return { kind: "broken", reason };
    } finally {
      if (attempt.isUnchecked && this.#open.connection === connection) connection.exec("PRAGMA foreign_keys = ON");
    }
  }

  /** Commits the transaction under way with the applied index. */
  #commitAlone(entry: ApplyEntry, result: EntryResult): EntryResult {
    const { connection, table, sessions, runner, commit } = this.#open;
    table.setApplied(entry);
    // Other connections read statistics with the schema only.
    if (runner.wroteStatistics) connection.renewSchema();
    commit.run();
    sessions.commit();
    this.#applied = { index: entry.index, term: entry.term };
    if (this.#open.runner.mustReopen) this.#reopen();
    return result;
  }

  #finishAlone(entry: ApplyEntry, result: EntryResult | (() => EntryResult)): EntryResult {
    this.#open.begin.run();
    return this.#commitAlone(entry, typeof result === "function" ? result() : result);
  }

  /** The result, stored under its request id when it is asked for, in the transaction under way then. */
  #remembered(entry: ApplyEntry, command: AnyCommand, result: EntryResult): () => EntryResult {
    return () => {
      if (isSql(command) && command.requestId !== undefined) this.#open.sessions.remember(command.requestId, entry.index, result);
      return result;
    };
  }

  /**
   * VACUUM runs in no transaction. It is harmless when a crash before the applied index makes it run again: what it does to the file is
   * a function of the rows. It needs no budget: it ends by itself.
   */
  #vacuum(entry: ApplyEntry, command: SqlCommand): EntryResult {
    const { connection, runner } = this.#open;
    const sql = command.statements[0]?.sql ?? "";
    let result: EntryResult = { results: "{}" };
    try {
      const prepared = connection.prepare(sql, "write");
      if (prepared !== undefined) connection.running("vacuum", () => prepared.statement.run());
    } catch (error) {
      if (!isSqliteError(error) || verdictOf(error, runner.isDiskFull) === "machine") throw error;
      result = { results: errorJson(connection.authorizer.refusal?.text ?? this.#resultText(error)) };
    }
    connection.forgetStatements();
    return this.#finishAlone(entry, this.#remembered(entry, command, result));
  }

  #load(entry: ApplyEntry, command: LoadCommitCommand): EntryResult {
    const { table, sessions } = this.#open;
    const { path, extensionPath, files } = this.#options;
    const error = replaceDatabase({ path, extensionPath, files, table, sessions, entry, command });
    if (error === undefined) {
      this.#reopen();
      this.#applied = this.#open.table.applied();
      assert(this.#applied.index === entry.index, "a loaded database holds the index of its entry");
      return { results: "" };
    }
    return this.#finishAlone(entry, () => {
      this.#open.table.deleteChunks(command.load);
      return { results: "", error };
    });
  }

  /** The text of an error that may have been this machine's and is not. @throws SQL_CORRUPT, SQL_MACHINE if it is */
  #resultText(error: SqliteError): string {
    const { path, extensionPath } = this.#options;
    if (isFaultOfMachine(error, { path, extensionPath })) throw machineError(error, "apply");
    return errorText(error);
  }

  #reopen(): void {
    this.#open.connection.close();
    this.#open = openConnection(this.#options);
  }

  /**
   * Moves frames of the WAL into the main file as far as readers and the disk allow; waits for nobody. Only between two calls of `apply`.
   * @throws SQL_MACHINE, SQL_CORRUPT
   */
  checkpoint(mode: CheckpointMode): CheckpointResult {
    this.#assertUsable();
    try {
      const row = this.#checkpoint(mode);
      this.#makeDurable(row);
      return { ...row, full: undefined, durableIndex: this.#durableIndex };
    } catch (error) {
      // Of the WAL itself nothing is written here: only the main file can have met a full disk.
      if (!isSqliteError(error) || !isFull(error)) throw this.#fail(error, "checkpoint");
      this.#open.runner.clearDiskFull();
      const full = fullError(error, "checkpoint");
      return { busy: true, full, logFrames: 0, checkpointedFrames: 0, durableIndex: this.#durableIndex };
    }
  }

  #checkpoint(mode: CheckpointMode): CheckpointRow {
    const { connection } = this.#open;
    connection.exec("PRAGMA busy_timeout = 0");
    try {
      const row = checkpointRow(connection, "PASSIVE");
      const isWhole = row.logFrames === row.checkpointedFrames;
      if (mode === "passive" || !isWhole) return row;
      const last = checkpointRow(connection, mode);
      if (!last.busy) this.#open.walFrames.get(1);
      return last;
    } finally {
      connection.exec(`PRAGMA busy_timeout = ${LOCK_TIMEOUT_MS}`);
    }
  }

  /** A whole checkpoint has synced the main file. After a partial one the WAL itself is synced: either way all entries are safe. */
  #makeDurable(row: { readonly logFrames: number; readonly checkpointedFrames: number }): void {
    if (row.logFrames !== row.checkpointedFrames) this.#walFile()?.datasync();
    this.#durableIndex = this.#applied.index;
  }

  /** Bytes of the WAL that are in use. Its file may be longer, from before it was begun anew. */
  walBytes(): number {
    const frames = Number(this.#open.walFrames.get(0)?.[0]);
    return frames < 0 ? (this.#walFile()?.size() ?? 0) : frames * WAL_FRAME_BYTES;
  }

  /** Kept open: it is never replaced while a connection is open. Closing it drops no lock of SQLite's, as closing the main file would. */
  #walFile(): File | undefined {
    const path = `${this.#options.path}-wal`;
    if (this.#wal === undefined && this.#options.files.exists(path)) this.#wal = this.#options.files.open(path, "write");
    return this.#wal;
  }

  /** What `/status` shows of this connection. */
  status(): SqliteStatus {
    this.#assertUsable();
    return readStatus(this.#open.connection, this.walBytes());
  }

  /**
   * Ends cleanly: the main file alone then holds everything, unless another connection reads or the disk is full; the WAL has the rest then. Idempotent.
   */
  finish(): void {
    if (!this.#isClosed && this.#failure === undefined) {
      try {
        this.checkpoint("truncate");
      } catch (error) {
        // Nothing is lost: the WAL and the log hold what the main file lacks, and the next start says what is wrong with it.
        if (!isPumiceError(error)) throw error;
      }
    }
    this.close();
  }

  /** Idempotent. Makes no checkpoint. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#wal?.close();
    this.#open.connection.close();
  }

  #assertUsable(): void {
    if (this.#isClosed) throw new PumiceError("SQL_CLOSED");
    if (this.#failure !== undefined) throw this.#failure;
  }

  #fail(error: unknown, where: string): unknown {
    if (!isSqliteError(error) && !isPumiceError(error)) return error;
    this.#failure = machineError(error, where);
    return this.#failure;
  }
}

/** From here on on connections just opened. What was noted before is forgotten, so that what happens depends on the entry and the database alone. */
function becomeFresh(attempt: Attempt): void {
  attempt.failed.clear();
  attempt.isFresh = true;
}

/** Milliseconds that the writer waits for the lock of a foreign process before it gives up. */
const LOCK_TIMEOUT_MS = 5000;

/** A page and its header. */
const WAL_FRAME_BYTES = 4096 + 24;

function openConnection(options: StateMachineOptions): Open {
  const { path, extensionPath, foreignKeys = false, monotonic } = options;
  let connection: Connection | undefined;
  try {
    connection = new Connection({ path, extensionPath, foreignKeys, isReader: false });
    const mode = connection.text("PRAGMA journal_mode = WAL");
    if (mode !== "wal") throw new PumiceError("SQL_MACHINE", { where: "open", journalMode: mode });
    connection.exec(`PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0; PRAGMA busy_timeout = ${LOCK_TIMEOUT_MS}`);
    connection.text("SELECT pumice_watch_wal()");
    const table = new StateTable(connection, options.isUpgraded);
    const runner = new EntryRunner(connection, { foreignKeys, monotonic });
    // Loads the schema: outside of every budget.
    connection.text("SELECT count(*) FROM sqlite_schema");
    return {
      connection,
      table,
      sessions: new Sessions(table),
      runner,
      begin: connection.own("BEGIN IMMEDIATE"),
      commit: connection.own("COMMIT"),
      walFrames: connection.own("SELECT pumice_wal_frames(?)"),
    };
  } catch (error) {
    connection?.close();
    throw isSqliteError(error) ? machineError(error, "open") : error;
  }
}

type CheckpointRow = Pick<CheckpointResult, "busy" | "logFrames" | "checkpointedFrames">;

function checkpointRow(connection: Connection, mode: string): CheckpointRow {
  const row = connection.own(`PRAGMA wal_checkpoint(${mode})`).get();
  const logFrames = Number(row?.[1]);
  const checkpointedFrames = Number(row?.[2]);
  return { busy: row?.[0] !== 0n || logFrames !== checkpointedFrames, logFrames, checkpointedFrames };
}

/** An outcome that is stored carries no timings: they differ between replicas. */
function wantedOf(entry: ApplyEntry, command: SqlCommand): RunWanted {
  const isStored = command.requestId !== undefined;
  return { text: isStored || entry.want !== undefined, timings: !isStored && entry.want?.timings === true };
}

function isSql(command: AnyCommand): command is SqlCommand {
  return command.kind === "execute" || command.kind === "request";
}

function isOnlyStatement(command: AnyCommand): command is SqlCommand {
  if (!isSql(command) || command.transaction === true || command.script === true) return false;
  const [only, ...others] = command.statements;
  return only !== undefined && others.length === 0 && isSingle(only.sql);
}
