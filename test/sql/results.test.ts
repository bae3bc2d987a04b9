/** rqlite's envelope, byte for byte: the golden table of its documentation and tests, where no SQL is rewritten. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { encodeCommand, type SqlParam } from "../../src/sql/mod.ts";
import { Database, envelope, command, temporaryFolder } from "./support/database.ts";

const FOO = "CREATE TABLE foo (id INTEGER NOT NULL PRIMARY KEY, name TEXT, age INTEGER)";

function database(context: TestContext, foreignKeys = false): Database {
  const folder = temporaryFolder(context);
  const opened = new Database(join(folder, "db"), foreignKeys);
  context.after(() => opened.machine.close());
  return opened;
}

function query(db: Database, sql: string, params: readonly SqlParam[] = []): string {
  return db.execute([{ sql, params }], { kind: "request" });
}

test("execute answers with last_insert_id and rows_affected, zeros omitted", (context) => {
  const db = database(context);
  assert.equal(db.execute([FOO]), '{"results":[{}]}');
  assert.equal(db.execute(['INSERT INTO foo(name) VALUES("fiona")']), '{"results":[{"last_insert_id":1,"rows_affected":1}]}');
  assert.equal(db.execute(["UPDATE foo SET age = 3"]), '{"results":[{"rows_affected":1}]}');
  assert.equal(db.execute(["DELETE FROM foo WHERE id = 99"]), '{"results":[{}]}');
  assert.equal(db.execute(['INSERT INTO bar(name) VALUES("fiona")']), '{"results":[{"error":"no such table: bar"}]}');
  assert.equal(db.execute(["INSERT blah blah"]), '{"results":[{"error":"near \\"blah\\": syntax error"}]}');
  assert.equal(db.execute([""]), '{"results":[]}');
  assert.equal(db.execute(["SELECT 1; DELETE FROM foo WHERE 0; -- end"], { kind: "request" }), '{"results":[{}]}');
  assert.equal(db.execute(["SELECT 1", "\0", "/* x", "SELECT 1"], { kind: "request" }).split("columns").length, 3);
  assert.doesNotThrow(() => JSON.parse(db.execute(["SELECT 1", "\0SELECT 2", "SELECT 1"], { kind: "request" })));
  assert.equal(db.execute(["-- nothing", "  ;  ", "UPDATE foo SET age = 4"]), '{"results":[{"rows_affected":1}]}');
});

test("within a request counters go on as SQLite's do, and begin anew with the next request", (context) => {
  const db = database(context);
  const results = db.execute([FOO, "INSERT INTO foo(name) VALUES('x')", "DROP TABLE foo"]);
  assert.equal(results, '{"results":[{},{"last_insert_id":1,"rows_affected":1},{"last_insert_id":1,"rows_affected":1}]}');
  assert.equal(db.execute(["CREATE TABLE other(x)"]), '{"results":[{}]}');
});

test("a read in a request answers with columns, types and values", (context) => {
  const db = database(context);
  db.execute([FOO, 'INSERT INTO foo(name) VALUES("fiona")']);
  assert.equal(
    query(db, "SELECT * FROM foo"),
    '{"results":[{"columns":["id","name","age"],"types":["integer","text","integer"],"values":[[1,"fiona",null]]}]}',
  );
  assert.equal(
    query(db, "SELECT * FROM foo WHERE id = 2"),
    '{"results":[{"columns":["id","name","age"],"types":["integer","text","integer"]}]}',
  );
  assert.equal(query(db, "SELECT COUNT(*) FROM foo"), '{"results":[{"columns":["COUNT(*)"],"types":["integer"],"values":[[1]]}]}');
  assert.equal(db.execute(["SELECT * FROM foo"]), '{"results":[{}]}', "an execute returns no rows for a SELECT");
  assert.equal(
    db.execute(["DELETE FROM foo", "EXPLAIN DELETE FROM foo WHERE id = 1"], { kind: "request" }).replace(/"values":.*/, "…"),
    '{"results":[{"rows_affected":1},{"columns":["addr","opcode","p1","p2","p3","p4","p5","comment"],"types":["integer","text","integer","integer","integer","","integer",""],…',
  );
});

