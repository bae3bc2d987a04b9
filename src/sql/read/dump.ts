/**
 * The database as SQL text, of one snapshot: what `sqlite3 .dump` and rqlite write, with two differences. Virtual tables are dumped as
 * CREATE VIRTUAL TABLE and their rows, not as writes to sqlite_schema and to shadow tables, so that the text loads anywhere. And every
 * value comes back exactly: reals by their shortest exact form, text that is no UTF-8 or holds a zero as CAST(X'…' AS TEXT).
 */
import { PumiceError, toHex } from "../../base/mod.ts";
import { Connection } from "../connection/connection.ts";
import type { StoredValue } from "../result/json-values.ts";
import { isSqliteError } from "../connection/errors.ts";
import type { DumpOptions } from "../command/backup-options.ts";

/** What is dumped. */
export interface Dump {
  readonly path: string;
  readonly extensionPath: string;
  readonly options: DumpOptions;
}

/** Text is handed out in pieces of about so many UTF-16 code units. */
const PIECE_CHARS = 64 * 1024;

/** A row of sqlite_schema that is dumped. */
interface SchemaObject {
  readonly type: string;
  readonly name: string;
  readonly table: string;
  readonly sql: string;
  /** As pragma_table_list says: "table", "virtual"; empty for other types. */
  readonly kind: string;
}

/** The text, in pieces. Ends its snapshot when it is finished or returned. @throws SQL_BACKUP */
export function* dumpText(dump: Dump): Generator<string, void, undefined> {
  const connection = new Connection({ path: dump.path, extensionPath: dump.extensionPath, foreignKeys: false, isReader: true });
  try {
    connection.exec("BEGIN");
    let text = "";
    for (const line of lines(connection, dump.options)) {
      text += line;
      if (text.length < PIECE_CHARS) continue;
      yield text;
      text = "";
    }
    yield text;
  } catch (error) {
    throw isSqliteError(error) ? new PumiceError("SQL_BACKUP", { sqlite: error.errcode, reason: error.message }, error) : error;
  } finally {
    connection.close();
  }
}

function* lines(connection: Connection, options: DumpOptions): Generator<string> {
  const objects = chosen(readSchema(connection), options.tables);
  const tables = objects.filter((object) => object.kind === "table");
  yield "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n";
  for (const table of tables) {
    yield `${table.sql};\n`;
    yield* rows(connection, table.name);
  }
  yield* specialTable(connection, "sqlite_sequence", new Set(options.tables));
  for (const table of objects.filter((object) => object.kind === "virtual")) yield* virtualTable(connection, table);
  for (const object of objects) if (object.kind === "") yield `${object.sql};\n`;
  if (options.tables === undefined) yield* statistics(connection);
  yield "COMMIT;\n";
}

function readSchema(connection: Connection): SchemaObject[] {
  const kinds = new Map(
    connection
      .own("SELECT name, type FROM pragma_table_list WHERE schema = 'main'")
      .all()
      .map(([name, type]) => [name, type]),
  );
  const rows = connection
    .own(
      "SELECT type, name, tbl_name, sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid",
    )
    .all();
  const objects = rows.map(([type, name, table, sql]) => ({
    type: String(type),
    name: String(name),
    table: String(table),
    sql: String(sql),
    kind: type === "table" ? String(kinds.get(name as string)) : "",
  }));
  return objects.filter((object) => object.kind !== "shadow");
}

/** All, or these tables with their indexes and triggers. */
function chosen(objects: readonly SchemaObject[], tables: readonly string[] | undefined): readonly SchemaObject[] {
  if (tables === undefined || tables.length === 0) return objects;
  for (const name of tables) {
    if (!objects.some((object) => object.type === "table" && object.name === name))
      throw new PumiceError("SQL_BACKUP", { reason: "no such table", table: name });
  }
  const names = new Set(tables);
  return objects.filter((object) => names.has(object.table));
}

function* rows(connection: Connection, table: string): Generator<string> {
  const visible = columnNames(connection, table, "table_info");
  const isPartial = columnNames(connection, table, "table_xinfo").length !== visible.length;
  yield* inserts(connection, { table, columns: visible, isNamed: isPartial, order: "" });
}

interface Inserts {
  readonly table: string;
  readonly columns: readonly string[];
  /** Columns are named in the INSERT: there are generated or hidden ones. */
  readonly isNamed: boolean;
  readonly order: string;
}

