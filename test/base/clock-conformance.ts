/** What every Clock keeps. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Clock } from "../../src/base/mod.ts";

/** `during` lets `ms` pass where time is simulated; in the real world it does nothing. */
export interface ClockWorld {
  readonly clock: Clock;
  readonly pass: (ms: number) => void;
}

export function clockConformance(name: string, create: () => ClockWorld): void {
  test(`${name}: monotonic time never goes back`, () => {
    const { clock, pass } = create();
    let last = clock.monotonic();
    for (let i = 0; i < 1000; i++) {
      const now = clock.monotonic();
      assert.ok(now >= last);
      last = now;
      if (i % 100 === 0) pass(1);
    }
  });

  test(`${name}: now is milliseconds since 1970, a number`, () => {
    const { clock } = create();
    assert.ok(Number.isFinite(clock.now()) && clock.now() >= 0);
  });

  test(`${name}: a sleep lasts at least as long as was asked, by monotonic time`, async () => {
    for (const ms of [0, 0.25, 1, 7]) {
      const { clock, pass } = create();
      const started = clock.monotonic();
      const slept = clock.sleep(ms);
      pass(ms);
      await slept;
      assert.ok(clock.monotonic() - started >= ms, `asked ${ms}, slept ${clock.monotonic() - started}`);
    }
  });

  test(`${name}: sleeps end in the order of their deadlines`, async () => {
    const { clock, pass } = create();
    const order: number[] = [];
    const sleeps = [30, 10, 20].map((ms) => clock.sleep(ms).then(() => order.push(ms)));
    pass(30);
    await Promise.all(sleeps);
    assert.deepEqual(order, [10, 20, 30]);
  });

  test(`${name}: an aborted sleep rejects with the signal's reason, at once`, async () => {
    const { clock, pass } = create();
    const reason = new Error("enough");
    const before = new AbortController();
    before.abort(reason);
    await assert.rejects(clock.sleep(1e9, { signal: before.signal }), reason);
    const during = new AbortController();
    const slept = clock.sleep(1e12, { signal: during.signal });
    pass(1);
    during.abort(reason);
    await assert.rejects(slept, reason);
  });

  test(`${name}: an abort after the sleep does nothing`, async () => {
    const { clock, pass } = create();
    const controller = new AbortController();
    const slept = clock.sleep(1, { signal: controller.signal });
    pass(1);
    await slept;
    controller.abort(new Error("late"));
  });
}
