import assert from "node:assert/strict";
import { test } from "node:test";
import type { EntryId } from "../../../src/base/mod.ts";
import { Checkpoints } from "../../../src/replica/disk/wal-checkpoints.ts";
import { PumiceError } from "../../../src/base/mod.ts";
import type { CheckpointResult } from "../../../src/sql/mod.ts";

const LIMIT = 1000;

function create(results: CheckpointResult[]) {
  const world = { asked: 0, durable: [] as EntryId[], interrupts: 0, captured: undefined as number | undefined };
  const checkpoints = new Checkpoints(LIMIT, {
    checkpoint: async () => {
      world.asked++;
      const result = results.shift();
      assert(result !== undefined, "no more checkpoints were expected");
      return result;
    },
    durable: (position) => world.durable.push(position),
    interruptReads: () => ++world.interrupts,
    capturedFrames: () => world.captured,
  });
  return { checkpoints, world };
}

const whole = (durableIndex: number): CheckpointResult => ({
  busy: false,
  full: undefined,
  logFrames: 0,
  checkpointedFrames: 0,
  durableIndex,
});
const busy = (durableIndex: number): CheckpointResult => ({
  busy: true,
  full: undefined,
  logFrames: 9,
  checkpointedFrames: 3,
  durableIndex,
});
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("below the limit nothing is checkpointed; at it, one checkpoint at a time", async () => {
  const { checkpoints, world } = create([whole(2)]);
  checkpoints.applied({ index: 1, term: 1 }, LIMIT - 1);
  assert.equal(world.asked, 0);
  checkpoints.applied({ index: 2, term: 1 }, LIMIT);
  checkpoints.applied({ index: 3, term: 1 }, LIMIT * 2);
  assert.equal(world.asked, 1);
  await settled();
  assert.deepEqual(world.durable, [{ index: 2, term: 1 }]);
});

test("the log is given up to what the synced file holds, not to what has been applied since", async () => {
  const { checkpoints, world } = create([whole(2)]);
  checkpoints.applied({ index: 2, term: 1 }, LIMIT);
  checkpoints.applied({ index: 8, term: 2 }, LIMIT);
  await settled();
  assert.deepEqual(world.durable, [{ index: 2, term: 1 }]);
});

test("an index whose term is not known gives nothing up", async () => {
  const { checkpoints, world } = create([whole(1)]);
  checkpoints.applied({ index: 2, term: 1 }, LIMIT);
  await settled();
  assert.deepEqual(world.durable, []);
});

test("a reader in the way puts the next try off by another limit, and past the hard limit old reads are interrupted", async () => {
  const { checkpoints, world } = create([busy(0), busy(0)]);
  checkpoints.applied({ index: 1, term: 1 }, LIMIT);
  await settled();
  checkpoints.applied({ index: 2, term: 1 }, LIMIT * 2 - 1);
  assert.equal(world.asked, 1);
  assert.equal(world.interrupts, 0);
  checkpoints.applied({ index: 3, term: 1 }, LIMIT * 17);
  await settled();
  assert.equal(world.asked, 2);
  assert.equal(world.interrupts, 1);
  assert.deepEqual(checkpoints.counts, { checkpoints: 2, busy: 2, putOff: 0, readsInterrupted: 1 });
});

test("a full disk puts checkpoints off until they are asked for again, gives nothing up, and says so meanwhile", async () => {
  const full = new PumiceError("SQL_FULL");
  const { checkpoints, world } = create([{ ...busy(0), full }, { ...busy(0), full }, whole(3)]);
  checkpoints.applied({ index: 1, term: 1 }, LIMIT);
  await settled();
  assert.equal(checkpoints.refusal, full);
  checkpoints.applied({ index: 3, term: 1 }, LIMIT * 20);
  assert.equal(world.asked, 1, "not at every batch");
  checkpoints.retry();
  await settled();
  assert.equal(checkpoints.refusal, full);
  assert.deepEqual(world.durable, []);
  checkpoints.retry();
  checkpoints.retry();
  await settled();
  assert.equal(world.asked, 3, "one at a time");
  assert.equal(checkpoints.refusal, undefined);
  assert.deepEqual(world.durable, [{ index: 3, term: 1 }]);
  assert.deepEqual(checkpoints.counts, { checkpoints: 1, busy: 0, putOff: 2, readsInterrupted: 0 });
});

test("no checkpoint is made while a frame of the WAL waits to be captured by a snapshot", async () => {
  const { checkpoints, world } = create([whole(2)]);
  const frame = 4096 + 24;
  world.captured = 9;
  checkpoints.applied({ index: 1, term: 1 }, 10 * frame);
  await settled();
  assert.equal(world.asked, 0);
  world.captured = 10;
  checkpoints.applied({ index: 2, term: 1 }, 10 * frame);
  await settled();
  assert.deepEqual([world.asked, world.durable], [1, [{ index: 2, term: 1 }]]);
});
