/**
 * A connection of node:sqlite with what Pumice adds: the extension, the authorizer, a cache of prepared statements.
 *
 * The extension registers the VFS `pumice` when it is loaded on any connection, so it is loaded on a throw-away one first: the VFS must
 * exist before a connection names it. It stays loaded for the life of the process.
 */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { assert, PumiceError } from "../../base/mod.ts";
import { Authorizer, isBuiltInTable } from "./authorizer.ts";
import { columnPlan } from "../result/columns.ts";
import type { StoredValue } from "../result/json-values.ts";
import type { BoundParams } from "./params.ts";
import { isSqliteError, StatementRefused } from "./errors.ts";
import { isTooLarge, SELECTS_MAX, type Views } from "./expansion.ts";
import { moduleOf } from "./modules.ts";
import { hasTooManyNames, NAMES_MAX } from "./param-names.ts";
import { ensureStateTable } from "./state-schema.ts";
import { StatementCache } from "./statement-cache.ts";
import type { AuthorizerMode } from "./policy.ts";
import type { Prepared } from "./prepared.ts";

/** Bytes of a string, BLOB or row at most: a statement cannot ask for more memory than this per value. FROZEN: it decides outcomes. */
export const VALUE_BYTES_MAX = 128 * 1024 * 1024;

/** Milliseconds that a reader waits for a lock that recovery or a checkpoint holds. */
const READER_LOCK_TIMEOUT_MS = 5000;

/** What a connection is for. */
export interface ConnectionOptions {
  readonly path: string;
  readonly extensionPath: string;
  readonly foreignKeys: boolean;
  readonly isReader: boolean;
  /** Unit: bytes. Default `VALUE_BYTES_MAX`. */
  readonly valueBytesMax?: number | undefined;
  /** How long a reader waits for a lock that recovery or a checkpoint holds. Unit: ms. Default `READER_LOCK_TIMEOUT_MS`. */
  readonly lockTimeoutMs?: number | undefined;
}

/** A text without any of these names no parameter. */
const MAY_NAME = /[:@$]|\?[0-9]/;

const TOO_LARGE_TEXT = `statement too complex: more than ${SELECTS_MAX} SELECTs when its views and common table expressions are put in`;

const loadedExtensions = new Set<string>();

/** Loads the extension into the process. @throws SQL_EXTENSION */
export function loadExtension(path: string): void {
  if (loadedExtensions.has(path)) return;
  const memory = new DatabaseSync(":memory:", { allowExtension: true });
  try {
    loadInto(memory, path);
    checkVersion(memory);
  } finally {
    memory.close();
  }
  loadedExtensions.add(path);
}

function loadInto(database: DatabaseSync, path: string): void {
  try {
    database.loadExtension(path);
    database.enableLoadExtension(false);
  } catch (error) {
    throw new PumiceError("SQL_EXTENSION", { path, reason: error instanceof Error ? error.message : String(error) }, error);
  }
}

/** Versions 3.51.0 to 3.51.2, older ones, and 3.52.0 can lose a commit when the WAL is reset. */
function checkVersion(database: DatabaseSync): void {
  const row = database.prepare("SELECT sqlite_version()").get() as unknown as Readonly<Record<string, string>>;
  const version = Object.values(row)[0] ?? "";
  if (!isSoundVersion(version)) throw new PumiceError("SQL_VERSION", { version });
}

/** True if SQLite of this version resets its WAL safely. */
export function isSoundVersion(version: string): boolean {
  const [major = 0, minor = 0, patch = 0] = version.split(".").map(Number);
  if (major !== 3 || Number.isNaN(minor + patch)) return major > 3;
  if (minor === 52 && patch === 0) return false;
  return minor > 51 || (minor === 51 && patch >= 3);
}

/** `path` as a URI that names the VFS with the entry's clock. */
export function pumiceUri(path: string): string {
  return `${fileUri(path)}?vfs=pumice`;
}

/** `path` as a URI. */
export function fileUri(path: string): string {
  return `file:${path.replaceAll("%", "%25").replaceAll("?", "%3f").replaceAll("#", "%23")}`;
}

/** A guarded connection: prepares and describes users' statements, and runs our own. */
export class Connection {
  readonly authorizer = new Authorizer();
  readonly #database: DatabaseSync;
  readonly #cache = new StatementCache();
  #knowsVirtualTables = false;
  #remembersColumns = false;
  #views: Views = new Map();
  readonly #describe: StatementSync;
  readonly #params: StatementSync;

