/**
 * Runs the nets over the engine beside it, one after the other until one has caught something, and prints that as a line of JSON. Run in a copy
 * with a planted bug. Arguments: seconds for each net, and `files` to look below the object store first.
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { hostCodecs } from "../../../src/host/mod.ts";
import { crashEverywhere, memoryShortLife, simulateLsm } from "../../../src/sim/mod.ts";
import { crashFilesEverywhere } from "./posix-disk.ts";

/** What caught the bug. */
export interface Caught {
  /** "nothing" if it lives. */
  readonly net: "lives" | "every call" | "every file call" | "tests" | "nothing";
  /** Lives: the first that failed, and so how many were needed. */
  readonly seed: number;
  /** In words. */
  readonly reason: string;
}

const TESTS = ["races", "shared-store", "clock", "transactions"];

async function firstFailure(net: Caught["net"], seconds: number, live: (seed: number) => Promise<unknown>): Promise<Caught | undefined> {
  const end = performance.now() + seconds * 1000;
  for (let seed = 1; performance.now() < end; seed++) {
    try {
      await live(seed);
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      return { net, seed, reason: (/(?:\]: )(?:\w+: )?(.*)/.exec(text)?.[1] ?? text).slice(0, 110) };
    }
  }
  return undefined;
}

function failingTest(): Caught | undefined {
  const here = fileURLToPath(new URL("..", import.meta.url));
  const files = TESTS.map((name) => join(here, `${name}.test.ts`));
  const run = spawnSync(process.execPath, ["--test", "--test-force-exit", "--test-reporter=tap", ...files], {
    encoding: "utf8",
    timeout: 150_000,
  });
  const failed = /^ *not ok \d+ - (.*)$/m.exec(run.stdout)?.[1];
  if (run.error === undefined && failed === undefined) return undefined;
  return { net: "tests", seed: 0, reason: failed ?? "they did not end" };
}

async function look(): Promise<Caught> {
  const seconds = Number(process.argv[2]);
  const lives = (): Promise<Caught | undefined> => firstFailure("lives", seconds, (seed) => simulateLsm(seed, { hostCodecs }));
  const calls = (): Promise<Caught | undefined> =>
    firstFailure("every call", seconds / 2, (seed) =>
      crashEverywhere(seed, { disk: memoryShortLife, hostCodecs, stride: 7, first: seed % 7 }),
    );
  const files = (): Promise<Caught | undefined> =>
    firstFailure("every file call", seconds, (seed) => crashFilesEverywhere(seed, { hostCodecs, stride: 41, first: seed % 41 }));
  const isInFiles = process.argv[3] === "files";
  const caught = isInFiles ? await files() : ((await lives()) ?? (await calls()) ?? failingTest());
  return caught ?? { net: "nothing", seed: 0, reason: "" };
}

const caught = await look();
console.log(JSON.stringify(caught));
process.exit(0);
