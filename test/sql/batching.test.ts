/** An entry's outcome never depends on its batch, on restarts, or on a kill. ARCHITECTURE.md, section 2. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import * as host from "../../src/host/mod.ts";
import * as sql from "../../src/sql/mod.ts";
import { contentOf, PLANS, randomLog, run, tryScenario, trySeed } from "./support/batching.ts";
import { EXTENSION, openMachine, temporaryFolder } from "./support/database.ts";
import { Dice } from "./support/random-entries.ts";
import { SCENARIOS } from "./support/scenarios.ts";

const modules = { sql, host, extensionPath: EXTENSION };
const ENTRIES = 60;

/** Milliseconds for new seeds. */
const RANDOM_MS = Number(process.env["PUMICE_BATCHING_MS"] ?? 12_000);

for (const [name, commands] of Object.entries(SCENARIOS)) {
  test(`whatever the batches: ${name}`, () => {
    assert.equal(tryScenario(modules, commands), undefined);
  });
}

test("any batching of random logs gives the same results and the same database", () => {
  const start = Math.floor(Math.random() * 0x7fff_0000);
  const until = performance.now() + RANDOM_MS;
  let seed = start;
  do assert.equal(trySeed(modules, seed, ENTRIES), undefined);
  while (++seed > 0 && performance.now() < until);
  console.log(`batching: seeds ${start} to ${seed - 1}`);
});

test("killed with SIGKILL at any moment and started again, the log gives the same database", async (context) => {
  const seed = Math.floor(Math.random() * 0x7fff_ffff);
  const dice = new Dice(seed);
  const log = randomLog(modules, seed, 120);
  const foreignKeys = seed % 2 === 0;
  const plan = PLANS[0];
  assert.ok(plan !== undefined);
  const expected = run(modules, log, { plan, seed, foreignKeys });
  const path = join(temporaryFolder(context), "db");
  const child = fileURLToPath(new URL("support/apply-child.ts", import.meta.url));
  let kills = 0;
  for (let isDone = false; !isDone;) {
    const options = { path, seed, count: log.length, foreignKeys, batch: 1 + dice.below(8) };
    const running = spawn(process.execPath, [child, JSON.stringify(options)], { stdio: ["ignore", "pipe", "inherit"] });
    const limit = 1 + dice.below(12);
    let lines = 0;
    // A line comes after each batch; the kill comes some time after one, so anywhere in those that follow.
    running.stdout.on("data", (text: Buffer) => {
      lines += text.toString().split("\n").length - 1;
      if (lines >= limit && kills < 15) running.kill("SIGKILL");
    });
    const [status, signal] = (await once(running, "close")) as [number | null, string | null];
    if (signal === "SIGKILL") kills++;
    else {
      assert.equal(status, 0, `seed ${seed}`);
      // Too fast to be killed even once: from the beginning.
      isDone = kills > 0;
      if (!isDone) for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
    }
  }
  const machine = openMachine(path, foreignKeys);
  assert.equal(machine.applied.index, log.length);
  machine.close();
  assert.deepEqual(contentOf(path), expected.tables, `seed ${seed} after ${kills} kills`);
});
