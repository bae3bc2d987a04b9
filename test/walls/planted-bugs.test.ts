/** The tables of planted bugs are held to the sources as they are: one that cannot be planted any more shows nothing of the nets. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MUTANTS as LSM } from "../lsm/mutants/mutants.ts";
import { MUTANTS as RAFT } from "../raft/mutants/mutants.ts";
import { MUTANTS as CLUSTER } from "../sim/cluster/mutants.ts";
import { MUTANTS as SQL } from "../sql/mutants/mutants.ts";
import { patched, type PlantedBug } from "../support/planted-bugs.ts";
import { MUTANTS as TORTURE } from "../long/torture/mutants.ts";

const TABLES: Readonly<Record<string, readonly PlantedBug[]>> = { raft: RAFT, lsm: LSM, sql: SQL, cluster: CLUSTER, torture: TORTURE };

for (const [name, table] of Object.entries(TABLES)) {
  test(`every planted bug of ${name} fits the sources, each patch exactly once`, () => {
    assert.ok(table.length > 0);
    for (const bug of table) {
      const changed = patched(bug);
      assert.ok(changed.size > 0 && bug.patches.every(({ find, replace }) => find !== replace), `${bug.id} changes nothing`);
    }
    assert.equal(new Set(table.map(({ id }) => id)).size, table.length, "each has a name of its own");
  });
}

test("a patch that fits nowhere, or twice, is refused by the name of its bug", () => {
  const patch = { file: "package.json", find: "there is no such text", replace: "" };
  assert.throws(() => patched({ id: "X1", bug: "", patches: [patch] }), /X1 does not fit package\.json any more, which has 0 times/);
  assert.throws(() => patched({ id: "X2", bug: "", patches: [{ ...patch, find: "npm" }] }), /X2 does not fit/);
  const twice = { ...patch, find: '"name": "pumice"' };
  assert.throws(() => patched({ id: "X3", bug: "", patches: [twice, twice] }), /X3 .* 0 times/);
});
