/**
 * What runs a replica: the driver of the consensus core joined to its log, its state machine and its readers. It is the driver's ports and the
 * listener of the apply thread; callers use Replica, its face.
 *
 * The life of a write: encoded and proposed; made durable by the log's thread; committed by the core; applied by the apply thread; its
 * result handed to the caller. Everything that is proposed in one turn of the event loop is one batch.
 *
 * Invariants:
 * 1. A write is acknowledged only after its entry is durable on a quorum and applied.
 * 2. After a failure of this machine nothing is acknowledged any more, and the owner is told once.
 * 3. The time in entries of one leader never goes back.
 * 4. Members are handed to the state machine with the entry that changes them, and are told to callers when it has applied it.
 */
import { Gather, isPumiceError, PumiceError, type Clock, type EntryId, type Random } from "../base/mod.ts";
import type { ConfState, Entry, Message, Snapshot, Status } from "../raft/mod.ts";
import type {
  ApplyEntry,
  ApplyListener,
  ApplyThread,
  CheckpointResult,
  CheckpointThread,
  EntryResult,
  ReaderPool,
  SqliteStatus,
} from "../sql/mod.ts";
import { encodeContext, encodeMembers } from "./cluster/members-codec.ts";
import type { Member, Members } from "./cluster/member.ts";
import { membersAfter } from "./cluster/members.ts";
import { Peers, type Peer } from "./cluster/peers.ts";
import { RaftDriver, type DriverState } from "./consensus/driver.ts";
import type { OlderRange } from "./consensus/memory-log.ts";
import type { DriverPorts, LogPort, RoleChange } from "./consensus/ports.ts";
import type { Dumps } from "./dumps.ts";
import { FullDisk, type FullDiskStatus } from "./disk/full-disk.ts";
import { LogBound } from "./disk/log-bound.ts";
import { Checkpoints, type CheckpointCounts } from "./disk/wal-checkpoints.ts";
import { LastKnown } from "./last-known.ts";
import type { LogHandle, LogReader } from "./log/mod.ts";
import { ReadBarrier } from "./read-barrier.ts";
import type { WriteOutcome } from "./requests.ts";
import { Waiters } from "./waiters.ts";

/** How a replica behaves. */
export interface ReplicaSettings {
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
  /** Ticks without a leader after which a node stands for election. */
  readonly electionTicks: number;
}

/** The opened parts that a replica joins; it closes them. */
export interface CoreParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly apply: ApplyThread;
  readonly checkpointer: CheckpointThread;
  readonly readers: ReaderPool;
  readonly log: LogHandle;
  readonly logReader: LogReader;
  readonly dumps: Dumps;
  /** Runs `task` at the end of this turn of the event loop. */
  readonly defer: (task: () => void) => void;
  /** This machine failed: called once; the process must end. */
  readonly onFatal: (error: PumiceError) => void;
  /** Tells the operator. */
  readonly warn: (line: string) => void;
}

/** Where a replica goes on. */
export interface CoreStart {
  /** This node, as it tells others of itself. */
  readonly self: Member;
  /** What the database file holds. */
  readonly applied: EntryId;
  /** As of `applied`. */
  readonly members: Members;
  readonly driver: DriverState;
}

