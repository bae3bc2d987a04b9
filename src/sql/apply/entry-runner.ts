/**
 * Runs the statements of one entry inside a transaction that the state machine has opened, perhaps with other entries in it.
 *
 * An entry's outcome never depends on its batch:
 *
 * 1. Time, seed, counters and budget begin anew with `pumice_enter`.
 * 2. Without the transaction flag a statement is a unit. SQLite undoes a statement that fails; no savepoint of ours is needed for that.
 *    With foreign keys a statement stands in a savepoint, because a deferred violation must fail it and shows only after it.
 * 3. With the flag all statements are one unit, in a savepoint.
 * 4. SQLite plans by statistics that it read when the schema was loaded; a rollback or a write to their table does not make it read them
 *    again. So what touches them is applied alone, and the connection is opened anew after it (`mustReopen`).
 *    So is what touches the memory of full-text modules beyond a rollback: their settings, and a rollback of writes to them.
 * 5. What cannot be undone inside a shared transaction ends it: `Broken` is thrown and the entry is applied alone (StateMachine).
 */
import type { StatementSync } from "node:sqlite";
import { assert } from "../../base/mod.ts";
import { isBlankSql } from "../command/blank.ts";
import { STATE_TABLE } from "../connection/state-schema.ts";
import { type FilledFormat, fillFormat } from "../result/columns.ts";
import type { SqlCommand, SqlParam } from "../command/command.ts";
import { STEPS_MIN } from "../command/command.ts";
import type { Connection } from "../connection/connection.ts";
import { bind, type BoundParams } from "../connection/params.ts";
import { findMadeUpName, MADE_UP_FROM, madeUpText } from "../result/made-up-names.ts";
import { errorJson, execJson, writeRows } from "../result/json.ts";
import type { EntryResult } from "../result/results.ts";
import { type Piece, type PieceDone, runPieces } from "../connection/split.ts";
import { isInterrupt, isSqliteError, isVacuumInTransaction, machineError, type SqliteError, verdictOf } from "../connection/errors.ts";
import { isSameMark, isTooLong, TextBuffer, type TextMark, TextTooLong } from "../result/text.ts";
import type { AuthorizerMode } from "../connection/policy.ts";
import type { Prepared } from "../connection/prepared.ts";

/** Result text of one entry at most. FROZEN: it decides stored outcomes. */
const RESULT_BYTES_MAX = 256 * 1024 * 1024;

/** Bits of pumice_flags(). */
const FLAG_DEFERRED_FK = 1;
const FLAG_ROWID_MAX = 2;

const FK_TEXT = "FOREIGN KEY constraint failed";
const ROWID_TEXT = "rowid 9223372036854775807 is not allowed: SQLite would choose the following ones at random";
/** rqlite's text. */
export const TIMEOUT_TEXT = "execute timeout";
const TOO_LONG_TEXT = "results are too large";

/**
 * Why an entry cannot go on in this transaction. `ended`: statement `unit` failed with `text` and took the transaction with it, or has to.
 * `interrupted`: the budget is spent. `refused`: the whole request is an error. `vacuum`: it is a VACUUM. `alone`: it must not share its transaction. `fresh`: it needs a connection
 * without a past.
 * `foreign-keys-off`: a script wants them off, which SQLite does only outside of a transaction. `doubtful`: the error of `unit` may be this machine's.
 * `undone`: all of the entry is to be undone, and this is its result.
 */
export type BrokenReason =
  | { readonly kind: "ended"; readonly unit: number; readonly text: string }
  | { readonly kind: "interrupted"; readonly unit: number }
  | { readonly kind: "refused"; readonly text: string }
  | { readonly kind: "vacuum"; readonly unit: number }
  | { readonly kind: "alone" }
  | { readonly kind: "fresh" }
  | { readonly kind: "foreign-keys-off" }
  | { readonly kind: "doubtful"; readonly unit: number; readonly error: SqliteError }
  | { readonly kind: "undone"; readonly result: EntryResult };

