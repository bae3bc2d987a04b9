/** How long tasks show themselves. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { formatCount, formatSeconds, Progress } from "../../src/cli/load/progress.ts";

/** Runs a task of 10 s that gets on by a tenth each second, and returns what it wrote. */
function watch(isTTY: boolean, unit: "bytes" | "records"): string {
  let now = 0;
  let written = "";
  const clock = mock.method(performance, "now", () => now);
  try {
    const output = { isTTY, columns: 60, write: (text: string) => (written += text) };
    const progress = new Progress(output, { label: "loading", unit, total: 10_000_000, start: 5_000_000 });
    for (let second = 1; second <= 10; second++) {
      now = second * 1000;
      progress.update(5_000_000 + second * 500_000);
      if (second === 6) progress.say("something");
    }
    progress.end();
  } finally {
    clock.mock.restore();
  }
  return written;
}

test("on a terminal one line is drawn again and again, no longer than the terminal is wide, and taken away at the end", () => {
  const written = watch(true, "records");
  const lines = written.split("\r\u001B[K");
  assert.equal(lines[1], "loading [===========         ] 55% 5,500,000 records, 500,0");
  assert.ok(lines.every((line) => line.replace("something\n", "").length < 60));
  assert.equal(lines.at(-1), "");
  assert.ok(written.includes("\r\u001B[Ksomething\n\r\u001B[Kloading"));
});

test("elsewhere there is a plain line now and then, with the rate since the start and the time left", () => {
  assert.equal(
    watch(false, "records"),
    "loading 75% 7,500,000 records, 500,000/s, 5 s left\nsomething\nloading 100% 10,000,000 records, 500,000/s, 0 s left\n",
  );
  assert.match(watch(false, "bytes"), /^loading 75% 7\.2 MiB, 0\.5 MiB\/s, 5 s left\n/);
});

test("counts and times are written for people", () => {
  assert.deepEqual([0, 999, 1000, 1234567.6].map(formatCount), ["0", "999", "1,000", "1,234,568"]);
  assert.deepEqual([0.2, 59.5, 61, 3700].map(formatSeconds), ["1 s", "1 min 0 s", "1 min 1 s", "1 h 1 min"]);
});
