/**
 * A short life, lived again with a crash at each call: of the object store, and of the file system below the store in a directory. Here at some of
 * the calls; `npm run sim:lsm -- --every-call` takes them all.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { simLives } from "./support/sim-lives.ts";

test("whichever call of the object store a process dies at, the next one finds all that was acknowledged and nothing in part", async () => {
  const totals = await simLives("--every-call", "--from", "1", "--count", "3", "--stride", "5");
  assert.ok((totals["lives"] ?? 0) > 60 && (totals["calls"] ?? 0) > 120, JSON.stringify(totals));
});

test("whichever call of the file system a process or its machine dies at, the store in a directory has all that was acknowledged", async () => {
  const totals = await simLives("--every-call", "--files", "--from", "1", "--count", "2", "--stride", "97");
  assert.ok((totals["lives"] ?? 0) > 30 && (totals["calls"] ?? 0) > 800, JSON.stringify(totals));
});
