/** The laws of durations in Go's spelling. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { formatDuration, parseDuration } from "../../src/base/mod.ts";

test("durations are read as Go reads them", () => {
  const expected: readonly (readonly [string, number | undefined])[] = [
    ["0", 0],
    ["+0", 0],
    ["1s", 1000],
    ["300ms", 300],
    ["1.5h", 5_400_000],
    ["2h45m", 9_900_000],
    [".5s", 500],
    ["-1.5s", -1500],
    ["250us", 0.25],
    ["250µs", 0.25],
    ["1m0.5s", 60_500],
    ["", undefined],
    ["-", undefined],
    ["5", undefined],
    ["s", undefined],
    ["1 s", undefined],
    ["1d", undefined],
    ["1s2", undefined],
    ["1..5s", undefined],
  ];
  for (const [text, ms] of expected) assert.equal(parseDuration(text), ms, text);
});

test("what formatDuration writes, parseDuration reads back", () => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 1e12 }), (ms) => parseDuration(formatDuration(ms)) === ms));
});
