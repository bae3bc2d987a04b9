/** Simple reads on the main thread: the same answers as a reader thread's, or none, and never for long. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { systemFiles } from "../../src/host/mod.ts";
import { InlineReader, type SqlRead, Reader, type SqlReadResult } from "../../src/sql/mod.ts";
import { Database, EXTENSION, temporaryFolder } from "./support/database.ts";

function open(context: TestContext) {
  const db = new Database(join(temporaryFolder(context), "db"));
  const clock = { nowMs: 0, eachCallMs: 0 };
  const options = { path: db.path, extensionPath: EXTENSION, foreignKeys: false };
  db.execute([
    "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT, data BLOB, flag BOOLEAN, at DATETIME, real REAL)",
    "CREATE INDEX by_name ON p(name)",
    "CREATE TABLE w(k TEXT PRIMARY KEY, v) WITHOUT ROWID",
    "CREATE VIRTUAL TABLE ft USING fts5(a)",
    "INSERT INTO ft VALUES('text')",
    "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000) INSERT INTO p SELECT n, 'name ' || n, x'00ff', n % 2, n, n / 2.0 FROM s",
    "INSERT INTO w SELECT name, id FROM p WHERE id < 100",
  ]);
  const reader = Reader.open({ ...options, files: systemFiles, monotonic: () => 0 });
  const inline = new InlineReader({ ...options, monotonic: () => (clock.nowMs += clock.eachCallMs) });
  context.after(() => {
    inline.close();
    reader.close();
    db.machine.close();
  });
  const ask = (request: SqlRead): SqlReadResult => {
    let found: SqlReadResult | undefined;
    reader.readMany([request], (_, result) => (found = result));
    assert.ok(found !== undefined);
    return found;
  };
  return { db, ask, inline, clock };
}

const one = (sql: string, params: SqlRead["statements"][0]["params"] = []): SqlRead => ({ statements: [{ sql, params }] });

const SIMPLE: readonly SqlRead[] = [
  one("SELECT * FROM p WHERE id = 7"),
  one("SELECT * FROM p WHERE id = ?", [9n]),
  one("SELECT id, name FROM p WHERE name = :n;", [{ name: "n", value: "name 12" }]),
  one("SELECT v FROM w WHERE k = ?", ["name 5"]),
  one("SELECT v, k FROM w WHERE k = ?", ["no such"]),
  one("SELECT id FROM p WHERE id > ? ORDER BY id LIMIT 5", [100n]),
  one("SELECT p.name, w.v FROM w JOIN p ON p.id = w.v WHERE w.k = 'name 9'"),
  one("SELECT real, flag, at FROM p WHERE id = 3"),
  one("SELECT 1"),
];

test("a reader finds a text simple when it sees it again, and the inline reader then gives the very same answer, in every format", (context) => {
  const { ask, inline } = open(context);
  for (const request of SIMPLE) {
    const { sql } = request.statements[0] ?? { sql: "" };
    assert.equal(ask(request).isSimple, undefined, `the first time it is not looked at: ${sql}`);
    for (const format of [undefined, { associative: true }, { blobArray: true }, { qualifyColumns: true }]) {
      const { isSimple, ...expected } = ask({ ...request, format });
      assert.equal(isSimple, true, sql);
      assert.deepEqual(inline.read({ ...request, format }), expected, sql);
    }
  }
});

test("what may take long in one step, and what is no plain read, is never found simple", (context) => {
  const { ask } = open(context);
  const others = [
    "SELECT count(*) FROM p",
    "SELECT sum(id) FROM p WHERE id < 3",
    "SELECT * FROM p WHERE name LIKE '%a%a%a'",
    "SELECT hex(zeroblob(1000))",
    "SELECT datetime('now')",
    "SELECT random()",
    "SELECT name FROM p ORDER BY real",
    "SELECT DISTINCT flag FROM p",
    "SELECT a FROM ft WHERE ft MATCH 'text'",
    "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 9) SELECT n FROM s",
    "PRAGMA table_info(p)",
    "SELECT * FROM pragma_table_info('p')",
    "EXPLAIN SELECT 1",
    "SELECT 1; SELECT 2",
    "SELECT nope",
    "DELETE FROM p WHERE id = 1",
    "-- nothing",
  ];
  for (const sql of others) for (let i = 0; i < 3; i++) assert.equal(ask(one(sql)).isSimple, undefined, sql);
  const simple = one("SELECT 1");
  for (let i = 0; i < 3; i++) {
    assert.equal(ask({ ...simple, timings: true }).isSimple, undefined, "timings are a reader's");
    assert.equal(ask({ statements: [...simple.statements, ...simple.statements] }).isSimple, undefined);
  }
});

test("a write, and a change of the schema, that was applied before the read is seen by it", (context) => {
  const { db, ask, inline } = open(context);
  const request = one("SELECT * FROM w WHERE k = ?", ["name 1"]);
  for (let i = 0; i < 20; i++) {
    db.execute([`UPDATE w SET v = ${i} WHERE k = 'name 1'`]);
    assert.match(String(inline.read(request)?.results), new RegExp(`"name 1",${i}[,\\]]`));
    if (i % 5 !== 0) continue;
    db.execute([`ALTER TABLE w ADD COLUMN c${i} DEFAULT 'c'`]);
    assert.equal(inline.read(request), undefined, "columns of the schema before are never given");
    assert.deepEqual(inline.read(request), ask({ ...request, timings: false }));
  }
  db.execute(["DROP TABLE w"]);
  assert.equal(inline.read(request), undefined);
});

test("what is wrong, too large or takes too long is left to a reader, and holds no checkpoint back", (context) => {
  const { db, inline } = open(context);
  db.execute(["CREATE TABLE big(id INTEGER PRIMARY KEY, v)", "INSERT INTO big VALUES(1, zeroblob(20000)), (2, zeroblob(100))"]);
  const left = [
    one("SELECT nope FROM p"),
    one("SELECT * FROM p WHERE id = ?"),
    one("DELETE FROM p WHERE id = 1"),
    one("SELECT v FROM big WHERE id = 1"),
    one("SELECT * FROM p WHERE id > 0"),
    one("SELECT a.id FROM p AS a JOIN p AS b ON b.real > a.real + 100000 WHERE a.id > 0"),
    one("SELECT * FROM sqlite_pumice WHERE k = 'applied'"),
  ];
  assert.equal(inline.read(one("SELECT 1")), undefined, "the schema has changed since it was opened");
  for (const request of left) {
    const startedMs = performance.now();
    assert.equal(inline.read(request), undefined, request.statements[0]?.sql);
    assert.ok(performance.now() - startedMs < 2000, "bounded, whatever the machine does beside");
    assert.equal(db.machine.checkpoint("truncate").busy, false, request.statements[0]?.sql);
    db.execute(["INSERT INTO big(v) VALUES(1)"]);
  }
  assert.match(String(inline.read(one("SELECT id FROM big WHERE id = 2"))?.results), /\[\[2\]\]/);
});

test("a read that took long is paid for: for twenty times as long none is run", (context) => {
  const { inline, clock } = open(context);
  const request = one("SELECT id FROM p WHERE id = 1");
  assert.ok(inline.read(request) !== undefined);
  clock.eachCallMs = 10;
  assert.ok(inline.read(request) !== undefined);
  clock.eachCallMs = 0;
  clock.nowMs += 199;
  assert.equal(inline.read(request), undefined);
  clock.nowMs += 2;
  assert.ok(inline.read(request) !== undefined);
});

test("a simple read whose table has lost or got a column goes to a reader, which gives the new columns", (context) => {
  const db = new Database(join(temporaryFolder(context), "db"));
  db.execute(["CREATE TABLE t(a INTEGER, b INTEGER)", "INSERT INTO t VALUES(1, 2)"]);
  const inline = new InlineReader({ path: db.path, extensionPath: EXTENSION, foreignKeys: false, monotonic: () => 0 });
  context.after(() => {
    inline.close();
    db.machine.close();
  });
  const ask = (): string => String(inline.read(one("SELECT * FROM t WHERE rowid = 1"))?.results);
  assert.match(ask(), /\[\[1,2\]\]/);
  for (const [change, values] of [
    ["ALTER TABLE t DROP COLUMN b", "[[1]]"],
    ["ALTER TABLE t ADD COLUMN c DEFAULT 5", "[[1,5]]"],
  ] as const) {
    db.execute([change]);
    assert.equal(ask(), "undefined", change);
    assert.ok(ask().includes(`"values":${values}`), change);
  }
});
