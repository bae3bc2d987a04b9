import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test, type TestContext } from "node:test";
import { isPumiceError } from "../../src/base/mod.ts";
import { systemFiles } from "../../src/host/mod.ts";
import { Reader } from "../../src/sql/mod.ts";
import { contentOf } from "./support/batching.ts";
import { Database, EXTENSION, temporaryFolder } from "./support/database.ts";
import { Dice } from "./support/random-entries.ts";

function open(context: TestContext): { db: Database; reader: Reader; folder: string } {
  const folder = temporaryFolder(context);
  const db = new Database(join(folder, "db"));
  const reader = openReader(db.path);
  context.after(() => {
    reader.close();
    db.machine.close();
  });
  return { db, reader, folder };
}

function openReader(path: string): Reader {
  return Reader.open({ path, extensionPath: EXTENSION, files: systemFiles, monotonic: () => 0 });
}

function dumpOf(path: string, tables?: readonly string[]): string {
  const reader = openReader(path);
  try {
    return [...reader.dump({ tables })].join("");
  } finally {
    reader.close();
  }
}

/** All values that are hard to write down. */
const HARD = [
  'CREATE TABLE "odd "" name"("a b", [c\'d] REAL, e TEXT, f BLOB, g INTEGER, h)',
  "INSERT INTO \"odd \"\" name\" VALUES(NULL, 0.1, 'it''s', x'00ff', -9223372036854775808, 5.0)",
  "INSERT INTO \"odd \"\" name\" VALUES(9e999, -9e999, char(0) || 'x', x'', 9223372036854775807, -0.0)",
  "INSERT INTO \"odd \"\" name\" VALUES(1e300, 5e-324, cast(x'ff4100c3' as text), zeroblob(3), 0, cast(x'efbfbd' as text))",
  "INSERT INTO \"odd \"\" name\" VALUES('line\nbreak', 1e21, 'é😀', NULL, 1, 123456789012345678)",
  "CREATE TABLE auto(id INTEGER PRIMARY KEY AUTOINCREMENT, v UNIQUE)",
  "INSERT INTO auto(v) VALUES(1), (2)",
  "DELETE FROM auto WHERE id = 2",
  "CREATE TABLE wr(k TEXT PRIMARY KEY, v) WITHOUT ROWID",
  "INSERT INTO wr VALUES('b', 1), ('a', 2)",
  "CREATE TABLE gen(a, b AS (a * 2) STORED, c AS (a + 1))",
  "INSERT INTO gen(a) VALUES(3)",
  "CREATE TABLE strict_(a INTEGER, b ANY) STRICT",
  "INSERT INTO strict_ VALUES(1, x'01')",
  "CREATE INDEX auto_v ON auto(v DESC)",
  "CREATE VIEW view_ AS SELECT * FROM auto",
  "CREATE TRIGGER trigger_ AFTER INSERT ON auto BEGIN INSERT INTO wr VALUES(new.id, 'by trigger'); END",
  "CREATE VIRTUAL TABLE ft USING fts5(a, b, tokenize = 'porter')",
  "INSERT INTO ft(rowid, a, b) VALUES(7, 'running', 'x'), (9, 'hello', 'y')",
  "CREATE VIRTUAL TABLE ext USING fts5(v, content='auto', content_rowid='id')",
  "INSERT INTO ext(ext) VALUES('rebuild')",
  "CREATE VIRTUAL TABLE f4 USING fts4(a)",
  "INSERT INTO f4(docid, a) VALUES(3, 'four')",
  "CREATE VIRTUAL TABLE rt USING rtree(id, x0, x1, +note)",
  "INSERT INTO rt VALUES(1, 0.1, 0.7, 'note')",
  "CREATE VIRTUAL TABLE gp USING geopoly(name)",
  "INSERT INTO gp(_shape, name) VALUES('[[0,0],[1,0],[0,1],[0,0]]', 'triangle')",
];

