/** The datadriven scripts: those beside the checkout, where they are, and our own. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { describeDifference, runScripts } from "./support/conformance.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const outside = join(process.env["PUMICE_CONFORMANCE"] ?? join(root, "..", "shared", "conformance"), "etcd-raft");
const own = join(root, "test", "raft", "scripts");

function checkAll(directory: string, atLeast: number): void {
  const results = runScripts(directory);
  for (const result of results) assert.equal(result.difference, undefined, describeDifference(result));
  assert.ok(results.length >= atLeast, `${results.length} scripts in ${directory}`);
}

test(
  "etcd/raft's scripts come out byte for byte",
  { skip: existsSync(outside) ? false : `SKIPPED, LOUDLY: no scripts in ${outside}; set PUMICE_CONFORMANCE` },
  () => {
    checkAll(outside, 1);
  },
);

test("our own scripts come out byte for byte", () => {
  checkAll(own, 9);
});
