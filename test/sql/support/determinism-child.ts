/** Applies the determinism list and prints every result and the database. */
import { contentOf } from "./batching.ts";
import { Database } from "./database.ts";

const db = new Database(process.argv[2] ?? "");
const out: string[] = [];
const run = (...statements: string[]): void => {
  out.push(db.execute(statements, { kind: "request" }));
};
run("CREATE TABLE t(id INTEGER PRIMARY KEY, v, at DEFAULT CURRENT_TIMESTAMP, r DEFAULT (random()), d DEFAULT (datetime('now')))");
run("CREATE TRIGGER g AFTER UPDATE ON t BEGIN INSERT INTO t(v) VALUES(random() || datetime()); END");
run("INSERT INTO t(v) VALUES(random()), (randomblob(16)), (datetime('now')), (julianday()), (strftime('%s')), (date('NOW'))");
run(
  "INSERT INTO t(v) SELECT v FROM t ORDER BY random() LIMIT 3",
  "UPDATE t SET v = changes() || last_insert_rowid() || total_changes() WHERE id < 3",
);
run("INSERT INTO t(v) VALUES(datetime('now', 'localtime'))", "INSERT INTO t(v) VALUES(sqlite_version() || sqlite_source_id())");
run(
  "INSERT INTO t(v) SELECT sum(x * 0.1) || printf('%f %g', x / 3.0, x / 7.0) || round(x / 3.0, 5) FROM (SELECT id AS x FROM t) GROUP BY x",
);
run("DELETE FROM t WHERE id IN (SELECT id FROM t ORDER BY random() LIMIT 4)", "SELECT * FROM t ORDER BY random()", "SELECT * FROM t");
run("SELECT upper('äßi'), lower('ÄSSI'), 'ä' < 'z', 'I' = 'ı' COLLATE NOCASE");
db.machine.close();
console.log(out.join("\n"));
console.log(contentOf(db.path).join("\n"));
