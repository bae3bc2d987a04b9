/** A test that cannot fail proves nothing: each rule of apply is broken in a copy of the source, and the law of batches must notice. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import { BugLab } from "../support/planted-bugs.ts";
import { MUTANTS } from "./mutants/mutants.ts";

const lab = new BugLab(["src/base", "src/host", "src/sql", "test/sql/support", "dist/native"]);
after(() => lab[Symbol.dispose]());

for (const mutant of MUTANTS) {
  test(`planted: ${mutant.bug}`, () => {
    const { status, stdout, stderr } = lab.run(mutant, ["test/sql/support/planted-child.ts"], 60_000);
    assert.equal(status, 0, `not noticed\n${stdout}\n${stderr}`);
  });
}
