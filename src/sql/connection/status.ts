/** What `/status` shows under `store.sqlite3`, of one connection. */
import type { Connection } from "./connection.ts";
import type { SqliteStatus } from "./sqlite-status.ts";

const PRAGMAS = ["busy_timeout", "foreign_keys", "journal_mode", "synchronous", "wal_autocheckpoint"];

/** Asks the connection. */
export function readStatus(connection: Connection, walBytes: number): SqliteStatus {
  const options = connection.own("PRAGMA compile_options").all();
  return {
    version: connection.text("SELECT sqlite_version()"),
    compileOptions: options.map((row) => String(row[0])),
    pragmas: Object.fromEntries(PRAGMAS.map((name) => [name, connection.text(`PRAGMA ${name}`)])),
    pageSizeBytes: Number(connection.text("PRAGMA page_size")),
    pageCount: Number(connection.text("PRAGMA page_count")),
    walBytes,
  };
}
