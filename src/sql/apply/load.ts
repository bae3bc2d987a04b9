/**
 * A SQLite file takes the place of the whole database: the pieces that earlier entries stored are written to a staging file beside the
 * database, verified, made to look like ours, and copied into it by sqlite3_backup in ONE transaction. So readers see the old content
 * or the new one; a crash before the commit finds the pieces again and the entry not applied; a crash after it finds it applied.
 *
 * What is wrong with the file is the same on every replica and is a result; what is wrong with this machine is thrown.
 */
import { DatabaseSync } from "node:sqlite";
import { assert, concat, type EntryId, type FileSystem, viewOf } from "../../base/mod.ts";
import type { LoadCommitCommand } from "../command/command.ts";
import { Connection, fileUri, pumiceUri } from "../connection/connection.ts";
import type { Sessions } from "./sessions.ts";
import { isFull, isSqliteError, verdictOf } from "../connection/errors.ts";
import { isModuleAllowed, moduleOf, moduleText } from "../connection/modules.ts";
import { dropStateTable, findForeignState, STATE_FORMAT, STATE_TABLE, STATE_TABLE_SQL } from "../connection/state-schema.ts";
import { StateTable } from "./state-table.ts";
import { copyDatabase } from "../connection/copy.ts";

/** What is loaded, and into what. */
export interface Replacement {
  readonly path: string;
  readonly extensionPath: string;
  readonly files: FileSystem;
  readonly table: StateTable;
  readonly sessions: Sessions;
  readonly entry: EntryId;
  readonly command: LoadCommitCommand;
}

const MAGIC = "SQLite format 3\0";
/** Every database of ours has pages of this size: a WAL cannot change it. */
const PAGE_SIZE_BYTES = 4096;
const HEADER_BYTES = 100;

/** Undefined when the database is replaced; else why the file cannot be loaded. The database is then as it was. */
export function replaceDatabase(what: Replacement): string | undefined {
  const staging = `${what.path}-load`;
  const packed = `${what.path}-pack`;
  const leftovers = [staging, packed].flatMap((path) => [path, `${path}-journal`, `${path}-wal`, `${path}-shm`]);
  const clean = (): void => {
    for (const path of leftovers) if (what.files.exists(path)) what.files.remove(path);
  };
  clean();
  try {
    const error = writeStaging(what, staging) ?? refusal(() => verify(staging));
    if (error !== undefined) return error;
    let prepared = staging;
    const refused = refusal(() => {
      if (pack(staging, packed)) prepared = packed;
      addStateTable(prepared, what);
      tryOut(prepared, what.extensionPath);
    });
    if (refused !== undefined) return refused;
    copyDatabase(what.extensionPath, fileUri(prepared), pumiceUri(what.path));
    return undefined;
  } finally {
    clean();
  }
}

/**
 * What `step` says against the file, or why SQLite cannot do it with this file: its schema cannot be read, names a module or collation that nobody has, or
 * is damaged. Every replica has the same bytes in its staging file, so it is a result. @throws what is this machine's
 */
function refusal(step: () => string | undefined | void): string | undefined {
  try {
    return step() ?? undefined;
  } catch (error) {
    if (!isSqliteError(error) || isFull(error) || verdictOf(error, () => true) === "machine") throw error;
    return `the file cannot be loaded: ${error.message}`;
  }
}

/** Opens the file as the database will be opened: what fails then would fail at every start. */
function tryOut(path: string, extensionPath: string): void {
  const connection = new Connection({ path, extensionPath, foreignKeys: false, isReader: false });
  try {
    new StateTable(connection).applied();
    connection.text("SELECT count(*) FROM sqlite_schema");
  } finally {
    connection.close();
  }
}

/** Writes the pieces one after the other, with the header's journal mode set to "delete": the staging file stands alone. */
function writeStaging(what: Replacement, staging: string): string | undefined {
  const { files, table, command } = what;
  const file = files.open(staging, "create");
  try {
    let position = 0;
    let head: Uint8Array = new Uint8Array(0);
    for (let number = 0; number < command.chunkCount; number++) {
      const bytes = table.chunk(command.load, number);
      if (bytes === undefined) return `piece ${number} of ${command.chunkCount} is missing; load the file again`;
      if (head.length < HEADER_BYTES) head = concat([head, bytes.subarray(0, HEADER_BYTES)]);
      file.write(bytes, position);
      position += bytes.length;
    }
    if (position !== command.sizeBytes) return `the pieces hold ${position} bytes instead of ${command.sizeBytes}; load the file again`;
    const error = checkHeader(head, position);
    if (error === undefined) file.write(new Uint8Array([1, 1]), 18);
    return error;
  } finally {
    file.close();
  }
}

