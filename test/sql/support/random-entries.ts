/** Random commands that try to make one entry's outcome depend on its neighbours. */
import type { Command, SqlCommand, SqlParam, Statement } from "../../../src/sql/mod.ts";

/** A small generator with a printable seed (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  u32(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (t ^ (t >>> 14)) >>> 0;
  }

  below(bound: number): number {
    return this.u32() % bound;
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }
}

/** The schema, one statement per text. */
export const SCHEMA: readonly string[] = [
  "CREATE TABLE p(id INTEGER PRIMARY KEY, name TEXT UNIQUE, n INTEGER DEFAULT 0, r DEFAULT (random()), at DEFAULT CURRENT_TIMESTAMP)",
  "CREATE TABLE c(id INTEGER PRIMARY KEY AUTOINCREMENT, p INTEGER REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED, v)",
  "CREATE TABLE i(id INTEGER PRIMARY KEY, p INTEGER REFERENCES p(id))",
  "CREATE TABLE log(a, b, c, d)",
  "CREATE TABLE guard(x CHECK (x < 100))",
  "CREATE TRIGGER p_log AFTER INSERT ON p BEGIN INSERT INTO log VALUES('p', new.id, changes(), random()); END",
  "CREATE TRIGGER c_log AFTER INSERT ON c BEGIN UPDATE p SET n = n + 1 WHERE id = new.p; INSERT INTO log VALUES('c', changes(), last_insert_rowid(), total_changes()); END",
  "CREATE TRIGGER p_stop BEFORE DELETE ON p WHEN old.n > 2 BEGIN INSERT INTO log VALUES('stop', old.id, NULL, NULL); SELECT RAISE(ROLLBACK, 'stopped'); END",
  "CREATE TRIGGER guard_stop BEFORE INSERT ON guard WHEN new.x > 90 BEGIN SELECT RAISE(ABORT, 'too near'); END",
  "CREATE VIRTUAL TABLE ft USING fts5(a, b)",
  "CREATE VIRTUAL TABLE f4 USING fts4(a)",
  "CREATE VIRTUAL TABLE rt USING rtree(id, x0, x1)",
  "CREATE VIEW pv AS SELECT id, name, n, total_changes() AS t FROM p",
];

const ENDLESS = "WITH RECURSIVE w(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM w)";
const OR = ["", "OR ROLLBACK", "OR IGNORE", "OR REPLACE", "OR FAIL", "OR ABORT"];

/** One text, perhaps of several statements. */
function text(dice: Dice): string {
  const id = dice.below(12) + 1;
  const other = dice.below(12) + 1;
  const or = dice.pick(OR);
  const name = `n${dice.below(9)}`;
  const all: (() => string)[] = [
    () => `INSERT ${or} INTO p(id, name) VALUES(${id}, '${name}')`,
    () => `INSERT ${or} INTO p(name) VALUES('${name}')`,
    () => `INSERT ${or} INTO p(id, name) VALUES(${id}, '${name}'), (${other}, '${name}x')`,
    () => `INSERT INTO p(name) SELECT name || 'y' FROM p WHERE id < ${id}`,
    () => `INSERT ${or} INTO c(p, v) VALUES(${id + dice.below(8)}, random())`,
    () => `INSERT INTO c(p, v) VALUES(last_insert_rowid(), changes())`,
    () => `INSERT ${or} INTO i(p) VALUES(${id})`,
    () => `INSERT INTO log VALUES(changes(), last_insert_rowid(), total_changes(), hex(randomblob(3)))`,
    () => `INSERT INTO log SELECT random(), datetime('now'), julianday(), strftime('%f') FROM p`,
    () => `UPDATE ${or} p SET name = '${name}', n = n + 1 WHERE id >= ${id}`,
    () => `UPDATE p SET n = n + 1`,
    () => `DELETE FROM p WHERE id = ${id}`,
    () => `DELETE FROM c WHERE p > ${id}`,
    () => `DELETE FROM log`,
    () => `UPDATE ${or} c SET p = ${other} WHERE id = ${id}`,
    () => `INSERT ${or} INTO guard VALUES(${dice.below(110)})`,
    () => `INSERT INTO p(name) VALUES('r${dice.below(100)}') RETURNING id, r, at`,
    () => `UPDATE p SET n = 0 WHERE id < ${id} RETURNING id, name`,
    () => `INSERT INTO ft VALUES('${name} word', 'text ${id}')`,
    () => `DELETE FROM ft WHERE rowid = ${id}`,
    () => `UPDATE ft SET a = a || ' more' WHERE ft MATCH '${name}'`,
    () => `INSERT INTO ft(ft) VALUES('${dice.pick(["optimize", "rebuild", "integrity-check", "nonsense"])}')`,
    () => `INSERT INTO ft(ft, rank) VALUES('rank', 'bm25(${dice.below(9)}.0, 2.0)')`,
    () =>
      `INSERT INTO ft(ft, rank) VALUES('${dice.pick(["automerge", "crisismerge", "usermerge", "secure-delete", "merge"])}', ${dice.below(4)})`,
    () => `INSERT INTO ft(ft, rank) VALUES('pgsz', ${32 << dice.below(4)})`,
    () => `INSERT INTO f4(f4) VALUES('${dice.pick(["automerge=2", "merge=2,2", "rebuild", "integrity-check", "nodesize=100"])}')`,
    () => `INSERT INTO log SELECT a, rank, 0, 0 FROM ft WHERE ft MATCH 'word OR more' ORDER BY rank`,
    () => `INSERT INTO f4 VALUES('${name} and ${id}')`,
    () => `INSERT INTO f4(f4) VALUES('optimize')`,
    () => `INSERT ${dice.pick(["", "OR REPLACE", "OR ROLLBACK"])} INTO rt VALUES(${id}, ${id}, ${id + dice.below(4) - 1})`,
    () => `CREATE TABLE IF NOT EXISTS d${dice.below(3)}(id INTEGER PRIMARY KEY, v DEFAULT (random()))`,
    () => `DROP TABLE d${dice.below(3)}`,
    () => `INSERT INTO d${dice.below(3)} DEFAULT VALUES`,
    () => `ALTER TABLE d${dice.below(3)} ADD COLUMN x${dice.below(3)} DEFAULT 7`,
    () => `CREATE INDEX IF NOT EXISTS x${dice.below(2)} ON p(n)`,
    () => `DROP INDEX IF EXISTS x${dice.below(2)}`,
    () => `SELECT *, changes() FROM p ORDER BY random()`,
    () => `SELECT * FROM d${dice.below(3)}`,
    () => `SELECT * FROM pv`,
    () => `SELECT a, rank FROM ft WHERE ft MATCH 'word' ORDER BY rank, rowid`,
    () => `REPLACE INTO p(id, name) VALUES(${id}, '${name}')`,
    () => `INSERT INTO p(id) VALUES(9223372036854775807)`,
    () => `UPDATE OR FAIL p SET id = 9223372036854775807 WHERE id = ${id}`,
    () => `BEGIN`,
    () => `/* hidden */ ROLLBACK`,
    () => `SAVEPOINT s`,
    () => `PRAGMA user_version = ${id}`,
    () => `PRAGMA /**/ synchronous = OFF`,
    () => `PRAGMA foreign_keys = OFF`,
    () => `DELETE FROM sqlite_pumice`,
    () => `ANALYZE`,
    () => `VACUUM`,
    () => `nonsense ${id}`,
    () => ``,
  ];
  return dice.pick(all)();
}

