/** The driver with logs and state machines in memory: what a single node and a small group do. */
import assert from "node:assert/strict";
import test from "node:test";
import { utf8 } from "../../src/base/mod.ts";
import { EMPTY_CONF_STATE, type ConfState, type Entry, type HardState, type Message } from "../../src/raft/mod.ts";
import { RaftDriver, type DriverState, type LogBatch, type RoleChange } from "../../src/replica/mod.ts";

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
  members: ConfState | undefined;
  snapshotIndex = 0;

  constructor(id: number, state: DriverState) {
    let seed = id;
    const random = {
      u32: () => (seed = (seed * 1103515245 + 12345) >>> 0),
      below: (bound: number) => random.u32() % bound,
      u64: () => 0n,
      fill: () => undefined,
    };
    this.driver = new RaftDriver(
      state,
      { raft: { id, random }, random },
      {
        log: { append: (batch) => this.batches.push(batch), compact: (index) => this.compactions.push(index) },
        send: (message) => this.sent.push(message),
        apply: (entries) => this.applied.push(...entries),
        readable: (read, index) => this.reads.push({ read, index }),
        roleChanged: (change) => this.roles.push(change),
        membersChanged: (members) => (this.members = members),
        latestSnapshot: () =>
          this.snapshotIndex === 0 ? undefined : { index: this.snapshotIndex, term: 1, confState: state.members, data: utf8("s") },
      },
    );
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

test("the log is compacted up to what is applied, durably committed and in a snapshot, and no further (C5, C7)", () => {
  const host = new Host(1, fresh([1]));
  host.driver.campaign();
  host.settle();
  host.driver.propose([utf8("a"), utf8("b"), utf8("c")]);
  host.settle();
  host.driver.compact(3);
  assert.deepEqual(host.compactions, []);
  host.driver.applied(2);
  assert.deepEqual(host.compactions, []);
  host.snapshotIndex = 3;
  host.driver.applied(3);
  assert.deepEqual(host.compactions, [3]);
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
