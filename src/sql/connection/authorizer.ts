/**
 * What a user's SQL may do: decided by SQLite's authorizer, which sees what a statement does wherever it stands in the text, in a view
 * or in a trigger. One rule looks at SQL text: what a view or trigger names, SQLite asks only when it is used, and the new name of a table never;
 * a statement that makes one of them by the internal table's name is to fail at once.
 *
 * 1. Own statements (our BEGIN, the state table, VACUUM's inside) run in a mode of their own: setting an authorizer expires prepared
 *    statements, so it is set once per connection and the mode is a field.
 * 2. A refusal is kept in `refusal` with the text for the client; SQLite itself only says "not authorized".
 * 3. Statements are prepared again by SQLite while they run, when the schema has changed: the same rules apply then.
 */
import { isModuleAllowed, moduleText } from "./modules.ts";
import { pragmaDecision } from "./pragmas.ts";
import { firstWord } from "./tokens.ts";
import { isStateTable, stateTableIn, stateTableText } from "./state-schema.ts";
import type { AuthorizerMode, Refusal } from "./policy.ts";

/** SQLite's answers. */
const OK = 0;
const DENY = 1;
const IGNORE = 2;

/** SQLite's action codes, as far as they are told apart here. */
const CREATE_TABLE = 2;
const CREATE_TEMP_INDEX = 3;
const CREATE_TEMP_VIEW = 6;
const CREATE_TRIGGER = 7;
const CREATE_VIEW = 8;
const DELETE = 9;
const DROP_TEMP_INDEX = 12;
const DROP_TEMP_VIEW = 15;
const DROP_VIEW = 17;
const INSERT = 18;
const PRAGMA = 19;
const READ = 20;
const SELECT = 21;
const TRANSACTION = 22;
const UPDATE = 23;
const ATTACH = 24;
const DETACH = 25;
const ALTER_TABLE = 26;
const REINDEX = 27;
const ANALYZE = 28;
const CREATE_VTABLE = 29;
const DROP_VTABLE = 30;
const FUNCTION = 31;
const SAVEPOINT = 32;

const TRANSACTION_TEXT =
  "BEGIN, COMMIT, ROLLBACK, SAVEPOINT and RELEASE are not allowed: send the statements in one request with the transaction flag";
const ATTACH_TEXT = "ATTACH, DETACH and VACUUM INTO are not allowed: there is one database; use /db/backup for a copy";
const TEMP_TEXT = "temporary tables, views, triggers and indexes are not allowed: they would be lost at a restart; use ordinary ones";

/** Tables that show pages, files or the connection: not the same on every replica, or a way around the other rules. */
const MACHINE_TABLES = new Set(["sqlite_dbpage", "dbstat", "sqlite_stmt", "bytecode", "tables_used"]);

const PRAGMA_PREFIX = "pragma_";

/** How a statement begins that changes the schema. */
const SCHEMA_WORDS = new Set(["create", "drop", "alter", "reindex", "analyze"]);
const SCHEMA_TABLES = new Set(["sqlite_master", "sqlite_schema"]);

/** True if SQLite has a table of that name, in lower case, that is in no schema. */
export function isBuiltInTable(name: string): boolean {
  return name.startsWith(PRAGMA_PREFIX) || MACHINE_TABLES.has(name);
}

/** What FTS and R-Tree ask inside their own work: to size their nodes, and to notice other writers. */
const MODULE_PRAGMAS = new Set(["page_size", "data_version"]);

/** Functions that load code, or that replace a tokenizer by an address. */
const FUNCTIONS_REFUSED = new Set(["load_extension", "fts3_tokenizer"]);

/** The policy of one connection. */
export class Authorizer {
  mode: AuthorizerMode = "own";
  /** The first refusal since `begin`. */
  refusal: Refusal | undefined;
  /** Since `begin`: a statement changes the schema, so prepared statements and their columns are out of date after it. */
  changesSchema = false;
  /** Since `begin`: a script said `PRAGMA foreign_keys=OFF`. */
  wantsForeignKeysOff = false;