function statement(dice: Dice): Statement {
  if (dice.chance(12)) {
    const params: SqlParam[] = [BigInt(dice.below(20)), dice.chance(50) ? `q${dice.below(6)}` : dice.below(1000) / 8];
    return { sql: `INSERT ${dice.pick(OR)} INTO p(id, name) VALUES(?, ?)`, params };
  }
  if (dice.chance(5))
    return { sql: "INSERT INTO log SELECT id, name, n, 'like' FROM p WHERE name LIKE ?", params: [dice.pick(["n%", "%y", "q_", 7n])] };
  if (dice.chance(2)) return { sql: "UPDATE sqlite_stat1 SET stat = ?", params: [dice.pick(["1 1", "1000 10", "100000 50000 2"])] };
  const count = dice.chance(15) ? 2 + dice.below(3) : 1;
  return { sql: Array.from({ length: count }, () => text(dice)).join(";") };
}

/** A command; rarely one that spends its budget. */
export function randomCommand(dice: Dice, sessions: Map<bigint, SqlCommand>): Command {
  const stamp = { timeMs: 1_700_000_000_000 + dice.u32(), seed: (BigInt(dice.u32()) << 32n) | BigInt(dice.u32()), steps: 0 };
  if (dice.chance(5) && sessions.size > 0) return dice.pick([...sessions.values()]);
  if (dice.chance(3))
    return { kind: "load-chunk", load: BigInt(dice.below(3)), number: dice.below(3), bytes: Uint8Array.from([dice.below(256)]), ...stamp };
  if (dice.chance(2)) return { kind: "load-abort", load: BigInt(dice.below(3)), ...stamp };
  if (dice.chance(2)) return { kind: "load-commit", load: BigInt(dice.below(3)), chunkCount: 1, sizeBytes: 1, ...stamp };
  const statements = Array.from({ length: 1 + (dice.chance(50) ? dice.below(5) : 0) }, () => statement(dice));
  if (dice.chance(1))
    statements.splice(dice.below(statements.length + 1), 0, { sql: `${ENDLESS} INSERT INTO log SELECT x, x, x, x FROM w` });
  if (dice.chance(1)) statements.splice(dice.below(statements.length + 1), 0, { sql: `${ENDLESS} SELECT count(*) FROM w` });
  const kind = dice.chance(60) ? "execute" : "request";
  const script = kind === "execute" && dice.chance(8);
  const command: SqlCommand = {
    kind,
    ...stamp,
    statements: script ? [{ sql: `BEGIN;${statements.map(({ sql }) => sql.replaceAll("?", "7")).join(";\n")};COMMIT;` }] : statements,
    transaction: dice.chance(25),
    script,
    format: { associative: dice.chance(10), blobArray: dice.chance(10) },
    requestId: dice.chance(15) ? { session: BigInt(dice.below(4)), sequence: BigInt(dice.below(40)) } : undefined,
  };
  if (command.requestId !== undefined) sessions.set(command.requestId.session, command);
  return command;
}
