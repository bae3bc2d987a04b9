/**
 * The interaction scripts: nodes whose messages, appends and applications happen when the script says so.
 * The production core runs here with coalescing off, so that a script sees each message where it arises.
 */
import {
  createMessage,
  decodeConfChange,
  encodeConfChange,
  isVoter,
  RaftNode,
  type ConfChange,
  type Entry,
  type Message,
  type Ready,
  type Snapshot,
} from "../../../src/raft/mod.ts";
import { seededRandom } from "../../../src/base/mod.ts";
import { parseSteps } from "./confchange-script.ts";
import { valueOf, valuesOf, type Case } from "./datadriven.ts";
import {
  describe,
  describeEntry,
  describeHardState,
  describeMessage,
  describeProgress,
  describeSnapshot,
  hex,
  indent,
  roleName,
  V1_CONTEXT,
} from "./describe.ts";
import { LEVELS, logLine, type Level } from "./log-lines.ts";
import { ScriptStorage } from "./script-storage.ts";

/** Something on its way: a message between nodes, or the answer of a node's own append or apply thread. */
interface Traveller {
  readonly to: number;
  readonly type: string;
  readonly text: string;
  readonly isLocal: boolean;
  readonly message: Message | undefined;
  deliver(node: ScriptNode): string | undefined;
}

/** Work of an append or apply thread. */
interface Work {
  readonly text: string;
  run(node: ScriptNode): void;
  readonly responses: readonly Traveller[];
}

interface NodeOptions {
  readonly voters: readonly number[];
  readonly learners: readonly number[];
  readonly index: number;
  readonly isAsync: boolean;
  readonly raft: Omit<ConstructorParameters<typeof RaftNode>[0], "id" | "random">;
}

interface ScriptNode {
  readonly id: number;
  raft: RaftNode;
  readonly storage: ScriptStorage;
  readonly options: NodeOptions;
  applied: number;
  readonly appendWork: Work[];
  readonly applyWork: Work[];
}

const ELECTION_TICKS = 3;
const HEARTBEAT_TICKS = 1;

/** An error that a script expects to see. */
class ScriptError extends Error {}

/** One script's world. */
export class InteractionScript {
  #level: Level = "debug";
  #output = "";
  readonly #nodes: ScriptNode[] = [];
  #messages: Traveller[] = [];

  run(test: Case): string {
    this.#output = "";
    let error = "";
    try {
      this.#dispatch(test);
    } catch (caught) {
      if (!(caught instanceof ScriptError)) throw caught;
      error = caught.message;
    }
    const text = this.#output + error;
    if (text === "") return "ok\n";
    return text.endsWith("\n") ? text : `${text}\n`;
  }

