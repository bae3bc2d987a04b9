/** The driver with logs and state machines in memory: what a single node and a small group do. */
import assert from "node:assert/strict";
import test from "node:test";
import { EMPTY_BYTES, seededRandom, utf8 } from "../../../src/base/mod.ts";
import {
  bootstrapState,
  createMessage,
  EMPTY_CONF_STATE,
  encodeConfChange,
  type ConfState,
  type Entry,
  type HardState,
  type Message,
  type MessageFields,
} from "../../../src/raft/mod.ts";
import { RaftDriver, type DriverState, type LogBatch, type OlderRange, type RoleChange } from "../../../src/replica/mod.ts";

const NO_HARD_STATE: HardState = { term: 0, vote: 0, commit: 0 };

function fresh(voters: readonly number[]): DriverState {
  return { hardState: NO_HARD_STATE, compacted: { index: 0, term: 0 }, entries: [], applied: 0, members: { ...EMPTY_CONF_STATE, voters } };
}

/** A node whose log and state machine answer only when told to. */
class Host {
  readonly driver: RaftDriver;
  readonly batches: LogBatch[] = [];
  readonly sent: Message[] = [];
  readonly applied: Entry[] = [];
  readonly reads: { read: number; index: number }[] = [];
  readonly roles: RoleChange[] = [];
  readonly compactions: number[] = [];
  readonly olderRanges: OlderRange[] = [];
  members: ConfState | undefined;
  snapshotIndex = 0;

  constructor(
    id: number,
    state: DriverState,
    settings: { readonly seed?: number; readonly maxLogBytes?: number; readonly readsOlder?: boolean } = {},
  ) {
    const { seed = id, maxLogBytes = 1e6, readsOlder = false } = settings;
    const random = seededRandom(seed);
    this.driver = new RaftDriver(
      state,
      { raft: { id, random, preVote: false, checkQuorum: false }, random, snapshotTimeoutTicks: 3, maxLogBytes },
      {
        log: { append: (batch) => this.batches.push(batch), compact: ({ index }) => this.compactions.push(index) },
        send: (message) => this.sent.push(message),
        apply: (entries) => this.applied.push(...entries),
        readable: (read, index) => this.reads.push({ read, index }),
        roleChanged: (change) => this.roles.push(change),
        membersChanged: (members) => (this.members = members),
        ...(readsOlder && { readOlder: (range: OlderRange) => this.olderRanges.push(range) }),
        latestSnapshot: () =>
          this.snapshotIndex === 0 ? undefined : { index: this.snapshotIndex, term: 1, confState: state.members, data: utf8("s") },
      },
    );
  }

  step(fields: Omit<MessageFields, "to">): void {
    this.driver.step(createMessage({ ...fields, to: this.driver.status().id }));
  }

  types(): string[] {
    return this.sent.splice(0).map((message) => `${message.type}>${message.to}`);
  }

  /** Pumps and persists until nothing moves. */
  settle(): void {
    for (;;) {
      this.driver.pump();
      const last = this.batches.at(-1);
      if (last === undefined) return;
      this.batches.length = 0;
      this.driver.persisted(last.number);
    }
  }
}

test("a sole voter leads as soon as its vote is durable, and not before", () => {
  const host = new Host(1, fresh([1]));
  host.driver.campaign();
  host.driver.pump();
  assert.equal(host.driver.status().role, "candidate");
  host.settle();
  assert.equal(host.driver.status().role, "leader");
  assert.equal(host.driver.durableHardState().vote, 1);
});

test("a thousand proposals of one turn are one batch, and are applied in order once it is durable", () => {
  const host = new Host(1, fresh([1]));
  host.driver.campaign();
  host.settle();
  const first = host.driver.propose([utf8("0")]);
  assert.ok(first.ok);
  for (let k = 1; k < 1000; k++) assert.ok(host.driver.propose([utf8(String(k))]).ok);
  host.driver.pump();
  assert.equal(host.batches.length, 1);
  const before = host.applied.length;
  assert.equal(host.batches[0]?.entries.length, 1000);
  host.settle();
  assert.equal(host.applied.length, before + 1000);
  assert.deepEqual(
    host.applied.map((entry) => entry.index),
    host.applied.map((_, at) => at + 1),
  );
});

