/**
 * One replica: the driver of the consensus core joined to its log, its state machine and its readers, and to those who ask.
 *
 * The life of a write: encoded and proposed here; made durable by the log's thread; committed by the core; applied by the apply
 * thread; its result handed to the one who waits. Everything that is proposed in one turn of the event loop is one batch.
 *
 * Invariants:
 * 1. A write is acknowledged only after its entry is durable on a quorum and applied.
 * 2. After a failure of this machine nothing is acknowledged any more, and the owner is told once.
 * 3. The time in entries of one leader never goes back.
 */
import { Gather, PumiceError, type Clock, type EntryId, type Random } from "../base/mod.ts";
import type { Entry, Status } from "../raft/mod.ts";
import {
  type ApplyThread,
  type CheckpointThread,
  type ReaderPool,
  encodeCommand,
  STEPS_MAX,
  STEPS_PER_MS,
  type ApplyEntry,
  type CheckpointResult,
  type Command,
  type EntryResult,
  type SqlRead,
  type SqliteStatus,
} from "../sql/mod.ts";
import { Checkpoints, type CheckpointCounts } from "./disk/wal-checkpoints.ts";
import type { RoleChange } from "./consensus/ports.ts";
import type { RaftDriver } from "./consensus/driver.ts";
import { FullDisk, type FullDiskStatus } from "./disk/full-disk.ts";

import { LastKnown } from "./last-known.ts";
import type { LogHandle } from "./log/mod.ts";
import { ReadBarrier } from "./read-barrier.ts";
import type { Outcome, ReadRequest, WriteRequest } from "./requests.ts";
import { backupBytes, type BackupParts, type BackupRequest } from "./backup.ts";
import { loadThroughLog, type LoadCommand } from "./load.ts";
import { Waiters } from "./waiters.ts";

/** What a replica knows of itself. */
export interface Identity {
  readonly id: string;
  /** The Raft address told to others, HOST:PORT. */
  readonly address: string;
}

/** How a replica behaves. */
export interface ReplicaSettings extends Identity {
  /** How long a write waits for its result unless it says otherwise. Unit: ms. */
  readonly applyTimeoutMs: number;
  /** Work that a write may do unless it says otherwise, as time on a usual machine: a budget of VM steps, not a clock. Unit: ms. */
  readonly writeTimeoutMs: number;
  /** The WAL's size past which it is checkpointed. Unit: bytes. */
  readonly walLimitBytes: number;
  /** Largest entry. Unit: bytes. */
  readonly entryBytesMax: number;
  /** Unit: ms. */
  readonly raftTickMs: number;
}

/** The opened parts that a replica joins; it closes them. */
export interface ReplicaParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly apply: ApplyThread;
  readonly checkpointer: CheckpointThread;
  readonly readers: ReaderPool;
  readonly log: LogHandle;
  readonly driver: RaftDriver;
  /** Runs `task` at the end of this turn of the event loop. */
  readonly defer: (task: () => void) => void;
  readonly backup: (name: string) => BackupParts;
  /** This machine failed: called once; the process must end. */
  readonly onFatal: (error: PumiceError) => void;
  /** Tells the operator. */
  readonly warn: (line: string) => void;
  /** What the database file held when it was opened. */
  readonly applied: EntryId;
}

/** How a caller waits for a read. */
export interface ReadOptions {
  readonly signal?: AbortSignal | undefined;
  /** Level strong: how long the barrier may take. Unit: ms. Default: as a write. */
  readonly timeoutMs?: number | undefined;
}

/** Plain data for status pages. */
export interface ReplicaStatus {
  readonly raft: Status;
  readonly applied: EntryId;
  readonly leader: Identity | undefined;
  readonly waitingWrites: number;
  readonly waitingApply: number;
  readonly reads: number;
  readonly readers: number;
  readonly walBytes: number;
  readonly checkpoints: CheckpointCounts;
  /** Undefined: the disk has room. */
  readonly fullDisk: FullDiskStatus | undefined;
  readonly writer: SqliteStatus;
  readonly reader: SqliteStatus;
}

