/** Status codes, headers and the order of checks: rqlite's, over a real socket against a real node. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { call } from "./support/http.ts";
import { TestNode } from "./support/node.ts";

let node: TestNode;
before(async () => {
  node = await TestNode.start({ server: { allowOrigin: "https://example.com" } });
});
after(() => node[Symbol.asyncDispose]());

test("a bad query string, body or statement list is 400 with a text and a newline", async () => {
  const bodies: readonly (readonly [string, string])[] = [
    ['{"a":1}', "invalid request\n"],
    ["[", "invalid JSON body\n"],
    ["[]", "no statements\n"],
    ["", "no statements\n"],
  ];
  for (const path of ["/db/execute", "/db/query", "/db/request", "/db/execute?queue"]) {
    for (const [body, text] of bodies) {
      const reply = await node.post(path, body);
      assert.equal(reply.status, 400, path + body);
      assert.equal(reply.text, text);
      assert.equal(reply.headers["content-type"], "text/plain; charset=utf-8");
      assert.equal(reply.headers["x-content-type-options"], "nosniff");
    }
  }
  const bad = await node.call("/db/query?timeout=abc&q=SELECT%201");
  assert.equal(bad.status, 400);
  assert.equal(bad.text, "timeout is not a valid duration\n");
  assert.equal((await node.call("/db/query?q=")).text, "query parameter not set\n");
  assert.equal((await node.call("/db/sql")).text, "query not specified\n");
});

test("a NUL in SQL is 400, however the SQL comes", async () => {
  const sql = "SELECT 1 \0 , 2";
  const plain = { "Content-Type": "text/plain" };
  const replies = [
    await node.call(`/db/query?q=${encodeURIComponent(sql)}`),
    await node.post("/db/query", [sql]),
    await node.post("/db/query", sql, plain),
    await node.post("/db/execute", sql, plain),
    await node.post("/db/execute?queue", sql, plain),
    await node.post("/db/request", [[sql]]),
    await node.post("/db/load", sql, plain),
  ];
  for (const reply of replies) {
    assert.equal(reply.status, 400);
    assert.equal(reply.text, "the SQL text has a NUL character at position 9, where SQLite would end it: write char(0) instead\n");
  }
});

test("the query string is checked before the path, the path before the method", async () => {
  assert.equal((await node.call("/nowhere?timeout=abc")).status, 400);
  assert.equal((await node.call("/nowhere", { method: "DELETE" })).status, 404);
  assert.equal((await node.call("/nowhere")).text, "");
  assert.equal((await node.call("/db")).status, 404);
});

test("a wrong method is 405 without a body", async () => {
  const wrong: readonly (readonly [string, string])[] = [
    ["GET", "/db/execute"],
    ["PUT", "/db/query"],
    ["HEAD", "/db/query"],
    ["GET", "/db/request"],
    ["POST", "/db/backup"],
    ["GET", "/db/load"],
    ["DELETE", "/db/sql"],
    ["GET", "/boot"],
    ["GET", "/snapshot"],
    ["GET", "/reap"],
    ["POST", "/remove"],
    ["POST", "/status"],
    ["POST", "/nodes"],
    ["DELETE", "/leader"],
    ["POST", "/readyz"],
    ["POST", "/licenses"],
    ["POST", "/debug/vars"],
    ["POST", "/console/"],
  ];
  for (const [method, path] of wrong) {
    const reply = await node.call(path, { method });
    assert.equal(reply.status, 405, `${method} ${path}`);
    assert.equal(reply.text, "");
    assert.notEqual(reply.headers.allow, undefined);
  }
});

test("OPTIONS is 200 on any path, and every answer carries version and CORS headers", async () => {
  for (const [method, path] of [
    ["OPTIONS", "/db/query"],
    ["OPTIONS", "/nowhere?timeout=abc"],
    ["GET", "/nowhere"],
    ["GET", "/status"],
    ["GET", "/readyz"],
    ["POST", "/db/query"],
  ] as const) {
    const { rawHeaders, status, text } = await node.call(path, { method });
    if (method === "OPTIONS") assert.deepEqual([status, text], [200, ""]);
    assert.deepEqual(rawHeaders.slice(0, 8), [
      "X-RQLITE-VERSION",
      "v0-test",
      "Access-Control-Allow-Origin",
      "https://example.com",
      "Access-Control-Allow-Methods",
      "OPTIONS, GET, POST",
      "Access-Control-Allow-Headers",
      "Content-Type",
    ]);
  }
});

test("a page of another site cannot write through somebody's browser, unless its site is allowed", async () => {
  const address = node.url.slice("http://".length);
  const write = (headers: Record<string, string>) => node.post("/db/execute", ["CREATE TABLE IF NOT EXISTS t(a)"], headers);
  for (const origin of ["https://evil.example", "null", `https://evil.example/${address}`, "http://127.0.0.1:1", "http://"]) {
    const refused = await write({ Origin: origin });
    assert.equal(refused.status, 403, origin);
    assert.match(refused.text, /cross-origin request refused: -http-allow-origin/);
  }
  assert.equal((await write({ Origin: node.url })).status, 200);
  assert.equal((await write({ Origin: "https://example.com" })).status, 200);
  assert.equal((await write({})).status, 200);
  assert.equal((await node.call("/db/query?q=SELECT%201", { headers: { Origin: "https://evil.example" } })).status, 200);
});

test("answers of the database name the node that did the work", async () => {
  const address = node.url.slice("http://".length);
  for (const [path, body] of [
    ["/db/execute", ["CREATE TABLE IF NOT EXISTS t(a)"]],
    ["/db/query", ["SELECT 1"]],
    ["/db/request", ["SELECT 1"]],
    ["/db/execute?queue&wait", ["INSERT INTO t VALUES(1)"]],
  ] as const) {
    const reply = await node.post(path, body);
    assert.equal(reply.headers["x-rqlite-served-by"], address, path);
    assert.equal(reply.headers["content-type"], "application/json; charset=utf-8");
  }
  assert.equal((await node.call("/db/backup")).headers["x-rqlite-served-by"], address);
  assert.equal((await node.post("/db/query", "[")).headers["x-rqlite-served-by"], undefined);
});

test("a prefix of a path is enough where rqlite has it so, and not elsewhere", async () => {
  assert.equal((await node.call("/db/queryXYZ?q=SELECT%201")).status, 200);
  assert.equal((await node.call("/status/x")).status, 200);
  assert.equal((await node.call("/readyzz")).status, 200);
  assert.equal((await node.call("/leader/x")).status, 404);
  assert.equal((await node.call("/boot/x", { method: "POST" })).status, 404);
  assert.equal((await node.call("/db%2Fquery?q=SELECT%201")).status, 200);
  assert.equal((await node.call("/%zz")).status, 404);
});

test("/ leads to the console, which is whole, needs nothing from outside and may run nothing else", async () => {
  const root = await node.call("/");
  assert.deepEqual([root.status, root.headers.location], [302, "/console/"]);
  assert.deepEqual([(await node.call("/console")).status, (await node.call("/console")).headers.location], [301, "/console/"]);
  const page = await node.call("/console/");
  assert.equal(page.status, 200);
  assert.match(String(page.headers["content-security-policy"]), /default-src 'none'; script-src 'self'/);
  assert.doesNotMatch(page.text, /https?:|<style|<script>|style=|onclick=/);
  for (const [, path] of page.text.matchAll(/(?:href|src)="([^".][^"]*)"/g)) {
    const file = await node.call(`/console/${path as string}`);
    assert.equal(file.status, 200, path);
    assert.doesNotMatch(file.text, /https?:\/\/(?!www\.w3\.org)/);
  }
  const head = await node.call("/console/", { method: "HEAD" });
  assert.deepEqual([head.status, head.text, head.headers["content-length"]], [200, "", String(page.body.length)]);
  const cached = await node.call("/console/", { headers: { "If-None-Match": String(page.headers.etag) } });
  assert.deepEqual([cached.status, cached.text], [304, ""]);
  for (const path of ["/console/../package.json", "/console/%2e%2e/package.json", "/console/nothing", "/console/constructor"]) {
    assert.equal((await node.call(path)).status, 404, path);
  }
});

test("what a single node cannot do is said with a reason", async () => {
  for (const path of ["/snapshot", "/reap"]) {
    const reply = await node.post(path, "");
    assert.equal(reply.status, 501);
    assert.match(reply.text, /^not implemented: ./);
  }
  const stepdown = await node.post("/leader?wait", '{"id":"2"}');
  assert.equal(stepdown.status, 500);
  assert.match(stepdown.text, /^stepdown: /);
});

test("/remove takes exactly one id, and a node cannot remove itself", async () => {
  const remove = (body: string) => node.call("/remove", { method: "DELETE", body });
  for (const body of ["", "{}", "[]", "null", '{"id":1}', '{"node":"1"}', '{"id":"1","x":2}']) {
    const reply = await remove(body);
    assert.deepEqual([reply.status, reply.text], [400, ""], body);
  }
  assert.equal((await remove('{"id":"localhost:4002"}')).status, 500);
  assert.deepEqual([(await remove('{"id":"never seen"}')).status, (await remove('{"id":"never seen"}')).text], [200, ""]);
});

test("/nodes and /leader describe this node in both forms", async () => {
  const one = JSON.parse((await node.call("/nodes?ver=2&nonvoters")).text) as { nodes: Record<string, unknown>[] };
  const [self] = one.nodes;
  assert.deepEqual(Object.keys(self ?? {}), ["id", "api_addr", "addr", "version", "voter", "reachable", "leader", "time", "time_s"]);
  assert.deepEqual(
    { ...self, time: 0, time_s: "" },
    {
      id: "localhost:4002",
      api_addr: node.url,
      addr: "localhost:4002",
      version: "v0-test",
      voter: true,
      reachable: true,
      leader: true,
      time: 0,
      time_s: "",
    },
  );
  assert.ok((self?.["time"] as number) > 0);
  assert.match(String(self?.["time_s"]), /^[\d.]+(ns|\u00b5s|ms)$/);
  assert.deepEqual(Object.keys(JSON.parse((await node.call("/nodes")).text) as object), ["localhost:4002"]);
  assert.equal((JSON.parse((await node.call("/leader")).text) as { id: string }).id, "localhost:4002");
});

test("/readyz says in rqlite's words how far it is", async () => {
  const expected: readonly (readonly [string, string])[] = [
    ["/readyz", "[+]node ok\n[+]leader ok\n[+]store ok\n[+]db ok"],
    ["/readyz?sync", "[+]node ok\n[+]leader ok\n[+]store ok\n[+]sync ok\n[+]db ok"],
    ["/readyz?noleader", "[+]node ok"],
  ];
  for (const [path, text] of expected) {
    const reply = await node.call(path);
    assert.deepEqual([reply.status, reply.text], [200, text]);
  }
});

test("/status has what rqlite's clients read, and gives a part by its key", async () => {
  const status = JSON.parse((await node.call("/status")).text) as Record<string, Record<string, unknown>>;
  const store = status["store"] as Record<string, Record<string, unknown>>;
  assert.deepEqual(store["leader"], { node_id: "localhost:4002", addr: "localhost:4002" });
  assert.equal(store["raft"]?.["state"], "Leader");
  assert.equal(store["raft"]["voter"], true);
  for (const name of ["term", "last_log_index", "commit_index", "applied_index", "fsm_pending", "last_snapshot_index"]) {
    assert.equal(typeof store["raft"][name], "number", name);
  }
  for (const name of ["db_applied_index", "fsm_index"]) assert.equal(typeof store[name], "number", name);
  assert.ok(String(store["sqlite3"]?.["path"]).endsWith("db.sqlite"));
  const { pragmas } = store["sqlite3"] as { readonly pragmas: Record<string, Record<string, string>> };
  const { rw, ro } = pragmas;
  assert.deepEqual(
    [rw?.["journal_mode"], rw?.["foreign_keys"], rw?.["wal_autocheckpoint"], ro?.["journal_mode"]],
    ["wal", "0", "0", "wal"],
  );
  assert.deepEqual((store["snapshot_store"] as { snapshots: unknown })["snapshots"], []);
  assert.ok(status["build"] !== undefined && status["os"] !== undefined && status["runtime"] !== undefined && status["node"] !== undefined);
  assert.equal((await node.call("/status?key=store.raft.state")).text, '"Leader"');
  assert.equal((await node.call("/status?key=store.nothing.here")).text, "{}");
  assert.equal((await node.call("/status?key=store.constructor")).text, "{}");
  assert.equal((await node.call("/status?key=http.queue._default.max_size")).text, "1024");
  assert.match((await node.call("/status?pretty&key=http.tls")).text, /^\{\n {4}"enabled": false/);
});

test("/debug/vars counts what really happened, one variable a line", async () => {
  const read = async () => JSON.parse((await node.call("/debug/vars")).text) as Record<string, Record<string, number>>;
  const first = await read();
  assert.ok(Array.isArray(first["cmdline"]));
  await node.post("/db/execute", ["SELECT 1", "SELECT 2"]);
  await node.post("/db/query", ["SELECT 1"]);
  await node.post("/db/request", ["SELECT 1"]);
  await node.call("/db/backup");
  await node.call("/readyz");
  const second = await read();
  const grown = (name: string) => (second["http"]?.[name] ?? 0) - (first["http"]?.[name] ?? 0);
  assert.deepEqual(
    ["executions", "execute_stmts_rx", "queries", "query_stmts_rx", "requests", "request_stmts_rx", "backups", "num_readyz"].map(grown),
    [1, 2, 1, 1, 1, 1, 1, 1],
  );
  assert.match((await node.call("/debug/vars?key=queue")).text, /^\{\n"queue": \{"objects_rx":\d+.*\}\n\}\n$/);
  assert.equal((await node.call("/debug/vars?key=nothing")).text, "{\n\n}\n");
});

test("/db/sql shows that nothing is rewritten", async () => {
  const reply = await node.post("/db/sql", [["SELECT random() WHERE 1 < ?", 2]]);
  assert.match(
    reply.text,
    /^\{"results":\[\{"original":"SELECT random\(\) WHERE 1 \\u003c \?","rewritten":"SELECT random\(\) WHERE 1 \\u003c \?"\}\],"time":[\d.e-]+\}$/,
  );
});

test("/licenses is text", async () => {
  const reply = await node.call("/licenses");
  assert.equal(reply.headers["content-type"], "text/plain; charset=utf-8");
  assert.match(reply.text, /SQLite/);
});

test("with a credentials file, each path asks for its permission before it looks at the method", async () => {
  const folder = mkdtempSync(join(tmpdir(), "pumice-auth-"));
  const authFile = join(folder, "auth.json");
  writeFileSync(
    authFile,
    JSON.stringify([
      { username: "writer", password: "w", perms: ["execute"] },
      { username: "both", password: "b", perms: ["execute", "query"] },
      { username: "root", password: "r", perms: ["all"] },
      { username: "*", perms: ["ready"] },
    ]),
  );
  await using guarded = await TestNode.start({ server: { authFile } });
  const as = (user: string | undefined, method: string, path: string, body?: string) =>
    guarded.call(path, {
      method,
      body,
      headers: user === undefined ? {} : { Authorization: `Basic ${Buffer.from(user).toString("base64")}` },
    });
  const none = await as(undefined, "POST", "/db/execute", '["CREATE TABLE t(a)"]');
  assert.deepEqual([none.status, none.text, none.headers["www-authenticate"]], [401, "", 'Basic realm="rqlite"']);
  assert.equal(none.headers["access-control-allow-headers"], "Content-Type, Authorization");
  assert.equal(none.headers["access-control-allow-credentials"], "true");
  assert.equal((await as("writer:w", "POST", "/db/execute", '["CREATE TABLE t(a)"]')).status, 200);
  assert.equal((await as("writer:x", "POST", "/db/execute", '["CREATE TABLE u(a)"]')).status, 401);
  assert.equal((await as("writer:w", "POST", "/db/query", '["SELECT 1"]')).status, 401);
  assert.equal((await as("writer:w", "POST", "/db/request", '["SELECT 1"]')).status, 401);
  assert.equal((await as("both:b", "POST", "/db/request", '["SELECT 1"]')).status, 200);
  assert.equal((await as("writer:w", "PUT", "/db/query")).status, 401);
  assert.equal((await as("both:b", "PUT", "/db/query")).status, 405);
  assert.equal((await as(undefined, "GET", "/readyz")).status, 200);
  assert.equal((await as(undefined, "GET", "/console/")).status, 401);
  assert.equal((await as(undefined, "GET", "/")).status, 302);
  assert.equal((await as(undefined, "OPTIONS", "/db/query")).status, 200);
  const vars = JSON.parse((await as("root:r", "GET", "/debug/vars?key=http")).text) as { http: Record<string, number> };
  assert.ok((vars.http["auth_fail"] ?? 0) >= 5 && (vars.http["auth_ok"] ?? 0) >= 4);
  assert.ok(!guarded.log.some((line) => /w:|"w"|Basic/.test(line)));
  rmSync(folder, { recursive: true });
});

test("while the store is not open, /status answers, reads and writes say so, and /readyz is 503", async () => {
  const { startServer, DEFAULT_LIMITS, DEFAULT_QUEUE } = await import("../../src/server/mod.ts");
  const server = await startServer(
    { host: "127.0.0.1", port: 0, limits: { ...DEFAULT_LIMITS, closeTimeoutMs: 100 }, queue: DEFAULT_QUEUE },
    { replica: () => undefined, node: { version: "v", dataDirectory: "d" }, log: () => undefined },
  );
  try {
    assert.equal((await call(`${server.url}/status?key=store`)).text, '{"open":false}');
    const reply = await call(`${server.url}/db/query?q=SELECT%201`);
    assert.deepEqual([reply.status, reply.text], [200, '{"results":[],"error":"store not open"}']);
    const ready = await call(`${server.url}/readyz`);
    assert.deepEqual([ready.status, ready.text], [503, "[+]node ok\n[+]leader does not exist"]);
    assert.equal((await call(`${server.url}/readyz?noleader`)).status, 200);
    assert.deepEqual([(await call(`${server.url}/leader`)).status, (await call(`${server.url}/leader`)).text], [503, "leader not found\n"]);
    assert.equal((await call(`${server.url}/nodes`)).status, 503);
    assert.deepEqual(
      [(await call(`${server.url}/db/backup`)).status, (await call(`${server.url}/db/backup`)).text],
      [500, "store not open\n"],
    );
  } finally {
    await server.close();
  }
});
