import { test } from "node:test";
import { LAWS, firstBroken } from "./support/laws.ts";
import { openRealLog } from "./support/world.ts";

/** Another range of seeds than the gate's, for a soak: LOG_SEED_FROM. */
const from = Number(process.env["LOG_SEED_FROM"] ?? 0);

for (const { name, law, seeds } of Object.values(LAWS)) {
  test(`log: ${name}`, (context) => {
    context.diagnostic(`seeds ${from} to ${from + seeds - 1}`);
    const broken = firstBroken(law, openRealLog, { from, to: from + seeds });
    if (broken !== undefined) throw new Error(`broken by seed ${broken.seed}`, { cause: broken.error });
  });
}