/** Deadlines and slow reads are looked at this often. Unit: ms. */
const HOUSEKEEPING_MS = 25;
/** How long a close waits for what was accepted. Unit: ms. */
const CLOSE_WAIT_MS = 10_000;
const LINEARIZABLE_TIMEOUT_MS = 10_000;
/** A WAL that a reader has let grow to so many times its limit is cut when it can be; else its file is written again from its beginning. */
const OVERSIZE_FACTOR = 2;

/** A replica of the database. Made by `openReplica`. */
export class Replica {
  readonly #identity: Identity;
  readonly #settings: ReplicaSettings;
  readonly #parts: ReplicaParts;
  readonly #waiters = new Waiters();
  readonly #barrier: ReadBarrier;
  readonly #checkpoints: Checkpoints;
  readonly #fullDisk: FullDisk;
  /** Proposals and linearizable reads of a moment become one pump. */
  readonly #gather: Gather;
  readonly #writerStatus: LastKnown<SqliteStatus>;
  readonly #readerStatus: LastKnown<SqliteStatus>;
  readonly #ready = Promise.withResolvers<void>();
  readonly #appliedWaiters = new Set<{ readonly index: number; readonly resolve: () => void }>();
  #applied: EntryId;
  #role: RoleChange = { role: "follower", term: 0, lead: 0 };
  #synced: EntryId | undefined;
  #readyIndex = Infinity;
  #lastTimeMs = 0;
  #state: "open" | "closing" | "closed" | "failed" = "open";
  #isPrimed = false;
  #backups = 0;
  #closing: Promise<void> | undefined;

