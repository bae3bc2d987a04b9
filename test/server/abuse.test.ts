/** Clients that are slow, rude, too many or gone; and the end of a node while clients talk to it. */
import assert from "node:assert/strict";
import { Agent, request } from "node:http";
import { connect, type Socket } from "node:net";
import { after, before, beforeEach, test } from "node:test";
import { call, eventually, open, raw } from "./support/http.ts";
import { TestNode } from "./support/node.ts";

/** For tests that need no limits of their own. */
let node: TestNode;
before(async () => {
  node = await TestNode.start();
});
beforeEach(() => node.wipe());
after(() => node[Symbol.asyncDispose]());

const ENDLESS = "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s) SELECT count(*) FROM s";
const get = (path: string, more = "") => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${more}\r\n`;

/** Every answer says which version gave it. */
const VERSION = /\r\nX-RQLITE-VERSION: v0-test\r\n/;

const reads = async (node: TestNode) => JSON.parse((await node.call("/status?key=store.readers.reads_under_way")).text) as number;

test("a body beyond the limit is 413 whether its length is told or not, and the client can read it", async () => {
  await using node = await TestNode.start({ limits: { maxBodyBytes: 100_000 } });
  const body = `["${"x".repeat(1_000_000)}"]`;
  for (const headers of [{}, { "Transfer-Encoding": "chunked" }, { Expect: "100-continue" }]) {
    const reply = await node.call("/db/execute", { method: "POST", body, headers });
    assert.equal(reply.status, 413, JSON.stringify(headers));
    assert.equal(reply.headers.connection, "close", "the rest of the body is not waited for without end");
    assert.match(reply.text, /the limit is 100000 bytes \(-http-max-body\)/);
  }
  assert.match(await sendThenRead(node, 20_000_000), /^HTTP\/1\.1 413 /);
  const text = await node.call("/db/load", { method: "POST", body });
  assert.equal(text.status, 413);
  assert.equal((await node.execute("SELECT 1")).includes('"results"'), true);
});

/** Sends a whole body before it reads anything, as many clients do. */
function sendThenRead(node: TestNode, bodyBytes: number): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    const socket = connect(Number(new URL(node.url).port), "127.0.0.1");
    socket.pause();
    socket.on("error", reject);
    socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    socket.on("close", () => resolve(text));
    socket.write(`POST /db/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${String(bodyBytes)}\r\n\r\n`);
    socket.write(Buffer.alloc(bodyBytes, "x"), () => socket.resume());
  });
}

test("statements, results and headers have their limits and say so", async () => {
  await using node = await TestNode.start({ limits: { maxStatements: 3, maxResultBytes: 10_000 } });
  const many = await node.post("/db/query", ["SELECT 1", "SELECT 1", "SELECT 1", "SELECT 1"]);
  assert.equal(many.status, 413);
  assert.match(many.text, /too many statements: 4, the limit is 3/);
  const large = await node.query("WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 100000) SELECT n FROM s");
  assert.ok(large.length < 20_000);
  assert.match(large, /"error":"result is larger than the limit/);
  const headers = await raw(node.url, get("/status", `X-Large: ${"y".repeat(20_000)}\r\n`));
  assert.match(headers, /^HTTP\/1\.1 431 /);
  const ids = Array.from({ length: 20_000 }, (_, i) => i).join(",");
  assert.match(
    await node.query(`SELECT count(*) AS n FROM (SELECT 1) WHERE 7 IN (${ids})`),
    /"values":\[\[1\]\]/,
    "SQL of 100 KB in a URL",
  );
  assert.match(await raw(node.url, get(`/db/query?q=${"x".repeat(1024 * 1024)}`)), /^HTTP\/1\.1 414 /);
  assert.match(await raw(node.url, get(`/db/query?q=${"x".repeat(1024 * 1024 + 40_000)}`)), /^HTTP\/1\.1 431 /);
  assert.match(headers, VERSION);
});

test("large bodies and results are bounded all together, and their memory is given back", async () => {
  await using node = await TestNode.start({ limits: { maxMemoryBytes: 1_000_000 } });
  await node.execute("CREATE TABLE foo (t TEXT)");
  const body = JSON.stringify([["INSERT INTO foo VALUES(?)", "x".repeat(800_000)]]);
  const slow = open(`${node.url}/db/execute`, { method: "POST" });
  slow.sent.write(body.slice(0, -10));
  const used = async () => JSON.parse((await node.call("/status?key=http.memory")).text) as number;
  await eventually(async () => (await used()) > 700_000, "the slow body takes memory");
  const refused = await node.post("/db/execute", body);
  assert.equal(refused.status, 503);
  assert.equal(refused.headers["retry-after"], "1");
  assert.match(refused.text, /nothing of this one was done/);
  assert.match(await node.query("SELECT printf('%.*c', 500000, 'y') AS t"), /^\{"results":\[\],"error":"the result was dropped: /);
  assert.match(await node.execute("INSERT INTO foo VALUES('small')"), /"rows_affected":1/);
  slow.sent.end(body.slice(-10));
  assert.equal((await slow.reply).status, 200);
  await eventually(async () => (await used()) === 0, "memory is given back");
  assert.equal((await node.query("SELECT t FROM foo WHERE t <> 'small'")).length > 800_000, true);
  assert.match(await node.query("SELECT count(*) AS n FROM foo"), /\[\[2\]\]/);
});

test("large bodies are counted in all their copies, and those that find room are served", async () => {
  await using node = await TestNode.start({ limits: { maxMemoryBytes: 30_000_000 } });
  await node.execute("CREATE TABLE foo (t TEXT)");
  const body = JSON.stringify([["INSERT INTO foo VALUES(?)", "x".repeat(2_500_000)]]);
  const statuses = await Promise.all(
    Array.from({ length: 8 }, () =>
      node.post("/db/execute", body).then(
        ({ status }) => status,
        // The refusal came before the body was sent, and the connection is closed then.
        () => 503,
      ),
    ),
  );
  const served = statuses.filter((status) => status === 200).length;
  assert.ok(served >= 2, `${served} of ${statuses.join()}`);
  assert.match(await node.query("SELECT count(*) AS n FROM foo"), new RegExp(`\\[\\[${served}\\]\\]`));
});

test("what was written is told, however little memory is left for its results", async () => {
  await using node = await TestNode.start({ limits: { maxMemoryBytes: 300_000 } });
  await node.execute("CREATE TABLE foo (n INTEGER)");
  const statements = Array.from({ length: 4000 }, (_, n) => `INSERT INTO foo VALUES(${n})`);
  const results = JSON.parse((await node.post("/db/execute", statements)).text) as { results: unknown[]; error?: string };
  assert.deepEqual([results.results.length, results.error], [4000, undefined]);
});

test("a client that reads no answers has a few of its requests under way, the others wait", async () => {
  await using node = await TestNode.start();
  const socket = connect(Number(new URL(node.url).port), "127.0.0.1");
  let received = 0;
  socket.on("error", () => undefined);
  socket.pause();
  const queries = async () => JSON.parse((await node.call("/debug/vars?key=http")).text).http.queries as number;
  const before = await queries();
  socket.write(get(`/db/query?q=${encodeURIComponent("SELECT hex(zeroblob(200000))")}`).repeat(200));
  await eventually(async () => (await queries()) > before, "the first are served");
  const other = await node.query("SELECT 1 AS n");
  assert.match(other, /\[\[1\]\]/);
  assert.ok((await queries()) - before < 60, "not all at once");
  socket.on("data", (chunk: Buffer) => (received += chunk.length));
  socket.resume();
  await eventually(() => Promise.resolve(received > 200 * 400_000), "once it reads, all are answered");
  socket.destroy();
});

test("backups under way are bounded, and the next is told to wait", async () => {
  await using node = await TestNode.start({ limits: { maxBackups: 2 } });
  await node.execute("CREATE TABLE foo (b BLOB)", "INSERT INTO foo VALUES(zeroblob(30000000))");
  const stalled = [0, 1].map(() => {
    const socket = connect(Number(new URL(node.url).port), "127.0.0.1");
    socket.on("error", () => undefined);
    socket.pause();
    socket.write(get("/db/backup"));
    return socket;
  });
  const status = async () => JSON.parse((await node.call("/status?key=http.backups")).text) as number;
  await eventually(async () => (await status()) === 2, "two are under way");
  const refused = await node.call("/db/backup");
  assert.deepEqual([refused.status, refused.headers["retry-after"]], [503, "1"]);
  for (const socket of stalled) socket.destroy();
  await eventually(async () => (await status()) === 0, "their places are free again");
  assert.equal((await node.call("/db/backup")).status, 200);
});

test("a client that takes nothing of its answer loses its connection", async () => {
  await using node = await TestNode.start({ limits: { bodyTimeoutMs: 300 } });
  const socket = connect(Number(new URL(node.url).port), "127.0.0.1");
  socket.on("error", () => undefined);
  socket.pause();
  socket.write(get(`/db/query?q=${encodeURIComponent("SELECT hex(zeroblob(20000000))")}`));
  await eventually(async () => JSON.parse((await node.call("/status?key=http.memory")).text) > 0, "the answer waits");
  await eventually(async () => JSON.parse((await node.call("/status?key=http.memory")).text) === 0, "it is given up");
  socket.destroy();
});

test("connections that never asked give way before those that wait for their next request", async () => {
  await using node = await TestNode.start({ limits: { maxConnections: 3 } });
  const port = Number(new URL(node.url).port);
  const kept = connect(port, "127.0.0.1");
  const ask = (): Promise<string> =>
    new Promise((resolve) => {
      kept.once("data", (chunk: Buffer) => resolve(chunk.toString()));
      kept.write(get("/readyz?noleader"));
    });
  await ask();
  const silent = [0, 1].map(() => connect(port, "127.0.0.1"));
  for (const socket of silent) socket.on("error", () => undefined);
  const openedMs = performance.now();
  // A newcomer is given a second to ask.
  await eventually(
    async () => (await ask()).startsWith("HTTP/1.1 200 ") && performance.now() - openedMs > 1200,
    "the silent ones are no newcomers",
  );
  assert.match(await raw(node.url, get("/readyz?noleader", "Connection: close\r\n")), /^HTTP\/1\.1 200 /, "one gave way");
  assert.match(await ask(), /^HTTP\/1\.1 200 /, "the kept one is still there");
  for (const socket of [kept, ...silent]) socket.destroy();
});

test("what is no HTTP is 400, and the node lives on", async () => {
  const pieces = [
    "\x16\x03\x01\x02\x00\x01\x00",
    "NONSENSE\r\n\r\n",
    "GET / HTTP/9.9\r\n\r\n",
    "POST /db/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "POST /db/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    "POST /db/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "POST /db/execute HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "GET /status HTTP/1.1\r\nHost: localhost\r\nBad\u0000Header: y\r\n\r\n",
    "GET /status HTTP/1.1\r\n\r\n",
  ];
  for (const piece of pieces) {
    const answer = await raw(node.url, piece);
    assert.match(answer, /^HTTP\/1\.1 400 /, JSON.stringify(piece));
    assert.match(answer, VERSION, JSON.stringify(piece));
  }
  const expects = await raw(node.url, get("/readyz", "Expect: 200-maybe\r\n"));
  assert.match(expects, /^HTTP\/1\.1 417 [\s\S]*100-continue\n$/);
  assert.match(expects, VERSION);
  for (const target of ["there:443", "/db/execute", "localhost:4001"]) {
    const connects = await raw(
      node.url,
      `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\nGET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n`,
    );
    assert.match(connects, /^HTTP\/1\.1 501 Not Implemented\r\n[\s\S]*\r\nConnection: close\r\n\r\nCONNECT is not implemented[^\n]*\n$/);
    assert.match(connects, VERSION);
  }
  const asksFirst = "POST /db/execute HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
  assert.match(await raw(node.url, asksFirst), /^HTTP\/1\.1 400 [\s\S]*the Host header is missing\n$/);
  assert.match(await raw(node.url, "GET /readyz HTTP/1.0\r\n\r\n"), /^HTTP\/1\.1 200 /, "HTTP/1.0 knows no Host");
  assert.equal((await node.call("/readyz")).status, 200);
});

test("requests sent in one piece are answered in their order", async () => {
  await node.execute("CREATE TABLE foo (id INTEGER PRIMARY KEY)");
  const insert = (id: number) => {
    const body = `["INSERT INTO foo VALUES(${String(id)})"]`;
    return `POST /db/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${String(body.length)}\r\n\r\n${body}`;
  };
  const bytes =
    insert(7) +
    get("/db/query?q=SELECT%20max(id)%20AS%20m%20FROM%20foo&level=none") +
    insert(8) +
    get("/nowhere") +
    get("/readyz?noleader", "Connection: close\r\n");
  const answers = await raw(node.url, bytes);
  const bodies = answers.split("HTTP/1.1 ").slice(1);
  assert.equal(bodies.length, 5);
  assert.match(bodies[0] as string, /^200 [\s\S]*"last_insert_id":7/);
  assert.match(bodies[1] as string, /^200 [\s\S]*"columns":\["m"\]/);
  assert.match(bodies[2] as string, /^200 [\s\S]*"last_insert_id":8/);
  assert.match(bodies[3] as string, /^404 /);
  assert.match(bodies[4] as string, /^200 [\s\S]*node ok$/);
});

test("one connection serves many requests", async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const ports = new Set<number | undefined>();
  for (let i = 0; i < 20; i++) {
    await new Promise<void>((resolve, reject) => {
      const sent = request(`${node.url}/db/query?q=SELECT%20${String(i)}`, { agent }, (response) => {
        response.resume();
        response.on("end", resolve);
      });
      sent.on("socket", (socket) => ports.add(socket.localPort));
      sent.on("error", reject);
      sent.end();
    });
  }
  agent.destroy();
  assert.equal([...ports].filter((port) => port !== undefined).length, 1);
});

test("a client that trickles its headers or its body gets 408, not a place for ever", async () => {
  await using node = await TestNode.start({ limits: { headerTimeoutMs: 300, bodyTimeoutMs: 300, idleTimeoutMs: 300 } });
  assert.match(await raw(node.url, ""), /^(HTTP\/1\.1 408 |$)/, "a connection that says nothing ends");
  assert.match(await raw(node.url, get("/readyz?noleader")), /node ok$/, "so does one that says nothing more");
  const slow = await raw(node.url, "GET /status HTTP/1.1\r\nHost: ");
  assert.match(slow, /^HTTP\/1\.1 408 /);
  assert.match(slow, VERSION);
  assert.match(await raw(node.url, "POST /db/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n["), /^HTTP\/1\.1 408 /);
  assert.match(
    await raw(node.url, "POST /db/load HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\nSQLite format 3\0"),
    /^HTTP\/1\.1 408 /,
  );
  await eventually(async () => JSON.parse((await node.call("/status?key=http.connections")).text) === 1, "their connections are gone");
});

test("an upload that keeps coming may take longer than the time for a body", async () => {
  await using node = await TestNode.start({ limits: { bodyTimeoutMs: 600 } });
  const parts = ["CREATE TABLE slow (a);", ...Array.from({ length: 8 }, (_, i) => `INSERT INTO slow VALUES(${String(i)});`)];
  const { sent, reply } = open(`${node.url}/db/load`, { method: "POST" });
  for (const part of parts) {
    sent.write(part);
    await new Promise((resolve) => setTimeout(resolve, 250));
  }
  sent.end();
  assert.equal((await reply).status, 200);
});

test("beyond the limit of connections idle ones give way, and if none is idle the client is told", async () => {
  await using node = await TestNode.start({ limits: { maxConnections: 3 } });
  const idle: Socket[] = [];
  for (let i = 0; i < 3; i++) {
    const socket = connect(Number(new URL(node.url).port), "127.0.0.1");
    socket.on("error", () => undefined);
    await new Promise((resolve) => socket.once("data", resolve).write(get("/readyz?noleader")));
    idle.push(socket);
  }
  assert.equal((await node.call("/readyz")).status, 200, "an idle connection gave way");
  for (const socket of idle) socket.destroy();
  const busy = Array.from({ length: 3 }, () => open(`${node.url}/db/execute`, { method: "POST" }));
  for (const { sent, reply } of busy) {
    reply.catch(() => undefined);
    sent.write("[");
  }
  await eventually(async () => {
    const text = await raw(node.url, get("/readyz?noleader", "Connection: close\r\n"));
    return VERSION.test(text) && /^HTTP\/1\.1 503 [\s\S]*the limit is 3 \(-http-max-conns\)/.test(text);
  }, "a fourth connection is refused");
  for (const { sent } of busy) sent.destroy();
  await eventually(async () => (await node.call("/readyz")).status === 200, "there is room again");
});

test("a refused connection has nothing done for it", async () => {
  await using node = await TestNode.start({ limits: { maxConnections: 1 } });
  await node.execute("CREATE TABLE foo (a)");
  const holder = open(`${node.url}/db/execute`, { method: "POST" });
  holder.reply.catch(() => undefined);
  holder.sent.write("[");
  const body = '["INSERT INTO foo VALUES(1)"]';
  const insert = `POST /db/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${String(body.length)}\r\n\r\n${body}`;
  await eventually(async () => (await raw(node.url, get("/readyz"))).startsWith("HTTP/1.1 503"), "the place is taken");
  assert.match(await raw(node.url, insert), /^HTTP\/1\.1 503 /);
  holder.sent.destroy();
  await eventually(
    async () =>
      (await call(`${node.url}/readyz`).then(
        ({ status }) => status,
        () => 0,
      )) === 200,
    "the place is free",
  );
  assert.match(await node.query("SELECT count(*) AS n FROM foo"), /\[\[0\]\]/);
});

test("a client that closes its side once it has asked still gets its answer", async () => {
  await node.execute("CREATE TABLE foo (a)");
  const body = '["INSERT INTO foo VALUES(1)"]';
  const insert = `POST /db/execute HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${String(body.length)}\r\n\r\n${body}`;
  for (const [bytes, expected] of [
    [insert, /^HTTP\/1\.1 200 [\s\S]*"rows_affected":1/],
    [get("/db/query?q=SELECT%201"), /^HTTP\/1\.1 200 [\s\S]*\[\[1\]\]/],
  ] as const) {
    const answer = await new Promise<string>((resolve, reject) => {
      let text = "";
      const socket = connect({ port: Number(new URL(node.url).port), host: "127.0.0.1", allowHalfOpen: true }, () => socket.end(bytes));
      socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
      socket.on("error", reject);
      socket.on("close", () => resolve(text));
    });
    assert.match(answer, expected);
  }
  assert.match(await node.query("SELECT count(*) AS n FROM foo"), /\[\[1\]\]/);
});

test("a client that goes away ends its read", async () => {
  const { sent, reply } = open(`${node.url}/db/query?level=none&q=${encodeURIComponent(ENDLESS)}`);
  reply.catch(() => undefined);
  sent.end();
  await eventually(async () => (await reads(node)) === 1, "the read runs");
  sent.destroy();
  await eventually(async () => (await reads(node)) === 0, "the read has ended");
});

test("a slow read delays neither writes nor /status", async () => {
  await node.execute("CREATE TABLE foo (a)");
  const slow = Array.from({ length: 4 }, (_, i) =>
    open(`${node.url}/db/query?level=none&db_timeout=1500ms&q=${encodeURIComponent(`${ENDLESS} LIMIT ${String(i + 1)}`)}`),
  );
  for (const { sent } of slow) sent.end();
  await eventually(async () => (await reads(node)) === 4, "the reads run");
  const started = performance.now();
  for (let i = 0; i < 10; i++) await node.execute("INSERT INTO foo VALUES(1)");
  assert.equal((await node.call("/status")).status, 200);
  assert.ok(performance.now() - started < 1400, "not behind the reads");
  for (const { reply } of slow) assert.match((await reply).text, /query timeout/);
});

test("reads without db_timeout end at the node's own limit, and a node whose readers are all busy is ready", async () => {
  await using limited = await TestNode.start({ server: { readTimeoutMs: 4000 } });
  const path = `/db/query?level=none&q=${encodeURIComponent(ENDLESS)}`;
  const calls = [limited.call(path), limited.post("/db/request", [`${ENDLESS} LIMIT 2`])];
  await eventually(async () => (await reads(limited)) === 2, "every reader is busy");
  const ready = await limited.call("/readyz");
  assert.equal(await reads(limited), 2, "every reader is still busy");
  assert.deepEqual([ready.status, ready.text], [200, "[+]node ok\n[+]leader ok\n[+]store ok\n[+]db ok"]);
  for (const { text } of await Promise.all(calls)) assert.match(text, /query timeout/);
});

test("closing lets requests that run finish, closes idle connections, and refuses what comes after", async () => {
  await using node = await TestNode.start();
  await node.execute("CREATE TABLE foo (a)");
  const idle = connect(Number(new URL(node.url).port), "127.0.0.1");
  await new Promise((resolve) => idle.once("data", resolve).write(get("/readyz?noleader")));
  const idleGone = new Promise((resolve) => idle.once("close", resolve));
  const { sent, reply } = open(`${node.url}/db/query?level=none&db_timeout=400ms&q=${encodeURIComponent(ENDLESS)}`);
  sent.end();
  await eventually(async () => (await reads(node)) === 1, "the read runs");
  const closed = node.close();
  await idleGone;
  await assert.rejects(node.call("/readyz"), { code: "ECONNREFUSED" });
  const answer = await reply;
  assert.match(answer.text, /query timeout/);
  assert.equal(answer.headers.connection, "close");
  await closed;
});

test("closing does not wait for a client that never ends its request", async () => {
  await using node = await TestNode.start({ limits: { closeTimeoutMs: 200 } });
  const { sent, reply } = open(`${node.url}/db/execute`, { method: "POST" });
  reply.catch(() => undefined);
  sent.write("[");
  await eventually(async () => JSON.parse((await node.call("/status?key=http.connections")).text) === 2, "the request has begun");
  const started = performance.now();
  await node.close();
  assert.ok(performance.now() - started < 5000);
});

test("an address that is taken is told by its name", async () => {
  const { DEFAULT_LIMITS, DEFAULT_QUEUE, startServer } = await import("../../src/server/mod.ts");
  const { port } = new URL(node.url);
  await assert.rejects(
    startServer(
      { host: "127.0.0.1", port: Number(port), limits: DEFAULT_LIMITS, queue: DEFAULT_QUEUE },
      { replica: () => undefined, node: { version: "v", dataDirectory: "" }, log: () => undefined },
    ),
    new RegExp(`address=127.0.0.1:${port}.*EADDRINUSE`),
  );
});
