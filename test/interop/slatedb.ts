/**
 * Interop with SlateDB 0.12.1 in both directions: `npm run interop:slatedb`. Each engine opens, reads, writes on and compacts what the
 * other wrote. Cases that may hang or crash the other engine run in a child process with a deadline. The last line is
 * `N passed, N failed`; the exit code is 1 if any failed.
 *
 * `--case NAME` runs the cases whose name contains NAME; `--gate` those that are part of the gate: one of each kind, in seconds.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { interopCases } from "./slatedb/cases.ts";
import { writeUntilKilled } from "./slatedb/kills.ts";
import { Failure } from "./slatedb/oracle.ts";

const CHILD_DEADLINE_MS = 30_000;

/** What stands behind a flag. */
function argument(flag: string): string | undefined {
  const at = process.argv.indexOf(flag);
  return at === -1 ? undefined : process.argv[at + 1];
}

const only = argument("--case");
const isGate = process.argv.includes("--gate");
const childCase = argument("--child");
const writer = argument("--writer");

async function runHere(name: string, root: string): Promise<void> {
  const found = interopCases.find((each) => each.name === name);
  if (found === undefined) throw new Failure(`no case ${name}`);
  await found.run(root);
}

/** Runs a case in a child; what it says on its last line is its result. */
function runInChild(name: string, root: string): void {
  const result = spawnSync(process.execPath, [fileURLToPath(import.meta.url), "--child", name, "--root", root], {
    timeout: CHILD_DEADLINE_MS,
    encoding: "utf8",
  });
  if (result.error !== undefined && "code" in result.error && result.error.code === "ETIMEDOUT") throw new Failure("did not end in time");
  if (result.status !== 0) throw new Failure(`child failed: ${result.stderr.trim().split("\n").slice(-12).join("\n")}`);
}

if (childCase !== undefined) {
  await runHere(childCase, argument("--root") ?? "");
  process.exit(0);
}
if (writer === "ours" || writer === "theirs") await writeUntilKilled(argument("--root") ?? "", writer, Number(argument("--round")));

let passed = 0;
let failed = 0;
for (const each of interopCases) {
  if ((only !== undefined && !each.name.includes(only)) || (isGate && each.isQuick !== true)) continue;
  const root = mkdtempSync(join(tmpdir(), "pumice-interop-"));
  const started = performance.now();
  try {
    if (each.isDangerous) runInChild(each.name, root);
    else await each.run(root);
    passed++;
    console.log(`ok   ${each.name} (${(performance.now() - started).toFixed(0)} ms)`);
  } catch (error) {
    failed++;
    console.log(`FAIL ${each.name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
