/** Who a node is: its name, its id and its cluster stand in its directory, and do not change in silence. */
import assert from "node:assert/strict";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { isPumiceError } from "../../src/base/mod.ts";
import type { NodeSettings } from "../../src/entry/node.ts";
import { eventually } from "../server/support/http.ts";
import { TestNode } from "../server/support/node.ts";

function newFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "pumice-identity-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return join(folder, "data");
}

const start = (dataDirectory: string, node: Partial<NodeSettings> = {}): Promise<TestNode> =>
  TestNode.start({ node: { dataDirectory, ...node } });

/** A start that should be refused; a node that starts all the same is closed, so that the test fails and does not hang. */
const tryStart = async (dataDirectory: string, node: Partial<NodeSettings> = {}): Promise<void> => {
  const started = await start(dataDirectory, node);
  await started.close();
};

interface Store {
  readonly node_id: string;
  readonly cluster_id: string;
  readonly addr: string;
  readonly nodes: readonly { readonly id: string; readonly addr: string }[];
}

async function store(node: TestNode): Promise<Store> {
  return (JSON.parse((await node.call("/status")).text) as { readonly store: Store }).store;
}

test("a directory keeps its cluster id, and another -node-id than it was begun with is refused by both names", async (context) => {
  const directory = newFolder(context);
  let clusterId: string;
  {
    await using node = await start(directory, { nodeId: "one" });
    const { node_id, cluster_id, nodes } = await store(node);
    clusterId = cluster_id;
    assert.match(clusterId, /^[0-9a-f]{32}$/);
    assert.deepEqual([node_id, nodes], ["one", [{ id: "one", addr: "localhost:4002", suffrage: "Voter" }]]);
  }
  await assert.rejects(
    tryStart(directory, { nodeId: "two" }),
    (error) => isPumiceError(error, "REPLICA_OTHER_NAME") && /directory=one given=two .*-node-id one/.test(error.message),
  );
  await using again = await start(directory, { nodeId: "one" });
  assert.deepEqual([(await store(again)).cluster_id, (await store(again)).node_id], [clusterId, "one"]);
});

test("the Raft address may change: an id that came from it stays, the operator is told, and an entry tells the members", async (context) => {
  const directory = newFolder(context);
  {
    await using node = await start(directory);
    assert.equal((await store(node)).node_id, "localhost:4002");
  }
  {
    await using moved = await start(directory, { raftAddress: "other:4002" });
    const { node_id, addr, nodes } = await store(moved);
    assert.deepEqual(
      [node_id, addr, nodes],
      ["localhost:4002", "other:4002", [{ id: "localhost:4002", addr: "other:4002", suffrage: "Voter" }]],
    );
    assert.ok(moved.log.some((line) => line.includes("keeps the id localhost:4002")));
    const lastIndex = async (): Promise<number> =>
      (JSON.parse((await moved.call("/status")).text) as { store: { raft: { applied_index: number } } }).store.raft.applied_index;
    // Founding, its leader's no-op, this leader's no-op, and the entry that tells the new address.
    await eventually(async () => (await lastIndex()) >= 4, "the members are told");
    // Killed now, the address would still be in the log.
  }
  // An operator may also name the id that the directory has.
  await using named = await start(directory, { nodeId: "localhost:4002", raftAddress: "third:4002" });
  assert.equal((await store(named)).node_id, "localhost:4002");
});

test("the log of one node beside the database of another is refused, whichever has more entries", async (context) => {
  const one = newFolder(context);
  const other = newFolder(context);
  for (const directory of [one, other]) {
    await using node = await start(directory);
    await node.execute("CREATE TABLE t(a)");
  }
  rmSync(join(one, "db.sqlite"));
  for (const name of ["db.sqlite-wal", "db.sqlite-shm"]) rmSync(join(one, name), { force: true });
  cpSync(join(other, "db.sqlite"), join(one, "db.sqlite"));
  await assert.rejects(tryStart(one), (error) => isPumiceError(error, "REPLICA_FOREIGN"));
});

test("a load keeps who the node is and who belongs to its cluster", async (context) => {
  await using node = await start(newFolder(context), { nodeId: "one" });
  await node.execute("CREATE TABLE t(a)");
  const { body } = await node.call("/db/backup");
  const before = await store(node);
  assert.equal(
    (await node.call("/db/load", { method: "POST", body, headers: { "Content-Type": "application/octet-stream" } })).status,
    200,
  );
  await node.restart();
  const { node_id, cluster_id, nodes } = await store(node);
  assert.deepEqual([node_id, cluster_id, nodes], [before.node_id, before.cluster_id, before.nodes]);
});

