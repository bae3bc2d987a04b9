/** Simulated lives: crashes at every kind of call, ambiguous puts, late effects, stale listings, slow stores, jumping clocks, two writers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostCodecs } from "../../src/host/mod.ts";
import { simulateLsm } from "../../src/sim/mod.ts";

const SEEDS = Number(process.env["PUMICE_LSM_SEEDS"] ?? 25);

test(`lives 1 to ${SEEDS} of a store hold every law of the simulation (npm run sim:lsm -- --seed N)`, { timeout: 240_000 }, async () => {
  const totals = {
    crashes: 0,
    races: 0,
    commits: 0,
    acknowledged: 0,
    transactions: 0,
    conflicts: 0,
    readers: 0,
    walRows: 0,
    clones: 0,
    checks: 0,
  };
  for (let seed = 1; seed <= SEEDS; seed++) {
    const report = await simulateLsm(seed, { hostCodecs });
    for (const key of Object.keys(totals) as (keyof typeof totals)[]) totals[key] += report[key];
  }
  // A simulation in which nothing happens proves nothing.
  assert.ok(totals.crashes > SEEDS / 2 && totals.acknowledged > SEEDS * 10 && totals.checks > SEEDS * 50, JSON.stringify(totals));
  assert.ok(totals.transactions > SEEDS && totals.readers > SEEDS && totals.walRows > SEEDS * 10, JSON.stringify(totals));
  assert.ok(totals.races > 0 && totals.conflicts > SEEDS && totals.clones > SEEDS / 4, JSON.stringify(totals));
});

test("a seed determines its life", async () => {
  assert.deepEqual(await simulateLsm(7, { hostCodecs }), await simulateLsm(7, { hostCodecs }));
});
