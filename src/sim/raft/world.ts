/** A simulated group: nodes, a network that loses, delays, repeats and reorders, and what can be done to them. */
import { EMPTY_BYTES, seededRandom } from "../../base/mod.ts";
import {
  bootstrapState,
  type BootstrapState,
  type ConfChangeKind,
  type Message,
  type RaftOptions,
  type TraceEvent,
} from "../../raft/mod.ts";
import { REGISTERS } from "./disk.ts";
import { mix } from "./hash.ts";
import { ClientHistory } from "./history.ts";
import { InvariantViolation, RaftOracle } from "./oracle.ts";
import { SimNode, type NodeWorld } from "./node.ts";

/** What a run is made of. */
export interface WorldSettings {
  readonly seed: number;
  readonly voters: number;
  readonly learners: number;
  /** Ids that may be added later are (voters + learners, maxNodes]. */
  readonly maxNodes: number;
  readonly raft: Omit<RaftOptions, "id" | "random">;
  /** Told what happens, for a readable trace. */
  readonly listen?: ((line: WorldLine, world: RaftWorld) => void) | undefined;
}

/** One line of a trace. */
export type WorldLine =
  | { readonly kind: "event"; readonly node: number; readonly event: TraceEvent }
  | { readonly kind: "delivered" | "posted" | "dropped"; readonly message: Message }
  /** A node's disk finished a write; a node took in a membership change. */
  | { readonly kind: "persisted"; readonly node: number }
  | { readonly kind: "changed"; readonly node: number }
  | { readonly kind: "action"; readonly text: string };

/** Messages beyond this are lost: a network has only so many buffers. */
const POOL_MAX = 1500;
/** Old messages that are kept for being delivered once more. */
const VAULT_SIZE = 256;

/** The group and its network. */
export class RaftWorld implements NodeWorld {
  readonly oracle: RaftOracle;
  readonly nodes = new Map<number, SimNode>();
  readonly history = new ClientHistory();
  /** How often, in percent, a node's driver is not pumped at once: its owner has more to do in this turn. */
  lazyPercent = 0;
  readonly settings: Omit<RaftOptions, "id" | "random">;
  readonly seed: number;
  /** What the run did, as a number. */
  hash = 0;
  /** Everything that happened: deliveries, ticks, writes, applications, calls. */
  events = 0;
  readonly pool: Message[] = [];
  readonly trace: NodeWorld["trace"];
  readonly #vault: Message[] = [];
  readonly #blocked = new Set<number>();
  /** The terms in which nodes were cut off from all others, with pre-vote. */
  readonly #cutOff = new Map<number, number>();
  readonly #listen: WorldSettings["listen"];
  readonly #maxNodes: number;
  readonly #founders: BootstrapState;
  #nextProposal = 1;
  readonly #random: { u32(): number };

  constructor(settings: WorldSettings) {
    this.seed = settings.seed;
    this.settings = settings.raft;
    this.#listen = settings.listen;
    this.#maxNodes = settings.maxNodes;
    this.#random = seededRandom(settings.seed);
    const listen = settings.listen;
    this.trace = listen === undefined ? undefined : (node, event) => listen({ kind: "event", node, event }, this);
    this.oracle = new RaftOracle(this.nodes);
    const ids = (from: number, count: number): number[] => Array.from({ length: count }, (_, k) => from + k);
    const count = settings.voters + settings.learners;
    this.#founders = bootstrapState(ids(1, count).map((id) => ({ id, isLearner: id > settings.voters, context: EMPTY_BYTES })));
    for (const id of ids(1, count)) this.#addNode(id);
  }

