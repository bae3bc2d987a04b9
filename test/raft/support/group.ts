/** A few cores with stores that answer at once, and a network in the test's hand. */
import { seededRandom } from "../../../src/base/mod.ts";
import {
  createMessage,
  EMPTY_CONF_STATE,
  RaftNode,
  type Entry,
  type Message,
  type MessageFields,
  type RaftOptions,
  type ReadState,
} from "../../../src/raft/mod.ts";
import { ScriptStorage } from "./script-storage.ts";

export type GroupOptions = Omit<RaftOptions, "id" | "random">;

/** What a peer begins with. */
export interface PeerStart {
  readonly voters?: readonly number[];
  readonly learners?: readonly number[];
  readonly term?: number;
  readonly vote?: number;
  readonly commit?: number;
  /** The terms of its entries 1, 2, 3, ... */
  readonly log?: readonly number[];
}

/** An entry with no payload. */
export function entry(term: number, index: number, data = new Uint8Array()): Entry {
  return { term, index, type: "normal", data };
}

/** One core and its store. */
export class Peer {
  readonly node: RaftNode;
  readonly storage: ScriptStorage;
  readonly applied: Entry[] = [];
  readonly reads: ReadState[] = [];
  /** What it has sent and nobody has delivered. */
  out: Message[] = [];

  constructor(id: number, start: PeerStart = {}, options: GroupOptions = {}) {
    const confState = { ...EMPTY_CONF_STATE, voters: start.voters ?? [1, 2, 3], learners: start.learners ?? [] };
    this.storage = new ScriptStorage({ index: 0, term: 0, confState, data: new Uint8Array() });
    this.storage.append((start.log ?? []).map((term, at) => entry(term, at + 1)));
    const hardState = { term: start.term ?? start.log?.at(-1) ?? 0, vote: start.vote ?? 0, commit: start.commit ?? 0 };
    const defaults: GroupOptions = { preVote: false, checkQuorum: false, applyUnstable: true, coalesce: false };
    this.node = new RaftNode({ ...defaults, ...options, id, random: seededRandom(id) }, this.storage, { hardState, confState, applied: 0 });
  }

  get id(): number {
    return this.node.id;
  }

  get raft(): RaftNode["raft"] {
    return this.node.raft;
  }

  /** Stores, applies and sends what the core wants done. */
  process(): void {
    while (this.node.hasReady()) {
      const ready = this.node.ready();
      if (ready.hardState !== undefined) this.storage.hardState = ready.hardState;
      if (ready.snapshot !== undefined) this.storage.restore(ready.snapshot);
      this.storage.append(ready.entries);
      for (const one of ready.committedEntries) {
        if (one.type === "config") this.node.applyConfChange(one);
        this.applied.push(one);
        this.storage.history.push({ index: one.index, term: one.term, confState: this.node.confState(), data: new Uint8Array() });
      }
      this.out.push(...ready.messages, ...ready.afterPersist.filter((message) => message.to !== this.id));
      this.reads.push(...ready.readStates);
      this.node.persisted(ready.number);
      const last = ready.committedEntries.at(-1);
      if (last !== undefined) this.node.applied(last.index);
    }
  }

  /** Steps a message of the given fields, addressed to this peer, and processes what comes of it. Returns what it sent. */
  receive(fields: Omit<MessageFields, "to">): Message[] {
    this.node.step(createMessage({ ...fields, to: this.id }));
    this.process();
    return this.take();
  }

  tick(times = 1): void {
    for (let k = 0; k < times; k++) this.node.tick();
    this.process();
  }

  take(): Message[] {
    const { out } = this;
    this.out = [];
    return out;
  }

  /** The terms of its log. */
  terms(): number[] {
    return this.storage.all().map((one) => one.term);
  }

  propose(...texts: readonly string[]): void {
    this.node.propose(texts.map((text) => new TextEncoder().encode(text)));
    this.process();
  }
}

/** Several peers. */
export class Group {
  readonly peers: readonly Peer[];
  /** Messages that this refuses are lost. */
  lets: (message: Message) => boolean = () => true;

  constructor(peers: readonly Peer[]) {
    this.peers = peers;
  }

  static of(size: number, options: GroupOptions = {}): Group {
    const voters = Array.from({ length: size }, (_, k) => k + 1);
    return new Group(voters.map((id) => new Peer(id, { voters }, options)));
  }

  peer(id: number): Peer {
    const found = this.peers.find((one) => one.id === id);
    if (found === undefined) throw new Error(`there is no peer ${id}`);
    return found;
  }

  /** Delivers until nothing is on its way. */
  settle(): void {
    for (;;) {
      for (const one of this.peers) one.process();
      const messages = this.peers.flatMap((one) => one.take());
      if (messages.length === 0) return;
      for (const message of messages) {
        if (this.lets(message)) this.peers.find((one) => one.id === message.to)?.node.step(message);
      }
    }
  }

  /** Only messages between these get through from now on; none means all. */
  connect(...ids: readonly number[]): void {
    this.lets = ids.length === 0 ? () => true : ({ from, to }) => ids.includes(from) && ids.includes(to);
  }

  elect(id: number): void {
    this.peer(id).node.campaign();
    this.settle();
  }
}
