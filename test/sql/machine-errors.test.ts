/** An error that only this machine got stops it and is never a result: after the cause is gone the log goes on where it was. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { isPumiceError } from "../../src/base/mod.ts";
import { StateMachine } from "../../src/sql/mod.ts";
import { systemFiles } from "../../src/host/mod.ts";
import { contentOf } from "./support/batching.ts";
import { Database, EXTENSION, openMachine, temporaryFolder } from "./support/database.ts";
import { entry } from "./support/machine-child.ts";

const child = fileURLToPath(new URL("support/machine-child.ts", import.meta.url));
const LAST = 400;

interface Report {
  readonly failure: {
    readonly code: string;
    readonly applied: number;
    readonly again: string;
    readonly details: { readonly sqlite: number };
  };
  readonly content: readonly string[];
}

/** The database after all entries, one by one, on a machine without faults. */
function reference(folder: string, last = LAST): string[] {
  const path = join(folder, "reference");
  const machine = openMachine(path);
  for (let index = 1; index <= last; index++) machine.apply([{ index, term: 1, data: entry(index) }]);
  machine.close();
  return contentOf(path);
}

/** The applied index and the terms differ with the batches at the end; everything else must not. */
function withoutApplied(lines: readonly string[]): string[] {
  return lines.filter((line) => !line.startsWith("rows sqlite_pumice"));
}

test("a full disk puts entries and checkpoints off; with room again the same connection goes on, and nothing is lost or doubled", (context) => {
  const folder = temporaryFolder(context);
  const script = `mount -t tmpfs -o size=16m tmpfs "$1" && exec "$2" "$3" "$1/db" "$1/ballast" ${LAST - 1}`;
  // The file system of its own holds 16 MB, most of it taken by a file that is removed later.
  const result = spawnSync("unshare", ["-rm", "sh", "-c", script, "sh", folder, process.execPath, child], { encoding: "utf8" });
  if (result.error !== undefined || /unshare|mount/.test(result.stderr)) {
    context.skip(`no tmpfs of our own here: ${result.error?.message ?? result.stderr}`);
    return;
  }
  assert.equal(result.status, 0, result.stderr);
  const report = JSON.parse(result.stdout) as Report & { readonly checkpoint: unknown };
  assert.equal(report.failure.code, "SQL_FULL");
  assert.equal(report.failure.again, "SQL_FULL", "nothing is applied without room");
  assert.ok(report.failure.applied > 0 && report.failure.applied < LAST - 1, String(report.failure.applied));
  assert.deepEqual(report.checkpoint, { busy: true, full: "SQL_FULL", durableIndex: 0 });
  const unlimited = temporaryFolder(context);
  assert.deepEqual(withoutApplied(report.content), withoutApplied(reference(unlimited, LAST - 1)));
  assert.match(report.content.find((line) => line.startsWith("rows t ")) ?? "", /^rows t 796 /);
});

test("a write that fails (a file size limit) stops apply; another process goes on from the applied index", (context) => {
  const folder = temporaryFolder(context);
  const path = join(folder, "db");
  const script = `trap '' XFSZ; ulimit -f 1000; exec "$1" "$2" "$3" "" ${LAST}`;
  const result = spawnSync("bash", ["-c", script, "bash", process.execPath, child, path], { encoding: "utf8" });
  assert.equal(result.status, 0, result.stderr);
  const { failure } = JSON.parse(result.stdout) as Report;
  assert.equal(failure.code, "SQL_MACHINE");
  assert.equal(failure.details.sqlite & 0xff, 10, "SQLITE_IOERR");
  const machine = openMachine(path);
  assert.equal(machine.applied.index, failure.applied);
  for (let index = failure.applied + 1; index <= LAST; index++) machine.apply([{ index, term: 1, data: entry(index) }]);
  machine.close();
  assert.deepEqual(withoutApplied(contentOf(path)), withoutApplied(reference(folder)));
});

test("SQLITE_FULL of an exhausted AUTOINCREMENT is a result, because every replica gets it", (context) => {
  const db = new Database(join(temporaryFolder(context), "db"));
  context.after(() => db.machine.close());
  db.execute([
    "CREATE TABLE a(id INTEGER PRIMARY KEY AUTOINCREMENT, v)",
    "INSERT INTO a(v) VALUES(1)",
    "UPDATE sqlite_sequence SET seq = 9223372036854775807",
  ]);
  assert.equal(
    db.execute(["INSERT INTO a(v) VALUES(2)", "INSERT INTO a(id, v) VALUES(7, 7)"]),
    '{"results":[{"error":"database or disk is full"},{"last_insert_id":7,"rows_affected":1}]}',
  );
});

