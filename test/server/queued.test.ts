/** Queued writes on a real node. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { eventually } from "./support/http.ts";
import { TestNode } from "./support/node.ts";

const ids = async (node: TestNode) => {
  const { results } = JSON.parse(await node.query("SELECT id FROM foo ORDER BY rowid")) as { results: { values?: number[][] }[] };
  return (results[0]?.values ?? []).flat();
};

test("a queued write is answered with a sequence number that grows by one, and is written", async () => {
  await using node = await TestNode.start();
  await node.execute("CREATE TABLE foo (id INTEGER)");
  const sequences: bigint[] = [];
  for (let i = 0; i < 5; i++) {
    const reply = await node.post("/db/execute?queue", [["INSERT INTO foo VALUES(?)", i]]);
    const match = /^\{"results":\[\],"sequence_number":(\d+)\}$/.exec(reply.text);
    assert.ok(match !== null, reply.text);
    sequences.push(BigInt(match[1] as string));
  }
  for (const [i, sequence] of sequences.entries()) assert.equal(sequence, (sequences[0] as bigint) + BigInt(i));
  await eventually(async () => (await ids(node)).length === 5, "all are written");
  assert.deepEqual(await ids(node), [0, 1, 2, 3, 4]);
});

test("wait gives the results, and everything queued before is visible then", async () => {
  await using node = await TestNode.start({ queue: { timeoutMs: 200 } });
  await node.execute("CREATE TABLE foo (id INTEGER)");
  await Promise.all(Array.from({ length: 300 }, (_, i) => node.post("/db/execute?queue", [["INSERT INTO foo VALUES(?)", i]])));
  const reply = await node.post("/db/execute?queue&wait&raft_index", [
    ["INSERT INTO foo VALUES(?) RETURNING id", 1000],
    "INSERT INTO nope VALUES(1)",
    "INSERT INTO foo VALUES(1001)",
  ]);
  assert.match(
    reply.text,
    /^\{"results":\[\{"columns":\["id"\],"types":\["integer"\],"values":\[\[1000\]\]\},\{"error":"no such table: nope"[^}]*\},\{"last_insert_id":302,"rows_affected":1\}\],"sequence_number":\d+,"raft_index":\d+\}$/,
  );
  assert.equal((await ids(node)).length, 302);
  const barrier = await node.post("/db/execute?queue&wait", "");
  assert.match(barrier.text, /^\{"results":\[\],"sequence_number":\d+\}$/);
  const { http } = JSON.parse((await node.call("/debug/vars")).text) as { http: Record<string, number> };
  assert.equal(http["queued_executions"], 302);
  assert.equal(http["queued_executions_ok"], 302);
});

test("a malformed body is 400 and takes no sequence number; errors of statements are in /status", async () => {
  await using node = await TestNode.start();
  await node.execute("CREATE TABLE foo (id INTEGER PRIMARY KEY)");
  for (const body of ["[", "{}", "[]", "", '[["s",[999]]]']) assert.equal((await node.post("/db/execute?queue", body)).status, 400, body);
  await node.post("/db/execute?queue", ["INSERT INTO foo VALUES(1)", "INSERT INTO foo VALUES(1)", "PRAGMA journal_mode=DELETE"]);
  await node.post("/db/execute?queue&wait", ["INSERT INTO foo VALUES(2)"]);
  assert.deepEqual(await ids(node), [2], "a request that is refused as a whole writes nothing, and the one behind it is written");
  await node.post("/db/execute?queue&wait", ["INSERT INTO foo VALUES(2)"]);
  const { last_errors: errors } = JSON.parse((await node.call("/status?key=http.queue._default")).text) as {
    last_errors: { error: string; statement?: number }[];
  };
  assert.deepEqual(
    errors.map(({ error, statement }) => [error, statement]),
    [
      ["disallowed pragma", undefined],
      ["UNIQUE constraint failed: foo.id", 0],
    ],
  );
});

test("blank statements are skipped and do not shift the results of others", async () => {
  await using node = await TestNode.start({ queue: { timeoutMs: 100 } });
  await node.execute("CREATE TABLE foo (id INTEGER PRIMARY KEY)");
  const replies = await Promise.all([
    node.post("/db/execute?queue&wait", ["", "INSERT INTO foo VALUES(1)", " -- nothing\n"]),
    node.post("/db/execute?queue&wait", ["INSERT INTO foo VALUES(2);;", "/* x */"]),
    node.post("/db/execute?queue&wait", ["; ; INSERT INTO foo VALUES(3)"]),
  ]);
  for (const [i, reply] of replies.entries()) {
    assert.ok(reply.text.startsWith(`{"results":[{"last_insert_id":${String(i + 1)},"rows_affected":1}],`), reply.text);
  }
});

