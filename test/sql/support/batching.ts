/**
 * The law of batches: the same entries in any batches, with restarts anywhere, give the same results and the same database. As a
 * function of the module under test, so that planted bugs can be tried: see planted-bugs.test.ts.
 */
import { DatabaseSync } from "node:sqlite";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as Sql from "../../../src/sql/mod.ts";
import type * as Host from "../../../src/host/mod.ts";
import { Dice, randomCommand, SCHEMA } from "./random-entries.ts";

/** The modules under test. */
export interface Modules {
  readonly sql: typeof Sql;
  readonly host: typeof Host;
  readonly extensionPath: string;
}

/** How one log is applied: sizes of batches, and whether the database is closed and opened between them. */
export interface Plan {
  readonly name: string;
  readonly size: (dice: Dice) => number;
  readonly restarts: number;
  /** Percent of entries whose result nobody asks for, as on a follower. */
  readonly unwanted: number;
}

export const PLANS: readonly Plan[] = [
  { name: "one by one", size: () => 1, restarts: 0, unwanted: 0 },
  { name: "all at once", size: () => 1_000_000, restarts: 0, unwanted: 0 },
  { name: "small batches", size: (dice) => 1 + dice.below(6), restarts: 0, unwanted: 0 },
  { name: "large batches and restarts", size: (dice) => 1 + dice.below(40), restarts: 20, unwanted: 0 },
  { name: "one by one with a restart after each", size: () => 1, restarts: 100, unwanted: 0 },
  { name: "a follower's", size: (dice) => 1 + dice.below(20), restarts: 5, unwanted: 100 },
];

/** Encoded entries of one seed. */
export function randomLog(modules: Modules, seed: number, count: number): Uint8Array[] {
  const dice = new Dice(seed);
  const sessions = new Map<bigint, Sql.SqlCommand>();
  const { encodeCommand } = modules.sql;
  const schema = SCHEMA.map((sql) => ({ sql }));
  const log = [encodeCommand({ kind: "execute", timeMs: 1, seed: 2n, steps: 0, statements: schema })];
  while (log.length < count) log.push(dice.chance(3) ? new Uint8Array(0) : encodeCommand(randomCommand(dice, sessions)));
  return log;
}

/** What came of a log: the text of each result ("" where nobody asked) and a line per table of the final database. */
export interface Outcome {
  readonly results: readonly string[];
  readonly tables: readonly string[];
}