/** Thrown out of an entry that cannot go on in this transaction. */
export class Broken extends Error {
  override readonly name = "Broken";
  readonly reason: BrokenReason;

  constructor(reason: BrokenReason) {
    super(reason.kind);
    this.reason = reason;
  }
}

/** How an entry is run. */
export interface RunControl {
  /** False: the entry shares its transaction, and runs with half its budget. */
  readonly isAlone: boolean;
  /** The connection was opened for this entry. */
  readonly isFresh: boolean;
  /** The VM steps that are granted. */
  readonly steps: number;
  /** Units that are known to end the transaction, with their error: not run again. */
  readonly failed: ReadonlyMap<number, string>;
  /** Gets the errors of the units that fail. */
  readonly errors: Map<number, string>;
  /** Foreign keys are off while the entry runs, and checked as a whole at its end. */
  readonly isUnchecked: boolean;
  /** The first unit for which the budget does not suffice: it and those after it are not run. */
  readonly spentAt: number;
}

/** What is to be told of an entry. */
export interface RunWanted {
  readonly text: boolean;
  readonly timings: boolean;
}

/** The steps granted to an entry. */
export function grantedSteps(command: { readonly steps: number }): number {
  return Math.max(command.steps, STEPS_MIN);
}

interface RunState {
  readonly command: SqlCommand;
  readonly control: RunControl;
  readonly wanted: RunWanted;
  readonly format: FilledFormat;
  readonly out: TextBuffer;
  readonly mode: AuthorizerMode;
  unit: number;
  /** The last unit that wrote a virtual table. */
  lastVirtualUnit: number | undefined;
  /** The unit of the entry is the entry: transaction or script. */
  readonly isOneUnit: boolean;
}

/** Runs entries on one connection. */
export class EntryRunner {
  readonly #connection: Connection;
  readonly #foreignKeys: boolean;
  readonly #monotonic: () => number;
  readonly #enter: StatementSync;
  readonly #leave: StatementSync;
  readonly #flags: StatementSync;
  readonly #diskFull: StatementSync;
  readonly #savepoint: StatementSync;
  readonly #release: StatementSync;
  readonly #rollbackTo: StatementSync;

  constructor(connection: Connection, options: { readonly foreignKeys: boolean; readonly monotonic: () => number }) {
    this.#connection = connection;
    this.#foreignKeys = options.foreignKeys;
    this.#monotonic = options.monotonic;
    this.#enter = connection.own(`DELETE FROM ${STATE_TABLE} WHERE k = pumice_enter(?, ?, ?)`);
    this.#leave = connection.own("SELECT pumice_leave()");
    this.#flags = connection.own("SELECT pumice_flags(?)");
    this.#diskFull = connection.own("SELECT pumice_disk_full()");
    this.#savepoint = connection.own("SAVEPOINT pumice_unit");
    this.#release = connection.own("RELEASE pumice_unit");
    this.#rollbackTo = connection.own("ROLLBACK TO pumice_unit");
  }

  /** What was run leaves the connection with a memory that a new one would not have. */
  mustReopen = false;
  /** Since `beginTransaction`: statistics were written. */
  wroteStatistics = false;
  /** Statements that wrote virtual tables since `beginTransaction`. */
  #virtualWrites = 0;

  /** The transaction begins, with this entry or with others before it. */
  beginTransaction(): void {
    this.#virtualWrites = 0;
    this.wroteStatistics = false;
    this.#connection.authorizer.wroteModuleSettings = false;
  }