  #dispatch(test: Case): void {
    const ids = test.args.filter((arg) => arg.values.length === 0 && /^\d+$/.test(arg.key)).map((arg) => Number(arg.key));
    const node = (): ScriptNode => this.#node(ids[0] ?? 0);
    switch (test.command) {
      case "_breakpoint":
        return;
      case "add-nodes":
        return this.#addNodes(test, ids[0] ?? 0);
      case "campaign":
        return node().raft.campaign();
      case "compact":
        node().storage.compact(ids[1] ?? 0);
        return this.#printLog(node());
      case "deliver-msgs":
        return this.#deliverCommand(test);
      case "process-ready":
        return this.#processCommand(ids);
      case "process-append-thread":
        return this.#each(ids, "processing append thread", (one) => this.#processWork(one, one.appendWork, "append"));
      case "process-apply-thread":
        return this.#each(ids, "processing apply thread", (one) => this.#processWork(one, one.applyWork, "apply"));
      case "log-level":
        this.#level = parseLevel(test.args[0]?.key ?? "");
        return;
      case "raft-log":
        return this.#printLog(node());
      case "raft-state":
        return this.#printStates();
      case "status":
        return this.#printStatus(node());
      case "stabilize":
        return this.#stabilizeCommand(test, ids);
      case "tick-election":
        return this.#tick(node(), ELECTION_TICKS);
      case "tick-heartbeat":
        return this.#tick(node(), HEARTBEAT_TICKS);
      case "set-randomized-election-timeout":
        node().raft.raft.randomizedElectionTicks = Number(valueOf(test, "timeout"));
        return;
      case "transfer-leadership":
        return this.#node(Number(valueOf(test, "from"))).raft.transferLeader(Number(valueOf(test, "to")));
      case "forget-leader":
        return node().raft.forgetLeader();
      case "send-snapshot":
        return this.#sendSnapshot(node(), ids[1] ?? 0);
      case "propose":
        return this.#propose(node(), new TextEncoder().encode(test.args[1]?.key ?? ""), "normal");
      case "propose-conf-change":
        return this.#propose(node(), encodeConfChange(parseChange(test)), "config");
      case "report-unreachable":
        return node().raft.reportUnreachable(ids[1] ?? 0);
      default:
        return this.#ownCommand(test, ids);
    }
  }

  /** Commands of our own scripts, for what the others leave out. */
  #ownCommand(test: Case, ids: readonly number[]): void {
    if (test.command === "reverse-msgs") {
      this.#messages.reverse();
      return;
    }
    const node = this.#node(ids[0] ?? 0);
    switch (test.command) {
      case "read-index":
        if (node.raft.readIndex(ids[1] ?? 0) === "dropped") throw new ScriptError("raft read dropped");
        return;
      case "restart":
        return this.#restart(node);
      case "report-snapshot":
        return node.raft.reportSnapshot(ids[1] ?? 0, test.args[2]?.key === "finish");
      case "duplicate-msgs":
        this.#messages.push(...this.#messages.filter((one) => one.to === node.id && !one.isLocal));
        return;
      default:
        throw new Error(`unknown command ${test.command}`);
    }
  }

  #node(id: number): ScriptNode {
    const node = this.#nodes[id - 1];
    if (node === undefined) throw new Error(`there is no node ${id}`);
    return node;
  }

  #print(text: string): void {
    if (this.#level !== "none") this.#output += text;
  }

  /** Runs `f` with what it prints two spaces further in. */
  #indented(f: () => void): void {
    const before = this.#output;
    this.#output = "";
    try {
      f();
    } finally {
      const inner = this.#output.endsWith("\n") || this.#output === "" ? this.#output : `${this.#output}\n`;
      this.#output = before + indent(inner);
    }
  }

  #addNodes(test: Case, count: number): void {
    const options = parseNodeOptions(test);
    for (let k = 0; k < count; k++) {
      const id = this.#nodes.length + 1;
      const confState = { voters: options.voters, votersOutgoing: [], learners: options.learners, learnersNext: [], autoLeave: false };
      const data = new TextEncoder().encode(valueOf(test, "content") ?? "");
      const isBootstrap = options.index > 0 || options.voters.length > 0;
      if (isBootstrap && options.index <= 1) throw new ScriptError("index must be specified as > 1 due to bootstrap");
      const snapshot: Snapshot = { index: options.index, term: isBootstrap ? 1 : 0, confState, data };
      const storage = new ScriptStorage(snapshot);
      const node = {
        id,
        storage,
        options,
        applied: options.index,
        appendWork: [],
        applyWork: [],
        raft: this.#boot(id, storage, options, options.index),
      };
      this.#nodes.push(node);
    }
  }

  #boot(id: number, storage: ScriptStorage, options: NodeOptions, applied: number): RaftNode {
    const confState = storage.history.at(-1)?.confState;
    if (confState === undefined) throw new Error("a node has a configuration");
    return new RaftNode(
      { ...options.raft, id, random: seededRandom(id) },
      storage,
      { hardState: storage.hardState, confState, applied },
      (event) => {
        const line = logLine(id, event);
        if (line !== undefined && LEVELS.indexOf(line.level) >= LEVELS.indexOf(this.#level))
          this.#print(`${line.level.toUpperCase()} ${line.text}\n`);
      },
    );
  }

  /** Everything that was not stored is gone, and so is what the node's threads had still to do. */
  #restart(node: ScriptNode): void {
    node.appendWork.length = 0;
    node.applyWork.length = 0;
    this.#messages = this.#messages.filter((one) => !(one.isLocal && one.to === node.id));
    node.raft = this.#boot(node.id, node.storage, node.options, node.applied);
  }

  #propose(node: ScriptNode, data: Uint8Array, type: "normal" | "config"): void {
    if (node.raft.forward([{ type, data }]) === "dropped") throw new ScriptError("raft proposal dropped");
  }

  #tick(node: ScriptNode, ticks: number): void {
    for (let k = 0; k < ticks; k++) node.raft.tick();
  }

  #each(ids: readonly number[], header: string, f: (node: ScriptNode) => void): void {
    for (const id of ids) {
      const node = this.#node(id);
      if (ids.length === 1) {
        f(node);
        continue;
      }
      this.#print(`> ${id} ${header}\n`);
      this.#indented(() => f(node));
    }
  }

  #processCommand(ids: readonly number[]): void {
    this.#each(ids.length === 0 ? this.#nodes.map((node) => node.id) : ids, "handling Ready", (node) => this.#processReady(node));
  }

  #processReady(node: ScriptNode): void {
    node.raft.hasReady();
    const ready = node.raft.ready();
    const threads = node.options.isAsync ? asyncWork(node.id, ready) : undefined;
    this.#print(describeReady(node.id, ready, threads));
    if (threads === undefined) {
      append(node, ready);
      this.#apply(node, ready.committedEntries);
      for (const message of [...ready.messages, ...ready.afterPersist])
        if (message.to !== node.id) this.#messages.push(travelling(message));
      node.raft.persisted(ready.number);
      const last = ready.committedEntries.at(-1);
      if (last !== undefined) node.raft.applied(last.index);
      return;
    }
    for (const message of ready.messages) this.#messages.push(travelling(message));
    if (threads.append !== undefined) node.appendWork.push(threads.append);
    if (threads.apply !== undefined) {
      const entries = ready.committedEntries;
      node.applyWork.push({ ...threads.apply, run: (one) => this.#apply(one, entries) });
    }
  }

  #apply(node: ScriptNode, entries: readonly Entry[]): void {
    for (const entry of entries) {
      if (entry.type === "config") node.raft.applyConfChange(entry);
      node.applied = entry.index;
      const data = node.storage.snapshot()?.data ?? new Uint8Array();
      const more = entry.type === "normal" ? entry.data : new Uint8Array();
      node.storage.history.push({
        index: entry.index,
        term: entry.term,
        confState: node.raft.confState(),
        data: Buffer.concat([data, more]),
      });
    }
  }

  #processWork(node: ScriptNode, queue: Work[], name: string): void {
    const work = queue.shift();
    if (work === undefined) {
      this.#print(`no ${name} work to perform`);
      return;
    }
    this.#print(`Processing:\n${work.text}\n`);
    work.run(node);
    this.#print("Responses:\n");
    for (const response of work.responses) this.#print(`${response.text}\n`);
    this.#messages.push(...work.responses);
  }

  #deliverCommand(test: Case): void {
    let type: string | undefined;
    const recipients: { readonly id: number; readonly drop: boolean }[] = [];
    for (const { key, values } of test.args) {
      if (values.length === 0) recipients.push({ id: Number(key), drop: false });
      else if (key === "drop") recipients.push(...values.map((value) => ({ id: Number(value), drop: true })));
      else if (key === "type") type = values[0];
    }
    let count = 0;
    for (const { id, drop } of recipients) count += this.#deliver(id, type, drop);
    if (count === 0) this.#print("no messages\n");
  }

  /** Delivers, or drops, what is on its way to `id`. Returns how much that was. */
  #deliver(id: number, type: string | undefined, drop: boolean): number {
    const isMeant = (one: Traveller): boolean => one.to === id && !(drop && one.isLocal) && (type === undefined || one.type === type);
    const mine = this.#messages.filter(isMeant);
    this.#messages = this.#messages.filter((one) => !isMeant(one));
    for (const one of mine) {
      this.#print(`${drop ? "dropped: " : ""}${one.text}\n`);
      if (drop) continue;
      const error = one.deliver(this.#node(id));
      if (error !== undefined) this.#print(`${error}\n`);
    }
    return mine.length;
  }

  #stabilizeCommand(test: Case, ids: readonly number[]): void {
    const level = valueOf(test, "log-level");
    const before = this.#level;
    if (level !== undefined) this.#level = parseLevel(level);
    try {
      this.#stabilize(ids.length === 0 ? this.#nodes : ids.map((id) => this.#node(id)));
    } finally {
      this.#level = before;
    }
  }

  #stabilize(nodes: readonly ScriptNode[]): void {
    const step = (node: ScriptNode, header: string, f: () => void): void => {
      this.#print(`> ${node.id} ${header}\n`);
      this.#indented(f);
    };
    for (let isDone = false; !isDone;) {
      isDone = true;
      for (const node of nodes) {
        if (!node.raft.hasReady()) continue;
        isDone = false;
        step(node, "handling Ready", () => this.#processReady(node));
      }
      for (const node of nodes) {
        if (!this.#messages.some((one) => one.to === node.id)) continue;
        isDone = false;
        step(node, "receiving messages", () => this.#deliver(node.id, undefined, false));
      }
      for (const [name, queueOf] of [
        ["append", (node: ScriptNode) => node.appendWork],
        ["apply", (node: ScriptNode) => node.applyWork],
      ] as const) {
        for (const node of nodes) {
          const queue = queueOf(node);
          if (queue.length === 0) continue;
          isDone = false;
          step(node, `processing ${name} thread`, () => {
            while (queue.length > 0) this.#processWork(node, queue, name);
          });
        }
      }
    }
  }

  #sendSnapshot(from: ScriptNode, to: number): void {
    const message = createMessage({ type: "MsgSnap", from: from.id, to, term: from.raft.term, snapshot: from.storage.snapshot() });
    this.#messages.push(travelling(message));
    this.#print(describeMessage(message));
  }

  #printLog(node: ScriptNode): void {
    const { storage } = node;
    if (storage.lastIndex() < storage.firstIndex())
      this.#print(`log is empty: first index=${storage.firstIndex()}, last index=${storage.lastIndex()}`);
    else for (const entry of storage.all()) this.#print(`${describeEntry(entry)}\n`);
  }

  #printStates(): void {
    for (const { id, raft } of this.#nodes) {
      const { role, term, lead } = raft.status();
      this.#print(`${id}: ${roleName(role)} (${isVoter(raft.configuration(), id) ? "Voter" : "Non-Voter"}) Term:${term} Lead:${lead}\n`);
    }
  }

  #printStatus(node: ScriptNode): void {
    const { tracker, role } = node.raft.raft;
    if (role !== "leader") return;
    for (const id of tracker.members) {
      const progress = tracker.progress(id);
      if (progress !== undefined) this.#print(`${id}: ${describeProgress(progress)}\n`);
    }
  }
}

