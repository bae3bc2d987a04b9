import assert from "node:assert/strict";
import { test } from "node:test";
import { LogHandle, logWriter } from "../../../src/replica/mod.ts";
import { plant } from "./support/plant.ts";
import { PLANTED_THREAD_BUGS } from "./support/planted-bugs.ts";
import { threadLaw, type ThreadCode } from "./support/thread-law.ts";

const SEEDS = 500;

async function firstBroken(code: ThreadCode): Promise<{ readonly seed: number; readonly error: unknown } | undefined> {
  for (let seed = 0; seed < SEEDS; seed++) {
    try {
      await threadLaw(seed, code);
    } catch (error) {
      return { seed, error };
    }
  }
  return undefined;
}

test("log thread: every acknowledgement is kept through power loss, failed syncs and a full disk; none comes after a refusal or a failure", async (context) => {
  context.diagnostic(`seeds 0 to ${SEEDS - 1}`);
  const broken = await firstBroken({ logWriter, LogHandle });
  if (broken !== undefined) throw new Error(`broken by seed ${broken.seed}`, { cause: broken.error });
});

for (const bug of PLANTED_THREAD_BUGS) {
  test(`a planted bug is caught: ${bug.name}`, async (context) => {
    const broken = await firstBroken(await plant<ThreadCode>(context, bug, "mod.ts"));
    assert.ok(broken !== undefined, `not caught in ${SEEDS} seeds`);
    context.diagnostic(`by seed ${broken.seed}: ${String(broken.error).slice(0, 200)}`);
  });
}