test("a restart applies what the state machine lost, and leads at once", () => {
  const host = new Host(1, fresh([1]));
  host.driver.campaign();
  host.settle();
  host.driver.propose([utf8("a"), utf8("b")]);
  host.settle();
  const entries = host.applied.slice();
  const again = new Host(1, { ...fresh([1]), hardState: host.driver.durableHardState(), entries, applied: 1 });
  again.driver.pump();
  assert.deepEqual(
    again.applied.map((entry) => entry.index),
    [2, 3],
  );
  again.driver.applied(3);
  again.driver.campaign();
  again.settle();
  assert.equal(again.driver.status().role, "leader");
  assert.equal(again.driver.status().term, 2);
});

test("an applied index beyond the log's end is refused", () => {
  assert.throws(() => new Host(1, { ...fresh([1]), applied: 5 }), /the log holds everything/);
});

test("C5, C7: the log is compacted up to what the owner allows, what is applied and what is durably committed, and no further", () => {
  const host = new Host(1, fresh([1]));
  host.driver.campaign();
  host.settle();
  host.driver.propose([utf8("a"), utf8("b"), utf8("c")]);
  host.settle();
  host.driver.compact(3);
  assert.deepEqual(host.compactions, []);
  host.driver.applied(2);
  assert.deepEqual(host.compactions, [2]);
  host.driver.applied(4);
  assert.deepEqual(host.compactions, [2, 3]);
  assert.equal(host.driver.status().firstIndex, 4);
});

test("a read waits for the leader's first commit, and is answered with its index", () => {
  const host = new Host(1, fresh([1]));
  host.driver.campaign();
  host.settle();
  const read = host.driver.readIndex();
  assert.ok(read !== undefined);
  host.settle();
  assert.deepEqual(host.reads, [{ read, index: 1 }]);
});

const ENTRIES = (from: number, to: number, term = 1): Entry[] =>
  Array.from({ length: to - from + 1 }, (_, k) => ({ index: from + k, term, type: "normal", data: utf8("x") }));

/** A leader of three. */
function leaderOf3(): Host {
  const host = new Host(1, fresh([1, 2, 3]));
  host.driver.campaign();
  host.settle();
  host.step({ type: "MsgVoteResp", from: 2, term: 1 });
  host.settle();
  assert.equal(host.driver.role, "leader");
  host.types();
  return host;
}

test("C1: a request for a vote leaves only when its term, and the candidate's own vote, are durable", () => {
  const host = new Host(1, fresh([1, 2, 3]));
  host.driver.campaign();
  host.driver.pump();
  assert.deepEqual(host.types(), []);
  const batch = host.batches.at(-1);
  assert.deepEqual(batch?.hardState, { term: 1, vote: 1, commit: 0 });
  host.driver.persisted(batch?.number ?? 0);
  assert.deepEqual(host.types(), ["MsgVote>2", "MsgVote>3"]);
});

test("C1: a heartbeat's answer waits for the term that it is given in", () => {
  const host = new Host(2, fresh([1, 2, 3]));
  host.step({ type: "MsgHeartbeat", from: 1, term: 4, context: 1 });
  host.driver.pump();
  assert.deepEqual(host.types(), []);
  host.settle();
  assert.deepEqual(host.types(), ["MsgHeartbeatResp>1"]);
  host.step({ type: "MsgHeartbeat", from: 1, term: 4, context: 2 });
  host.driver.pump();
  assert.deepEqual(host.types(), ["MsgHeartbeatResp>1"], "once the term is durable, answers leave at once");
});

test("votes and acknowledgements leave when what they promise is durable; a leader's appends do not wait", () => {
  const voter = new Host(2, fresh([1, 2, 3]));
  voter.step({ type: "MsgVote", from: 1, term: 1 });
  voter.driver.pump();
  assert.deepEqual(voter.types(), []);
  voter.settle();
  assert.deepEqual(voter.types(), ["MsgVoteResp>1"]);
  voter.step({ type: "MsgApp", from: 1, term: 1, entries: ENTRIES(1, 2) });
  voter.driver.pump();
  assert.deepEqual(voter.types(), []);
  voter.settle();
  assert.deepEqual(voter.types(), ["MsgAppResp>1"]);
  const leader = leaderOf3();
  leader.step({ type: "MsgAppResp", from: 2, term: 1, index: 1 });
  leader.settle();
  leader.types();
  leader.driver.propose([utf8("x")]);
  leader.driver.pump();
  assert.ok(leader.types().includes("MsgApp>2"), "its own disk has not answered");
});

