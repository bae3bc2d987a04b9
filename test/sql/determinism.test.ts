/** Time and randomness come from the entry alone, and SQLite's own rules stay as they are: reference/peers.md, appendix 7.A. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { createCipheriv } from "node:crypto";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { contentOf } from "./support/batching.ts";
import { Database, temporaryFolder, TIME_MS } from "./support/database.ts";

const SEED = 0x0123_4567_89ab_cdefn;

function database(context: TestContext): Database {
  const opened = new Database(join(temporaryFolder(context), "db"));
  context.after(() => opened.machine.close());
  return opened;
}

/** The values of one row, as JSON. */
function values(db: Database, sql: string): unknown[] {
  const { results } = JSON.parse(db.execute([sql], { kind: "request" })) as { results: { values?: unknown[][]; error?: string }[] };
  assert.equal(results[0]?.error, undefined, sql);
  return results[0]?.values?.[0] ?? [];
}

test("every way to ask for the time gives the entry's, in writes", (context) => {
  const db = database(context);
  const asked = [
    ["datetime('now')", "2024-02-29 12:34:56"],
    ["date('NOW')", "2024-02-29"],
    ["datetime()", "2024-02-29 12:34:56"],
    ["time()", "12:34:56"],
    ["unixepoch()", TIME_MS / 1000 - 0.789],
    ["unixepoch('subsec')", TIME_MS / 1000],
    ["julianday()", TIME_MS / 86_400_000 + 2_440_587.5],
    ["strftime('%s')", String(Math.floor(TIME_MS / 1000))],
    ["strftime('%Y-%m-%d %H:%M:%f', 'now')", "2024-02-29 12:34:56.789"],
    ["timediff('now', '2024-02-29')", "+0000-00-00 12:34:56.789"],
    ["CURRENT_TIMESTAMP", "2024-02-29 12:34:56"],
    ["CURRENT_DATE", "2024-02-29"],
    ["CURRENT_TIME", "12:34:56"],
  ] as const;
  for (const [sql, expected] of asked) assert.deepEqual(values(db, `SELECT ${sql}`), [expected], sql);
  db.execute([
    "CREATE TABLE t(id INTEGER PRIMARY KEY, a DEFAULT CURRENT_TIMESTAMP, b DEFAULT (datetime('now')), c DEFAULT (unixepoch()), d)",
    "CREATE TRIGGER g AFTER INSERT ON t BEGIN UPDATE t SET d = datetime() || CURRENT_DATE WHERE id = new.id; END",
    "INSERT INTO t(id) VALUES(1)",
  ]);
  assert.deepEqual(values(db, "SELECT a, b, c, d FROM t"), [
    "2024-02-29 12:34:56",
    "2024-02-29 12:34:56",
    Math.floor(TIME_MS / 1000),
    "2024-02-29 12:34:562024-02-29",
  ]);
  const [schema] = values(db, "SELECT sql FROM sqlite_schema WHERE name = 't'");
  assert.match(String(schema), /DEFAULT \(datetime\('now'\)\)/, "the schema is kept as written");
});

