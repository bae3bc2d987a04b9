/** The production replica, with real SQL behind it, lives in the simulated world: it writes, reads, backs up, loads, dies at any turn, and starts again. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { dyingAt, liveOnce, optionsOf } from "./support/lives.ts";

/** Turns between two deaths that are tried in the gate; `npm run sim -- --every-turn` tries all. */
const STRIDE = 23;
const LIVES = 24;

test("a life without deaths does everything, and the same seed gives the same life", async () => {
  const options = { seed: 1, operations: 600 };
  const report = await liveOnce(options);
  for (const what of ["set done", "add done", "move done", "blob done", "schema done", "partial done", "fail refused", "load results"]) {
    assert.ok((report.counts.get(what) ?? 0) > 0, `${what} happens: ${JSON.stringify([...report.counts])}`);
  }
  for (const what of ["read none", "read weak", "read linearizable", "read strong", "backup file", "backup sql"]) {
    assert.ok((report.counts.get(what) ?? 0) > 0, `${what} happens: ${JSON.stringify([...report.counts])}`);
  }
  const again = await liveOnce(options);
  assert.deepEqual(again, report);
});

for (const death of ["kill", "power"] as const) {
  test(`a node that dies at any turn (${death}) loses nothing and applies nothing twice`, async () => {
    const { turns } = await liveOnce(dyingAt(Infinity, death));
    assert.ok(turns > 100, "there are turns to die at");
    for (let turn = 0; turn < turns; turn += STRIDE) await liveOnce(dyingAt(turn, death));
  });
}

test("lives with many deaths and failing disks", async (context) => {
  let starts = 0;
  for (let seed = 0; seed < LIVES; seed++) starts += (await liveOnce(optionsOf(seed))).starts;
  context.diagnostic(`seeds 0 to ${LIVES - 1}, ${starts} starts`);
});