test("C2, C3: a snapshot of which nothing is heard fails by itself; one that is being sent does not", () => {
  const host = leaderOf3();
  host.step({ type: "MsgAppResp", from: 2, term: 1, index: 1 });
  host.settle();
  host.driver.applied(1);
  host.snapshotIndex = 1;
  host.driver.compact(1);
  const state = (): string | undefined => host.driver.status().members.find((member) => member.id === 3)?.state;
  host.step({ type: "MsgAppResp", from: 3, term: 1, index: 0, reject: true });
  host.settle();
  assert.equal(state(), "snapshot");
  assert.ok(host.types().includes("MsgSnap>3"));
  for (let k = 0; k < 8; k++) {
    host.driver.reportSnapshot(3, "sending");
    host.driver.tick();
    host.settle();
    assert.equal(state(), "snapshot");
  }
  for (let k = 0; k < 3; k++) host.driver.tick();
  assert.equal(state(), "probe");
});

test("C4: a snapshot and the entries after it are one batch, acknowledged when both are durable", () => {
  const host = new Host(3, fresh([1, 2, 3]));
  const members = { ...EMPTY_CONF_STATE, voters: [1, 2, 3] };
  host.step({ type: "MsgSnap", from: 1, term: 1, snapshot: { index: 10, term: 1, confState: members, data: utf8("s") } });
  host.step({ type: "MsgApp", from: 1, term: 1, index: 10, logTerm: 1, entries: ENTRIES(11, 12) });
  host.driver.pump();
  assert.equal(host.batches.length, 1);
  const [batch] = host.batches;
  assert.equal(batch?.snapshot?.index, 10);
  assert.deepEqual(
    batch?.entries.map((one) => one.index),
    [11, 12],
  );
  assert.equal(batch?.mustSync, true);
  assert.deepEqual(host.types(), []);
  host.settle();
  assert.equal(host.driver.appliedIndex, 10);
  assert.equal(host.driver.termAt(12), 1);
  assert.deepEqual(host.types(), ["MsgAppResp>1"]);
});

test("C5: a start with a commit index older than what is applied or compacted takes the newer one", () => {
  const host = new Host(1, {
    ...fresh([1]),
    hardState: { term: 1, vote: 1, commit: 1 },
    compacted: { index: 3, term: 1 },
    entries: ENTRIES(4, 6),
    applied: 5,
  });
  assert.equal(host.driver.commitIndex, 5);
});

test("C6: commit indexes reach the log in order, each at least the one before", () => {
  const host = new Host(2, fresh([1, 2, 3]));
  host.step({ type: "MsgApp", from: 1, term: 1, entries: ENTRIES(1, 5) });
  const commits: number[] = [];
  for (const commit of [2, 1, 4, 3, 5]) {
    host.step({ type: "MsgHeartbeat", from: 1, term: 1, commit });
    host.driver.pump();
    commits.push(...host.batches.splice(0).flatMap(({ hardState }) => hardState?.commit ?? []));
  }
  assert.deepEqual(commits, [2, 4, 5]);
});

test("C8, C9: a snapshot waits until the state machine is done with what it was given", () => {
  const host = new Host(3, fresh([1, 2, 3]));
  const change = encodeConfChange({ transition: "implicit", changes: [{ kind: "add-learner", nodeId: 4 }], context: EMPTY_BYTES });
  const entries = ENTRIES(1, 3).map((one): Entry => (one.index === 2 ? { ...one, type: "config", data: change } : one));
  host.step({ type: "MsgApp", from: 1, term: 1, entries, commit: 3 });
  host.settle();
  assert.deepEqual(
    host.applied.map((one) => one.index),
    [1, 2, 3],
  );
  const members = { ...EMPTY_CONF_STATE, voters: [1, 2, 3], learners: [4] };
  host.step({ type: "MsgSnap", from: 1, term: 1, snapshot: { index: 10, term: 1, confState: members, data: utf8("s") } });
  host.driver.pump();
  assert.deepEqual(host.batches, []);
  host.driver.applied(1);
  assert.deepEqual(host.batches, []);
  host.driver.applied(3);
  assert.equal(host.batches.length, 1);
  host.settle();
  assert.deepEqual(host.driver.members.learners, [4]);
  assert.deepEqual(host.driver.members.votersOutgoing, [], "the change before the snapshot is in the snapshot");
});