/** Plain data for status pages. */
export interface ReplicaStatus {
  readonly raft: Status;
  readonly applied: EntryId;
  /** Undefined: nobody is known to lead. */
  readonly leader: Peer | undefined;
  readonly self: Member;
  readonly clusterId: string;
  readonly peers: readonly Peer[];
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
/** A WAL that a reader has let grow to so many times its limit is cut when it can be; else its file is written again from its beginning. */
const OVERSIZE_FACTOR = 2;
/** Bytes of applied entries that stay in memory for followers. */
const MEMORY_LOG_BYTES = 4 * 1024 * 1024;

/** The moving parts of one replica. */
export class ReplicaCore implements DriverPorts, Omit<ApplyListener, "old" | "opened"> {
  readonly log: LogPort;
  readonly peers: Peers;
  readonly #settings: ReplicaSettings;
  readonly #parts: CoreParts;
  readonly #driver: RaftDriver;
  readonly #waiters = new Waiters();
  readonly #barrier: ReadBarrier;
  readonly #checkpoints: Checkpoints;
  readonly #logBound = new LogBound();
  readonly #fullDisk: FullDisk;
  /** Proposals and linearizable reads of a moment become one pump. */
  readonly #gather: Gather;
  readonly #writerStatus: LastKnown<SqliteStatus>;
  readonly #readerStatus: LastKnown<SqliteStatus>;
  readonly #ready = Promise.withResolvers<void>();
  readonly #appliedWaiters = new Set<{ readonly index: number; readonly resolve: () => void }>();
  #applied: EntryId;
  /** The members after the last entry that was handed to the state machine, and those that it has not applied yet. */
  #handedMembers: Members;
  #unappliedMembers: { readonly index: number; readonly members: Members }[] = [];
  #role: RoleChange = { role: "follower", term: 0, lead: 0, lastIndex: 0 };
  #readyIndex = Infinity;
  /** The group may have become one that this node can lead at once: it is the only voter. */
  #mayCampaign = true;
  #mayDescribeSelf = false;
  #lastTimeMs = 0;
  #state: "open" | "closing" | "closed" | "failed" = "open";
  #isPrimed = false;
  #closing: Promise<void> | undefined;

  constructor(settings: ReplicaSettings, parts: CoreParts, start: CoreStart) {
    const { log, random, readers } = parts;
    this.#settings = settings;
    this.#parts = parts;
    this.#applied = start.applied;
    this.#handedMembers = start.members;
    this.peers = new Peers(start.self, start.members);
    this.log = { append: (batch) => log.append(batch), compact: (to) => void log.compact(to) };
    this.#barrier = new ReadBarrier(() => this.#driver.readIndex());
    this.#checkpoints = new Checkpoints(settings.walLimitBytes, {
      checkpoint: () => this.#checkpoint(),
      durable: (position) => this.#synced(position),
      interruptReads: (ms) => readers.interruptOlderThan(ms) + parts.dumps.endStalled(ms),
      // No snapshots are kept yet, so no frame waits for one.
      capturedFrames: () => undefined,
    });
    const sources = [
      // Nothing to do: `#keepHouse` retries the log on every tick.
      { place: "log" as const, refusal: () => log.refusal, retry: () => undefined },
      { place: "checkpoint" as const, refusal: () => this.#checkpoints.refusal, retry: () => this.#checkpoints.retry() },
      { place: "database" as const, refusal: () => parts.apply.refusal, retry: () => parts.apply.retry() },
    ];
    this.#fullDisk = new FullDisk(sources, parts.warn);
    this.#gather = new Gather(parts, () => this.#pump());
    this.#writerStatus = new LastKnown(() => parts.apply.status(), parts.clock);
    this.#readerStatus = new LastKnown(() => readers.status(), parts.clock);
    // Avoids an unhandled rejection when nobody awaits this.
    this.#ready.promise.catch(() => undefined);
    const raft = { id: start.self.nodeId, random, electionTicks: settings.electionTicks };
    this.#driver = new RaftDriver(start.driver, { raft, random, maxLogBytes: MEMORY_LOG_BYTES }, this);
    void this.#keepHouse();
  }

  /** Begins: applies what is committed, and stands for election if nobody else could. */
  start(): void {
    this.#pump();
  }

  /** Everything up to here has been applied by this replica. */
  get appliedId(): EntryId {
    return this.#applied;
  }

  get lastIndex(): number {
    return this.#driver.lastIndex;
  }

  get commitIndex(): number {
    return this.#driver.commitIndex;
  }

  get isLeader(): boolean {
    return this.#role.role === "leader";
  }

  /** Members vote; others only learn. */
  get isVoter(): boolean {
    return this.peers.find(this.peers.self.nodeId)?.isVoter === true;
  }

