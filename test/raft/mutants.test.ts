/**
 * The test of the tests: planted bugs must be caught. The gate plants a part of them, each run another part is not worth the time;
 * `npm run mutants:raft` plants all, and prints which net caught what.
 */
import assert from "node:assert/strict";
import test from "node:test";
import { MUTANTS } from "./mutants/mutants.ts";
import { isCaught, raftLab, runNets } from "./support/mutant-run.ts";

/** One in this many is planted in the gate; all of them with PUMICE_ALL_MUTANTS=1. */
const SAMPLE = process.env["PUMICE_ALL_MUTANTS"] === "1" ? 1 : 4;
const BUDGET = { outside: undefined, seeds: 2000, seconds: 60, stopAtFirst: true };

test("planted bugs are caught by our own scripts, tests or simulator", { timeout: 600_000 }, () => {
  using lab = raftLab();
  const control = runNets(lab, undefined, { ...BUDGET, seeds: 20 });
  assert.equal(isCaught(control), false, `without a bug the nets object: ${JSON.stringify(control)}`);
  for (const [at, mutant] of MUTANTS.entries()) {
    if (at % SAMPLE !== 0 || mutant.mayLive !== undefined) continue;
    assert.ok(isCaught(runNets(lab, mutant, BUDGET)), `${mutant.id} lives: ${mutant.bug}`);
  }
});