test("C10: reads of two incarnations have different names, and an answer to the earlier answers nothing", () => {
  const before = new Host(2, fresh([1, 2, 3]), { seed: 1 });
  const after = new Host(2, fresh([1, 2, 3]), { seed: 2 });
  for (const host of [before, after]) {
    host.step({ type: "MsgHeartbeat", from: 1, term: 1 });
    host.settle();
  }
  const old = before.driver.readIndex();
  const read = after.driver.readIndex();
  assert.ok(old !== undefined && read !== undefined && old !== read);
  after.step({ type: "MsgReadIndexResp", from: 1, term: 1, index: 9, context: old });
  after.settle();
  assert.deepEqual(
    after.reads.filter((one) => one.read === read),
    [],
  );
});

test("batches are acknowledged in order, each once", () => {
  const host = new Host(1, fresh([1]));
  host.driver.campaign();
  host.driver.pump();
  const number = host.batches.at(-1)?.number ?? 0;
  host.driver.persisted(number);
  assert.throws(() => host.driver.persisted(number), /in order, each once/);
  assert.throws(() => host.driver.persisted(number + 100), /in order, each once/);
});

test("a group begins with entries that make its members, and leads at once if it is one node", () => {
  const begin = bootstrapState([{ id: 1, context: utf8("here") }]);
  const host = new Host(1, { ...begin, compacted: { index: 0, term: 0 } });
  host.driver.campaign();
  host.settle();
  assert.equal(host.driver.role, "leader");
  assert.equal(host.driver.term, 2);
  assert.deepEqual(
    host.applied.map((one) => one.index),
    [2],
  );
});

test("memory keeps what a follower could get nowhere else, and forgets the rest beyond its bound", () => {
  for (const [voters, forgets] of [
    [[1], true],
    [[1, 2, 3], false],
  ] as const) {
    const host = new Host(
      1,
      { ...fresh(voters), hardState: { term: 1, vote: 1, commit: 50 }, entries: ENTRIES(1, 50) },
      { maxLogBytes: 100 },
    );
    host.driver.pump();
    host.driver.applied(50);
    assert.equal(host.driver.status().firstIndex > 1, forgets);
    host.snapshotIndex = 50;
    host.step({ type: "MsgApp", from: 2, term: 2, index: 50, logTerm: 1, entries: ENTRIES(51, 51, 2), commit: 51 });
    host.settle();
    host.driver.applied(51);
    assert.ok(host.driver.status().firstIndex > 1, "what is in a snapshot may go");
  }
});

test("a follower that lags is sent what the disk has, once it has come, and no snapshot meanwhile", () => {
  const entries = ENTRIES(1, 20);
  const state = { ...fresh([1, 2]), hardState: { term: 1, vote: 1, commit: 20 }, entries };
  const host = new Host(1, state, { maxLogBytes: 100, readsOlder: true });
  host.snapshotIndex = 15;
  host.driver.pump();
  host.driver.applied(20);
  host.driver.campaign();
  host.settle();
  host.step({ type: "MsgVoteResp", from: 2, term: 2 });
  host.settle();
  assert.equal(host.driver.role, "leader");
  assert.equal(host.driver.status().firstIndex, 1, "the log on disk has them all");
  host.types();
  host.step({ type: "MsgAppResp", from: 2, term: 2, index: 20, reject: true, rejectHint: 3, logTerm: 1 });
  host.settle();
  assert.deepEqual(host.types(), [], "it waits");
  assert.deepEqual(
    host.olderRanges.map(({ lo }) => lo),
    [3],
  );
  // A heartbeat's answer asks again; what is under way is not asked for twice.
  host.step({ type: "MsgHeartbeatResp", from: 2, term: 2, context: 0 });
  host.settle();
  assert.equal(host.olderRanges.length, 1);
  host.driver.olderRead(entries.slice(2, 10));
  host.settle();
  const [sent] = host.sent.splice(0);
  assert.deepEqual(
    [sent?.type, sent?.index, sent?.logTerm, sent?.entries.map(({ index }) => index)],
    ["MsgApp", 3, 1, [4, 5, 6, 7, 8, 9, 10]],
  );
  host.step({ type: "MsgAppResp", from: 2, term: 2, index: 10 });
  host.settle();
  assert.equal(host.olderRanges.at(-1)?.lo, 11, "the next piece");
  host.driver.olderRead(undefined);
  host.step({ type: "MsgHeartbeatResp", from: 2, term: 2, context: 0 });
  host.settle();
  assert.equal(host.olderRanges.length, 3, "what did not come is asked for again while the log has it");
});