test("a database that was lost is made again from a log that has all entries, with its members", async (context) => {
  const directory = newFolder(context);
  {
    await using node = await start(directory, { nodeId: "one" });
    await node.execute("CREATE TABLE t(a)", "INSERT INTO t VALUES(7)");
  }
  for (const name of ["db.sqlite", "db.sqlite-wal", "db.sqlite-shm"]) rmSync(join(directory, name), { force: true });
  await using again = await start(directory, { nodeId: "one" });
  assert.match(await again.query("SELECT a FROM t"), /\[\[7\]\]/);
  assert.deepEqual((await store(again)).nodes, [{ id: "one", addr: "localhost:4002", suffrage: "Voter" }]);
});

test("a database that was lost does not take the node's name with it: the log's entries tell it", async (context) => {
  const directory = newFolder(context);
  {
    await using node = await start(directory, { nodeId: "one" });
    await node.execute("CREATE TABLE t(a)", "INSERT INTO t VALUES(7)");
  }
  const loseDatabase = (): void => {
    for (const name of ["db.sqlite", "db.sqlite-wal", "db.sqlite-shm"]) rmSync(join(directory, name), { force: true });
  };
  loseDatabase();
  // The second try finds the database that the first made, and nothing in it.
  for (let attempt = 0; attempt < 2; attempt++) {
    await assert.rejects(
      tryStart(directory, { nodeId: "two" }),
      (error) => isPumiceError(error, "REPLICA_OTHER_NAME") && /directory=one given=two .*-node-id one/.test(error.message),
    );
  }
  {
    await using unchosen = await start(directory);
    assert.ok(unchosen.log.some((line) => line.includes("keeps the id one")));
    assert.equal((await store(unchosen)).node_id, "one");
    assert.match(await unchosen.query("SELECT a FROM t"), /\[\[7\]\]/);
  }
  loseDatabase();
  await using named = await start(directory, { nodeId: "one" });
  assert.deepEqual((await store(named)).nodes, [{ id: "one", addr: "localhost:4002", suffrage: "Voter" }]);
});

test("a node that is to join a cluster says that this version cannot", async (context) => {
  const directory = newFolder(context);
  await assert.rejects(tryStart(directory, { join: ["localhost:5002"] }), (error) => isPumiceError(error, "REPLICA_JOIN"));
});

test("a backup that was put in the place of db.sqlite is refused, with the log and without it, and no table of ours is made in it", async (context) => {
  const directory = newFolder(context);
  let backup: Buffer;
  {
    await using node = await start(directory);
    await node.execute("CREATE TABLE t(a)", "INSERT INTO t VALUES(1)");
    backup = (await node.call("/db/backup?fmt=delete")).body;
  }
  const database = join(directory, "db.sqlite");
  const own = readFileSync(database);
  for (const withLog of [true, false]) {
    for (const suffix of ["", "-wal", "-shm"]) rmSync(`${database}${suffix}`, { force: true });
    if (!withLog) renameSync(join(directory, "raft"), join(directory, "raft.away"));
    writeFileSync(database, backup);
    await assert.rejects(tryStart(directory), (error) => isPumiceError(error, "SQL_FOREIGN") && error.message.includes("table=t"));
    const file = new DatabaseSync(database, { readOnly: true });
    assert.deepEqual(
      file
        .prepare("SELECT name FROM sqlite_schema")
        .all()
        .map(({ name }) => name),
      ["t"],
    );
    file.close();
  }
  rmSync(join(directory, "raft"), { recursive: true });
  renameSync(join(directory, "raft.away"), join(directory, "raft"));
  for (const suffix of ["", "-wal", "-shm"]) rmSync(`${database}${suffix}`, { force: true });
  writeFileSync(database, own);
  await using again = await start(directory);
  assert.match(await again.query("SELECT a FROM t"), /\[\[1\]\]/);
});

test("a directory of rqlite is refused, and nothing is made in it", async (context) => {
  const directory = newFolder(context);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "raft.db"), "");
  await assert.rejects(
    tryStart(directory),
    (error) => isPumiceError(error, "NODE_DIRECTORY") && error.message.includes("rqlite's (raft.db)"),
  );
  assert.deepEqual(readdirSync(directory), ["raft.db"]);
});
