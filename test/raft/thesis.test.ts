/** Sections 6 to 8 of the paper, and the thesis: membership, snapshots, reads, pre-vote, leases, transfer, and the core's limits. */
import assert from "node:assert/strict";
import test from "node:test";
import { EMPTY_BYTES } from "../../src/base/mod.ts";
import type { ConfChange, ConfChangeStep } from "../../src/raft/mod.ts";
import { Group, Peer, entry } from "./support/group.ts";

const change = (transition: ConfChange["transition"], ...changes: readonly ConfChangeStep[]): ConfChange => ({
  transition,
  changes,
  context: EMPTY_BYTES,
});
const SAFE = { preVote: true, checkQuorum: true } as const;

test("6 in a joint configuration a commit needs a majority of the old and of the new voters", () => {
  const group = Group.of(3);
  group.elect(1);
  const leader = group.peer(1);
  assert.ok(
    leader.node.proposeConfChange(
      change(
        "explicit",
        { kind: "add-voter", nodeId: 4 },
        { kind: "add-voter", nodeId: 5 },
        { kind: "remove", nodeId: 2 },
        { kind: "remove", nodeId: 3 },
      ),
    ).ok,
  );
  group.settle();
  assert.deepEqual(leader.node.confState().votersOutgoing, [1, 2, 3]);
  leader.propose("x");
  const last = leader.raft.log.lastIndex();
  leader.receive({ type: "MsgAppResp", from: 4, term: 1, index: last });
  leader.receive({ type: "MsgAppResp", from: 5, term: 1, index: last });
  assert.ok(leader.raft.log.committed < last, "the new majority alone does not commit");
  leader.receive({ type: "MsgAppResp", from: 2, term: 1, index: last });
  assert.equal(leader.raft.log.committed, last);
});

test("6 in a joint configuration an election needs a majority of the old and of the new voters", () => {
  const group = Group.of(3);
  group.elect(1);
  const leader = group.peer(1);
  leader.node.proposeConfChange(
    change(
      "explicit",
      { kind: "add-voter", nodeId: 4 },
      { kind: "add-voter", nodeId: 5 },
      { kind: "remove", nodeId: 2 },
      { kind: "remove", nodeId: 3 },
    ),
  );
  group.settle();
  leader.raft.becomeFollower(1, 0);
  leader.node.campaign();
  leader.process();
  for (const from of [4, 5]) leader.receive({ type: "MsgVoteResp", from, term: 2 });
  assert.equal(leader.raft.role, "candidate");
  leader.receive({ type: "MsgVoteResp", from: 3, term: 2 });
  assert.equal(leader.raft.role, "leader");
});

test("6 while one change is not applied, another is refused", () => {
  const group = Group.of(3);
  group.elect(1);
  group.connect(1);
  const { node } = group.peer(1);
  assert.ok(node.proposeConfChange(change("implicit", { kind: "add-learner", nodeId: 4 })).ok);
  const second = node.proposeConfChange(change("implicit", { kind: "add-learner", nodeId: 5 }));
  assert.equal(second.ok, false);
  assert.match(JSON.stringify(second), /possible unapplied conf change/);
});

test("6 a node with a committed change that it did not apply yet does not campaign", () => {
  const peer = new Peer(1, {}, { applyUnstable: false });
  const config = { ...entry(1, 1), type: "config" as const };
  peer.node.step({ ...proto(peer), from: 2, term: 1, entries: [config], commit: 1 });
  const ready = peer.node.ready();
  peer.storage.append(ready.entries);
  peer.node.persisted(ready.number);
  assert.equal(peer.node.ready().committedEntries.length, 1);
  peer.node.campaign();
  assert.equal(peer.raft.role, "follower");
});

function proto(peer: Peer) {
  const other = new Peer(9, { voters: [9, peer.id] });
  other.raft.send({ type: "MsgApp", to: peer.id });
  const [message] = other.raft.messages;
  assert.ok(message !== undefined);
  return message;
}

