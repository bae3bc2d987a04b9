import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { Worker } from "node:worker_threads";
import { isPumiceError } from "../../src/base/mod.ts";
import { systemFiles } from "../../src/host/mod.ts";
import { InterruptSwitch, Reader, type SqlRead, type SqlReadResult } from "../../src/sql/mod.ts";
import { Database, envelope, EXTENSION, temporaryFolder } from "./support/database.ts";

const ENDLESS = "WITH RECURSIVE w(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM w)";

function open(context: TestContext): { db: Database; reader: Reader } {
  const db = new Database(join(temporaryFolder(context), "db"));
  db.execute(["CREATE TABLE foo (id INTEGER NOT NULL PRIMARY KEY, name TEXT)", "INSERT INTO foo(name) VALUES('fiona')"]);
  const reader = openReader(db.path);
  context.after(() => {
    reader.close();
    db.machine.close();
  });
  return { db, reader };
}

function openReader(path: string): Reader {
  return Reader.open({ path, extensionPath: EXTENSION, files: systemFiles, monotonic: () => performance.now() });
}

function read(reader: Reader, statements: readonly string[], more: Partial<SqlRead> = {}): string {
  return envelope(readAll(reader, [{ statements: statements.map((sql) => ({ sql })), ...more }])[0] as SqlReadResult);
}

function readAll(reader: Reader, requests: readonly SqlRead[]): SqlReadResult[] {
  const results: SqlReadResult[] = [];
  reader.readMany(requests, (position, result) => {
    assert.equal(position, results.length);
    results.push(result);
  });
  return results;
}

test("reads answer as rqlite's query does", (context) => {
  const { reader } = open(context);
  assert.equal(
    read(reader, ["SELECT * FROM foo"]),
    '{"results":[{"columns":["id","name"],"types":["integer","text"],"values":[[1,"fiona"]]}]}',
  );
  assert.equal(read(reader, ["SELECT * FROM foo WHERE id = 9"]), '{"results":[{"columns":["id","name"],"types":["integer","text"]}]}');
  assert.equal(
    read(reader, ["INSERT INTO foo VALUES(2, 'x')"]),
    '{"results":[{"error":"attempt to change database via query operation"}]}',
  );
  assert.equal(read(reader, [""]), '{"results":[]}');
  assert.equal(
    read(reader, ["SELECT id FROM foo"], { format: { associative: true } }),
    '{"results":[{"types":{"id":"integer"},"rows":[{"id":1}]}]}',
  );
  assert.equal(
    read(reader, ["nope", "SELECT 1"]),
    '{"results":[{"error":"near \\"nope\\": syntax error"},{"columns":["1"],"types":["integer"],"values":[[1]]}]}',
  );
  assert.equal(read(reader, ["nope", "SELECT 1"], { transaction: true }), '{"results":[{"error":"near \\"nope\\": syntax error"}]}');
  assert.equal(read(reader, ["SELECT ?"]), '{"results":[{"error":"not enough args to execute query: want 1 got 0"}]}');
  assert.equal(read(reader, ["SELECT 1; SELECT 2; -- end"]), '{"results":[{"columns":["2"],"types":["integer"],"values":[[2]]}]}');
  assert.match(read(reader, ["SELECT 1"], { timings: true }), /"values":\[\[1\]\],"time":[0-9.e-]+\}\]\}$/);
});

test("an error in the middle of the rows takes the rows back and names the error", (context) => {
  const { reader } = open(context);
  const late =
    "SELECT CASE WHEN id < 100 THEN id ELSE abs(-9223372036854775807 - 1) END AS v FROM (WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 200) SELECT id FROM n)";
  assert.equal(read(reader, [late]), '{"results":[{"columns":["v"],"types":["integer"],"error":"integer overflow"}]}');
  assert.equal(
    read(reader, ["SELECT 1 AS a", late], { format: { associative: true } }),
    '{"results":[{"types":{"a":"integer"},"rows":[{"a":1}]},{"types":{"v":"integer"},"rows":[],"error":"integer overflow"}]}',
  );
});

