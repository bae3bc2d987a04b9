import assert from "node:assert/strict";
import { test } from "node:test";
import { AssertionError, type PumiceError } from "../../src/base/mod.ts";
import type { WriteOutcome } from "../../src/replica/requests.ts";
import { Waiters } from "../../src/replica/waiters.ts";

const DONE: WriteOutcome = { kind: "results", results: "{}", raftIndex: 1 };

/** Adds a waiter and gives what became of it: undefined while it waits. */
function addWaiter(waiters: Waiters, index: number, options: { term?: number; deadlineMs?: number; timings?: boolean } = {}) {
  const fate: { value: WriteOutcome | string | undefined; times: number } = { value: undefined, times: 0 };
  waiters.add(index, {
    term: options.term ?? 1,
    deadlineMs: options.deadlineMs ?? 1000,
    timings: options.timings ?? false,
    resolve: (outcome) => {
      fate.value = outcome;
      fate.times++;
    },
    reject: (error: PumiceError) => {
      fate.value = error.code;
      fate.times++;
    },
  });
  return fate;
}

test("a waiter gets the outcome of its entry, once, and is forgotten", () => {
  const waiters = new Waiters();
  const fate = addWaiter(waiters, 7);
  waiters.settle(6, 1, DONE);
  assert.equal(fate.value, undefined);
  waiters.settle(7, 1, DONE);
  waiters.settle(7, 1, DONE);
  waiters.expire(Infinity);
  assert.deepEqual(fate, { value: DONE, times: 1 });
  assert.equal(waiters.count, 0);
});

test("a waiter whose index got another term's entry is told that its own is lost", () => {
  const waiters = new Waiters();
  const fate = addWaiter(waiters, 7, { term: 1 });
  waiters.settle(7, 2, DONE);
  assert.deepEqual(fate, { value: "REPLICA_NOT_LEADER", times: 1 });
});

test("a proposal of a later term at the same index ends the earlier one's waiting", () => {
  const waiters = new Waiters();
  const earlier = addWaiter(waiters, 7, { term: 1 });
  const later = addWaiter(waiters, 7, { term: 3 });
  assert.equal(earlier.value, "REPLICA_NOT_LEADER");
  waiters.settle(7, 3, DONE);
  assert.equal(later.value, DONE);
});

test("two proposals at one index in one term are a programmer's error", () => {
  const waiters = new Waiters();
  addWaiter(waiters, 7);
  assert.throws(() => addWaiter(waiters, 7), AssertionError);
});

test("a waiter whose time is up is told that the outcome is open; the others wait on", () => {
  const waiters = new Waiters();
  const early = addWaiter(waiters, 1, { deadlineMs: 10 });
  const late = addWaiter(waiters, 2, { deadlineMs: 20 });
  waiters.expire(10);
  assert.equal(early.value, "REPLICA_TIMEOUT");
  assert.equal(late.value, undefined);
});

test("a result is wanted only by callers that wait for that term's entry", () => {
  const waiters = new Waiters();
  addWaiter(waiters, 1, { term: 2, timings: true });
  assert.equal(waiters.wants(1, 2), true);
  assert.equal(waiters.wants(1, 3), undefined);
  assert.equal(waiters.wants(2, 2), undefined);
});
