/** One simulated node: the production driver between a disk, a state machine and a network that can all fail. */
import { assert, seededRandom } from "../../base/mod.ts";
import type { BootstrapState, ConfState, Entry, Message, RaftOptions, Snapshot, Trace } from "../../raft/mod.ts";
import { RaftDriver, type OlderRange } from "../../replica/mod.ts";
import { SimDisk } from "./disk.ts";
import { proposalId } from "./hash.ts";
import type { ClientHistory } from "./history.ts";
import { SimMachine } from "./machine.ts";
import type { Observed, RaftOracle } from "./oracle.ts";

/** What a node needs of its world. */
export interface NodeWorld {
  readonly oracle: RaftOracle;
  readonly settings: Omit<RaftOptions, "id" | "random">;
  readonly seed: number;
  readonly trace: ((id: number, event: Parameters<Trace>[0]) => void) | undefined;
  readonly history: ClientHistory;
  /** The time. */
  readonly events: number;
  post(message: Message): void;
}

/** A read: the floor of the oracle, and the time, when it began. */
interface Read {
  readonly floor: number;
  readonly call: number;
  readonly register: number;
}

/** A node that can crash. */
export class SimNode implements Observed {
  readonly id: number;
  incarnation = 0;
  driver: RaftDriver | undefined;
  readonly disk = new SimDisk();
  readonly machine = new SimMachine();
  /** Entries handed to the state machine, which it has not applied yet. */
  readonly toApply: Entry[] = [];
  /** What the state machine has applied and the driver was not told of yet. */
  toAcknowledge = 0;
  /** The reads of this incarnation that were not answered yet. */
  readonly reads = new Map<number, Read>();
  /** Reads that wait for the state machine. */
  readonly #waiting: { readonly read: Read; readonly index: number }[] = [];
  snapshot: Snapshot | undefined;
  /** Reads of old entries, in all. */
  olderReadCount = 0;
  /** Ranges of old entries that the driver waits for. */
  readonly #olderReads: OlderRange[] = [];
  readonly #world: NodeWorld;

  constructor(id: number, world: NodeWorld) {
    this.id = id;
    this.#world = world;
  }

  /** Makes this one of the group's first nodes, before it starts for the first time. */
  found({ hardState, entries }: BootstrapState): void {
    this.#world.oracle.founded(entries);
    this.disk.pending.push({ number: 1, hardState, snapshot: undefined, entries, mustSync: true });
    this.persist(1);
    for (const entry of entries) {
      this.machine.apply(entry);
      this.#world.oracle.appliedEntry(this, entry, this.machine.chain);
    }
    this.machine.flush();
  }

  get isUp(): boolean {
    return this.driver !== undefined;
  }