test("with transactions a failing request is undone alone", async () => {
  await using node = await TestNode.start({ queue: { timeoutMs: 200, transaction: true } });
  await node.execute("CREATE TABLE foo (id INTEGER PRIMARY KEY)");
  const [first, second, third] = await Promise.all([
    node.post("/db/execute?queue&wait", ["INSERT INTO foo VALUES(1)"]),
    node.post("/db/execute?queue&wait", ["INSERT INTO foo VALUES(2)", "INSERT INTO foo VALUES(2)"]),
    node.post("/db/execute?queue&wait", ["INSERT INTO foo VALUES(3)"]),
  ]);
  assert.match(first?.text ?? "", /^\{"results":\[\{"last_insert_id":1,"rows_affected":1\}\]/);
  assert.match(second?.text ?? "", /\{"error":"UNIQUE constraint failed: foo\.id"\}\]/);
  assert.match(third?.text ?? "", /^\{"results":\[\{"last_insert_id":3,"rows_affected":1\}\]/);
  assert.deepEqual(await ids(node), [1, 3]);
});

test("transaction makes a queued request all or nothing", async () => {
  await using node = await TestNode.start({ queue: { timeoutMs: 200 } });
  await node.execute("CREATE TABLE foo (id INTEGER PRIMARY KEY)");
  const [, failed, plain] = await Promise.all([
    node.post("/db/execute?queue&wait&transaction", ["INSERT INTO foo VALUES(1)", "INSERT INTO foo VALUES(2)"]),
    node.post("/db/execute?queue&wait&transaction", ["INSERT INTO foo VALUES(31)", "INSERT INTO nope VALUES(1)"]),
    node.post("/db/execute?queue&wait", ["INSERT INTO foo VALUES(4)", "INSERT INTO nope VALUES(1)"]),
  ]);
  assert.match(failed?.text ?? "", /"error":"no such table: nope"/);
  assert.match(plain?.text ?? "", /"error":"no such table: nope"/);
  assert.deepEqual(await ids(node), [1, 2, 4]);
});

test("a queued VACUUM runs, whatever is queued beside it", async () => {
  for (const transaction of [false, true]) {
    await using node = await TestNode.start({ queue: { timeoutMs: 200, transaction } });
    await node.execute("CREATE TABLE foo (id INTEGER PRIMARY KEY)");
    const replies = await Promise.all(
      [["INSERT INTO foo VALUES(1)"], ["VACUUM"], ["INSERT INTO foo VALUES(3)"], ["VACUUM", "INSERT INTO foo VALUES(4)"]].map((body) =>
        node.post("/db/execute?queue&wait", body),
      ),
    );
    for (const reply of replies.slice(0, 3)) assert.doesNotMatch(reply.text, /error/);
    assert.match(replies[3]?.text ?? "", /VACUUM must be the only statement/);
    assert.deepEqual(await ids(node), transaction ? [1, 3] : [1, 3, 4]);
    assert.doesNotMatch((await node.post("/db/execute?queue&wait", ["VACUUM"])).text, /error/);
    assert.match((await node.post("/db/execute?queue&wait&transaction", ["VACUUM"])).text, /VACUUM must be the only statement/);
  }
});

test("wait ends with 408 at its timeout", async () => {
  await using node = await TestNode.start({ queue: { timeoutMs: 60_000, batchSize: 1000 } });
  await node.execute("CREATE TABLE foo (id INTEGER)");
  const reply = await node.post("/db/execute?queue&wait&timeout=20ms", ["INSERT INTO foo VALUES(1)"]);
  assert.deepEqual([reply.status, reply.text], [408, "queue wait timeout\n"]);
});

test("a clean stop writes what is queued", async () => {
  await using node = await TestNode.start({ queue: { timeoutMs: 60_000, batchSize: 1000 } });
  await node.execute("CREATE TABLE foo (id INTEGER)");
  for (let i = 0; i < 50; i++) await node.post("/db/execute?queue", [["INSERT INTO foo VALUES(?)", i]]);
  assert.deepEqual(await ids(node), []);
  await node.restart();
  assert.equal((await ids(node)).length, 50);
});
