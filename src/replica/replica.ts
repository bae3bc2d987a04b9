/**
 * A replica, as its callers see it: writes, reads, loads, backups, status. What crosses here is plain data and bytes, so that callers may be on another
 * thread one day; signals and streams are the caller's side's. What runs it is ReplicaCore.
 */
import type { EntryId, Random } from "../base/mod.ts";
import {
  encodeCommand,
  stampCommand,
  STEPS_MAX,
  STEPS_PER_MS,
  type CommandStamp,
  type ReaderPool,
  type SqlRead,
  type SqlReadResult,
} from "../sql/mod.ts";
import { backupBytes, type BackupParts, type BackupRequest } from "./backup.ts";
import type { Peer } from "./cluster/peers.ts";
import type { ReplicaCore, ReplicaStatus } from "./core.ts";
import { loadThroughLog, type LoadCommand } from "./load.ts";
import type { MaybeReadOutcome, ReadOutcome, ReadRequest, WriteOutcome, WriteRequest } from "./requests.ts";

/** How a caller waits for a read. */
export interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Level strong: how long the barrier may take. Unit: ms. Default: as a write. */
  readonly timeoutMs?: number | undefined;
}

/** What a face needs besides the core. */
export interface ReplicaParts {
  readonly core: ReplicaCore;
  readonly readers: ReaderPool;
  readonly random: Random;
  readonly backup: (name: string) => BackupParts;
  /** Work that a write may do unless it says otherwise. Unit: ms. */
  readonly writeTimeoutMs: number;
}

const LINEARIZABLE_TIMEOUT_MS = 10_000;
/** A piece of a load waits this long: behind it the disk may be busy with those before. Unit: ms. */
const LOAD_TIMEOUT_MS = 600_000;
const NO_DATA = new Uint8Array(0);

/** A replica of the database. Made by `openReplica`. */
export class Replica {
  readonly #parts: ReplicaParts;
  readonly #core: ReplicaCore;
  #backups = 0;

  constructor(parts: ReplicaParts) {
    this.#parts = parts;
    this.#core = parts.core;
  }

  /** Everything up to here has been applied by this replica. */
  get applied(): EntryId {
    return this.#core.appliedId;
  }

  /** The last entry of the log. */
  get lastIndex(): number {
    return this.#core.lastIndex;
  }

  /** The leader, if one is known. */
  leader(): Peer | undefined {
    return this.#core.leader();
  }

