/**
 * One node of the group, as its driver sees it. Everything that the core wants done comes out in numbered Readys; what was
 * done goes back in as `persisted(number)` and `applied(index)`. The contract is in DESIGN.md; the driver in src/replica keeps it.
 */
import { assert } from "../base/mod.ts";
import { decodeConfChange, encodeConfChange, type ConfChange } from "./conf-change.ts";
import { completeOptions, type RaftOptions } from "./config.ts";
import { confStateOf, type Configuration } from "./configuration.ts";
import { confChangeRefusal, propose, type Proposal, type ProposalRefusal } from "./leader.ts";
import { applyConfChange, configurationAfter } from "./membership.ts";
import { createMessage, isLocalType, isResponseType, type Message } from "./message.ts";
import type { ProgressState } from "./progress.ts";
import { Raft, type AppendMark, type InitialState, type StepOutcome } from "./raft.ts";
import { sendWhatIsNew } from "./replication.ts";
import type { LogStorage } from "./storage.ts";
import type { Trace } from "./trace.ts";
import {
  entryBytes,
  totalBytes,
  type ConfState,
  type Entry,
  type HardState,
  type ReadState,
  type Role,
  type Snapshot,
  type SoftState,
} from "./types.ts";

/** What the core wants done. Arrays are the taker's. */
export interface Ready {
  /** 1, 2, 3, ... in one incarnation. */
  readonly number: number;
  /** Who leads and what this node is, if that changed. */
  readonly softState: SoftState | undefined;
  /** To make durable, if it changed. */
  readonly hardState: HardState | undefined;
  /** To restore and make durable, before the entries. */
  readonly snapshot: Snapshot | undefined;
  /** To make durable. They replace everything in the log from the first one's index on. */
  readonly entries: readonly Entry[];
  /** To apply, in order. */
  readonly committedEntries: readonly Entry[];
  /** To send once the term of `hardState`, or of the last one before, is durable. */
  readonly messages: readonly Message[];
  /** To send once this Ready is durable. Those to this node itself are counted by `persisted`; the driver leaves them. */
  readonly afterPersist: readonly Message[];
  /** Reads that may be answered once their index is applied. */
  readonly readStates: readonly ReadState[];
  /** What `persisted(number)` will attest. */
  readonly mark: AppendMark | undefined;
  /** Entries, term or vote changed: durable means synced. A commit index alone may be lost. */
  readonly mustSync: boolean;
}

/** What a proposal came to. "not-leader": `leader` may take it; 0 if none is known. */
export type ProposeOutcome =
  | { readonly ok: true; readonly term: number; readonly firstIndex: number }
  | { readonly ok: false; readonly reason: "not-leader" | ProposalRefusal; readonly leader: number };

/** What a proposed membership change came to. "refused": `detail` says why this configuration does not allow it now. */
export type ConfChangeOutcome =
  | ProposeOutcome
  | { readonly ok: false; readonly reason: "refused"; readonly detail: string; readonly leader: number };

/** What stepping a message came to. "unknown-peer": an answer from a node that is no member; "local": not a network's message. */
export type MessageOutcome = StepOutcome | "unknown-peer" | "local";

/** How one member stands, as its leader sees it. */
export interface MemberStatus {
  readonly id: number;
  readonly match: number;
  readonly next: number;
  readonly state: ProgressState;
  readonly isLearner: boolean;
  readonly isActive: boolean;
  readonly isPaused: boolean;
  readonly pendingSnapshot: number;
  readonly inflightMessages: number;
  readonly inflightBytes: number;
}

/** How this node stands. */
export interface Status {
  readonly id: number;
  readonly role: Role;
  readonly term: number;
  readonly vote: number;
  readonly lead: number;
  readonly commit: number;
  readonly applied: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  readonly transferee: number;
  /** On a leader: bytes of payload that it took in and that are not applied here. */
  readonly uncommittedBytes: number;
  readonly confState: ConfState;
  /** Filled on a leader; else empty. */
  readonly members: readonly MemberStatus[];
}

interface HandedOut {
  readonly number: number;
  readonly mark: AppendMark | undefined;
  readonly own: readonly Message[];
}

/** The core with its Readys. */
export class RaftNode {
  /** The core itself: for this room and its tests. */
  readonly raft: Raft;
  #number = 0;
  #persistedNumber = 0;
  #softState: SoftState;
  #hardState: HardState;
  readonly #handedOut: HandedOut[] = [];
  /** Entries handed out for application and not yet acknowledged, oldest first. */
  readonly #applyingEntries: Entry[] = [];
  #applyingHead = 0;

  constructor(options: RaftOptions, storage: LogStorage, initial: InitialState, trace?: Trace) {
    this.raft = new Raft(completeOptions(options), storage, initial, trace);
    this.#softState = { lead: this.raft.lead, role: this.raft.role };
    this.#hardState = this.raft.hardState();
  }

  get id(): number {
    return this.raft.id;
  }

  get term(): number {
    return this.raft.term;
  }

