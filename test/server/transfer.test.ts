/** Backups and loads: whole databases out and in, over a real socket. */
import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, beforeEach, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { eventually, open } from "./support/http.ts";
import { TestNode } from "./support/node.ts";

let node: TestNode;
before(async () => {
  node = await TestNode.start();
});
beforeEach(() => node.wipe());
after(() => node[Symbol.asyncDispose]());

/** Runs `use` on the SQLite file in `bytes`. */
function withFile<T>(bytes: Uint8Array, use: (db: DatabaseSync) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "pumice-file-"));
  const path = join(folder, "file.sqlite");
  writeFileSync(path, bytes);
  const db = new DatabaseSync(path);
  try {
    return use(db);
  } finally {
    db.close();
    rmSync(folder, { recursive: true });
  }
}

/** A SQLite file of `rows` rows. */
function makeFile(rows: number): Buffer {
  const folder = mkdtempSync(join(tmpdir(), "pumice-file-"));
  const path = join(folder, "file.sqlite");
  const db = new DatabaseSync(path);
  db.exec("CREATE TABLE numbers (n INTEGER PRIMARY KEY, t TEXT); CREATE INDEX by_t ON numbers(t)");
  db.exec(
    `WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < ${String(rows)}) INSERT INTO numbers SELECT n, 'text of row ' || n FROM s`,
  );
  db.close();
  const bytes = readFileSync(path);
  rmSync(folder, { recursive: true });
  return bytes;
}

const COUNT = (n: number) => `{"results":[{"columns":["n"],"types":["integer"],"values":[[${String(n)}]]}]}`;

test("a backup is a whole SQLite file without Pumice's own table, in each format", async () => {
  await node.execute(
    "CREATE TABLE foo (id INTEGER PRIMARY KEY, name TEXT)",
    "INSERT INTO foo(name) VALUES('fiona')",
    "CREATE VIEW v AS SELECT name FROM foo",
  );
  for (const parameters of ["", "?fmt=binary", "?fmt=delete", "?vacuum", "?fmt=nonsense"]) {
    const reply = await node.call(`/db/backup${parameters}`);
    assert.equal(reply.status, 200);
    assert.equal(reply.headers["content-type"], "application/octet-stream");
    withFile(reply.body, (db) => {
      assert.deepEqual({ ...db.prepare("PRAGMA integrity_check").get() }, { integrity_check: "ok" });
      assert.deepEqual(
        db
          .prepare("SELECT name FROM sqlite_master ORDER BY name")
          .all()
          .map((row) => row["name"]),
        ["foo", "v"],
      );
      assert.deepEqual({ ...db.prepare("SELECT * FROM v").get() }, { name: "fiona" });
    });
  }
  const packed = await node.call("/db/backup?compress&fmt=delete");
  withFile(gunzipSync(packed.body), (db) => assert.equal(db.prepare("SELECT count(*) AS n FROM foo").get()?.["n"], 1));
  const wrong = await node.call("/db/backup?fmt=sql&vacuum");
  assert.deepEqual([wrong.status, wrong.text], [500, "invalid backup format\n"]);
});

test("a SQL dump loads into plain SQLite, of all tables or of those named", async () => {
  await node.execute(
    "CREATE TABLE foo (id INTEGER PRIMARY KEY, name TEXT)",
    "INSERT INTO foo(name) VALUES('it''s')",
    "CREATE TABLE bar (b BLOB)",
    "INSERT INTO bar VALUES(x'00ff')",
  );
  const reply = await node.call("/db/backup?fmt=sql");
  assert.equal(reply.headers["content-type"], "application/sql");
  assert.match(reply.text, /^PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\n/);
  assert.match(reply.text, /COMMIT;\n$/);
  const db = new DatabaseSync(":memory:");
  db.exec(reply.text);
  assert.deepEqual({ ...db.prepare("SELECT name, b FROM foo, bar").get() }, { name: "it's", b: new Uint8Array([0, 255]) });
  db.close();
  const some = await node.call("/db/backup?fmt=sql&tables=bar");
  assert.match(some.text, /CREATE TABLE bar/);
  assert.doesNotMatch(some.text, /foo/);
  assert.equal(gunzipSync((await node.call("/db/backup?fmt=sql&compress")).body).toString(), reply.text);
});

test("a SQLite file that is loaded replaces everything, and is still there after a restart", async () => {
  await node.execute("CREATE TABLE old (a)", "INSERT INTO old VALUES(1)");
  const file = makeFile(50_000);
  assert.ok(file.length > 2 * 1024 * 1024, "more than one piece");
  const reply = await node.call("/db/load", { method: "POST", body: file });
  assert.deepEqual([reply.status, reply.text], [200, '{"results":[]}']);
  assert.equal(await node.query("SELECT count(*) AS n FROM numbers"), COUNT(50_000));
  assert.match(await node.query("SELECT * FROM old"), /no such table: old/);
  await node.execute("INSERT INTO numbers VALUES(50001, 'x')");
  await node.restart();
  assert.equal(await node.query("SELECT count(*) AS n FROM numbers"), COUNT(50_001));
  const back = await node.call("/db/backup?fmt=delete");
  withFile(back.body, (db) => assert.equal(db.prepare("SELECT count(*) AS n FROM numbers").get()?.["n"], 50_001));
});