  /** Since `begin`: the table that a statement makes; empty if it makes none. */
  createdTable = "";
  /** Since `begin`: rows are written. SQLite does not count every write to a virtual table as one. */
  writes = false;
  /** Since `begin`: ANALYZE, or a write to the tables that hold its findings. */
  touchesStatistics = false;
  /** Since `begin`: a write to a virtual table, in a trigger too. */
  writesVirtual = false;
  /** FTS5 wrote its settings, which it also keeps in memory, where no rollback reaches them. The entry runner resets it. */
  wroteModuleSettings = false;
  /** Names of the virtual tables, in lower case. */
  virtualTables: ReadonlySet<string> = new Set();
  /** Names of the user's own tables and views that stand before one of SQLite's of the same name, in lower case. */
  namesakes: ReadonlySet<string> = new Set();
  /** Since `begin`: an allowed PRAGMA. SQLite does not count some of those as reading that could set something with an argument. */
  isPragma = false;

  /** Since `begin`: a PRAGMA was asked about. */
  #askedPragma = false;
  /** What is being prepared. */
  #text = "";

  /** Before a statement is prepared. */
  begin(text: string): void {
    this.#text = text;
    this.refusal = undefined;
    this.isPragma = false;
    this.wantsForeignKeysOff = false;
    this.touchesStatistics = false;
    this.writesVirtual = false;
    this.writes = false;
    this.#askedPragma = false;
    this.createdTable = "";
    this.changesSchema = false;
  }

  /** SQLite's callback. */
  readonly decide = (action: number, first: string | null, second: string | null, database: string | null): number => {
    if (this.mode === "own") return OK;
    if (this.mode === "vacuum") return action === ATTACH && first !== "" ? this.#refuse(ATTACH_TEXT) : OK;
    switch (action) {
      case SELECT:
        return OK;
      case INSERT:
        // CREATE TRIGGER temp.x ON main.t shows itself only here, as a row of the temporary schema.
        if (database === "temp") return this.#refuse(TEMP_TEXT);
        this.#noteWrite(first ?? "");
        return this.#table(first);
      case UPDATE:
      case DELETE:
        this.#noteWrite(first ?? "");
        return this.#table(first);
      case READ:
        return this.#table(first);
      case FUNCTION:
        return this.#function(second);
      case PRAGMA:
        return this.#askPragma(first, second);
      case TRANSACTION:
        return this.mode === "script" && (first === "BEGIN" || first === "COMMIT") ? IGNORE : this.#refuse(TRANSACTION_TEXT);
      case SAVEPOINT:
        // FTS3 and FTS4 use one of this name inside their own commands.
        return this.running && second === "fts3" ? OK : this.#refuse(TRANSACTION_TEXT);
      case ATTACH:
      case DETACH:
        return this.#refuse(ATTACH_TEXT);
      default:
        // Not every way to name the temporary database has an action code of its own.
        return database === "temp" ? this.#refuse(TEMP_TEXT) : this.#schema(action, first, second);
    }
  };

  /** True while a statement runs, false while one is prepared: only SQLite's own modules prepare statements of their own then. */
  running = false;

