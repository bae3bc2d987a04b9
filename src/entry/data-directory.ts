/**
 * The data directory of a node, and the lock that keeps a second process out of it.
 *
 *     DIR/lock              an empty SQLite database, locked exclusively while a node runs; the kernel frees it when the process ends
 *     DIR/db.sqlite[-wal|-shm]   the database
 *     DIR/raft/log/         the Raft log (docs/formats/log.md)
 *
 * Directories are 0700 and files 0600, whatever the umask. A directory that was open to other users is closed to them; files of others in DIR are
 * left alone.
 */
import { accessSync, chmodSync, closeSync, constants, existsSync, mkdirSync, openSync, readdirSync, statSync } from "node:fs";
import { dirname, isAbsolute, join, relative, resolve } from "node:path";
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
 * @throws NODE_DIRECTORY if it cannot be made or written; NODE_DIRECTORY_LOCKED if another process runs there. Both name `path` as it was given.
 */
export function openDataDirectory(path: string): DataDirectory {
  const full = resolve(path);
  const logPath = join(full, "raft", "log");
  try {
    refuseRqlite(full);
    makeDirectories(full);
    if (!statSync(full).isDirectory()) throw new Error("it is not a directory");
    makeDirectories(logPath);
    closeToOthers(full);
    accessSync(full, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    throw unusable({ path, full }, error);
  }
  const lock = lockDirectory(path, full);
  return {
    path: full,
    databasePath: join(full, "db.sqlite"),
    logPath,
    [Symbol.dispose](): void {
      if (lock.isOpen) lock.close();
    },
  };
}

/** What rqlite keeps in its data directory. */
const RQLITE_NAMES = ["raft.db", "wsnapshots", "rsnapshots"];

/** A directory of rqlite is not adopted: what is in it would look as if it had gone. */
function refuseRqlite(full: string): void {
  const name = RQLITE_NAMES.find((each) => existsSync(join(full, each)));
  if (name === undefined) return;
  throw new Error(
    `it is rqlite's (${name}): back it up with rqlite, start with a new directory, and load the backup (pumice load, or POST /boot)`,
  );
}

/** One by one: Node's own recursive way never ends where the system answers ENOENT for a folder whose parent exists (/proc). */
function makeDirectories(path: string): void {
  if (existsSync(path)) return;
  makeDirectories(dirname(path));
  mkdirSync(path, { mode: DIRECTORY_MODE });
}

const DIRECTORY_MODE = 0o700;
const FILE_MODE = 0o600;
/** The rights of the group and of all others. */
const OTHERS = 0o077;
const MODE_BITS = 0o7777;
/** What a node keeps beside its folders. SQLite gives `-wal` and `-shm` the mode of the database. */
const FILES = ["lock", "db.sqlite", "db.sqlite-wal", "db.sqlite-shm"];

/** Takes the rights of other users from DIR and from what a node keeps in it, and makes the files that SQLite would make readable. */
function closeToOthers(full: string): void {
  const log = join(full, "raft", "log");
  for (const name of ["lock", "db.sqlite"]) {
    const path = join(full, name);
    // Only where it is missing: to open and close a file takes SQLite's locks on it from this process.
    if (!existsSync(path)) closeSync(openSync(path, "a", FILE_MODE));
  }
  const names = [...FILES.filter((name) => existsSync(join(full, name))).map((name) => join(full, name)), join(full, "raft"), log];
  for (const path of [...names, ...readdirSync(log).map((name) => join(log, name))]) restrict(path);
  try {
    restrict(full);
  } catch (error) {
    // A mounted volume belongs to somebody else. What is in it is private all the same.
    if (!(error instanceof Error && "code" in error && error.code === "EPERM")) throw error;
  }
}

function restrict(path: string): void {
  const { mode } = statSync(path);
  if ((mode & OTHERS) !== 0) chmodSync(path, mode & ~OTHERS & MODE_BITS);
}

/** The error that names the directory as its user did, and what in it was in the way by its name there. */
function unusable(
  directory: { readonly path: string; readonly full: string },
  error: unknown,
  part = partOf(directory.full, error),
): PumiceError {
  const text = error instanceof Error ? error.message : String(error);
  // Node's text goes on with the call and the whole inner path.
  const reason = error instanceof Error && "syscall" in error ? text.split(",", 1)[0] : text;
  return new PumiceError("NODE_DIRECTORY", { path: directory.path, part, reason }, error);
}

/** Relative to the directory; undefined for the directory itself and what is not in it. */
function partOf(full: string, error: unknown): string | undefined {
  if (!(error instanceof Error) || !("path" in error) || typeof error.path !== "string") return undefined;
  const part = relative(full, error.path);
  return part === "" || part.startsWith("..") || isAbsolute(part) ? undefined : part;
}

/** SQLite's code for a lock that somebody holds. */
const SQLITE_BUSY = 5;

/** SQLite's own file lock: exclusive between processes, and gone with the process however it ends. No lock file can be left behind. */
function lockDirectory(path: string, full: string): DatabaseSync {
  let lock: DatabaseSync | undefined;
  try {
    lock = new DatabaseSync(join(full, "lock"));
    lock.exec("PRAGMA journal_mode=MEMORY; PRAGMA locking_mode=EXCLUSIVE; PRAGMA busy_timeout=0; BEGIN EXCLUSIVE; COMMIT");
    return lock;
  } catch (error) {
    lock?.close();
    if (error instanceof Error && "errcode" in error && error.errcode === SQLITE_BUSY) {
      throw new PumiceError("NODE_DIRECTORY_LOCKED", { path }, error);
    }
    throw unusable({ path, full }, error, "lock");
  }
}
