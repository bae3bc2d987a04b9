/**
 * SQLite's result codes and the ways in which a transaction can end, one by one: what a statement or a loaded file can cause alone is a result,
 * alike on every replica, and never stops a node; what only a machine can cause does. The machine's own cases: machine-errors.test.ts.
 */
import assert from "node:assert/strict";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { type SqliteError, type Verdict, verdictOf } from "../../src/sql/connection/errors.ts";
import type { EntryResult, SqlCommand } from "../../src/sql/mod.ts";
import { command, Database, temporaryFolder } from "./support/database.ts";
import { tryScenario } from "./support/batching.ts";
import * as host from "../../src/host/mod.ts";
import * as sql from "../../src/sql/mod.ts";
import { EXTENSION } from "./support/database.ts";

/** Every primary code of SQLite 3.53, with what it is taken for. */
const CODES: readonly (readonly [string, number, Verdict])[] = [
  ["ERROR", 1, "statement"],
  ["INTERNAL", 2, "fresh"],
  ["PERM", 3, "fresh"],
  ["ABORT", 4, "statement"],
  ["BUSY", 5, "machine"],
  ["LOCKED", 6, "statement"],
  ["NOMEM", 7, "memory"],
  ["READONLY", 8, "fresh"],
  ["INTERRUPT", 9, "statement"],
  ["IOERR", 10, "machine"],
  ["CORRUPT", 11, "file"],
  ["NOTFOUND", 12, "statement"],
  ["FULL, the disk", 13, "machine"],
  ["CANTOPEN", 14, "machine"],
  ["PROTOCOL", 15, "machine"],
  ["EMPTY", 16, "statement"],
  ["SCHEMA", 17, "fresh"],
  ["TOOBIG", 18, "statement"],
  ["CONSTRAINT", 19, "statement"],
  ["MISMATCH", 20, "statement"],
  ["MISUSE", 21, "fresh"],
  ["NOLFS", 22, "machine"],
  ["AUTH", 23, "statement"],
  ["FORMAT", 24, "statement"],
  ["RANGE", 25, "statement"],
  ["NOTADB", 26, "file"],
  ["CORRUPT_VTAB", 267, "statement"],
  ["CORRUPT_SEQUENCE", 523, "file"],
  ["CORRUPT_INDEX", 779, "file"],
  ["READONLY_DBMOVED", 1032, "machine"],
  ["BUSY_SNAPSHOT", 517, "machine"],
  ["IOERR_SHORT_READ", 522, "machine"],
];

test("each code of SQLite is taken for the statement's, the machine's, or for what has to be looked at", () => {
  for (const [name, errcode, verdict] of CODES) {
    const error: SqliteError = Object.assign(new Error(name), { errcode });
    assert.equal(
      verdictOf(error, () => true),
      verdict,
      name,
    );
  }
  const exhausted: SqliteError = Object.assign(new Error("an exhausted AUTOINCREMENT"), { errcode: 13 });
  assert.equal(
    verdictOf(exhausted, () => false),
    "statement",
  );
});

/** Statements that get an error which a damaged file, or a machine, could give as well: what to do before, the statement, its error. */
interface Case {
  readonly name: string;
  readonly before?: readonly string[];
  readonly statements: readonly string[];
  readonly more?: Partial<SqlCommand>;
  readonly error: RegExp;
}

const WRONG_FTS5 = [
  "CREATE TABLE c(id INTEGER PRIMARY KEY, t)",
  "CREATE VIRTUAL TABLE f USING fts5(t, content=c, content_rowid=id)",
  "INSERT INTO f(rowid, t) VALUES(1, 'one one one'), (2, 'two two two'), (3, 'two two two')",
  ...[1, 2, 3].map(() => "INSERT INTO f(f, rowid, t) VALUES('delete', 1, 'one')"),
];
const MADE_AND_FILLED = (module: string): string[] => [`CREATE VIRTUAL TABLE v USING ${module}`, "INSERT INTO v VALUES(1, 2, 3)"];

