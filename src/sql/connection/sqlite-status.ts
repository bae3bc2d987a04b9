/** What a connection tells of itself: plain data, so that rooms without node:sqlite can name it. */

/** A connection's own view of the database. */
export interface SqliteStatus {
  readonly version: string;
  readonly compileOptions: readonly string[];
  /** Name to value, as text. */
  readonly pragmas: Readonly<Record<string, string>>;
  readonly pageSizeBytes: number;
  readonly pageCount: number;
  readonly walBytes: number;
}
