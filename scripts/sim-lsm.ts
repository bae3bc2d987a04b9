/**
 * Simulated lives of LSM stores: `npm run sim:lsm -- --seed N` lives one, `-- --from N --count M` many, `-- --minutes T` until the time is
 * over. Prints the seed of the first that fails, and exits 1.
 */
import { parseArgs } from "node:util";
import { hostCodecs } from "../src/host/mod.ts";
import { simulateLsm } from "../src/sim/mod.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    from: { type: "string", default: "1" },
    count: { type: "string", default: "100" },
    minutes: { type: "string" },
    "keep-going": { type: "boolean" },
  },
});
const from = Number(values.seed ?? values.from);
const count = values.seed === undefined ? (values.minutes === undefined ? Number(values.count) : Infinity) : 1;
const deadline = values.minutes === undefined ? Infinity : performance.now() + Number(values.minutes) * 60_000;

const totals: Record<string, number> = {};
let failures = 0;
for (let seed = from; seed < from + count && performance.now() < deadline; seed++) {
  try {
    const { seed: _, ...report } = await simulateLsm(seed, { hostCodecs });
    totals["lives"] = (totals["lives"] ?? 0) + 1;
    for (const [key, value] of Object.entries(report)) totals[key] = (totals[key] ?? 0) + value;
  } catch (error) {
    failures++;
    console.error(error instanceof Error ? (error.stack ?? error.message) : error);
    console.error(`failed: npm run sim:lsm -- --seed ${seed}`);
    if (values["keep-going"] !== true) break;
  }
}
console.log(`from seed ${from}: ${JSON.stringify(totals)}`);
process.exit(failures === 0 ? 0 : 1);
