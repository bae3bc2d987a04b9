/** The paper, sentence by sentence: sections 5.1 to 5.4.2 of "In Search of an Understandable Consensus Algorithm". */
import assert from "node:assert/strict";
import test from "node:test";
import { entry, Group, Peer, type PeerStart } from "./support/group.ts";

/** A peer of term 1 in the given role. */
function peerAs(role: "follower" | "candidate" | "leader", start: PeerStart = {}): Peer {
  const peer = new Peer(1, start);
  if (role !== "follower") peer.node.campaign();
  peer.process();
  if (role === "leader") peer.receive({ type: "MsgVoteResp", from: 2, term: peer.raft.term });
  peer.take();
  assert.equal(peer.raft.role, role);
  return peer;
}

for (const role of ["follower", "candidate", "leader"] as const) {
  test(`5.1 a ${role} that sees a larger term takes that term, and is a follower`, () => {
    const peer = peerAs(role);
    peer.receive({ type: "MsgApp", from: 2, term: 5 });
    assert.equal(peer.raft.term, 5);
    assert.equal(peer.raft.role, "follower");
  });

  test(`5.1 a ${role} rejects a message with a stale term`, () => {
    const peer = peerAs(role, { term: 4 });
    const { term } = peer.raft;
    const sent = peer.receive({ type: "MsgApp", from: 2, term: term - 1, index: 0, entries: [entry(1, 1)] });
    assert.equal(peer.raft.term, term);
    assert.equal(sent.length, 0);
    assert.equal(peer.terms().includes(1), false);
  });
}

test("5.2 a node starts as a follower", () => {
  assert.equal(new Peer(1).raft.role, "follower");
});

test("5.2 a leader sends heartbeats to all in every heartbeat interval", () => {
  const peer = peerAs("leader");
  peer.tick();
  assert.deepEqual(
    peer.take().map(({ type, to, term }) => [type, to, term]),
    [
      ["MsgHeartbeat", 2, 1],
      ["MsgHeartbeat", 3, 1],
    ],
  );
});

for (const role of ["follower", "candidate"] as const) {
  test(`5.2 a ${role} that hears nothing for an election timeout starts an election in the next term, and votes for itself`, () => {
    const peer = peerAs(role);
    const { term } = peer.raft;
    peer.tick(20);
    assert.equal(peer.raft.term, term + 1);
    assert.equal(peer.raft.role, "candidate");
    assert.equal(peer.storage.hardState.vote, 1);
    assert.deepEqual(
      peer
        .take()
        .filter((m) => m.term === term + 1)
        .map(({ type, to }) => [type, to]),
      [
        ["MsgVote", 2],
        ["MsgVote", 3],
      ],
    );
  });

  test(`5.2 election timeouts of a ${role} are drawn anew from [timeout, 2 * timeout)`, () => {
    const peer = peerAs(role);
    const seen = new Set<number>();
    for (let k = 0; k < 500; k++) {
      peer.raft.becomeFollower(peer.raft.term + 1, 2);
      if (role === "candidate") peer.raft.becomeCandidate();
      seen.add(peer.raft.randomizedElectionTicks);
    }
    assert.deepEqual(
      [...seen].sort((a, b) => a - b),
      [10, 11, 12, 13, 14, 15, 16, 17, 18, 19],
    );
  });
}

test("5.2 peers seldom time out together", () => {
  let together = 0;
  for (let round = 0; round < 300; round++) {
    const group = Group.of(5);
    for (let k = 0; k <= round % 7; k++) for (const peer of group.peers) peer.raft.drawElectionTimeout();
    const ticks = group.peers.map((peer) => peer.raft.randomizedElectionTicks).sort((a, b) => a - b);
    if (ticks[0] === ticks[1]) together++;
  }
  assert.ok(together < 200, `${together} of 300`);
});

const MAJORITIES: readonly (readonly [number, Readonly<Record<number, boolean>>, string])[] = [
  [1, {}, "leader"],
  [3, { 2: true, 3: true }, "leader"],
  [3, { 2: true }, "leader"],
  [5, { 2: true, 3: true, 4: true, 5: true }, "leader"],
  [5, { 2: true, 3: true, 4: true }, "leader"],
  [5, { 2: true, 3: true }, "leader"],
  [3, { 2: false, 3: false }, "follower"],
  [5, { 2: false, 3: false, 4: false, 5: false }, "follower"],
  [5, { 2: true, 3: false, 4: false, 5: false }, "follower"],
  [3, {}, "candidate"],
  [5, { 2: true }, "candidate"],
  [5, { 2: false, 3: false }, "candidate"],
  [4, { 2: true }, "candidate"],
  [5, {}, "candidate"],
];
for (const [size, votes, role] of MAJORITIES) {
  test(`5.2 of ${size} nodes with answers ${JSON.stringify(votes)} a candidate is ${role}`, () => {
    const peer = new Peer(1, { voters: Array.from({ length: size }, (_, k) => k + 1) });
    peer.node.campaign();
    peer.process();
    for (const [from, granted] of Object.entries(votes))
      peer.receive({ type: "MsgVoteResp", from: Number(from), term: 1, reject: !granted });
    assert.equal(peer.raft.role, role);
    assert.equal(peer.raft.term, 1);
  });
}

