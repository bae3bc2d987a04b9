/**
 * Every flag of pumiced, declared once: parsing, environment variables, `-help` and the table of docs/operating.md come from here.
 * Names, defaults and meanings are rqlited's where rqlited has the flag. A flag stands here only if one node honours it;
 * src/cli/absent-flags.ts says what becomes of rqlited's others.
 */
import type { Flag } from "./flag-value.ts";

const PROGRAM = "Program";
const HTTP = "HTTP";
const LIMITS = "Limits of a request";
const IDENTITY = "Identity and Raft";
const STORAGE = "Storage";
const QUEUE = "Queued writes";

/** The flags by name, in the order of help. */
export const FLAGS = {
  version: { kind: "boolean", default: false, group: PROGRAM, help: "print the version and exit" },
  help: { kind: "boolean", default: false, group: PROGRAM, help: "print this help and exit" },

  "http-addr": {
    kind: "address",
    default: "localhost:4001",
    group: HTTP,
    help: "address that the HTTP API listens on; port 0 lets the system choose",
  },
  "http-adv-addr": { kind: "address", default: "", group: HTTP, help: "HTTP address told to others; default: -http-addr" },
  "http-allow-origin": {
    kind: "string",
    default: "",
    group: HTTP,
    help: "value of Access-Control-Allow-Origin, for browsers on other origins",
  },
  auth: {
    kind: "file",
    default: "",
    group: HTTP,
    help: "JSON file of users, passwords and permissions, as rqlite writes it; default: everybody may do everything",
  },
  "http-cert": { kind: "file", default: "", group: HTTP, help: "certificate in PEM; with -http-key, the API speaks HTTPS" },
  "http-key": { kind: "file", default: "", group: HTTP, help: "private key in PEM of -http-cert" },
  "http-ca-cert": {
    kind: "file",
    default: "",
    group: HTTP,
    help: "certificates in PEM of the authorities that may sign clients' certificates",
  },
  "http-verify-client": {
    kind: "boolean",
    default: false,
    group: HTTP,
    help: "refuse clients without a certificate signed by -http-ca-cert",
  },

  "http-max-body": {
    kind: "size",
    default: 64 * 1024 * 1024,
    min: 1024,
    group: LIMITS,
    help: "largest body of a request, except of a load; larger: 413",
  },
  "http-max-statements": { kind: "integer", default: 100_000, min: 1, group: LIMITS, help: "most statements in one request; more: 413" },
  "http-max-result": {
    kind: "size",
    default: 256 * 1024 * 1024,
    min: 1024,
    group: LIMITS,
    help: "largest result of one request; larger: an error in its place",
  },
  "http-max-conns": {
    kind: "integer",
    default: 4096,
    min: 1,
    group: LIMITS,
    help: "most connections at a time; past it idle ones are closed, then new ones are answered 503",
  },
  "http-max-memory": {
    kind: "size",
    default: 1024 * 1024 * 1024,
    min: 1024 * 1024,
    group: LIMITS,
    help: "memory that bodies and results may take together, in all their copies; past it requests are answered 503",
  },
  "http-max-backups": { kind: "integer", default: 4, min: 1, group: LIMITS, help: "most backups under way at a time; more: 503" },
  "http-header-timeout": {
    kind: "duration",
    default: 10_000,
    min: 100,
    group: LIMITS,
    help: "longest time a client may take to send its headers",
  },

  "node-id": {
    kind: "string",
    default: "",
    group: IDENTITY,
    help: "name of this node, kept for good; default: what its directory was begun with, else the Raft address told to others",
  },
  "raft-addr": {
    kind: "address",
    default: "localhost:4002",
    group: IDENTITY,
    help: "Raft address of this node; nothing listens on it while a node is alone",
  },
  "raft-adv-addr": { kind: "address", default: "", group: IDENTITY, help: "Raft address told to others; default: -raft-addr" },
  "raft-heartbeat-timeout": {
    kind: "duration",
    default: 1000,
    min: 50,
    group: IDENTITY,
    help: "time without word from a leader after which a node stands for election",
  },
  "raft-apply-timeout": {
    kind: "duration",
    default: 10_000,
    min: 1,
    group: IDENTITY,
    help: "longest wait of a write for its result; past it the outcome is unknown",
  },
  "raft-log-level": {
    kind: "string",
    default: "WARN",
    choices: ["ERROR", "WARN", "INFO", "DEBUG"],
    group: IDENTITY,
    help: "least serious messages that are printed",
  },

  fk: { kind: "boolean", default: false, group: STORAGE, help: "enforce foreign keys" },
  readers: {
    kind: "integer",
    default: 2,
    min: 1,
    max: 64,
    group: STORAGE,
    help: "threads that read, each on its own read-only connection",
  },
  "db-max-ro-conns": { kind: "integer", default: 0, group: STORAGE, help: "most read-only connections: lowers -readers; 0: no such limit" },
  "db-read-timeout": {
    kind: "duration",
    default: 60_000,
    group: STORAGE,
    help: "time after which a read without db_timeout is ended; 0: never",
  },
  "db-timeout-max": {
    kind: "duration",
    default: 0,
    group: STORAGE,
    help: "largest db_timeout that a read may ask for, a larger one counts as this; 0: -db-read-timeout",
  },
  "db-write-timeout": {
    kind: "duration",
    default: 5000,
    min: 100,
    group: STORAGE,
    help: "work that a write without db_timeout may do, as time on a usual machine; it is counted in SQLite's steps, alike on every node",
  },
  "raft-snap-wal-size": {
    kind: "size",
    default: 16 * 1024 * 1024,
    min: 64 * 1024,
    group: STORAGE,
    help: "size of SQLite's write-ahead log past which it is checkpointed and the Raft log is cut",
  },
  "raft-log-segment-size": {
    kind: "size",
    default: 16 * 1024 * 1024,
    min: 64 * 1024,
    group: STORAGE,
    help: "size of a segment file of the Raft log",
  },

  "write-queue-capacity": {
    kind: "integer",
    default: 1024,
    min: 1,
    group: QUEUE,
    help: "requests that may wait in the queue; past it clients wait",
  },
  "write-queue-batch-size": { kind: "integer", default: 128, min: 1, group: QUEUE, help: "statements that make the queue write" },
  "write-queue-timeout": {
    kind: "duration",
    default: 50,
    min: 1,
    group: QUEUE,
    help: "longest time a statement waits in the queue before it is written",
  },
  "write-queue-tx": { kind: "boolean", default: false, group: QUEUE, help: "write each batch of the queue as one transaction" },
} as const satisfies Record<string, Flag>;

type Table = typeof FLAGS;

/** The name of a flag. */
export type FlagName = keyof Table;

type ValueOf<Kind> = Kind extends "boolean" ? boolean : Kind extends "integer" | "duration" | "size" ? number : string;

/** The value of every flag, given or default. */
export type FlagValues = { readonly [Name in FlagName]: ValueOf<Table[Name]["kind"]> };

/** The environment variable of a flag, which a flag on the command line overrides: `-http-addr` is PUMICE_HTTP_ADDR. */
export function environmentName(name: string): string {
  return `PUMICE_${name.toUpperCase().replaceAll("-", "_")}`;
}

/** The environment variable that stands for the data directory. */
export const DATA_DIRECTORY_VARIABLE = "PUMICE_DATA_DIR";
