/** Preparing is work too, which no budget sees: what a statement becomes when views and common table expressions are put in is bounded. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { systemFiles } from "../../src/host/mod.ts";
import { Reader } from "../../src/sql/mod.ts";
import { Database, EXTENSION, temporaryFolder } from "./support/database.ts";

const TOO_COMPLEX = /statement too complex: more than 5000 SELECTs/;

function open(context: TestContext): { db: Database; read: (sql: string) => string } {
  const db = new Database(join(temporaryFolder(context), "db"));
  const reader = Reader.open({ path: db.path, extensionPath: EXTENSION, files: systemFiles, monotonic: () => 0 });
  context.after(() => {
    reader.close();
    db.machine.close();
  });
  db.execute(["CREATE TABLE t(a)", "INSERT INTO t VALUES(1)"]);
  const read = (sql: string): string => {
    let text = "";
    reader.readMany([{ statements: [{ sql }], deadlineMs: 1000 }], (_, result) => (text = String(result.results)));
    return text;
  };
  return { db, read };
}

/** Each expression names the one before twice. */
function doubling(depth: number, as = "AS"): string {
  const first = `c0(x) ${as} (SELECT 1)`;
  const others = Array.from({ length: depth }, (_, i) => `"C${i + 1}"(x) ${as} (SELECT x FROM c${i} UNION ALL SELECT x FROM main.c${i})`);
  return `WITH ${[first, ...others].join(", ").replaceAll("main.", "")}`;
}

test("common table expressions that double each other are refused at once, in a write and in a read", (context) => {
  const { db, read } = open(context);
  const startedMs = performance.now();
  for (const as of ["AS", "AS MATERIALIZED", "AS NOT MATERIALIZED", "as/**/"]) {
    const bomb = doubling(29, as);
    assert.match(db.execute([`${bomb} INSERT INTO t SELECT count(*) FROM c29`]), TOO_COMPLEX, as);
    assert.match(read(`${bomb} SELECT count(*) FROM c29`), TOO_COMPLEX, as);
    assert.match(db.execute([`SELECT 1; INSERT INTO t SELECT * FROM (${bomb} SELECT * FROM c29)`], { script: true }), TOO_COMPLEX, as);
  }
  assert.ok(performance.now() - startedMs < 5000);
  assert.match(read(`${doubling(10)} SELECT count(*) FROM c10`), /\[\[1024\]\]/);
});

test("views that double each other are refused when they are used or named, and not before", (context) => {
  const { db, read } = open(context);
  db.execute(["CREATE VIEW v0 AS SELECT a FROM t"]);
  const startedMs = performance.now();
  for (let i = 1; i <= 10; i++) {
    const text = db.execute([`CREATE VIEW v${i} AS SELECT * FROM v${i - 1} UNION SELECT * FROM v${i - 1}`]);
    assert.equal(text, '{"results":[{}]}', String(i));
  }
  assert.match(db.execute(["CREATE VIEW v11 AS SELECT * FROM v10 UNION SELECT * FROM [V10] UNION SELECT * FROM main.v10"]), TOO_COMPLEX);
  assert.match(read("SELECT * FROM v9"), /\[\[1\]\]/);
  assert.match(read("SELECT (SELECT a FROM v9), v10.a FROM v10, v10 AS w, main.v10 AS x"), TOO_COMPLEX);
  assert.match(db.execute(["INSERT INTO t SELECT v10.a FROM v10 JOIN v10 AS w JOIN `v10` AS x"]), TOO_COMPLEX);
  assert.ok(performance.now() - startedMs < 10_000);
});

test("ordinary statements with expressions, views and columns of their names are prepared", (context) => {
  const { db, read } = open(context);
  db.execute(["CREATE VIEW v AS SELECT a FROM t"]);
  for (const sql of [
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 9) SELECT max(x) FROM n",
    "WITH a AS (SELECT 1 AS b), b AS (SELECT a.b FROM a) SELECT b.b FROM b, a",
    "SELECT v.a FROM v WHERE v.a IN (SELECT v.a FROM v)",
    `SELECT ${Array.from({ length: 400 }, () => "v.a").join(", ")} FROM v`,
    Array.from({ length: 400 }, (_, i) => `SELECT ${i}`).join(" UNION ALL "),
  ])
    assert.doesNotMatch(read(sql), /"error"/, sql.slice(0, 80));
});