for (const [vote, from, isGranted] of [
  [0, 2, true],
  [0, 3, true],
  [2, 2, true],
  [3, 3, true],
  [2, 3, false],
  [3, 2, false],
] as const) {
  test(`5.2 a node that voted for ${vote} ${isGranted ? "grants" : "refuses"} ${from} its vote of that term`, () => {
    const peer = new Peer(1, { term: 1, vote });
    const sent = peer.receive({ type: "MsgVote", from, term: 1 });
    assert.deepEqual(
      sent.map(({ type, to, term, reject }) => ({ type, to, term, reject })),
      [{ type: "MsgVoteResp", to: from, term: 1, reject: !isGranted }],
    );
  });
}

for (const term of [1, 2]) {
  test(`5.2 a candidate of term 1 that hears from a leader of term ${term} follows it`, () => {
    const peer = peerAs("candidate");
    peer.receive({ type: "MsgApp", from: 2, term });
    assert.equal(peer.raft.role, "follower");
    assert.equal(peer.raft.lead, 2);
    assert.equal(peer.raft.term, term);
  });
}

test("5.3 a leader appends a proposal to its log, and sends it to all others", () => {
  const peer = peerAs("leader");
  for (const from of [2, 3]) peer.receive({ type: "MsgAppResp", from, term: 1, index: 1 });
  peer.take();
  peer.propose("x");
  assert.deepEqual(peer.terms(), [1, 1]);
  const sent = peer.take();
  assert.deepEqual(
    sent.map(({ type, to, index, logTerm, entries }) => [type, to, index, logTerm, entries.length]),
    [
      ["MsgApp", 2, 1, 1, 1],
      ["MsgApp", 3, 1, 1, 1],
    ],
  );
});

test("5.3 a leader commits an entry once a majority has it, applies it, and says so with the next appends", () => {
  const peer = peerAs("leader");
  assert.equal(peer.raft.log.committed, 0);
  const sent = peer.receive({ type: "MsgAppResp", from: 2, term: 1, index: 1 });
  assert.equal(peer.raft.log.committed, 1);
  assert.equal(peer.applied.length, 1);
  assert.ok(sent.every((message) => message.commit === 1) && sent.length > 0);
});

for (const [size, acknowledging, commits] of [
  [1, [], true],
  [3, [], false],
  [3, [2], true],
  [5, [2], false],
  [5, [2, 3], true],
  [4, [2], false],
  [4, [2, 3], true],
] as const) {
  test(`5.3 of ${size} nodes, ${acknowledging.length} acknowledgements ${commits ? "commit" : "do not commit"} an entry`, () => {
    const group = Group.of(size);
    group.elect(1);
    const leader = group.peer(1);
    leader.propose("x");
    leader.take();
    for (const from of acknowledging) leader.receive({ type: "MsgAppResp", from, term: 1, index: 2 });
    assert.equal(leader.raft.log.committed >= 2, commits);
  });
}

for (const log of [[], [2], [1, 2], [1]]) {
  test(`5.3 a commit covers what precedes it in the log, entries of earlier leaders too: ${log.join(" ")}`, () => {
    const peer = peerAs("leader", { log, term: 2 });
    peer.propose("x");
    const last = peer.raft.log.lastIndex();
    peer.receive({ type: "MsgAppResp", from: 2, term: 3, index: last });
    assert.deepEqual(
      peer.applied.map((one) => one.term),
      [...log, 3, 3],
    );
  });
}

test("5.3 a follower applies what it learns to be committed, in the order of the log", () => {
  const peer = peerAs("follower");
  const entries = [entry(1, 1), entry(1, 2), entry(1, 3)];
  for (const commit of [1, 2, 3]) {
    const index = commit - 1;
    peer.receive({ type: "MsgApp", from: 2, term: 1, index, logTerm: Math.min(index, 1), entries: entries.slice(index), commit });
    assert.deepEqual(
      peer.applied.map((one) => one.index),
      [1, 2, 3].slice(0, commit),
    );
  }
});

test("5.3 a follower commits no further than the last entry that the append brought, whatever its log holds beyond", () => {
  const peer = new Peer(1, { log: [1, 1, 2, 2] });
  peer.receive({ type: "MsgApp", from: 2, term: 3, index: 1, logTerm: 1, entries: [entry(1, 2)], commit: 4 });
  assert.equal(peer.raft.log.committed, 2);
  assert.deepEqual(peer.terms(), [1, 1, 2, 2]);
});

for (const [term, index, hint] of [
  [1, 1, undefined],
  [2, 2, undefined],
  [1, 2, 1],
  [3, 3, 2],
] as const) {
  test(`5.3 an append after (term ${term}, index ${index}) is ${hint === undefined ? "accepted" : "refused"} by the log 1 2`, () => {
    const peer = new Peer(1, { log: [1, 2], commit: 1 });
    const [answer] = peer.receive({ type: "MsgApp", from: 2, term: 3, logTerm: term, index });
    assert.equal(answer?.type, "MsgAppResp");
    assert.equal(answer?.reject, hint !== undefined);
    if (hint !== undefined) assert.equal(answer?.rejectHint, hint);
  });
}