test("a deadline interrupts the statement and those after it; the connection goes on", (context) => {
  const { reader } = open(context);
  const started = performance.now();
  assert.equal(
    read(reader, [`${ENDLESS} SELECT count(*) FROM w`, "SELECT 1"], { deadlineMs: 100 }).startsWith(
      '{"results":[{"error":"query timeout"}',
    ),
    true,
  );
  const took = performance.now() - started;
  assert.ok(took >= 100 && took < 5000, `${took} ms`);
  assert.match(read(reader, [`${ENDLESS} SELECT x FROM w`], { deadlineMs: 50 }), /"types":\["integer"\],"error":"query timeout"/);
  assert.equal(read(reader, ["SELECT 1"]), '{"results":[{"columns":["1"],"types":["integer"],"values":[[1]]}]}');
});

test("another thread interrupts a read, and an interrupt of an idle reader does nothing", async (context) => {
  const { db, reader } = open(context);
  const interrupt = new InterruptSwitch(EXTENSION);
  context.after(() => interrupt.close());
  interrupt.interrupt(reader.interruptHandle);
  interrupt.interrupt(-1);
  interrupt.interrupt(999_999);
  assert.match(read(reader, ["SELECT 1"]), /\[\[1\]\]/);
  const source = `
    const { parentPort, workerData } = require("node:worker_threads");
    import(workerData.sql).then(({ Reader }) => {
      const reader = Reader.open({ path: workerData.path, extensionPath: workerData.extension, files: undefined, monotonic: () => 0 });
      parentPort.postMessage(reader.interruptHandle);
      reader.readMany([{ statements: [{ sql: workerData.text }] }], (_, result) => parentPort.postMessage(result.results));
    });`;
  const workerData = {
    sql: new URL("../../src/sql/mod.ts", import.meta.url).href,
    path: db.path,
    extension: EXTENSION,
    text: `${ENDLESS} SELECT count(*) FROM w`,
  };
  const worker = new Worker(source, { eval: true, workerData });
  const result = await new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout | undefined;
    worker.on("error", reject);
    worker.on("message", (message: unknown) => {
      if (typeof message === "number") timer = setInterval(() => interrupt.interrupt(message), 20);
      else {
        clearInterval(timer);
        resolve(message);
      }
    });
  });
  assert.equal(result, '{"error":"query interrupted"}');
  await worker.terminate();
});

test("a result beyond the limit is an error, and the memory of the rest is never taken", (context) => {
  const { reader } = open(context);
  const before = process.memoryUsage().rss;
  assert.match(
    read(reader, [`${ENDLESS} SELECT x, hex(zeroblob(100)) FROM w`], { resultBytesMax: 3_000_000 }),
    /"error":"result is larger than the limit/,
  );
  assert.match(
    read(reader, [`${ENDLESS} SELECT hex(zeroblob(50)) FROM w LIMIT 100`], { resultBytesMax: 5000 }),
    /"error":"result is larger than the limit/,
  );
  assert.ok(process.memoryUsage().rss - before < 200_000_000);
  const large = read(reader, [`${ENDLESS} SELECT x FROM w LIMIT 100000`]);
  assert.equal((JSON.parse(large) as { results: { values: unknown[] }[] }).results[0]?.values.length, 100_000);
  assert.match(
    read(reader, ["SELECT 1", `${ENDLESS} SELECT x, 'é' FROM w LIMIT 20000`, "SELECT abs(-9223372036854775807 - 1)", "SELECT 2"]),
    /\},\{"error":"integer overflow"\},\{"columns":\["2"\]/,
  );
});