  /** This node, as it tells others of itself. */
  self(): Peer {
    return { ...this.#core.peers.self, isVoter: this.#core.isVoter };
  }

  /** The members, as of what has been applied here, in the order of their ids. */
  nodes(): readonly Peer[] {
    return this.#core.peers.all;
  }

  /** True once a leader is known and everything that the log held when it took over has been applied here. */
  isReady(): boolean {
    return this.#core.isReady();
  }

  /** Resolves when `isReady` holds for the first time. @throws what failed the replica, or REPLICA_CLOSED, if it never will */
  ready(): Promise<void> {
    return this.#core.ready();
  }

  /**
   * Sends SQL through the log and gives its outcome.
   * @throws REPLICA_NOT_LEADER (it was not and will not be applied; where a leader is known the error names it), REPLICA_TIMEOUT (it may be),
   * REPLICA_OVERLOADED, REPLICA_FULL, REPLICA_ENTRY_TOO_LARGE, REPLICA_CLOSED, REPLICA_FAILED
   */
  write(request: WriteRequest, options: { readonly timeoutMs?: number | undefined } = {}): Promise<WriteOutcome> {
    if (request.kind === "encoded") {
      const data = stampCommand(request.command, this.#stamp(request.dbTimeoutMs));
      return this.#core.propose(data, request.timings === true, options.timeoutMs);
    }
    const { kind, statements, transaction, script, requestId, format } = request;
    const command = {
      kind,
      statements,
      transaction,
      script,
      requestId,
      format,
      ...this.#stamp(script === true ? Infinity : request.dbTimeoutMs),
    };
    return this.#core.propose(encodeCommand(command), request.timings === true, options.timeoutMs);
  }

  /** Reads. @throws REPLICA_NOT_LEADER, REPLICA_TIMEOUT, REPLICA_OVERLOADED, REPLICA_CLOSED; the signal's reason */
  async read(request: ReadRequest, options: ReadOptions = {}): Promise<ReadOutcome> {
    this.#core.mustBeOpen();
    // A barrier goes through the log; when it is applied, a reader answers: so a slow read holds up no write at this level either.
    const barrier = request.level === "strong" ? await this.#core.propose(NO_DATA, false, options.timeoutMs) : undefined;
    const admission = this.#admit(request);
    if (admission !== undefined) await admission;
    const outcome = outcomeOf(await this.#parts.readers.read(sqlRead(request), options));
    return outcome.kind === "results" && barrier?.kind === "results" ? { ...outcome, raftIndex: barrier.raftIndex } : outcome;
  }

  /** Reads if every statement reads; else the outcome is `writes`, and nothing has been done. At level strong it always is. @throws as `read` */
  async readUnlessWrite(request: ReadRequest, options: ReadOptions = {}): Promise<MaybeReadOutcome> {
    this.#core.mustBeOpen();
    if (request.level === "strong") return { kind: "writes" };
    const admission = this.#admit(request);
    if (admission !== undefined) await admission;
    const read = sqlRead(request);
    read.unlessWrite = true;
    const result = await this.#parts.readers.read(read, options);
    return result.writes === true ? { kind: "writes" } : outcomeOf(result);
  }

  /** Replaces the whole database by `source`, a SQLite file. The outcome `error` says why it was refused; nothing has changed then. */
  load(source: AsyncIterable<Uint8Array>): Promise<WriteOutcome> {
    const propose = (command: LoadCommand): Promise<WriteOutcome> =>
      this.#core.propose(encodeCommand({ ...command, ...this.#stamp(undefined) }), false, LOAD_TIMEOUT_MS);
    return loadThroughLog(source, this.#parts.random, propose);
  }

  /** The database as it is now, as a SQLite file or as SQL text. Ending the iteration ends the backup. @throws SQL_*, REPLICA_CLOSED */
  backup(request: BackupRequest): AsyncGenerator<Uint8Array, void, void> {
    this.#core.mustBeOpen();
    return backupBytes(request, this.#parts.backup(`backup-${++this.#backups}`));
  }

  /** Resolves true when `index` (undefined: what is committed now) has been applied here, false when the time is up. */
  waitApplied(index: number | undefined, timeoutMs: number): Promise<boolean> {
    return this.#core.waitApplied(index ?? this.#core.commitIndex, timeoutMs);
  }

  /** How this replica stands. */
  status(): Promise<ReplicaStatus> {
    return this.#core.status();
  }

  /** Takes nothing more, finishes what was accepted (for a bounded time), and closes its parts. Idempotent. */
  close(): Promise<void> {
    return this.#core.close();
  }

  /** A promise if a read at this level has to wait before it may be answered here. @throws REPLICA_NOT_LEADER */
  #admit(request: ReadRequest): Promise<void> | undefined {
    switch (request.level) {
      case "none":
      case "strong":
        return undefined;
      case "auto":
        if (this.#core.isVoter) this.#core.mustLead();
        return undefined;
      case "weak":
        this.#core.mustLead();
        return undefined;
      case "linearizable":
        break;
    }
    return this.#core.confirm(request.linearizableTimeoutMs ?? LINEARIZABLE_TIMEOUT_MS);
  }

  /** What every command carries from its leader. */
  #stamp(dbTimeoutMs: number | undefined): CommandStamp {
    const limitMs = dbTimeoutMs === undefined || dbTimeoutMs === 0 ? this.#parts.writeTimeoutMs : dbTimeoutMs;
    const steps = Math.min(Math.ceil(limitMs * STEPS_PER_MS), STEPS_MAX);
    return { timeMs: this.#core.nextTimeMs(), seed: this.#parts.random.u64(), steps };
  }
}

/** Only what is set: each member costs on its way between threads. */
function sqlRead(request: ReadRequest): { -readonly [Name in keyof SqlRead]: SqlRead[Name] } {
  const read: { -readonly [Name in keyof SqlRead]: SqlRead[Name] } = { statements: request.statements };
  if (request.transaction === true) read.transaction = true;
  if (request.format !== undefined) read.format = request.format;
  if (request.timings === true) read.timings = true;
  if (request.resultBytesMax !== undefined) read.resultBytesMax = request.resultBytesMax;
  if (request.dbTimeoutMs !== undefined) read.deadlineMs = request.dbTimeoutMs;
  return read;
}

function outcomeOf(result: SqlReadResult): ReadOutcome {
  return result.error === undefined ? { kind: "results", results: result.results } : { kind: "error", error: result.error };
}