  /** The last index that the state machine is known to have applied. */
  get appliedIndex(): number {
    return this.raft.log.applied;
  }

  /** Voters of both halves, and learners. */
  get memberCount(): number {
    return this.raft.tracker.members.length;
  }

  tick(): void {
    this.raft.tick();
  }

  /** Takes a message from the network. */
  step(message: Message): MessageOutcome {
    if (isLocalType(message.type)) return "local";
    if (isResponseType(message.type) && this.raft.tracker.progress(message.from) === undefined) return "unknown-peer";
    return this.raft.step(message);
  }

  /** Campaigns now, with a pre-vote if that is configured. */
  campaign(): void {
    this.#local({ type: "MsgHup", to: this.raft.id });
  }

  /** Appends to the log of this node, if it leads. */
  propose(data: readonly Uint8Array[]): ProposeOutcome {
    const proposals: Proposal[] = [];
    for (const bytes of data) proposals.push({ type: "normal", data: bytes });
    return this.#proposeHere(proposals);
  }

  /** Proposes a membership change, if this node leads and the configuration allows it now. */
  proposeConfChange(change: ConfChange): ConfChangeOutcome {
    const { raft } = this;
    if (raft.role === "leader") {
      const reason = confChangeRefusal(raft, change) ?? this.#changeRefusal(change);
      if (reason !== undefined) return { ok: false, reason: "refused", detail: reason, leader: raft.lead };
    }
    return this.#proposeHere([{ type: "config", data: encodeConfChange(change) }]);
  }

  /** Sends proposals through the leader, wherever it is; they may be lost on the way. */
  forward(proposals: readonly Proposal[]): StepOutcome {
    const entries = proposals.map(({ type, data }): Entry => ({ index: 0, term: 0, type, data }));
    return this.raft.step(createMessage({ type: "MsgProp", from: this.raft.id, to: this.raft.id, entries }));
  }

  /** Asks for a read named `context`. A ReadState may follow; after a change of leader, or a timeout, ask again by another name. */
  readIndex(context: number): StepOutcome {
    return this.#local({ type: "MsgReadIndex", to: this.raft.id, context });
  }

  /** Asks the leader to hand its place to `to`. */
  transferLeader(to: number): void {
    this.#local({ type: "MsgTransferLeader", to: this.raft.id, from: to });
  }

  /** Forgets who leads, so that this follower grants pre-votes. Refused in lease mode. */
  forgetLeader(): void {
    this.#local({ type: "MsgForgetLeader", to: this.raft.id });
  }

  reportUnreachable(id: number): void {
    this.#local({ type: "MsgUnreachable", to: this.raft.id, from: id });
  }

  /** The snapshot sent to `id` was installed, or was not. */
  reportSnapshot(id: number, installed: boolean): void {
    this.#local({ type: "MsgSnapStatus", to: this.raft.id, from: id, reject: !installed });
  }

  /** Entries that a follower lacks have come into memory. */
  entriesFetched(): void {
    if (this.raft.role === "leader") sendWhatIsNew(this.raft);
  }

  hasReady(): boolean {
    const { raft } = this;
    raft.flush();
    if (raft.messages.length > 0 || raft.afterAppend.length > 0 || raft.readStates.length > 0) return true;
    if (raft.log.unstable.hasNextEntries() || raft.log.unstable.nextSnapshot() !== undefined) return true;
    if (raft.log.hasNextCommitted(raft.config.applyUnstable)) return true;
    return this.#nextSoftState() !== undefined || this.#nextHardState() !== undefined;
  }

  /** Takes everything that is to be done. */
  ready(): Ready {
    const { raft } = this;
    raft.flush();
    const softState = this.#nextSoftState();
    const hardState = this.#nextHardState();
    const previous = this.#hardState;
    const { unstable } = raft.log;
    const entries = unstable.nextEntries();
    const ready: Ready = {
      number: ++this.#number,
      softState,
      hardState,
      snapshot: unstable.nextSnapshot(),
      entries,
      committedEntries: raft.log.nextCommitted(raft.config.applyUnstable),
      messages: raft.messages,
      afterPersist: raft.afterAppend,
      readStates: raft.readStates,
      mark: this.#mark(),
      mustSync: entries.length > 0 || previous.term !== raft.term || previous.vote !== raft.vote,
    };
    this.#accept(ready);
    return ready;
  }

