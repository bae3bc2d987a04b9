/**
 * Decides errors that a statement can cause as well as a machine, before they become results or stop the node. Asked when no transaction is under way.
 */
import { Connection } from "../connection/connection.ts";
import { isDamage, isSqliteError, type SqliteError, verdictOf } from "../connection/errors.ts";

/** The database that the error came from. */
export interface Doubted {
  readonly path: string;
  readonly extensionPath: string;
}

/** The largest block that SQLite asks for at once is a little less than twice this. Unit: bytes. */
const MEMORY_PROBE_BYTES = 1024 * 1024 * 1024;

/** `PRAGMA quick_check` begins so what it finds wrong with the pages, and not with rows that constraints or virtual tables object to. */
const DAMAGE_MARK = "*** in database";
const FINDINGS_MAX = 100;

/** True if the error is this machine's: the file is damaged, or there is no memory. */
export function isFaultOfMachine(error: SqliteError, doubted: Doubted): boolean {
  const verdict = verdictOf(error, () => true);
  if (verdict === "file") return isFileDamaged(doubted);
  if (verdict === "memory") return !hasMemory(doubted);
  return verdict === "machine";
}

/** True if the pages of the committed database do not fit together. Reads all of them. */
function isFileDamaged(doubted: Doubted): boolean {
  const connection = open(doubted);
  try {
    const tables = connection.own("SELECT name FROM sqlite_schema WHERE type = 'table' AND rootpage > 0").all();
    // One by one: the check of all would open the virtual tables too, and fail where one of them cannot be.
    return ["sqlite_schema", ...tables.map(([name]) => String(name))].some((name) => isTableDamaged(connection, name));
  } catch (error) {
    if (isSqliteError(error) && isDamage(error)) return true;
    throw error;
  } finally {
    connection.close();
  }
}

function isTableDamaged(connection: Connection, table: string): boolean {
  try {
    const rows = connection.own(`PRAGMA quick_check("${table.replaceAll('"', '""')}")`).all();
    return rows.slice(0, FINDINGS_MAX).some(([finding]) => String(finding).startsWith(DAMAGE_MARK));
  } catch (error) {
    if (!isSqliteError(error) || verdictOf(error, () => true) !== "statement") throw error;
    // A CHECK or an index that SQLite cannot make sense of.
    return false;
  }
}

function hasMemory(doubted: Doubted): boolean {
  const connection = open(doubted);
  try {
    return connection.own("SELECT pumice_memory(?)").get(BigInt(MEMORY_PROBE_BYTES))?.[0] === 1n;
  } finally {
    connection.close();
  }
}

function open({ path, extensionPath }: Doubted): Connection {
  return new Connection({ path, extensionPath, foreignKeys: false, isReader: true });
}
