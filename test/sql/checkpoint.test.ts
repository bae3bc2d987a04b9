/** Checkpoints in pauses between applies: never waiting, and honest about what survives a power failure. */
import assert from "node:assert/strict";
import { copyFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import type { File, FileSystem } from "../../src/base/mod.ts";
import { systemFiles } from "../../src/host/mod.ts";
import { Checkpointer, encodeCommand, StateMachine } from "../../src/sql/mod.ts";
import { command, Database, EXTENSION, openMachine, temporaryFolder } from "./support/database.ts";

function open(context: TestContext): Database {
  const db = new Database(join(temporaryFolder(context), "db"));
  context.after(() => db.machine.close());
  db.execute(["CREATE TABLE t(a)"]);
  for (let i = 0; i < 20; i++) db.execute(["INSERT INTO t VALUES(zeroblob(2000))"]);
  return db;
}

test("closing makes no checkpoint and keeps the WAL", (context) => {
  const db = open(context);
  const size = statSync(`${db.path}-wal`).size;
  db.machine.close();
  assert.equal(statSync(`${db.path}-wal`).size, size);
  db.machine = openMachine(db.path);
  assert.equal(db.machine.applied.index, 21);
  assert.equal(db.machine.walBytes(), size);
});

test("nothing is checkpointed by itself, however long the WAL grows", (context) => {
  const db = open(context);
  const main = statSync(db.path).size;
  for (let i = 0; i < 100; i++) db.execute(["INSERT INTO t VALUES(zeroblob(60000))"]);
  assert.ok(db.machine.walBytes() > 6_000_000);
  assert.equal(statSync(db.path).size, main);
});

test("a whole checkpoint moves every frame; the main file alone then holds the durable index", (context) => {
  const db = open(context);
  const passive = db.machine.checkpoint("passive");
  assert.deepEqual(
    { ...passive, logFrames: 0, checkpointedFrames: 0 },
    { busy: false, full: undefined, logFrames: 0, checkpointedFrames: 0, durableIndex: 21 },
  );
  assert.equal(passive.logFrames, passive.checkpointedFrames);
  assert.ok(passive.logFrames > 0);
  const copy = join(temporaryFolder(context), "copy");
  copyFileSync(db.path, copy);
  const machine = openMachine(copy);
  assert.equal(machine.applied.index, 21);
  machine.close();
  assert.deepEqual(db.machine.checkpoint("truncate"), {
    busy: false,
    full: undefined,
    logFrames: 0,
    checkpointedFrames: 0,
    durableIndex: 21,
  });
  assert.equal(db.machine.walBytes(), 0);
});

test("with a reader in the way a checkpoint declines at once, and the WAL itself is synced instead", (context) => {
  const synced: string[] = [];
  const files: FileSystem = { ...systemFiles, open: (path, mode) => recording(systemFiles.open(path, mode), () => synced.push(path)) };
  const path = join(temporaryFolder(context), "db");
  const machine = StateMachine.open({ path, extensionPath: EXTENSION, files, monotonic: () => 0 });
  context.after(() => machine.close());
  const apply = (index: number, sql: string): unknown => machine.apply([{ index, term: 1, data: encodeCommand(command([sql])) }]);
  apply(1, "CREATE TABLE t(a)");
  const reader = new DatabaseSync(path, { readOnly: true });
  reader.exec("BEGIN");
  reader.prepare("SELECT * FROM t").all();
  for (let index = 2; index < 10; index++) apply(index, "INSERT INTO t VALUES(zeroblob(9000))");
  const started = performance.now();
  const blocked = machine.checkpoint("truncate");
  assert.ok(performance.now() - started < 1000, "it does not wait");
  assert.equal(blocked.busy, true);
  assert.ok(blocked.checkpointedFrames < blocked.logFrames);
  assert.equal(blocked.durableIndex, 9);
  assert.deepEqual(synced, [`${path}-wal`]);
  apply(10, "INSERT INTO t VALUES(1)");
  reader.exec("COMMIT");
  assert.equal(reader.prepare("SELECT count(*) AS n FROM t").get()?.["n"], 9);
  reader.close();
  assert.deepEqual(machine.checkpoint("truncate"), { busy: false, full: undefined, logFrames: 0, checkpointedFrames: 0, durableIndex: 10 });
});

function recording(file: File, onSync: () => void): File {
  return {
    read: (target, position) => file.read(target, position),
    write: (bytes, position) => file.write(bytes, position),
    datasync: () => {
      onSync();
      file.datasync();
    },
    sync: () => file.sync(),
    size: () => file.size(),
    truncate: (size) => file.truncate(size),
    close: () => file.close(),
  };
}

test("what another connection has moved is left in place; a restart then takes little, the WAL is written from its beginning, and its file stays", (context) => {
  const db = open(context);
  for (let i = 0; i < 200; i++) db.execute(["INSERT INTO t VALUES(zeroblob(20000))"]);
  const beside = new Checkpointer({ path: db.path, extensionPath: EXTENSION, foreignKeys: false });
  context.after(() => beside.close());
  const before = db.machine.walBytes();
  assert.equal(beside.move(), undefined);
  assert.equal(db.machine.walBytes(), before, "nothing is lost from the WAL by it");
  db.execute(["INSERT INTO t VALUES(1)"]);
  const row = db.machine.checkpoint("restart");
  assert.deepEqual([row.busy, row.full, row.durableIndex], [false, undefined, db.machine.applied.index]);
  assert.equal(db.machine.walBytes(), 0);
  const file = statSync(`${db.path}-wal`).size;
  assert.ok(file >= before);
  db.execute(["INSERT INTO t VALUES(2)"]);
  assert.ok(db.machine.walBytes() > 0 && db.machine.walBytes() < 10 * 4120);
  assert.equal(statSync(`${db.path}-wal`).size, file);
  db.reopen();
  assert.match(db.execute(["SELECT count(*) FROM t"], { kind: "request" }), /\[\[222\]\]/);
  assert.equal(db.machine.checkpoint("truncate").busy, false);
  assert.equal(statSync(`${db.path}-wal`).size, 0);
});

test("a restart declines while a reader needs the WAL, and moving beside a writer and a reader harms neither", (context) => {
  const db = open(context);
  const beside = new Checkpointer({ path: db.path, extensionPath: EXTENSION, foreignKeys: false });
  context.after(() => beside.close());
  const reader = new DatabaseSync(db.path, { readOnly: true });
  context.after(() => reader.close());
  reader.exec("BEGIN");
  assert.equal(reader.prepare("SELECT count(*) AS n FROM t").get()?.["n"], 20);
  for (let i = 0; i < 50; i++) {
    db.execute(["INSERT INTO t VALUES(zeroblob(9000))"]);
    assert.equal(beside.move(), undefined);
  }
  assert.equal(db.machine.checkpoint("restart").busy, true);
  assert.equal(reader.prepare("SELECT count(*) AS n FROM t").get()?.["n"], 20);
  reader.exec("COMMIT");
  assert.equal(beside.move(), undefined);
  assert.equal(db.machine.checkpoint("restart").busy, false);
  assert.equal(reader.prepare("SELECT count(*) AS n FROM t").get()?.["n"], 70);
});