  /** All Readys up to `number` are durable. Persisting happens in order. */
  persisted(number: number): void {
    assert(number > this.#persistedNumber && number <= this.#number, "Readys are persisted in order, each once");
    this.#persistedNumber = number;
    let done = 0;
    for (const out of this.#handedOut) {
      if (out.number > number) break;
      done++;
      for (const message of out.own) this.raft.step(message);
      if (out.mark !== undefined) this.raft.appendDone(out.mark);
    }
    this.#handedOut.splice(0, done);
  }

  /** The state machine has applied everything up to `index`. Older news are ignored. */
  applied(index: number): void {
    const { log } = this.raft;
    if (index <= log.applied) return;
    let bytes = 0;
    let payload = 0;
    while (this.#applyingHead < this.#applyingEntries.length) {
      const entry = this.#applyingEntries[this.#applyingHead] as Entry;
      if (entry.index > index) break;
      bytes += entryBytes(entry);
      payload += entry.data.length;
      this.#applyingHead++;
    }
    // Packed now and then: under load there may always be something on its way.
    if (this.#applyingHead * 2 >= this.#applyingEntries.length) {
      this.#applyingEntries.splice(0, this.#applyingHead);
      this.#applyingHead = 0;
    }
    this.raft.appliedTo(index, bytes, payload);
  }

  /** Applies the membership change of a committed entry; undefined if it came before the last snapshot. Before `applied` of it. */
  applyConfChange(entry: Entry): ConfState | undefined {
    assert(entry.type === "config", "a membership change is in an entry of its own type");
    if (entry.index <= this.raft.log.applied || this.#isBehindSnapshot(entry.index)) return undefined;
    const change = decodeConfChange(entry.data);
    assert(change !== undefined, "a committed membership change is well formed");
    return applyConfChange(this.raft, change);
  }

  confState(): ConfState {
    return confStateOf(this.raft.tracker.config);
  }

  configuration(): Configuration {
    return this.raft.tracker.config;
  }

  status(): Status {
    const { raft } = this;
    return {
      id: raft.id,
      role: raft.role,
      term: raft.term,
      vote: raft.vote,
      lead: raft.lead,
      commit: raft.log.committed,
      applied: raft.log.applied,
      firstIndex: raft.log.firstIndex(),
      lastIndex: raft.log.lastIndex(),
      transferee: raft.transferee,
      uncommittedBytes: raft.uncommittedBytes,
      confState: this.confState(),
      members: raft.role === "leader" ? this.#memberStatuses() : [],
    };
  }

  #memberStatuses(): readonly MemberStatus[] {
    return this.raft.tracker.members.map((id) => {
      const progress = this.raft.tracker.progress(id);
      assert(progress !== undefined, "every member has progress");
      return {
        id,
        match: progress.match,
        next: progress.next,
        state: progress.state,
        isLearner: progress.isLearner,
        isActive: progress.recentActive,
        isPaused: progress.isPaused(),
        pendingSnapshot: progress.pendingSnapshot,
        inflightMessages: progress.inflights.count,
        inflightBytes: progress.inflights.byteCount,
      };
    });
  }

  #local(fields: Parameters<typeof createMessage>[0]): StepOutcome {
    return this.raft.step(createMessage(fields));
  }

  #proposeHere(proposals: readonly Proposal[]): ProposeOutcome {
    const { raft } = this;
    if (raft.role !== "leader") return { ok: false, reason: "not-leader", leader: raft.lead };
    const firstIndex = raft.log.lastIndex() + 1;
    const reason = propose(raft, proposals);
    return reason === undefined ? { ok: true, term: raft.term, firstIndex } : { ok: false, reason, leader: raft.lead };
  }

  #changeRefusal(change: ConfChange): string | undefined {
    const result = configurationAfter(this.raft.tracker.config, change);
    return result.ok ? undefined : result.reason;
  }

  #isBehindSnapshot(index: number): boolean {
    const { snapshot } = this.raft.log.unstable;
    return snapshot !== undefined && index <= snapshot.index;
  }

  #nextSoftState(): SoftState | undefined {
    const { lead, role } = this.raft;
    return lead === this.#softState.lead && role === this.#softState.role ? undefined : { lead, role };
  }

  #nextHardState(): HardState | undefined {
    const { raft } = this;
    const hardState = this.#hardState;
    if (raft.term === hardState.term && raft.vote === hardState.vote && raft.log.committed === hardState.commit) return undefined;
    return raft.hardState();
  }

  /** Everything that is unstable now will be durable once this Ready is: what was handed out before is persisted before. */
  #mark(): AppendMark | undefined {
    const { term, log } = this.raft;
    const { snapshot, count } = log.unstable;
    if (count === 0 && snapshot === undefined) return undefined;
    return { term, index: count === 0 ? 0 : log.lastIndex(), logTerm: count === 0 ? 0 : log.lastTerm(), snapshot };
  }

  #accept(ready: Ready): void {
    const { raft } = this;
    if (ready.softState !== undefined) this.#softState = ready.softState;
    if (ready.hardState !== undefined) this.#hardState = ready.hardState;
    raft.messages = [];
    raft.afterAppend = [];
    raft.readStates = [];
    raft.log.unstable.acceptInProgress();
    const last = ready.committedEntries[ready.committedEntries.length - 1];
    if (last !== undefined) {
      raft.log.acceptApplying(last.index, totalBytes(ready.committedEntries), raft.config.applyUnstable);
      for (const entry of ready.committedEntries) this.#applyingEntries.push(entry);
    }
    const own = ready.afterPersist.filter((message) => message.to === raft.id);
    if (own.length > 0 || ready.mark !== undefined) this.#handedOut.push({ number: ready.number, mark: ready.mark, own });
  }
}
