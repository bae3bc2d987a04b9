/** rqlite's golden answers, byte for byte, over a real socket against a real node. Source: rqlite's single-node system tests. */
import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";
import { TestNode } from "./support/node.ts";

let node: TestNode;
before(async () => {
  node = await TestNode.start();
});
beforeEach(() => node.wipe());
after(() => node[Symbol.asyncDispose]());

const CREATE = "CREATE TABLE foo (id INTEGER NOT NULL PRIMARY KEY, name TEXT)";

test("simple statements give rqlite's bytes", async () => {
  assert.equal(await node.execute(CREATE), '{"results":[{}]}');
  assert.equal(await node.execute('INSERT INTO foo(name) VALUES("fiona")'), '{"results":[{"last_insert_id":1,"rows_affected":1}]}');
  assert.equal(await node.execute('INSERT INTO bar(name) VALUES("fiona")'), '{"results":[{"error":"no such table: bar"}]}');
  assert.equal(await node.execute("INSERT blah blah"), '{"results":[{"error":"near \\"blah\\": syntax error"}]}');
  assert.equal(
    await node.query("SELECT * FROM foo"),
    '{"results":[{"columns":["id","name"],"types":["integer","text"],"values":[[1,"fiona"]]}]}',
  );
  assert.equal(await node.query("SELECT * FROM foo WHERE id = 9"), '{"results":[{"columns":["id","name"],"types":["integer","text"]}]}');
  assert.equal(await node.query("SELECT * FROM bar"), '{"results":[{"error":"no such table: bar"}]}');
  assert.equal((await node.post("/db/query", "", { "Content-Type": "text/plain" })).text, '{"results":[]}');
  assert.equal(await node.query("SELECT COUNT(*) FROM foo"), '{"results":[{"columns":["COUNT(*)"],"types":["integer"],"values":[[1]]}]}');
  assert.equal(
    await node.query("INSERT INTO foo(name) VALUES('x')"),
    '{"results":[{"error":"attempt to change database via query operation"}]}',
  );
  assert.equal(
    await node.query("SELECT * FROM foo", "&associative"),
    '{"results":[{"types":{"id":"integer","name":"text"},"rows":[{"id":1,"name":"fiona"}]}]}',
  );
});

test("a refused PRAGMA is an error of the whole request, wherever it stands", async () => {
  const refused = '{"results":[],"error":"disallowed pragma"}';
  for (const sql of [
    "PRAGMA JOURNAL_MODE=DELETE",
    "/**/PRAGMA journal_mode=DELETE",
    "SELECT 1; PRAGMA main.wal_checkpoint(TRUNCATE)",
    "pragma wal_autocheckpoint=1000",
    "PRAGMA synchronous=OFF",
  ]) {
    assert.equal(await node.execute(sql), refused, sql);
    assert.equal(await node.query(sql), refused, sql);
    assert.equal((await node.post("/db/request", [sql])).text, refused, sql);
  }
});

test("blobs go in as literals, strings and arrays, and come out as base64 or arrays", async () => {
  await node.execute("CREATE TABLE foo (id INTEGER PRIMARY KEY, data BLOB) STRICT");
  await node.execute(
    ["INSERT INTO foo(id, data) VALUES(?, ?)", 1, [222, 173, 190, 239]],
    ["INSERT INTO foo(id, data) VALUES(?, ?)", 2, "x'DEADBEEF'"],
    "INSERT INTO foo(id, data) VALUES(3, x'deadbeef')",
  );
  const rows = '[[1,"3q2+7w=="],[2,"3q2+7w=="],[3,"3q2+7w=="]]';
  assert.equal(
    await node.query("SELECT * FROM foo"),
    `{"results":[{"columns":["id","data"],"types":["integer","blob"],"values":${rows}}]}`,
  );
  assert.equal(
    await node.query("SELECT data FROM foo WHERE id = 1", "&blob_array"),
    '{"results":[{"columns":["data"],"types":["blob"],"values":[[[222,173,190,239]]]}]}',
  );
});

test("parameters are positional, named, or mixed", async () => {
  await node.execute(
    CREATE,
    ["INSERT INTO foo(id, name) VALUES(?, ?)", 5, "fiona"],
    ["INSERT INTO foo(id, name) VALUES(?, :name)", 6, { name: "declan" }],
  );
  const rows = '{"results":[{"columns":["id","name"],"types":["integer","text"],"values":[[5,"fiona"]]}]}';
  for (const statement of [
    ["SELECT * FROM foo WHERE name = :name", { name: "fiona" }],
    ["SELECT * FROM foo WHERE name = @name", { name: "fiona" }],
    ["SELECT * FROM foo WHERE name = $name", { name: "fiona" }],
    ["SELECT * FROM foo WHERE id = ? AND name = :name", 5, { name: "fiona" }],
  ]) {
    assert.equal((await node.post("/db/query", [statement])).text, rows, JSON.stringify(statement));
  }
  assert.match(
    (await node.post("/db/query", [["SELECT * FROM foo WHERE id = ? AND name = ?", 5]])).text,
    /not enough args to execute query: want 2 got 1/,
  );
});