  #schema(action: number, first: string | null, second: string | null): number {
    if ((action >= CREATE_TEMP_INDEX && action <= CREATE_TEMP_VIEW) || (action >= DROP_TEMP_INDEX && action <= DROP_TEMP_VIEW)) {
      return this.#refuse(TEMP_TEXT);
    }
    if (action === ANALYZE) this.touchesStatistics = true;
    if (action === ANALYZE && isStateTable(first)) return IGNORE;
    const changes = (action >= 1 && action <= DROP_VIEW) || action === ALTER_TABLE || action === CREATE_VTABLE || action === DROP_VTABLE;
    if (!changes && action !== ANALYZE && action !== REINDEX) return OK;
    // A virtual table that is first opened on this connection declares itself by a CREATE TABLE, inside of any statement.
    if (!this.running && SCHEMA_WORDS.has(firstWord(this.#text))) {
      this.changesSchema = true;
      if (action === CREATE_TABLE) this.createdTable = first ?? "";
    }
    if (action === CREATE_VTABLE || action === DROP_VTABLE) this.writesVirtual = true;
    if (action === CREATE_VTABLE && !isModuleAllowed(second ?? "")) return this.#refuse(moduleText(second ?? ""));
    // SQLite asks of the new name of a table as little as of what a view or trigger names.
    const isByText = action === CREATE_VIEW || action === CREATE_TRIGGER || action === ALTER_TABLE;
    // What runs was looked at when it was prepared.
    const named = isByText && !this.running ? stateTableIn(this.#text) : undefined;
    if (named !== undefined) return this.#refuse(stateTableText(named));
    const own = [first, second].find(isStateTable);
    return own === undefined ? OK : this.#refuse(stateTableText(own));
  }

  /** True of a table in which a virtual one keeps its content: no user writes it, and R-Tree prepares its own writes when it is first opened. */
  #isShadow(table: string): boolean {
    const end = table.lastIndexOf("_");
    return end > 0 && this.virtualTables.has(table.slice(0, end).toLowerCase());
  }

  #noteWrite(table: string): void {
    if (!this.running && !SCHEMA_TABLES.has(table) && !this.#isShadow(table)) this.writes = true;
    if (table.startsWith("sqlite_stat")) this.touchesStatistics = true;
    // FTS5 prepares this once per connection; the connection is given up after it.
    if (this.running && table.endsWith("_config")) this.wroteModuleSettings = true;
    if (this.virtualTables.size > 0 && this.virtualTables.has(table.toLowerCase())) this.writesVirtual = true;
  }

  #table(name: string | null): number {
    if (name === null || name.length < 6) return OK;
    if (isStateTable(name)) return this.#refuse(stateTableText(name));
    const lower = name.toLowerCase();
    const isPragma = lower.startsWith(PRAGMA_PREFIX);
    if ((!isPragma && !MACHINE_TABLES.has(lower)) || this.namesakes.has(lower)) return OK;
    // The table of a PRAGMA prepares it only when it runs; what it is, is known now.
    if (isPragma) return this.#pragma(lower.slice(PRAGMA_PREFIX.length), null);
    if (this.mode === "read" && lower === "dbstat") return OK;
    return this.#refuse(`table ${name} is not allowed here: it shows the inside of one machine's file`);
  }

  #function(name: string | null): number {
    if (name === null) return OK;
    const lower = name.toLowerCase();
    if (FUNCTIONS_REFUSED.has(lower) || lower.startsWith("pumice_")) return this.#refuse(`function ${name}() is not allowed`);
    return OK;
  }

  /** A virtual table asks PRAGMAs when it is first opened on a connection: while a statement runs, or while one is prepared. It gets the same answer. */
  #askPragma(name: string | null, argument: string | null): number {
    const isUsers = !this.running && !this.#askedPragma && firstWord(this.#text) === "pragma";
    this.#askedPragma = true;
    if (!isUsers && argument === null && name !== null && MODULE_PRAGMAS.has(name.toLowerCase())) return OK;
    return this.#pragma(name, argument);
  }

  #pragma(name: string | null, argument: string | null): number {
    const decision = pragmaDecision((name ?? "").toLowerCase(), argument, this.mode);
    if (decision.kind === "allow") {
      this.isPragma = true;
      return OK;
    }
    if (decision.kind === "ignore") {
      if (decision.wantsForeignKeysOff) this.wantsForeignKeysOff = true;
      return IGNORE;
    }
    this.refusal ??= decision.refusal;
    return DENY;
  }

  #refuse(text: string): number {
    this.refusal ??= { scope: "statement", text };
    return DENY;
  }
}