test("a damaged database file stops apply with SQL_CORRUPT", (context) => {
  const db = new Database(join(temporaryFolder(context), "db"));
  db.execute(["CREATE TABLE t(id INTEGER PRIMARY KEY, v)"]);
  for (let i = 0; i < 20; i++) db.execute(["INSERT INTO t(v) VALUES(zeroblob(3000))"]);
  db.machine.checkpoint("truncate");
  db.machine.close();
  const file = openSync(db.path, "r+");
  for (let page = 4; page < statSync(db.path).size / 4096; page++) writeSync(file, Buffer.alloc(4096, 0xee), 0, 4096, page * 4096);
  closeSync(file);
  const machine = openMachine(db.path);
  const data = entry(2);
  assert.throws(
    () => machine.apply([{ index: machine.applied.index + 1, term: 1, data }]),
    (error) => isPumiceError(error, "SQL_CORRUPT"),
  );
  assert.throws(
    () => machine.apply([]),
    (error) => isPumiceError(error, "SQL_CORRUPT"),
  );
  machine.close();
  machine.close();
  assert.throws(
    () => machine.apply([]),
    (error) => isPumiceError(error, "SQL_CLOSED"),
  );
});

test("what is no database, a strange state table, a missing extension: refused at open, with what was wrong", (context) => {
  const folder = temporaryFolder(context);
  const path = join(folder, "junk");
  writeFileSync(path, "this is not a database, it is far too short and wrong\n".repeat(100));
  assert.throws(
    () => openMachine(path),
    (error) => isPumiceError(error, "SQL_CORRUPT"),
  );
  const foreign = join(folder, "foreign");
  const database = new DatabaseSync(foreign);
  database.enableDefensive(false);
  database.exec("PRAGMA writable_schema = ON; CREATE TABLE sqlite_pumice(k TEXT PRIMARY KEY, a, b, v) WITHOUT ROWID");
  database.exec("INSERT INTO sqlite_pumice VALUES('format', 99, 0, NULL)");
  database.close();
  assert.throws(
    () => openMachine(foreign),
    (error) => isPumiceError(error, "SQL_STATE") && error.details["format"] === "99",
  );
  const options = { path: join(folder, "x"), extensionPath: join(folder, "none.so"), files: systemFiles, monotonic: () => 0 };
  assert.throws(
    () => StateMachine.open(options),
    (error) => isPumiceError(error, "SQL_EXTENSION") && /build-native/.test(error.message),
  );
  const readOnly = join(folder, "no", "such", "folder");
  assert.throws(
    () => openMachine(readOnly),
    (error) => isPumiceError(error, "SQL_MACHINE"),
  );
  assert.ok(EXTENSION.length > 0);
});

test("entries out of order are refused, and nothing of them is applied", (context) => {
  const db = new Database(join(temporaryFolder(context), "db"));
  context.after(() => db.machine.close());
  db.execute(["CREATE TABLE t(v)"]);
  const data = entry(2);
  for (const [index, term] of [
    [1, 1],
    [3, 1],
    [0, 1],
    [2, 0],
  ] as const) {
    assert.throws(
      () => db.machine.apply([{ index, term, data }]),
      (error) => isPumiceError(error, "SQL_ORDER"),
      `${index} ${term}`,
    );
  }
  assert.throws(
    () =>
      db.machine.apply([
        { index: 2, term: 1, data },
        { index: 4, term: 1, data },
      ]),
    (error) => isPumiceError(error, "SQL_ORDER"),
  );
  assert.deepEqual(db.machine.applied, { index: 1, term: 1 });
});

test("a WAL torn at any byte opens at the last whole commit, and the log brings the rest", (context) => {
  const folder = temporaryFolder(context);
  const path = join(folder, "db");
  const machine = openMachine(path);
  for (let index = 1; index <= 12; index++) machine.apply([{ index, term: 1, data: entry(index) }]);
  machine.close();
  // Looking at the content moves the WAL into the main file.
  const [main, wal] = [readFileSync(path), readFileSync(`${path}-wal`)];
  const expected = contentOf(path);
  let seen = 0;
  for (let length = wal.length - 1; length > 40; length -= 3001) {
    writeFileSync(path, main);
    writeFileSync(`${path}-wal`, wal.subarray(0, length));
    rmSync(`${path}-shm`, { force: true });
    const again = openMachine(path);
    const { index } = again.applied;
    assert.ok(index < 12, `length ${length}`);
    seen = Math.max(seen, 12 - index);
    for (let next = index + 1; next <= 12; next++) again.apply([{ index: next, term: 1, data: entry(next) }]);
    again.close();
    assert.deepEqual(contentOf(path), expected, `length ${length}`);
  }
  assert.ok(seen > 5);
});