function append(node: ScriptNode, ready: Ready): void {
  if (ready.hardState !== undefined) node.storage.hardState = ready.hardState;
  if (ready.snapshot !== undefined) {
    node.storage.restore(ready.snapshot);
    node.applied = ready.snapshot.index;
  }
  node.storage.append(ready.entries);
}

function travelling(message: Message): Traveller {
  return {
    to: message.to,
    type: message.type,
    text: describeMessage(message),
    isLocal: message.from === message.to,
    message,
    deliver: (node) => OUTCOMES[node.raft.step(message)],
  };
}

const OUTCOMES = {
  ok: undefined,
  dropped: "raft proposal dropped",
  "unknown-peer": "raft: cannot step as peer not found",
  local: "raft: cannot step raft local message",
} as const;

/** An answer that is never refused. */
function silently(f: () => void): undefined {
  f();
  return undefined;
}

/** What the append and apply threads have to do for a Ready, as the scripts print it. */
function asyncWork(id: number, ready: Ready): { append: Work | undefined; apply: Work | undefined; lines: string[] } {
  const lines: string[] = [];
  const thread = (name: string, to: string, fields: object, responses: readonly Traveller[]): string => {
    const base = { from: hex(id), to, type: name, term: 0, ...fields };
    lines.push(describe({ ...base, responses: responses.map((one) => one.text) }));
    return describe(base);
  };
  let append_: Work | undefined;
  const { hardState, entries, snapshot, afterPersist, mark, committedEntries } = ready;
  if (hardState !== undefined || entries.length > 0 || snapshot !== undefined || afterPersist.length > 0) {
    const responses = afterPersist.map(travelling);
    if (mark !== undefined) {
      const type = "MsgStorageAppendResp";
      const text = describe({ from: "AppendThread", to: hex(id), type, ...mark });
      responses.push({
        to: id,
        type,
        text,
        isLocal: true,
        message: undefined,
        deliver: (node) => silently(() => node.raft.raft.appendDone(mark)),
      });
    }
    const text = thread("MsgStorageAppend", "AppendThread", { ...hardState, entries, snapshot }, responses);
    append_ = { text, run: (node) => append(node, ready), responses };
  }
  let apply: Work | undefined;
  const last = committedEntries.at(-1);
  if (last !== undefined) {
    const type = "MsgStorageApplyResp";
    const text = describe({ from: "ApplyThread", to: hex(id), type, term: 0, entries: committedEntries });
    const responses: Traveller[] = [
      { to: id, type, text, isLocal: true, message: undefined, deliver: (node) => silently(() => node.raft.applied(last.index)) },
    ];
    apply = { text: thread("MsgStorageApply", "ApplyThread", { entries: committedEntries }, responses), run: () => undefined, responses };
  }
  return { append: append_, apply, lines };
}

