import assert from "node:assert/strict";
import { test } from "node:test";
import { systemRandom } from "../../src/host/mod.ts";
import { randomConformance } from "../base/random-conformance.ts";

randomConformance("system random", () => systemRandom);

test("the system's randomness does not repeat, across pools of bytes", () => {
  const seen = new Set(Array.from({ length: 3000 }, () => systemRandom.u64()));
  assert.equal(seen.size, 3000);
});
