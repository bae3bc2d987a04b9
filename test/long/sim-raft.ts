/**
 * The simulator of consensus groups, at the command line.
 *
 * `npm run sim:raft -- --seed N`      one seed, with a readable trace (`--steps N`, `--scenario NAME`, `--tla FILE`: the trace for TLA+)
 * `npm run sim:raft -- --minutes N`   seeds without end, each twice, until the time is up (`--from N`, `--steps N`)
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { parseArgs } from "node:util";
import { runSeed, SCENARIOS, tlaLine, type RunOptions, type RunResult, type ScenarioName, type WorldLine } from "../../src/sim/mod.ts";
import { describeMessage } from "../raft/support/describe.ts";
import { eventLine } from "../raft/support/log-lines.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    minutes: { type: "string" },
    from: { type: "string" },
    steps: { type: "string" },
    scenario: { type: "string" },
    tla: { type: "string" },
  },
});
const steps = Number(values.steps ?? 3000);
const scenario = values.scenario as ScenarioName | "storm" | undefined;
if (scenario !== undefined && scenario !== "storm" && !(scenario in SCENARIOS)) {
  console.error(`no scenario ${scenario}; there are storm, ${Object.keys(SCENARIOS).join(", ")}`);
  process.exit(2);
}
const options: RunOptions = { steps, scenario };

function readable(line: WorldLine): string {
  if (line.kind === "event") return `    ${eventLine(line.node, line.event)}`;
  if (line.kind === "action") return `** ${line.text}`;
  if (line.kind === "persisted" || line.kind === "changed") return `${line.kind.padEnd(9)} at ${line.node}`;
  return `${line.kind.padEnd(9)} ${describeMessage(line.message).replaceAll("\n", " ")}`;
}

function single(seed: number): void {
  const file = values.tla === undefined ? undefined : openSync(values.tla, "w");
  try {
    const result = runSeed(seed, {
      ...options,
      listen: (line, world) => {
        if (file === undefined) console.log(readable(line));
        const tla = file === undefined ? undefined : tlaLine(world, line);
        if (file !== undefined && tla !== undefined) writeSync(file, `${tla}\n`);
      },
    });
    console.log(JSON.stringify(result));
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Runs seeds until the time is up. Returns how many failed. */
function soak(minutes: number, from: number): number {
  const started = performance.now();
  const total = { seeds: 0, events: 0, commits: 0, elections: 0, unknown: 0, failed: 0 };
  let reportAt = 60_000;
  for (let seed = from; performance.now() - started < minutes * 60_000; seed++) {
    try {
      const first = runSeed(seed, options);
      same(first, runSeed(seed, options));
      total.events += first.events * 2;
      total.commits += first.commit;
      total.elections += first.elections;
      if (first.linearizable === "unknown") total.unknown++;
    } catch (error) {
      total.failed++;
      console.log(`FAIL seed ${seed}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
      if (total.failed >= 20) break;
    }
    total.seeds++;
    if (performance.now() - started > reportAt) {
      reportAt += 60_000;
      report(total, started);
    }
  }
  report(total, started);
  return total.failed;
}

function same(first: RunResult, second: RunResult): void {
  if (first.hash !== second.hash || first.events !== second.events)
    throw new Error(`not deterministic: ${JSON.stringify([first, second])}`);
}

function report(total: Readonly<Record<string, number>>, started: number): void {
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage();
  const perCpuSecond = Math.round((total["events"] ?? 0) / ((user + system) / 1e6));
  console.log(
    `${seconds.toFixed(0)} s: ${Object.entries(total)
      .map(([name, count]) => `${count} ${name}`)
      .join(", ")}; ${perCpuSecond} events per second of processor time`,
  );
}

if (values.seed !== undefined) single(Number(values.seed));
else process.exit(soak(Number(values.minutes ?? 1), Number(values.from ?? 1)) === 0 ? 0 : 1);
