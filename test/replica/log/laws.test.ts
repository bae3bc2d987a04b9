import assert from "node:assert/strict";
import { test } from "node:test";
import { LAWS, firstBroken } from "./support/laws.ts";
import { met, openRealLog } from "./support/world.ts";

/** Another range of seeds than the gate's, for a soak: LOG_SEED_FROM. */
const from = Number(process.env["LOG_SEED_FROM"] ?? 0);

for (const { name, law, seeds } of Object.values(LAWS)) {
  test(`log: ${name}`, (context) => {
    context.diagnostic(`seeds ${from} to ${from + seeds - 1}`);
    const broken = firstBroken(law, openRealLog, { from, to: from + seeds });
    if (broken !== undefined) throw new Error(`broken by seed ${broken.seed}`, { cause: broken.error });
  });
}

test("log: the laws' runs met everything that they are for", () => {
  const wanted = [
    "1 segments",
    "2 segments",
    "4 segments",
    "a snapshot",
    "a truncation",
    "power lost in a recovery",
    "rot in the last batch dropped",
    "rot refused",
    "terms",
    "votes in front of refused entries",
    "what was refused was found",
    "what was under way was found",
    "what was under way was lost",
  ];
  assert.deepEqual(
    wanted.filter((mark) => !met.has(mark)),
    [],
  );
});
