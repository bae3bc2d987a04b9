/**
 * Simulated lives of LSM stores: `npm run sim:lsm -- --seed N` lives one, `-- --from N --count M` many, `-- --minutes T` until the time is
 * over. With `--every-call` short ones, again and again, dying at each call of the object store; with `--every-call --files` at each call of the
 * file system below a store in a directory (`--stride N`: at each N-th). Prints the seed of the first that fails (with `--keep-going` of all that
 * do), and exits 1.
 */
import { parseArgs } from "node:util";
import { hostCodecs } from "../../src/host/mod.ts";
import { crashEverywhere, memoryShortLife, simulateLsm } from "../../src/sim/mod.ts";
import { crashFilesEverywhere } from "../lsm/support/posix-disk.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    from: { type: "string", default: "1" },
    count: { type: "string", default: "100" },
    minutes: { type: "string" },
    stride: { type: "string", default: "1" },
    "every-call": { type: "boolean" },
    files: { type: "boolean" },
    "keep-going": { type: "boolean" },
  },
});
const from = Number(values.seed ?? values.from);
const count = values.seed === undefined ? (values.minutes === undefined ? Number(values.count) : Infinity) : 1;
const deadline = values.minutes === undefined ? Infinity : performance.now() + Number(values.minutes) * 60_000;
const options = ["--every-call", "--files"].filter((option) => values[option.slice(2) as "files"] === true).join(" ");

async function live(seed: number): Promise<Record<string, number>> {
  const stride = Number(values.stride);
  if (values["every-call"] !== true) {
    const { seed: _, ...report } = await simulateLsm(seed, { hostCodecs });
    return { lives: 1, ...report };
  }
  if (values.files === true) return await crashFilesEverywhere(seed, { hostCodecs, stride, first: seed % stride });
  return await crashEverywhere(seed, { disk: memoryShortLife, hostCodecs, stride, first: seed % stride });
}

const totals: Record<string, number> = { seeds: 0 };
let failures = 0;
for (let seed = from; seed < from + count && performance.now() < deadline; seed++) {
  try {
    const report = await live(seed);
    totals["seeds"] = (totals["seeds"] ?? 0) + 1;
    for (const [key, value] of Object.entries(report)) totals[key] = (totals[key] ?? 0) + value;
  } catch (error) {
    failures++;
    console.error(error instanceof Error ? (error.stack ?? error.message) : error);
    console.error(`failed: npm run sim:lsm -- ${options} --seed ${seed}`);
    if (values["keep-going"] !== true) break;
  }
}
console.log(`from seed ${from}: ${JSON.stringify(totals)}`);
process.exit(failures === 0 ? 0 : 1);
