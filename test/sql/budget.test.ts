/** A write ends by the budget of its entry, alike on every connection, and an endless one hurts nobody for long. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { STEPS_MIN } from "../../src/sql/mod.ts";
import { Database, temporaryFolder } from "./support/database.ts";

const TIMEOUT = /"error":"execute timeout"/;

function open(context: TestContext, name: string, prepare: readonly string[] = []): Database {
  const db = new Database(join(temporaryFolder(context), name));
  context.after(() => db.machine.close());
  db.execute(["CREATE TABLE t(a)", "CREATE VIRTUAL TABLE ft USING fts5(a)", "INSERT INTO ft VALUES('word one'), ('word two')"]);
  for (const sql of prepare) db.execute([sql], { kind: "request" });
  return db;
}

/** About 3 million steps, FTS5 among them, in one statement, undone at its end: the database stays as it is. */
const WORK = [
  "INSERT INTO t SELECT count(*) FROM (WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 200000) SELECT x FROM n)",
  "INSERT INTO t SELECT count(*) FROM ft WHERE ft MATCH 'word'",
  "INSERT INTO t SELECT * FROM no_such_table",
];

/** The smallest budget, in thousands of steps, with which the work does not time out. */
function threshold(db: Database): number {
  const passes = (thousands: number): boolean => !TIMEOUT.test(db.execute(WORK, { steps: thousands * 1000, transaction: true }));
  let [low, high] = [STEPS_MIN / 1000, 10_000];
  assert.equal(passes(low), false, "the work is more than the smallest budget");
  assert.equal(passes(high), true);
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (passes(middle)) high = middle;
    else low = middle;
  }
  return high;
}

test("the budget at which an entry passes is the same to the last thousand steps, whatever the connection has seen before", (context) => {
  const fresh = threshold(open(context, "fresh"));
  const past = [
    "SELECT * FROM ft WHERE ft MATCH 'one'",
    "SELECT * FROM t",
    ...WORK,
    ...WORK,
    "INSERT INTO t VALUES(1)",
    "DELETE FROM t",
    "SELECT * FROM ft",
  ];
  const db = open(context, "seasoned", past);
  assert.equal(threshold(db), fresh);
  db.reopen();
  assert.equal(threshold(db), fresh);
});

test("an entry that needs between half of its budget and all of it passes", (context) => {
  const db = open(context, "db");
  const needed = threshold(db) * 1000;
  assert.doesNotMatch(db.execute(WORK, { steps: needed, transaction: true }), TIMEOUT);
  assert.doesNotMatch(db.execute(WORK, { steps: Math.floor(needed * 1.5), transaction: true }), TIMEOUT);
  assert.match(db.execute(WORK, { steps: needed - 1000, transaction: true }), TIMEOUT);
});

test("statements before the budget is spent stay, the one that spends it and those after it do not", (context) => {
  const db = open(context, "db");
  const endless = "WITH RECURSIVE w(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM w) INSERT INTO t SELECT x FROM w";
  assert.equal(
    db.execute(["INSERT INTO t VALUES(1)", endless, "INSERT INTO t VALUES(2)"], { steps: 1 }),
    '{"results":[{"last_insert_id":1,"rows_affected":1},{"error":"execute timeout"},{"error":"execute timeout"}]}',
  );
  assert.equal(
    db.execute(["INSERT INTO t VALUES(1)", endless], { steps: 1, transaction: true }),
    '{"results":[{"last_insert_id":2,"rows_affected":1},{"error":"execute timeout"}]}',
  );
  assert.equal(
    db
      .execute(["SELECT 1", endless.replace("INSERT INTO t SELECT x", "SELECT count(*)")], { steps: 1, kind: "request" })
      .endsWith('{"error":"execute timeout"}]}'),
    true,
  );
  assert.match(db.execute(["SELECT a FROM t"], { kind: "request" }), /"values":\[\[1\]\]/);
});

test("values are limited in size, so that one statement cannot ask for all the memory", (context) => {
  const db = open(context, "db");
  for (const sql of [
    "INSERT INTO t VALUES(zeroblob(200000000))",
    "SELECT hex(zeroblob(100000000))",
    "SELECT replace(hex(zeroblob(1000000)), '0', hex(zeroblob(1000)))",
  ]) {
    assert.match(db.execute([sql], { kind: "request" }), /"error":"string or blob too big"/, sql);
  }
});
