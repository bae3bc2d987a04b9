/**
 * A short life, lived again with a crash at each call: of the object store, and of the file system below the store in a directory. Here at some of
 * the calls; `npm run sim:lsm -- --every-call` takes them all.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { hostCodecs } from "../../src/host/mod.ts";
import { crashEverywhere, memoryShortLife } from "../../src/sim/mod.ts";
import { crashFilesEverywhere } from "./support/posix-disk.ts";

test("whichever call of the object store a process dies at, the next one finds all that was acknowledged and nothing in part", async () => {
  for (const seed of [1, 2]) {
    const { lives, calls } = await crashEverywhere(seed, { disk: memoryShortLife, hostCodecs, stride: 5, first: seed });
    assert.ok(lives > 20 && calls > 40, `seed=${seed} lives=${lives} calls=${calls}`);
  }
});

test("whichever call of the file system a process or its machine dies at, the store in a directory has all that was acknowledged", async () => {
  for (const seed of [1, 2]) {
    const { lives, calls } = await crashFilesEverywhere(seed, { hostCodecs, stride: 97, first: seed });
    assert.ok(lives > 20 && calls > 400, `seed=${seed} lives=${lives} calls=${calls}`);
  }
});
