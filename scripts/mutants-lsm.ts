/**
 * Plants each known bug in a copy of the storage engine, runs the nets over it, and prints which caught it, with the life that did.
 * `npm run mutants:lsm -- [ID...] [--seconds N]`
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { MUTANTS, type Mutant } from "../test/lsm/mutants/mutants.ts";
import type { Caught } from "../test/lsm/support/mutant-nets.ts";

const { values, positionals } = parseArgs({ allowPositionals: true, options: { seconds: { type: "string", default: "30" } } });
const seconds = Number(values.seconds);
const root = fileURLToPath(new URL("..", import.meta.url));
const lab = mkdtempSync(join(tmpdir(), "pumice-mutants-lsm-"));

/** What of the mutant no longer stands in the sources exactly once: the engine has changed, and the bug must be planted otherwise. */
function misfit(mutant: Mutant): string | undefined {
  return mutant.patches.find(({ file, find }) => readFileSync(join(lab, file), "utf8").split(find).length !== 2)?.file;
}

function plant(mutant: Mutant | undefined): Map<string, string> {
  const originals = new Map<string, string>();
  for (const { file, find, replace } of mutant?.patches ?? []) {
    const path = join(lab, file);
    const text = readFileSync(path, "utf8");
    if (!originals.has(path)) originals.set(path, text);
    writeFileSync(
      path,
      text.replace(find, () => replace),
    );
  }
  return originals;
}

function run(mutant: Mutant | undefined, limit: number): Caught {
  const originals = plant(mutant);
  try {
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const script = join(lab, "test/lsm/support/mutant-nets.ts");
    const args = [script, String(limit), mutant?.isInFiles === true ? "files" : "all"];
    const result = spawnSync(process.execPath, args, { encoding: "utf8", timeout: (limit * 2 + 400) * 1000, env });
    if (result.error !== undefined) return { net: "lives", seed: 0, reason: "it hangs" };
    const line = result.stdout.trim().split("\n").at(-1) ?? "";
    if (line.startsWith("{")) return JSON.parse(line) as Caught;
    return { net: "lives", seed: 0, reason: `the process ended: ${/^\w*Error.*$/m.exec(result.stderr)?.[0] ?? ""}` };
  } finally {
    for (const [path, text] of originals) writeFileSync(path, text);
  }
}

let survivors = 0;
const wanted = MUTANTS.filter(({ id }) => positionals.length === 0 || positionals.includes(id));
try {
  for (const path of ["src", "test/lsm", "package.json"]) cpSync(join(root, path), join(lab, path), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(lab, "node_modules"));
  const control = positionals.length === 0 ? run(undefined, 5) : undefined;
  if (control !== undefined && control.net !== "nothing") throw new Error(`the nets object without a bug: ${JSON.stringify(control)}`);
  console.log("id   caught by        lives  bug");
  for (const mutant of wanted) {
    const changed = misfit(mutant);
    if (changed !== undefined) {
      survivors++;
      console.log(`${mutant.id}  does not fit ${changed} any more: ${mutant.bug}`);
      continue;
    }
    const { net, seed, reason } = run(mutant, seconds);
    const isAlive = net === "nothing";
    if (isAlive && mutant.mayLive === undefined) survivors++;
    const why = isAlive ? `LIVES${mutant.mayLive === undefined ? "" : `: ${mutant.mayLive}`}` : `[${reason}]`;
    console.log(`${mutant.id}  ${net.padEnd(15)}  ${String(seed === 0 ? "-" : seed).padStart(5)}  ${mutant.bug} ${why}`);
  }
} finally {
  rmSync(lab, { recursive: true, force: true });
}
console.log(`${wanted.length} planted, ${survivors} live without a reason, or do not fit`);
process.exit(survivors === 0 ? 0 : 1);