test("RETURNING and EXPLAIN give rows in an execute", (context) => {
  const db = database(context);
  db.execute(["CREATE TABLE foo (id INTEGER PRIMARY KEY, name TEXT)"]);
  assert.equal(
    db.execute(["INSERT INTO foo(name) VALUES('declan') RETURNING *"]),
    '{"results":[{"columns":["id","name"],"types":["integer","text"],"values":[[1,"declan"]]}]}',
  );
  assert.equal(
    db.execute(["INSERT INTO foo(name) VALUES('alice') RETURNING\n*", "INSERT INTO foo(name) VALUES('bob')"]),
    '{"results":[{"columns":["id","name"],"types":["integer","text"],"values":[[2,"alice"]]},{"last_insert_id":3,"rows_affected":1}]}',
  );
  assert.equal(
    db.execute(["UPDATE foo SET name = 'x' WHERE id = 9 RETURNING name"], { format: { associative: true } }),
    '{"results":[{"types":{"name":"text"},"rows":[]}]}',
  );
  assert.match(db.execute(["EXPLAIN QUERY PLAN SELECT * FROM foo"]), /"SCAN foo"/);
});

test("associative rows are objects with sorted keys, the last of equal names", (context) => {
  const db = database(context);
  db.execute(["CREATE TABLE foo (id INTEGER PRIMARY KEY, name TEXT)", "INSERT INTO foo(name) VALUES('fiona'), ('declan')"]);
  const format = { associative: true };
  assert.equal(
    db.execute(["SELECT name, id FROM foo"], { kind: "request", format }),
    '{"results":[{"types":{"id":"integer","name":"text"},"rows":[{"id":1,"name":"fiona"},{"id":2,"name":"declan"}]}]}',
  );
  assert.equal(
    db.execute(["SELECT 1 AS a, 'x' AS a"], { kind: "request", format }),
    '{"results":[{"types":{"a":"text"},"rows":[{"a":"x"}]}]}',
  );
  assert.equal(
    db.execute(["SELECT id FROM foo WHERE 0"], { kind: "request", format }),
    '{"results":[{"types":{"id":"integer"},"rows":[]}]}',
  );
  assert.equal(
    db.execute(["INSERT INTO foo(id) VALUES(99)"], { format }),
    '{"results":[{"last_insert_id":99,"rows_affected":1,"rows":null}]}',
  );
  assert.equal(db.execute(["nope"], { format }), '{"results":[{"error":"near \\"nope\\": syntax error"}]}');
});

test("BLOBs are base64 or arrays, and strings where rqlite's driver makes them so", (context) => {
  const db = database(context);
  db.execute(["CREATE TABLE foo (id INTEGER PRIMARY KEY, data BLOB, t TEXT, v VARCHAR(9))"]);
  const blob = Uint8Array.of(222, 173, 190, 239);
  db.execute([{ sql: "INSERT INTO foo(data, t, v) VALUES(?, ?, ?)", params: [blob, Uint8Array.of(104), Uint8Array.of(105)] }]);
  assert.equal(query(db, "SELECT data FROM foo"), '{"results":[{"columns":["data"],"types":["blob"],"values":[["3q2+7w=="]]}]}');
  assert.equal(
    db.execute(["SELECT data FROM foo"], { kind: "request", format: { blobArray: true } }),
    '{"results":[{"columns":["data"],"types":["blob"],"values":[[[222,173,190,239]]]}]}',
  );
  assert.equal(
    query(db, "SELECT t, v, x'68' FROM foo"),
    `{"results":[{"columns":["t","v","x'68'"],"types":["text","varchar(9)","text"],"values":[["h","i","h"]]}]}`,
  );
  for (let length = 0; length < 10; length++) {
    const bytes = Uint8Array.from({ length }, (_, i) => i * 77 + 200);
    db.execute(["DELETE FROM foo", { sql: "INSERT INTO foo(data) VALUES(?)", params: [bytes] }]);
    assert.ok(query(db, "SELECT data FROM foo").includes(`[["${Buffer.from(bytes).toString("base64")}"]]`), `length ${length}`);
  }
});

