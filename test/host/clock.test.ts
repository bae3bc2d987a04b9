import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../src/host/mod.ts";
import { clockConformance } from "../base/clock-conformance.ts";

clockConformance("system clock", () => ({ clock: systemClock, pass: () => {} }));

test("the system clock tells the machine's time", () => {
  assert.ok(Math.abs(systemClock.now() - Date.now()) < 1000);
});

test("a sleep of no time lets others have their turn, timers among them", async () => {
  const state = { turns: 0 };
  const timer = setInterval(() => state.turns++, 1);
  try {
    const deadline = performance.now() + 5000;
    while (state.turns < 3 && performance.now() < deadline) await systemClock.sleep(0);
    assert.ok(state.turns >= 3);
  } finally {
    clearInterval(timer);
  }
});
