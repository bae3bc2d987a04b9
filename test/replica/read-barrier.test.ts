import assert from "node:assert/strict";
import { test } from "node:test";
import { PumiceError } from "../../src/base/mod.ts";
import { ReadBarrier } from "../../src/replica/read-barrier.ts";

/** Waits, and gives what became of it: undefined while it waits. */
function wait(barrier: ReadBarrier, deadlineMs = 1000) {
  const fate: { value: string | undefined } = { value: undefined };
  barrier.wait(deadlineMs).then(
    () => (fate.value = "readable"),
    (error: PumiceError) => (fate.value = error.code),
  );
  return fate;
}

/** Lets settled promises run their callbacks. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("reads of one turn share one question to the leader, those of the next ask again", async () => {
  let asked = 0;
  const barrier = new ReadBarrier(() => ++asked);
  const fates = [wait(barrier), wait(barrier), wait(barrier)];
  barrier.flush();
  const later = wait(barrier);
  barrier.flush();
  assert.equal(asked, 2);
  barrier.confirmed(1, 5, 5);
  await settled();
  assert.deepEqual(
    fates.map((fate) => fate.value),
    ["readable", "readable", "readable"],
  );
  assert.equal(later.value, undefined, "a read that began later is not answered by an earlier confirmation");
});

test("a confirmed read waits until its index is applied", async () => {
  const barrier = new ReadBarrier(() => 1);
  const fate = wait(barrier);
  barrier.flush();
  barrier.confirmed(1, 9, 7);
  barrier.applied(8);
  await settled();
  assert.equal(fate.value, undefined);
  barrier.applied(9);
  await settled();
  assert.equal(fate.value, "readable");
});

test("what is applied answers no read that the leader has not confirmed", async () => {
  const barrier = new ReadBarrier(() => 1);
  const fate = wait(barrier);
  barrier.flush();
  barrier.applied(1_000_000);
  await settled();
  assert.equal(fate.value, undefined);
});

test("without a leader a read is refused at once, and past its deadline it is told so", async () => {
  const none = new ReadBarrier(() => undefined);
  const refused = wait(none);
  none.flush();
  const barrier = new ReadBarrier(() => 1);
  const early = wait(barrier, 10);
  const late = wait(barrier, 20);
  barrier.flush();
  barrier.expire(10);
  await settled();
  assert.deepEqual([refused.value, early.value, late.value], ["REPLICA_NOT_LEADER", "REPLICA_TIMEOUT", undefined]);
  barrier.confirmed(1, 1, 1);
  await settled();
  assert.equal(late.value, "readable");
});

test("a failure ends all waiting, also of reads that were not yet sent", async () => {
  const barrier = new ReadBarrier(() => 1);
  const sent = wait(barrier);
  barrier.flush();
  const fresh = wait(barrier);
  barrier.failAll(new PumiceError("REPLICA_FAILED"));
  await settled();
  assert.deepEqual([sent.value, fresh.value], ["REPLICA_FAILED", "REPLICA_FAILED"]);
});