test("integers are exact over all of int64, reals are the shortest exact form", (context) => {
  const db = database(context);
  db.execute(["CREATE TABLE n (i INTEGER, r REAL, x)"]);
  for (const value of [2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n, 0n, -1n]) {
    assert.equal(query(db, "SELECT ? AS v", [value]), `{"results":[{"columns":["v"],"types":["integer"],"values":[[${value}]]}]}`);
  }
  const reals: readonly [number, string][] = [
    [1, "1"],
    [0.1, "0.1"],
    [1e21, "1e+21"],
    [1e-7, "1e-7"],
    [-0, "-0"],
    [Infinity, "9e999"],
    [-Infinity, "-9e999"],
    [5e-324, "5e-324"],
  ];
  for (const [value, text] of reals) {
    assert.equal(query(db, "SELECT ? AS v", [value]), `{"results":[{"columns":["v"],"types":["real"],"values":[[${text}]]}]}`);
  }
  assert.equal(query(db, "SELECT NULL AS v"), '{"results":[{"columns":["v"],"types":[""],"values":[[null]]}]}');
});

test("boolean and date columns are converted as rqlite's driver does", (context) => {
  const db = database(context);
  db.execute(["CREATE TABLE d (b BOOLEAN, t TIMESTAMP, u DATETIME, v DATE)"]);
  db.execute([
    "INSERT INTO d VALUES(1, 1700000000, 1700000000123, '2024-02-29'), (0, '2024-02-29 12:34:56.700', '2024-02-29T12:34', 'junk'), (-1, -1, '2024-02-29 01:02:03+02:00', '2024-02-30'), (NULL, NULL, 1.5, '2024-02-29 12:34:56Z')",
  ]);
  assert.equal(
    query(db, "SELECT * FROM d"),
    '{"results":[{"columns":["b","t","u","v"],"types":["boolean","timestamp","datetime","date"],"values":[' +
      '[true,"2023-11-14T22:13:20Z","2023-11-14T22:13:20.123Z","2024-02-29T00:00:00Z"],' +
      '[false,"2024-02-29T12:34:56.7Z","2024-02-29T12:34:00Z","0001-01-01T00:00:00Z"],' +
      '[false,"1969-12-31T23:59:59Z","2024-02-29T01:02:03+02:00","0001-01-01T00:00:00Z"],' +
      '[null,null,1.5,"2024-02-29T12:34:56Z"]]}]}',
  );
  for (let seconds = -62_135_596_800; seconds < 250_000_000_000; seconds += 1_234_567_891) {
    const expected = new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
    db.execute(["DELETE FROM d", `INSERT INTO d(t) VALUES(${seconds})`]);
    assert.ok(query(db, "SELECT t FROM d").includes(expected), `${seconds} ${expected}`);
  }
});

test("a parameter without a place is an error that says which, where all parameters are for one statement", (context) => {
  const db = database(context);
  db.execute([FOO]);
  const error = (sql: string, ...params: SqlParam[]): string | undefined => /"error":"(.*)"\}\]\}/.exec(query(db, sql, params))?.[1];
  const insert = "INSERT INTO foo(name) VALUES(:name)";
  assert.equal(error(insert, { name: "nmae", value: "Ann" }), 'unknown parameter \\"nmae\\": the statement has :name');
  assert.equal(
    error(`CREATE TABLE IF NOT EXISTS bar(x); ${insert}; -- done`, { name: "nmae", value: 1n }),
    'unknown parameter \\"nmae\\": the statement has :name',
  );
  assert.equal(error("SELECT 1", { name: "x", value: 1n }), 'unknown parameter \\"x\\": the statement has no named ones');
  assert.equal(error("SELECT 1", 2n), "too many args to execute query: want 0 got 1");
  assert.equal(error("SELECT :a", { name: ":a", value: 1n }), undefined);
  assert.equal(error("SELECT :a; SELECT :b", { name: "a", value: 1n }, { name: "b", value: 2n }), undefined, "each may be another's");
  assert.match(query(db, "SELECT count(*) AS n FROM foo"), /\[\[0\]\]/);
});

test("numbered places bind as SQLite counts them, beside plain ones and after them", (context) => {
  const db = database(context);
  const values = (sql: string, ...params: SqlParam[]): string | undefined => /"values":(.*)\}\]\}/.exec(query(db, sql, params))?.[1];
  assert.equal(values("SELECT ?, ?, ?1", "A", "B"), '[["A","B","A"]]');
  assert.equal(values("SELECT ?1, ?", 1n, 2n), "[[1,2]]");
  assert.equal(values("SELECT ?, ?, ?, ?2", 1n, 2n, 3n), "[[1,2,3,2]]");
  assert.equal(values("SELECT ?2, ?1", 1n, 2n), "[[2,1]]");
  assert.equal(values("SELECT ?3", 1n, 2n, 3n), "[[3]]");
  assert.equal(values("SELECT ?1, :n, ?3", "x", { name: "n", value: "y" }, "z"), '[["x","y","z"]]');
});