function* inserts(connection: Connection, what: Inserts): Generator<string> {
  const { table, columns, isNamed, order } = what;
  const names = columns.map(quoteName);
  // Text as bytes, so that it is exact even where it is no UTF-8.
  const values = names.map(
    (name) => `CASE typeof(${name}) WHEN 'text' THEN CAST(${name} AS BLOB) ELSE ${name} END, typeof(${name}) = 'text'`,
  );
  const head = `INSERT INTO ${quoteName(table)}${isNamed ? `(${names.join(",")})` : ""} VALUES(`;
  for (const row of connection.own(`SELECT ${values.join(", ")} FROM ${quoteName(table)}${order}`).iterate()) {
    let text = head;
    for (let i = 0; i < row.length; i += 2) text += (i === 0 ? "" : ",") + literal(row[i] as StoredValue, row[i + 1] === 1n);
    yield `${text});\n`;
  }
}

function columnNames(connection: Connection, table: string, pragma: string): string[] {
  return connection
    .own(`SELECT name FROM pragma_${pragma}(?)`)
    .all(table)
    .map(([name]) => String(name));
}

/** Rows of a virtual table, in its own terms. */
function* virtualTable(connection: Connection, table: SchemaObject): Generator<string> {
  yield `${table.sql};\n`;
  const module = (/\busing\s+["'`[]?(\w+)/i.exec(table.sql)?.[1] ?? "").toLowerCase();
  const columns = columnNames(connection, table.name, "table_info");
  if (module.startsWith("rtree")) yield* inserts(connection, { table: table.name, columns, isNamed: true, order: "" });
  else if (module === "geopoly")
    yield* inserts(connection, { table: table.name, columns: ["rowid", ...columns], isNamed: true, order: "" });
  else if (module === "fts3" || module === "fts4" || module === "fts5") yield* fullText(connection, table.name, columns);
}

/** A full-text index holds its rows itself, or takes them from a table, or has none to give. */
function* fullText(connection: Connection, name: string, columns: readonly string[]): Generator<string> {
  const has = (table: string): boolean => connection.own("SELECT 1 FROM sqlite_schema WHERE name = ?").get(table) !== undefined;
  if (has(`${name}_content`)) {
    yield* inserts(connection, { table: name, columns: ["rowid", ...columns], isNamed: true, order: " ORDER BY rowid" });
    return;
  }
  const sql = connection.own("SELECT sql FROM sqlite_schema WHERE name = ?").get(name)?.[0];
  if (/\bcontent\s*=\s*(''|"")/i.test(String(sql)))
    yield `-- the index ${name.replaceAll("\n", " ")} keeps no text, so it cannot be dumped\n`;
  else yield `INSERT INTO ${quoteName(name)}(${quoteName(name)}) VALUES('rebuild');\n`;
}

/** AUTOINCREMENT's counters, of the tables dumped. */
function* specialTable(connection: Connection, name: string, tables: ReadonlySet<string>): Generator<string> {
  if (connection.own("SELECT 1 FROM sqlite_schema WHERE name = ?").get(name) === undefined) return;
  if (tables.size === 0) yield `DELETE FROM ${quoteName(name)};\n`;
  for (const [table, sequence] of connection.own(`SELECT name, seq FROM ${name} ORDER BY rowid`).all()) {
    if (tables.size > 0 && !tables.has(String(table))) continue;
    if (tables.size > 0) yield `DELETE FROM ${quoteName(name)} WHERE name = ${quoteText(String(table))};\n`;
    yield `INSERT INTO ${quoteName(name)} VALUES(${quoteText(String(table))},${String(sequence ?? "NULL")});\n`;
  }
}

/** What ANALYZE found. The second ANALYZE makes SQLite read it. */
function* statistics(connection: Connection): Generator<string> {
  if (connection.own("SELECT 1 FROM sqlite_schema WHERE name = 'sqlite_stat1'").get() === undefined) return;
  yield "ANALYZE sqlite_schema;\nDELETE FROM sqlite_stat1;\n";
  yield* inserts(connection, { table: "sqlite_stat1", columns: ["tbl", "idx", "stat"], isNamed: false, order: "" });
  yield "ANALYZE sqlite_schema;\n";
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function literal(value: StoredValue, isText: boolean): string {
  if (value === null) return "NULL";
  if (typeof value === "bigint") return value === -0x8000_0000_0000_0000n ? "-9223372036854775807-1" : value.toString();
  if (typeof value === "number") return real(value);
  if (typeof value === "string") return quoteText(value);
  if (!isText) return `X'${toHex(value)}'`;
  const text = decode(value);
  return text === undefined || text.includes("\0") ? `CAST(X'${toHex(value)}' AS TEXT)` : quoteText(text);
}

function decode(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** With a point or an exponent, so that it is read back as a real. */
function real(value: number): string {
  if (!Number.isFinite(value)) return value > 0 ? "9e999" : "-9e999";
  const text = String(value);
  return /[.e]/.test(text) ? text : `${Object.is(value, -0) ? "-0" : text}.0`;
}

function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