  /** The transaction was rolled back. */
  rolledBack(): void {
    this.#flags.get(1);
    if (this.#virtualWrites > 0 || this.#connection.authorizer.wroteModuleSettings) this.mustReopen = true;
  }

  /** True if the disk was full since the last question or `clearDiskFull`. */
  readonly isDiskFull = (): boolean => this.#diskFull.get()?.[0] === 1n;

  /** Forgets that the disk was full: what met it has been dealt with. */
  clearDiskFull(): void {
    this.#diskFull.get();
  }

  /** Clears the thread's clock: no entry is under way. */
  leave(): void {
    this.#leave.get();
  }

  /** The outcome of the entry. @throws Broken, SQL_MACHINE, SQL_CORRUPT */
  run(command: SqlCommand, control: RunControl, wanted: RunWanted): EntryResult {
    const state: RunState = {
      command,
      control,
      wanted,
      format: fillFormat(command.format),
      out: new TextBuffer(RESULT_BYTES_MAX),
      mode: command.script === true ? "script" : "write",
      unit: 0,
      lastVirtualUnit: undefined,
      isOneUnit: command.transaction === true || command.script === true,
    };
    this.#enter.run(command.timeMs, BigInt.asIntN(64, command.seed), control.steps);
    const error = state.isOneUnit ? this.#runOneUnit(state) : this.#runEach(state);
    this.#flushVirtual(state);
    return resultOf(state, error);
  }

  /** FTS keeps what was written in memory and writes it out at the next savepoint: inside of the entry that wrote it, so that an error of it is that entry's. */
  #flushVirtual(state: RunState): void {
    const unit = state.lastVirtualUnit;
    if (unit === undefined) return;
    try {
      this.#savepoint.run();
      this.#release.run();
    } catch (error) {
      throw new Broken({ kind: "ended", unit, text: this.#explain(error, unit) });
    }
  }

  #runEach(state: RunState): undefined {
    for (const { sql, params } of state.command.statements) {
      this.#runSeparated(state, sql, params ?? []);
    }
  }

  /** All or nothing; a text if it is nothing although no statement failed. */
  #runOneUnit(state: RunState): string | undefined {
    const { isAlone } = state.control;
    const writesBefore = this.#virtualWrites;
    if (!isAlone) this.#savepoint.run();
    let isGood = true;
    for (const { sql, params } of state.command.statements) {
      isGood = this.#runSeparated(state, sql, params ?? []);
      if (!isGood) break;
    }
    if (isGood) this.#flushVirtual(state);
    const isPending = isGood && this.#foreignKeys && this.#violatesForeignKeys(state);
    const error = isPending ? FK_TEXT : undefined;
    if (!isGood || isPending) this.#undoUnit(state, { wroteVirtual: this.#virtualWrites > writesBefore, error });
    if (!isAlone) this.#release.run();
    return error;
  }

  #violatesForeignKeys(state: RunState): boolean {
    if (state.control.isUnchecked) return this.#connection.text("SELECT 1 FROM pragma_foreign_key_check LIMIT 1") !== "";
    return (this.#takeFlags(state) & FLAG_DEFERRED_FK) !== 0;
  }