test("parameters bind by position, by name with any prefix, and consume from left to right", (context) => {
  const db = database(context);
  db.execute([FOO]);
  const named = (value: SqlParam): string =>
    query(db, "SELECT :a, @a, $a, ?4", [{ name: "a", value: 1n }, { name: ":a", value: 1n }, 3n, value]);
  assert.equal(
    named("x"),
    '{"results":[{"columns":[":a","@a","$a","?4"],"types":["integer","integer","integer","text"],"values":[[1,1,1,"x"]]}]}',
  );
  assert.equal(
    query(db, "SELECT :a + :a, ?", [{ name: "a", value: 4n }, "y"]),
    '{"results":[{"columns":[":a + :a","?"],"types":["integer","text"],"values":[[8,"y"]]}]}',
  );
  assert.equal(query(db, "SELECT ?, ?", [1n]), '{"results":[{"error":"not enough args to execute query: want 2 got 1"}]}');
  assert.equal(query(db, "SELECT ?", [1n, 2n]), '{"results":[{"error":"too many args to execute query: want 1 got 2"}]}');
  assert.equal(
    query(db, "INSERT INTO foo(name) VALUES(?); INSERT INTO foo(name) VALUES(?); SELECT group_concat(name) AS g, ? AS h FROM foo", [
      "a",
      "b",
      true,
    ]),
    '{"results":[{"columns":["g","h"],"types":["text","integer"],"values":[["a,b",1]]}]}',
  );
  assert.equal(query(db, "SELECT :x", [{ name: "x", value: Uint8Array.of(1) }]).includes('"values":[["\\u0001"]]'), true);
});

test("several statements in one text: all run, the last result counts, an error ends the text", (context) => {
  const db = database(context);
  assert.equal(
    db.execute([`${FOO}; INSERT INTO foo(name) VALUES('a;b'); INSERT INTO foo(name) VALUES('c') -- ;`]),
    '{"results":[{"last_insert_id":2,"rows_affected":1}]}',
  );
  assert.equal(
    db.execute(["INSERT INTO foo(name) VALUES('d'); nope; INSERT INTO foo(name) VALUES('e')", "DELETE FROM foo WHERE name = 'd'"]),
    '{"results":[{"error":"near \\"nope\\": syntax error"},{"last_insert_id":3,"rows_affected":1}]}',
  );
  const trigger =
    "CREATE TRIGGER t AFTER INSERT ON foo BEGIN UPDATE foo SET age = 1; UPDATE foo SET age = 2; END; INSERT INTO foo(name) VALUES('é;')";
  assert.equal(db.execute([trigger]), '{"results":[{"last_insert_id":3,"rows_affected":1}]}');
  assert.equal(
    query(db, "SELECT count(*) AS n, max(age) AS m FROM foo;"),
    '{"results":[{"columns":["n","m"],"types":["integer","integer"],"values":[[3,2]]}]}',
  );
  assert.equal(
    db.execute(["UPDATE foo SET age = 7\0; DROP TABLE foo"]),
    '{"results":[{"last_insert_id":0}]}'.replace('"last_insert_id":0', '"rows_affected":3'),
  );
  assert.match(query(db, "SELECT count(*) FROM foo"), /\[\[3\]\]/);
});

test("with the transaction flag the first error stops and undoes everything", (context) => {
  const db = database(context);
  db.execute([FOO, "INSERT INTO foo(name) VALUES('first')"]);
  const statements = ["INSERT INTO foo(name) VALUES('a')", "INSERT INTO nope VALUES(1)", "INSERT INTO foo(name) VALUES('b')"];
  assert.equal(
    db.execute(statements, { transaction: true }),
    '{"results":[{"last_insert_id":2,"rows_affected":1},{"error":"no such table: nope"}]}',
  );
  assert.match(query(db, "SELECT count(*) FROM foo"), /\[\[1\]\]/);
  assert.equal(
    db.execute(statements),
    '{"results":[{"last_insert_id":2,"rows_affected":1},{"error":"no such table: nope"},{"last_insert_id":3,"rows_affected":1}]}',
  );
});