test("requests read together see one snapshot, and each sees what was applied before the call", (context) => {
  const { db, reader } = open(context);
  const count: SqlRead = { statements: [{ sql: "SELECT count(*) AS n FROM foo" }] };
  for (let i = 2; i < 20; i++) {
    db.execute([`INSERT INTO foo VALUES(${i}, 'x')`]);
    const results = readAll(reader, [count, { statements: [{ sql: "nope" }] }, count]).map(envelope);
    assert.match(results[0] ?? "", new RegExp(`\\[\\[${i}\\]\\]`));
    assert.equal(results[2], results[0]);
  }
});

test("a change of the schema between two reads shows in names, types and order of the columns", (context) => {
  const { db, reader } = open(context);
  assert.match(read(reader, ["SELECT * FROM foo"]), /"columns":\["id","name"\]/);
  db.execute(["ALTER TABLE foo ADD COLUMN ok BOOLEAN DEFAULT 1"]);
  assert.equal(
    read(reader, ["SELECT * FROM foo"]),
    '{"results":[{"columns":["id","name","ok"],"types":["integer","text","boolean"],"values":[[1,"fiona",true]]}]}',
  );
  db.execute(["DROP TABLE foo", "CREATE TABLE foo(name BLOB, id TEXT)"]);
  assert.equal(read(reader, ["SELECT * FROM foo"]), '{"results":[{"columns":["name","id"],"types":["blob","text"]}]}');
});

test("unlessWrite runs reads and hands back what writes, what cannot be prepared, and texts of several statements", (context) => {
  const { db, reader } = open(context);
  const ask = (...statements: string[]): SqlReadResult =>
    readAll(reader, [{ statements: statements.map((sql) => ({ sql })), unlessWrite: true }])[0] as SqlReadResult;
  assert.equal(ask("SELECT 1", "EXPLAIN DELETE FROM foo", "PRAGMA table_info(foo)").writes, undefined);
  assert.equal(ask("", "-- x").results, "");
  for (const sql of ["DELETE FROM foo", "nope", "SELECT * FROM later", "SELECT 1; SELECT 2", "BEGIN", "PRAGMA user_version = 3"]) {
    assert.deepEqual(ask("SELECT 1", sql), { results: "", writes: true }, sql);
  }
  assert.match(db.execute(["SELECT count(*) FROM foo"], { kind: "request" }), /\[\[1\]\]/);
});

test("a long read delays no write and no checkpoint, and a write does not disturb it", (context) => {
  const { db } = open(context);
  db.execute(["WITH RECURSIVE n(x) AS (SELECT 2 UNION ALL SELECT x + 1 FROM n WHERE x < 3000) INSERT INTO foo SELECT x, 'row' FROM n"]);
  const dump = openReader(db.path).dump({});
  let text = dump.next().value ?? "";
  db.execute(["DELETE FROM foo", "INSERT INTO foo VALUES(77, 'new')"]);
  const { busy, durableIndex } = db.machine.checkpoint("truncate");
  assert.equal(busy, true, "the dump holds its snapshot");
  assert.equal(durableIndex, db.machine.applied.index, "yet the log may be truncated: the WAL itself was synced");
  for (const piece of dump) text += piece;
  assert.match(text, /VALUES\(3000,'row'\)/);
  assert.doesNotMatch(text, /77,'new'/);
  assert.equal(db.machine.checkpoint("truncate").busy, false);
  assert.equal(db.machine.walBytes(), 0);
});

test("a closed reader says SQL_CLOSED", (context) => {
  const { db } = open(context);
  const reader = openReader(db.path);
  reader.close();
  reader.close();
  for (const act of [() => readAll(reader, []), () => reader.dump({}).next(), () => reader.backup("x", {}), () => reader.status(0)]) {
    assert.throws(act, (error) => isPumiceError(error, "SQL_CLOSED"));
  }
});