const CASES: readonly Case[] = [
  { name: "CORRUPT by grammar: TABLE", statements: ["CREATE TABLE IF NOT EXISTS IF(a)"], error: /malformed|syntax/ },
  { name: "CORRUPT by grammar: VIEW", statements: ["CREATE VIEW IF NOT EXISTS IF(a) AS SELECT 1"], error: /malformed|syntax/ },
  {
    name: "CORRUPT by grammar: INDEX",
    before: ["CREATE TABLE t(a)"],
    statements: ["CREATE INDEX IF NOT EXISTS IF ON t(a)"],
    error: /malformed|syntax/,
  },
  {
    name: "CORRUPT by grammar: TRIGGER",
    before: ["CREATE TABLE t(a)"],
    statements: ["CREATE TRIGGER IF NOT EXISTS IF AFTER INSERT ON t BEGIN SELECT 1; END"],
    error: /malformed|syntax/,
  },
  {
    name: "CORRUPT by grammar: VIRTUAL TABLE",
    statements: ["CREATE VIRTUAL TABLE IF NOT EXISTS IF USING fts5(a)"],
    error: /malformed|syntax/,
  },
  {
    name: "CORRUPT of FTS5 that was told wrong content",
    before: WRONG_FTS5,
    statements: ["CREATE TABLE r AS SELECT rowid FROM f WHERE f MATCH 'two' ORDER BY rank"],
    error: /malformed/,
  },
  {
    name: "CORRUPT_INDEX: a quoted text became a column",
    before: ["CREATE TABLE t(a)", 'CREATE INDEX i ON t("abc")', "INSERT INTO t VALUES(1), (2)", "ALTER TABLE t ADD COLUMN abc"],
    statements: ["DELETE FROM t WHERE a = 1"],
    error: /malformed/,
  },
  {
    name: "CORRUPT_INDEX: a quoted text in the WHERE of an index became a column",
    before: [
      "CREATE TABLE t(a)",
      `CREATE INDEX i ON t(a) WHERE "zz" <> 'zz'`,
      "INSERT INTO t VALUES(1), (2)",
      "ALTER TABLE t ADD COLUMN zz DEFAULT 'q'",
    ],
    statements: ["DELETE FROM t WHERE a = 1"],
    error: /malformed/,
  },
  ...["fts4(a, b, c)", "fts5(a, b, c)", "rtree(a, b, c)"].flatMap((module): Case[] => [
    {
      name: `ROLLBACK TO: ${module} made and filled, then an error, in a transaction`,
      statements: [...MADE_AND_FILLED(module), "INSERT INTO nope VALUES(1)"],
      more: { transaction: true },
      error: /no such table: nope/,
    },
    {
      name: `ROLLBACK TO: ${module} made and filled, then an error, in a mixed request`,
      statements: [...MADE_AND_FILLED(module), "SELECT * FROM nope"],
      more: { transaction: true, kind: "request" },
      error: /no such table: nope/,
    },
    {
      name: `ROLLBACK TO: ${module} made and filled, then an error, in a script`,
      statements: [`${MADE_AND_FILLED(module).join(";")}; INSERT INTO nope VALUES(1)`],
      more: { script: true },
      error: /no such table: nope/,
    },
    {
      name: `${module} made and filled, then a statement that fails half done, each for itself`,
      statements: [
        ...MADE_AND_FILLED(module),
        "CREATE TABLE t(a UNIQUE)",
        "INSERT INTO t VALUES(1), (2), (1)",
        "INSERT INTO v VALUES(4, 5, 6)",
      ],
      error: /UNIQUE/,
    },
    {
      name: `ROLLBACK of all by the statement itself: ${module}`,
      statements: [...MADE_AND_FILLED(module), "CREATE TABLE t(a UNIQUE)", "INSERT OR ROLLBACK INTO t VALUES(1), (1)"],
      error: /UNIQUE/,
    },
    {
      name: `a trigger that fails after it wrote ${module}`,
      before: [
        ...MADE_AND_FILLED(module),
        "CREATE TABLE t(a)",
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN INSERT INTO v VALUES(9, 9, 9); SELECT RAISE(ABORT, 'no'); END",
      ],
      statements: ["INSERT INTO t VALUES(1)"],
      more: { transaction: true },
      error: /no/,
    },
    {
      name: `a dropped ${module}, then an error, in a transaction`,
      before: MADE_AND_FILLED(module),
      statements: ["INSERT INTO v VALUES(7, 8, 9)", "DROP TABLE v", "INSERT INTO nope VALUES(1)"],
      more: { transaction: true },
      error: /no such table: nope/,
    },
  ]),
  {
    name: "INTERRUPT: the budget",
    statements: ["WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT max(x) FROM n"],
    more: { kind: "request", steps: 0 },
    error: /execute timeout/,
  },
  { name: "TOOBIG", statements: ["SELECT zeroblob(200000000)"], more: { kind: "request" }, error: /too big/ },
  {
    name: "FULL: an AUTOINCREMENT at its end",
    before: [
      "CREATE TABLE s(id INTEGER PRIMARY KEY AUTOINCREMENT)",
      "INSERT INTO s VALUES(9223372036854775806)",
      "INSERT INTO sqlite_sequence SELECT 'x', 1 WHERE 0",
      "UPDATE sqlite_sequence SET seq = 9223372036854775807",
    ],
    statements: ["INSERT INTO s DEFAULT VALUES"],
    error: /full/,
  },
  {
    name: "LOCKED: a table dropped under its own reader",
    before: ["CREATE TABLE t(a)", "INSERT INTO t VALUES(1)"],
    statements: ["SELECT nope()"],
    more: { kind: "request" },
    error: /no such function/,
  },
];