test("the dump of an ordinary table is what rqlite writes", (context) => {
  const { db } = open(context);
  db.execute([
    "CREATE TABLE foo (id INTEGER NOT NULL PRIMARY KEY, name TEXT)",
    "INSERT INTO foo(name) VALUES('fiona')",
    "CREATE INDEX i ON foo(name)",
  ]);
  assert.equal(
    dumpOf(db.path),
    "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE foo (id INTEGER NOT NULL PRIMARY KEY, name TEXT);\n" +
      "INSERT INTO \"foo\" VALUES(1,'fiona');\nCREATE INDEX i ON foo(name);\nCOMMIT;\n",
  );
});

test("a dump loads into Pumice and into stock SQLite, every value exact, and dumps as itself again", (context) => {
  const { db, folder } = open(context);
  for (const sql of HARD) assert.doesNotMatch(db.execute([sql]), /error/, sql);
  db.execute(["ANALYZE"]);
  const dump = dumpOf(db.path);
  const copy = new Database(join(folder, "copy"), true);
  assert.doesNotMatch(copy.execute([dump], { script: true }), /error/);
  assert.match(copy.execute(["SELECT rowid, a FROM ft WHERE ft MATCH 'run'"], { kind: "request" }), /\[\[7,"running"\]\]/);
  assert.match(copy.execute(["SELECT rowid FROM ext WHERE ext MATCH '1'"], { kind: "request" }), /\[\[1\]\]/);
  assert.match(copy.execute(["SELECT docid FROM f4 WHERE f4 MATCH 'four'"], { kind: "request" }), /\[\[3\]\]/);
  copy.machine.close();
  assert.equal(dumpOf(copy.path), dump);
  const ours = contentOf(copy.path).filter(
    (line) => !line.startsWith("rows ft_") && !line.startsWith("rows ext_") && !line.includes("_pumice"),
  );
  const stock = new DatabaseSync(join(folder, "stock"));
  stock.exec(dump);
  stock.close();
  const theirs = contentOf(join(folder, "stock")).filter((line) => !line.startsWith("rows ft_") && !line.startsWith("rows ext_"));
  assert.deepEqual(theirs, ours);
});

test("reals come back exactly from a dump", (context) => {
  const { db, folder } = open(context);
  const seed = Math.floor(Math.random() * 0x7fff_ffff);
  const dice = new Dice(seed);
  db.execute(["CREATE TABLE r(x)"]);
  const bytes = new DataView(new ArrayBuffer(8));
  const params: number[] = [];
  while (params.length < 2000) {
    bytes.setUint32(0, dice.u32());
    bytes.setUint32(4, dice.u32());
    const value = dice.chance(50) ? bytes.getFloat64(0) : (dice.u32() - 2 ** 31) / 10 ** dice.below(12);
    if (Number.isFinite(value)) params.push(value);
  }
  for (const value of params) db.execute([{ sql: "INSERT INTO r VALUES(?)", params: [value] }]);
  const stock = new DatabaseSync(join(folder, "stock"));
  stock.exec(dumpOf(db.path));
  const values = stock
    .prepare("SELECT x FROM r ORDER BY rowid")
    .all()
    .map((row) => row["x"]);
  stock.close();
  assert.deepEqual(values, params, `seed ${seed}`);
});

test("a dump of some tables has their indexes, triggers and counters only; an unknown table is an error", (context) => {
  const { db } = open(context);
  for (const sql of HARD) db.execute([sql]);
  const dump = dumpOf(db.path, ["auto"]);
  assert.equal(
    dump,
    'PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE auto(id INTEGER PRIMARY KEY AUTOINCREMENT, v UNIQUE);\nINSERT INTO "auto" VALUES(1,1);\n' +
      "DELETE FROM \"sqlite_sequence\" WHERE name = 'auto';\nINSERT INTO \"sqlite_sequence\" VALUES('auto',2);\nCREATE INDEX auto_v ON auto(v DESC);\n" +
      "CREATE TRIGGER trigger_ AFTER INSERT ON auto BEGIN INSERT INTO wr VALUES(new.id, 'by trigger'); END;\nCOMMIT;\n",
  );
  assert.throws(
    () => dumpOf(db.path, ["nope"]),
    (error) => isPumiceError(error, "SQL_BACKUP") && /nope/.test(error.message),
  );
});

