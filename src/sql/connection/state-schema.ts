/**
 * The internal table's name and shape, and how it is made and dropped. Its name begins with `sqlite_`: tools that list tables skip such names, and
 * SQLite lets nobody drop, alter or index such a table. Making and dropping one needs `writable_schema` on and the defensive flag off, for that moment.
 *
 * Until format 1 the table was called `_pumice`. That name stays reserved: a program that old makes its own table when it finds none.
 */
import { PumiceError } from "../../base/mod.ts";
import { namesTable } from "./tokens.ts";

/** The internal table: index and term of the last applied entry, outcomes by request id, pieces of loads. Never in a backup. FROZEN. */
export const STATE_TABLE = "sqlite_pumice";

/** Its name in format 1. */
const OLD_STATE_TABLE = "_pumice";

/** FROZEN. */
export const STATE_FORMAT = 2;

const COLUMNS = "(k TEXT PRIMARY KEY NOT NULL, a INTEGER, b INTEGER, v BLOB) WITHOUT ROWID";

/** FROZEN. */
export const STATE_TABLE_SQL = `CREATE TABLE ${STATE_TABLE}${COLUMNS}`;

const OLD_STATE_TABLE_SQL = `CREATE TABLE ${OLD_STATE_TABLE}${COLUMNS}`;

/** What runs statements of ours: a Connection in mode "own", or a DatabaseSync. */
export interface SchemaDatabase {
  exec(sql: string): void;
  prepare(sql: string): { get(...params: readonly string[]): unknown[] | undefined };
}

/** True if `name` is the internal table's, now or in format 1. */
export function isStateTable(name: string | null): boolean {
  if (name === null || (name.length !== STATE_TABLE.length && name.length !== OLD_STATE_TABLE.length)) return false;
  const lower = name.toLowerCase();
  return lower === STATE_TABLE || lower === OLD_STATE_TABLE;
}

/** The name by which the text of a view or trigger names the internal table; undefined if it does not. */
export function stateTableIn(sql: string): string | undefined {
  return [STATE_TABLE, OLD_STATE_TABLE].find((name) => namesTable(sql, name));
}

/** The error of a statement that uses or names the internal table by `name`. */
export function stateTableText(name: string | null): string {
  return `table ${(name ?? STATE_TABLE).toLowerCase()} is Pumice's own`;
}

/** The internal table is of an older format, and was left as it is. */
export class OldStateFormat extends Error {}

/** How an internal table is made. */
export interface EnsureOptions {
  /** An older one is brought to this format. False: it is left, and OldStateFormat is thrown. */
  readonly isUpgraded: boolean;
  /** Switches `writable_schema` on and off. */
  readonly openSchema: (isOpen: boolean) => void;
}

/**
 * Makes the internal table with nothing applied, or brings format 1 to format 2, in one transaction.
 * @throws OldStateFormat. SQL_STATE if the table is of another make. SQL_FOREIGN if the database holds something and has no internal table.
 */
export function ensureStateTable(database: SchemaDatabase, { isUpgraded, openSchema }: EnsureOptions): void {
  const old = find(database, OLD_STATE_TABLE);
  const isThere = find(database, STATE_TABLE) !== undefined;
  if (isThere && old !== OLD_STATE_TABLE_SQL) return;
  if (old !== undefined) checkOld(database, { old, isThere });
  if (old === undefined) refuseForeign(database);
  else if (!isUpgraded) throw new OldStateFormat();
  openSchema(true);
  try {
    database.exec("BEGIN IMMEDIATE");
    if (!isThere) database.exec(STATE_TABLE_SQL);
    if (!isThere) database.exec(`INSERT INTO ${STATE_TABLE} ${old === undefined ? FIRST_ROWS : ROWS_OF_FORMAT_1}`);
    if (old !== undefined) database.exec(`DROP TABLE ${OLD_STATE_TABLE}`);
    database.exec("COMMIT");
  } finally {
    openSchema(false);
  }
}

const FIRST_ROWS = `VALUES('applied', 0, 0, NULL), ('format', ${STATE_FORMAT}, NULL, NULL)`;
const ROWS_OF_FORMAT_1 = `SELECT k, iif(k = 'format', ${STATE_FORMAT}, a), b, v FROM ${OLD_STATE_TABLE}`;

/** Every database of ours has the table from its first moment on: one with anything else in it was put there by somebody. @throws SQL_FOREIGN */
function refuseForeign(database: SchemaDatabase): void {
  const found = database.prepare("SELECT type, name FROM sqlite_schema LIMIT 1").get();
  if (found !== undefined) throw new PumiceError("SQL_FOREIGN", { [String(found[0])]: String(found[1]) });
}

/** A table of format 1 is upgraded. Beside a newer one it is what an old program made before it gave up: without a use if nothing was applied to it. */
function checkOld(database: SchemaDatabase, { old, isThere }: { readonly old: unknown; readonly isThere: boolean }): void {
  if (old !== OLD_STATE_TABLE_SQL) throw new PumiceError("SQL_STATE", { table: OLD_STATE_TABLE, reason: "not made by Pumice" });
  const value = (key: string): unknown => database.prepare(`SELECT a FROM ${OLD_STATE_TABLE} WHERE k = ?`).get(key)?.[0];
  const format = value("format");
  if (Number(format) !== 1) throw new PumiceError("SQL_STATE", { table: OLD_STATE_TABLE, format: String(format), known: STATE_FORMAT });
  if (isThere && Number(value("applied")) !== 0) {
    throw new PumiceError("SQL_STATE", { table: OLD_STATE_TABLE, reason: "an older program has written to this database" });
  }
}

/** The SQL of the object of that name, in any spelling; undefined if there is none. */
function find(database: SchemaDatabase, name: string): unknown {
  return database.prepare("SELECT sql FROM sqlite_schema WHERE name = ? COLLATE NOCASE").get(name)?.[0];
}

/**
 * Drops the internal table from a file that nobody else has open. The connection is not defensive.
 * SQLite drops no table of a reserved name, so it takes the old name first.
 */
export function dropStateTable(database: SchemaDatabase): void {
  database.exec(`DROP TABLE IF EXISTS ${OLD_STATE_TABLE}`);
  if (find(database, STATE_TABLE) !== undefined) {
    const renamed = `name = '${OLD_STATE_TABLE}', tbl_name = '${OLD_STATE_TABLE}', sql = '${OLD_STATE_TABLE_SQL}'`;
    database.exec(`PRAGMA writable_schema = ON; UPDATE sqlite_schema SET ${renamed} WHERE name = '${STATE_TABLE}'`);
    database.exec(`PRAGMA writable_schema = RESET; DROP TABLE ${OLD_STATE_TABLE}`);
  }
}

/**
 * Why a file that is to be loaded has something of the internal table's name that is not an internal table, or something that names it;
 * undefined if it has not. What is one came from another node, and is to be dropped.
 */
export function findForeignState(database: { prepare(sql: string): { all(): unknown[][] } }): string | undefined {
  const objects = database.prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY rowid").all();
  for (const [type, name, sql] of objects) {
    const isOurs = sql === STATE_TABLE_SQL || sql === OLD_STATE_TABLE_SQL;
    if (isStateTable(String(name)) && !isOurs) return `${String(type)} ${String(name)} cannot be loaded: the name is Pumice's own`;
    const used = (type === "view" || type === "trigger") && typeof sql === "string" ? stateTableIn(sql) : undefined;
    if (used !== undefined) return `${String(type)} ${String(name)} cannot be loaded: ${stateTableText(used)}`;
  }
  return undefined;
}