test("6 a removed leader leads on until a quorum of the others knows, then tells the best of them to campaign", () => {
  const group = Group.of(3, { onRemoval: "handover" });
  group.elect(1);
  group.peer(1).node.proposeConfChange(change("implicit", { kind: "remove", nodeId: 1 }));
  group.settle();
  assert.equal(group.peer(1).raft.role, "follower");
  assert.equal([2, 3].filter((id) => group.peer(id).raft.role === "leader").length, 1);
});

test("a refused candidate learns what is committed, and may win by it (C11)", () => {
  // Node 3 is the only voter left, but knows it only from an entry that it does not know to be committed.
  const joint = new Peer(3, { voters: [1, 2, 3], log: [1, 1, 1] });
  joint.tick(20);
  joint.take();
  joint.receive({ type: "MsgVoteResp", from: 2, term: 2, reject: true, knownCommit: 2, knownCommitTerm: 1 });
  assert.equal(joint.raft.log.committed, 2);
  joint.receive({ type: "MsgVoteResp", from: 1, term: 2, reject: true, knownCommit: 3, knownCommitTerm: 2 });
  assert.equal(joint.raft.log.committed, 2, "not what this log does not have");
});

test("4.2.1 (thesis) a learner gets the log, counts for nothing, does not campaign, and votes if it is asked", () => {
  const voters = [1, 2];
  const group = new Group([1, 2, 3].map((id) => new Peer(id, { voters, learners: [3] })));
  group.elect(1);
  group.connect(1, 3);
  group.peer(1).propose("x");
  group.settle();
  assert.equal(group.peer(3).raft.log.lastIndex(), 2);
  assert.equal(group.peer(1).raft.log.committed, 1);
  group.peer(3).tick(40);
  assert.equal(group.peer(3).raft.role, "follower");
  const [answer] = group.peer(3).receive({ type: "MsgVote", from: 2, term: 7, index: 9, logTerm: 6 });
  assert.equal(answer?.reject, false);
});

