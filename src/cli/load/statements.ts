/**
 * The SQL of a load, and why no row is loaded twice.
 *
 * Each batch is one transaction: it moves the load's row in the table `pumice_load` from the digest before the batch to the digest
 * behind it, and inserts the rows. The digest is SHA-256 over all records taken so far, so it says both how far the load is and of what. If
 * the row does not stand where the batch begins, the new digest comes out NULL, which the column refuses, and the whole transaction
 * with it: a batch whose answer was lost can be sent again, and two loads of one file can't both write. A load that ends removes its row.
 *
 * Records travel as one JSON text and become rows by `json_each`: compact, 64-bit integers exact, and a text like x'00' stays a text
 * (as a parameter of its own the API would take it for a blob).
 */
import type { SqlStatement } from "./connection.ts";

/** The table of interrupted loads. */
const PROGRESS_TABLE = "pumice_load";

/** Whose progress it is. */
export interface LoadKey {
  /** The file's name without its folder. */
  readonly file: string;
  readonly table: string;
}

/** How far a load is. */
export interface Progress {
  /** SHA-256 in hexadecimal over the records taken. */
  readonly digest: string;
  /** Records taken from the file, skipped ones included. */
  readonly records: number;
  readonly skipped: number;
}

/** `name` as SQL writes an identifier. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Makes the table of interrupted loads if there is none. */
export function createProgressTable(): SqlStatement {
  return [
    `CREATE TABLE IF NOT EXISTS ${PROGRESS_TABLE} (file TEXT NOT NULL, table_name TEXT NOT NULL, digest TEXT NOT NULL,
 records INTEGER NOT NULL, skipped INTEGER NOT NULL, PRIMARY KEY (file, table_name))`,
  ];
}

/** Enters a load that begins. Fails if it is there already. */
export function beginLoad(key: LoadKey, start: Progress): SqlStatement {
  return [`INSERT INTO ${PROGRESS_TABLE} VALUES (?, ?, ?, ?, ?)`, key.file, key.table, start.digest, start.records, start.skipped];
}

/** Moves a load from `before` to `after`; fails unless it stands at `before`. */
export function moveLoad(key: LoadKey, before: Progress, after: Progress): SqlStatement {
  const sql = `INSERT INTO ${PROGRESS_TABLE} (file, table_name, digest, records, skipped)
 VALUES (?1, ?2, (SELECT ?4 FROM ${PROGRESS_TABLE} WHERE file = ?1 AND table_name = ?2 AND digest = ?3), ?5, ?6)
 ON CONFLICT DO UPDATE SET digest = excluded.digest, records = excluded.records, skipped = excluded.skipped`;
  return [sql, key.file, key.table, before.digest, after.digest, after.records, after.skipped];
}

/** Removes a load that ended or is forgotten. */
export function endLoad(key: LoadKey): SqlStatement {
  return [`DELETE FROM ${PROGRESS_TABLE} WHERE file = ? AND table_name = ?`, key.file, key.table];
}

/** Removes the table of loads if it is empty, as one transaction: if a load is in it, the first statement fails on its NULLs and ends both. */
export function dropProgressTable(): readonly SqlStatement[] {
  return [
    [`INSERT INTO ${PROGRESS_TABLE} SELECT NULL, NULL, NULL, NULL, NULL FROM ${PROGRESS_TABLE} LIMIT 1`],
    [`DROP TABLE ${PROGRESS_TABLE}`],
  ];
}

/** Reads how far a load is. Fails if there is no table of loads. */
export function readLoad(key: LoadKey): SqlStatement {
  return [`SELECT digest, records, skipped FROM ${PROGRESS_TABLE} WHERE file = ? AND table_name = ?`, key.file, key.table];
}

/** Makes the table. `types` in the order of `columns`; "" declares none. */
export function createTable(table: string, columns: readonly string[], types: readonly string[]): SqlStatement {
  const definitions = columns.map((name, index) => `${quoteName(name)} ${types[index] ?? ""}`.trim());
  return [`CREATE TABLE ${quoteName(table)} (${definitions.join(", ")})`];
}

/** Inserts rows, each the JSON text of an array as long as `columns`. */
export function insertRows(table: string, columns: readonly string[], rows: readonly string[]): SqlStatement {
  const values = columns.map((_, index) => `value->>${index}`);
  return [
    `INSERT INTO ${quoteName(table)} (${columns.map(quoteName).join(", ")}) SELECT ${values.join(", ")} FROM json_each(?)`,
    `[${rows.join(",")}]`,
  ];
}
