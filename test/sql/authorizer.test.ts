/** What users' SQL may not do, and the ways around it that must not work. */
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { systemFiles } from "../../src/host/mod.ts";
import { Reader } from "../../src/sql/mod.ts";
import { contentOf } from "./support/batching.ts";
import { Database, envelope, EXTENSION, temporaryFolder } from "./support/database.ts";

const DISALLOWED = '{"results":[],"error":"disallowed pragma"}';

function database(context: TestContext): Database {
  const opened = new Database(join(temporaryFolder(context), "db"));
  context.after(() => opened.machine.close());
  opened.execute(["CREATE TABLE t(a, b)", "INSERT INTO t VALUES(1, 2)", "CREATE VIRTUAL TABLE ft USING fts5(a)"]);
  return opened;
}

/** Runs the text in every way in which a user can send it: alone, behind a comment, as a second statement, in a transaction, a script. */
function everyWay(db: Database, sql: string): string[] {
  return [
    db.execute([sql]),
    db.execute([`/* ${sql} */ -- x\n ${sql}`]),
    db.execute([`SELECT 1; ${sql}`]),
    db.execute([`;;${sql};`]),
    db.execute([`EXPLAIN SELECT 1; ${sql}; SELECT 2`]),
    db.execute([sql], { transaction: true }),
    db.execute([`SELECT 1; ${sql}`], { script: true }),
    db.execute([sql], { kind: "request" }),
  ];
}

test("transactions, savepoints, ATTACH and VACUUM INTO are refused wherever they stand, and change nothing", (context) => {
  const db = database(context);
  const out = join(temporaryFolder(context), "out.db");
  const before = contentOf(db.path);
  for (const sql of [
    "ROLLBACK",
    "SAVEPOINT s",
    "RELEASE s",
    "ROLLBACK TO s",
    `ATTACH '${out}' AS x`,
    "DETACH main",
    "END TRANSACTION; ROLLBACK",
  ]) {
    for (const [way, result] of everyWay(db, sql).entries()) assert.match(result, /"error":"[^"]*not allowed/, `${sql} ${way}: ${result}`);
  }
  for (const sql of ["BEGIN", "COMMIT", "BEGIN EXCLUSIVE"]) assert.match(db.execute([`SELECT 1; /**/ ${sql}`]), /not allowed/, sql);
  for (const result of [db.execute([`VACUUM INTO '${out}'`]), db.execute([`/**/VACUUM main INTO '${out}';`])])
    assert.match(result, /VACUUM INTO are not allowed/);
  assert.equal(existsSync(out), false);
  assert.deepEqual(
    contentOf(db.path).filter((line) => !line.startsWith("rows sqlite_pumice")),
    before.filter((line) => !line.startsWith("rows sqlite_pumice")),
  );
});

test("rqlite's refused PRAGMAs refuse the whole request with rqlite's text, wherever they stand, and nothing of it is done", (context) => {
  const db = database(context);
  const pragmas = [
    "PRAGMA journal_mode=DELETE",
    "PRAGMA main.journal_mode = off",
    "PRAGMA wal_autocheckpoint(100)",
    "PRAGMA wal_checkpoint",
    "PRAGMA main.wal_checkpoint(TRUNCATE)",
    "PRAGMA synchronous=OFF",
    "PRAGMA query_only=1",
  ];
  for (const sql of pragmas) for (const [way, result] of everyWay(db, sql).entries()) assert.equal(result, DISALLOWED, `${sql} ${way}`);
  assert.equal(db.execute(["INSERT INTO t VALUES(9, 9)", "PRAGMA synchronous=OFF"]), DISALLOWED);
  assert.match(db.execute(["SELECT count(*) FROM t"], { kind: "request" }), /\[\[1\]\]/);
  assert.equal(db.machine.status().pragmas["synchronous"], "1");
});

