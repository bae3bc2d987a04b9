/**
 * The consensus core of one node: terms, votes, roles, and what each role does with a message. Pure and synchronous: it
 * reads the stable log, changes itself, and leaves messages and entries for its caller to take. The rules of each role are
 * in follower.ts, candidate.ts and leader.ts; membership in membership.ts; elections in election.ts.
 *
 * Invariants:
 * 1. term never decreases; vote changes only from 0, or with the term.
 * 2. A leader's log only grows while it leads.
 * 3. Messages that promise something durable wait in `afterAppend`; all others in `messages`.
 */
import { assert, isSafeCount } from "../base/mod.ts";
import { stepCandidate } from "./candidate.ts";
import type { RaftConfig } from "./config.ts";
import { configurationOf } from "./configuration.ts";
import { handleVoteRequest, hup } from "./election.ts";
import { stepFollower } from "./follower.ts";
import { appliedTo as applyUpTo, stepLeader, tickLeader } from "./leader.ts";
import { RaftLog } from "./log.ts";
import { switchConfiguration } from "./membership.ts";
import { createMessage, isVoteType, promisesDurability, type Message, type MessageFields } from "./message.ts";
import { ReadRounds, type PendingRead } from "./reads.ts";
import { flushLeader } from "./replication.ts";
import type { LogStorage } from "./storage.ts";
import type { Trace } from "./trace.ts";
import { Tracker } from "./tracker.ts";
import type { ConfState, Entry, HardState, ReadState, Role, Snapshot } from "./types.ts";

/** What a message came to: "dropped" is a proposal that no leader takes here and now. */
export type StepOutcome = "ok" | "dropped";

/** What a node knows when it starts. */
export interface InitialState {
  readonly hardState: HardState;
  /** The members as of `applied`. */
  readonly confState: ConfState;
  /** What the state machine has applied; at least the log's compacted index. */
  readonly applied: number;
}

/** What a completed append attests: the log up to (`index`, `logTerm`), as it was in `term`, and a snapshot. */
export interface AppendMark {
  readonly term: number;
  readonly index: number;
  readonly logTerm: number;
  readonly snapshot: Snapshot | undefined;
}

/** The state machine. Its fields are for this room only; other rooms see RaftNode. */
export class Raft {
  readonly id: number;
  readonly config: RaftConfig;
  readonly log: RaftLog;
  readonly tracker: Tracker;
  readonly trace: Trace | undefined;

  term: number;
  vote: number;
  lead = 0;
  role: Role = "follower";

  /** Where leadership is being transferred to, or 0. */
  transferee = 0;
  /** This term's leader has told another to campaign at once: no lease holds any more. */
  leaseBroken = false;
  /** The index of the last membership change in the log that may not be applied yet; nothing is proposed beyond one. */
  pendingConfIndex = 0;
  /** Payload of entries that this leader took in and that are not applied. */
  uncommittedBytes = 0;
  /** The commit index that a quorum of the new voters must know before this removed leader stops; 0 if it stays. */
  handoverIndex = 0;
  reads: ReadRounds;
  /** Reads that came before this leader's first commit. */
  earlyReads: PendingRead[] = [];

  /** Appends are to be sent to all. */
  appendsDue = false;
  /** A read waits for a round. */
  roundDue = false;

  messages: Message[] = [];
  afterAppend: Message[] = [];
  readStates: ReadState[] = [];

  electionElapsed = 0;
  heartbeatElapsed = 0;
  randomizedElectionTicks = 0;
  /** Ticks since the start. */
  ticks = 0;
  /** The tick until which this node gives no vote, in lease mode. */
  #promiseEnd: number;

  constructor(config: RaftConfig, storage: LogStorage, initial: InitialState, trace: Trace | undefined) {
    this.id = config.id;
    this.config = config;
    this.trace = trace;
    this.#promiseEnd = config.leaseStartupTicks;
    this.reads = this.#newRounds();
    this.log = new RaftLog(storage, config, trace);
    this.tracker = new Tracker(config);
    const { hardState, confState, applied } = initial;
    assert(isSafeCount(hardState.term) && isSafeCount(hardState.vote) && isSafeCount(hardState.commit), "a hard state is of safe integers");
    this.term = hardState.term;
    this.vote = hardState.vote;
    switchConfiguration(this, configurationOf(confState));
    assert(hardState.commit === 0 || hardState.commit >= this.log.committed, "the commit index is not below the compacted log");
    this.log.commitTo(hardState.commit);
    if (applied > 0) this.log.appliedTo(applied, 0);
    this.becomeFollower(this.term, 0);
    this.trace?.({
      kind: "started",
      term: this.term,
      members: this.tracker.voters,
      commit: this.log.committed,
      applied: this.log.applied,
      lastIndex: this.log.lastIndex(),
      lastTerm: this.log.lastTerm(),
    });
  }

  hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.committed };
  }

  /** One tick of the clock. */
  tick(): void {
    this.ticks++;
    if (this.role === "leader") {
      tickLeader(this);
      return;
    }
    this.electionElapsed++;
    if (this.isPromotable() && this.electionElapsed >= this.randomizedElectionTicks) {
      hup(this, this.config.preVote ? "pre-vote" : "election");
      this.electionElapsed = 0;
    }
  }

  /** Takes a message from the network, or from this node's own host. */
  step(message: Message): StepOutcome {
    assert(
      isSafeCount(message.term) && isSafeCount(message.index) && isSafeCount(message.commit),
      "a message's positions are safe integers",
    );
    if (this.#isHeldBack(message)) return "ok";
    if (message.term > this.term) {
      this.#acceptHigherTerm(message);
    } else if (message.term !== 0 && message.term < this.term) {
      this.#answerLowerTerm(message);
      return "ok";
    }
    if (message.type === "MsgHup") hup(this, this.config.preVote ? "pre-vote" : "election");
    else if (message.type === "MsgVote" || message.type === "MsgPreVote") handleVoteRequest(this, message);
    else return this.#stepRole(message);
    return "ok";
  }

  /** The host made the log durable as `mark` says. */
  appendDone(mark: AppendMark): void {
    if (mark.index !== 0) {
      // What an earlier term's append wrote may have been overwritten since, in a write that is still on its way.
      if (mark.term === this.term) this.log.unstable.stableTo(mark.index, mark.logTerm);
      else this.trace?.({ kind: "append-ignored-lower-term", appendTerm: mark.term, term: this.term });
    }
    if (mark.snapshot === undefined) return;
    this.log.unstable.stableSnapshotTo(mark.snapshot.index);
    this.appliedTo(Math.max(mark.snapshot.index, this.log.applied), 0, 0);
  }

  /** The host applied everything up to `index`: of what was handed out, `bytes` in all and `payload` in payloads. */
  appliedTo(index: number, bytes: number, payload: number): void {
    applyUpTo(this, index, bytes);
    this.uncommittedBytes = Math.max(0, this.uncommittedBytes - payload);
  }

  /** Sends what was left to be sent once per Ready. */
  flush(): void {
    if (this.role === "leader") flushLeader(this);
  }

  becomeFollower(term: number, lead: number): void {
    this.reset(term);
    this.lead = lead;
    this.role = "follower";
    this.trace?.({ kind: "became-follower", term });
  }

  becomeCandidate(): void {
    assert(this.role !== "leader", "a leader does not become a candidate");
    this.reset(this.term + 1);
    this.vote = this.id;
    this.role = "candidate";
    this.trace?.({ kind: "became-candidate", term: this.term });
  }

  becomePreCandidate(): void {
    assert(this.role !== "leader", "a leader does not become a pre-candidate");
    // Neither term nor vote changes: a pre-vote only asks.
    this.tracker.resetVotes();
    this.lead = 0;
    this.role = "pre-candidate";
    this.trace?.({ kind: "became-pre-candidate", term: this.term });
  }

  /** Draws how long this node waits for a leader. */
  drawElectionTimeout(): void {
    this.randomizedElectionTicks = this.config.electionTicks + this.config.random.below(this.config.electionTicks);
  }

  /** A voter that is not waiting for a snapshot. */
  isPromotable(): boolean {
    const progress = this.tracker.progress(this.id);
    return progress !== undefined && !progress.isLearner && !this.log.hasPendingSnapshot();
  }

  /** For how long no vote is given: a leader was heard from, or was promised that nobody else would be. */
  leaseTicksLeft(): number {
    const known = this.config.checkQuorum && this.lead !== 0 ? this.config.electionTicks - this.electionElapsed : 0;
    return Math.max(0, known, this.promiseTicksLeft());
  }

  /**
   * For how long a leader may count on this node in lease mode, whatever term this node has come to since. A node that starts does
   * not know what it promised before.
   */
  promiseTicksLeft(): number {
    return this.config.readMode === "lease" ? Math.max(0, this.#promiseEnd - this.ticks) : 0;
  }

  /** This node answers a leader's round: it gives no vote for an election timeout. */
  promiseLease(): void {
    this.#promiseEnd = this.ticks + this.config.electionTicks;
  }

  /** Puts a message where its kind belongs, with sender and term filled in. */
  send(fields: MessageFields): void {
    const message = createMessage(fields);
    if (message.from === 0) message.from = this.id;
    if (isVoteType(message.type)) assert(message.term !== 0, "a vote says for which term");
    else if (message.type !== "MsgProp" && message.type !== "MsgReadIndex") message.term = this.term;
    if (message.type === "MsgAppResp" || message.type === "MsgHeartbeatResp") message.knownCommit = this.log.committed;
    if (promisesDurability(message.type)) {
      this.#sendAfterAppend(message);
      return;
    }
    assert(message.to !== this.id, "a message to oneself is only a promise of durability");
    this.messages.push(message);
  }

  reset(term: number): void {
    if (this.term !== term) {
      assert(term > this.term, "terms only grow");
      this.term = term;
      this.vote = 0;
    }
    this.lead = 0;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.drawElectionTimeout();
    this.transferee = 0;
    this.leaseBroken = false;
    this.handoverIndex = 0;
    this.appendsDue = false;
    this.roundDue = false;
    this.tracker.resetVotes();
    this.tracker.resetProgress(this.id, this.log.lastIndex());
    this.pendingConfIndex = 0;
    this.uncommittedBytes = 0;
    this.reads = this.#newRounds();
    this.earlyReads = [];
  }

  #newRounds(): ReadRounds {
    return new ReadRounds(this.config.readMode === "lease" ? this.config.electionTicks : 0);
  }

  #stepRole(message: Message): StepOutcome {
    if (this.role === "leader") return stepLeader(this, message);
    return this.role === "follower" ? stepFollower(this, message) : stepCandidate(this, message);
  }

  /** True for a request for a vote that a live leader's lease holds back (section 6 of the paper; 4.2.3 and 6.4.1 of the thesis). */
  #isHeldBack(message: Message): boolean {
    const { type, term, force } = message;
    if ((type !== "MsgVote" && type !== "MsgPreVote") || force || term < this.term) return false;
    const ticksLeft = term > this.term ? this.leaseTicksLeft() : this.promiseTicksLeft();
    if (ticksLeft === 0) return false;
    this.trace?.({ kind: "vote-ignored-lease", message, vote: this.vote, term: this.term, ticksLeft, ...this.logEnd() });
    return true;
  }

  #acceptHigherTerm(message: Message): void {
    const { type } = message;
    // A pre-vote asks about a term that nobody is in; a granted answer repeats it. A refusal carries its sender's own term.
    if (type === "MsgPreVote" || (type === "MsgPreVoteResp" && !message.reject)) return;
    this.trace?.({ kind: "higher-term", message, term: this.term });
    const isLeader = type === "MsgApp" || type === "MsgHeartbeat" || type === "MsgSnap";
    this.becomeFollower(message.term, isLeader ? message.from : 0);
  }

  #answerLowerTerm(message: Message): void {
    const { type } = message;
    if ((this.config.checkQuorum || this.config.preVote) && (type === "MsgHeartbeat" || type === "MsgApp")) {
      // A leader of a lower term lives, and this node can't vote it out: its own term is ahead, and leases and pre-votes keep
      // it from being heard. Its term in the answer deposes that leader, and an election brings all to one term.
      this.send({ type: "MsgAppResp", to: message.from });
    } else if (type === "MsgPreVote") {
      this.trace?.({ kind: "vote-rejected", message, vote: this.vote, term: this.term, ...this.logEnd() });
      this.send({ type: "MsgPreVoteResp", to: message.from, term: this.term, reject: true, ...this.commitFact() });
    } else {
      this.trace?.({ kind: "lower-term-ignored", message, term: this.term });
    }
  }

  /** What this node knows to be committed, to be told to a candidate that it refuses: it may be waiting for just that. */
  commitFact(): { readonly knownCommit: number; readonly knownCommitTerm: number } {
    const term = this.log.term(this.log.committed);
    return term === undefined ? { knownCommit: 0, knownCommitTerm: 0 } : { knownCommit: this.log.committed, knownCommitTerm: term };
  }

  logEnd(): { readonly lastTerm: number; readonly lastIndex: number } {
    return { lastTerm: this.log.lastTerm(), lastIndex: this.log.lastIndex() };
  }

  /** Entries committed but not applied that change the membership. */
  hasUnappliedConfChange(): boolean {
    const end = this.log.committed + 1;
    for (let at = this.log.applied + 1; at < end;) {
      const entries: readonly Entry[] | undefined = this.log.slice(at, end, SCAN_BYTES);
      assert(entries !== undefined && entries.length > 0, "what is not applied is not compacted");
      for (const entry of entries) if (entry.type === "config") return true;
      at += entries.length;
    }
    return false;
  }

  #sendAfterAppend(message: Message): void {
    const last = this.afterAppend[this.afterAppend.length - 1];
    if (this.config.coalesce && last !== undefined && isOlderAck(last, message)) this.afterAppend[this.afterAppend.length - 1] = message;
    else this.afterAppend.push(message);
  }
}

/** Unit: bytes. How much of the log is looked at in one piece. */
const SCAN_BYTES = 1024 * 1024;

/** True if `next` acknowledges all that `last` does, to the same node in the same term. */
function isOlderAck(last: Message, next: Message): boolean {
  if (last.type !== "MsgAppResp" || next.type !== "MsgAppResp" || last.reject || next.reject) return false;
  return last.to === next.to && last.term === next.term && last.index <= next.index && last.index !== 0;
}
