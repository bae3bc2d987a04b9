/** The checker against histories that are known to be good or bad, and against brute force. */
import assert from "node:assert/strict";
import test from "node:test";
import { array, assert as check, boolean, integer, property, tuple, type Arbitrary } from "fast-check";
import { checkLinearizable, checkLinearizableByKey, REGISTER, type Operation, type RegisterInput } from "../../../src/sim/mod.ts";

type Op = Operation<RegisterInput, number>;

const write = (call: number, ret: number, value: number): Op => ({ call, ret, input: { kind: "write", key: 0, value }, output: undefined });
const read = (call: number, ret: number, output: number): Op => ({ call, ret, input: { kind: "read", key: 0 }, output });
const cas = (call: number, ret: number, [expected, value]: readonly [number, number], output: number): Op => {
  return { call, ret, input: { kind: "cas", key: 0, expected, value }, output };
};

/** Tries every order, and for operations of unknown outcome also their absence. */
function bruteForce(operations: readonly Op[]): boolean {
  const place = (left: readonly Op[], state: number): boolean => {
    if (left.every((op) => op.ret === Infinity)) return true;
    return left.some((op, at) => {
      if (left.some((other) => other.ret < op.call)) return false;
      const after = REGISTER.step(state, op.input, op.ret === Infinity ? undefined : op.output);
      return after !== undefined && place([...left.slice(0, at), ...left.slice(at + 1)], after.state);
    });
  };
  return place(operations, REGISTER.initial);
}

test("a stale read, a lost write and a reordered compare-and-swap are illegal", () => {
  assert.equal(checkLinearizable([write(0, 1, 1), write(2, 3, 2), read(4, 5, 1)], REGISTER), "illegal");
  assert.equal(checkLinearizable([write(0, 1, 1), read(2, 3, 0)], REGISTER), "illegal");
  assert.equal(checkLinearizable([write(0, 1, 1), cas(2, 3, [1, 2], 1), cas(4, 5, [1, 3], 1)], REGISTER), "illegal");
  assert.equal(checkLinearizable([read(0, 1, 7)], REGISTER), "illegal");
});

test("two readers of two overlapping writes may not disagree about their order", () => {
  const writes = [write(0, 10, 1), write(0, 10, 2)];
  assert.equal(checkLinearizable([...writes, read(1, 2, 1), read(3, 4, 2)], REGISTER), "ok");
  assert.equal(checkLinearizable([...writes, read(1, 2, 1), read(3, 4, 2), read(5, 6, 1)], REGISTER), "illegal");
});

test("a write of unknown outcome may be seen later, or never, but not be unseen again", () => {
  const lost = write(0, Infinity, 1);
  assert.equal(checkLinearizable([lost], REGISTER), "ok");
  assert.equal(checkLinearizable([lost, read(1, 2, 0), read(3, 4, 1)], REGISTER), "ok");
  assert.equal(checkLinearizable([lost, read(1, 2, 1), read(3, 4, 0)], REGISTER), "illegal");
});

test("keys are checked one by one", () => {
  const at = (key: number, op: Op): Op => ({ ...op, input: { ...op.input, key } });
  const history = [at(1, write(0, 1, 5)), at(2, read(2, 3, 0)), at(1, read(2, 3, 5))];
  assert.deepEqual(
    checkLinearizableByKey(history, (input) => input.key, REGISTER),
    { verdict: "ok", key: undefined },
  );
  const bad = [...history, at(2, read(4, 5, 9))];
  assert.deepEqual(
    checkLinearizableByKey(bad, (input) => input.key, REGISTER),
    { verdict: "illegal", key: 2 },
  );
});

test("when the budget ends the answer is unknown, never ok", () => {
  const many = Array.from({ length: 30 }, (_, k) => write(0, 100, k + 1));
  assert.equal(checkLinearizable([...many, read(101, 102, 999)], REGISTER, 1000), "unknown");
});

test("the checker agrees with brute force on every small history", () => {
  const time = integer({ min: 0, max: 12 });
  const value = integer({ min: 0, max: 2 });
  const op: Arbitrary<Op> = tuple(time, integer({ min: 0, max: 8 }), boolean(), integer({ min: 0, max: 2 }), value, value).map(
    ([call, length, isKnown, kind, a, b]) => {
      const ret = isKnown || kind === 0 ? call + length : Infinity;
      if (kind === 0) return read(call, ret, a);
      return kind === 1 ? write(call, ret, a) : cas(call, ret, [a, b], a > 1 ? 1 : a);
    },
  );
  const counts = { ok: 0, illegal: 0, unknown: 0 };
  check(
    property(array(op, { maxLength: 7 }), (operations) => {
      const verdict = checkLinearizable(operations, REGISTER);
      counts[verdict]++;
      assert.equal(verdict, bruteForce(operations) ? "ok" : "illegal");
    }),
    { numRuns: 4000 },
  );
  assert.ok(counts.ok > 400 && counts.illegal > 400, `both verdicts occur: ${JSON.stringify(counts)}`);
});
