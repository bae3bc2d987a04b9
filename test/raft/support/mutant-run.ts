/** Runs the nets in a copy of the sources with a bug planted. */
import { BugLab, type PlantedBug } from "../../support/planted-bugs.ts";
import type { Caught } from "./mutant-nets.ts";

/** How much the nets do. */
export interface NetBudget {
  /** A directory of scripts outside the repository. */
  readonly outside: string | undefined;
  readonly seeds: number;
  /** For the simulator. */
  readonly seconds: number;
  /** Stop when the first net, or the first seed, has caught the bug. */
  readonly stopAtFirst: boolean;
}

/** A copy of what the nets need. */
export function raftLab(): BugLab {
  return new BugLab(["src", "test/raft", "test/replica", "test/support", "package.json"]);
}

/** What the nets catch with `mutant` planted; "crash" or "hang" where the nets themselves did not survive it. */
export function runNets(lab: BugLab, mutant: PlantedBug | undefined, budget: NetBudget): Caught | "crash" | "hang" {
  const { outside = "-", seeds, seconds, stopAtFirst } = budget;
  const args = ["test/raft/support/mutant-nets.ts", outside, String(seeds), String(seconds), stopAtFirst ? "first" : "all"];
  const { stdout, status } = lab.run(mutant, args, (seconds + 90) * 1000);
  if (status === undefined) return "hang";
  const line = stdout.trim().split("\n").at(-1) ?? "";
  return line.startsWith("{") ? (JSON.parse(line) as Caught) : "crash";
}

/** True if any net caught it. */
export function isCaught(result: Caught | "crash" | "hang"): boolean {
  return typeof result === "string" || result.outside + result.own + result.tests + result.seeds > 0;
}