test("a backup loaded into another node gives the same rows", async () => {
  const from = node;
  await using to = await TestNode.start();
  await from.execute("CREATE TABLE foo (id INTEGER PRIMARY KEY, r REAL, b BLOB)", ["INSERT INTO foo VALUES(?, ?, ?)", 5, 1.5, [1, 2, 3]]);
  const rows = await from.query("SELECT * FROM foo");
  for (const format of ["binary", "delete", "sql"]) {
    const backup = await from.call(`/db/backup?fmt=${format}`);
    if (format === "sql") await to.execute("DROP TABLE foo");
    assert.equal((await to.call("/db/load", { method: "POST", body: backup.body })).status, 200, format);
    assert.equal(await to.query("SELECT * FROM foo"), rows, format);
  }
});

test("/boot takes a SQLite file and nothing else", async () => {
  const wrong = await node.call("/boot", { method: "POST", body: "CREATE TABLE foo(a)" });
  assert.deepEqual([wrong.status, wrong.text], [400, "invalid SQLite data\n"]);
  const reply = await node.call("/boot", { method: "POST", body: makeFile(10) });
  assert.deepEqual([reply.status, reply.text], [200, ""]);
  assert.equal(await node.query("SELECT count(*) AS n FROM numbers"), COUNT(10));
});

test("a file that only begins like SQLite's is refused, and nothing has changed", async () => {
  await node.execute("CREATE TABLE foo (a)", "INSERT INTO foo VALUES(1)");
  for (const body of [
    Buffer.from("SQLite format 3\0"),
    Buffer.concat([Buffer.from("SQLite format 3\0"), Buffer.alloc(100_000, 7)]),
    makeFile(1000).subarray(0, 5000),
  ]) {
    const reply = await node.call("/db/load", { method: "POST", body });
    assert.equal(reply.status, 400, reply.text);
    assert.notEqual(reply.text, "\n");
    assert.equal(await node.query("SELECT count(*) AS n FROM foo"), COUNT(1));
  }
});

test("SQL text is one script: wholly or not at all, its own BEGIN and COMMIT passed over", async () => {
  const dump =
    "BEGIN TRANSACTION;\nCREATE TABLE foo (id INTEGER NOT NULL PRIMARY KEY, name TEXT);\nINSERT INTO \"foo\" VALUES(1,'fiona');\nCOMMIT;\n";
  const reply = await node.call("/db/load", { method: "POST", body: dump, headers: { "Content-Type": "text/plain" } });
  assert.deepEqual([reply.status, reply.text], [200, '{"results":[{"last_insert_id":1,"rows_affected":1}]}']);
  const broken = await node.call("/db/load", {
    method: "POST",
    body: "INSERT INTO foo VALUES(2,'x'); INSERT INTO nope VALUES(1); INSERT INTO foo VALUES(3,'y')",
  });
  assert.match(broken.text, /no such table: nope/);
  assert.equal(await node.query("SELECT count(*) AS n FROM foo"), COUNT(1));
  const empty = await node.call("/db/load", { method: "POST", body: "" });
  assert.deepEqual([empty.status, empty.text], [400, "no statements\n"]);
});

test("an upload that breaks off changes nothing and leaves the node well", async () => {
  await node.execute("CREATE TABLE foo (a)");
  const file = makeFile(50_000);
  const { sent, reply } = open(`${node.url}/db/load`, { method: "POST", headers: { "Content-Length": String(file.length) } });
  reply.catch(() => undefined);
  sent.write(file.subarray(0, file.length / 2));
  await eventually(async () => JSON.parse((await node.call("/status?key=http.connections")).text) === 2, "the upload has begun");
  sent.destroy();
  await eventually(async () => JSON.parse((await node.call("/status?key=http.connections")).text) === 1, "the upload is gone");
  assert.equal(await node.query("SELECT count(*) AS n FROM foo"), COUNT(0));
  assert.match(await node.query("SELECT count(*) AS n FROM numbers"), /no such table/);
  assert.equal(await node.execute("INSERT INTO foo VALUES(1)"), '{"results":[{"last_insert_id":1,"rows_affected":1}]}');
});

test("a client that stops reading a backup holds neither writes nor memory, and one that leaves ends it", async () => {
  await node.call("/db/load", { method: "POST", body: makeFile(200_000) });
  const sent = request(`${node.url}/db/backup?fmt=delete`, { agent: false });
  sent.on("error", () => undefined);
  const response = await new Promise<IncomingMessage>((resolve) => sent.on("response", resolve).end());
  response.on("error", () => undefined);
  response.pause();
  assert.equal(await node.execute("INSERT INTO numbers VALUES(999999, 'x')"), '{"results":[{"last_insert_id":999999,"rows_affected":1}]}');
  const temporary = join(node.folder, "data", "tmp");
  sent.destroy();
  await eventually(async () => JSON.parse((await node.call("/status?key=http.connections")).text) === 1, "the backup is gone");
  await eventually(() => !existsSync(temporary) || readdirSync(temporary).length === 0, "its temporary file is gone");
});
