/** The part of `node:sqlite` that this room uses, written by hand: a pure room has no types of Node. */
declare module "node:sqlite" {
  type SqliteValue = null | bigint | number | string | Uint8Array;

  interface ColumnInfo {
    readonly name: string;
    /** As declared in the table; null for an expression. */
    readonly type: string | null;
    /** The table that the column stands in; null for an expression. */
    readonly table: string | null;
  }

  export interface StatementSync {
    run(...params: readonly (SqliteValue | Readonly<Record<string, SqliteValue>>)[]): {
      readonly changes: bigint;
      readonly lastInsertRowid: bigint;
    };
    get(...params: readonly (SqliteValue | Readonly<Record<string, SqliteValue>>)[]): SqliteValue[] | undefined;
    all(...params: readonly (SqliteValue | Readonly<Record<string, SqliteValue>>)[]): SqliteValue[][];
    iterate(...params: readonly (SqliteValue | Readonly<Record<string, SqliteValue>>)[]): IterableIterator<SqliteValue[]>;
    columns(): readonly ColumnInfo[];
    /** The part of the text that SQLite has read: up to the first statement's semicolon. */
    readonly sourceSQL: string;
    setAllowBareNamedParameters(allow: boolean): void;
  }

  interface DatabaseSyncOptions {
    readonly readOnly?: boolean;
    readonly enableForeignKeyConstraints?: boolean;
    readonly enableDoubleQuotedStringLiterals?: boolean;
    readonly allowExtension?: boolean;
    readonly readBigInts?: boolean;
    readonly returnArrays?: boolean;
    readonly timeout?: number;
    /** Shadow tables and the schema are closed to plain SQL. Default true; older versions of Node 24 do not know it, and have it off. */
    readonly defensive?: boolean;
  }

  export class DatabaseSync {
    constructor(path: string, options?: DatabaseSyncOptions);
    readonly isTransaction: boolean;
    close(): void;
    exec(sql: string): void;
    prepare(sql: string): StatementSync;
    loadExtension(path: string): void;
    enableLoadExtension(allow: boolean): void;
    setAuthorizer(decide: ((action: number, first: string | null, second: string | null, database: string | null) => number) | null): void;
  }
}
