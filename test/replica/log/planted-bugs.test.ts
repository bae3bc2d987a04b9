import assert from "node:assert/strict";
import { test } from "node:test";
import type { Log } from "../../../src/replica/mod.ts";
import { LAWS, firstBroken } from "./support/laws.ts";
import { plant } from "./support/plant.ts";
import { PLANTED_BUGS } from "./support/planted-bugs.ts";

/** The law gets so many seeds to find the bug. */
const SEEDS = 600;

for (const bug of PLANTED_BUGS) {
  test(`a planted bug is caught: ${bug.name}`, async (context) => {
    const module = await plant<{ readonly Log: typeof Log }>(context, bug, "log.ts");
    const { name, law } = LAWS[bug.law];
    const broken = firstBroken(law, (parts, settings) => module.Log.open(parts, settings), { from: 0, to: SEEDS });
    assert.ok(broken !== undefined, `not caught by "${name}" in ${SEEDS} seeds`);
    context.diagnostic(`by seed ${broken.seed} of "${name}": ${String(broken.error).slice(0, 200)}`);
  });
}