function describeReady(id: number, ready: Ready, threads: { readonly lines: readonly string[] } | undefined): string {
  let text = "";
  if (ready.softState !== undefined) text += `Lead:${ready.softState.lead} State:${roleName(ready.softState.role)}\n`;
  if (ready.hardState !== undefined) text += `HardState ${describeHardState(ready.hardState)}\n`;
  if (ready.readStates.length > 0)
    text += `ReadStates [${ready.readStates.map(({ index, context }) => `{${index} ${context}}`).join(" ")}]\n`;
  if (ready.entries.length > 0) text += `Entries:\n${ready.entries.map((entry) => `${describeEntry(entry)}\n`).join("")}`;
  if (ready.snapshot !== undefined) text += `Snapshot ${describeSnapshot(ready.snapshot)}\n`;
  if (ready.committedEntries.length > 0)
    text += `CommittedEntries:\n${ready.committedEntries.map((entry) => `${describeEntry(entry)}\n`).join("")}`;
  const messages = threads === undefined ? [...ready.messages, ...ready.afterPersist.filter((one) => one.to !== id)] : ready.messages;
  const lines = [...messages.map(describeMessage), ...(threads?.lines ?? [])];
  if (lines.length > 0) text += `Messages:\n${lines.map((line) => `${line}\n`).join("")}`;
  return text === "" ? "<empty Ready>\n" : `Ready MustSync=${ready.mustSync}:\n${text}`;
}

