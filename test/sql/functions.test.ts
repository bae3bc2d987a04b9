/** Functions of ours in place of SQLite's: the same results, in time that grows with their inputs, charged to the budget and seen by deadlines. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { systemFiles } from "../../src/host/mod.ts";
import { Reader, type SqlReadResult, STEPS_MIN } from "../../src/sql/mod.ts";
import { Database, EXTENSION, temporaryFolder } from "./support/database.ts";
import { Dice } from "./support/random-entries.ts";

const CALLS = [
  "instr(a, b)",
  "replace(a, b, c)",
  "trim(a, b)",
  "ltrim(a, b)",
  "rtrim(a, b)",
  "trim(a)",
  "ltrim(a)",
  "rtrim(a)",
  "unhex(a, b)",
  "unhex(hex(a) || b || hex(c) || b, b)",
  "unhex(a || '0f' || a, a || c)",
];

/** Few different bytes, so that they match; continuation bytes and zeros among them, alone and in characters. */
const PIECES = ["61", "62", "20", "c3a9", "e282ac", "a9", "c3", "00", "f09f9880", "6161", "616261"];

function randomArgument(dice: Dice): string {
  if (dice.chance(4)) return "NULL";
  if (dice.chance(8)) return String(dice.below(300));
  if (dice.chance(4)) return `${dice.below(30)}.5`;
  const bytes = Array.from({ length: dice.below(dice.chance(20) ? 40 : 7) }, () => PIECES[dice.below(dice.chance(50) ? 3 : PIECES.length)]);
  const blob = `x'${bytes.join("")}'`;
  return dice.chance(25) ? blob : `CAST(${blob} AS TEXT)`;
}

test("instr, replace, unhex and the trims give what SQLite's own give, on random text, BLOBs, numbers and NULLs", () => {
  const seed = Math.floor(Math.random() * 0x7fff_ffff);
  const dice = new Dice(seed);
  const stock = new DatabaseSync(":memory:", { returnArrays: true });
  const ours = new DatabaseSync(":memory:", { returnArrays: true, allowExtension: true });
  ours.loadExtension(EXTENSION);
  for (let i = 0; i < 4000; i++) {
    const [a, b, c] = [randomArgument(dice), randomArgument(dice), randomArgument(dice)];
    const columns = CALLS.map((call) => `typeof(${call}), hex(${call})`).join(", ");
    const sql = `SELECT ${columns} FROM (SELECT ${a} AS a, ${b} AS b, ${c} AS c)`;
    assert.deepEqual(ours.prepare(sql).get(), stock.prepare(sql).get(), `seed ${seed}: ${a} ${b} ${c}`);
  }
  stock.close();
  ours.close();
});

/** Calls that took SQLite's own functions hours. */
const HARD = [
  "instr(hex(zeroblob(60000000)), hex(zeroblob(30000000)) || '1')",
  "instr(zeroblob(60000000), CAST(hex(zeroblob(3000000)) AS BLOB))",
  "length(replace(hex(zeroblob(20000000)), hex(zeroblob(10000000)) || '1', 'x'))",
];

test("a call on tens of millions of bytes takes seconds at most", (context) => {
  const db = new Database(join(temporaryFolder(context), "db"));
  context.after(() => db.machine.close());
  for (const call of HARD) {
    const startedMs = performance.now();
    assert.doesNotMatch(db.execute([`SELECT ${call}`], { kind: "request" }), /"error"/, call);
    assert.ok(performance.now() - startedMs < 10_000, call);
  }
});

test("what a function works on is charged to the budget of the entry, in a CHECK and in a trigger too", (context) => {
  const db = new Database(join(temporaryFolder(context), "db"));
  context.after(() => db.machine.close());
  const many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100000)";
  const calls = ["instr(s, t || i)", "length(replace(s, t || i, 'x'))", "length(trim(s, '0' || i))", "length(trim(s, '0\u00e9' || i))"];
  for (const call of calls) {
    const startedMs = performance.now();
    const sql = `${many} SELECT max(${call}) FROM n, (SELECT hex(zeroblob(500000)) AS s, hex(zeroblob(250000)) AS t)`;
    assert.match(db.execute([sql], { kind: "request", steps: STEPS_MIN }), /execute timeout/, call);
    assert.ok(performance.now() - startedMs < 20_000, call);
  }
  db.execute(["CREATE TABLE k(a, CHECK (instr(a, substr(a, 1, 400000) || '1') = 0))", "CREATE TABLE l(a)"]);
  db.execute(["CREATE TRIGGER g AFTER INSERT ON l WHEN instr(new.a, substr(new.a, 1, 400000) || '1') = 0 BEGIN SELECT 1; END"]);
  const few = many.replace("100000", "200");
  for (const table of ["k", "l"])
    assert.match(
      db.execute([`${few} INSERT INTO ${table} SELECT hex(zeroblob(500000)) FROM n`], { steps: STEPS_MIN }),
      /execute timeout/,
      table,
    );
});

test("a deadline ends a read inside of a function", (context) => {
  const db = new Database(join(temporaryFolder(context), "db"));
  const reader = Reader.open({ path: db.path, extensionPath: EXTENSION, files: systemFiles, monotonic: () => 0 });
  context.after(() => {
    reader.close();
    db.machine.close();
  });
  const set = Array.from({ length: 2000 }, (_, i) => String.fromCodePoint(0x4e00 + i)).join("");
  const sql = `SELECT length(trim(replace(hex(zeroblob(20000000)), '0', '${set.at(-1)}'), '${set}'))`;
  let result: SqlReadResult | undefined;
  const startedMs = performance.now();
  reader.readMany([{ statements: [{ sql }], deadlineMs: 200 }], (_, given) => (result = given));
  assert.match(String(result?.results), /query timeout/);
  assert.ok(performance.now() - startedMs < 3000, String(performance.now() - startedMs));
});

test("patterns of LIKE and GLOB are bounded", (context) => {
  const db = new Database(join(temporaryFolder(context), "db"));
  context.after(() => db.machine.close());
  for (const operator of ["LIKE", "GLOB"]) {
    const ask = (length: number): string => db.execute([`SELECT 'x' ${operator} '${"a".repeat(length)}'`], { kind: "request" });
    assert.match(ask(250), /\[\[0\]\]/);
    assert.match(ask(251), /LIKE or GLOB pattern too complex/);
  }
});
