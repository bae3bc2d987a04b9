/**
 * Simulated lives of LSM stores: `npm run sim:lsm -- --seed N` lives one, `-- --from N --count M` many, `-- --minutes T` until the time is
 * over. Prints the seed of the first that fails, and exits 1.
 */
import { parseArgs } from "node:util";
import { simulateLsm } from "../src/sim/mod.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    from: { type: "string", default: "1" },
    count: { type: "string", default: "100" },
    minutes: { type: "string" },
  },
});
const from = Number(values.seed ?? values.from);
const count = values.seed === undefined ? (values.minutes === undefined ? Number(values.count) : Infinity) : 1;
const deadline = values.minutes === undefined ? Infinity : performance.now() + Number(values.minutes) * 60_000;

const totals = { lives: 0, processes: 0, crashes: 0, commits: 0, acknowledged: 0, checks: 0 };
for (let seed = from; seed < from + count && performance.now() < deadline; seed++) {
  try {
    const report = await simulateLsm(seed);
    totals.lives++;
    for (const key of ["processes", "crashes", "commits", "acknowledged", "checks"] as const) totals[key] += report[key];
  } catch (error) {
    console.error(error instanceof Error ? (error.stack ?? error.message) : error);
    console.error(`failed: npm run sim:lsm -- --seed ${seed}`);
    process.exit(1);
  }
}
console.log(`from seed ${from}: ${JSON.stringify(totals)}`);