test("a deadline belongs to one read: neither the next one nor the reader's own BEGIN and COMMIT are interrupted by it", async (context) => {
  const { reader } = open(context);
  // A kept statement is looked at once in a thousand of its steps, so that any of many reads may be the one.
  for (let i = 0; i < 900; i++) {
    assert.match(read(reader, ["SELECT count(*) FROM foo"], { deadlineMs: 1 }), /\[\[1\]\]|query timeout/);
    await new Promise((resolve) => setTimeout(resolve, 1.2));
    const [first, second] = readAll(reader, [
      { statements: [{ sql: "SELECT 1" }], deadlineMs: 1000 },
      { statements: [{ sql: "SELECT 2" }], deadlineMs: 1000 },
    ]);
    assert.match(String(first?.results), /\[\[1\]\]/, String(i));
    assert.match(String(second?.results), /\[\[2\]\]/, String(i));
  }
});

test("an error of a virtual table that the end of the transaction repeats is told once, and the reader goes on", (context) => {
  const { db, reader } = open(context);
  db.execute([
    "CREATE TABLE c(id INTEGER PRIMARY KEY, t)",
    "CREATE VIRTUAL TABLE f USING fts5(t, content=c, content_rowid=id)",
    "INSERT INTO f(rowid, t) VALUES(1, 'one one one'), (2, 'two two two'), (3, 'two two two')",
    ...[1, 2, 3].map(() => "INSERT INTO f(f, rowid, t) VALUES('delete', 1, 'one')"),
  ]);
  for (let i = 0; i < 3; i++) {
    assert.match(read(reader, ["SELECT rowid FROM f WHERE f MATCH 'two' ORDER BY rank"]), /"error":"database disk image is malformed"/);
    assert.match(read(reader, ["SELECT count(*) FROM foo"]), /\[\[1\]\]/);
  }
});

test("a write to a virtual table is a write, whatever SQLite counts it as", (context) => {
  const { db, reader } = open(context);
  db.execute([
    "CREATE VIRTUAL TABLE f4 USING fts4(t)",
    "CREATE VIRTUAL TABLE f5 USING fts5(t)",
    "CREATE VIRTUAL TABLE r USING rtree(t, a, b)",
  ]);
  for (const table of ["f4", "f5", "r"]) {
    for (const sql of [
      `WITH s(x) AS (SELECT 1) INSERT INTO ${table}(t) SELECT x FROM s`,
      `INSERT INTO ${table}(t) SELECT 1`,
      `UPDATE ${table} SET t = 2`,
      `WITH s(x) AS (SELECT 1) DELETE FROM ${table} WHERE t IN (SELECT x FROM s)`,
    ]) {
      const request: SqlRead = { statements: [{ sql }], unlessWrite: true };
      for (let i = 0; i < 2; i++) assert.equal(readAll(reader, [request])[0]?.writes, true, sql);
      assert.match(read(reader, [sql]), /attempt to change database via query operation/, sql);
      assert.doesNotMatch(db.execute([sql], { kind: "request" }), /readonly/, sql);
    }
    const drop: SqlRead = { statements: [{ sql: `DROP TABLE ${table}` }], unlessWrite: true };
    assert.equal(readAll(reader, [drop])[0]?.writes, true);
    assert.equal(readAll(reader, [{ statements: [{ sql: `SELECT * FROM ${table}` }], unlessWrite: true }])[0]?.writes, undefined);
  }
});

test("readers plan by the statistics of the last ANALYZE", (context) => {
  const { db, reader } = open(context);
  db.execute(["CREATE TABLE t(a INTEGER, b INTEGER)", "CREATE INDEX ia ON t(a)", "INSERT INTO t VALUES(1, 1)", "ANALYZE"]);
  const plan = (from: Reader): string => read(from, ["EXPLAIN QUERY PLAN SELECT * FROM t WHERE a = 7"]);
  plan(reader);
  const rows = "WITH RECURSIVE c(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM c WHERE i < 20000) INSERT INTO t SELECT i, i FROM c";
  for (const change of ["ANALYZE", "DELETE FROM sqlite_stat1", "INSERT INTO sqlite_stat1 VALUES('t', 'ia', '20000 1')"]) {
    db.execute([rows, change]);
    const fresh = openReader(db.path);
    context.after(() => fresh.close());
    assert.equal(plan(reader), plan(fresh), change);
  }
});
