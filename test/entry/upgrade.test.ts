/** Directories of earlier versions open: every row is there, once, and the log goes on. The fixtures are described in fixtures/README.md. */
import assert from "node:assert/strict";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { DatabaseSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import { isPumiceError, type WorkerScope } from "../../src/base/mod.ts";
import { systemFiles } from "../../src/host/file-system.ts";
import { Log } from "../../src/replica/log/mod.ts";
import { serveApply } from "../../src/sql/mod.ts";
import { eventually } from "../server/support/http.ts";
import { TestNode } from "../server/support/node.ts";
import { EXTENSION } from "../sql/support/database.ts";
import { unpackFixture } from "./support/fixtures.ts";

const ADDRESS = "localhost:4802";

/** A folder with a copy of the fixture, removed after the test. */
function copyOf(fixture: string, context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "pumice-upgrade-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  unpackFixture(fixture, join(folder, "data"));
  return join(folder, "data");
}

async function store(node: TestNode): Promise<{ readonly cluster_id: string; readonly nodes: readonly unknown[] }> {
  const { store: told } = JSON.parse((await node.call("/status")).text) as { store: { cluster_id: string; nodes: readonly unknown[] } };
  return told;
}

async function assertRows(node: TestNode, last: string): Promise<void> {
  const kinds = await node.query("SELECT kind, count(*), min(id), max(id) FROM t GROUP BY kind ORDER BY min(id)");
  assert.match(kinds, /\[\["plain",99,1,100\],\["changed",1,3,3\],\["queued",10,101,110\],\["now",1,111,111\],\["last",1,112,112\]\]/);
  const wrong = await node.query("SELECT count(*) FROM t WHERE id <= 100 AND body <> printf('%04000d', id)");
  assert.match(wrong, /"values":\[\[0\]\]/);
  const texts = await node.query("SELECT group_concat(body, ' ') FROM t WHERE id BETWEEN 101 AND 110 OR kind = 'last'");
  assert.match(texts, new RegExp(`"q1 q2 q3 q4 q5 q6 q7 q8 q9 q10 ${last}"`));
}

for (const [fixture, last] of [
  ["v0-clean", "before the stop"],
  ["v0-killed", "before the kill"],
] as const) {
  test(`${fixture}: every row is there, a write is taken, and a second start finds both`, async (context) => {
    const dataDirectory = copyOf(fixture, context);
    await using node = await TestNode.start({ node: { dataDirectory, raftAddress: ADDRESS } });
    await assertRows(node, last);
    assert.match(await node.execute("INSERT INTO t(kind) VALUES('new')"), /"last_insert_id":113/);
    await eventually(async () => (await store(node)).nodes.length === 1, "an entry tells who the one member is");
    const first = await store(node);
    assert.match(first.cluster_id, /^[0-9a-f]{32}$/);
    assert.deepEqual(first.nodes, [{ id: ADDRESS, addr: ADDRESS, suffrage: "Voter" }]);
    await node.restart();
    assert.match(await node.query("SELECT count(*), max(id) FROM t"), /"values":\[\[113,113\]\]/);
    assert.equal((await store(node)).cluster_id, first.cluster_id, "it was upgraded once");
    await node.close();
    await assert.rejects(TestNode.start({ node: { dataDirectory, raftAddress: ADDRESS, nodeId: "another" } }), (error) =>
      isPumiceError(error, "REPLICA_OTHER_NAME"),
    );
  });
}

/** What the apply worker says of a database, and how to answer it. */
function serveDatabase(path: string): { readonly said: string[]; upgrade(): void } {
  const said: string[] = [];
  let receive: ((message: unknown) => void) | undefined;
  const scope: WorkerScope = {
    post: (message) => void said.push((message as { kind: string }).kind),
    onMessage: (handler) => (receive = handler),
    onIdle: () => undefined,
  };
  const initial = { path, extensionPath: EXTENSION, foreignKeys: false };
  serveApply(scope, initial, { files: systemFiles, monotonic: () => 0 });
  return {
    said,
    upgrade: () => {
      receive?.({ kind: "upgrade" });
      receive?.({ kind: "close" });
    },
  };
}

function tablesOf(path: string): string[] {
  const database = new DatabaseSync(path);
  try {
    return database
      .prepare("SELECT name FROM sqlite_schema WHERE name LIKE '%pumice'")
      .all()
      .map(({ name }) => String(name));
  } finally {
    database.close();
  }
}

test("an older database stays as it is until it is told that the log has been upgraded", (context) => {
  const path = join(copyOf("v0-killed", context), "db.sqlite");
  const served = serveDatabase(path);
  assert.deepEqual([served.said, tablesOf(path)], [["old"], ["_pumice"]]);
  served.upgrade();
  assert.deepEqual([served.said, tablesOf(path)], [["old", "opened", "closed"], ["sqlite_pumice"]]);
});

test("a log that cannot be opened leaves an older database as it is", async (context) => {
  const dataDirectory = copyOf("v0-clean", context);
  const raft = join(dataDirectory, "raft", "log");
  const segment = readdirSync(raft).find((name) => name.endsWith(".log") && !name.startsWith("blank-"));
  const path = join(raft, segment ?? "");
  const bytes = readFileSync(path);
  bytes[0] = (bytes[0] ?? 0) ^ 1;
  writeFileSync(path, bytes);
  await assert.rejects(
    async () => (await TestNode.start({ node: { dataDirectory, raftAddress: ADDRESS } })).close(),
    (error) => isPumiceError(error, "LOG_CORRUPT"),
  );
  assert.deepEqual(tablesOf(join(dataDirectory, "db.sqlite")), ["_pumice"]);
});

test("an upgrade that stopped between the log and the database is finished by the next start", async (context) => {
  const dataDirectory = copyOf("v0-killed", context);
  const identity = { clusterId: "0123456789abcdef".repeat(2), nodeId: 1 };
  Log.open({ files: systemFiles, crc32 }, { folder: join(dataDirectory, "raft", "log"), begin: { identity } }).close();
  assert.deepEqual(tablesOf(join(dataDirectory, "db.sqlite")), ["_pumice"]);
  await using node = await TestNode.start({ node: { dataDirectory, raftAddress: ADDRESS } });
  await assertRows(node, "before the kill");
  assert.equal((await store(node)).cluster_id, identity.clusterId);
});

test("v0-killed without its WAL: the log alone gives every row again", async (context) => {
  const dataDirectory = copyOf("v0-killed", context);
  for (const suffix of ["-wal", "-shm"]) rmSync(join(dataDirectory, `db.sqlite${suffix}`));
  await using node = await TestNode.start({ node: { dataDirectory, raftAddress: ADDRESS } });
  await assertRows(node, "before the kill");
});