test("7 a snapshot replaces a log that lacks what it stands for, and keeps one that has it", () => {
  const confState = { voters: [1, 2, 3], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  const snapshot = { index: 2, term: 2, confState, data: EMPTY_BYTES };
  const conflicting = new Peer(1, { log: [1, 1, 1] });
  conflicting.receive({ type: "MsgSnap", from: 2, term: 3, snapshot });
  assert.equal(conflicting.raft.log.lastIndex(), 2);
  const agreeing = new Peer(1, { log: [1, 2, 2] });
  const [answer] = agreeing.receive({ type: "MsgSnap", from: 2, term: 3, snapshot });
  assert.deepEqual(agreeing.terms(), [1, 2, 2]);
  assert.equal(agreeing.raft.log.committed, 2);
  assert.equal(answer?.index, 2);
  const ahead = new Peer(1, { log: [1, 2, 2], commit: 3 });
  ahead.receive({ type: "MsgSnap", from: 2, term: 3, snapshot });
  assert.equal(ahead.raft.log.committed, 3);
  assert.deepEqual(ahead.terms(), [1, 2, 2]);
});

test("8 a leader answers no read before it has committed an entry of its own term", () => {
  const group = Group.of(3);
  group.elect(1);
  group.peer(1).propose("x");
  group.settle();
  group.connect(2, 3);
  const fresh = group.peer(2);
  fresh.node.campaign();
  fresh.process();
  fresh.take();
  fresh.receive({ type: "MsgVoteResp", from: 3, term: 2 });
  assert.equal(fresh.raft.role, "leader");
  fresh.node.readIndex(7);
  fresh.process();
  for (const round of [1, 2, 3]) fresh.receive({ type: "MsgHeartbeatResp", from: 3, term: 2, context: round });
  assert.deepEqual(fresh.reads, []);
  fresh.receive({ type: "MsgAppResp", from: 3, term: 2, index: 3 });
  fresh.receive({ type: "MsgHeartbeatResp", from: 3, term: 2, context: fresh.raft.reads.round });
  assert.deepEqual(fresh.reads, [{ context: 7, index: 3 }]);
});

test("8 a read is answered when a majority has answered a round that left after it came, and not by an earlier round", () => {
  const group = Group.of(5);
  group.elect(1);
  const leader = group.peer(1);
  leader.tick();
  const before = leader.raft.reads.round;
  leader.node.readIndex(7);
  leader.process();
  for (const from of [2, 3, 4, 5]) leader.receive({ type: "MsgHeartbeatResp", from, term: 1, context: before });
  assert.deepEqual(leader.reads, []);
  leader.receive({ type: "MsgHeartbeatResp", from: 2, term: 1, context: before + 1 });
  leader.receive({ type: "MsgHeartbeatResp", from: 2, term: 1, context: before + 1 });
  assert.deepEqual(leader.reads, [], "two of five are no majority");
  leader.receive({ type: "MsgHeartbeatResp", from: 5, term: 1, context: before + 1 });
  assert.deepEqual(leader.reads, [{ context: 7, index: 1 }]);
});

test("8 one round confirms all reads that wait, and with coalescing they share it from the start", () => {
  const group = Group.of(3, { coalesce: true });
  group.elect(1);
  const leader = group.peer(1);
  leader.take();
  for (let read = 1; read <= 100; read++) leader.node.readIndex(read);
  leader.process();
  assert.equal(leader.take().filter((message) => message.type === "MsgHeartbeat").length, 2);
  leader.receive({ type: "MsgHeartbeatResp", from: 2, term: 1, context: leader.raft.reads.round });
  assert.equal(leader.reads.length, 100);
});

test("6.4.1 (thesis) a lease ends before any follower may vote, and with a transfer", () => {
  const group = Group.of(3, { ...SAFE, readMode: "lease", leaseStartupTicks: 0 });
  group.elect(1);
  const leader = group.peer(1);
  leader.tick();
  group.settle();
  leader.node.readIndex(1);
  leader.process();
  assert.equal(leader.reads.length, 1, "within the lease a read needs no round");
  for (let k = 0; k < 8; k++) leader.tick();
  leader.node.readIndex(2);
  leader.process();
  assert.equal(leader.reads.length, 1, "after electionTicks - leaseMarginTicks it does");
  group.settle();
  assert.equal(leader.reads.length, 2);
  leader.node.transferLeader(2);
  leader.process();
  leader.take();
  leader.node.readIndex(3);
  leader.process();
  assert.equal(leader.reads.length, 2, "a node that was told to campaign asks no lease");
});

test("6.4.1 (thesis) a node that restarts in lease mode neither votes nor campaigns for an election timeout", () => {
  const peer = new Peer(1, { log: [1] }, { ...SAFE, readMode: "lease" });
  assert.deepEqual(peer.receive({ type: "MsgVote", from: 2, term: 5, index: 1, logTerm: 1 }), []);
  peer.node.campaign();
  peer.process();
  assert.equal(peer.raft.role, "follower");
  peer.tick(10);
  const [answer] = peer.receive({ type: "MsgVote", from: 2, term: 5, index: 1, logTerm: 1 });
  assert.equal(answer?.reject, false);
});

test("6.4.1 (thesis) a promise to a leader outlives the term that it was given in", () => {
  const peer = new Peer(1, { log: [1] }, { ...SAFE, readMode: "lease", leaseStartupTicks: 0 });
  peer.receive({ type: "MsgHeartbeat", from: 2, term: 1, context: 1 });
  peer.receive({ type: "MsgAppResp", from: 3, term: 3 });
  assert.equal(peer.raft.term, 3);
  for (const term of [3, 4]) assert.deepEqual(peer.receive({ type: "MsgVote", from: 3, term, index: 1, logTerm: 1 }), []);
  peer.tick(10);
  const [answer] = peer.receive({ type: "MsgVote", from: 3, term: 30, index: 1, logTerm: 1 });
  assert.equal(answer?.reject, false);
});

test("9.6 (thesis) with pre-vote a node that is cut off keeps its term, and deposes nobody when it returns", () => {
  const group = Group.of(3, SAFE);
  group.elect(1);
  group.connect(1, 2);
  group.peer(3).tick(100);
  group.settle();
  assert.equal(group.peer(3).raft.term, 1);
  group.connect();
  group.peer(3).node.campaign();
  group.settle();
  assert.equal(group.peer(1).raft.role, "leader");
  assert.equal(group.peer(1).raft.term, 1);
});

test("6 (thesis) a leader that hears from no quorum for an election timeout stops leading", () => {
  const group = Group.of(3, SAFE);
  group.elect(1);
  group.connect(1);
  const leader = group.peer(1);
  leader.tick(20);
  assert.equal(leader.raft.role, "follower");
});

test("4.2.3 (thesis) nobody votes while its leader lives, unless leadership is handed over", () => {
  const group = Group.of(3, SAFE);
  group.elect(1);
  const follower = group.peer(2);
  assert.deepEqual(follower.receive({ type: "MsgVote", from: 3, term: 9, index: 9, logTerm: 9 }), []);
  assert.equal(follower.raft.term, 1);
  const [answer] = follower.receive({ type: "MsgVote", from: 3, term: 9, index: 9, logTerm: 9, force: true });
  assert.equal(answer?.reject, false);
});

test("3.10 (thesis) leadership goes to a node that lags once it has caught up; proposals wait meanwhile", () => {
  const group = Group.of(3, SAFE);
  group.elect(1);
  group.connect(1, 2);
  group.peer(1).propose("x");
  group.settle();
  group.connect();
  const leader = group.peer(1);
  leader.node.transferLeader(3);
  const outcome = leader.node.propose([EMPTY_BYTES]);
  assert.equal(outcome.ok, false);
  leader.tick();
  group.settle();
  assert.equal(group.peer(3).raft.role, "leader");
  assert.equal(group.peer(3).raft.term, 2);
});

test("an append that an earlier term's write made durable does not count for what overwrote it", () => {
  const peer = new Peer(3, {}, { applyUnstable: false });
  const append = (from: number, term: number, entries: readonly ReturnType<typeof entry>[]) =>
    peer.node.step({ ...proto(peer), from, term, entries });
  append(1, 1, [entry(1, 1)]);
  const first = peer.node.ready();
  append(2, 2, [entry(2, 1)]);
  peer.node.ready();
  append(1, 3, [entry(1, 1)]);
  const third = peer.node.ready();
  // Only the first write is through; the second is about to replace what it wrote.
  peer.storage.append(first.entries);
  peer.node.persisted(first.number);
  assert.equal(peer.raft.log.unstable.offset, 1, "nothing is stable yet");
  peer.storage.append(third.entries);
  peer.node.persisted(third.number);
  assert.equal(peer.raft.log.unstable.offset, 2);
});

test("what is applied at once is bounded by bytes; one entry always goes", () => {
  const peer = new Peer(1, { log: [1, 1, 1, 1], commit: 4 }, { maxApplyingBytes: 1 });
  const ready = peer.node.ready();
  assert.equal(ready.committedEntries.length, 1);
  assert.equal(peer.node.hasReady(), false);
  peer.node.persisted(ready.number);
  peer.node.applied(1);
  assert.equal(peer.node.ready().committedEntries.length, 1);
});

test("a follower that does not forward says so; one that forwards sends the proposal to its leader", () => {
  for (const forwardProposals of [true, false]) {
    const peer = new Peer(2, {}, { forwardProposals });
    peer.receive({ type: "MsgHeartbeat", from: 1, term: 1 });
    const outcome = peer.node.forward([{ type: "normal", data: EMPTY_BYTES }]);
    peer.process();
    assert.equal(outcome, forwardProposals ? "ok" : "dropped");
    assert.equal(peer.take().filter((message) => message.type === "MsgProp" && message.to === 1).length, forwardProposals ? 1 : 0);
  }
});

test("settings that contradict each other are refused", () => {
  assert.throws(() => new Peer(1, {}, { electionTicks: 1 }), /electionTicks/);
  assert.throws(() => new Peer(1, {}, { readMode: "lease" }), /checkQuorum/);
  assert.throws(() => new Peer(1, {}, { ...SAFE, readMode: "lease", leaseMarginTicks: 1 }), /two ticks/);
  assert.throws(() => new Peer(0), /positive/);
});

test("a message whose positions are no safe integers is refused", () => {
  assert.throws(() => new Peer(1).receive({ type: "MsgApp", from: 2, term: 2 ** 53 }), /safe integers/);
  assert.throws(() => new Peer(1).receive({ type: "MsgApp", from: 2, term: 1, index: -1 }), /safe integers/);
});