for (const each of CASES) {
  test(`a result, and the node goes on: ${each.name}`, (context) => {
    const db = new Database(join(temporaryFolder(context), "db"));
    context.after(() => db.machine.close());
    for (const text of each.before ?? []) assert.doesNotMatch(db.execute([text]), /"error"/, text);
    assert.match(db.execute(each.statements, each.more), each.error);
    assert.equal(db.execute(["CREATE TABLE after(a)"]), '{"results":[{}]}');
    db.reopen();
    assert.equal(db.execute(["INSERT INTO after VALUES(1)"]), '{"results":[{"last_insert_id":1,"rows_affected":1}]}');
  });
}

test("the same outcome in every batch and after every restart, for each of them", () => {
  for (const { name, before = [], statements, more } of CASES) {
    const entries = [
      ...before.map((text) => command([text])),
      command(statements, more),
      command(["CREATE TABLE after(a)", "INSERT INTO after VALUES(1)"]),
    ];
    const found = tryScenario({ sql, host, extensionPath: EXTENSION }, entries);
    assert.equal(found, undefined, name);
  }
});

test("a request id gets the outcome of an entry that was undone as a whole", (context) => {
  const db = new Database(join(temporaryFolder(context), "db"));
  context.after(() => db.machine.close());
  const requestId = { session: 1n, sequence: 1n };
  const first = db.execute([...MADE_AND_FILLED("fts5(a, b, c)"), "INSERT INTO nope VALUES(1)"], { transaction: true, requestId });
  assert.match(first, /no such table: nope/);
  assert.equal(db.execute(["CREATE TABLE x(a)"], { requestId }), first);
});

/** A file of stock SQLite, defensive or not. */
function made(context: TestContext, text: string): Uint8Array {
  const path = join(temporaryFolder(context), "made");
  rmSync(path, { force: true });
  const database = new DatabaseSync(path, { enableDoubleQuotedStringLiterals: true });
  database.enableDefensive(false);
  database.exec(text);
  database.close();
  return readFileSync(path);
}

function load(db: Database, bytes: Uint8Array): EntryResult {
  const stamp = { timeMs: 1, seed: 1n, steps: 0, load: 8n };
  db.apply({ kind: "load-chunk", ...stamp, number: 0, bytes });
  return db.apply({ kind: "load-commit", ...stamp, chunkCount: 1, sizeBytes: bytes.length });
}