function parseLevel(name: string): Level {
  const level = LEVELS.find((one) => one === name.toLowerCase());
  if (level === undefined) throw new ScriptError(`log levels must be either of [${LEVELS.map((one) => one.toUpperCase()).join(" ")}]`);
  return level;
}

function parseChange(test: Case): ConfChange {
  const changes = parseSteps(test.input);
  const transition = valueOf(test, "transition") ?? "auto";
  if (transition !== "auto" && transition !== "implicit" && transition !== "explicit") throw new Error(`unknown transition ${transition}`);
  const isV1 = valueOf(test, "v1") === "true";
  if (isV1 && (changes.length !== 1 || transition !== "auto"))
    throw new ScriptError("v1 conf change can only have one operation and no transition");
  const change: ConfChange = { transition, changes, context: isV1 ? V1_CONTEXT : new Uint8Array() };
  if (decodeConfChange(encodeConfChange(change)) === undefined) throw new Error("a change can be read back");
  return change;
}

function parseNodeOptions(test: Case): NodeOptions {
  const isOn = (key: string): boolean =>
    valueOf(test, key) === "true" || test.args.some((arg) => arg.key === key && arg.values.length === 0);
  const limit = (key: string): number => Number(valueOf(test, key) ?? Infinity);
  const isLease = valueOf(test, "read-only") === "lease-based";
  const isAsync = isOn("async-storage-writes");
  return {
    voters: (valuesOf(test, "voters") ?? []).map(Number),
    learners: (valuesOf(test, "learners") ?? []).map(Number),
    index: Number(valueOf(test, "index") ?? 0),
    isAsync,
    raft: {
      electionTicks: ELECTION_TICKS,
      heartbeatTicks: HEARTBEAT_TICKS,
      preVote: isOn("prevote"),
      checkQuorum: isOn("checkquorum"),
      readMode: isLease ? "lease" : "safe",
      leaseStartupTicks: 0,
      onRemoval: isOn("step-down-on-removal") ? "immediate" : isOn("handover-on-removal") ? "handover" : "never",
      maxMessageBytes: limit("max-message-bytes"),
      maxInflightMessages: Number(valueOf(test, "inflight") ?? 0x7fff_ffff),
      maxInflightBytes: limit("inflight-bytes"),
      maxUncommittedBytes: limit("max-uncommitted-bytes"),
      maxApplyingBytes: limit("max-committed-size-per-ready"),
      forwardProposals: !isOn("disable-proposal-forwarding"),
      allowUnsafeConfChanges: isOn("disable-conf-change-validation"),
      coalesce: false,
      applyUnstable: !isAsync,
    },
  };
}
