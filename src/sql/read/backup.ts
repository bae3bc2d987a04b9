/** Binary backups: a whole, standalone SQLite file of one snapshot, without the internal table, rowids as they are. */
import { DatabaseSync } from "node:sqlite";
import { type FileSystem, PumiceError } from "../../base/mod.ts";
import { dropStateTable } from "../connection/state-schema.ts";
import { fileUri } from "../connection/connection.ts";
import { isSqliteError } from "../connection/errors.ts";
import type { BackupOptions } from "../command/backup-options.ts";
import { copyDatabase } from "../connection/copy.ts";

/** What is written where. */
export interface Backup {
  readonly path: string;
  readonly extensionPath: string;
  readonly files: FileSystem;
  readonly target: string;
  readonly options: BackupOptions;
}

/** Writes the backup; on failure nothing of it stays. @throws SQL_BACKUP */
export function writeBackup(backup: Backup): void {
  const { path, extensionPath, files, target, options } = backup;
  if (files.exists(target)) throw new PumiceError("SQL_BACKUP", { target, reason: "the file exists already" });
  const copy = options.vacuum === true ? `${target}-copy` : target;
  try {
    remove(files, copy);
    // One step of sqlite3_backup is one snapshot.
    copyDatabase(extensionPath, fileUri(path), fileUri(copy));
    strip(copy, options.vacuum === true ? target : undefined);
    if (options.journalMode !== "delete") makeWal(target);
    if (copy !== target) remove(files, copy);
  } catch (error) {
    remove(files, copy);
    remove(files, target);
    if (!isSqliteError(error)) throw error;
    throw new PumiceError("SQL_BACKUP", { target, sqlite: error.errcode, reason: error.message }, error);
  }
}

/** Drops the internal table, overwriting what it held, and writes a packed copy if one is asked for. */
function strip(copy: string, packed: string | undefined): void {
  const database = new DatabaseSync(copy, { enableForeignKeyConstraints: false, returnArrays: true, defensive: false });
  try {
    database.exec("PRAGMA journal_mode = DELETE; PRAGMA secure_delete = ON");
    dropStateTable(database);
    if (packed !== undefined) database.prepare("VACUUM INTO ?").run(packed);
  } finally {
    database.close();
  }
}

function makeWal(path: string): void {
  const database = new DatabaseSync(path);
  try {
    database.exec("PRAGMA journal_mode = WAL");
  } finally {
    database.close();
  }
}

function remove(files: FileSystem, path: string): void {
  for (const name of [path, `${path}-journal`, `${path}-wal`, `${path}-shm`]) if (files.exists(name)) files.remove(name);
}
