/** The limit of SQL in process: plain node:sqlite, WAL, synchronous=NORMAL, one prepared statement, no HTTP, no log. */
import { mkdtempSync, rmSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** Rows per second of inserting transactions of `rowsPerTransaction` rows for about `seconds`. */
export function plainInsertRowsPerSecond(rowsPerTransaction: number, seconds: number): number {
  const folder = mkdtempSync(join(tmpdir(), "pumice-plain-"));
  const db = new DatabaseSync(join(folder, "plain.sqlite"));
  try {
    db.exec("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; CREATE TABLE foo(id INTEGER NOT NULL PRIMARY KEY, name TEXT)");
    const insert = db.prepare("INSERT INTO foo(name) VALUES(?)");
    const started = performance.now();
    let rows = 0;
    while (performance.now() - started < seconds * 1000) {
      db.exec("BEGIN");
      for (let i = 0; i < rowsPerTransaction; i++) insert.run("fiona");
      db.exec("COMMIT");
      rows += rowsPerTransaction;
    }
    return (rows * 1000) / (performance.now() - started);
  } finally {
    db.close();
    rmSync(folder, { recursive: true });
  }
}
