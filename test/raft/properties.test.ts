/** The core's parts against naive models: quorums, configurations, windows, the log in memory. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { array, assert as check, boolean, constantFrom, integer, property, record, tuple, uniqueArray } from "fast-check";
import { decodeConfChange, encodeConfChange, EntryWindow, type ConfChange, type ConfChangeKind, type Entry } from "../../src/raft/mod.ts";
import {
  allMembers,
  changeSimply,
  configurationOf,
  confStateOf,
  enterJoint,
  EMPTY_CONFIGURATION,
  isJoint,
  leaveJoint,
  type Configuration,
} from "../../src/raft/configuration.ts";
import { Inflights } from "../../src/raft/inflights.ts";
import { Progress } from "../../src/raft/progress.ts";
import { ReadRounds } from "../../src/raft/reads.ts";
import { jointIndex, jointVote, majorityIndex, majorityVote } from "../../src/raft/quorum.ts";
import { MemoryLog, type OlderRange } from "../../src/replica/mod.ts";

const members = uniqueArray(integer({ min: 1, max: 9 }), { maxLength: 7 });
const acked = array(integer({ min: 0, max: 12 }), { minLength: 10, maxLength: 10 });
const votes = array(constantFrom(true, false, undefined), { minLength: 10, maxLength: 10 });

test("the committed index is the largest that more than half have", () => {
  check(
    property(members, acked, (ids, indexes) => {
      const have = (index: number): number => ids.filter((id) => (indexes[id] ?? 0) >= index).length;
      const expected =
        ids.length === 0 ? Infinity : Math.max(...[0, ...indexes].filter((index) => index === 0 || have(index) * 2 > ids.length));
      assert.equal(
        majorityIndex(ids, (id) => indexes[id] ?? 0),
        expected,
      );
    }),
  );
});

test("a joint quorum is symmetric, equals its half when joined with itself or with nobody, and decides the smaller index", () => {
  check(
    property(members, members, acked, (left, right, indexes) => {
      const of = (id: number): number => indexes[id] ?? 0;
      const joint = jointIndex(left, right, of);
      assert.equal(joint, jointIndex(right, left, of));
      assert.equal(joint, Math.min(majorityIndex(left, of), majorityIndex(right, of)));
      assert.equal(jointIndex(left, left, of), majorityIndex(left, of));
      assert.equal(jointIndex(left, [], of), majorityIndex(left, of));
    }),
  );
});

test("an index that is committed stays so whatever else is acknowledged", () => {
  check(
    property(members, members, acked, acked, (left, right, before, more) => {
      const later = (id: number): number => Math.max(before[id] ?? 0, more[id] ?? 0);
      assert.ok(jointIndex(left, right, later) >= jointIndex(left, right, (id) => before[id] ?? 0));
    }),
  );
});

test("a vote is won by more than half, lost when that can't be any more, and joint only if both halves agree", () => {
  check(
    property(members, members, votes, (left, right, given) => {
      const voted = (id: number): boolean | undefined => given[id];
      const expected = (ids: readonly number[]): string => {
        const count = (vote: boolean | undefined): number => ids.filter((id) => given[id] === vote).length;
        if (ids.length === 0 || count(true) * 2 > ids.length) return "won";
        return (count(true) + count(undefined)) * 2 > ids.length ? "pending" : "lost";
      };
      assert.equal(majorityVote(left, voted), expected(left));
      const halves = [expected(left), expected(right)];
      const both = halves.includes("lost") ? "lost" : halves.includes("pending") ? "pending" : "won";
      assert.equal(jointVote(left, right, voted), both);
      assert.equal(jointVote(left, right, voted), jointVote(right, left, voted));
    }),
  );
});

const steps = array(
  record(
    { kind: constantFrom<ConfChangeKind>("add-voter", "add-learner", "remove", "update"), nodeId: integer({ min: 0, max: 6 }) },
    { noNullPrototype: true },
  ),
  { maxLength: 6 },
);

test("a joint change ends where the same steps, made one by one, end", () => {
  check(
    property(steps, steps, boolean(), (first, change, autoLeave) => {
      const start = changeSimply(EMPTY_CONFIGURATION, [{ kind: "add-voter", nodeId: 7 }]);
      assert.ok(start.ok);
      let config: Configuration = start.config;
      for (const step of first) {
        const next = changeSimply(config, [step]);
        if (next.ok) config = next.config;
      }
      const joint = enterJoint(config, change, autoLeave);
      if (!joint.ok) {
        assert.equal(joint.reason, "removed all voters");
        return;
      }
      assert.ok(isJoint(joint.config));
      assert.deepEqual(joint.config.outgoing, config.incoming);
      const left = leaveJoint(joint.config);
      assert.ok(left.ok);
      let single = config;
      for (const step of change) {
        const next = changeSimply(single, [step]);
        if (!next.ok) return;
        single = next.config;
      }
      assert.deepEqual(left.config, single);
    }),
    { numRuns: 500 },
  );
});

test("no member is lost or made by writing a configuration down", () => {
  check(
    property(members, members, (voters, more) => {
      const learners = more.filter((id) => !voters.includes(id));
      const config = configurationOf({ voters, votersOutgoing: [], learners, learnersNext: [], autoLeave: false });
      assert.deepEqual(configurationOf(confStateOf(config)), config);
      assert.equal(allMembers(config).length, voters.length + learners.length);
    }),
  );
});

test("a membership change is read back as it was written; other bytes are no change, and never throw", () => {
  check(
    property(
      steps,
      constantFrom("auto" as const, "implicit" as const, "explicit" as const),
      array(integer({ min: 0, max: 255 }), { maxLength: 9 }),
      (changes, transition, bytes) => {
        const change = { transition, changes, context: new Uint8Array(bytes) };
        assert.deepEqual(decodeConfChange(encodeConfChange(change)), change);
        const read = decodeConfChange(new Uint8Array(bytes));
        if (read !== undefined) assert.deepEqual(encodeConfChange(read), new Uint8Array(bytes));
      },
    ),
  );
});

test("membership changes are written as the golden bytes of version 1 say, and refused with an unknown version, kind or count", () => {
  const golden = JSON.parse(readFileSync(new URL("golden/conf-change-v1.json", import.meta.url), "utf8")) as readonly (Omit<
    ConfChange,
    "context"
  > & { readonly context: string; readonly bytes: string })[];
  const bytesOfHex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"));
  for (const { transition, changes, context, bytes } of golden) {
    const change = { transition, changes, context: bytesOfHex(context) };
    assert.equal(Buffer.from(encodeConfChange(change)).toString("hex"), bytes);
    assert.deepEqual(decodeConfChange(bytesOfHex(bytes)), change);
  }
  for (const bad of ["02000000", "01030000", "0100010004010000000000000", "010001000001000000", "01000100000000000000000020", "0100"]) {
    assert.equal(decodeConfChange(bytesOfHex(bad)), undefined, bad);
  }
});

test("the window frees what is acknowledged, in order, and is full by messages or by bytes", () => {
  check(
    property(
      integer({ min: 1, max: 8 }),
      integer({ min: 1, max: 30 }),
      array(tuple(boolean(), integer({ min: 0, max: 20 })), { maxLength: 60 }),
      (maxMessages, maxBytes, moves) => {
        const window = new Inflights(maxMessages, maxBytes);
        let model: { index: number; bytes: number }[] = [];
        let next = 1;
        for (const [isSend, amount] of moves) {
          const bytes = model.reduce((sum, one) => sum + one.bytes, 0);
          assert.equal(window.full(), model.length >= maxMessages || bytes >= maxBytes);
          assert.deepEqual([window.count, window.byteCount], [model.length, bytes]);
          if (!isSend) {
            window.freeTo(amount);
            model = model.filter((one) => one.index > amount);
          } else if (!window.full()) {
            window.add(next, amount);
            model.push({ index: next++, bytes: amount });
          }
        }
      },
    ),
  );
});

test("progress keeps match below next, whatever is said to it", () => {
  const move = tuple(integer({ min: 0, max: 6 }), integer({ min: 0, max: 20 }), integer({ min: 0, max: 20 }));
  check(
    property(array(move, { maxLength: 60 }), (moves) => {
      const progress = new Progress(5, false, { maxInflightMessages: 4, maxInflightBytes: 1000 });
      for (const [what, a, b] of moves) {
        if (what === 0) progress.becomeProbe();
        else if (what === 1) progress.becomeReplicate();
        else if (what === 2 && a >= progress.match) progress.becomeSnapshot(a);
        else if (what === 3) progress.maybeUpdate(a);
        else if (what === 4 && progress.state !== "snapshot") progress.maybeDecrease(a, b);
        else if (what === 5 && !progress.isPaused()) progress.sentEntries(progress.state === "probe" ? 1 : a % 3, b);
        assert.ok(progress.match < progress.next, `${progress.match} < ${progress.next}`);
        assert.ok(progress.inflights.count <= 4);
        if (progress.state === "snapshot") assert.ok(progress.isPaused());
      }
    }),
  );
});

const bytesOf = (size: number): Uint8Array => new Uint8Array(size);

test("a window of entries is an array with an offset", () => {
  check(
    property(array(tuple(integer({ min: 0, max: 3 }), integer({ min: 0, max: 3000 })), { maxLength: 40 }), (moves) => {
      const window = new EntryWindow(1);
      let model: Entry[] = [];
      let first = 1;
      for (const [what, amount] of moves) {
        const end = first + model.length;
        if (what === 0) {
          const more = Array.from({ length: amount }, (_, k): Entry => ({ index: end + k, term: 1, type: "normal", data: bytesOf(0) }));
          window.append(more);
          model = [...model, ...more];
        } else if (what === 1) {
          const index = Math.min(end, first + (amount % (model.length + 1)));
          window.truncateFrom(index);
          model = model.slice(0, index - first);
        } else if (what === 2) {
          const index = first + (amount % (model.length + 1));
          window.dropBefore(index);
          model = model.slice(index - first);
          first = index;
        } else {
          assert.equal(window.at(first + amount), model[amount]);
        }
        assert.deepEqual([window.firstIndex, window.endIndex, window.length], [first, first + model.length, model.length]);
      }
      assert.deepEqual(window.slice(first, first + model.length, Infinity), model);
    }),
    { numRuns: 60 },
  );
});

test("a slice is cut by bytes, but never to nothing", () => {
  const window = new EntryWindow(1);
  window.append([10, 10, 10].map((size, at): Entry => ({ index: at + 1, term: 1, type: "normal", data: bytesOf(size) })));
  assert.equal(window.slice(1, 4, 1).length, 1);
  assert.equal(window.slice(1, 4, 68).length, 2);
  assert.equal(window.slice(1, 4, 1000).length, 3);
});

test("the log in memory forgets applied entries beyond its bound, and reads them from disk if it can", () => {
  const entries = Array.from({ length: 100 }, (_, at): Entry => ({
    index: at + 1,
    term: at < 50 ? 1 : 2,
    type: "normal",
    data: bytesOf(76),
  }));
  const recovered = { compacted: { index: 0, term: 0 }, entries };
  const plain = new MemoryLog(recovered, { maxBytes: 1000, snapshot: () => undefined });
  plain.trim(80);
  assert.equal(plain.firstIndex(), 81, "what is not applied stays");
  plain.trim(100);
  assert.deepEqual([plain.firstIndex(), plain.lastIndex(), plain.byteCount], [91, 100, 1000]);
  assert.deepEqual([plain.term(90), plain.term(89)], [2, undefined]);
  assert.equal(plain.entries(90, 92, Infinity), undefined);
  const asked: OlderRange[] = [];
  const backed = new MemoryLog(recovered, { maxBytes: 1000, readOlder: (range) => asked.push(range), snapshot: () => undefined });
  backed.trim(100);
  assert.equal(backed.firstIndex(), 1);
  assert.deepEqual([backed.term(1), backed.term(90), backed.term(0)], [undefined, 2, 0]);
  assert.equal(backed.entries(5, 8, Infinity), undefined);
  assert.deepEqual([backed.fetch(91), backed.fetch(101), backed.fetch(0)], [false, false, false], "in memory, beyond the end, gone");
  assert.deepEqual([backed.fetch(5), backed.fetch(5), backed.fetch(60)], [true, true, true]);
  assert.deepEqual(
    asked.map(({ lo, hi }) => [lo, hi]),
    [[5, 91]],
    "one at a time, each once",
  );
  backed.fetched(entries.slice(4, 20));
  assert.deepEqual(
    backed.entries(5, 8, Infinity)?.map((one) => one.index),
    [5, 6, 7],
  );
  assert.deepEqual([backed.term(5), backed.entries(6, 20, 100)?.length, backed.entries(6, 20, 1)?.length], [1, 1, 1]);
  assert.equal(asked[1]?.lo, 60);
  backed.fetched(undefined);
  assert.equal(backed.term(60), undefined, "what is gone does not come");
  backed.compact(10);
  assert.deepEqual([backed.firstIndex(), backed.term(10), backed.entries(10, 40, Infinity)], [11, 1, undefined]);
});

test("a batch replaces the log in memory from its first index on", () => {
  const make = (from: number, to: number, term: number): Entry[] =>
    Array.from({ length: to - from + 1 }, (_, k) => ({ index: from + k, term, type: "normal", data: bytesOf(1) }));
  const log = new MemoryLog({ compacted: { index: 0, term: 0 }, entries: make(1, 9, 1) }, { snapshot: () => undefined });
  log.append(make(5, 6, 2));
  assert.equal(log.lastIndex(), 6);
  assert.deepEqual(
    [4, 5, 6, 7].map((index) => log.term(index)),
    [1, 2, 2, undefined],
  );
  log.restore(20, 3);
  assert.deepEqual([log.firstIndex(), log.lastIndex(), log.term(20), log.byteCount], [21, 20, 3, 0]);
});

test("rounds that nobody answers are not remembered for ever", () => {
  for (const leaseTicks of [0, 10]) {
    const rounds = new ReadRounds(leaseTicks);
    for (let tick = 0; tick < 10_000; tick++) rounds.startRound(tick);
    assert.ok(rounds.sentCount <= leaseTicks, `${rounds.sentCount}`);
  }
});

test("a lease begins when the latest confirmed round was sent", () => {
  const rounds = new ReadRounds(10);
  for (let tick = 100; tick < 105; tick++) rounds.startRound(tick);
  assert.equal(rounds.leaseStart(), -1);
  rounds.confirm(3);
  assert.equal(rounds.leaseStart(), 102);
  rounds.confirm(2);
  assert.equal(rounds.leaseStart(), 102);
  rounds.confirm(5);
  assert.equal(rounds.leaseStart(), 104);
});
