/** Simulated lives: crashes at every kind of call, ambiguous puts, late effects, stale listings, slow stores, jumping clocks, two writers. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { simLives } from "./support/sim-lives.ts";

const SEEDS = Number(process.env["PUMICE_LSM_SEEDS"] ?? 25);
test(`lives 1 to ${SEEDS} of a store hold every law of the simulation (npm run sim:lsm -- --seed N)`, async () => {
  const totals = await simLives("--count", String(SEEDS));
  const atLeast = (counter: string, perLife: number): void =>
    assert.ok((totals[counter] ?? 0) > SEEDS * perLife, `${counter} in ${JSON.stringify(totals)}`);
  // A simulation in which nothing happens proves nothing.
  atLeast("crashes", 1);
  atLeast("races", 0.1);
  atLeast("acknowledged", 10);
  atLeast("checks", 50);
  atLeast("transactions", 5);
  atLeast("conflicts", 1);
  atLeast("readers", 2);
  atLeast("walRows", 10);
  atLeast("admins", 1);
  atLeast("clones", 0.25);
});

test("a seed determines its life", async () => {
  assert.deepEqual(await simLives("--seed", "7"), await simLives("--seed", "7"));
});
