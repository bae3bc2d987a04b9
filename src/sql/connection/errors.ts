/**
 * Errors of SQLite, told apart: those that every replica gets are results; those that only this machine gets stop the node, because a
 * result of theirs would make this replica differ from the others.
 */
import { isPumiceError, PumiceError } from "../../base/mod.ts";

/** An error thrown by node:sqlite that carries SQLite's extended result code. */
export interface SqliteError extends Error {
  readonly errcode: number;
}

/** SQLite's primary result codes that are told apart here. */
export const SQLITE_ERROR = 1;
const SQLITE_INTERNAL = 2;
const SQLITE_PERM = 3;
const SQLITE_BUSY = 5;
const SQLITE_NOMEM = 7;
const SQLITE_READONLY = 8;
const SQLITE_INTERRUPT = 9;
const SQLITE_IOERR = 10;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CANTOPEN = 14;
const SQLITE_PROTOCOL = 15;
const SQLITE_SCHEMA = 17;
const SQLITE_MISUSE = 21;
const SQLITE_NOLFS = 22;
const SQLITE_NOTADB = 26;

/** Extended codes. */
const SQLITE_CORRUPT_VTAB = 267;
const SQLITE_READONLY_DBMOVED = 1032;
/** The WAL's index could not grow: it lies in a file too. */
const SQLITE_IOERR_SHMSIZE = 4874;

/**
 * Whose an error is. `statement`: every replica gets it, it is a result. `machine`: this machine's alone, it stops the node. The others can be either:
 * `file`: the machine's if the file is damaged. `memory`: the machine's if it has no memory to give. `fresh`: the statement's if a connection
 * just opened gets it too; then the entry's own commit shows that the machine works.
 */
export type Verdict = "statement" | "machine" | "file" | "memory" | "fresh";

/** By primary code; what is not in it is the statement's. test/sql/error-verdicts.test.ts has a case for each code. */
const VERDICTS: ReadonlyMap<number, Verdict> = new Map([
  [SQLITE_INTERNAL, "fresh"],
  [SQLITE_PERM, "fresh"],
  [SQLITE_BUSY, "machine"],
  [SQLITE_NOMEM, "memory"],
  [SQLITE_READONLY, "fresh"],
  [SQLITE_IOERR, "machine"],
  [SQLITE_CORRUPT, "file"],
  [SQLITE_CANTOPEN, "machine"],
  [SQLITE_PROTOCOL, "machine"],
  [SQLITE_SCHEMA, "fresh"],
  [SQLITE_MISUSE, "fresh"],
  [SQLITE_NOLFS, "machine"],
  [SQLITE_NOTADB, "file"],
]);

/** By extended code, where it says more than the primary one: a virtual table answers so of its own content, and a file moved away is nobody's statement. */
const EXTENDED_VERDICTS: ReadonlyMap<number, Verdict> = new Map([
  [SQLITE_CORRUPT_VTAB, "statement"],
  [SQLITE_READONLY_DBMOVED, "machine"],
]);

/** True if `error` came from SQLite. */
export function isSqliteError(error: unknown): error is SqliteError {
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number";
}

/** What is refused before SQLite sees it: an error of the statement, like one of SQLite's. */
export class StatementRefused extends Error implements SqliteError {
  override readonly name = "StatementRefused";
  readonly errcode = SQLITE_ERROR;
}

/** True if a progress handler of ours ended the statement. */
export function isInterrupt(error: SqliteError): boolean {
  return (error.errcode & 0xff) === SQLITE_INTERRUPT;
}

/**
 * True if SQLite refused a VACUUM because a transaction is open. It says so before it does anything; RAISE in a trigger can give the
 * same text, but not with this code.
 */
export function isVacuumInTransaction(error: SqliteError): boolean {
  return error.errcode === SQLITE_ERROR && error.message === "cannot VACUUM from within a transaction";
}

/** True if the file itself is not a sound database. */
export function isDamage(error: SqliteError): boolean {
  const code = error.errcode & 0xff;
  return code === SQLITE_CORRUPT || code === SQLITE_NOTADB;
}

/** Whose the error is. `isDiskFull` is asked for SQLITE_FULL, which an exhausted AUTOINCREMENT gives as well. */
export function verdictOf(error: SqliteError, isDiskFull: () => boolean): Verdict {
  const code = error.errcode & 0xff;
  if (code === SQLITE_FULL) return isDiskFull() ? "machine" : "statement";
  return EXTENDED_VERDICTS.get(error.errcode) ?? VERDICTS.get(code) ?? "statement";
}

/** True for a machine error that passes when the disk has room again. An AUTOINCREMENT that has run out is none: it is a result. */
export function isFull(error: unknown): boolean {
  if (isSqliteError(error)) return (error.errcode & 0xff) === SQLITE_FULL || error.errcode === SQLITE_IOERR_SHMSIZE;
  return isPumiceError(error, "SQL_FULL") || isPumiceError(error, "FS_NO_SPACE");
}

/** What is told of it. */
export function fullError(error: unknown, where: string): PumiceError {
  if (isPumiceError(error, "SQL_FULL")) return error;
  return new PumiceError("SQL_FULL", { where, reason: error instanceof Error ? error.message : String(error) }, error);
}

/** The error that stops the node, or puts off what was tried (SQL_FULL). */
export function machineError(error: unknown, where: string): PumiceError {
  if (error instanceof PumiceError) return error;
  if (!isSqliteError(error)) return new PumiceError("SQL_MACHINE", { where, reason: String(error) }, error);
  if (isFull(error)) return fullError(error, where);
  const details = { where, sqlite: error.errcode, reason: error.message };
  return new PumiceError(isDamage(error) ? "SQL_CORRUPT" : "SQL_MACHINE", details, error);
}
