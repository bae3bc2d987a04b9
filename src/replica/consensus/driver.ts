/**
 * The one caller of the consensus core. It joins the core to a log, a network and a state machine that answer when they like,
 * and keeps the rules that make that safe. Pure: no timers, no promises; the owner calls `tick` and, once per turn, `pump`.
 * The contract, and the hazards C1 to C11 that the rules below answer, are in src/raft/DESIGN.md.
 *
 * Invariants:
 * 1. No message of a term leaves before that term, and the vote in it, are durable (C1).
 * 2. No promise (vote, acknowledgement) leaves before what it promises is durable.
 * 3. Batches reach the log in order, terms and commit indexes never decreasing (C6).
 * 4. Entries reach the state machine in order, without gap or repeat (C8).
 * 5. The log is compacted up to min(what the owner allows, applied, durable commit) at most (C5, C7).
 */
import { assert, type Random } from "../../base/mod.ts";
import {
  RaftNode,
  type ConfChange,
  type ConfChangeOutcome,
  type ConfState,
  type Entry,
  type HardState,
  type Message,
  type MessageOutcome,
  type ProposeOutcome,
  type RaftOptions,
  type Ready,
  type Role,
  type Status,
  type Trace,
} from "../../raft/mod.ts";
import type { DriverPorts, LogBatch } from "./ports.ts";
import { MemoryLog, type RecoveredLog } from "./memory-log.ts";
import { SnapshotProgress } from "./snapshot-progress.ts";

/** What a node has when it starts. */
export interface DriverState extends RecoveredLog {
  readonly hardState: HardState;
  /** What the state machine has applied, durably. */
  readonly applied: number;
  /** The members as of `applied`. */
  readonly members: ConfState;
}

/** How a driver is made. */
export interface DriverOptions {
  /** The core's settings. Proposals are never forwarded by the core: the outcome of `propose` names the leader. */
  readonly raft: Omit<RaftOptions, "forwardProposals" | "applyUnstable">;
  readonly random: Random;
  /** Bytes of applied entries that are kept in memory for followers. Default 64 MiB. */
  readonly maxLogBytes?: number | undefined;
  /** A snapshot of which nothing was heard for this long has failed (C2, C3). Default 10 election timeouts. */
  readonly snapshotTimeoutTicks?: number | undefined;
  readonly trace?: Trace | undefined;
}

/** What is on its way to the disk: what it holds, and what waits for it. */
interface InFlight {
  readonly ready: Ready;
  /** Messages of `ready` that wait for a term to be durable. */
  readonly held: readonly Message[];
}

/** The driver of one node, for one incarnation: a restarted process makes a new one, and nothing of the old one reaches it (C10). */
export class RaftDriver {
  readonly #node: RaftNode;
  readonly #log: MemoryLog;
  readonly #ports: DriverPorts;
  readonly #snapshots: SnapshotProgress;
  readonly #inFlight: InFlight[] = [];
  /** Batches of `inFlight`. */
  #batchCount = 0;
  /** Batches that wait for the state machine: a snapshot is not restored under entries that are still being applied (C8, C9). */
  readonly #parked: LogBatch[] = [];
  /** What the log has acknowledged. */
  #durable: HardState;
  /** The last batch that changes the term or the vote. */
  #termBatch = 0;
  #persistedNumber = 0;
  #lastAppended = 0;
  /** What the log acknowledges once it has everything that it was given. */
  #handed: HardState;
  /** The last index that was handed to the state machine. */
  #handedToApply: number;
  /** Membership entries handed to the state machine and not yet acknowledged as applied. */
  readonly #pendingConfig: Entry[] = [];
  #compactTarget = 0;
  #nextRead: number;
  readonly #canReadOlder: boolean;

