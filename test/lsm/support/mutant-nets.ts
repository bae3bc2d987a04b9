/**
 * Runs one net over the engine beside it, and prints what it caught, if anything, as a line of JSON. Run in a copy with a planted bug.
 * Arguments: the net, and for how many seconds it may look.
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
  /** The law that was broken, or the test that failed. */
  readonly reason: string;
}

/** For one test file: every one ends within seconds. */
const TEST_LIMIT_MS = 150_000;

async function firstFailure(seconds: number, live: (seed: number) => Promise<unknown>): Promise<Finding | undefined> {
  const end = performance.now() + seconds * 1000;
  for (let seed = 1; performance.now() < end; seed++) {
    try {
      await live(seed);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      return { seed, reason: (/(?:\]: )(?:\w+: )?(.*)/.exec(text)?.[1] ?? text).slice(0, 110) };
    }
  }
  return undefined;
}

function failingTest(name: string): Finding | undefined {
  const file = fileURLToPath(new URL(`../${name}.test.ts`, import.meta.url));
  const args = ["--test", "--test-force-exit", "--test-reporter=tap", file];
  const { status, error, stdout } = spawnSync(process.execPath, args, { encoding: "utf8", timeout: TEST_LIMIT_MS });
  if (error === undefined && status === 0) return undefined;
  return { reason: /^ *not ok \d+ - (.*)$/m.exec(stdout)?.[1] ?? "it did not end" };
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
