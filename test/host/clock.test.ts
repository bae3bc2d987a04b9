import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../src/host/mod.ts";
import { clockConformance } from "../base/clock-conformance.ts";

clockConformance("system clock", () => ({ clock: systemClock, pass: () => {} }));

test("the system clock tells the machine's time", () => {
  assert.ok(Math.abs(systemClock.now() - Date.now()) < 1000);
});