test("local time is refused in writes, wherever it stands", (context) => {
  const db = database(context);
  db.execute(["CREATE TABLE t(a, b DEFAULT (datetime('now', 'localtime')))"]);
  for (const sql of [
    "INSERT INTO t(a, b) VALUES(datetime('now', 'localtime'), 1)",
    "INSERT INTO t(a) VALUES(1)",
    "INSERT INTO t VALUES(datetime('2024-01-01', 'utc'), 1)",
  ]) {
    assert.match(db.execute([sql]), /"error":"local time unavailable: writes know UTC only/, sql);
  }
  assert.deepEqual(values(db, "SELECT count(*) FROM t"), [0]);
});

test("random() and randomblob() are the entry's ChaCha20 stream, a new value for each row and call", (context) => {
  const db = database(context);
  const key = Buffer.alloc(32);
  key.write("pumice random v1");
  key.writeBigUInt64LE(SEED, 16);
  const stream = createCipheriv("chacha20", key, Buffer.alloc(16)).update(Buffer.alloc(4096));
  const numbers = Array.from({ length: 100 }, (_, i) => {
    const bits = stream.readBigInt64LE(i * 8);
    return bits < 0n ? -BigInt.asUintN(63, bits) : bits;
  });
  const text = db.execute(["WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 100) SELECT random() FROM n"], {
    kind: "request",
    seed: SEED,
  });
  assert.deepEqual(text.match(/-?\d{5,}/g)?.map(BigInt), numbers);
  assert.equal(new Set(numbers).size, 100);
  for (const length of [1, 63, 64, 65, 200])
    assert.deepEqual(values(db, `SELECT hex(randomblob(${length}))`), [stream.subarray(0, length).toString("hex").toUpperCase()]);
  assert.deepEqual(values(db, "SELECT length(randomblob(0)), length(randomblob(-5)), length(randomblob(8 + 8))"), [1, 1, 16]);
  assert.match(db.execute(["SELECT randomblob(200000000)"], { kind: "request" }), /too big/);
  // docs/determinism.md
  assert.deepEqual(text.match(/-?\d{5,}/g)?.slice(0, 3), ["6315772040123373367", "2924407922127354557", "-576373355502501024"]);
});

test("two entries with other seeds draw other numbers, with the same seed the same", (context) => {
  const db = database(context);
  const draw = (seed: bigint): string => db.execute(["SELECT random(), hex(randomblob(4))"], { kind: "request", seed });
  assert.equal(draw(7n), draw(7n));
  assert.notEqual(draw(7n), draw(8n));
  assert.notEqual(draw(7n), draw(2n ** 63n + 7n));
});

test("SQLite's own rules for indexes, CHECK and generated columns are those of stock SQLite", (context) => {
  const db = database(context);
  const stock = new DatabaseSync(":memory:");
  context.after(() => stock.close());
  const statements = [
    "CREATE TABLE t(a, x CHECK (x <= datetime('now')), y)",
    "INSERT INTO t(a, x) VALUES('2024-01-01', '2020')",
    "INSERT INTO t(a) VALUES('2024-01-01')",
    "CREATE INDEX i1 ON t(date(a))",
    "INSERT INTO t(a) VALUES('2024-01-02')",
    "INSERT INTO t(a) VALUES('now')",
    "CREATE INDEX i2 ON t(random())",
    "CREATE INDEX i3 ON t(a) WHERE random() > 0",
    "CREATE TABLE g(a, b AS (random()))",
    "CREATE TABLE g(a, b AS (datetime('now', a)))",
    "INSERT INTO g VALUES('+1 day')",
    "CREATE TABLE u(a)",
    "INSERT INTO u VALUES('+1 day')",
    "CREATE INDEX i4 ON u(datetime('now', a))",
    "CREATE INDEX i5 ON u(datetime(a))",
    "CREATE TABLE k(a CHECK (random() <> 0))",
    "INSERT INTO k VALUES(1)",
    "CREATE TABLE d(a, b DEFAULT (datetime('now', 'localtimes')))",
    "INSERT INTO d(a) VALUES(1)",
  ];
  for (const sql of statements) {
    let expected = "";
    try {
      stock.exec(sql);
    } catch (error) {
      expected = (error as Error).message;
    }
    const { results } = JSON.parse(db.execute([sql])) as { results: { error?: string }[] };
    assert.equal(results[0]?.error ?? "", expected, sql);
  }
  assert.deepEqual(values(db, "SELECT * FROM pragma_integrity_check"), ["ok"]);
});

test("row order, LIMIT and AUTOINCREMENT by random() are the entry's", (context) => {
  const folder = temporaryFolder(context);
  const results = ["a", "b"].map((name) => {
    const db = new Database(join(folder, name));
    db.execute(["CREATE TABLE t(v)", "CREATE TABLE o(id INTEGER PRIMARY KEY AUTOINCREMENT, v, r DEFAULT (random()))"]);
    db.execute(["WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 500) INSERT INTO t SELECT random() FROM n"]);
    db.execute([
      "INSERT INTO o(v) SELECT v FROM t ORDER BY random() LIMIT 50",
      "DELETE FROM t WHERE rowid IN (SELECT rowid FROM t ORDER BY random() LIMIT 9)",
    ]);
    db.machine.close();
    return contentOf(db.path);
  });
  assert.deepEqual(results[0], results[1]);
});

test("the same log in processes of other time zones, locales and moments gives the same results and database", (context) => {
  const folder = temporaryFolder(context);
  const child = fileURLToPath(new URL("support/determinism-child.ts", import.meta.url));
  const zones = ["UTC", "Asia/Tokyo", "America/St_Johns"];
  const outputs = zones.map((zone, i) => {
    const env = { ...process.env, TZ: zone, LC_ALL: i === 1 ? "ja_JP.UTF-8" : "C", LANG: "C" };
    const result = spawnSync(process.execPath, [child, join(folder, `db${i}`)], { env, encoding: "utf8" });
    assert.equal(result.status, 0, result.stderr);
    return result.stdout;
  });
  assert.match(outputs[0] ?? "", /2024-02-29 12:34:56/);
  assert.equal(outputs[1], outputs[0]);
  assert.equal(outputs[2], outputs[0]);
});

test("outside of entries the wall clock and local time are the machine's", (context) => {
  const db = database(context);
  db.execute(["CREATE TABLE t(a DEFAULT CURRENT_TIMESTAMP)", "INSERT INTO t DEFAULT VALUES"]);
  const other = new DatabaseSync(db.path);
  context.after(() => other.close());
  const row = other.prepare("SELECT unixepoch() AS now, datetime('now', 'localtime') AS here").get();
  assert.ok(Math.abs(Number(row?.["now"]) - Date.now() / 1000) < 60);
  assert.match(String(row?.["here"]), /^20/);
});
