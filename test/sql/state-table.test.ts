/** The internal table: its name keeps it out of the sight of tools, an older database is upgraded once, and no copy carries it. */
import assert from "node:assert/strict";
import { copyFileSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { isPumiceError } from "../../src/base/mod.ts";
import { systemFiles } from "../../src/host/mod.ts";
import { type EntryResult, Reader } from "../../src/sql/mod.ts";
import { contentOf } from "./support/batching.ts";
import { Database, EXTENSION, openMachine, temporaryFolder } from "./support/database.ts";

/** A database as it was when the table was called `_pumice`: entry 3 of term 1 is applied, session 3 has sequence 9, load 7 has piece 0. */
const FORMAT_1 = fileURLToPath(new URL("golden/state-v1.db", import.meta.url));
const TABLE_1 = "CREATE TABLE _pumice(k TEXT PRIMARY KEY NOT NULL, a INTEGER, b INTEGER, v BLOB) WITHOUT ROWID";
const TABLE_2 = TABLE_1.replace("_pumice", "sqlite_pumice");
const OPEN_SCHEMA = "PRAGMA writable_schema = ON";

function copyOfFormat1(context: TestContext): string {
  const path = join(temporaryFolder(context), "db");
  copyFileSync(FORMAT_1, path);
  return path;
}

function edit(path: string, sql: string): void {
  const database = new DatabaseSync(path);
  database.enableDefensive(false);
  database.exec(sql);
  database.close();
}

function names(path: string): string[] {
  const database = new DatabaseSync(path);
  const rows = database.prepare("SELECT name FROM sqlite_schema WHERE name LIKE '%pumice%' ORDER BY name").all();
  database.close();
  return rows.map((row) => String(row["name"]));
}

test("a database of format 1 is upgraded when it is opened: nothing of the user's changes, nothing of the state is lost", (context) => {
  const path = copyOfFormat1(context);
  const ofUser = (lines: readonly string[]): string[] => lines.filter((line) => !line.includes("_pumice"));
  const before = ofUser(contentOf(path));
  const db = new Database(path);
  context.after(() => db.machine.close());
  assert.deepEqual(db.machine.applied, { index: 3, term: 1 });
  const requestId = { session: 3n, sequence: 9n };
  assert.equal(
    db.execute(["INSERT INTO t(v) VALUES('once')"], { requestId }),
    '{"results":[{"last_insert_id":3,"rows_affected":1}]}',
    "the stored outcome, and nothing is inserted",
  );
  assert.match(
    db.apply({ kind: "load-commit", timeMs: 1, seed: 1n, steps: 0, load: 7n, chunkCount: 1, sizeBytes: 7 }).error ?? "",
    /not a SQLite database/,
    "the piece is there: else it would be missing",
  );
  db.machine.close();
  assert.deepEqual(names(path), ["sqlite_pumice"]);
  assert.deepEqual(ofUser(contentOf(path)), before);
  db.reopen();
  assert.equal(db.machine.applied.index, 5);
});

test("an upgrade that is cut off at any byte of the WAL is done again at the next open, and applies nothing twice", (context) => {
  const path = copyOfFormat1(context);
  openMachine(path).close();
  const wal = readFileSync(`${path}-wal`);
  assert.ok(wal.length > 4096);
  for (let length = 0; length < wal.length; length += 1009) {
    for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
    copyFileSync(FORMAT_1, path);
    const writer = systemFiles.open(`${path}-wal`, "create");
    writer.write(wal.subarray(0, length), 0);
    writer.close();
    const machine = openMachine(path);
    assert.deepEqual(machine.applied, { index: 3, term: 1 }, `length ${length}`);
    machine.close();
    assert.deepEqual(names(path), ["sqlite_pumice"], `length ${length}`);
  }
});

test("what is no state of ours is refused, with what was found", (context) => {
  const folder = temporaryFolder(context);
  const cases: readonly (readonly [string, Readonly<Record<string, unknown>>])[] = [
    ["CREATE TABLE _pumice(x)", { table: "_pumice", reason: "not made by Pumice" }],
    [`${TABLE_1}; INSERT INTO _pumice VALUES('format', 7, NULL, NULL)`, { table: "_pumice", format: "7" }],
    [`${OPEN_SCHEMA}; ${TABLE_2}; INSERT INTO sqlite_pumice VALUES('format', 3, NULL, NULL)`, { format: "3", known: 2 }],
    [
      `${OPEN_SCHEMA}; ${TABLE_1}; ${TABLE_2}; INSERT INTO _pumice VALUES('format', 1, NULL, NULL), ('applied', 5, 1, NULL);
        INSERT INTO sqlite_pumice VALUES('format', 2, NULL, NULL), ('applied', 5, 1, NULL)`,
      { reason: "an older program has written to this database" },
    ],
  ];
  for (const [i, [sql, details]] of cases.entries()) {
    const path = join(folder, String(i));
    edit(path, sql);
    assert.throws(
      () => openMachine(path),
      (error) => isPumiceError(error, "SQL_STATE") && Object.entries(details).every(([name, value]) => error.details[name] === value),
      sql,
    );
  }
});

test("the empty table that an older program left before it gave up is dropped", (context) => {
  const path = join(temporaryFolder(context), "db");
  openMachine(path).close();
  edit(path, `${TABLE_1}; INSERT INTO _pumice(k, a, b) VALUES ('applied', 0, 0), ('format', 1, NULL)`);
  openMachine(path).close();
  assert.deepEqual(names(path), ["sqlite_pumice"]);
});

test("the schema is closed again after the table is made, and a reserved name is nobody else's", (context) => {
  const db = new Database(join(temporaryFolder(context), "db"));
  context.after(() => db.machine.close());
  for (const sql of ["CREATE TABLE sqlite_x(a)", "UPDATE sqlite_schema SET sql = sql", "CREATE TABLE sqlite_pumice(a)"])
    assert.match(db.execute([sql]), /"error"/, sql);
  assert.equal(db.execute(["VACUUM"]), '{"results":[{}]}');
  assert.equal(db.execute(["REINDEX"]), '{"results":[{}]}');
  db.execute(["CREATE TABLE t(a)", "ALTER TABLE t RENAME TO u", "ALTER TABLE u RENAME COLUMN a TO b", "ANALYZE"]);
  assert.deepEqual(names(db.path), ["sqlite_pumice"], "it outlives VACUUM and changes of the schema");
});

/** Loads the bytes as one piece. */
function load(db: Database, bytes: Uint8Array): EntryResult {
  const stamp = { timeMs: 1, seed: 1n, steps: 0, load: 8n };
  db.apply({ kind: "load-chunk", ...stamp, number: 0, bytes });
  return db.apply({ kind: "load-commit", ...stamp, chunkCount: 1, sizeBytes: bytes.length });
}

test("a load drops the internal table of another node, of either format, and of both", (context) => {
  const folder = temporaryFolder(context);
  const db = new Database(join(folder, "db"));
  context.after(() => db.machine.close());
  const made = join(folder, "made");
  const rows = "VALUES('applied', 99, 9, NULL), ('format', 2, NULL, NULL)";
  const cases = [
    `${TABLE_1}; INSERT INTO _pumice ${rows}`,
    `${TABLE_2}; INSERT INTO sqlite_pumice ${rows}`,
    `${TABLE_1}; ${TABLE_2}; INSERT INTO sqlite_pumice ${rows}`,
    `PRAGMA page_size = 1024; ${TABLE_2}; INSERT INTO sqlite_pumice ${rows}`,
  ];
  for (const sql of cases) {
    rmSync(made, { force: true });
    edit(made, `${OPEN_SCHEMA}; ${sql}; CREATE TABLE t(v); INSERT INTO t VALUES('b')`);
    assert.deepEqual(load(db, readFileSync(made)), { results: "" }, sql);
    assert.match(db.execute(["SELECT v FROM t"], { kind: "request" }), /\[\["b"\]\]/);
    const { index } = db.machine.applied;
    db.reopen();
    assert.equal(db.machine.applied.index, index);
    assert.deepEqual(names(db.path), ["sqlite_pumice"]);
  }
});

test("a load refuses what has the internal table's name and is none, or names it, and says which", (context) => {
  const folder = temporaryFolder(context);
  const db = new Database(join(folder, "db"));
  context.after(() => db.machine.close());
  db.execute(["CREATE TABLE old(a)"]);
  const made = join(folder, "made");
  const own = "cannot be loaded: the name is Pumice's own";
  const cases: readonly (readonly [string, string])[] = [
    ["CREATE TABLE _pumice(k, a)", `table _pumice ${own}`],
    ["CREATE VIEW _pumice AS SELECT 1", `view _pumice ${own}`],
    ["CREATE TABLE SQLITE_Pumice(k)", `table SQLITE_Pumice ${own}`],
    ["CREATE TABLE x(a); CREATE INDEX sqlite_pumice ON x(a)", `index sqlite_pumice ${own}`],
    ["CREATE TABLE x(a); CREATE TRIGGER _pumice AFTER INSERT ON x BEGIN SELECT 1; END", `trigger _pumice ${own}`],
    [
      "CREATE TABLE x(a); CREATE TRIGGER g AFTER INSERT ON x BEGIN DELETE FROM _pumice; END",
      "trigger g cannot be loaded: table _pumice is Pumice's own",
    ],
    ["CREATE VIEW v AS SELECT * FROM sqlite_pumice", "view v cannot be loaded: table sqlite_pumice is Pumice's own"],
  ];
  for (const [sql, text] of cases) {
    rmSync(made, { force: true });
    edit(made, `${OPEN_SCHEMA}; ${sql}`);
    assert.equal(load(db, readFileSync(made)).error, text, sql);
    assert.match(db.execute(["SELECT count(*) FROM old"], { kind: "request" }), /\[\[0\]\]/);
  }
});

test("no backup and no dump carries the internal table, in a packed file neither", (context) => {
  const folder = temporaryFolder(context);
  const db = new Database(join(folder, "db"));
  const reader = Reader.open({ path: db.path, extensionPath: EXTENSION, files: systemFiles, monotonic: () => 0 });
  context.after(() => {
    reader.close();
    db.machine.close();
  });
  db.execute(["CREATE TABLE t(v)", "INSERT INTO t VALUES(1)"], { requestId: { session: 1n, sequence: 1n } });
  for (const vacuum of [false, true]) {
    const target = join(folder, `copy-${vacuum}`);
    reader.backup(target, { vacuum });
    assert.equal(readFileSync(target).includes("pumice"), false);
    assert.equal(readFileSync(target).includes("session:"), false);
    assert.deepEqual(names(target), []);
    assert.deepEqual(load(db, readFileSync(target)), { results: "" });
  }
  assert.doesNotMatch([...reader.dump({})].join(""), /pumice/);
  assert.throws(
    () => [...reader.dump({ tables: ["sqlite_pumice"] })],
    (error) => isPumiceError(error, "SQL_BACKUP"),
  );
});