  /** Uniform in [0, bound). */
  below(bound: number): number {
    return Math.floor((this.#random.u32() / 0x1_0000_0000) * bound);
  }

  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  say(text: string): void {
    this.#listen?.({ kind: "action", text }, this);
  }

  /** Something happens to `node`, after which its driver does what it can. */
  touch(node: SimNode, code: number, detail: number): void {
    this.events++;
    this.hash = mix(mix(this.hash, code * 16 + node.id), detail);
    if (this.lazyPercent === 0 || !this.chance(this.lazyPercent)) node.driver?.pump();
    this.oracle.observe(node);
    const cutOffIn = this.#cutOff.get(node.id);
    if (cutOffIn !== undefined) this.oracle.checkIsolated(node, cutOffIn);
  }

  post(message: Message): void {
    if (this.pool.length >= POOL_MAX) {
      this.pool[this.below(this.pool.length)] = message;
      return;
    }
    this.#listen?.({ kind: "posted", message }, this);
    this.pool.push(message);
  }

  /** Delivers the message at `at`, or loses it. `how`: keep a copy, keep it for much later, or not. */
  deliver(at: number, how: "once" | "again"): void {
    const message = this.pool[at];
    if (message === undefined) return;
    const last = this.pool.pop() as Message;
    if (how === "again") this.pool.push(last);
    else if (at < this.pool.length) this.pool[at] = last;
    this.deliverMessage(message);
  }

  deliverMessage(message: Message): void {
    const node = this.nodes.get(message.to);
    if (node?.driver === undefined || this.isBlocked(message.from, message.to)) {
      this.#lose(message);
      return;
    }
    this.#keep(message);
    this.#listen?.({ kind: "delivered", message }, this);
    node.driver.step(message);
    this.touch(node, 1, message.term * 1024 + message.index);
  }

  drop(at: number): void {
    const message = this.pool[at];
    if (message === undefined) return;
    const last = this.pool.pop() as Message;
    if (at < this.pool.length) this.pool[at] = last;
    this.#lose(message);
  }

  /** An old message arrives once more. */
  replay(): void {
    const message = this.#vault[this.below(this.#vault.length)];
    if (message !== undefined) this.deliverMessage(message);
  }

  tick(node: SimNode): void {
    node.driver?.tick();
    this.touch(node, 2, 0);
  }

  /** Every node that runs ticks once. */
  tickAll(): void {
    for (const node of this.nodes.values()) if (node.isUp) this.tick(node);
  }

  persist(node: SimNode, count: number): void {
    node.persist(count);
    node.readOlder();
    this.#listen?.({ kind: "persisted", node: node.id }, this);
    this.touch(node, 3, count);
  }

  apply(node: SimNode, count: number): void {
    node.apply(count);
    this.touch(node, 4, count);
  }

  acknowledge(node: SimNode): void {
    node.acknowledge();
    node.readOlder();
    this.touch(node, 18, 0);
  }

  /** Proposes `count` entries at a node, in one call. */
  propose(node: SimNode, count: number, size: number): boolean {
    if (node.driver === undefined) return false;
    const ids: number[] = [];
    const data: Uint8Array[] = [];
    for (let k = 0; k < count; k++) {
      const id = this.#nextProposal++;
      ids.push(id);
      const bytes = new Uint8Array(Math.max(4, size));
      bytes.set([id & 0xff, (id >>> 8) & 0xff, (id >>> 16) & 0xff, id >>> 24]);
      data.push(bytes);
    }
    const outcome = node.driver.propose(data);
    for (const id of ids) {
      if (outcome.ok) this.history.proposed(id, this.events);
      else this.oracle.refusedProposal(id);
    }
    this.touch(node, 5, count);
    return outcome.ok;
  }

  read(node: SimNode): void {
    node.read(this.below(REGISTERS));
    this.touch(node, 6, 0);
  }

  campaign(node: SimNode): void {
    node.driver?.campaign();
    this.touch(node, 7, 0);
  }

  transfer(node: SimNode, to: number): void {
    node.driver?.transfer(to);
    this.touch(node, 8, to);
  }

  forgetLeader(node: SimNode): void {
    node.driver?.forgetLeader();
    this.touch(node, 9, 0);
  }

  compact(node: SimNode, keep: number): void {
    node.compact(keep);
    this.touch(node, 10, keep);
  }

  flush(node: SimNode): void {
    node.machine.flush();
    this.touch(node, 11, 0);
  }

  crash(node: SimNode): void {
    if (!node.isUp) return;
    const kept = this.below(node.disk.pending.length + 1);
    this.say(`crash ${node.id}, ${kept} of ${node.disk.pending.length} batches kept`);
    node.crash(kept, this.chance(50));
    this.touch(node, 12, kept);
  }

  boot(node: SimNode): void {
    if (node.isUp) return;
    this.say(`boot ${node.id}`);
    node.boot();
    this.touch(node, 13, 0);
  }

  reportUnreachable(node: SimNode, id: number): void {
    node.driver?.reportUnreachable(id);
    this.touch(node, 14, id);
  }

  reportSnapshot(node: SimNode, id: number, fate: "installed" | "failed"): void {
    node.driver?.reportSnapshot(id, fate);
    this.touch(node, 15, id);
  }

  /** Proposes a membership change; nodes that it adds are started. */
  changeMembers(
    node: SimNode,
    steps: readonly { readonly kind: ConfChangeKind; readonly nodeId: number }[],
    transition: "implicit" | "explicit",
  ): boolean {
    if (node.driver === undefined) return false;
    const outcome = node.driver.proposeConfChange({ transition, changes: steps, context: EMPTY_BYTES });
    if (outcome.ok) {
      this.#listen?.({ kind: "changed", node: node.id }, this);
      this.say(`change members at ${node.id}: ${steps.map(({ kind, nodeId }) => `${kind} ${nodeId}`).join(", ")} (${transition})`);
      for (const { nodeId } of steps) if (!this.nodes.has(nodeId)) this.#addNode(nodeId);
    }
    this.touch(node, 16, steps.length);
    return outcome.ok;
  }

  /** Leaves an explicit joint configuration. */
  leaveJoint(node: SimNode): void {
    node.driver?.proposeConfChange({ transition: "auto", changes: [], context: EMPTY_BYTES });
    this.touch(node, 17, 0);
  }

  /** Cuts the link in one direction. */
  cut(from: number, to: number): void {
    this.#blocked.add(from * LINK + to);
  }

  healAll(): void {
    this.#blocked.clear();
    this.#cutOff.clear();
  }

  /** Cuts everything between `left` and the others. */
  partition(left: ReadonlySet<number>): void {
    this.healAll();
    const [only] = left;
    const alone = left.size === 1 && only !== undefined ? this.nodes.get(only)?.driver : undefined;
    if (alone !== undefined && this.settings.preVote === true) this.#cutOff.set(only as number, alone.term);
    for (const a of this.nodes.keys()) {
      for (const b of this.nodes.keys()) if (left.has(a) !== left.has(b)) this.cut(a, b);
    }
  }

  isBlocked(from: number, to: number): boolean {
    return this.#blocked.has(from * LINK + to);
  }

  up(): SimNode[] {
    return [...this.nodes.values()].filter((node) => node.isUp);
  }

  /** The leader of the highest term among the nodes that run. */
  leader(): SimNode | undefined {
    let best: SimNode | undefined;
    for (const node of this.nodes.values()) {
      if (node.driver?.role === "leader" && (best?.driver === undefined || node.driver.term > best.driver.term)) best = node;
    }
    return best;
  }

  randomId(): number {
    return 1 + this.below(this.#maxNodes);
  }

  check(condition: boolean, invariant: number, detail: string): void {
    if (!condition) throw new InvariantViolation(invariant, detail);
  }

  #addNode(id: number): void {
    const node = new SimNode(id, this);
    this.nodes.set(id, node);
    // Nobody is cut off from the new one.
    this.#cutOff.clear();
    if (id <= this.#founders.entries.length) node.found(this.#founders);
    node.boot();
  }

  #keep(message: Message): void {
    if (this.#vault.length < VAULT_SIZE) this.#vault.push(message);
    else this.#vault[this.below(VAULT_SIZE)] = message;
  }

  #lose(message: Message): void {
    this.#listen?.({ kind: "dropped", message }, this);
    // Snapshots that did not arrive are worth keeping: they come back when nobody expects them.
    if (message.type === "MsgSnap") this.#keep(message);
  }
}

/** More than any node id of a run. */
const LINK = 64;
