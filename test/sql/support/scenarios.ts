/** Short logs, each of which shows one way in which an entry could depend on its neighbours or on the connection's past. */
import type { SqlCommand } from "../../../src/sql/mod.ts";
import { command } from "./database.ts";

/** Name -> commands. */
export const SCENARIOS: Readonly<Record<string, readonly SqlCommand[]>> = {
  "INSERT OR ROLLBACK takes the entries before it along": [
    command(["CREATE TABLE t(a PRIMARY KEY)", "INSERT INTO t VALUES(1)"]),
    command(["INSERT INTO t VALUES(2)"]),
    command(["INSERT INTO t VALUES(3)", "INSERT OR ROLLBACK INTO t VALUES(1)", "INSERT INTO t VALUES(4)"]),
    command(["INSERT INTO t VALUES(5)", "INSERT OR ROLLBACK INTO t VALUES(1)"], { transaction: true }),
    command(["SELECT * FROM t"], { kind: "request" }),
  ],
  "RAISE(ROLLBACK) takes the entries before it along": [
    command(["CREATE TABLE t(a)", "CREATE TRIGGER g BEFORE INSERT ON t WHEN new.a > 2 BEGIN SELECT RAISE(ROLLBACK, 'no'); END"]),
    command(["INSERT INTO t VALUES(1)"]),
    command(["INSERT INTO t VALUES(3)", "INSERT INTO t VALUES(2)"]),
    command(["SELECT * FROM t"], { kind: "request" }),
  ],
  "a later entry heals an earlier one's deferred violation": [
    command(["CREATE TABLE p(id INTEGER PRIMARY KEY)", "CREATE TABLE c(p REFERENCES p(id) DEFERRABLE INITIALLY DEFERRED)"]),
    command(["INSERT INTO c VALUES(1)"]),
    command(["INSERT INTO p VALUES(1)"]),
    command(["INSERT INTO c VALUES(2)"], { transaction: true }),
    command(["SELECT * FROM c"], { kind: "request" }),
  ],
  "counters of the entry before": [
    command(["CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c)", "INSERT INTO t(a) VALUES(1), (2)"]),
    command(["INSERT INTO t(a, b, c) SELECT changes(), last_insert_rowid(), total_changes()"]),
    command([
      "CREATE TABLE u(a, b)",
      "CREATE TRIGGER g AFTER INSERT ON u BEGIN INSERT INTO t(a, b) VALUES(changes(), total_changes()); END",
    ]),
    command(["INSERT INTO u VALUES(1, 2), (3, 4)"]),
    command(["DROP TABLE u"]),
    command(["SELECT * FROM t"], { kind: "request" }),
  ],
  "a row of a later entry gets a random rowid": [
    command(["CREATE TABLE t(id INTEGER PRIMARY KEY, a)", "INSERT INTO t VALUES(9223372036854775806, 1)"]),
    command(["INSERT INTO t(a) VALUES(2)"]),
    command(["INSERT INTO t(a) VALUES(3)"]),
    command(["UPDATE t SET id = id + 1", "INSERT OR IGNORE INTO t VALUES(9223372036854775807, 4)"], { transaction: true }),
    command(["SELECT * FROM t"], { kind: "request" }),
  ],
  "full-text rows that an earlier entry has not written out": [
    command(["CREATE VIRTUAL TABLE f4 USING fts4(a)", "CREATE VIRTUAL TABLE f5 USING fts5(a)", "CREATE TABLE t(a, b)"]),
    command(["INSERT INTO f4 VALUES('n0 and 3')"], { transaction: true }),
    command(["DROP INDEX IF EXISTS x1"], { transaction: true }),
    command(["INSERT INTO f5 VALUES('one')", "INSERT INTO f4 VALUES('two')"]),
    command(["INSERT INTO t VALUES(changes(), last_insert_rowid()), (changes(), last_insert_rowid())"], { transaction: true }),
    command(["SELECT * FROM t"], { kind: "request" }),
  ],
  "statistics that a rollback has taken back": [
    command(["CREATE TABLE t(id INTEGER PRIMARY KEY, a, b)", "CREATE INDEX ta ON t(a)", "CREATE INDEX tb ON t(b)"]),
    command([
      "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 200) INSERT INTO t(a, b) SELECT x % 2, 199 - x FROM n",
    ]),
    command(["ANALYZE"]),
    command(["UPDATE t SET a = 199 - id, b = id % 2", "ANALYZE", "nonsense"], { transaction: true }),
    command([
      "CREATE TABLE u(n INTEGER PRIMARY KEY, id)",
      "INSERT INTO u(id) SELECT id FROM t WHERE a >= 0 AND b >= 0 AND a = 1 AND b < 150",
    ]),
    command(["UPDATE sqlite_stat1 SET stat = CASE idx WHEN 'ta' THEN '200 1' ELSE '200 100' END"]),
    command([
      "INSERT INTO u(id) SELECT id FROM t WHERE a = 1 AND b > 20 AND b < 150",
      "INSERT INTO u(id) SELECT id FROM t WHERE a IN (0, 1) AND b IN (3, 7, 5)",
    ]),
    command(["SELECT * FROM u"], { kind: "request" }),
  ],
  "settings of FTS5 that a rollback has taken back": [
    command([
      "CREATE VIRTUAL TABLE ft USING fts5(a, b)",
      "INSERT INTO ft VALUES('n0 word', 'text 11')",
      "INSERT INTO ft VALUES('word', 'word')",
      "CREATE TABLE log(a, b)",
    ]),
    command(["INSERT INTO ft(ft, rank) VALUES('rank', 'bm25(0.0, 9.0)')", "nonsense"], { transaction: true }),
    command(["INSERT INTO log SELECT a, rank FROM ft WHERE ft MATCH 'word' ORDER BY rank"]),
    command(["SELECT * FROM log"], { kind: "request" }),
  ],
  "settings of FTS5 that a failed statement has taken back": [
    command([
      "CREATE VIRTUAL TABLE ft USING fts5(a, b)",
      "INSERT INTO ft VALUES('n0 word', 'text 11')",
      "INSERT INTO ft VALUES('word', 'word')",
      "CREATE TABLE log(a, b)",
    ]),
    command([
      "CREATE TRIGGER g BEFORE INSERT ON log WHEN new.a = 1 BEGIN INSERT INTO ft(ft, rank) VALUES('rank', 'bm25(0.0, 9.0)'); SELECT RAISE(ABORT, 'no'); END",
    ]),
    command(["INSERT INTO log VALUES(1, 2)"]),
    command(["INSERT INTO log SELECT a, rank FROM ft WHERE ft MATCH 'word' ORDER BY rank"]),
    command(["SELECT * FROM log"], { kind: "request" }),
  ],
  "settings of FTS4 that a rollback has taken back": [
    command(["CREATE VIRTUAL TABLE f4 USING fts4(a)"]),
    command(["INSERT INTO f4(f4) VALUES('automerge=2')", "nonsense"], { transaction: true }),
    ...Array.from({ length: 24 }, (_, i) =>
      command(
        [
          `INSERT INTO f4 SELECT group_concat(hex(randomblob(40)), ' ') FROM (WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 200) SELECT x FROM n)`,
        ],
        { seed: BigInt(i) },
      ),
    ),
  ],
  "columns of a statement prepared before the schema changed": [
    command(["CREATE TABLE d(a)", "INSERT INTO d VALUES(1)"]),
    command(["SELECT * FROM d"], { kind: "request" }),
    command(["ALTER TABLE d ADD COLUMN b BOOLEAN DEFAULT 1"]),
    command(["SELECT * FROM d"], { kind: "request" }),
    command(["SELECT * FROM d", "ALTER TABLE d RENAME COLUMN b TO c", "nonsense"], { kind: "request", transaction: true }),
    command(["SELECT * FROM d"], { kind: "request" }),
  ],
  "an outcome stored by an entry that is applied again": [
    command(["CREATE TABLE t(a PRIMARY KEY)", "INSERT INTO t VALUES(1)"]),
    command(["INSERT INTO t VALUES(2) RETURNING a"], { requestId: { session: 1n, sequence: 1n } }),
    command(["INSERT OR ROLLBACK INTO t VALUES(1)"], { requestId: { session: 2n, sequence: 1n } }),
    command(["INSERT INTO t VALUES(3) RETURNING a"], { requestId: { session: 1n, sequence: 1n } }),
    command(["INSERT INTO t VALUES(3) RETURNING a"], { requestId: { session: 1n, sequence: 0n } }),
    command(["SELECT * FROM t"], { kind: "request" }),
  ],
  "an endless statement, then others": [
    command(["CREATE TABLE t(a)", "INSERT INTO t VALUES(1)"]),
    command(
      [
        "INSERT INTO t VALUES(2)",
        "WITH RECURSIVE w(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM w) INSERT INTO t SELECT x FROM w",
        "INSERT INTO t VALUES(3)",
      ],
      { steps: 0 },
    ),
    command(["INSERT INTO t VALUES(4)", "WITH RECURSIVE w(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM w) SELECT count(*) FROM w"], {
      steps: 0,
      kind: "request",
      transaction: true,
    }),
    command(["SELECT * FROM t"], { kind: "request" }),
  ],
  "a statement that failed is run again": [
    command(["CREATE TABLE t(a)", "INSERT INTO t VALUES(1), (-9223372036854775807 - 1)"]),
    command(["SELECT abs(a) FROM t", "INSERT INTO t VALUES(abs(-5)) RETURNING abs(a)"], { kind: "request" }),
    command(["UPDATE t SET a = 2 WHERE a < 0"]),
    command(["SELECT abs(a) FROM t", "INSERT INTO t VALUES(abs(-5)) RETURNING abs(a)"], { kind: "request" }),
    command(["SELECT abs(a) FROM t"], { kind: "request" }),
  ],
  "a VACUUM between others": [
    command(["CREATE TABLE t(a)", "INSERT INTO t VALUES(1), (2), (3)", "DELETE FROM t WHERE a = 1"]),
    command(["VACUUM"]),
    command(["INSERT INTO t VALUES(4)", "VACUUM", "INSERT INTO t VALUES(5)"]),
    command(["SELECT rowid, a FROM t"], { kind: "request" }),
  ],
};
