/** The simulator: many seeds without a violation, every generator, and the same run twice from the same seed. */
import assert from "node:assert/strict";
import test from "node:test";
import { runSeed, SCENARIOS, tlaLine, type ScenarioName } from "../../../src/sim/mod.ts";

/** Seeds of a run of the gate; a soak goes on with others. */
const SEEDS = 900;

test("no seed breaks an invariant, and every group comes to rest after healing", () => {
  let unknown = 0;
  let commits = 0;
  let olderReads = 0;
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      const result = runSeed(seed);
      if (result.linearizable === "unknown") unknown++;
      commits += result.commit;
      olderReads += result.olderReads;
    } catch (error) {
      throw new Error(`seed ${seed}: npm run sim:raft -- --seed ${seed}`, { cause: error });
    }
  }
  assert.ok(unknown < SEEDS / 4, `${unknown} histories were too hard to check`);
  assert.ok(commits > SEEDS * 20, `the groups commit something: ${commits}`);
  assert.ok(olderReads > SEEDS, `followers that lag are caught up from disk: ${olderReads}`);
});

test("the same seed does the same, event by event", () => {
  for (let seed = 1; seed <= 60; seed++) assert.deepEqual(runSeed(seed), runSeed(seed), `seed ${seed}`);
});

for (const scenario of Object.keys(SCENARIOS) as ScenarioName[]) {
  test(`generator ${scenario}: what it leaves behind is survived`, () => {
    for (let seed = 10_000; seed < 10_040; seed++) {
      try {
        runSeed(seed, { scenario, steps: 1200 });
      } catch (error) {
        throw new Error(`npm run sim:raft -- --seed ${seed} --steps 1200 --scenario ${scenario}`, { cause: error });
      }
    }
  });
}

test("a run can be written as a trace for TLA+", () => {
  const names = new Set<string>();
  runSeed(2, {
    steps: 400,
    listen: (line, world) => {
      const text = tlaLine(world, line);
      if (text === undefined) return;
      const { tag, event } = JSON.parse(text) as {
        tag: string;
        event: { name: string; nid: string; state: { term: number }; role: string; conf: string[][] };
      };
      assert.equal(tag, "trace");
      assert.match(event.nid, /^\d+$/);
      assert.ok(event.state.term >= 0 && event.role.startsWith("State") && event.conf.length === 2);
      names.add(event.name);
    },
  });
  for (const name of [
    "InitState",
    "BecomeCandidate",
    "BecomeLeader",
    "Commit",
    "Replicate",
    "SendAppendEntriesRequest",
    "ReceiveRequestVoteRequest",
  ]) {
    assert.ok(names.has(name), `${name} occurs; there are ${[...names].join(", ")}`);
  }
});