test("a script is applied wholly or not at all, its BEGIN and COMMIT and foreign_keys are passed over", (context) => {
  const db = database(context, true);
  const dump =
    "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE c(p REFERENCES p(id));\nINSERT INTO c VALUES(1);\nCREATE TABLE p(id INTEGER PRIMARY KEY);\nINSERT INTO p VALUES(1);\nCOMMIT;\n";
  assert.equal(db.execute([dump], { script: true }), '{"results":[{"last_insert_id":1,"rows_affected":1}]}');
  assert.match(query(db, "SELECT count(*) FROM c"), /\[\[1\]\]/);
  assert.equal(
    db.execute(["BEGIN; DELETE FROM c; nonsense; COMMIT"], { script: true }),
    '{"results":[{"error":"near \\"nonsense\\": syntax error"}]}',
  );
  assert.equal(
    db.execute(["PRAGMA foreign_keys=OFF; INSERT INTO c VALUES(7)"], { script: true }),
    '{"results":[],"error":"FOREIGN KEY constraint failed"}',
  );
  assert.equal(db.execute(["BEGIN; ROLLBACK"], { script: true }).includes("not allowed"), true);
  assert.equal(
    db.execute(["INSERT INTO c VALUES(8)"]),
    '{"results":[{"error":"FOREIGN KEY constraint failed"}]}',
    "constraints are immediate again",
  );
  assert.match(query(db, "SELECT count(*) FROM c"), /\[\[1\]\]/);
});

test("foreign keys: a deferred violation fails its statement, or the whole transaction", (context) => {
  const db = database(context, true);
  db.execute(["CREATE TABLE p(id INTEGER PRIMARY KEY)", "CREATE TABLE c(p REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)"]);
  assert.equal(
    db.execute(["INSERT INTO c VALUES(1)", "INSERT INTO p VALUES(1)"]),
    '{"results":[{"error":"FOREIGN KEY constraint failed"},{"last_insert_id":1,"rows_affected":1}]}',
  );
  assert.equal(
    db.execute(["INSERT INTO c VALUES(2)", "INSERT INTO p VALUES(2)"], { transaction: true }),
    '{"results":[{"last_insert_id":1,"rows_affected":1},{"last_insert_id":2,"rows_affected":1}]}',
  );
  assert.equal(db.execute(["INSERT INTO c VALUES(3)"], { transaction: true }), '{"results":[],"error":"FOREIGN KEY constraint failed"}');
  assert.match(query(db, "SELECT count(*) FROM c"), /\[\[1\]\]/);
});

test("timings add time to each result", (context) => {
  const db = database(context);
  const result = envelope(db.apply(command([FOO, "SELECT 1"], { kind: "request" }), true));
  assert.match(
    result,
    /^\{"results":\[\{"time":[0-9.e-]+\},\{"columns":\["1"\],"types":\["integer"\],"values":\[\[1\]\],"time":[0-9.e-]+\}\]\}$/,
  );
});

test("an entry whose result nobody wants has none, and does the same", (context) => {
  const db = database(context);
  const data = encodeCommand(command([FOO, "INSERT INTO foo(name) VALUES('x') RETURNING *"]));
  assert.deepEqual(db.machine.apply([{ index: 1, term: 1, data }]), [{ results: "" }]);
  assert.match(query(db, "SELECT count(*) FROM foo"), /\[\[1\]\]/);
});

test("named parameters are bounded in number, and others are not", (context) => {
  const db = database(context);
  const sum = (names: readonly string[]): string => {
    const parts: string[] = [];
    for (let i = 0; i < names.length; i += 900) parts.push(`(${names.slice(i, i + 900).join("+")})`);
    return `SELECT ${parts.join(" + ")}`;
  };
  const named = (count: number): string => {
    const names = Array.from({ length: count }, (_, i) => `n${i}`);
    const params = names.map((name) => ({ name, value: 1n }));
    return query(db, sum(names.map((name) => `:${name}`)), params);
  };
  const startedMs = performance.now();
  assert.match(named(4096), /\[\[4096\]\]/);
  assert.match(named(32_766), /"error":"too many named parameters: at most 4096; use \? for more"/);
  assert.match(
    query(
      db,
      sum(Array.from({ length: 32_766 }, () => "?")),
      Array.from({ length: 32_766 }, () => 1n),
    ),
    /\[\[32766\]\]/,
  );
  assert.match(query(db, sum(Array.from({ length: 20_000 }, () => ":a")), [{ name: "a", value: 1n }]), /\[\[20000\]\]/);
  assert.ok(performance.now() - startedMs < 5000);
});
