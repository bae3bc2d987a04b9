/** npm run torture:kill -- [--minutes N] [--clients N] [--seed N] [--root DIRECTORY]: see test/long/torture/kill.ts. */
import { parseArgs } from "node:util";
import { describe, torture } from "./torture/kill.ts";

const { values } = parseArgs({
  options: {
    minutes: { type: "string", default: "2" },
    clients: { type: "string", default: "32" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    root: { type: "string" },
  },
});

console.log(`seed ${values.seed}`);
const report = await torture({
  seed: Number(values.seed),
  durationMs: Number(values.minutes) * 60_000,
  clientCount: Number(values.clients),
  root: values.root,
  say: console.log,
});
for (const line of describe(report)) console.log(line);
process.exitCode = report.broken.length === 0 ? 0 : 1;