/** Applies the log by the plan in a temporary folder. */
export function run(modules: Modules, log: readonly Uint8Array[], how: { plan: Plan; seed: number; foreignKeys: boolean }): Outcome {
  const folder = mkdtempSync(join(tmpdir(), "pumice-batch-"));
  const { plan, seed, foreignKeys } = how;
  try {
    const dice = new Dice(seed ^ 0x5bd1e995);
    const path = join(folder, "db");
    const open = (): Sql.StateMachine =>
      modules.sql.StateMachine.open({
        path,
        extensionPath: modules.extensionPath,
        foreignKeys,
        files: modules.host.systemFiles,
        monotonic: () => 0,
      });
    let machine = open();
    const results: string[] = [];
    while (results.length < log.length) {
      const size = Math.min(plan.size(dice), log.length - results.length);
      const entries = log.slice(results.length, results.length + size).map((data, i): Sql.ApplyEntry => {
        const want = dice.chance(plan.unwanted) ? undefined : { timings: false };
        return { index: results.length + i + 1, term: 1 + Math.floor((results.length + i) / 10), data, want };
      });
      for (const result of machine.apply(entries)) results.push(result.error ?? String(result.results));
      if (!dice.chance(plan.restarts)) continue;
      machine.close();
      machine = open();
    }
    machine.close();
    return { results, tables: contentOf(path) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A line per object and table: the schema, and a hash of all rows with their rowids. */
export function contentOf(path: string): string[] {
  const database = new DatabaseSync(path, { readBigInts: true, returnArrays: true });
  try {
    const lines = [
      `integrity ${integrityOf(database)}`,
      `user_version ${JSON.stringify(database.prepare("PRAGMA user_version").get(), withBigInts)}`,
    ];
    for (const [type, name, sql] of database
      .prepare("SELECT type, name, sql FROM sqlite_schema ORDER BY name")
      .all() as unknown as string[][]) {
      lines.push(`${type} ${name} ${sql}`);
    }
    const tables = database
      .prepare("SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND type <> 'view' ORDER BY name")
      .all();
    for (const [name, type, withoutRowid] of tables as unknown as [string, string, bigint][]) {
      if (name === "sqlite_schema" || type === "virtual") continue;
      const rowid = withoutRowid === 1n ? "" : "rowid, ";
      const hash = createHash("sha256");
      let count = 0;
      for (const row of database.prepare(`SELECT ${rowid}* FROM "${name.replaceAll('"', '""')}"`).iterate() as Iterable<unknown>) {
        hash.update(JSON.stringify(isStructureOfFts5(name, row) ? withoutCookie(row) : row, withBigInts));
        count++;
      }
      lines.push(`rows ${name} ${count} ${hash.digest("hex").slice(0, 16)}`);
    }
    return lines;
  } finally {
    database.close();
  }
}

/** What SQLite finds, or why it cannot look: a full-text table without the table of its content is opened by nobody. */
function integrityOf(database: DatabaseSync): string {
  try {
    return JSON.stringify(database.prepare("PRAGMA integrity_check").all());
  } catch (error) {
    return String(error);
  }
}

/** FTS5 keeps a cookie in its structure record that only tells connections to read their settings again; a rebuild forgets it on a new connection. */
function isStructureOfFts5(table: string, row: unknown): row is [bigint, bigint, Uint8Array] {
  return table.endsWith("_data") && Array.isArray(row) && row[0] === 10n && row[2] instanceof Uint8Array;
}

function withoutCookie([rowid, id, block]: [bigint, bigint, Uint8Array]): unknown {
  return [rowid, id, block.subarray(4)];
}

function withBigInts(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? `${value}n` : value;
}

/** The first difference between two outcomes, as text; undefined if there is none. Results that nobody asked for are not compared. */
export function difference(expected: Outcome, actual: Outcome, log: readonly string[]): string | undefined {
  for (const [i, result] of expected.results.entries()) {
    const other = actual.results[i];
    if (result !== other && other !== "") return `entry ${i + 1}: ${result}\n    is: ${other}\n    ${log[i]}`;
  }
  for (const [i, line] of expected.tables.entries())
    if (line !== actual.tables[i]) return `database: ${line}\n      is: ${actual.tables[i]}`;
  return undefined;
}

/** Tries all plans on one log; the first difference as text. */
export function tryLog(
  modules: Modules,
  log: readonly Uint8Array[],
  how: { plans: readonly Plan[]; seed: number; foreignKeys: boolean },
): string | undefined {
  const shown = log.map((data) => (data.length === 0 ? "no-op" : JSON.stringify(modules.sql.decodeCommand(data), withBigInts)));
  const [first, ...others] = how.plans;
  if (first === undefined) return undefined;
  const expected = run(modules, log, { ...how, plan: first });
  for (const plan of others) {
    const found = difference(expected, run(modules, log, { ...how, plan }), shown);
    if (found !== undefined)
      return `seed ${how.seed}, ${plan.name} beside ${first.name}, foreign keys ${how.foreignKeys ? "on" : "off"}\n  ${found}`;
  }
  return undefined;
}

/** Tries all plans on one seed. */
export function trySeed(modules: Modules, seed: number, count: number): string | undefined {
  return tryLog(modules, randomLog(modules, seed, count), { plans: PLANS, seed, foreignKeys: seed % 2 === 0 });
}

/** Tries all plans on one of scenarios.ts, with foreign keys on. */
export function tryScenario(modules: Modules, commands: readonly Sql.SqlCommand[]): string | undefined {
  return tryLog(modules, commands.map(modules.sql.encodeCommand), { plans: PLANS, seed: 1, foreignKeys: true });
}
