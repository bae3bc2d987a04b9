/**
 * SQLite's files of a simulated machine. SQLite writes real files; this file knows what of them is durable, and makes of them what a loss of power may
 * leave.
 *
 * SQLite syncs (synchronous = NORMAL): the WAL at the beginning of a checkpoint, and its header when it begins anew; the main file at the end of a
 * checkpoint that moved every frame. The replica itself syncs the WAL after a checkpoint that was not whole. Everything else is written and not
 * synced: after a loss of power each of its sectors is there or is not.
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { File, FileSystem, Random } from "../../../../src/base/mod.ts";
import { systemFiles } from "../../../../src/host/mod.ts";
import type { Death, LifeParts, SqliteDisk } from "../../../../src/sim/mod.ts";
import { EXTENSION } from "../../../sql/support/database.ts";

const SECTOR_BYTES = 512;
const WAL_HEADER_BYTES = 32;
/** Up to and with the numbers of moved frames; the readers' marks follow. */
const WAL_INDEX_HEADER_BYTES = 136;
const NOTHING = new Uint8Array(0);

/** See the header of this file. `root` is an empty folder. */
export class RealSqliteDisk implements SqliteDisk {
  readonly extensionPath = EXTENSION;
  /** Those of this machine; a datasync of the WAL is noted. */
  readonly files: FileSystem = {
    ...systemFiles,
    open: (path, mode) => {
      const file = systemFiles.open(path, mode);
      return path === `${this.path}-wal` ? this.#noting(file) : file;
    },
  };
  readonly #root: string;
  #life = 0;
  #main: Uint8Array = NOTHING;
  #wal: Uint8Array = NOTHING;
  /** Frames of the WAL that were moved when it was last looked at: more of them means that SQLite has synced it. */
  #moved = 0;
  #reader: DatabaseSync | undefined;

  constructor(root: string) {
    this.#root = root;
    fs.mkdirSync(join(this.#folder, "tmp"), { recursive: true });
  }

  get #folder(): string {
    return join(this.#root, `life-${this.#life}`);
  }

  get path(): string {
    return join(this.#folder, "db.sqlite");
  }

  note(): void {
    const wal = read(`${this.path}-wal`);
    if (wal.length >= WAL_HEADER_BYTES && !hasSameSalts(wal, this.#wal)) {
      // It began anew, and its new header was synced before anything else. A file that was cut first has nothing old in it.
      const rest = wal.length < this.#wal.length ? new Uint8Array(wal.length - WAL_HEADER_BYTES) : this.#wal.subarray(WAL_HEADER_BYTES);
      this.#wal = Buffer.concat([wal.subarray(0, WAL_HEADER_BYTES), rest]);
    }
    const index = read(`${this.path}-shm`);
    if (index.length < WAL_INDEX_HEADER_BYTES) return;
    const view = new DataView(index.buffer, index.byteOffset, index.length);
    const frames = view.getUint32(16, true);
    const moved = view.getUint32(96, true);
    if (moved > this.#moved) this.#wal = wal;
    this.#moved = moved;
    // A WAL that has begun anew has no frames: all of those before were moved.
    if (moved === frames) this.#main = read(this.path);
  }

  holdSnapshot(): void {
    if (this.#reader !== undefined || !fs.existsSync(this.path)) return;
    this.#reader = new DatabaseSync(this.path, { readOnly: true });
    this.#reader.exec("BEGIN; SELECT count(*) FROM sqlite_schema");
  }

  releaseSnapshot(): void {
    this.#reader?.close();
    this.#reader = undefined;
  }

  #noting(file: File): File {
    return {
      read: (target, position) => file.read(target, position),
      write: (bytes, position) => file.write(bytes, position),
      datasync: () => {
        file.datasync();
        this.#wal = read(`${this.path}-wal`);
      },
      sync: () => file.sync(),
      size: () => file.size(),
      truncate: (size) => file.truncate(size),
      close: () => file.close(),
    };
  }

  crash(death: Death, random: Random): void {
    const from = this.#folder;
    const main = read(this.path);
    const wal = read(`${this.path}-wal`);
    this.#life++;
    fs.mkdirSync(this.#folder);
    for (const name of fs.readdirSync(from)) {
      if (!name.endsWith("-shm")) fs.cpSync(join(from, name), join(this.#folder, name), { recursive: true });
    }
    if (death === "power") {
      // Before the first checkpoint there is no durable main file to speak of but the one that opening made, which SQLite syncs.
      if (this.#main.length > 0) this.#write("", torn(this.#main, main, random));
      this.#write("-wal", torn(this.#wal, wal, random));
    }
    this.#main = read(this.path);
    this.#wal = read(`${this.path}-wal`);
    this.#moved = 0;
    this.releaseSnapshot();
    fs.rmSync(from, { recursive: true, force: true });
  }

  #write(suffix: string, bytes: Uint8Array): void {
    fs.writeFileSync(this.path + suffix, bytes);
  }
}

/** What is left where `durable` was on the disk and `written` was to come. */
function torn(durable: Uint8Array, written: Uint8Array, random: Random): Uint8Array {
  // A file is cut as a whole or not at all.
  if (written.length === 0) return random.below(2) === 0 ? durable : written;
  const keepPerMille = [0, 1000, 500, random.below(1001)][random.below(4)] as number;
  const shorter = Math.min(durable.length, written.length);
  const length = shorter + random.below(Math.max(durable.length, written.length) - shorter + 1);
  const left = new Uint8Array(keepPerMille === 1000 ? written.length : keepPerMille === 0 ? durable.length : length);
  for (let at = 0; at < left.length; at += SECTOR_BYTES) {
    const source = random.below(1000) < keepPerMille ? written : durable;
    left.set(source.subarray(at, Math.min(at + SECTOR_BYTES, left.length)), at);
  }
  return left;
}

function hasSameSalts(left: Uint8Array, right: Uint8Array): boolean {
  return left.length >= 24 && right.length >= 24 && Buffer.compare(left.subarray(16, 24), right.subarray(16, 24)) === 0;
}

function read(path: string): Uint8Array {
  return fs.existsSync(path) ? fs.readFileSync(path) : NOTHING;
}

/** What a life needs of this machine; everything is under `root`. */
export function lifeParts(root: string): LifeParts {
  let count = 0;
  const scratch = (): string => join(root, `scratch-${count++}`);
  return {
    settle: () => new Promise((resolve) => setImmediate(resolve)),
    openSqlite: (machine) => new RealSqliteDisk(join(root, machine)),
    makeDatabase(statements) {
      const path = scratch();
      using database = new DatabaseSync(path);
      for (const sql of statements) database.exec(sql);
      return fs.readFileSync(path);
    },
    inspect(backup, format, queries) {
      const path = scratch();
      if (format === "file") fs.writeFileSync(path, backup);
      using database = new DatabaseSync(path, { enableForeignKeyConstraints: false });
      if (format === "sql") database.exec(Buffer.from(backup).toString("utf8"));
      const integrity = database.prepare("PRAGMA integrity_check").get()?.["integrity_check"];
      if (integrity !== "ok") throw new Error(`integrity_check: ${String(integrity)}`);
      return queries.map((sql) => {
        const statement = database.prepare(sql);
        statement.setReturnArrays(true);
        return statement.all() as unknown as unknown[][];
      });
    },
  };
}
