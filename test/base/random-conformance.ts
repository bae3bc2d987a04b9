/** What every Random keeps. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { AssertionError, type Random } from "../../src/base/mod.ts";

export function randomConformance(name: string, create: () => Random): void {
  test(`${name}: u32 is uniform over [0, 2^32): each bit is set about half of the time`, () => {
    const random = create();
    const ones = Array.from({ length: 32 }, () => 0);
    const draws = 20_000;
    for (let i = 0; i < draws; i++) {
      const value = random.u32();
      assert.ok(Number.isInteger(value) && value >= 0 && value < 2 ** 32);
      for (let bit = 0; bit < 32; bit++) ones[bit]! += (value >>> bit) & 1;
    }
    // Six standard deviations of a fair coin: a false alarm in about one of 10^7 runs.
    for (const count of ones) assert.ok(Math.abs(count - draws / 2) < 6 * Math.sqrt(draws / 4), ones.join(" "));
  });

  test(`${name}: below reaches every value under its bound and no other`, () => {
    const random = create();
    for (const bound of [1, 2, 3, 7, 10]) {
      const seen = new Set<number>();
      for (let i = 0; i < 2000; i++) seen.add(random.below(bound));
      assert.deepEqual(
        [...seen].sort((a, b) => a - b),
        Array.from({ length: bound }, (_, i) => i),
      );
    }
    for (let i = 0; i < 100; i++) assert.ok(random.below(2 ** 32) < 2 ** 32);
  });

  test(`${name}: below is fair where the bound does not divide 2^32`, () => {
    const random = create();
    // With a plain remainder the lower half would come twice as often as the upper.
    const bound = 3 * 2 ** 30;
    let low = 0;
    const draws = 20_000;
    for (let i = 0; i < draws; i++) if (random.below(bound) < bound / 3) low++;
    assert.ok(Math.abs(low - draws / 3) < 6 * Math.sqrt((draws * 2) / 9), `low=${low}`);
  });

  test(`${name}: a bound that is not in (0, 2^32] is a programmer's error`, () => {
    for (const bound of [0, -1, 1.5, 2 ** 32 + 1, Number.NaN]) assert.throws(() => create().below(bound), AssertionError);
  });

  test(`${name}: u64 fills both halves`, () => {
    const random = create();
    let or = 0n;
    let and = 2n ** 64n - 1n;
    for (let i = 0; i < 200; i++) {
      const value = random.u64();
      or |= value;
      and &= value;
    }
    assert.equal(or, 2n ** 64n - 1n);
    assert.equal(and, 0n);
  });

  test(`${name}: fill writes every byte of its target, and none beside it`, () => {
    const random = create();
    for (const length of [0, 1, 3, 4, 5, 17]) {
      const whole = new Uint8Array(length + 16);
      const target = whole.subarray(8, 8 + length);
      const touched = new Uint8Array(length);
      for (let round = 0; round < 40; round++) {
        random.fill(target);
        for (let i = 0; i < length; i++) touched[i]! |= target[i]!;
      }
      assert.ok(touched.every((byte) => byte !== 0));
      assert.ok(whole.subarray(0, 8).every((byte) => byte === 0) && whole.subarray(8 + length).every((byte) => byte === 0));
    }
  });
}
