/**
 * npm run sim -- [--seed N] [--lives N | --minutes N] [--every-turn]: lives of the production replica in the simulated world. Without --every-turn
 * each life has the deaths and faults that its seed draws; with it a short life dies once at each of its turns, in both ways.
 */
import { performance } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { dyingAt, liveOnce, optionsOf } from "../sim/cluster/support/lives.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "0" },
    lives: { type: "string" },
    minutes: { type: "string" },
    "every-turn": { type: "boolean", default: false },
  },
});
const first = Number(values.seed);
const count = values.minutes === undefined ? Number(values.lives ?? 100) : Infinity;
const endMs = values.minutes === undefined ? Infinity : performance.now() + Number(values.minutes) * 60_000;
const startedMs = performance.now();
let lives = 0;
let turns = 0;
let starts = 0;
let looks = 0;

async function run(options: Parameters<typeof liveOnce>[0]): Promise<void> {
  const report = await liveOnce(options);
  lives++;
  turns += report.turns;
  starts += report.starts;
  looks += report.looks;
}

if (values["every-turn"]) {
  for (const death of ["kill", "power"] as const) {
    const { turns: all } = await liveOnce(dyingAt(Infinity, death));
    for (let turn = 0; turn < all && performance.now() < endMs; turn++) await run(dyingAt(turn, death));
  }
} else {
  for (let seed = first; seed < first + count && performance.now() < endMs; seed++) {
    try {
      await run(optionsOf(seed));
    } catch (error) {
      console.error(`seed ${seed} fails; again: npm run sim -- --seed ${seed} --lives 1`);
      throw error;
    }
  }
}
const seconds = (performance.now() - startedMs) / 1000;
console.log(`${lives} lives, ${starts} starts, ${looks} looks, ${turns} turns, 0 failures, ${seconds.toFixed(0)} s`);
