/**
 * SlateDB 0.12.1 and this engine on one store: the quick cases of `npm run interop:slatedb`, in a process of their own, as SlateDB is native
 * code that may take its process with it.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("./slatedb.ts", import.meta.url));

/** Why SlateDB cannot be run here, if it cannot: its binding is built for the common platforms only. */
function whyNot(): string | false {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const args = ["--input-type=module", "-e", 'import "@slatedb/uniffi"'];
  const probe = spawnSync(process.execPath, args, { cwd: root, encoding: "utf8" });
  return probe.status === 0 ? false : `NOT TESTED against SlateDB, whose binding does not load here: ${probe.stderr.slice(0, 500)}`;
}

test("SlateDB opens, reads and goes on with what we wrote, and we with what it wrote", { skip: whyNot() }, () => {
  const run = spawnSync(process.execPath, [script, "--gate"], { encoding: "utf8", timeout: 300_000 });
  assert.equal(run.status, 0, `${run.stdout}\n${run.stderr}`);
  assert.match(run.stdout, /^(1[2-9]|[2-9][0-9]) passed, 0 failed$/m);
});
