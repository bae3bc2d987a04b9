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

/** Extended codes. A full-text index may be told by its user to contradict its content: FTS5 then answers so on every replica. */
const SQLITE_CORRUPT_VTAB = 267;
const SQLITE_CONSTRAINT_COMMITHOOK = 531;
/** The WAL's index could not grow: it lies in a file too. */
const SQLITE_IOERR_SHMSIZE = 4874;

const MACHINE_CODES = new Set([
  SQLITE_INTERNAL,
  SQLITE_PERM,
  SQLITE_BUSY,
  SQLITE_NOMEM,
  SQLITE_READONLY,
  SQLITE_IOERR,
  SQLITE_CORRUPT,
  SQLITE_CANTOPEN,
  SQLITE_PROTOCOL,
  SQLITE_SCHEMA,
  SQLITE_MISUSE,
  SQLITE_NOLFS,
  SQLITE_NOTADB,
]);

/** True if `error` came from SQLite. */
export function isSqliteError(error: unknown): error is SqliteError {
  return error instanceof Error && "errcode" in error && typeof error.errcode === "number";
}

/** True if a progress handler of ours ended the statement. */
export function isInterrupt(error: SqliteError): boolean {
  return (error.errcode & 0xff) === SQLITE_INTERRUPT;
}

/** True if our commit hook refused the transaction. */
export function isCommitRefused(error: SqliteError): boolean {
  return error.errcode === SQLITE_CONSTRAINT_COMMITHOOK;
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

/**
 * True if only this machine got the error. `isDiskFull` is asked for SQLITE_FULL, which an exhausted AUTOINCREMENT gives as well.
 */
export function isMachineError(error: SqliteError, isDiskFull: () => boolean): boolean {
  if (error.errcode === SQLITE_CORRUPT_VTAB) return false;
  const code = error.errcode & 0xff;
  return code === SQLITE_FULL ? isDiskFull() : MACHINE_CODES.has(code);
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
