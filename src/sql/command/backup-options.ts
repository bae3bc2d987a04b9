/** Options of backups and dumps: plain data that crosses threads. */

/** How a binary backup is written. It is always a whole, standalone SQLite file of its own, without the internal table. */
export interface BackupOptions {
  /** Journal mode that the file's header names. Default "wal", as rqlite's `fmt=binary`; "delete" is its `fmt=delete`. */
  readonly journalMode?: "wal" | "delete" | undefined;
  /** Packs the file with VACUUM INTO. Default false: a copy page by page. Rowids stay as they are either way. */
  readonly vacuum?: boolean | undefined;
}

/** How an SQL dump is written. */
export interface DumpOptions {
  /** Only these tables with their indexes and triggers. Default: everything. */
  readonly tables?: readonly string[] | undefined;
}
