/** A net that catches nothing is no net: promises of the production replica are broken in a copy of the source, and lives must notice. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { BugLab } from "../../support/planted-bugs.ts";
import { MUTANTS } from "./mutants.ts";

const CHILD = "test/sim/cluster/support/planted-child.ts";
const lab = new BugLab(["src", "test/sim/cluster/support", "test/sql/support", "dist/native"]);
after(() => lab[Symbol.dispose]());

/** Every change of the replica changes the turns that a seed lives, so that another seed may be the one that notices: the gate's own. */
const OTHER_SEEDS = Array.from({ length: 24 }, (_, seed) => seed);

for (const mutant of MUTANTS) {
  test(`planted: ${mutant.bug}`, (context) => {
    const { status, stdout, stderr } = lab.run(mutant, [CHILD, ...[...mutant.seeds, ...OTHER_SEEDS].map(String)], 60_000);
    assert.equal(status, 0, `not noticed\n${stdout}\n${stderr}`);
    context.diagnostic(stdout.trim());
  });
}

// life.test.ts lives the other seeds without a bug.
test("nothing planted, nothing noticed", () => {
  const { status, stdout, stderr } = lab.run(undefined, [CHILD, "1"], 60_000);
  assert.deepEqual({ status, stdout, stderr }, { status: 1, stdout: "", stderr: "" });
});
