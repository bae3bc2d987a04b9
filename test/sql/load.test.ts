/** A SQLite file takes the place of the whole database, in one step, on every replica alike. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { systemFiles } from "../../src/host/mod.ts";
import { encodeCommand, type EntryResult, InlineReader, type LoadCommitCommand, Reader } from "../../src/sql/mod.ts";
import { contentOf } from "./support/batching.ts";
import { Database, EXTENSION, openMachine, temporaryFolder } from "./support/database.ts";

const STAMP = { timeMs: 1, seed: 1n, steps: 0 };

/** The bytes of a database made by stock SQLite. */
function file(folder: string, sql: string): Uint8Array {
  const path = join(folder, "made.db");
  rmSync(path, { force: true });
  const database = new DatabaseSync(path);
  database.enableDefensive(false);
  database.exec(sql);
  database.close();
  return readFileSync(path);
}

/** Loads the bytes in pieces. */
function load(db: Database, bytes: Uint8Array, more: Partial<LoadCommitCommand> & { readonly piece?: number } = {}): EntryResult {
  const piece = more.piece ?? 10_000;
  const chunkCount = Math.ceil(bytes.length / piece);
  for (let number = 0; number < chunkCount; number++) {
    db.apply({ kind: "load-chunk", ...STAMP, load: 7n, number, bytes: bytes.subarray(number * piece, (number + 1) * piece) });
  }
  return db.apply({
    kind: "load-commit",
    ...STAMP,
    load: 7n,
    chunkCount: more.chunkCount ?? chunkCount,
    sizeBytes: more.sizeBytes ?? bytes.length,
  });
}

function open(context: TestContext): { db: Database; folder: string } {
  const folder = temporaryFolder(context);
  const db = new Database(join(folder, "db"));
  context.after(() => db.machine.close());
  db.execute(["CREATE TABLE old(x)", "INSERT INTO old VALUES('old')"]);
  return { db, folder };
}

function ask(db: Database, sql: string): string {
  return db.execute([sql], { kind: "request" });
}

const SAMPLE = `CREATE TABLE t(v); INSERT INTO t VALUES('a'), ('b'); DELETE FROM t WHERE v = 'a'; CREATE INDEX i ON t(v);
  CREATE VIRTUAL TABLE ft USING fts5(a); INSERT INTO ft VALUES('hello world'); PRAGMA user_version = 5`;

test("a loaded file is the database, its rowids and user_version kept; the old one is gone; readers see one or the other", (context) => {
  const { db, folder } = open(context);
  const reader = Reader.open({ path: db.path, extensionPath: EXTENSION, files: systemFiles, monotonic: () => 0 });
  context.after(() => reader.close());
  const bytes = file(folder, SAMPLE);
  const before = db.machine.applied.index;
  assert.deepEqual(load(db, bytes), { results: "" });
  assert.equal(db.machine.applied.index, before + Math.ceil(bytes.length / 10_000) + 1);
  assert.match(ask(db, "SELECT rowid, v FROM t"), /\[\[2,"b"\]\]/);
  assert.match(ask(db, "SELECT a FROM ft WHERE ft MATCH 'hello'"), /hello world/);
  assert.match(ask(db, "SELECT * FROM old"), /no such table/);
  assert.match(db.execute(["PRAGMA user_version"], { kind: "request" }), /\[\[5\]\]/);
  let seen = "";
  reader.readMany(
    [{ statements: [{ sql: "SELECT * FROM t" }, { sql: "SELECT * FROM old" }] }],
    (_, result) => (seen = String(result.results)),
  );
  assert.match(seen, /"b".*no such table: old/);
  assert.deepEqual(
    readdirSync(folder).filter((name) => /load|pack/.test(name)),
    [],
    "no staging file is left",
  );
  const content = contentOf(db.path).find((line) => line.startsWith("rows sqlite_pumice"));
  assert.match(content ?? "", /^rows sqlite_pumice 2 /, "the pieces are gone");
  db.reopen();
  assert.match(ask(db, "SELECT rowid, v FROM t"), /\[\[2,"b"\]\]/);
});