  /**
   * Undoes all of an entry. Virtual tables remember some of what ROLLBACK TO undoes, and after it SQLite may refuse to commit: so an entry that wrote
   * one is applied alone, and undone by the end of its transaction.
   */
  #undoUnit(state: RunState, { wroteVirtual, error }: { readonly wroteVirtual: boolean; readonly error: string | undefined }): void {
    if (wroteVirtual) this.#needsNewConnection(state);
    if (state.control.isAlone) throw new Broken({ kind: "undone", result: resultOf(state, error) });
    this.#rollbackTo.run();
    this.#connection.forgetStatements();
  }

  #needsNewConnection(state: RunState): void {
    if (!state.control.isAlone) throw new Broken({ kind: "alone" });
    this.mustReopen = true;
  }

  /** One text, with a comma before its result if there is one already. Blank text has no result, and no comma. */
  #runSeparated(state: RunState, sql: string, params: readonly SqlParam[]): boolean {
    if (isBlankSql(sql)) return true;
    const { out } = state;
    const start = out.mark();
    if (!out.isEmpty) out.add(",");
    const empty = out.mark();
    const isGood = this.#runText(state, { sql, params, before: empty });
    // A text may look like a statement and be none: SQLite stops at a zero character.
    if (isSameMark(out.mark(), empty)) out.cutBack(start);
    return isGood;
  }

  /** One text: usually one statement. True if none failed. Its result is that of its last statement, or of the one that failed. */
  #runText(state: RunState, { sql, params, before }: TextToRun): boolean {
    return runPieces(sql, params, (piece) => this.#runPiece(state, piece, before));
  }

  /**
   * One statement. Its result or error takes the place of that of the statement before it in the same text, at `before`; what is no
   * statement leaves it there.
   */
  #runPiece(state: RunState, { sql, params, start, isLast }: Piece, before: TextMark): PieceDone {
    const unit = state.unit++;
    try {
      const { control } = state;
      const known = unit >= control.spentAt ? TIMEOUT_TEXT : control.failed.get(unit);
      if (known !== undefined) return this.#failPiece(state, known, before);
      const prepared = this.#connection.prepare(sql, state.mode);
      if (this.#foreignKeys && this.#connection.authorizer.wantsForeignKeysOff && !state.control.isUnchecked) {
        throw new Broken({ kind: "foreign-keys-off" });
      }
      if (prepared === undefined) return { paramCount: 0, length: sql.length };
      state.out.cutBack(before);
      const binding = bind(prepared, params, { start, isLast });
      if (binding.error !== undefined) return this.#fail(state, binding.error);
      return this.#runPrepared(state, unit, { prepared, params: binding.params }) ? prepared : undefined;
    } catch (error) {
      const text = this.#explain(error, unit);
      this.#checkModuleSettings(state);
      // Whether or not the row is still there: a shared transaction cannot tell, so an entry alone must not either.
      if ((this.#takeFlags(state) & FLAG_ROWID_MAX) !== 0) throw new Broken({ kind: "ended", unit, text: ROWID_TEXT });
      return this.#failPiece(state, text, before);
    }
  }

  #failPiece(state: RunState, text: string, before: TextMark): undefined {
    state.out.cutBack(before);
    this.#fail(state, text);
  }

  #checkModuleSettings(state: RunState): void {
    if (this.#connection.authorizer.wroteModuleSettings) this.#needsNewConnection(state);
  }

  #fail(state: RunState, text: string): undefined {
    state.control.errors.set(state.unit - 1, text);
    if (state.wanted.text) state.out.add(errorJson(text));
  }

  /** True if it succeeded. Errors of SQLite are thrown. */
  #runPrepared(state: RunState, unit: number, bound: BoundStatement): boolean {
    const { prepared } = bound;
    if (prepared.changesSchema && this.#connection.remembersColumns) {
      if (!state.control.isFresh) throw new Broken({ kind: "fresh" });
      this.mustReopen = true;
    }
    if (prepared.touchesStatistics) {
      this.#needsNewConnection(state);
      this.wroteStatistics = true;
    }
    if (prepared.columns.length > MADE_UP_FROM) this.#checkNames(columnNames(prepared), unit);
    if (prepared.writesVirtual) {
      this.#virtualWrites++;
      state.lastVirtualUnit = unit;
    }
    const isInSavepoint = this.#foreignKeys && !state.isOneUnit && !prepared.isReadOnly;
    if (isInSavepoint) this.#savepoint.run();
    const mark = isInSavepoint ? state.out.mark() : undefined;
    try {
      this.#step(state, bound);
    } catch (error) {
      if (isInSavepoint && this.#connection.isTransaction) this.#release.run();
      throw error;
    } finally {
      if (prepared.changesSchema) this.#connection.forgetStatements();
    }
    if (prepared.createdTable !== "") this.#checkNames(this.#connection.columnNames(prepared.createdTable), unit);
    this.#checkModuleSettings(state);
    if (!isInSavepoint && !state.control.isAlone) return true;
    const flags = this.#takeFlags(state);
    if ((flags & FLAG_ROWID_MAX) !== 0) throw new Broken({ kind: "ended", unit, text: ROWID_TEXT });
    if (!isInSavepoint) return true;
    const isPending = (flags & FLAG_DEFERRED_FK) !== 0;
    if (isPending) {
      // Virtual tables remember some of what ROLLBACK TO undoes.
      if (prepared.writesVirtual) throw new Broken({ kind: "ended", unit, text: FK_TEXT });
      this.#rollbackTo.run();
      this.#connection.forgetStatements();
      if (mark !== undefined) state.out.cutBack(mark);
      this.#fail(state, FK_TEXT);
    }
    this.#release.run();
    return !isPending;
  }

  /** @throws Broken if a name is one that SQLite draws by lot */
  #checkNames(names: readonly string[], unit: number): void {
    const name = findMadeUpName(names);
    if (name !== undefined) throw new Broken({ kind: "ended", unit, text: madeUpText(name) });
  }

  /** The flags. In a shared transaction the rowid's is left to the commit hook, which cannot tell whose row it was. */
  #takeFlags(state: RunState): number {
    const flags = Number(this.#flags.get(state.control.isAlone ? 1 : 0)?.[0]);
    return state.control.isAlone ? flags : flags & FLAG_DEFERRED_FK;
  }

  #step(state: RunState, { prepared, params }: BoundStatement): void {
    const { wanted, format, out, command, mode } = state;
    const started = wanted.timings ? this.#monotonic() : 0;
    const seconds = wanted.timings ? (): number => (this.#monotonic() - started) / 1000 : undefined;
    const isRead = command.kind === "request" && prepared.isReadOnly;
    if (prepared.columns.length === 0 || (prepared.isReadOnly && !isRead && !prepared.isExplain)) {
      const counts = this.#connection.run(prepared, params, mode);
      if (wanted.text) out.add(isRead ? "{}" : execJson(counts, format, seconds?.()));
      return;
    }
    this.#connection.running(mode, () => {
      // A read is stepped to its end whether or not its rows are wanted: an error may come late, and budgets count every step.
      const rows = this.#connection.rows(prepared, params);
      if (wanted.text) writeRows(out, rows, { columns: prepared.columns, format, seconds }, explainTooLong);
      else exhaust(rows);
    });
  }

  /** The text of an error that is a result. @throws what is none. */
  #explain(error: unknown, unit: number): string {
    if (!isSqliteError(error)) throw error;
    const verdict = verdictOf(error, this.isDiskFull);
    if (verdict === "machine") throw machineError(error, "apply");
    if (verdict !== "statement") throw new Broken({ kind: "doubtful", unit, error });
    if (isInterrupt(error)) throw new Broken({ kind: "interrupted", unit });
    if (isVacuumInTransaction(error)) throw new Broken({ kind: "vacuum", unit });
    const { refusal } = this.#connection.authorizer;
    if (refusal?.scope === "request") throw new Broken({ kind: "refused", text: refusal.text });
    const text = refusal?.text ?? errorText(error);
    if (!this.#connection.isTransaction) throw new Broken({ kind: "ended", unit, text });
    return text;
  }
}

