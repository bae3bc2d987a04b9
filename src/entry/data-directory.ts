/**
 * The data directory of a node, and the lock that keeps a second process out of it.
 *
 *     DIR/lock              an empty SQLite database, locked exclusively while a node runs; the kernel frees it when the process ends
 *     DIR/db.sqlite[-wal|-shm]   the database
 *     DIR/raft/log/         the Raft log (docs/formats/log.md)
 *
 * Files of others in DIR are left alone.
 */
import { accessSync, constants, existsSync, mkdirSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { PumiceError } from "../base/mod.ts";

/** The paths of one node's files, and the lock that guards them. */
export interface DataDirectory extends Disposable {
  readonly path: string;
  readonly databasePath: string;
  readonly logPath: string;
}

/**
 * Makes the directory where it is missing and locks it.
 * @throws NODE_DIRECTORY if it cannot be made or written; NODE_DIRECTORY_LOCKED if another process runs there.
 */
export function openDataDirectory(path: string): DataDirectory {
  const full = resolve(path);
  const logPath = join(full, "raft", "log");
  try {
    makeDirectories(logPath);
    if (!statSync(full).isDirectory()) throw new Error("it is not a directory");
    accessSync(full, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw new PumiceError("NODE_DIRECTORY", { path: full, reason: error instanceof Error ? error.message : String(error) }, error);
  }
  const lock = lockDirectory(full);
  return {
    path: full,
    databasePath: join(full, "db.sqlite"),
    logPath,
    [Symbol.dispose](): void {
      if (lock.isOpen) lock.close();
    },
  };
}

/** One by one: Node's own recursive way never ends where the system answers ENOENT for a folder whose parent exists (/proc). */
function makeDirectories(path: string): void {
  if (existsSync(path)) return;
  makeDirectories(dirname(path));
  mkdirSync(path);
}

/** SQLite's own file lock: exclusive between processes, and gone with the process however it ends. No lock file can be left behind. */
function lockDirectory(path: string): DatabaseSync {
  const lock = new DatabaseSync(join(path, "lock"));
  try {
    lock.exec("PRAGMA journal_mode=MEMORY; PRAGMA locking_mode=EXCLUSIVE; PRAGMA busy_timeout=0; BEGIN EXCLUSIVE; COMMIT");
    return lock;
  } catch (error) {
    lock.close();
    throw new PumiceError("NODE_DIRECTORY_LOCKED", { path }, error);
  }
}
