/**
 * PRAGMAs by allow-list. In a write: those whose effect is stored in the database file, and those whose answer is the same on every
 * replica. What is state of a connection would be lost at a restart, and what shows a machine must not get into a row. In a read: those
 * that only read. rqlite's own refusals (reference/rqlite.md 4.2) refuse the whole request with rqlite's text.
 */
import type { AuthorizerMode, Refusal } from "./policy.ts";

/** What to do with a PRAGMA. */
export type PragmaDecision =
  | { readonly kind: "allow" }
  | { readonly kind: "ignore"; readonly wantsForeignKeysOff: boolean }
  | { readonly kind: "refuse"; readonly refusal: Refusal };

/** Answers depend on the schema and the rows alone; their argument names something. */
const SCHEMA_READS = new Set([
  "foreign_key_check",
  "foreign_key_list",
  "index_info",
  "index_list",
  "index_xinfo",
  "integrity_check",
  "quick_check",
  "table_info",
  "table_list",
  "table_xinfo",
]);

/** Stored in the file by the transaction, so their setting is like any other write. */
const STORED = new Set(["application_id", "incremental_vacuum", "user_version"]);

/** Answers of one machine or connection: fine for a read without an argument. */
const MACHINE_READS = new Set([
  "analysis_limit",
  "auto_vacuum",
  "automatic_index",
  "busy_timeout",
  "cache_size",
  "cache_spill",
  "case_sensitive_like",
  "cell_size_check",
  "checkpoint_fullfsync",
  "collation_list",
  "compile_options",
  "data_version",
  "database_list",
  "defer_foreign_keys",
  "encoding",
  "foreign_keys",
  "freelist_count",
  "fullfsync",
  "function_list",
  "hard_heap_limit",
  "ignore_check_constraints",
  "journal_mode",
  "journal_size_limit",
  "legacy_alter_table",
  "locking_mode",
  "max_page_count",
  "mmap_size",
  "module_list",
  "page_count",
  "page_size",
  "pragma_list",
  "query_only",
  "read_uncommitted",
  "recursive_triggers",
  "reverse_unordered_selects",
  "schema_version",
  "secure_delete",
  "soft_heap_limit",
  "synchronous",
  "temp_store",
  "threads",
  "trusted_schema",
  "wal_autocheckpoint",
  "writable_schema",
]);

/** The same on every replica, although it looks like the connection's: set by the node's flags or never. */
const CONSTANT_READS = new Set(["encoding", "foreign_keys", "collation_list", "recursive_triggers"]);

/** rqlite refuses these when they have an argument, `wal_checkpoint` always. */
const RQLITE_REFUSED = new Set(["journal_mode", "query_only", "synchronous", "wal_autocheckpoint"]);

const DISALLOWED: Refusal = { scope: "request", text: "disallowed pragma" };
const OFF = new Set(["0", "off", "no", "false"]);

/** `name` is in lower case. */
export function pragmaDecision(name: string, argument: string | null, mode: AuthorizerMode): PragmaDecision {
  if (name === "wal_checkpoint" || (argument !== null && RQLITE_REFUSED.has(name))) return { kind: "refuse", refusal: DISALLOWED };
  if (SCHEMA_READS.has(name)) return { kind: "allow" };
  if (mode === "read") {
    if (argument === null && (MACHINE_READS.has(name) || STORED.has(name)) && name !== "incremental_vacuum") return { kind: "allow" };
    return refuse(`PRAGMA ${name} cannot be set in a query`);
  }
  if (STORED.has(name)) return { kind: "allow" };
  if (argument === null && CONSTANT_READS.has(name)) return { kind: "allow" };
  if (mode === "script" && name === "foreign_keys" && argument !== null) {
    return { kind: "ignore", wantsForeignKeysOff: OFF.has(argument.toLowerCase()) };
  }
  if (argument === null && MACHINE_READS.has(name)) return refuse(`PRAGMA ${name} is not the same on every node: send it to /db/query`);
  return refuse(`PRAGMA ${name} is not allowed in a write: it would be lost at a restart, or differ between nodes`);
}

function refuse(text: string): PragmaDecision {
  return { kind: "refuse", refusal: { scope: "statement", text } };
}