  /** @throws SQL_EXTENSION, SQL_VERSION, and SQLite's errors. */
  constructor(options: ConnectionOptions) {
    loadExtension(options.extensionPath);
    this.#database = new DatabaseSync(pumiceUri(options.path), {
      readOnly: options.isReader,
      allowExtension: true,
      enableDoubleQuotedStringLiterals: true,
      enableForeignKeyConstraints: options.foreignKeys,
      readBigInts: true,
      returnArrays: true,
      timeout: options.isReader ? (options.lockTimeoutMs ?? READER_LOCK_TIMEOUT_MS) : 0,
    });
    try {
      loadInto(this.#database, options.extensionPath);
      this.#database.prepare("SELECT pumice_guard(?)").get(options.valueBytesMax ?? VALUE_BYTES_MAX);
      this.#describe = this.#database.prepare("SELECT pumice_describe(?)");
      this.#params = this.#database.prepare("SELECT pumice_params(?)");
      this.#database.setAuthorizer(this.authorizer.decide);
    } catch (error) {
      this.#database.close();
      throw error;
    }
  }

  /** True if a change of the schema is not seen by all tables of this connection: FTS4 keeps the columns of the table that holds its content. */
  get remembersColumns(): boolean {
    return this.#remembersColumns;
  }

  /** A statement of ours. Runs only while the authorizer's mode is "own". */
  own(sql: string): StatementSync {
    return this.#database.prepare(sql);
  }

  /** Statements of ours that return nothing. */
  exec(sql: string): void {
    this.#database.exec(sql);
  }

  /** The first value of a statement of ours, as text; empty if there is none. */
  text(sql: string): string {
    return String(this.#database.prepare(sql).get()?.[0] ?? "");
  }

  /** Makes the internal table; an older one is brought to the present format if it `isUpgraded`. @throws OldStateFormat, SQL_STATE, SQL_FOREIGN */
  ensureStateTable(isUpgraded: boolean): void {
    const openSchema = (isOpen: boolean): unknown => this.#database.prepare("SELECT pumice_open_schema(?)").get(isOpen ? 1n : 0n);
    ensureStateTable(this.#database, { isUpgraded, openSchema });
  }

  /** Makes every connection read the schema again, and the statistics with it, when the transaction under way is committed. */
  renewSchema(): void {
    const version = this.#database.prepare("PRAGMA schema_version").get()?.[0];
    assert(typeof version === "bigint", "a schema has a version");
    const openSchema = this.#database.prepare("SELECT pumice_open_schema(?)");
    openSchema.get(1n);
    try {
      this.#database.exec(`PRAGMA schema_version = ${BigInt.asIntN(32, version + 1n)}`);
    } finally {
      openSchema.get(0n);
    }
  }

  get isTransaction(): boolean {
    return this.#database.isTransaction;
  }

  /**
   * The first statement of the user's text, or undefined if it holds none (nothing, a comment, a semicolon).
   * @throws SQLite's errors; `authorizer.refusal` says more.
   */
  prepare(sql: string, mode: AuthorizerMode): Prepared | undefined {
    const cached = mode === "script" ? undefined : this.#cache.get(sql);
    if (cached !== undefined) return cached;
    if (!this.#knowsVirtualTables) this.#readVirtualTables();
    if (hasTooManyNames(sql)) throw new StatementRefused(`too many named parameters: at most ${NAMES_MAX}; use ? for more`);
    if (isTooLarge(sql, this.#views)) throw new StatementRefused(TOO_LARGE_TEXT);
    this.authorizer.begin(sql);
    const statement = this.#prepareAs(sql, mode);
    if (statement === undefined) return undefined;
    const prepared = this.#describeStatement(sql, statement, mode);
    if (mode !== "script") this.#cache.set(sql, prepared);
    return prepared;
  }

  /** The statement of a text that was prepared a moment ago, if it is remembered. */
  known(sql: string): Prepared | undefined {
    return this.#cache.get(sql);
  }

  #prepareAs(sql: string, mode: AuthorizerMode): StatementSync | undefined {
    this.authorizer.mode = mode;
    try {
      return this.#database.prepare(sql);
    } catch (error) {
      // node:sqlite's word for a text without a statement.
      if (!isSqliteError(error) && error instanceof Error && "code" in error && error.code === "ERR_INVALID_ARG_VALUE") return undefined;
      throw error;
    } finally {
      this.authorizer.mode = "own";
    }
  }

  #describeStatement(sql: string, statement: StatementSync, mode: AuthorizerMode): Prepared {
    // What follows the statement's semicolon is not its text.
    const own = statement.sourceSQL;
    assert(own !== "", "a statement has a text");
    const bits = this.#describe.get(own)?.[0];
    assert(typeof bits === "bigint", "a statement just prepared is found by its text");
    const description = Number(bits);
    // Parameters are bound by their full names: node:sqlite would refuse a text with both :a and @a.
    statement.setAllowBareNamedParameters(false);
    const paramCount = description >> 2;
    const isExplain = (description & 2) !== 0;
    // Of PRAGMAs a reader is only allowed those that read. A virtual table may ask one when it is first opened, inside of any statement.
    const { changesSchema, isPragma, writes } = this.authorizer;
    const reads = (description & 1) !== 0 || (mode === "read" && isPragma && !changesSchema);
    const isRead = (reads && !writes) || isExplain;
    // ALTER TABLE has columns of statements that SQLite runs inside of it.
    const hasRows = isExplain || !changesSchema;
    return {
      sql,
      length: own.length,
      statement,
      isReadOnly: isRead,
      isExplain,
      changesSchema,
      createdTable: this.authorizer.createdTable,
      touchesStatistics: this.authorizer.touchesStatistics,
      writesVirtual: this.authorizer.writesVirtual,
      paramCount,
      paramNames: this.#paramNames(own, paramCount),
      columns: hasRows ? statement.columns().map(columnPlan) : [],
      simplicity: "new",
    };
  }

  #paramNames(sql: string, count: number): (string | undefined)[] | undefined {
    if (count === 0 || !MAY_NAME.test(sql)) return undefined;
    const text = this.#params.get(sql)?.[0];
    assert(typeof text === "string" || text === null, "parameters have names, or none has");
    const names = (text ?? "")
      .split("\n")
      .slice(0, count)
      .map((name) => (name === "" ? undefined : name));
    return names.some((name) => name !== undefined) ? names : undefined;
  }

  /** The columns of a table, by a statement of ours. */
  columnNames(table: string): string[] {
    const rows = this.#database.prepare("SELECT name FROM pragma_table_info(?)").all(table);
    return rows.map(([name]) => String(name));
  }

  /** Runs a statement that returns no rows, as `running` does. Most writes are one: it goes without a closure. */
  run(prepared: Prepared, params: BoundParams, mode: AuthorizerMode): ReturnType<StatementSync["run"]> {
    const { authorizer } = this;
    authorizer.refusal = undefined;
    authorizer.mode = mode;
    authorizer.running = true;
    try {
      return prepared.statement.run(...params);
    } finally {
      authorizer.mode = "own";
      authorizer.running = false;
    }
  }

  /** Runs `step` with the user's rules in force for whatever SQLite prepares meanwhile. */
  running<Result>(mode: AuthorizerMode, step: () => Result): Result {
    const { authorizer } = this;
    authorizer.refusal = undefined;
    authorizer.mode = mode;
    authorizer.running = true;
    try {
      return step();
    } finally {
      authorizer.mode = "own";
      authorizer.running = false;
    }
  }

  /**
   * The rows of a statement. If one of them fails, the statement is given up: node:sqlite would throw the same error when it is used again,
   * whatever happens then, because SQLite repeats it when the statement is reset.
   */
  *rows(prepared: Prepared, params: BoundParams): Generator<StoredValue[], void, undefined> {
    try {
      yield* prepared.statement.iterate(...params);
    } catch (error) {
      this.#cache.delete(prepared.sql);
      throw error;
    }
  }

  #readVirtualTables(): void {
    const schema =
      "SELECT lower(name), type, rootpage, iif(rootpage = 0 OR type = 'view', sql, '') FROM sqlite_schema WHERE type IN ('table', 'view')";
    const rows = this.#database.prepare(schema).all();
    this.#remembersColumns = rows.some(
      ([, type, root, sql]) => type === "table" && root === 0n && /^fts[34]$/i.test(moduleOf(String(sql))),
    );
    const names = (isWanted: (row: readonly unknown[]) => boolean): Set<string> =>
      new Set(rows.filter(isWanted).map(([name]) => String(name)));
    this.#views = new Map(rows.filter(([, type]) => type === "view").map(([name, , , sql]) => [String(name), String(sql)]));
    this.authorizer.virtualTables = names(([, type, root]) => type === "table" && root === 0n);
    this.authorizer.namesakes = names(([name]) => isBuiltInTable(String(name)));
    this.#knowsVirtualTables = true;
  }

  /** Forgets prepared statements: after a change of the schema their columns may differ. */
  forgetStatements(): void {
    this.#cache.clear();
    this.#knowsVirtualTables = false;
  }

  close(): void {
    this.#database.close();
  }
}
