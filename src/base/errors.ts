/**
 * Every error that the world can cause, in one table. A code is never reused; `docs/errors.md` is checked against this table.
 *
 * The kind tells the caller what to do:
 * - invalid: the request is wrong; mend it, do not retry.
 * - unavailable: the world said no for now (disk full, timeout, overload); retry later.
 * - conflict: somebody else was first; read again, then decide.
 * - not-leader: ask the leader.
 * - corrupt: stored bytes are damaged; stop and look.
 * - closed: the handle was closed; open it again.
 */
export type ErrorKind = "invalid" | "unavailable" | "conflict" | "not-leader" | "corrupt" | "closed";

interface ErrorEntry {
  readonly kind: ErrorKind;
  readonly text: string;
}

/** Code -> kind and text. One section per room; each room adds to its own. */
export const ERRORS = {
  // base and host
  FS_NOT_FOUND: { kind: "invalid", text: "no such file or directory" },
  FS_EXISTS: { kind: "conflict", text: "file exists already" },
  FS_NO_SPACE: { kind: "unavailable", text: "no space left on the device" },
  FS_IO: { kind: "unavailable", text: "input or output failed" },
  FS_CLOSED: { kind: "closed", text: "file is closed" },
  STORE_UNAVAILABLE: { kind: "unavailable", text: "object store did not answer as it should" },
  STORE_REFUSED: { kind: "invalid", text: "object store refused the request" },
  STORE_KEY: { kind: "invalid", text: "key cannot name an object in this store" },
  STORE_URL: { kind: "invalid", text: "not the address of an object store" },
  STORE_CLOSED: { kind: "closed", text: "object store is closed" },
  STORE_RANGE: { kind: "invalid", text: "range lies outside the object" },
  TRANSPORT_CLOSED: { kind: "closed", text: "transport is closed" },
  WORKER_FAILED: { kind: "unavailable", text: "worker ended unexpectedly" },
  // raft
  // lsm
  LSM_CORRUPT: { kind: "corrupt", text: "stored bytes are damaged" },
  LSM_MISSING: { kind: "corrupt", text: "an object that the store's manifest names is missing" },
  LSM_UNSUPPORTED: { kind: "invalid", text: "this store uses a format that is not supported here" },
  LSM_SEGMENTED: { kind: "invalid", text: "the store has segments: it can be read here, and written only by SlateDB with their extractor" },
  LSM_DOWNGRADE: { kind: "invalid", text: "the store holds files of a newer profile; open it with that profile" },
  LSM_NOT_FOUND: { kind: "invalid", text: "no such store" },
  LSM_CHECKPOINT_NOT_FOUND: { kind: "invalid", text: "no such checkpoint" },
  LSM_INVALID: { kind: "invalid", text: "invalid argument" },
  LSM_MERGE_OPERATOR: { kind: "invalid", text: "merge needs a merge operator and none was given" },
  LSM_MERGE_RESULT: { kind: "invalid", text: "the merge operator gave no bytes" },
  LSM_CONFLICT: { kind: "conflict", text: "another transaction wrote what this one read or wrote" },
  LSM_FENCED: { kind: "closed", text: "a newer writer has opened the store" },
  LSM_CLOSED: { kind: "closed", text: "the store is closed" },
  LSM_BUSY: { kind: "unavailable", text: "too much unflushed data; wait for the flush" },
  LSM_CONTENTION: { kind: "unavailable", text: "the manifest changed too often while updating it" },
  // sql
  SQL_COMMAND_FORMAT: { kind: "corrupt", text: "log entry holds no command that this version knows" },
  SQL_MACHINE: { kind: "unavailable", text: "SQLite failed for a reason of this machine alone; stopped before this replica can differ" },
  SQL_FULL: { kind: "unavailable", text: "no space for the database; what could not be written is kept and tried again" },
  SQL_CORRUPT: { kind: "corrupt", text: "database file is damaged; stopped before this replica can differ" },
  SQL_VERSION: {
    kind: "invalid",
    text: "this SQLite can lose writes when its WAL is reset; run a Node with SQLite 3.51.3 or newer, not 3.52.0",
  },
  SQL_EXTENSION: { kind: "invalid", text: "the SQLite extension cannot be loaded; build it with: node scripts/build-native.mjs" },
  SQL_STATE: { kind: "corrupt", text: "the internal state table is not what this version writes" },
  SQL_FOREIGN: {
    kind: "invalid",
    text: "db.sqlite was not made by this node; put back what stood there, or load the file into a running node: pumice load FILE, or POST /boot",
  },
  SQL_ORDER: { kind: "invalid", text: "entries are not applied in the order of their indexes" },
  SQL_BACKUP: { kind: "unavailable", text: "backup failed" },
  SQL_CLOSED: { kind: "closed", text: "database is closed" },
  // replica
  LOG_CORRUPT: { kind: "corrupt", text: "log is damaged" },
  LOG_MISSING: { kind: "corrupt", text: "a segment of the log is missing" },
  LOG_VERSION: { kind: "invalid", text: "log was written by a newer version" },
  LOG_FULL: { kind: "unavailable", text: "no space for the log" },
  LOG_FAILED: { kind: "closed", text: "log failed and acknowledges nothing until the process restarts" },
  LOG_CLOSED: { kind: "closed", text: "log is closed" },
  REPLICA_NOT_LEADER: { kind: "not-leader", text: "this node is not the leader" },
  REPLICA_TIMEOUT: { kind: "unavailable", text: "no result in time; the entry may still be applied" },
  REPLICA_OVERLOADED: { kind: "unavailable", text: "too much is waiting; try again later" },
  REPLICA_FULL: { kind: "unavailable", text: "the disk is full: writes are refused until there is room, reads go on" },
  REPLICA_CLOSED: { kind: "closed", text: "this node is shutting down" },
  REPLICA_FAILED: { kind: "unavailable", text: "this node has failed and stops; its log holds what was acknowledged" },
  REPLICA_ENTRY_TOO_LARGE: { kind: "invalid", text: "request is too large for one log entry; send it in parts" },
  REPLICA_BEHIND_DATABASE: {
    kind: "corrupt",
    text: "the database has applied more than the Raft log holds; the log was lost or belongs to another database",
  },
  REPLICA_LOG_GAP: { kind: "corrupt", text: "the Raft log lacks entries that the database has not applied" },
  REPLICA_MEMBERS: { kind: "corrupt", text: "what is stored about the cluster's members is not what this version writes" },
  REPLICA_FOREIGN: { kind: "corrupt", text: "the database and the Raft log belong to different nodes; one of them was replaced" },
  REPLICA_OTHER_NAME: { kind: "invalid", text: "this data directory belongs to a node of another name" },
  REPLICA_JOIN: { kind: "invalid", text: "this version cannot join a cluster" },
  // entry
  NODE_DIRECTORY: { kind: "invalid", text: "data directory cannot be used" },
  NODE_DIRECTORY_LOCKED: { kind: "conflict", text: "another process runs on this data directory; stop it or give another directory" },
  // server
  SERVER_LISTEN: { kind: "unavailable", text: "the HTTP address cannot be used" },
  SERVER_AUTH_FILE: { kind: "invalid", text: "the credentials file cannot be used" },
  SERVER_TLS_FILE: { kind: "invalid", text: "the files for HTTPS cannot be used" },
  SERVER_STORE_NOT_OPEN: { kind: "unavailable", text: "store not open" },
  // cli
} as const satisfies Record<string, ErrorEntry>;

/** A code of the table. */
export type ErrorCode = keyof typeof ERRORS;

/** Names and values that say where and what, printed last in the message as `key=value`. */
export type ErrorDetails = Readonly<Record<string, string | number | bigint | boolean | undefined>>;

/** An error that the world caused, with its code and kind. Narrow by `code` or `kind`, never by the text. */
export class PumiceError extends Error {
  override readonly name = "PumiceError";
  readonly code: ErrorCode;
  readonly kind: ErrorKind;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, details: ErrorDetails = {}, cause?: unknown) {
    super(describe(code, details), cause === undefined ? undefined : { cause });
    this.code = code;
    this.kind = ERRORS[code].kind;
    this.details = details;
  }
}

/** True if `error` is a PumiceError, and of that code if one is given. */
export function isPumiceError(error: unknown, code?: ErrorCode): error is PumiceError {
  return error instanceof PumiceError && (code === undefined || error.code === code);
}

function describe(code: ErrorCode, details: ErrorDetails): string {
  let text: string = ERRORS[code].text;
  for (const [key, value] of Object.entries(details)) {
    if (value !== undefined) text += ` ${key}=${String(value)}`;
  }
  return text;
}