test("RETURNING gives rows, and a list of both kinds gives each its own", async () => {
  await node.execute(CREATE);
  assert.equal(
    await node.execute("INSERT INTO foo(name) VALUES('declan') RETURNING *"),
    '{"results":[{"columns":["id","name"],"types":["integer","text"],"values":[[1,"declan"]]}]}',
  );
  assert.equal(
    await node.execute("INSERT INTO foo(name) VALUES('alice') RETURNING *", "INSERT INTO foo(name) VALUES('bob')"),
    '{"results":[{"columns":["id","name"],"types":["integer","text"],"values":[[2,"alice"]]},{"last_insert_id":3,"rows_affected":1}]}',
  );
  assert.equal(
    (await node.post("/db/execute?associative", ["UPDATE foo SET name = 'x' WHERE id = 99 RETURNING name"])).text,
    '{"results":[{"types":{"name":"text"},"rows":[]}]}',
  );
  assert.equal(
    (await node.post("/db/execute?associative", ["INSERT INTO foo(id, name) VALUES(99, 'x')"])).text,
    '{"results":[{"last_insert_id":99,"rows_affected":1,"rows":null}]}',
  );
});

test("a transaction stops and undoes all at the first error", async () => {
  await node.execute(CREATE);
  const reply = await node.post("/db/execute?transaction", [
    "INSERT INTO foo(name) VALUES('a')",
    "INSERT INTO nope VALUES(1)",
    "INSERT INTO foo(name) VALUES('b')",
  ]);
  assert.equal(reply.text, '{"results":[{"last_insert_id":1,"rows_affected":1},{"error":"no such table: nope"}]}');
  assert.equal(await node.query("SELECT count(*) AS n FROM foo"), '{"results":[{"columns":["n"],"types":["integer"],"values":[[0]]}]}');
});

test("/db/request mixes reads and writes and tells the index of its entry", async () => {
  await node.execute("CREATE TABLE foo (id INTEGER NOT NULL PRIMARY KEY, name TEXT, age INTEGER)");
  const reply = await node.post("/db/request?raft_index", [["INSERT INTO foo(name, age) VALUES(?, ?)", "fiona", 20], "SELECT * FROM foo"]);
  assert.match(
    reply.text,
    /^\{"results":\[\{"last_insert_id":1,"rows_affected":1\},\{"columns":\["id","name","age"\],"types":\["integer","text","integer"\],"values":\[\[1,"fiona",20\]\]\}\],"raft_index":\d+\}$/,
  );
  const read = await node.post("/db/request?raft_index", ["SELECT 1 AS one"]);
  assert.equal(read.text, '{"results":[{"columns":["one"],"types":["integer"],"values":[[1]]}]}', "a read does not go through the log");
  assert.match((await node.post("/db/request?raft_index&level=strong", ["SELECT 1 AS one"])).text, /"raft_index":\d+\}$/);
});

test("integers of 64 bits keep every digit in both directions, and reals stay reals", async () => {
  await node.execute("CREATE TABLE foo (n INTEGER, r REAL, x)");
  const body =
    '[["INSERT INTO foo VALUES(?, ?, ?)", 9223372036854775807, 1, 1.0], ["INSERT INTO foo VALUES(?, ?, ?)", -9223372036854775808, 1e3, 9223372036854775808], ["INSERT INTO foo VALUES(:n, 0.1, :x)", {"n": 9007199254740993, "x": 1}]]';
  await node.post("/db/execute", body);
  assert.equal(
    await node.query("SELECT n, r, x, typeof(n), typeof(r), typeof(x) FROM foo"),
    '{"results":[{"columns":["n","r","x","typeof(n)","typeof(r)","typeof(x)"],"types":["integer","real","real","text","text","text"],"values":[' +
      '[9223372036854775807,1,1,"integer","real","real"],[-9223372036854775808,1000,9223372036854776000,"integer","real","real"],[9007199254740993,0.1,1,"integer","real","integer"]]}]}',
  );
});

test("text of any script comes back as it went in", async () => {
  await node.execute(CREATE);
  const texts = [
    "\u6771\u4eac",
    "\ud83e\udea8 pumice",
    "a\u0000b",
    'quote " backslash \\ newline \n',
    "<script>&amp;</script>",
    "\u2028\u2029",
    "",
  ];
  await node.execute(...texts.map((text) => ["INSERT INTO foo(name) VALUES(?)", text]));
  const { results } = JSON.parse(await node.query("SELECT name FROM foo ORDER BY id")) as { results: { values: string[][] }[] };
  assert.deepEqual(results[0]?.values.flat(), texts);
});