function checkHeader(head: Uint8Array, size: number): string | undefined {
  if (head.length < HEADER_BYTES || !startsWithMagic(head)) return "the file is not a SQLite database";
  const view = viewOf(head);
  const stored = view.getUint16(16);
  const pageSize = stored === 1 ? 65536 : stored;
  if (pageSize < 512 || (pageSize & (pageSize - 1)) !== 0) return `the file names an impossible page size: ${pageSize}`;
  if (size % pageSize !== 0) return `the file is cut off: ${size} bytes are not whole pages of ${pageSize}`;
  if (head[18] !== head[19] || (head[18] !== 1 && head[18] !== 2)) return "the file was written by a newer SQLite";
  if (head[20] !== 0) return "the file reserves space in its pages; load it as SQL text instead";
  const encoding = view.getUint32(56);
  if (encoding > 1) return "the file's text encoding is UTF-16; load it as SQL text instead";
  return undefined;
}

function startsWithMagic(head: Uint8Array): boolean {
  for (let i = 0; i < MAGIC.length; i++) if (head[i] !== MAGIC.charCodeAt(i)) return false;
  return true;
}

/** What a sound file must have, and what must not be in it. */
function verify(staging: string): string | undefined {
  const database = openStaging(staging);
  try {
    const check = database.prepare("PRAGMA integrity_check(1)").get()?.[0];
    if (check !== "ok") return `the file is damaged: ${String(check)}`;
    const foreign = findForeignState(database) ?? findForeignModule(database);
    if (foreign !== undefined) return foreign;
    dropStateTable(database);
    return findLastRowid(database);
  } finally {
    database.close();
  }
}

/** A virtual table whose content is not in the file. */
function findForeignModule(database: DatabaseSync): string | undefined {
  const tables = database.prepare("SELECT name, sql FROM sqlite_schema WHERE type = 'table' AND rootpage = 0").all();
  for (const [name, sql] of tables) {
    const module = moduleOf(String(sql));
    if (!isModuleAllowed(module)) return `table ${String(name)} cannot be loaded: ${moduleText(module)}`;
  }
  return undefined;
}

function openStaging(path: string): DatabaseSync {
  const options = {
    enableForeignKeyConstraints: false,
    readBigInts: true,
    returnArrays: true,
    enableDoubleQuotedStringLiterals: true,
    defensive: false,
  };
  const database = new DatabaseSync(path, options);
  database.exec("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON; PRAGMA secure_delete = ON");
  return database;
}

/** A table with the largest rowid would get random ones from now on, which no two replicas choose alike. */
function findLastRowid(database: DatabaseSync): string | undefined {
  const tables = database
    .prepare("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'shadow') AND wr = 0")
    .all();
  for (const [name] of tables) {
    assert(typeof name === "string", "a table has a name");
    if (hasLastRowid(database, name)) return `table ${name} has a row with rowid 9223372036854775807; give it another one first`;
  }
  return undefined;
}

function hasLastRowid(database: DatabaseSync, table: string): boolean {
  const columns = database.prepare("SELECT lower(name) FROM pragma_table_xinfo(?)").all(table);
  const taken = new Set(columns.map(([name]) => name));
  const alias = ["rowid", "oid", "_rowid_"].find((name) => !taken.has(name));
  const ask = (name: string): boolean =>
    database.prepare(`SELECT 1 FROM ${quoted(table)} WHERE ${name} = 9223372036854775807`).get() !== undefined;
  if (alias !== undefined) return ask(alias);
  // Columns have all three names: one of them makes way for the question.
  let free = "free";
  while (taken.has(free)) free += "_";
  database.exec(`BEGIN; ALTER TABLE ${quoted(table)} RENAME COLUMN rowid TO ${free}`);
  const found = ask("rowid");
  database.exec("ROLLBACK");
  return found;
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Writes the file anew with our page size and without auto-vacuum, if it has others. Rowids stay. True if it did. */
function pack(staging: string, packed: string): boolean {
  const database = openStaging(staging);
  try {
    const pageSize = database.prepare("PRAGMA page_size").get()?.[0];
    const autoVacuum = database.prepare("PRAGMA auto_vacuum").get()?.[0];
    if (pageSize === BigInt(PAGE_SIZE_BYTES) && autoVacuum === 0n) return false;
    database.exec(`PRAGMA page_size = ${PAGE_SIZE_BYTES}; PRAGMA auto_vacuum = 0`);
    database.prepare("VACUUM INTO ?").run(packed);
    return true;
  } finally {
    database.close();
  }
}

/** The new database says that this entry is applied. Members, node and outcomes by request id live on; pieces of loads do not. */
function addStateTable(path: string, what: Replacement): void {
  const database = openStaging(path);
  try {
    database.exec(`PRAGMA writable_schema = ON; BEGIN; ${STATE_TABLE_SQL}`);
    const put = database.prepare(`INSERT INTO ${STATE_TABLE}(k, a, b, v) VALUES (?, ?, ?, ?)`);
    put.run("applied", BigInt(what.entry.index), BigInt(what.entry.term), null);
    put.run("format", BigInt(STATE_FORMAT), null, null);
    for (const [key, index, value] of what.table.own()) put.run(key, index, null, value);
    for (const { row, outcome } of what.sessions.all()) {
      put.run(`session:${row.session.toString(16).padStart(16, "0")}`, BigInt.asIntN(64, row.sequence), BigInt(row.index), outcome);
    }
    database.exec("COMMIT");
  } finally {
    database.close();
  }
}
