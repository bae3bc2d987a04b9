import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../src/base/mod.ts";
import { randomConformance } from "./random-conformance.ts";

randomConformance("seeded random", () => seededRandom(1));

test("a seed gives the same numbers for ever: frozen, because seeds are kept as regressions", () => {
  const random = seededRandom(42);
  assert.deepEqual([random.u32(), random.u32(), random.u32()], [660444221, 3652823732, 77678286]);
});

test("seeds that differ in any bit give different numbers", () => {
  const first = new Set<bigint>();
  for (let bit = 0n; bit < 64n; bit++) first.add(seededRandom(1n << bit).u64());
  for (let seed = 0; seed < 1000; seed++) first.add(seededRandom(seed * 3).u64());
  assert.equal(first.size, 64 + 1000);
});

test("negative seeds and seeds beyond 64 bits count by their low 64 bits", () => {
  assert.equal(seededRandom(-1).u32(), seededRandom(2n ** 64n - 1n).u32());
});