test("a simple read on the main thread never gives the rows of a loaded database under the columns of the one before", (context) => {
  const { db, folder } = open(context);
  const inline = new InlineReader({ path: db.path, extensionPath: EXTENSION, foreignKeys: false, monotonic: () => 0 });
  context.after(() => inline.close());
  const request = { statements: [{ sql: "SELECT * FROM old WHERE rowid = 1" }] };
  for (let i = 0; i < 8; i++) {
    const [first, second] = i % 2 === 0 ? ["a", "b"] : ["b", "a"];
    // Files of one schema version, and of versions far apart.
    const changes = Array.from({ length: i % 3 === 0 ? 40 : 1 }, (_, n) => `CREATE TABLE x${n}(y)`).join(";");
    assert.deepEqual(
      load(db, file(folder, `CREATE TABLE old(${first}, ${second}); INSERT INTO old VALUES('${first}', '${second}'); ${changes}`)),
      {
        results: "",
      },
    );
    const expected = ask(db, "SELECT * FROM old WHERE rowid = 1");
    const given = [inline.read(request), inline.read(request)].filter((result) => result !== undefined);
    assert.ok(given.length > 0);
    for (const { results } of given) assert.equal(`{"results":[${String(results)}]}`, expected);
  }
});

test("other page sizes, auto-vacuum, WAL mode: made to look like ours", (context) => {
  const { db, folder } = open(context);
  for (const pragmas of [
    "PRAGMA page_size = 512",
    "PRAGMA page_size = 65536",
    "PRAGMA auto_vacuum = 1",
    "PRAGMA auto_vacuum = 2",
    "PRAGMA journal_mode = WAL",
  ]) {
    assert.deepEqual(load(db, file(folder, `${pragmas}; ${SAMPLE}`)), { results: "" }, pragmas);
    assert.match(ask(db, "SELECT rowid, v FROM t"), /\[\[2,"b"\]\]/, pragmas);
    assert.match(ask(db, "SELECT count(*) FROM sqlite_schema WHERE name LIKE '%pumice%'"), /\[\[1\]\]/);
    db.execute(["INSERT INTO t VALUES('more')"]);
    const { pragmas: status } = db.machine.status();
    assert.equal(status["journal_mode"], "wal");
    assert.equal(db.machine.status().pageSizeBytes, 4096);
  }
});

test("what cannot be loaded is a result that says why, and the database is as it was", (context) => {
  const { db, folder } = open(context);
  const good = file(folder, SAMPLE);
  const patched = (...bytes: readonly (readonly [number, number])[]): Uint8Array => {
    const copy = Uint8Array.from(good);
    for (const [position, byte] of bytes) copy[position] = byte;
    return copy;
  };
  const cases: readonly (readonly [string, () => EntryResult, RegExp])[] = [
    ["junk", () => load(db, new Uint8Array(5000)), /not a SQLite database/],
    ["short", () => load(db, good.subarray(0, 50)), /not a SQLite database/],
    ["cut", () => load(db, good.subarray(0, good.length - 1)), /cut off/],
    ["page size", () => load(db, patched([16, 3], [17, 3])), /impossible page size/],
    ["newer", () => load(db, patched([18, 3], [19, 3])), /newer SQLite/],
    ["reserved", () => load(db, patched([20, 8])), /reserves space/],
    ["utf-16", () => load(db, file(folder, "PRAGMA encoding = 'UTF-16le'; CREATE TABLE t(a); INSERT INTO t VALUES('x')")), /UTF-16/],
    ["missing piece", () => load(db, good, { chunkCount: 99 }), /piece \d+ of 99 is missing/],
    ["size", () => load(db, good, { sizeBytes: 5 }), /instead of 5/],
    ["damage", () => load(db, patched(...Array.from({ length: 3000 }, (_, i) => [8192 + i, 255] as const))), /damaged|cannot be loaded/],
    ["schema", () => load(db, patched([100, 77])), /damaged|cannot be loaded/],
    [
      "rowid",
      () => load(db, file(folder, "CREATE TABLE t(a); INSERT INTO t(rowid, a) VALUES(9223372036854775807, 1)")),
      /rowid 9223372036854775807/,
    ],
  ];
  for (const [name, act, text] of cases) {
    const result = act();
    assert.match(result.error ?? "", text, name);
    assert.match(ask(db, "SELECT x FROM old"), /"old"/, name);
  }
  db.execute(["INSERT INTO old VALUES('goes on')"]);
  db.apply({ kind: "load-abort", ...STAMP, load: 7n });
  db.machine.close();
  assert.match(contentOf(db.path).find((line) => line.startsWith("rows sqlite_pumice")) ?? "", /^rows sqlite_pumice 2 /);
});

