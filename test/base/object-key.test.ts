import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { checkObjectKey, compareUtf8, isPumiceError, OBJECT_KEY_BYTES_MAX } from "../../src/base/mod.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

test(`compareUtf8 orders texts as their UTF-8 bytes are ordered (seed ${SEED})`, () => {
  const text = fc.string({
    unit: fc.constantFrom("a", "b", "\u007f", "é", "\u07ff", "\ud7ff", "\ue000", "\uffff", "𐀀", "😀"),
    maxLength: 6,
  });
  fc.assert(
    fc.property(text, text, (left, right) => {
      const expected = Buffer.compare(Buffer.from(left), Buffer.from(right));
      assert.equal(Math.sign(compareUtf8(left, right)), expected);
    }),
    { seed: SEED, numRuns: 2000 },
  );
});

test("a key may have 1024 bytes of UTF-8 and not one more", () => {
  for (const [letter, bytes] of [
    ["x", 1],
    ["é", 2],
    ["日", 3],
    ["😀", 4],
  ] as const) {
    const fits = Math.floor(OBJECT_KEY_BYTES_MAX / bytes);
    const filler = "y".repeat(OBJECT_KEY_BYTES_MAX - fits * bytes);
    checkObjectKey(letter.repeat(fits) + filler);
    assert.throws(
      () => checkObjectKey(`${letter.repeat(fits)}${filler}z`),
      (e) => isPumiceError(e, "STORE_KEY"),
    );
  }
});

test("the error of a bad key says what is wrong with it", () => {
  assert.throws(() => checkObjectKey("a/../b"), /a part of it is \. or \.\..*key="a\/\.\.\/b"/);
});