const APPENDS: readonly (readonly [number, number, readonly number[], readonly number[]])[] = [
  [2, 2, [3], [1, 2, 3]],
  [1, 1, [3, 4], [1, 3, 4]],
  [0, 0, [1], [1, 2]],
  [0, 0, [3], [3]],
];
for (const [index, logTerm, terms, after] of APPENDS) {
  test(`5.3 an entry that conflicts is deleted with all that follow, and nothing else: ${terms.join(" ")} after ${index}`, () => {
    const peer = new Peer(1, { log: [1, 2] });
    peer.receive({ type: "MsgApp", from: 2, term: 4, index, logTerm, entries: terms.map((term, at) => entry(term, index + 1 + at)) });
    assert.deepEqual(peer.terms(), after);
  });
}

test("5.3 a conflict in the middle of what is not stored yet takes the whole rest with it", () => {
  const peer = new Peer(1, { log: [1] });
  const from = { from: 2, logTerm: 1, index: 1 };
  // All three arrive before any is stored.
  peer.node.step({ ...messageOf(2), ...from, to: 1, entries: [entry(2, 2), entry(2, 3), entry(2, 4), entry(2, 5)] });
  peer.node.step({ ...messageOf(3), ...from, to: 1, index: 2, logTerm: 2, entries: [entry(3, 3)] });
  assert.equal(peer.raft.log.lastIndex(), 3);
  peer.process();
  assert.deepEqual(peer.terms(), [1, 2, 3]);
});

function messageOf(term: number) {
  const peer = new Peer(9, { voters: [9, 1] });
  peer.raft.term = term;
  peer.raft.send({ type: "MsgApp", to: 1 });
  const [message] = peer.raft.messages;
  assert.ok(message !== undefined);
  return message;
}

test("5.3 figure 7: whatever a follower has or lacks, it ends with the leader's log", () => {
  const leaderLog = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
  const followers = [
    [1, 1, 1, 4, 4, 5, 5, 6, 6],
    [1, 1, 1, 4],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    [1, 1, 1, 4, 4, 4, 4],
    [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
  ];
  for (const log of followers) {
    for (const maxMessageBytes of [1, 1e6]) {
      const voters = [1, 2, 3];
      const leader = new Peer(1, { voters, log: leaderLog, term: 8, commit: 3 }, { maxMessageBytes });
      const follower = new Peer(2, { voters, log, term: 7 }, { maxMessageBytes });
      // The third has a short log, and votes.
      const group = new Group([leader, follower, new Peer(3, { voters, log: [1], term: 7 }, { maxMessageBytes })]);
      group.elect(1);
      group.settle();
      leader.propose("x");
      group.settle();
      assert.equal(leader.raft.role, "leader");
      assert.deepEqual(follower.terms(), [...leaderLog, 9, 9]);
    }
  }
});

for (const log of [[1], [1, 2]]) {
  test(`5.4.1 a request for a vote tells where the candidate's log ends: ${log.join(" ")}`, () => {
    const peer = new Peer(1, { log });
    peer.tick(20);
    const sent = peer.take().filter((message) => message.type === "MsgVote");
    assert.deepEqual(
      sent.map(({ to, index, logTerm }) => [to, index, logTerm]),
      [
        [2, log.length, log.at(-1)],
        [3, log.length, log.at(-1)],
      ],
    );
  });
}

const LOGS: readonly (readonly [readonly number[], number, number, boolean])[] = [
  [[1], 1, 1, true],
  [[1], 1, 2, true],
  [[1, 1], 1, 1, false],
  [[1], 2, 1, true],
  [[1], 2, 2, true],
  [[1, 1], 2, 1, true],
  [[2], 1, 1, false],
  [[2], 1, 2, false],
  [[1, 2], 1, 1, false],
];
for (const [log, term, index, isGranted] of LOGS) {
  test(`5.4.1 the log ${log.join(" ")} ${isGranted ? "grants" : "refuses"} a candidate whose log ends with term ${term} at ${index}`, () => {
    const [answer] = new Peer(1, { log }).receive({ type: "MsgVote", from: 2, term: 3, logTerm: term, index });
    assert.equal(answer?.reject, !isGranted);
  });
}

for (const [index, commit] of [
  [1, 0],
  [2, 0],
  [3, 3],
] as const) {
  test(`5.4.2 only an entry of the leader's own term is committed by counting: acknowledged up to ${index} of 1 2 | 3`, () => {
    const peer = new Peer(1, { log: [1, 2] });
    peer.node.campaign();
    peer.process();
    peer.receive({ type: "MsgVoteResp", from: 2, term: 3 });
    peer.receive({ type: "MsgAppResp", from: 2, term: 3, index });
    assert.equal(peer.raft.log.committed, commit);
  });
}
