/** The laws of numbers in request bodies: integers stay integers of 64 bits, reals stay reals. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { numbersArePlain, NumberRangeError, parseExactJson, Real } from "../../src/server/exact-json.ts";

test("a number keeps its kind and every digit that SQLite can hold", () => {
  const expected: readonly (readonly [string, unknown])[] = [
    ["0", 0],
    ["-0", 0],
    ["1", 1],
    ["1.0", new Real(1)],
    ["-0.0", new Real(-0)],
    ["1e3", new Real(1000)],
    ["1.5", 1.5],
    ["1.00000000000000000001", new Real(1)],
    ["999999999999999.01", new Real(999999999999999)],
    ["4503599627370497.00000001", new Real(4503599627370497)],
    ["9007199254740991", 9007199254740991],
    ["9007199254740993", 9007199254740993n],
    ["9223372036854775807", 9223372036854775807n],
    ["-9223372036854775808", -9223372036854775808n],
    ["9223372036854775808", new Real(2 ** 63)],
    ["-9223372036854775809", new Real(-(2 ** 63))],
    ["123456789012345678901234567890", new Real(1.2345678901234568e29)],
    ["1e-400", new Real(0)],
  ];
  for (const [text, value] of expected) {
    const [parsed] = parseExactJson(`[${text}]`) as readonly unknown[];
    assert.deepEqual(parsed, value, text);
    assert.ok(!Object.is(parsed, -0), text);
    assert.deepEqual(parseExactJson(`[["INSERT", {"a":${text}}]]`), [["INSERT", { a: value }]], text);
  }
});

test("a number beyond every double is an error and not an infinity", () => {
  assert.throws(() => parseExactJson("[1e999]"), NumberRangeError);
  assert.throws(() => parseExactJson("[-1e999]"), NumberRangeError);
});

test("digits, points and exponents inside strings do not send a body the slow way", () => {
  assert.ok(numbersArePlain('["INSERT INTO t VALUES(1.0, 1e3, 12345678901234567890)"]'));
  assert.ok(numbersArePlain('[["a \\" 1.0 \\\\", 5, true, false, null]]'));
  assert.ok(!numbersArePlain('[["a \\\\", 1.0]]'));
  assert.ok(!numbersArePlain('["x", 12345678901234567]'));
});

/** JSON text with numbers of every spelling, and the kinds and values that Go would see. */
const numberText = fc.oneof(
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map(String),
  fc.integer().map(String),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (Object.is(value, -0) ? "-0.0" : String(value))),
  fc
    .tuple(fc.integer(), fc.constantFrom(".0", ".50", "e2", "E-3", ".25e+1", ".000000000000000000001"))
    .map(([whole, rest]) => `${whole}${rest}`),
);

test("the quick way gives what the slow way gives", () => {
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          numberText,
          fc.string().map((text) => JSON.stringify(text)),
          fc.constantFrom("true", "null", "{}", "[]"),
        ),
      ),
      (items) => {
        const text = `[${items.join(", ")}]`;
        const parsed = parseExactJson(text) as readonly unknown[];
        for (const [index, item] of items.entries()) {
          const value = parsed[index];
          if (!/^-?\d/.test(item)) {
            assert.deepEqual(value, JSON.parse(item));
          } else if (/[.eE]/.test(item)) {
            assert.equal(value instanceof Real ? value.value : value, Number(item));
            assert.ok(value instanceof Real || !Number.isInteger(value), item);
          } else {
            const exact = BigInt(item);
            const fits = BigInt.asIntN(64, exact) === exact;
            if (fits) assert.equal(BigInt(value as number | bigint), exact);
            else assert.deepEqual(value, new Real(Number(item)));
          }
        }
      },
    ),
    { numRuns: 500 },
  );
});