const SCHEMA_OPEN = "PRAGMA writable_schema = ON";

test("a file is loaded or refused with a reason, whatever stands in it, and the node goes on and starts again", (context) => {
  const cases: readonly (readonly [string, string, RegExp | undefined])[] = [
    [
      "quoted text in a CHECK, another page size",
      'PRAGMA page_size = 1024; CREATE TABLE k(a CHECK (a <> "no")); INSERT INTO k VALUES(1)',
      undefined,
    ],
    [
      "quoted text in a partial index, auto-vacuum",
      'PRAGMA auto_vacuum = 1; CREATE TABLE k(a, b); CREATE INDEX i ON k(a) WHERE b <> "no"',
      undefined,
    ],
    ["quoted text in a generated column", 'PRAGMA page_size = 512; CREATE TABLE k(a, b AS (a || "x"))', undefined],
    [
      "an unknown collation",
      `PRAGMA page_size = 1024; CREATE TABLE k(a); CREATE INDEX i ON k(a); INSERT INTO k VALUES(1), (2); ${SCHEMA_OPEN};
        UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON k(a COLLATE nosuch)' WHERE name = 'i'`,
      /cannot be loaded|collation/,
    ],
    [
      "an unknown function",
      `CREATE TABLE k(a); CREATE INDEX i ON k(abs(a)); ${SCHEMA_OPEN}; UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON k(nosuch(a))' WHERE name = 'i'`,
      /cannot be loaded|damaged/,
    ],
    [
      "a module that shows this machine's file",
      "CREATE TABLE k(a); CREATE VIRTUAL TABLE ds USING dbstat",
      /virtual tables of module dbstat/,
    ],
    ["the same in quotes", 'CREATE VIRTUAL TABLE "us ing" USING "dbstat"(main)', /virtual tables of module dbstat/],
    [
      "a column called rowid",
      "CREATE TABLE k(rowid TEXT, a); INSERT INTO k(oid, rowid) VALUES(9223372036854775807, 'x')",
      /rowid 9223372036854775807/,
    ],
    ["columns with every name of the rowid", "CREATE TABLE k(rowid, oid, _rowid_); INSERT INTO k VALUES(1, 2, 3)", undefined],
    [
      "the same, and the last rowid",
      `CREATE TABLE k(a); INSERT INTO k(rowid, a) VALUES(9223372036854775807, 1); ALTER TABLE k ADD COLUMN rowid; ALTER TABLE k ADD COLUMN oid;
        ALTER TABLE k ADD COLUMN _rowid_`,
      /rowid 9223372036854775807/,
    ],
    [
      "garbage in the schema",
      `CREATE TABLE k(a); ${SCHEMA_OPEN}; INSERT INTO sqlite_schema VALUES('table', 'g', 'g', 2, 'CREATE TABLE g(a')`,
      /cannot be loaded|damaged/,
    ],
    [
      "a sqlite_sequence of another shape",
      `CREATE TABLE k(id INTEGER PRIMARY KEY AUTOINCREMENT); INSERT INTO k VALUES(1); ${SCHEMA_OPEN}; UPDATE sqlite_schema SET sql = 'CREATE TABLE sqlite_sequence(name,seq,x)' WHERE name = 'sqlite_sequence'`,
      undefined,
    ],
  ];
  const db = new Database(join(temporaryFolder(context), "db"));
  context.after(() => db.machine.close());
  for (const [name, text, error] of cases) {
    const result = load(db, made(context, text));
    if (error === undefined) assert.deepEqual(result, { results: "" }, name);
    else assert.match(result.error ?? "", error, name);
    db.execute(["INSERT INTO k DEFAULT VALUES", "DELETE FROM k"]);
    assert.match(db.execute(["DROP TABLE IF EXISTS alive", "CREATE TABLE alive(a)"]), /\{\},\{\}/, name);
    db.reopen();
    assert.match(db.execute(["INSERT INTO alive VALUES(1)"]), /rows_affected/, name);
  }
});