test("an abort forgets the pieces", (context) => {
  const { db, folder } = open(context);
  const bytes = file(folder, SAMPLE);
  db.apply({ kind: "load-chunk", ...STAMP, load: 1n, number: 0, bytes });
  db.apply({ kind: "load-chunk", ...STAMP, load: 2n, number: 0, bytes });
  db.apply({ kind: "load-abort", ...STAMP, load: 1n });
  assert.match(db.apply({ kind: "load-commit", ...STAMP, load: 1n, chunkCount: 1, sizeBytes: bytes.length }).error ?? "", /missing/);
  assert.deepEqual(db.apply({ kind: "load-commit", ...STAMP, load: 2n, chunkCount: 1, sizeBytes: bytes.length }), { results: "" });
});

test("outcomes by request id live on across a load", (context) => {
  const { db, folder } = open(context);
  const requestId = { session: 3n, sequence: 9n };
  const first = db.execute(["INSERT INTO old VALUES('once')"], { requestId });
  load(db, file(folder, "CREATE TABLE old(x)"));
  assert.equal(db.execute(["INSERT INTO old VALUES('once')"], { requestId }), first);
  assert.match(ask(db, "SELECT count(*) FROM old"), /\[\[0\]\]/);
});

test("killed at any moment of a load and started again: the old database or the new one, and then the new one", (context) => {
  const { db, folder } = open(context);
  const bytes = file(
    folder,
    `CREATE TABLE t(v); WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 40) INSERT INTO t SELECT randomblob(2000) FROM n`,
  );
  db.machine.close();
  const child = fileURLToPath(new URL("support/load-child.ts", import.meta.url));
  const path = join(folder, "killed");
  const kills = [0, 0];
  for (let after = 0; ; after++) {
    for (const name of ["", "-wal", "-shm"]) rmSync(path + name, { force: true });
    const machine = openMachine(path);
    const piece = 60_000;
    const chunkCount = Math.ceil(bytes.length / piece);
    let index = 0;
    for (let number = 0; number < chunkCount; number++) {
      machine.apply([
        {
          index: ++index,
          term: 1,
          data: encodeCommand({
            kind: "load-chunk",
            ...STAMP,
            load: 7n,
            number,
            bytes: bytes.subarray(number * piece, (number + 1) * piece),
          }),
        },
      ]);
    }
    machine.close();
    const data = encodeCommand({ kind: "load-commit", ...STAMP, load: 7n, chunkCount, sizeBytes: bytes.length });
    // The child kills itself at its file system call number `after`.
    const result = spawnSync(process.execPath, [child, path, String(index + 1), Buffer.from(data).toString("hex"), String(after)], {
      encoding: "utf8",
    });
    const again = openMachine(path);
    if (result.signal === "SIGKILL") {
      kills[again.applied.index - index]!++;
      if (again.applied.index === index)
        assert.deepEqual(again.apply([{ index: index + 1, term: 1, data, want: { timings: false } }]), [{ results: "" }]);
    } else assert.equal(result.status, 0, result.stderr);
    assert.equal(again.applied.index, index + 1);
    again.close();
    assert.match(contentOf(path).find((line) => line.startsWith("rows t ")) ?? "", /^rows t 40 /);
    rmSync(`${path}-load`, { force: true });
    if (result.signal !== "SIGKILL") break;
  }
  assert.ok(kills[0]! >= 4 && kills[1]! >= 1, `${kills[0]} kills before it was applied, ${kills[1]} after`);
});

test("members commit with the applied index, who the node is stays, and a load keeps both", (context) => {
  const { db, folder } = open(context);
  assert.deepEqual([db.machine.state().members, db.machine.state().node], [undefined, undefined]);
  const { index, term } = db.machine.applied;
  const data = Uint8Array.of(1, 2, 3);
  const node = Uint8Array.of(9, 9);
  db.machine.identify(node);
  assert.deepEqual(db.machine.apply([{ index: index + 1, term, kind: "membership", data }]), [{ results: "" }]);
  const expected = { applied: { index: index + 1, term }, members: data, node };
  const state = (): unknown => {
    const { applied, members, node: held } = db.machine.state();
    return { applied, members: members && Uint8Array.from(members), node: held && Uint8Array.from(held) };
  };
  assert.deepEqual(state(), expected);
  db.reopen();
  assert.deepEqual(state(), expected);
  assert.deepEqual(load(db, file(folder, SAMPLE)), { results: "" });
  assert.deepEqual(state(), { ...expected, applied: db.machine.applied });
});
