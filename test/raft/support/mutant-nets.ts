/**
 * Runs the nets over the sources beside it, and prints what each caught as one line of JSON. Run in a copy with a planted bug.
 * Arguments: directory of outside scripts (or -), seeds, seconds, and "first" to stop at the first failing seed.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runScripts } from "./conformance.ts";

/** What the nets caught: failing scripts, failing tests, failing seeds of those that were run. */
export interface Caught {
  readonly outside: number;
  readonly own: number;
  readonly tests: number;
  readonly seeds: number;
  readonly seedsRun: number;
  /** The first failure of the simulator, in words. */
  readonly reason: string;
}

const here = fileURLToPath(new URL(".", import.meta.url));
const root = join(here, "..", "..", "..");

function failing(directory: string): number {
  return existsSync(directory) ? runScripts(directory).filter((result) => result.difference !== undefined).length : 0;
}

function failingTests(): number {
  const folders = ["test/raft", "test/replica"].map((folder) => join(root, folder));
  const files = folders.flatMap((folder) => (existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : []));
  const mine = files.filter((file) => /(?:paper|thesis|properties|driver)[a-z0-9-]*\.test\.ts$/.test(file));
  if (mine.length === 0) return 0;
  const run = spawnSync(process.execPath, ["--test", "--test-isolation=none", "--test-reporter=tap", ...mine], {
    encoding: "utf8",
    timeout: 60_000,
  });
  const count = /^# fail (\d+)/m.exec(run.stdout);
  return count === null ? 1 : Number(count[1]);
}

async function failingSeeds(seeds: number, seconds: number, stopAtFirst: boolean): Promise<Pick<Caught, "seeds" | "seedsRun" | "reason">> {
  const { runSeed } = await import("../../../src/sim/mod.ts");
  const end = performance.now() + seconds * 1000;
  let failed = 0;
  let seed = 0;
  let reason = "";
  while (seed < seeds && performance.now() < end) {
    seed++;
    try {
      runSeed(seed);
    } catch (error) {
      failed++;
      if (reason === "" && error instanceof Error) reason = `seed ${seed}: ${error.message}`;
      if (stopAtFirst) break;
    }
  }
  return { seeds: failed, seedsRun: seed, reason: reason.slice(0, 140) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [outside = "-", seeds = "2000", seconds = "20", first = ""] = process.argv.slice(2);
  const stopAtFirst = first === "first";
  const scripts = { outside: outside === "-" ? 0 : failing(outside), own: failing(join(here, "..", "scripts")) };
  const isCaught = stopAtFirst && scripts.own > 0;
  const tests = isCaught ? 0 : failingTests();
  const sim =
    stopAtFirst && (isCaught || tests > 0)
      ? { seeds: 0, seedsRun: 0, reason: "" }
      : await failingSeeds(Number(seeds), Number(seconds), stopAtFirst);
  const caught: Caught = { ...scripts, tests, ...sim };
  console.log(JSON.stringify(caught));
}