  /** Starts with what is on disk. */
  boot(): void {
    assert(this.driver === undefined, "a node that runs is not started");
    this.incarnation++;
    const { oracle, settings, trace } = this.#world;
    const { disk, machine, id } = this;
    const random = seededRandom(this.#world.seed * 1_000_003 + id * 1009 + this.incarnation);
    const state = {
      hardState: disk.hardState,
      compacted: disk.compacted,
      entries: disk.entries(),
      applied: machine.applied,
      members: machine.members,
    };
    const options = {
      raft: { ...settings, id, random },
      random,
      // Every other world forgets what is applied almost at once, so that followers are caught up from the disk.
      maxLogBytes: this.#world.seed % 2 === 0 ? undefined : 200,
      trace: (event: Parameters<Trace>[0]) => {
        // At the moment itself: the owner of a busy node may hear of it much later.
        if (event.kind === "committed" && this.driver !== undefined) oracle.decided(this.driver, event.index, this.driver.members);
        else if (event.kind === "became-leader" && this.driver !== undefined) oracle.elected(this, this.driver);
        trace?.(id, event);
      },
    };
    this.driver = new RaftDriver(state, options, {
      log: { append: (batch) => disk.pending.push(batch), compact: ({ index }) => disk.compact(index) },
      send: (message) => {
        oracle.sent(this, message);
        this.#world.post(message);
      },
      apply: (entries) => {
        for (const entry of entries) this.toApply.push(entry);
      },
      readable: (read, index) => this.#readable(read, index),
      roleChanged: () => undefined,
      membersChanged: (members, index) => {
        if (index === machine.applied) assert(sameMembers(members, machine.members), "core and state machine agree about the members");
      },
      latestSnapshot: () => this.snapshot,
      readOlder: (range) => this.#olderReads.push(range),
    });
  }

  /** The process ends. `kept` of the batches on their way had reached the disk. */
  crash(kept: number, losesCommit: boolean): void {
    for (const batch of this.disk.crash(kept, losesCommit)) {
      if (batch.snapshot !== undefined) this.#install(batch.snapshot);
    }
    this.machine.crash();
    this.driver = undefined;
    this.toApply.length = 0;
    this.toAcknowledge = 0;
    this.reads.clear();
    this.#waiting.length = 0;
    this.#olderReads.length = 0;
    this.#world.oracle.written(this, { number: 0, hardState: undefined, snapshot: undefined, entries: [], mustSync: true });
  }

  /** The disk finishes up to `count` batches. */
  persist(count: number): void {
    let last = 0;
    for (let k = 0; k < count; k++) {
      const batch = this.disk.writeNext();
      if (batch === undefined) break;
      if (batch.snapshot !== undefined) this.#install(batch.snapshot);
      this.#world.oracle.written(this, batch);
      last = batch.number;
    }
    if (last > 0) this.driver?.persisted(last);
  }

  /** The state machine applies up to `count` entries. */
  apply(count: number): void {
    const done = this.toApply.splice(0, count);
    for (const entry of done) {
      this.machine.apply(entry);
      this.#world.oracle.appliedEntry(this, entry, this.machine.chain);
      this.#answerClient(entry);
    }
    const last = done[done.length - 1];
    if (last !== undefined) this.toAcknowledge = last.index;
    this.#answerReads();
  }

  /** A read of old entries is under way. */
  get readsOlder(): boolean {
    return this.#olderReads.length > 0;
  }

  /** The disk has read what a follower lacks. */
  readOlder(): void {
    const range = this.#olderReads.shift();
    if (range === undefined) return;
    this.olderReadCount++;
    const { window, compacted, lastIndex } = this.disk;
    const hi = Math.min(range.hi, lastIndex + 1);
    const isThere = range.lo > compacted.index && range.lo < hi;
    this.driver?.olderRead(isThere ? window.slice(range.lo, hi, range.maxBytes) : undefined);
  }

  /** The driver hears what was applied. */
  acknowledge(): void {
    if (this.toAcknowledge === 0) return;
    const index = this.toAcknowledge;
    this.toAcknowledge = 0;
    this.driver?.applied(index);
  }

  /** Begins a read. */
  read(register: number): void {
    const read = this.driver?.readIndex();
    if (read !== undefined) this.reads.set(read, { floor: this.#world.oracle.floor, call: this.#world.events, register });
  }

  /** A snapshot of what is applied, and the log shortened to `keep` entries before it. */
  compact(keep: number): void {
    if (this.driver === undefined || this.machine.applied <= this.disk.compacted.index) return;
    this.snapshot = this.machine.snapshot();
    const index = this.snapshot.index - keep;
    if (index > 0) this.driver.compact(index);
  }

  #install(snapshot: Snapshot): void {
    this.machine.restore(snapshot);
    this.snapshot = snapshot;
  }

  #readable(name: number, index: number): void {
    const read = this.reads.get(name);
    if (read === undefined) return;
    this.reads.delete(name);
    this.#world.oracle.readable(this, index, read.floor);
    this.#waiting.push({ read, index });
    this.#answerReads();
  }

  /** Reads are answered from what the state machine is then: that is at least what they were promised. */
  #answerReads(): void {
    for (let at = this.#waiting.length - 1; at >= 0; at--) {
      const { read, index } = this.#waiting[at] as { readonly read: Read; readonly index: number };
      if (this.machine.applied < index) continue;
      this.#waiting.splice(at, 1);
      this.#world.history.read(read.register, { call: read.call, ret: this.#world.events }, this.machine.register(read.register));
    }
  }

  /** The leader's client is told; nobody waits for an entry of an earlier term any more. */
  #answerClient(entry: Entry): void {
    const { driver } = this;
    const world = this.#world;
    if (entry.type === "normal" && entry.data.length > 0) world.history.applied(proposalId(entry.data), world.events);
    if (driver?.role === "leader" && entry.term === driver.term) world.oracle.acknowledged(entry.index);
  }
}

function sameMembers(left: ConfState, right: ConfState): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}