  constructor(settings: ReplicaSettings, parts: ReplicaParts) {
    this.#identity = { id: settings.id, address: settings.address };
    this.#settings = settings;
    this.#parts = parts;
    this.#applied = parts.applied;
    this.#barrier = new ReadBarrier(() => parts.driver.readIndex());
    this.#checkpoints = new Checkpoints(settings.walLimitBytes, {
      checkpoint: () => this.#checkpoint(),
      durable: (position) => this.#compact(position),
      interruptReads: (ms) => parts.readers.interruptOlderThan(ms),
    });
    const sources = [
      // By its own clock, often: it costs it little.
      { place: "log" as const, refusal: () => parts.log.refusal, retry: () => undefined },
      { place: "checkpoint" as const, refusal: () => this.#checkpoints.refusal, retry: () => this.#checkpoints.retry() },
      { place: "database" as const, refusal: () => parts.apply.refusal, retry: () => parts.apply.retry() },
    ];
    this.#fullDisk = new FullDisk(sources, parts.warn);
    this.#gather = new Gather(parts, () => this.#pump());
    this.#writerStatus = new LastKnown(() => parts.apply.status(), parts.clock);
    this.#readerStatus = new LastKnown(() => parts.readers.status(), parts.clock);
    // Who waits for it sees it; nobody need.
    this.#ready.promise.catch(() => undefined);
    void this.#keepHouse();
  }

  /** Everything up to here has been applied by this replica. */
  get applied(): EntryId {
    return this.#applied;
  }

  /** The last entry of the log. */
  get lastIndex(): number {
    return this.#parts.driver.status().lastIndex;
  }

  /** The last entry that the synced database file holds; undefined until a checkpoint has synced it. */
  get syncedPosition(): EntryId | undefined {
    return this.#synced;
  }

  get nodeId(): string {
    return this.#identity.id;
  }

  /** The leader, if one is known. */
  leader(): Identity | undefined {
    return this.#role.role === "leader" ? this.#identity : undefined;
  }

  /** True once a leader is known and everything committed before it took over has been applied here. */
  isReady(): boolean {
    return this.leader() !== undefined && this.#applied.index >= this.#readyIndex && this.#state === "open";
  }

  /** Resolves when `isReady` holds for the first time. @throws what failed the replica, or REPLICA_CLOSED, if it never will */
  ready(): Promise<void> {
    return this.#ready.promise;
  }

  /**
   * Sends SQL through the log and gives its outcome.
   * @throws REPLICA_NOT_LEADER (it was not and will not be applied), REPLICA_TIMEOUT (it may be), REPLICA_OVERLOADED, REPLICA_FULL,
   * REPLICA_ENTRY_TOO_LARGE, REPLICA_CLOSED, REPLICA_FAILED
   */
  write(request: WriteRequest, options: { readonly timeoutMs?: number | undefined } = {}): Promise<Outcome> {
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
    return this.#propose(command, request.timings === true, options.timeoutMs);
  }

  /** Reads. @throws REPLICA_NOT_LEADER, REPLICA_TIMEOUT, REPLICA_OVERLOADED, REPLICA_CLOSED; the signal's reason */
  async read(request: ReadRequest, options: ReadOptions = {}): Promise<Outcome> {
    this.#mustBeOpen();
    const level = request.level === "auto" ? "weak" : request.level;
    if (level === "strong") {
      if (request.orWrite === true) return { kind: "writes" };
      return this.#readStrong(request, options);
    }
    if (level === "weak") this.#mustLead();
    if (level === "linearizable") await this.#confirm(request.linearizableTimeoutMs ?? LINEARIZABLE_TIMEOUT_MS);
    return this.#readHere(request, options);
  }

  /** Replaces the whole database by `source`, a SQLite file. The outcome `error` says why it was refused; nothing has changed then. */
  load(source: AsyncIterable<Uint8Array>): Promise<Outcome> {
    const propose = (command: LoadCommand): Promise<Outcome> =>
      this.#propose({ ...command, ...this.#stamp(undefined) }, false, LOAD_TIMEOUT_MS);
    return loadThroughLog(source, this.#parts.random, propose);
  }

  /** The database as it is now, as a SQLite file or as SQL text. Ending the iteration ends the backup. @throws SQL_*, REPLICA_CLOSED */
  backup(request: BackupRequest): AsyncGenerator<Uint8Array, void, void> {
    this.#mustBeOpen();
    return backupBytes(request, this.#parts.backup(`backup-${++this.#backups}`));
  }

  /** Resolves true when `index` (undefined: what is committed now) has been applied here, false when the time is up. */
  async waitApplied(index: number | undefined, timeoutMs: number): Promise<boolean> {
    const target = index ?? this.#parts.driver.status().commit;
    if (this.#applied.index >= target) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const waiter = { index: target, resolve: () => resolve(true) };
    this.#appliedWaiters.add(waiter);
    const done = new AbortController();
    const timedOut = this.#parts.clock.sleep(timeoutMs, { signal: done.signal }).then(
      () => false,
      () => true,
    );
    const isApplied = await Promise.race([promise, timedOut]);
    done.abort();
    this.#appliedWaiters.delete(waiter);
    return isApplied;
  }

  /** How this replica stands. */
  async status(): Promise<ReplicaStatus> {
    const { driver, apply, readers } = this.#parts;
    const [writer, reader] = await Promise.all([this.#writerStatus.get(), this.#readerStatus.get()]);
    return {
      raft: driver.status(),
      applied: this.#applied,
      leader: this.leader(),
      waitingWrites: this.#waiters.count,
      waitingApply: apply.waitingCount,
      reads: readers.count,
      readers: readers.readerCount,
      walBytes: apply.walBytes,
      checkpoints: this.#checkpoints.counts,
      fullDisk: this.#fullDisk.status(this.#parts.clock.monotonic()),
      writer,
      reader,
    };
  }

  /** Takes nothing more, finishes what was accepted (for a bounded time), and closes its parts. Idempotent. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  // The driver's ports, wired by openReplica.

  /** Committed entries to apply. */
  applyCommitted(entries: readonly Entry[]): void {
    const wanted = entries.map((entry): ApplyEntry => {
      const { index, term, type } = entry;
      const data = type === "normal" ? entry.data : NO_DATA;
      const timings = this.#waiters.wants(index, term);
      return timings === undefined ? { index, term, data } : { index, term, data, want: { timings } };
    });
    this.#parts.apply.apply(wanted);
  }

  roleChanged(change: RoleChange): void {
    this.#role = change;
    if (change.role === "leader") this.#readyIndex = this.#parts.driver.status().lastIndex;
  }

  readable(read: number, index: number): void {
    this.#barrier.confirmed(read, index, this.#applied.index);
  }

  /** The log has made something durable, and the driver knows. */
  logAdvanced(): void {
    this.#pump();
  }

  /** The apply thread has applied these. */
  appliedEntries(entries: readonly ApplyEntry[], results: readonly EntryResult[]): void {
    const last = entries.at(-1);
    if (last === undefined || this.#state === "failed") return;
    this.#applied = { index: last.index, term: last.term };
    this.#parts.driver.applied(last.index);
    for (const [i, entry] of entries.entries()) {
      const result = results[i] as EntryResult;
      if (result.error === undefined) {
        this.#waiters.settle(entry.index, entry.term, { kind: "results", results: result.results, raftIndex: entry.index });
      } else {
        this.#waiters.settle(entry.index, entry.term, { kind: "error", error: result.error });
      }
    }
    this.#barrier.applied(last.index);
    if (!this.#isPrimed && this.isReady()) this.#becomeReady();
    for (const waiter of this.#appliedWaiters) if (waiter.index <= last.index) waiter.resolve();
    this.#checkpoints.applied(this.#applied, this.#parts.apply.walBytes);
    this.#pump();
  }

  /** This machine failed. */
  fail(error: PumiceError): void {
    if (this.#state === "failed" || this.#state === "closed") return;
    this.#state = "failed";
    const told = new PumiceError("REPLICA_FAILED", { reason: error.code }, error);
    this.#waiters.failAll(told);
    this.#barrier.failAll(told);
    this.#ready.reject(error);
    // A read that runs on would hold up the end of the process.
    this.#parts.readers.interruptOlderThan(0);
    this.#parts.onFatal(error);
  }

  #propose(command: Command, timings: boolean, timeoutMs?: number): Promise<Outcome> {
    return this.#proposeData(encodeCommand(command), timings, timeoutMs);
  }

  #proposeData(data: Uint8Array, timings: boolean, timeoutMs = this.#settings.applyTimeoutMs): Promise<Outcome> {
    if (this.#state !== "open") return Promise.reject(this.#refusal());
    if (data.length > this.#settings.entryBytesMax) {
      return Promise.reject(new PumiceError("REPLICA_ENTRY_TOO_LARGE", { bytes: data.length, max: this.#settings.entryBytesMax }));
    }
    const full = this.#fullDisk.refusal();
    if (full !== undefined) return Promise.reject(full);
    const proposed = this.#parts.driver.propose([data]);
    if (!proposed.ok) {
      const code = proposed.reason === "not-leader" ? "REPLICA_NOT_LEADER" : "REPLICA_OVERLOADED";
      return Promise.reject(new PumiceError(code, { reason: proposed.reason }));
    }
    this.#gather.add();
    const { firstIndex, term } = proposed;
    return new Promise((resolve, reject) => {
      this.#waiters.add(firstIndex, { term, timings, deadlineMs: this.#parts.clock.monotonic() + timeoutMs, resolve, reject });
    });
  }

  /** A barrier goes through the log; when it is applied, a reader answers: so a slow read holds up no write at this level either. */
  async #readStrong(request: ReadRequest, options: ReadOptions): Promise<Outcome> {
    const barrier = await this.#proposeData(NO_DATA, false, options.timeoutMs);
    const outcome = await this.#readHere(request, options);
    return outcome.kind === "results" && barrier.kind === "results" ? { ...outcome, raftIndex: barrier.raftIndex } : outcome;
  }

  async #readHere(request: ReadRequest, options: ReadOptions): Promise<Outcome> {
    const result = await this.#parts.readers.read(sqlRead(request), options);
    if (result.writes === true) return { kind: "writes" };
    if (result.error !== undefined) return { kind: "error", error: result.error };
    return { kind: "results", results: result.results };
  }

  /** What every command carries from its leader. */
  #stamp(dbTimeoutMs: number | undefined): { readonly timeMs: number; readonly seed: bigint; readonly steps: number } {
    this.#lastTimeMs = Math.max(this.#lastTimeMs, this.#parts.clock.now());
    const limitMs = dbTimeoutMs === undefined || dbTimeoutMs === 0 ? this.#settings.writeTimeoutMs : dbTimeoutMs;
    const steps = Math.min(Math.ceil(limitMs * STEPS_PER_MS), STEPS_MAX);
    return { timeMs: this.#lastTimeMs, seed: this.#parts.random.u64(), steps };
  }

  #confirm(timeoutMs: number): Promise<void> {
    this.#gather.add();
    return this.#barrier.wait(this.#parts.clock.monotonic() + timeoutMs);
  }

  /** The first status of each thread is asked for while none is busy: later ones need not wait for a thread that is. */
  #becomeReady(): void {
    this.#isPrimed = true;
    void Promise.all([this.#writerStatus.get(), this.#readerStatus.get()]).then(() => this.#ready.resolve());
  }

  /** Most of it beside the apply thread, the rest in a pause. */
  async #checkpoint(): Promise<CheckpointResult> {
    const { apply, checkpointer } = this.#parts;
    const full = await checkpointer.move();
    if (full !== undefined) return { busy: true, full, logFrames: 0, checkpointedFrames: 0, durableIndex: 0 };
    const isOversize = apply.walBytes > this.#settings.walLimitBytes * OVERSIZE_FACTOR;
    return apply.checkpoint(isOversize ? "truncate" : "restart");
  }

  #compact(position: EntryId): void {
    if (this.#state === "failed") return;
    this.#synced = position;
    this.#parts.driver.compact(position.index);
  }

  #pump(): void {
    if (this.#state === "failed" || this.#state === "closed") return;
    this.#barrier.flush();
    this.#parts.driver.pump();
  }

  async #keepHouse(): Promise<void> {
    const { clock, driver, readers, log } = this.#parts;
    let tickedMs = clock.monotonic();
    while (this.#state === "open" || this.#state === "closing") {
      await clock.sleep(HOUSEKEEPING_MS);
      const nowMs = clock.monotonic();
      this.#waiters.expire(nowMs);
      this.#barrier.expire(nowMs);
      readers.tick();
      log.retry();
      this.#fullDisk.tick(nowMs);
      if (nowMs - tickedMs < this.#settings.raftTickMs) continue;
      tickedMs = nowMs;
      driver.tick();
      this.#pump();
    }
  }

  async #close(): Promise<void> {
    const { apply, readers, log, clock } = this.#parts;
    if (this.#state === "open") {
      this.#state = "closing";
      const deadlineMs = clock.monotonic() + CLOSE_WAIT_MS;
      const mayFinish = (): boolean => this.#waiters.count > 0 && this.#fullDisk.refusal() === undefined;
      while (mayFinish() && this.#isClosing() && clock.monotonic() < deadlineMs) await clock.sleep(1);
    }
    await readers.close();
    await this.#parts.checkpointer.close();
    await apply.close();
    await log.close();
    if (this.#state === "closing") this.#state = "closed";
    this.#waiters.failAll(new PumiceError("REPLICA_CLOSED"));
    this.#barrier.failAll(new PumiceError("REPLICA_CLOSED"));
    this.#ready.reject(new PumiceError("REPLICA_CLOSED"));
  }

  /** A failure may come at any await. */
  #isClosing(): boolean {
    return this.#state === "closing";
  }

  #mustBeOpen(): void {
    if (this.#state !== "open") throw this.#refusal();
  }

  #mustLead(): void {
    if (this.#role.role !== "leader") throw new PumiceError("REPLICA_NOT_LEADER");
  }

  #refusal(): PumiceError {
    return new PumiceError(this.#state === "failed" ? "REPLICA_FAILED" : "REPLICA_CLOSED");
  }
}

/** Only what is set: each member costs on its way between threads. */
function sqlRead(request: ReadRequest): SqlRead {
  const read: { -readonly [Name in keyof SqlRead]: SqlRead[Name] } = { statements: request.statements };
  if (request.transaction === true) read.transaction = true;
  if (request.format !== undefined) read.format = request.format;
  if (request.timings === true) read.timings = true;
  if (request.resultBytesMax !== undefined) read.resultBytesMax = request.resultBytesMax;
  if (request.dbTimeoutMs !== undefined) read.deadlineMs = request.dbTimeoutMs;
  if (request.orWrite === true) read.unlessWrite = true;
  return read;
}

const NO_DATA = new Uint8Array(0);
/** A piece of a load waits this long: behind it the disk may be busy with those before. Unit: ms. */
const LOAD_TIMEOUT_MS = 600_000;