test("pretty answers have rqlite's bytes, also for large results", async () => {
  assert.equal((await node.post("/db/execute?pretty", [CREATE])).text, '{\n    "results": [\n        {}\n    ]\n}');
  await node.execute(['INSERT INTO foo(name) VALUES("fiona")']);
  assert.equal(
    await node.query("SELECT * FROM foo", "&pretty"),
    '{\n    "results": [\n        {\n            "columns": [\n                "id",\n                "name"\n            ],\n            "types": [\n                "integer",\n                "text"\n            ],\n            "values": [\n                [\n                    1,\n                    "fiona"\n                ]\n            ]\n        }\n    ]\n}',
  );
  const series = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 20000) SELECT n, 'row ' || n AS t FROM s";
  assert.equal(await node.query(series, "&pretty"), JSON.stringify(JSON.parse(await node.query(series)), null, 4));
});

test("columns are qualified by their tables on request, in reads, mixed requests and strong reads", async () => {
  await node.execute(CREATE, "INSERT INTO foo(name) VALUES('fiona')");
  const rows = '{"columns":["foo.id","foo.n","1+1"],"types":["integer","text","integer"],"values":[[1,"fiona",2]]}';
  const sql = "SELECT id, name AS n, 1+1 FROM foo";
  assert.equal((await node.post("/db/query?qualify_columns", [sql])).text, `{"results":[${rows}]}`);
  assert.equal((await node.post("/db/query?qualify_columns&level=strong", [sql])).text, `{"results":[${rows}]}`);
  assert.equal((await node.post("/db/request?qualify_columns", ["DELETE FROM foo WHERE id = 9", sql])).text, `{"results":[{},${rows}]}`);
  assert.match(
    (await node.post("/db/query?qualify_columns&associative", [sql])).text,
    /"rows":\[\{"1\+1":2,"foo.id":1,"foo.n":"fiona"\}\]/,
  );
});

test("blank statements have no result, and take none away", async () => {
  await node.execute(CREATE);
  const one = '{"columns":["1"],"types":["integer"],"values":[[1]]}';
  const row = (id: number) => `{"last_insert_id":${String(id)},"rows_affected":1}`;
  const insert = "INSERT INTO foo(name) VALUES('x')";
  assert.equal(
    await node.execute("", insert, "-- x", `${insert};;`, ";", `/* a */ ; ${insert} -- b`),
    `{"results":[${row(1)},${row(2)},${row(3)}]}`,
  );
  assert.equal(await node.execute(""), '{"results":[]}');
  assert.equal(
    (await node.post("/db/query", ["", "SELECT 1;;", ";", 'SELECT 1 AS "1" -- ; x', "SELECT 1; /* y */"])).text,
    `{"results":[${one},${one},${one}]}`,
  );
  assert.equal((await node.post("/db/request", ["", "SELECT 1", " ", "SELECT 1"])).text, `{"results":[${one},${one}]}`);
  assert.equal((await node.post("/db/execute?transaction", ["", `${insert};`, ""])).text, `{"results":[${row(4)}]}`);
});

test("timings add a time to each result and to the answer", async () => {
  const time = String.raw`"time":\d[\d.e-]*`;
  assert.match((await node.post("/db/execute?timings", [CREATE])).text, new RegExp(String.raw`^\{"results":\[\{${time}\}\],${time}\}$`));
  assert.match(
    await node.query("SELECT * FROM foo", "&timings"),
    new RegExp(String.raw`^\{"results":\[\{"columns":.*,${time}\}\],${time}\}$`),
  );
});

test("a read ends at its db_timeout, and a write at its budget", async () => {
  const endless = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s) SELECT count(*) FROM s";
  assert.match(await node.query(endless, "&db_timeout=20ms"), /"error":"query timeout"/);
  await node.execute("CREATE TABLE foo (n)");
  assert.match((await node.post("/db/execute?db_timeout=20ms", [`INSERT INTO foo ${endless}`])).text, /"error":"execute timeout"/);
  assert.equal(await node.query("SELECT count(*) AS n FROM foo"), '{"results":[{"columns":["n"],"types":["integer"],"values":[[0]]}]}');
});

test("every level reads what was written before", async () => {
  await node.execute("CREATE TABLE foo (n INTEGER)");
  for (const [i, level] of ["none", "weak", "linearizable", "strong", "auto", "LINEARIZABLE"].entries()) {
    await node.execute(["INSERT INTO foo VALUES(?)", i]);
    assert.equal(
      await node.query("SELECT max(n) AS n FROM foo", `&level=${level}`),
      `{"results":[{"columns":["n"],"types":["integer"],"values":[[${String(i)}]]}]}`,
      level,
    );
  }
  assert.equal(
    await node.query("SELECT 1 AS n", "&level=none&freshness=1s&freshness_strict"),
    '{"results":[{"columns":["n"],"types":["integer"],"values":[[1]]}]}',
  );
});
