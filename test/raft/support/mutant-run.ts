/** Plants a bug in a copy of the sources and runs the nets there. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Mutant } from "../mutants/mutants.ts";
import type { Caught } from "./mutant-nets.ts";

const root = fileURLToPath(new URL("../../..", import.meta.url));

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

/** A copy of what the nets need. Remove it with `remove`. */
export class MutantLab {
  private readonly directory: string;

  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), "pumice-mutants-"));
    for (const path of ["src", "test/raft", "test/replica", "package.json"])
      cpSync(join(root, path), join(this.directory, path), { recursive: true });
    symlinkSync(join(root, "node_modules"), join(this.directory, "node_modules"));
  }

  /** What the nets catch with `mutant` planted; "crash" or "hang" where the nets themselves did not survive it. */
  run(mutant: Mutant | undefined, budget: NetBudget): Caught | "crash" | "hang" {
    const originals = this.originals(mutant);
    try {
      for (const patch of mutant?.patches ?? []) this.patch(patch.file, patch.find, patch.replace);
      const script = join(this.directory, "test/raft/support/mutant-nets.ts");
      const args = [script, budget.outside ?? "-", String(budget.seeds), String(budget.seconds), budget.stopAtFirst ? "first" : "all"];
      const result = spawnSync(process.execPath, args, {
        encoding: "utf8",
        timeout: (budget.seconds + 90) * 1000,
        env: withoutTestContext(),
      });
      if (result.error !== undefined) return "hang";
      const line = result.stdout.trim().split("\n").at(-1) ?? "";
      return line.startsWith("{") ? (JSON.parse(line) as Caught) : "crash";
    } finally {
      restore(originals);
    }
  }

  /** @throws Error if a patch of `mutant` does not occur exactly once. */
  fits(mutant: Mutant): void {
    const originals = this.originals(mutant);
    try {
      for (const patch of mutant.patches) this.patch(patch.file, patch.find, patch.replace);
    } finally {
      restore(originals);
    }
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** The files that `mutant` changes, as they are in this copy: the sources beside it may change meanwhile. */
  private originals(mutant: Mutant | undefined): ReadonlyMap<string, string> {
    const paths = (mutant?.patches ?? []).map((patch) => join(this.directory, patch.file));
    return new Map(paths.map((path) => [path, readFileSync(path, "utf8")]));
  }

  private patch(file: string, find: string, replace: string): void {
    const path = join(this.directory, file);
    const text = readFileSync(path, "utf8");
    if (text.split(find).length !== 2) throw new Error(`a planted bug no longer fits ${file}: ${find}`);
    writeFileSync(
      path,
      text.replace(find, () => replace),
    );
  }
}

function restore(originals: ReadonlyMap<string, string>): void {
  for (const [path, text] of originals) writeFileSync(path, text);
}

/** True if any net caught it. */
export function isCaught(result: Caught | "crash" | "hang"): boolean {
  return typeof result === "string" || result.outside + result.own + result.tests + result.seeds > 0;
}

/** A test runner below a test runner would report to the upper one. */
function withoutTestContext(): NodeJS.ProcessEnv {
  const { NODE_TEST_CONTEXT: _, ...rest } = process.env;
  return rest;
}
