/**
 * Runs one net over the engine beside it, and prints what it caught, if anything, as a line of JSON. Run in a copy with a planted bug.
 * Arguments: the net, and for how many seconds of processor time it may look: a busy machine does not make a net coarser.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { hostCodecs } from "../../../src/host/mod.ts";
import { crashEverywhere, memoryShortLife, simulateLsm } from "../../../src/sim/mod.ts";
import type { Net } from "../mutants/mutants.ts";
import { crashFilesEverywhere } from "./posix-disk.ts";

/** What a net found. */
export interface Finding {
  /** Of a life: so many were needed. Undefined for a test. */
  readonly seed?: number;
  /** The law that was broken, or the tests that failed. */
  readonly reason: string;
}

/** For one test file: every one ends within seconds. */
const TEST_LIMIT_MS = 150_000;

async function firstFailure(seconds: number, live: (seed: number) => Promise<unknown>): Promise<Finding | undefined> {
  for (let seed = 1; process.cpuUsage().user < seconds * 1e6; seed++) {
    try {
      await live(seed);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      return { seed, reason: (/(?:\]: )(?:\w+: )?(.*)/.exec(text)?.[1] ?? text).slice(0, 110) };
    }
  }
  return undefined;
}

function failingTest(fileName: string): Finding | undefined {
  const file = fileURLToPath(new URL(`../${fileName}.test.ts`, import.meta.url));
  const args = ["--test", "--test-force-exit", "--test-reporter=tap", file];
  const { status, error, stdout } = spawnSync(process.execPath, args, { encoding: "utf8", timeout: TEST_LIMIT_MS });
  if (error === undefined && status === 0) return undefined;
  const names = [...stdout.matchAll(/^ *not ok \d+ - (.*)$/gm)].map(([, name = ""]) => name.replaceAll("\\#", "#"));
  return { reason: names.length === 0 ? "it did not end" : names.join("; ") };
}

async function look(net: Net, seconds: number): Promise<Finding | undefined> {
  if (net === "lives") return await firstFailure(seconds, (seed) => simulateLsm(seed, { hostCodecs }));
  if (net === "calls") {
    const short = { disk: memoryShortLife, hostCodecs, stride: 7 };
    return await firstFailure(seconds, (seed) => crashEverywhere(seed, { ...short, first: seed % short.stride }));
  }
  if (net === "files") {
    const short = { hostCodecs, stride: 41 };
    return await firstFailure(seconds, (seed) => crashFilesEverywhere(seed, { ...short, first: seed % short.stride }));
  }
  return failingTest(net.slice("test:".length));
}

const found = await look(process.argv[2] as Net, Number(process.argv[3]));
console.log(JSON.stringify(found ?? {}));
process.exit(0);
