/** The kill test for 20 seconds. `npm run torture:kill -- --minutes N` goes on longer. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { describe, median, torture } from "./kill.ts";

const seed = Number(process.env["PUMICE_SEED"] ?? Math.floor(Math.random() * 2 ** 31));

test("killed at any moment, a node keeps every acknowledged write exactly once and answers again in under a second", async (t) => {
  t.diagnostic(`PUMICE_SEED=${seed}`);
  const report = await torture({ seed, durationMs: 20_000, clientCount: 16, say: (line) => t.diagnostic(line) });
  for (const line of describe(report)) t.diagnostic(line);
  assert.deepEqual(report.broken, []);
  // On a machine that does other work at the same time everything takes longer: `pumiced -version`, which takes 40 ms on an idle one, says how much.
  const slowness = Math.max(1, (median(report.bareMs) ?? 0) / 60);
  t.diagnostic(`this machine is ${slowness.toFixed(1)} times slower than an idle one`);
  assert.ok(report.kills >= report.durationMs / 1000 / slowness, `${report.kills} kills in ${report.durationMs} ms`);
  assert.ok(report.acknowledged > 50, `${report.acknowledged} writes acknowledged`);
  const restart = median(report.restartMs) ?? Infinity;
  assert.ok(restart < 1000 * slowness, `median restart ${restart} ms`);
});
