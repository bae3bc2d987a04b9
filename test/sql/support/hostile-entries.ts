/** Entries that mix what goes wrong together: virtual tables, DDL, triggers, statements that end transactions, and functions with hostile arguments. */
import type { SqlCommand } from "../../../src/sql/mod.ts";
import { command } from "./database.ts";
import type { Dice } from "./random-entries.ts";

const TABLES = ["a", "b", "v", "w", "c", "f"];
const MODULES = [
  "fts4(x, y)",
  "fts5(x, y)",
  "fts3(x, y)",
  "rtree(x, y, z)",
  "fts4(content=c)",
  "fts5(x, content=c)",
  "fts5vocab(v, row)",
  "geopoly(x)",
];
const VALUES = [
  "NULL",
  "0",
  "-1",
  "9223372036854775807",
  "1e308",
  "''",
  "'x y z'",
  "x'00ff'",
  "zeroblob(5000)",
  "hex(zeroblob(3000))",
  "char(0, 65533)",
  "random()",
];
const CALLS = [
  "instr(%, %)",
  "replace(%, %, %)",
  "trim(%, %)",
  "unhex(%, %)",
  "substr(%, %, %)",
  "printf('%s %d', %, %)",
  "json_extract(%, '$')",
  "hex(%)",
  "quote(%)",
];
CALLS.push(
  "date(%, %)",
  "round(%, 2)",
  "% LIKE %",
  "% GLOB %",
  "max(%, %)",
  "coalesce(%, %)",
  "zeroblob(abs(random() % 5000))",
  "json_group_array(%)",
  "abs(%)",
);

/** One command of up to eight statements. */
export function hostileCommand(dice: Dice): SqlCommand {
  const statements = Array.from({ length: 1 + dice.below(8) }, () => statement(dice));
  const kind = dice.chance(30) ? "request" : "execute";
  if (kind === "execute" && dice.chance(10)) return command([statements.join(";\n")], { script: true });
  return command(dice.chance(10) ? [statements.join("; ")] : statements, {
    kind,
    transaction: dice.chance(50),
    steps: dice.chance(5) ? 0 : 50_000_000,
  });
}

function pick<T>(dice: Dice, from: readonly T[]): T {
  return from[dice.below(from.length)] as T;
}

function value(dice: Dice): string {
  if (dice.chance(60)) return pick(dice, VALUES);
  return pick(dice, CALLS)
    .split("%")
    .reduce(
      (text, part, i) =>
        i === 0
          ? part
          : text + (/^[sd ]/.test(part) && text.includes("printf('") && !text.includes("',") ? "%" : pick(dice, VALUES)) + part,
      "",
    );
}

function statement(dice: Dice): string {
  const table = pick(dice, TABLES);
  const other = pick(dice, TABLES);
  const or = pick(dice, ["", "", "", " OR IGNORE", " OR REPLACE", " OR FAIL", " OR ROLLBACK"]);
  const choices: (() => string)[] = [
    () => `CREATE TABLE IF NOT EXISTS ${table}(x, y${pick(dice, ["", " UNIQUE", " CHECK (y <> 7)", ', z AS (x || "q")'])})`,
    () => `CREATE TABLE ${table}(id INTEGER PRIMARY KEY AUTOINCREMENT, x, y REFERENCES ${other}(x) DEFERRABLE INITIALLY DEFERRED)`,
    () => `CREATE VIRTUAL TABLE ${table} USING ${pick(dice, MODULES)}`,
    () => `DROP TABLE IF EXISTS ${table}`,
    () => `INSERT${or} INTO ${table}(x, y) VALUES(${value(dice)}, ${value(dice)}), (${value(dice)}, ${value(dice)})`,
    () => `INSERT${or} INTO ${table}(x, y) SELECT y, x FROM ${other} LIMIT 20`,
    () => `INSERT INTO ${table}(rowid, x) VALUES(${dice.below(9)}, ${value(dice)})`,
    () => `UPDATE${or} ${table} SET x = ${value(dice)} WHERE rowid % 3 = 1`,
    () => `DELETE FROM ${table} WHERE rowid > ${dice.below(9)}`,
    () => `INSERT INTO ${table}(${table}) VALUES('${pick(dice, ["rebuild", "optimize", "integrity-check", "delete-all", "nonsense"])}')`,
    () => `INSERT INTO ${table}(${table}, rowid, x, y) VALUES('delete', 1, 'wrong', 'words')`,
    () => `INSERT INTO ${table}(${table}, rank) VALUES('automerge', ${dice.below(20)})`,
    () => `CREATE INDEX IF NOT EXISTS i${dice.below(3)} ON ${table}(${pick(dice, ["x", "y", '"q"', "x || y", "substr(x, 1, 3)"])})`,
    () => `CREATE TRIGGER IF NOT EXISTS g${dice.below(3)} AFTER INSERT ON ${table} BEGIN INSERT INTO ${other}(x) VALUES(new.x); END`,
    () =>
      `CREATE TRIGGER IF NOT EXISTS g${dice.below(3)} BEFORE DELETE ON ${table} BEGIN SELECT RAISE(${pick(dice, ["ABORT", "FAIL", "ROLLBACK"])}, 'no'); END`,
    () => `DROP TRIGGER IF EXISTS g${dice.below(3)}`,
    () => `ALTER TABLE ${table} ${pick(dice, ["ADD COLUMN q", "DROP COLUMN y", `RENAME TO ${other}`, "RENAME COLUMN x TO q"])}`,
    () => `CREATE VIEW IF NOT EXISTS ${table} AS SELECT * FROM ${other}`,
    () => `CREATE TABLE ${table} AS SELECT * FROM ${other}, ${pick(dice, TABLES)} LIMIT 5`,
    () => `SELECT * FROM ${table} WHERE ${table} MATCH '${pick(dice, ["x", "words", '"x y"', "x NOT y", "("])}' ORDER BY rank`,
    () => `SELECT ${value(dice)}, count(*) FROM ${table}`,
    () =>
      pick(dice, [
        "ANALYZE",
        "REINDEX",
        "VACUUM",
        "PRAGMA user_version = 5",
        "PRAGMA integrity_check",
        "SELECT nope()",
        "garbage",
        "ROLLBACK",
        "CREATE TABLE IF NOT EXISTS IF(a)",
      ]),
  ];
  return pick(dice, choices)();
}