  /** The leader, if one is known. */
  leader(): Peer | undefined {
    return this.peers.find(this.#role.lead);
  }

  /** True once a leader is known and everything that the log held when it took over has been applied here. */
  isReady(): boolean {
    return this.#role.lead !== 0 && this.#applied.index >= this.#readyIndex && this.#state === "open";
  }

  ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Proposes a command's bytes, or none: a barrier. @throws as Replica.write */
  propose(data: Uint8Array, timings: boolean, timeoutMs = this.#settings.applyTimeoutMs): Promise<WriteOutcome> {
    if (this.#state !== "open") return Promise.reject(this.refusal());
    if (data.length > this.#settings.entryBytesMax) {
      return Promise.reject(new PumiceError("REPLICA_ENTRY_TOO_LARGE", { bytes: data.length, max: this.#settings.entryBytesMax }));
    }
    const full = this.#fullDisk.refusal();
    if (full !== undefined) return Promise.reject(full);
    const proposed = this.#driver.propose([data]);
    if (!proposed.ok) {
      if (proposed.reason === "not-leader") return Promise.reject(this.notLeader());
      return Promise.reject(new PumiceError("REPLICA_OVERLOADED", { reason: proposed.reason }));
    }
    this.#gather.add();
    const { firstIndex, term } = proposed;
    return new Promise((resolve, reject) => {
      this.#waiters.add(firstIndex, { term, timings, deadlineMs: this.#parts.clock.monotonic() + timeoutMs, resolve, reject });
    });
  }

  /** Resolves when this node may answer a linearizable read that begins now. @throws REPLICA_NOT_LEADER, REPLICA_TIMEOUT */
  confirm(timeoutMs: number): Promise<void> {
    this.#gather.add();
    return this.#barrier.wait(this.#parts.clock.monotonic() + timeoutMs);
  }

  /** The time of the next entry. Unit: ms since 1970. */
  nextTimeMs(): number {
    this.#lastTimeMs = Math.max(this.#lastTimeMs, this.#parts.clock.now());
    return this.#lastTimeMs;
  }

  /** Resolves true when `index` has been applied here, false when the time is up. */
  async waitApplied(index: number, timeoutMs: number): Promise<boolean> {
    if (this.#applied.index >= index) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const waiter = { index, resolve: () => resolve(true) };
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
    const { apply, readers } = this.#parts;
    const [writer, reader] = await Promise.all([this.#writerStatus.get(), this.#readerStatus.get()]);
    return {
      raft: this.#driver.status(),
      applied: this.#applied,
      leader: this.leader(),
      self: this.peers.self,
      clusterId: this.peers.members.clusterId,
      peers: this.peers.all,
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

  mustBeOpen(): void {
    if (this.#state !== "open") throw this.refusal();
  }

  mustLead(): void {
    if (!this.isLeader) throw this.notLeader();
  }

  /** Why nothing is taken any more. */
  refusal(): PumiceError {
    return new PumiceError(this.#state === "failed" ? "REPLICA_FAILED" : "REPLICA_CLOSED");
  }

  /** The error of a request that only the leader takes: it names the leader, where one is known. */
  notLeader(): PumiceError {
    const leader = this.leader();
    return new PumiceError("REPLICA_NOT_LEADER", {
      leader: leader?.name,
      raftAddress: leader?.raftAddress,
      apiAddress: leader?.apiAddress,
    });
  }

  // The driver's ports.

  /** A node alone has nobody to tell; the cluster's transport comes here. */
  send(_message: Message): void {}

  apply(entries: readonly Entry[]): void {
    this.#parts.apply.apply(entries.map((entry) => this.#toApply(entry)));
  }

  roleChanged(change: RoleChange): void {
    this.#role = change;
    this.#readyIndex = change.lead === 0 ? Infinity : change.lastIndex;
    this.#mayDescribeSelf = change.role === "leader" && this.peers.isSelfOutdated;
  }

  readable(read: number, index: number): void {
    this.#barrier.confirmed(read, index, this.#applied.index);
  }

  membersChanged(members: ConfState, _index: number): void {
    this.#mayCampaign = isAlone(members, this.peers.self.nodeId);
  }

  readOlder(range: OlderRange): void {
    this.#parts.logReader.read(range).then(
      (entries) => {
        this.#driver.olderRead(entries);
        this.#pump();
      },
      (error: unknown) => {
        if (this.#state === "open") this.failed(isPumiceError(error) ? error : new PumiceError("WORKER_FAILED", { worker: "log" }, error));
      },
    );
  }

  /** None is kept yet. */
  latestSnapshot(): Snapshot | undefined {
    return undefined;
  }

  /** The log's thread has made something durable, and the driver knows. */
  logPersisted(number: number): void {
    this.#driver.persisted(number);
  }

  logAdvanced(): void {
    this.#pump();
  }

  // What the apply thread tells.

  applied(entries: readonly ApplyEntry[], results: readonly EntryResult[]): void {
    const last = entries.at(-1);
    if (last === undefined || this.#state === "failed") return;
    this.#applied = { index: last.index, term: last.term };
    if (this.#unappliedMembers.length > 0) this.#publishMembers(last.index);
    this.#driver.applied(last.index);
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
    if (this.#mayDescribeSelf && this.#applied.index >= this.#readyIndex) this.#describeSelf();
    for (const waiter of this.#appliedWaiters) if (waiter.index <= last.index) waiter.resolve();
    this.#checkpoints.applied(this.#applied, this.#parts.apply.walBytes);
    this.#pump();
  }

  /** This machine failed. */
  failed(error: PumiceError): void {
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

  #toApply(entry: Entry): ApplyEntry {
    const { index, term } = entry;
    if (entry.type === "config") {
      this.#handedMembers = membersAfter(this.#handedMembers, entry);
      this.#unappliedMembers.push({ index, members: this.#handedMembers });
      return { index, term, kind: "membership", data: encodeMembers(this.#handedMembers) };
    }
    const timings = this.#waiters.wants(index, term);
    return timings === undefined ? { index, term, data: entry.data } : { index, term, data: entry.data, want: { timings } };
  }

  #publishMembers(applied: number): void {
    const count = this.#unappliedMembers.filter(({ index }) => index <= applied).length;
    const done = this.#unappliedMembers.splice(0, count).at(-1);
    if (done !== undefined) this.peers.update(done.members);
  }

  /** Where this node is reached has changed since the members were told, or nobody has told them: an entry tells them now. */
  #describeSelf(): void {
    const { self, members } = this.peers;
    const context = encodeContext({ clusterId: members.clusterId === "" ? this.#clusterId() : members.clusterId, described: [self] });
    const change = { transition: "auto", changes: [{ kind: "update", nodeId: self.nodeId }], context } as const;
    // Refused while another change is under way: then it is tried again when that is applied.
    if (this.#driver.proposeConfChange(change).ok) this.#mayDescribeSelf = false;
  }

  /** The cluster's id, as the log was given it. */
  #clusterId(): string {
    return this.#parts.log.identity?.clusterId ?? "";
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

  /** The database file holds everything up to `position`, durably. */
  #synced(position: EntryId): void {
    if (this.#state === "failed") return;
    this.#logBound.synced(position.index);
    this.#logBound.followers(this.#driver.slowestFollower());
    this.#driver.compact(this.#logBound.index);
  }

  #pump(): void {
    if (this.#state === "failed" || this.#state === "closed") return;
    if (this.#mayCampaign) this.#campaignAlone();
    this.#barrier.flush();
    this.#driver.pump();
  }

  /** The only voter waits for nobody's silence. Members that it has not applied yet are waited for. */
  #campaignAlone(): void {
    const { role, members } = this.#driver;
    if (this.#unappliedMembers.length > 0 || !isAlone(members, this.peers.self.nodeId)) return;
    this.#mayCampaign = false;
    if (role === "follower") this.#driver.campaign();
  }

  async #keepHouse(): Promise<void> {
    const { clock, readers, log } = this.#parts;
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
      this.#driver.tick();
      this.#pump();
    }
  }

  async #close(): Promise<void> {
    const { apply, readers, log, logReader, clock, checkpointer } = this.#parts;
    if (this.#state === "open") {
      this.#state = "closing";
      const deadlineMs = clock.monotonic() + CLOSE_WAIT_MS;
      const mayFinish = (): boolean => this.#waiters.count > 0 && this.#fullDisk.refusal() === undefined;
      while (mayFinish() && this.#isClosing() && clock.monotonic() < deadlineMs) await clock.sleep(1);
    }
    await readers.close();
    await checkpointer.close();
    await apply.close();
    await logReader.close();
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
}

/** This node is the only voter, and is not being replaced. */
function isAlone({ voters, votersOutgoing }: ConfState, nodeId: number): boolean {
  return voters.length === 1 && voters[0] === nodeId && votersOutgoing.length === 0;
}