interface TextToRun {
  readonly sql: string;
  readonly params: readonly SqlParam[];
  /** Where its results begin. */
  readonly before: TextMark;
}

interface BoundStatement {
  readonly prepared: Prepared;
  readonly params: BoundParams;
}

function columnNames(prepared: Prepared): string[] {
  return prepared.columns.map((column) => column.name);
}

/** SQLite's text, with what to do where SQLite's alone would not help. */
export function errorText(error: SqliteError): string {
  if (error.message === "local time unavailable")
    return "local time unavailable: writes know UTC only, because nodes may stand in different zones";
  return error.message;
}

function exhaust(rows: Iterable<unknown>): void {
  const iterator = rows[Symbol.iterator]();
  while (iterator.next().done !== true);
}

function explainTooLong(error: unknown): string | undefined {
  return isTooLong(error) ? TOO_LONG_TEXT : undefined;
}

/** What is told of the entry as far as it was run. */
function resultOf({ wanted, out }: RunState, error: string | undefined): EntryResult {
  if (error !== undefined) return { results: "", error };
  return wanted.text ? { results: finishText(out) } : { results: "" };
}

function finishText(out: TextBuffer): EntryResult["results"] {
  try {
    return out.finish();
  } catch (error) {
    assert(error instanceof TextTooLong, "only the limit ends a text");
    return errorJson(TOO_LONG_TEXT);
  }
}