test("other PRAGMAs in writes go by an allow-list", (context) => {
  const db = database(context);
  const refused = [
    "foreign_keys=ON",
    "recursive_triggers=1",
    "case_sensitive_like=1",
    "writable_schema=ON",
    "trusted_schema=0",
    "schema_version=9",
    "auto_vacuum=1",
    "page_size=512",
    "encoding='UTF-16'",
    "optimize",
    "max_page_count=10",
    "temp_store=2",
    "cache_size=5",
    "locking_mode=EXCLUSIVE",
    "defer_foreign_keys=1",
    "ignore_check_constraints=1",
    "legacy_alter_table=1",
    "mmap_size=1",
    "database_list",
    "compile_options",
    "page_count",
    "data_version",
    "temp_store_directory='/'",
    "hard_heap_limit=1",
    "reverse_unordered_selects=1",
    "no_such_pragma",
  ];
  for (const pragma of refused) assert.match(db.execute([`PRAGMA ${pragma}`], { kind: "request" }), /"error":"PRAGMA/, pragma);
  for (const table of ["database_list", "data_version", "page_count", "compile_options"]) {
    assert.match(db.execute([`INSERT INTO t SELECT *, 1 FROM pragma_${table}`]), /"error"/, table);
    assert.match(
      db.execute([`CREATE VIEW v_${table} AS SELECT * FROM pragma_${table}`, `SELECT * FROM v_${table}`], { kind: "request" }),
      /\{\},\{"error"/,
      table,
    );
  }
  const allowed = [
    "user_version = 7",
    "application_id = 8",
    "user_version",
    "table_info(t)",
    "table_xinfo('t')",
    "table_list",
    "index_list(t)",
    "foreign_key_list(t)",
    "foreign_key_check",
    "integrity_check",
    "quick_check",
    "foreign_keys",
    "encoding",
  ];
  for (const pragma of allowed) assert.doesNotMatch(db.execute([`PRAGMA ${pragma}`], { kind: "request" }), /"error"/, pragma);
  assert.match(db.execute(["PRAGMA user_version"], { kind: "request" }), /\[\[7\]\]/);
  db.reopen();
  assert.match(db.execute(["SELECT * FROM pragma_user_version"], { kind: "request" }), /\[\[7\]\]/);
});

/** The internal table's name, and the one that it had before, which stays reserved. */
const STATE_NAMES = ["sqlite_pumice", "_pumice"];

test("the internal table can neither be read nor written nor altered, by any way", (context) => {
  const db = database(context);
  const attempts = STATE_NAMES.flatMap((name) => [
    `SELECT * FROM ${name}`,
    `SELECT v FROM main."${name.toUpperCase()}"`,
    `SELECT v FROM [${name}]`,
    `SELECT v FROM '${name}' AS p`,
    `DELETE FROM ${name}`,
    `UPDATE [${name}] SET a = 99 WHERE k = 'applied'`,
    `INSERT OR REPLACE INTO ${name} VALUES('applied', 99, 1, NULL)`,
    `DROP TABLE ${name}`,
    `ALTER TABLE ${name} RENAME TO x`,
    `ALTER TABLE ${name} RENAME COLUMN a TO x`,
    `ALTER TABLE ${name} ADD COLUMN x`,
    `ALTER TABLE ${name} DROP COLUMN v`,
    `ALTER TABLE t RENAME TO ${name}`,
    `ALTER TABLE t RENAME TO/**/'${name.toUpperCase()}'`,
    `CREATE INDEX i ON ${name}(a)`,
    `CREATE TRIGGER g AFTER INSERT ON ${name} BEGIN SELECT 1; END`,
    `CREATE TABLE x AS SELECT * FROM ${name}`,
    `WITH s AS (SELECT * FROM ${name}) INSERT INTO t SELECT a, b FROM s`,
    `INSERT INTO t VALUES((SELECT max(a) FROM ${name}), 1)`,
    `SELECT * FROM t WHERE EXISTS (SELECT 1 FROM ${name} WHERE k = 'applied')`,
    `CREATE TABLE ${name}(x)`,
    `CREATE TABLE IF NOT EXISTS ${name}(x); SELECT * FROM ${name}`,
    `CREATE INDEX ${name} ON t(a)`,
    `CREATE VIRTUAL TABLE ${name} USING fts5(x)`,
    `CREATE VIRTUAL TABLE x5 USING fts5(k, a, content=${name}); SELECT * FROM x5`,
    `CREATE VIRTUAL TABLE x4 USING fts4(k, a, content="${name}"); SELECT * FROM x4`,
  ]);
  attempts.push("PRAGMA writable_schema = ON", "UPDATE sqlite_schema SET name = 'x' WHERE name = 'sqlite_pumice'");
  for (const sql of attempts)
    for (const [way, result] of everyWay(db, sql).entries()) assert.match(result, /"error"/, `${sql} ${way}: ${result}`);
  // As a file of other making might have them.
  db.machine.close();
  const other = new DatabaseSync(db.path);
  other.exec("CREATE VIEW v AS SELECT * FROM sqlite_pumice; CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE sqlite_pumice SET a = 99; END");
  other.close();
  db.reopen();
  assert.match(
    db.execute(["SELECT * FROM v", "INSERT INTO t VALUES(3, 4)"], { kind: "request" }),
    /"error":"table sqlite_pumice is Pumice's own"\},\{"error":"table sqlite_pumice is Pumice's own"/,
  );
  assert.equal(db.machine.applied.index, 1 + attempts.length * 8 + 1);
  db.execute(["DROP TRIGGER g", "ANALYZE"]);
  assert.match(db.execute(["SELECT count(*) FROM sqlite_stat1 WHERE tbl = 'sqlite_pumice'"], { kind: "request" }), /\[\[0\]\]/);
});

/** Views and triggers that name the table. */
function programsThatName(name: string): string[] {
  const selects = [
    `SELECT * FROM ${name}`,
    `SELECT a FROM t, main."${name.replace("p", "P")}"`,
    `SELECT * FROM t JOIN[${name}]`,
    `SELECT 1 FROM \`${name.toUpperCase()}\` AS p`,
    `SELECT * FROM/**/'${name}'`,
    `SELECT 1 WHERE 1 IN ${name}`,
    `WITH s AS (SELECT k FROM ${name}) SELECT * FROM s`,
    `SELECT * FROM nowhere, ${name}`,
    `SELECT 1 AS x, ${name}.a FROM t AS ${name}`,
  ];
  const bodies = [
    `INSERT INTO ${name} VALUES(1, 2, 3, 4)`,
    `UPDATE OR IGNORE '${name}' SET a = 1`,
    `DELETE FROM main.${name}`,
    `SELECT (SELECT a FROM ${name})`,
  ];
  return [
    ...selects.map((select) => `CREATE VIEW v AS ${select}`),
    ...bodies.map((text) => `CREATE TRIGGER g AFTER INSERT ON t BEGIN ${text}; END`),
  ];
}

test("a view or trigger that names the internal table is refused when it is made, whatever the quotes; one that only speaks of it is not", (context) => {
  const db = database(context);
  for (const name of STATE_NAMES) {
    for (const sql of programsThatName(name)) {
      for (const [way, result] of everyWay(db, sql).entries()) assert.match(result, /"error"/, `${sql} ${way}: ${result}`);
      assert.match(db.execute([sql]), new RegExp(`"error":"table ${name} is Pumice's own"`), sql);
    }
    assert.match(db.execute([`CREATE VIEW ${name} AS SELECT 1`]), /"error"/);
  }
  const spoken = [
    "CREATE VIEW v1 AS SELECT name FROM sqlite_master WHERE name <> 'sqlite_pumice' AND name NOT IN ('_pumice', 'x') -- not _pumice",
  ];
  spoken.push("CREATE VIEW v2 AS SELECT '_pumice' AS a, my_pumice, _pumice_x FROM (SELECT 1 AS my_pumice, 2 AS _pumice_x)");
  spoken.push("CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO ft VALUES('SELECT * FROM _pumice'); /* _pumice */ END");
  for (const sql of spoken) assert.equal(db.execute([sql]), '{"results":[{}]}', sql);
  const read = db.execute(["SELECT * FROM v1", "SELECT * FROM v2"], { kind: "request" });
  assert.doesNotMatch(read, /"error"/);
  assert.match(read, /\[\["_pumice",1,2\]\]/);
});

test("functions and tables that reach files, pages or Pumice's inside are refused", (context) => {
  const db = database(context);
  const file = join(temporaryFolder(context), "secret");
  writeFileSync(file, "secret");
  const attempts = [
    `SELECT load_extension('${EXTENSION}')`,
    "SELECT pumice_enter(1, 2, 3)",
    "SELECT pumice_leave()",
    "INSERT INTO t VALUES(pumice_flags(1), 1)",
    `SELECT pumice_copy('file:${file}', 'file:${file}2')`,
    "SELECT fts3_tokenizer('simple', x'00')",
    `SELECT readfile('${file}')`,
    `SELECT writefile('${file}', 'x')`,
    "SELECT * FROM sqlite_dbpage",
    "UPDATE sqlite_dbpage SET data = zeroblob(4096) WHERE pgno = 1",
    "INSERT INTO t SELECT pgno, 1 FROM dbstat",
    "SELECT * FROM sqlite_stmt",
    "CREATE VIRTUAL TABLE x USING csv(filename='/etc/passwd')",
    "CREATE VIRTUAL TABLE x USING dbstat",
    "CREATE VIRTUAL TABLE x USING sqlite_dbpage",
    "UPDATE ft_data SET block = x'00'",
    "DELETE FROM ft_content",
    "INSERT INTO sqlite_schema VALUES('table', 'x', 'x', 0, 'CREATE TABLE x(y)')",
    "UPDATE sqlite_master SET sql = 'x'",
    "DELETE FROM sqlite_schema",
    "CREATE TEMP TABLE x(y)",
    "CREATE TABLE temp.x(y)",
    "CREATE TABLE temp.x AS SELECT 1",
    "CREATE VIRTUAL TABLE temp.x USING fts5(y)",
    "CREATE VIEW temp.x AS SELECT 1",
    "CREATE TRIGGER temp.g AFTER INSERT ON t BEGIN SELECT 1; END",
    "CREATE TEMP VIEW x AS SELECT 1",
    "CREATE TEMP TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END",
  ];
  for (const sql of attempts)
    for (const [way, result] of everyWay(db, sql).entries()) assert.match(result, /"error"/, `${sql} ${way}: ${result}`);
  assert.match(db.execute(["CREATE TABLE d(a DEFAULT (pumice_leave()))", "INSERT INTO d DEFAULT VALUES"]), /"error"/);
  assert.match(db.execute(["CREATE VIEW w AS SELECT pumice_leave()", "SELECT * FROM w"], { kind: "request" }), /\{\},\{"error"/);
  assert.equal(existsSync(`${file}2`), false);
});

test("what people do need still works: FTS and R-Tree with their commands, ALTER, triggers, generated columns, REINDEX, ANALYZE", (context) => {
  const db = database(context);
  const statements = [
    "INSERT INTO ft VALUES('hello')",
    "INSERT INTO ft(ft) VALUES('optimize')",
    "INSERT INTO ft(ft, rank) VALUES('rank', 'bm25(2.0)')",
    "CREATE VIRTUAL TABLE f4 USING fts4(a)",
    "INSERT INTO f4 VALUES('x')",
    "INSERT INTO f4(f4) VALUES('optimize')",
    "INSERT INTO f4(f4) VALUES('rebuild')",
    "CREATE VIRTUAL TABLE voc USING fts5vocab(ft, 'row')",
    "SELECT * FROM voc",
    "CREATE VIRTUAL TABLE rt USING rtree(id, a, b)",
    "INSERT INTO rt VALUES(1, 2, 3)",
    "CREATE VIRTUAL TABLE gp USING geopoly(x)",
    "INSERT INTO gp(_shape) VALUES('[[0,0],[1,0],[0,1],[0,0]]')",
    "ALTER TABLE t ADD COLUMN c",
    "ALTER TABLE t RENAME COLUMN c TO d",
    "ALTER TABLE t RENAME TO t2",
    "ALTER TABLE t2 DROP COLUMN d",
    "CREATE TABLE gen(a, b AS (a + 1) STORED)",
    "CREATE INDEX gi ON gen(b)",
    "REINDEX",
    "ANALYZE",
    "SELECT * FROM json_each('[1]')",
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 3) SELECT * FROM n",
    "DROP TABLE rt",
    "DROP TABLE f4",
  ];
  for (const sql of statements) assert.doesNotMatch(db.execute([sql], { kind: "request" }), /"error"/, sql);
});

test("the tables of PRAGMAs go by the same rules in any spelling, and whatever was asked before", (context) => {
  const db = database(context);
  for (const table of [
    "pragma_data_version",
    "PRAGMA_data_version",
    "Pragma_Data_Version",
    '"PRAGMA_database_list"',
    "[pragma_PAGE_COUNT]",
  ]) {
    for (const sql of [
      `INSERT INTO t SELECT *, 1 FROM ${table}`,
      `INSERT INTO t SELECT 1, 2 FROM main.${table}`,
      `CREATE TABLE x AS SELECT * FROM ${table}`,
    ])
      for (const [way, result] of everyWay(db, sql).entries()) assert.match(result, /"error"/, `${sql} ${way}: ${result}`);
  }
  assert.match(db.execute(["SELECT count(*) FROM t"], { kind: "request" }), /\[\[1\]\]/);
});

test("a table of the user's is a table, whatever it is called: read, written, altered and dropped", (context) => {
  const db = database(context);
  const reader = Reader.open({ path: db.path, extensionPath: EXTENSION, files: systemFiles, monotonic: () => 0 });
  context.after(() => reader.close());
  for (const name of ["pragma_settings", "Pragma_Data_Version", "bytecode", "tables_used", "dbstat"]) {
    const lower = name.toLowerCase();
    for (const sql of [
      `CREATE TABLE ${name}(a)`,
      `INSERT INTO ${lower} VALUES(1)`,
      `UPDATE ${name} SET a = 2`,
      `ALTER TABLE ${name} ADD COLUMN b`,
    ])
      assert.doesNotMatch(db.execute([sql]), /"error"/, sql);
    let text = "";
    reader.readMany([{ statements: [{ sql: `SELECT a FROM ${lower}` }] }], (_, result) => (text = String(result.results)));
    assert.match(text, /\[\[2\]\]/, name);
    assert.doesNotMatch(db.execute([`CREATE TABLE c AS SELECT * FROM ${name}`, "DROP TABLE c", `DROP TABLE ${lower}`]), /"error"/, name);
    assert.match(db.execute([`INSERT INTO t SELECT 1, 2 FROM ${name}`]), /"error"/, name);
  }
});

test("statements that change the schema answer without columns", (context) => {
  const db = database(context);
  for (const sql of [
    "ALTER TABLE t ADD COLUMN c",
    "ALTER TABLE t RENAME COLUMN c TO d",
    "ALTER TABLE t DROP COLUMN d",
    "ALTER TABLE t RENAME TO t3",
    "CREATE INDEX i ON t3(a)",
    "REINDEX",
    "ANALYZE",
    "DROP INDEX i",
  ]) {
    assert.doesNotMatch(db.execute([sql]), /columns|"error"/, sql);
    assert.match(db.execute([`EXPLAIN ${sql}`], { kind: "request" }), /columns|"error"/, sql);
  }
});

test("VACUUM runs alone, may run again, and is refused in company", (context) => {
  const db = database(context);
  db.execute(["DELETE FROM t", "INSERT INTO t VALUES(1, 1), (2, 2)", "DELETE FROM t WHERE a = 1"]);
  for (let i = 0; i < 3; i++) assert.equal(db.execute(["VACUUM;"]), '{"results":[{}]}');
  assert.equal(db.execute(["/* x */ VACUUM main"], { kind: "request" }), '{"results":[{}]}');
  for (const result of [
    db.execute(["VACUUM", "SELECT 1"]),
    db.execute(["VACUUM"], { transaction: true }),
    db.execute(["SELECT 1; VACUUM"]),
  ]) {
    assert.match(result, /VACUUM must be the only statement/);
  }
  assert.equal(db.execute(["VACUUM nowhere"]), '{"results":[{"error":"unknown database nowhere"}]}');
  const spoof = "CREATE TRIGGER g BEFORE INSERT ON t BEGIN SELECT RAISE(ABORT, 'cannot VACUUM from within a transaction'); END";
  assert.equal(db.execute([spoof, "INSERT INTO t VALUES(5, 5)"]), '{"results":[{},{"error":"cannot VACUUM from within a transaction"}]}');
});

test("readers: nothing writes, whatever it is called, and nothing reaches files", (context) => {
  const db = database(context);
  const reader = Reader.open({ path: db.path, extensionPath: EXTENSION, files: systemFiles, monotonic: () => performance.now() });
  context.after(() => reader.close());
  const read = (sql: string): string => {
    let text = "";
    reader.readMany([{ statements: [{ sql }] }], (_, result) => (text = envelope(result)));
    return text;
  };
  const writes = [
    "INSERT INTO t VALUES(1, 1)",
    "DELETE FROM t",
    "CREATE TABLE x(y)",
    "DROP TABLE t",
    "UPDATE t SET a = 1 RETURNING a",
    "REINDEX",
    "ANALYZE",
    "INSERT INTO ft(ft) VALUES('rebuild')",
    "CREATE TEMP TABLE x(y)",
    "WITH x AS (SELECT 1) DELETE FROM t",
    "VACUUM",
  ];
  for (const sql of writes)
    for (const text of [sql, `/**/ ${sql}`, `SELECT 1; ${sql}`])
      assert.match(read(text), /"error":"(attempt to change database via query operation|temporary|ATTACH|cannot VACUUM)/, text);
  for (const sql of [
    "BEGIN",
    "COMMIT",
    "SAVEPOINT x",
    "ATTACH ':memory:' AS x",
    "DETACH main",
    "SELECT load_extension('x')",
    "SELECT pumice_leave()",
    "SELECT * FROM _pumice",
    "SELECT * FROM sqlite_pumice",
    "SELECT k FROM 'SQLITE_pumice'",
    "SELECT * FROM sqlite_dbpage",
    "PRAGMA foreign_keys=1",
    "PRAGMA writable_schema=1",
    "PRAGMA user_version=3",
    "PRAGMA temp_store_directory='/tmp'",
  ]) {
    for (const text of [sql, `SELECT 1;${sql}`]) assert.match(read(text), /"error"/, text);
  }
  for (const sql of ["PRAGMA journal_mode=DELETE", "/**/PRAGMA query_only=OFF", "SELECT 1; PRAGMA wal_checkpoint"])
    assert.equal(read(sql), DISALLOWED, sql);
  for (const sql of [
    "PRAGMA journal_mode",
    "PRAGMA table_info(t)",
    "SELECT * FROM pragma_table_info('t')",
    "PRAGMA compile_options",
    "PRAGMA page_count",
    "SELECT * FROM dbstat LIMIT 1",
    "EXPLAIN DELETE FROM t",
    "SELECT datetime('now', 'localtime')",
  ]) {
    assert.doesNotMatch(read(sql), /"error"/, sql);
  }
});
