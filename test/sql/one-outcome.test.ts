/** What an entry could see of the past of its connection or process, and what SQLite draws from its own generator: one outcome all the same. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import * as host from "../../src/host/mod.ts";
import * as sql from "../../src/sql/mod.ts";
import { tryScenario } from "./support/batching.ts";
import { command, Database, EXTENSION, temporaryFolder } from "./support/database.ts";

const SEVEN = "SELECT 1 AS a, 2 AS a, 3 AS a, 4 AS a, 5 AS a, 6 AS a, 7 AS a";

test("a name of a column that SQLite would draw by lot is an error of the statement, and nothing of it is stored", (context) => {
  const db = new Database(join(temporaryFolder(context), "db"));
  context.after(() => db.machine.close());
  const text = /more than 5 columns are called a: SQLite would name the others at random; name them with AS/;
  for (const statement of [`CREATE TABLE t AS ${SEVEN}`, `CREATE TABLE t AS SELECT * FROM (${SEVEN})`]) {
    assert.match(db.execute([statement]), text);
    assert.match(db.execute([statement], { transaction: true }), text);
    assert.match(db.execute(["SELECT count(*) FROM sqlite_schema WHERE name = 't'"], { kind: "request" }), /\[\[0\]\]/);
  }
  assert.match(db.execute([`SELECT * FROM (${SEVEN})`], { kind: "request" }), text);
  for (const statement of [
    "CREATE TABLE five AS SELECT 1 AS a, 2 AS a, 3 AS a, 4 AS a, 5 AS a, 6 AS b, 7 AS c",
    'CREATE TABLE named("a:1", "a:2", "a:3", "a:4", "a:7", b)',
    "CREATE TABLE d AS SELECT 1 AS a, 2 AS b, 3 AS c, 4 AS d, 5 AS e, 6 AS f, 7 AS g",
  ])
    assert.doesNotMatch(db.execute([statement]), /"error"/, statement);
});

test("a full-text table whose content table was made again gives one outcome, whatever the connection has seen before", () => {
  for (const module of ["fts4", "FTS3", '"fts4"'])
    for (const changes of [
      ["DROP TABLE c", "CREATE TABLE c(a)", "INSERT INTO c VALUES(1)"],
      ["ALTER TABLE c DROP COLUMN b"],
      ["ALTER TABLE c RENAME TO d", "CREATE TABLE c(x, y, z)"],
    ]) {
      const entries = [
        ["CREATE TABLE c(a, b)"],
        [`CREATE VIRTUAL TABLE f USING ${module}(content=c)`],
        ["INSERT INTO f(docid, a, b) VALUES(1, 1, 2)"],
        changes,
        ["CREATE TABLE r AS SELECT * FROM f"],
        ["INSERT INTO f(docid, a) VALUES(2, 3)"],
        [...changes, "SELECT * FROM f", "CREATE TABLE r2 AS SELECT * FROM f"],
        ["SELECT * FROM f"],
      ].map((statements) => command(statements, { kind: "request" }));
      assert.equal(tryScenario({ sql, host, extensionPath: EXTENSION }, entries), undefined, `${module} ${changes.join()}`);
    }
});
