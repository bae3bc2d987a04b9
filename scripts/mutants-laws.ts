/**
 * Plants each known bug of the storage engine in a copy of the sources and runs the tests that must notice. `npm run mutants:laws -- [ID...]`.
 * A bug whose place is gone from the code fails too: the table in test/lsm/support/law-mutants.ts is then to be mended.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { LSM_MUTANTS, type LsmMutant } from "../test/lsm/support/law-mutants.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const DEADLINE_MS = 120_000;

const wanted = process.argv.slice(2);
const mutants = LSM_MUTANTS.filter(({ id }) => wanted.length === 0 || wanted.includes(id));

/** Runs the tests over a copy of the sources; the name of the first that fails, undefined if none does. */
function run(mutant: LsmMutant | undefined, tests: readonly string[]): string | undefined {
  const root = mkdtempSync(join(tmpdir(), "pumice-mutant-"));
  try {
    for (const name of ["src", "test/lsm", "docs", "scripts", "package.json"])
      cpSync(join(ROOT, name), join(root, name), { recursive: true });
    symlinkSync(join(ROOT, "node_modules"), join(root, "node_modules"));
    if (mutant !== undefined) plant(root, mutant);
    const files = tests.map((test) => join(root, "test/lsm", `${test}.test.ts`));
    const result = spawnSync(process.execPath, ["--test", "--test-force-exit", ...files], {
      cwd: root,
      encoding: "utf8",
      timeout: DEADLINE_MS,
    });
    if (result.status === 0) return undefined;
    return /^✖ (.*?) \(\d/m.exec(result.stdout)?.[1] ?? "a test that does not end";
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function plant(root: string, mutant: LsmMutant): void {
  const path = join(root, "src/lsm", mutant.file);
  let text = readFileSync(path, "utf8");
  for (const [from, to] of mutant.edits) {
    if (!text.includes(from)) throw new Error(`${mutant.id}: ${mutant.file} has no "${from}" any more`);
    text = text.replace(from, () => to);
  }
  writeFileSync(path, text);
}

const control = run(undefined, [...new Set(mutants.flatMap(({ tests }) => tests))]);
if (control !== undefined) throw new Error(`without a bug, this fails already: ${control}`);
let survivors = 0;
for (const mutant of mutants) {
  const caught = run(mutant, mutant.tests);
  if (caught === undefined) survivors++;
  console.log(
    `${caught === undefined ? "SURVIVES" : "caught  "} ${mutant.id}: ${mutant.bug}${caught === undefined ? "" : `\n             by: ${caught}`}`,
  );
}
console.log(`${mutants.length} planted, ${survivors} survive`);
process.exit(survivors === 0 ? 0 : 1);
