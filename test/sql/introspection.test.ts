/**
 * The queries by which tools list what a database holds, as the tools themselves sent them to a node (`npm run interop:tools -- --sent`): the internal
 * table is in no answer, but for the tool that leaves out SQLite's own tables by their full names.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { systemFiles } from "../../src/host/mod.ts";
import { Reader, type SqlParam } from "../../src/sql/mod.ts";
import { Database, EXTENSION, temporaryFolder } from "./support/database.ts";

/** By drizzle-kit 0.31.11, appended to each of its queries with the column's own prefix. */
const DRIZZLE = ["\\_cf\\_%", "\\_litestream\\_%", "libsql\\_%", "sqlite\\_%"]
  .map((pattern) => `tbl_name NOT LIKE '${pattern}' ESCAPE '\\'`)
  .join(" AND ");
const DRIZZLE_M = DRIZZLE.replaceAll("tbl_name", "m.tbl_name");

const QUERIES: readonly (readonly [string, string, (readonly SqlParam[])?])[] = [
  ["SQLAlchemy 2.0.58", "SELECT name FROM sqlite_master WHERE type='table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name"],
  ["SQLAlchemy 2.0.58", "SELECT name FROM sqlite_temp_master WHERE type='table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~' ORDER BY name"],
  [
    "drizzle-kit 0.31.11, columns",
    `SELECT m.name as "tableName", p.name as "columnName", p.hidden as hidden, m.sql, m.type as type FROM sqlite_master AS m
      JOIN pragma_table_xinfo(m.name) AS p WHERE (m.type = 'table' OR m.type = 'view') AND m.tbl_name != '__drizzle_migrations' AND ${DRIZZLE_M}`,
  ],
  [
    "drizzle-kit 0.31.11, keys",
    `SELECT m.name as "tableFrom", f.id as "id", f."table" as "tableTo" FROM sqlite_master m, pragma_foreign_key_list(m.name) as f WHERE ${DRIZZLE_M}`,
  ],
  [
    "drizzle-kit 0.31.11, indexes",
    `SELECT m.tbl_name as tableName, il.name as indexName, ii.name as columnName, il.[unique] as isUnique FROM sqlite_master AS m,
      pragma_index_list(m.name) AS il, pragma_index_info(il.name) AS ii
      WHERE m.type = 'table' AND il.name NOT LIKE 'sqlite\\_autoindex\\_%' ESCAPE '\\' AND ${DRIZZLE_M}`,
  ],
  ["drizzle-kit 0.31.11, checks", `SELECT name as "tableName", sql as "sql" FROM sqlite_master WHERE type = 'table' AND ${DRIZZLE}`],
  [
    "Kysely 0.28.19",
    `with "table_list" as (select "name", "sql", "type" from "sqlite_master" where "type" in (?, ?) and "name" not like ? order by "name")
      select "tl"."name" as "table", "p"."cid", "p"."name" from "table_list" as "tl", pragma_table_info(tl.name) as "p" order by "tl"."name", "p"."cid"`,
    ["table", "view", "sqlite_%"],
  ],
  [
    "SQLite's shell, .tables",
    "SELECT name FROM sqlite_schema WHERE type IN ('table','view') AND name NOT LIKE 'sqlite__%' ESCAPE '_' ORDER BY 1",
  ],
  [
    "the console",
    "SELECT m.type, m.name FROM sqlite_master AS m WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
  ],
];

function open(context: TestContext): (sql: string, params?: readonly SqlParam[]) => string {
  const db = new Database(join(temporaryFolder(context), "db"));
  const reader = Reader.open({ path: db.path, extensionPath: EXTENSION, files: systemFiles, monotonic: () => 0 });
  context.after(() => {
    reader.close();
    db.machine.close();
  });
  db.execute([
    "CREATE TABLE users(id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE)",
    "CREATE TABLE posts(id INTEGER PRIMARY KEY, author INTEGER REFERENCES users(id))",
    "CREATE INDEX posts_author ON posts(author)",
    "CREATE VIEW names AS SELECT name FROM users",
    "ANALYZE",
  ]);
  return (sql, params) => {
    let text = "";
    reader.readMany([{ statements: [{ sql, params }] }], (_, result) => (text = String(result.results)));
    return text;
  };
}

test("tools that list tables, columns, keys and indexes do not meet the internal table", (context) => {
  const read = open(context);
  for (const [tool, sql, params] of QUERIES) {
    const text = read(sql, params);
    assert.doesNotMatch(text, /"error"|pumice/, tool);
    if (!sql.includes("temp_master")) assert.match(text, /posts|users/, tool);
  }
});

test("what lists SQLite's own tables lists the internal one beside them, and its shape can be asked for", (context) => {
  const read = open(context);
  const prisma = "SELECT name, type, sql FROM sqlite_master WHERE type='table' OR type='view' ORDER BY name ASC";
  for (const sql of [prisma, "PRAGMA table_list"])
    assert.match(read(sql), /sqlite_pumice.*sqlite_sequence|sqlite_sequence.*sqlite_pumice/, sql);
  for (const sql of [
    'PRAGMA table_info ("sqlite_pumice")',
    'PRAGMA index_list("sqlite_pumice")',
    'PRAGMA foreign_key_list("sqlite_pumice")',
  ])
    assert.doesNotMatch(read(sql), /"error"/, sql);
});
