/** What is counted, by rqlite's names. A group is a plain object of numbers: counting costs one increment. */

/** Counts by name; every name is there from the start, so that a reader never misses a key. */
export type Group<Name extends string> = Record<Name, number>;

function group<const Name extends string>(names: readonly Name[]): Group<Name> {
  return Object.fromEntries(names.map((name) => [name, 0])) as Group<Name>;
}

const HTTP = [
  "leader_not_found",
  "ui",
  "executions",
  "execute_stmts_rx",
  "queued_executions",
  "queued_executions_ok",
  "queued_executions_num_stmts_rx",
  "queued_executions_num_stmts_tx",
  "queued_executions_not_leader",
  "queued_executions_unknown_error",
  "queued_executions_failed",
  "queued_executions_wait",
  "queued_executions_wait_timeout",
  "queued_executions_refused",
  "queries",
  "query_stmts_rx",
  "requests",
  "request_stmts_rx",
  "num_readyz",
  "num_status",
  "backups",
  "loads",
  "boot",
  "user_snapshots",
  "user_reaps",
  "sql_analyze",
  "auth_ok",
  "auth_fail",
  "tls_cert_fetched",
  "connections_accepted",
  "connections_refused",
  "bad_requests",
  "too_large",
  "timeouts",
  "panics",
] as const;

const QUEUE = ["objects_rx", "objects_tx", "num_timeout", "num_flush", "num_retries", "num_statement_errors"] as const;

/** The counters that the server itself keeps. */
export interface Counters {
  readonly http: Group<(typeof HTTP)[number]>;
  readonly queue: Group<(typeof QUEUE)[number]>;
}

/** New counters, all zero. */
export function createCounters(): Counters {
  return { http: group(HTTP), queue: group(QUEUE) };
}