  constructor(state: DriverState, options: DriverOptions, ports: DriverPorts) {
    const commit = Math.max(state.hardState.commit, state.applied, state.compacted.index);
    this.#log = new MemoryLog(state, {
      maxBytes: options.maxLogBytes,
      readOlder: ports.readOlder && ((range) => ports.readOlder?.(range)),
      snapshot: () => ports.latestSnapshot(),
    });
    // What was applied or compacted was committed; the note of that may have been lost, what it speaks of may not (C5).
    assert(commit <= this.#log.lastIndex(), "the log holds everything that was committed or applied");
    assert(state.applied >= state.compacted.index, "what was compacted was applied");
    this.#durable = { ...state.hardState, commit };
    this.#handed = this.#durable;
    this.#handedToApply = state.applied;
    const raft: RaftOptions = { ...options.raft, forwardProposals: false, applyUnstable: false };
    this.#node = new RaftNode(
      raft,
      this.#log,
      { hardState: this.#durable, confState: state.members, applied: state.applied },
      options.trace,
    );
    this.#ports = ports;
    this.#canReadOlder = ports.readOlder !== undefined;
    this.#snapshots = new SnapshotProgress(options.snapshotTimeoutTicks ?? 10 * (options.raft.electionTicks ?? 10));
    // Reads of earlier incarnations have other names, so that a late answer to one of those answers nothing (C10).
    this.#nextRead = Number(BigInt.asUintN(FIRST_READ_BITS, options.random.u64())) + 1;
  }

  /** One tick of the owner's clock. */
  tick(): void {
    this.#node.tick();
    for (const id of this.#snapshots.tick()) this.#node.reportSnapshot(id, false);
  }

  /** Takes a message from the network. */
  step(message: Message): MessageOutcome {
    return this.#node.step(message);
  }

  /** Proposes entries, in order, in one piece. They are sent at the next `pump`. */
  propose(data: readonly Uint8Array[]): ProposeOutcome {
    return this.#node.propose(data);
  }

  /** Proposes a membership change; through a joint configuration, also for one node, unless it only describes nodes anew. */
  proposeConfChange(change: ConfChange): ConfChangeOutcome {
    const isPlain = change.changes.every(({ kind }) => kind === "update");
    return this.#node.proposeConfChange(isPlain || change.transition !== "auto" ? change : { ...change, transition: "implicit" });
  }

  /**
   * Asks for a linearizable read. Returns its name, which `ports.readable` repeats; undefined if no leader is known.
   * It may never be answered: after a change of leader, or a timeout, ask again.
   */
  readIndex(): number | undefined {
    const read = this.#nextRead++;
    return this.#node.readIndex(read) === "ok" ? read : undefined;
  }

  /** Campaigns now. A sole voter leads at the end of the `pump` in which its vote is durable. */
  campaign(): void {
    this.#node.campaign();
  }

  /** Asks the leader to hand its place to `id`, if it leads or knows who does. */
  transfer(id: number): void {
    this.#node.transferLeader(id);
  }

  forgetLeader(): void {
    this.#node.forgetLeader();
  }

  reportUnreachable(id: number): void {
    this.#node.reportUnreachable(id);
  }

  /** What became of the snapshot that was sent to `id`; "sending" keeps it from being given up. */
  reportSnapshot(id: number, fate: "sending" | "installed" | "failed"): void {
    if (fate === "sending") {
      this.#snapshots.extend(id);
      return;
    }
    this.#snapshots.ended(id);
    this.#node.reportSnapshot(id, fate === "installed");
  }

  /** Nobody needs entries up to `index` from this log. It is compacted up to there as soon as that is safe. */
  compact(index: number): void {
    this.#compactTarget = Math.max(this.#compactTarget, index);
    this.#maybeCompact();
  }

  /** The entries that `ports.readOlder` asked for; undefined if they are gone from the log. */
  olderRead(entries: readonly Entry[] | undefined): void {
    this.#log.fetched(entries);
    this.#node.entriesFetched();
  }

  status(): Status {
    return this.#node.status();
  }

  /** On a leader: what the slowest of its followers is known to have. Undefined: there is none. */
  slowestFollower(): number | undefined {
    if (this.role !== "leader" || this.#node.memberCount <= 1) return undefined;
    return Math.min(
      ...this.status()
        .members.filter(({ id }) => id !== this.#node.id)
        .map(({ match }) => match),
    );
  }

  /** The hard state that is on disk. */
  durableHardState(): HardState {
    return this.#durable;
  }

  get role(): Role {
    return this.#node.raft.role;
  }

  get term(): number {
    return this.#node.term;
  }

  /** Who leads, or 0. */
  get lead(): number {
    return this.#node.raft.lead;
  }

  get commitIndex(): number {
    return this.#node.raft.log.committed;
  }

  get appliedIndex(): number {
    return this.#node.appliedIndex;
  }

  get lastIndex(): number {
    return this.#node.raft.log.lastIndex();
  }

  /** The members as of `appliedIndex`. */
  get members(): ConfState {
    return this.#node.confState();
  }

  /** The term of the log at `index`, durable or not; undefined if it was compacted or is beyond the end. */
  termAt(index: number): number | undefined {
    return this.#node.raft.log.term(index);
  }

  /** Takes what the core wants done and has it done, until there is nothing left that can be done now. */
  pump(): void {
    while (this.#node.hasReady()) this.#take(this.#node.ready());
  }

  /** Every batch up to `number` is durable, with its snapshot restored. */
  persisted(number: number): void {
    assert(number <= this.#lastAppended && number > this.#persistedNumber, "batches are persisted in order, each once");
    this.#complete(number);
    this.#maybeCompact();
  }

  /** The state machine has applied everything up to `index`. */
  applied(index: number): void {
    if (index <= this.#node.appliedIndex) return;
    assert(index <= this.#handedToApply, "only what was handed over can be applied");
    let done = 0;
    for (const entry of this.#pendingConfig) {
      if (entry.index > index) break;
      done++;
      // Applied one by one, so that each takes effect where it stands (C9: those before a snapshot are skipped).
      const members = this.#node.applyConfChange(entry);
      this.#node.applied(entry.index);
      if (members !== undefined) this.#ports.membersChanged(members, entry.index);
    }
    this.#pendingConfig.splice(0, done);
    this.#node.applied(index);
    this.#appendParked();
    this.#maybeCompact();
    if (this.#log.isOverfull) this.#log.trim(this.#forgettable());
  }

  /** Up to where memory may forget: what a follower may need stays, unless the disk or a snapshot has it. */
  #forgettable(): number {
    const applied = this.#node.appliedIndex;
    if (this.#canReadOlder || this.#node.memberCount <= 1) return applied;
    return Math.min(applied, this.#ports.latestSnapshot()?.index ?? 0);
  }

  #take(ready: Ready): void {
    if (ready.softState !== undefined) this.#ports.roleChanged({ ...ready.softState, term: this.#node.term, lastIndex: this.lastIndex });
    const { hardState } = ready;
    if (hardState !== undefined) {
      assert(hardState.commit >= this.#handed.commit, "the commit index on disk never goes back");
      if (hardState.term !== this.#handed.term || hardState.vote !== this.#handed.vote) this.#termBatch = ready.number;
      this.#handed = hardState;
    }
    const isTermDurable = this.#termBatch <= this.#persistedNumber;
    if (isTermDurable) this.#sendAll(ready.messages);
    this.#handOver(ready, isTermDurable ? [] : ready.messages);
    this.#apply(ready.committedEntries);
    for (const { context, index } of ready.readStates) this.#ports.readable(context, index);
  }

  /** Gives the log what is to be made durable. What needs nothing but earlier batches is complete when they are. */
  #handOver(ready: Ready, held: readonly Message[]): void {
    const { number, hardState, snapshot, entries } = ready;
    const isBatch = isBatchOf(ready);
    if (!isBatch && held.length === 0 && ready.afterPersist.length === 0) return;
    this.#inFlight.push({ ready, held });
    if (!isBatch) {
      if (this.#batchCount === 0) this.#complete(number);
      return;
    }
    this.#batchCount++;
    this.#parked.push({ number, hardState, snapshot, entries, mustSync: isSynced(ready) });
    this.#appendParked();
  }

  /** Appends batches, up to one whose snapshot has to wait until the state machine is idle. */
  #appendParked(): void {
    while (true) {
      const batch = this.#parked[0];
      if (batch === undefined) return;
      if (batch.snapshot !== undefined && this.#node.appliedIndex < this.#handedToApply) return;
      this.#parked.shift();
      this.#lastAppended = batch.number;
      this.#ports.log.append(batch);
    }
  }

  /** Completes every Ready up to `number`, and those after it that wait for no batch. */
  #complete(number: number): void {
    while (true) {
      const next = this.#inFlight[0];
      if (next === undefined) return;
      const { ready, held } = next;
      if (ready.number > number && isBatchOf(ready)) return;
      this.#inFlight.shift();
      if (isBatchOf(ready)) this.#batchCount--;
      this.#completeOne(ready, held);
    }
  }

  #completeOne(ready: Ready, held: readonly Message[]): void {
    const { number, hardState, snapshot, entries } = ready;
    if (hardState !== undefined) this.#durable = hardState;
    if (snapshot !== undefined) {
      this.#log.restore(snapshot.index, snapshot.term);
      this.#handedToApply = Math.max(this.#handedToApply, snapshot.index);
    }
    this.#log.append(entries);
    this.#persistedNumber = number;
    this.#sendAll(held);
    this.#sendAll(ready.afterPersist);
    this.#node.persisted(number);
    if (snapshot !== undefined) this.#ports.membersChanged(snapshot.confState, snapshot.index);
  }

  #sendAll(messages: readonly Message[]): void {
    for (const message of messages) {
      if (message.to === this.#node.id) continue;
      if (message.type === "MsgSnap") this.#snapshots.started(message.to);
      this.#ports.send(message);
    }
  }

  #apply(entries: readonly Entry[]): void {
    const first = entries[0];
    const last = entries[entries.length - 1];
    if (first === undefined || last === undefined) return;
    assert(first.index === this.#handedToApply + 1, "entries are applied without gap or repeat");
    this.#handedToApply = last.index;
    for (const entry of entries) if (entry.type === "config") this.#pendingConfig.push(entry);
    this.#ports.apply(entries);
  }

  #maybeCompact(): void {
    if (this.#compactTarget < this.#log.firstIndex()) return;
    const index = Math.min(this.#compactTarget, this.#node.appliedIndex, this.#durable.commit, this.#log.lastIndex());
    if (index < this.#log.firstIndex()) return;
    const term = this.#log.term(index);
    // So old that memory does not know it: the next call goes further.
    if (term === undefined) return;
    this.#log.compact(index);
    this.#ports.log.compact({ index, term });
  }
}

/** Reads are named from here on at most: half of the safe integers, which leaves the other half for counting. */
const FIRST_READ_BITS = 52;

/** A snapshot is acknowledged to its sender: it is as durable as entries are. */
function isSynced(ready: Ready): boolean {
  return ready.mustSync || ready.snapshot !== undefined;
}

function isBatchOf(ready: Ready): boolean {
  return ready.hardState !== undefined || ready.snapshot !== undefined || ready.entries.length > 0;
}
