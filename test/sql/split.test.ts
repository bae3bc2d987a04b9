/** Texts of several statements: cut here, decided by SQLite, each prepared once. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import * as fc from "fast-check";
import { systemFiles } from "../../src/host/mod.ts";
import { Reader, skipBlankSql } from "../../src/sql/mod.ts";
import { runPieces, statementEnd } from "../../src/sql/connection/split.ts";
import { Database, EXTENSION, temporaryFolder } from "./support/database.ts";

function open(context: TestContext): Database {
  const db = new Database(join(temporaryFolder(context), "db"));
  context.after(() => db.machine.close());
  return db;
}

test("what follows the semicolon of a statement and is none of its own changes nothing", (context) => {
  const db = open(context);
  const reader = Reader.open({ path: db.path, extensionPath: EXTENSION, files: systemFiles, monotonic: () => 0 });
  context.after(() => reader.close());
  for (const rest of ["", " ", "\n", "\r\n\t ", "-- a comment", "\ufeff", " /* one; two */ ", ";", "; ;;\n", "\0 SELECT 2"]) {
    const sql = `SELECT 1;${rest}`;
    const expected = '{"columns":["1"],"types":["integer"],"values":[[1]]}';
    assert.equal(db.execute([sql], { kind: "request" }), `{"results":[${expected}]}`, JSON.stringify(sql));
    reader.readMany([{ statements: [{ sql }] }], (_, { results }) => assert.equal(results, expected, JSON.stringify(sql)));
    assert.equal(db.execute([`CREATE TABLE IF NOT EXISTS t(a);${rest}`]), '{"results":[{}]}');
    if (!rest.includes("\0")) assert.equal(db.execute([`VACUUM;${rest}`]), '{"results":[{}]}');
  }
});

test("what follows a semicolon and is no white space of SQL is a statement, and an error", (context) => {
  const db = open(context);
  db.execute(["CREATE TABLE t(a)"]);
  for (const rest of ["\u00a0", "\u3000", "x"]) {
    assert.match(db.execute([`INSERT INTO t VALUES(1);${rest}`]), /"error":"near/, JSON.stringify(rest));
  }
});

const STATEMENTS = [
  "SELECT 1",
  "INSERT INTO t VALUES('a;b', \"c;d\", [e;f], `g;h`)",
  "SELECT 'it''s; one' /* no; */ -- nor; this\n",
  "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT CASE WHEN 1 THEN 2 END; DELETE FROM t WHERE a = ';'; END",
  "create temp /*;*/ trigger if not exists g before delete on t begin select ';end;' ; end",
  "EXPLAIN QUERY PLAN CREATE TRIGGER g AFTER UPDATE ON t BEGIN UPDATE t SET a=1; END",
  "SELECT $a(b;c), @x, :y, ?1",
  "CREATE TABLE trigger_end(\"end\" TEXT DEFAULT 'x;y')",
  "WITH a AS (SELECT 1) SELECT * FROM a",
];

test("a text is cut where its statements were joined, whatever stands in strings, names, comments and triggers", () => {
  const spaces = fc.constantFrom("", " ", "\n", " -- c;\n", "/* ; */", ";", " ; ");
  const parts = fc.array(fc.tuple(spaces, fc.constantFrom(...STATEMENTS), spaces), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(parts, (list) => {
      const sql = list.map(([before, statement, behind]) => `${before}${statement}${behind}`).join(";");
      const found: string[] = [];
      runPieces(sql, [], ({ sql: piece }) => {
        found.push(piece);
        return { paramCount: 0, length: piece.length };
      });
      assert.equal(found.length, list.length, JSON.stringify(found));
      for (const [i, [, statement]] of list.entries()) assert.ok(found[i]?.includes(statement.trim()), JSON.stringify(found));
    }),
  );
});

test("SQLite reads what it prepares to the end at which the text was cut", () => {
  const memory = new DatabaseSync(":memory:");
  memory.exec("CREATE TABLE t(a, b, c)");
  const words = [
    "SELECT",
    "1",
    ";",
    "'",
    '"',
    "[",
    "]",
    "`",
    "--",
    "/*",
    "*/",
    "\n",
    " ",
    "CREATE",
    "TRIGGER",
    "g",
    "AFTER",
    "INSERT",
    "ON",
    "t",
    "BEGIN",
  ];
  words.push("END", "CASE", "WHEN", "THEN", "EXPLAIN", "$x", "(", ")", ":", "::", "\u00e9", "x'00'", "/", "-", "SELECT 1", "DELETE FROM t");
  words.push("CREATE TRIGGER g AFTER INSERT ON t BEGIN", "CREATE TEMP TRIGGER");
  let prepared = 0;
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...words), { minLength: 1, maxLength: 14 }), fc.constantFrom("", " "), (list, between) => {
      const joined = list.join(between);
      // Blank pieces before it are none of the statement.
      const sql = joined.slice(skipBlankSql(joined));
      // All of the text: SQLite alone says where its first statement ends.
      const whole = sourceOf(memory, sql);
      if (whole === undefined) return;
      prepared++;
      const piece = sql.slice(0, statementEnd(sql, 0));
      assert.ok(piece.startsWith(whole), JSON.stringify({ sql, whole, piece }));
      assert.equal(sourceOf(memory, piece), whole, JSON.stringify(sql));
    }),
    { numRuns: 20_000 },
  );
  assert.ok(prepared > 200, String(prepared));
});

function sourceOf(database: DatabaseSync, sql: string): string | undefined {
  try {
    return database.prepare(sql).sourceSQL;
  } catch {
    return undefined;
  }
}

test("a script of many statements is prepared in time that grows with its length", (context) => {
  const db = open(context);
  const count = 20_000;
  const script = `CREATE TABLE t(a);${Array.from({ length: count }, (_, i) => `INSERT INTO t VALUES(${i});`).join("\n")}`;
  assert.match(db.execute([script], { script: true }), /rows_affected/);
  assert.match(db.execute(["SELECT count(*), max(a) FROM t"], { kind: "request" }), /\[\[20000,19999\]\]/);
});

test("what looks like the end of a text in a string, a name or a comment is none: no statement behind it is dropped", (context) => {
  const db = open(context);
  db.execute(["CREATE TABLE t(a)", 'CREATE TABLE "n;--"(a)', "CREATE TABLE [m;/*](a)"]);
  const texts: readonly (readonly [string, string])[] = [
    ["INSERT INTO t VALUES(';--'); ", "1"],
    ["INSERT INTO t VALUES('a;/* b');\n", "2"],
    ["INSERT INTO t VALUES(4) /* one; -- two */; ", "3"],
    ["INSERT INTO t VALUES(5) -- one; /* two\n; ", "4"],
    ['INSERT INTO "n;--" VALUES(1); ', "5"],
    ["INSERT INTO [m;/*] VALUES(1); ", "6"],
    ["INSERT INTO t SELECT a AS `;--` FROM t WHERE 0; ", "7"],
  ];
  for (const [text, id] of texts) {
    assert.doesNotMatch(db.execute([`${text}INSERT INTO t VALUES('last ${id}')`]), /"error"/, text);
    assert.match(db.execute([`SELECT 1 FROM t WHERE a = 'last ${id}'`], { kind: "request" }), /\[\[1\]\]/, text);
    assert.match(db.execute([`${text}garbage`]), /syntax error/, text);
    assert.match(db.execute([`${text}garbage`], { kind: "request", transaction: true }), /syntax error/, text);
  }
});
