/** A prepared statement and what is known of it. */
import type { StatementSync } from "node:sqlite";
import type { ColumnPlan } from "../result/columns.ts";

/** A user's statement, prepared. */
export interface Prepared {
  readonly sql: string;
  /** So much of `sql` is the statement. What follows, SQLite has not read. Unit: UTF-16 code units. */
  readonly length: number;
  readonly statement: StatementSync;
  /** Changes nothing in the file, by SQLite's own word. */
  readonly isReadOnly: boolean;
  readonly isExplain: boolean;
  readonly changesSchema: boolean;
  /** The table that it makes; empty if it makes none. */
  readonly createdTable: string;
  /** ANALYZE and its like. */
  readonly touchesStatistics: boolean;
  readonly writesVirtual: boolean;
  readonly paramCount: number;
  /** Names with their prefixes by position, `undefined` where a `?` stands; undefined if there are only those. */
  readonly paramNames: readonly (string | undefined)[] | undefined;
  /** Empty if it returns no rows. */
  readonly columns: readonly ColumnPlan[];
  /** Of a read: what is known of `isSimpleRead`. `new`: it has not run yet, and most texts are never seen again. */
  simplicity: "new" | "unknown" | "simple" | "not simple";
}