test("a dump comes in pieces, of one snapshot, and its connection ends with it", (context) => {
  const { db, reader } = open(context);
  db.execute([
    "CREATE TABLE big(v)",
    "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000) INSERT INTO big SELECT 'row number ' || x FROM n",
  ]);
  const dump = reader.dump({});
  let text = dump.next().value ?? "";
  db.execute(["DELETE FROM big"]);
  let pieces = 1;
  for (const piece of dump) {
    assert.ok(piece.length < 200_000);
    pieces++;
    text += piece;
  }
  assert.ok(pieces > 5);
  assert.equal(text.match(/INSERT/g)?.length, 20_000);
  const stopped = reader.dump({});
  stopped.next();
  stopped.return();
  assert.equal(db.machine.checkpoint("truncate").busy, false, "no snapshot is held");
});

test("a binary backup is a whole file of its own, without the internal table, rowids as they are", (context) => {
  const { db, reader, folder } = open(context);
  for (const sql of [...HARD, "CREATE TABLE hole(v)", "INSERT INTO hole VALUES(1), (2), (3)", "DELETE FROM hole WHERE v = 2"])
    db.execute([sql]);
  db.apply({
    kind: "load-chunk",
    timeMs: 0,
    seed: 0n,
    steps: 0,
    load: 1n,
    number: 0,
    bytes: new TextEncoder().encode("piece of a load".repeat(1000)),
  });
  for (const [name, options] of Object.entries({
    wal: {},
    delete: { journalMode: "delete" },
    vacuum: { vacuum: true },
    both: { vacuum: true, journalMode: "delete" },
  } as const)) {
    const target = join(folder, name);
    reader.backup(target, options);
    const bytes = readFileSync(target);
    const mode = "journalMode" in options ? 1 : 2;
    assert.deepEqual([bytes[18], bytes[19]], [mode, mode], name);
    assert.equal(bytes.includes("piece of a load"), false, "what was internal is overwritten");
    assert.equal(bytes.includes("_pumice"), false);
    for (const suffix of ["-wal", "-shm", "-journal", "-copy"]) assert.equal(existsSync(target + suffix), false, name + suffix);
    const copy = new DatabaseSync(target, { readBigInts: true });
    assert.deepEqual(
      copy
        .prepare("SELECT rowid, v FROM hole")
        .all()
        .map((row) => row["rowid"]),
      [1n, 3n],
    );
    if ("vacuum" in options) assert.equal(copy.prepare("PRAGMA freelist_count").get()?.["freelist_count"], 0n);
    copy.close();
    const lines = contentOf(target);
    assert.deepEqual(
      lines.filter((line) => line.startsWith("integrity")),
      ['integrity [["ok"]]'],
    );
  }
  db.execute(["VACUUM"]);
});

test("a backup refuses a file that is there, and leaves nothing behind when it fails", (context) => {
  const { reader, db, folder } = open(context);
  db.execute(["CREATE TABLE t(a)"]);
  const target = join(folder, "taken");
  writeFileSync(target, "mine");
  assert.throws(
    () => reader.backup(target, {}),
    (error) => isPumiceError(error, "SQL_BACKUP") && /exists already/.test(error.message),
  );
  assert.equal(readFileSync(target, "utf8"), "mine");
  assert.throws(
    () => reader.backup(join(folder, "no/such/folder/x"), {}),
    (error) => isPumiceError(error, "SQL_BACKUP"),
  );
});
