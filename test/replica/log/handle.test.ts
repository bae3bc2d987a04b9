import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32, type PumiceError } from "../../../src/base/mod.ts";
import type { LogBatch } from "../../../src/replica/consensus/ports.ts";
import { LogHandle, logWriter } from "../../../src/replica/log/mod.ts";
import { SimDisk, randomOf, simSpawner } from "../../../src/sim/mod.ts";

/** A log's thread on a simulated disk; turns run when the test says so. */
async function create() {
  const disk = new SimDisk(randomOf(1, "disk"));
  const turns: (() => void)[] = [];
  const spawner = simSpawner(new Map([["log", logWriter({ files: disk.files, crc32 })]]), (task) => turns.push(task));
  const runTurns = async (): Promise<void> => {
    for (let idle = 0; idle < 3;) {
      const turn = turns.shift();
      if (turn === undefined) idle++;
      else turn();
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const acknowledged: number[] = [];
  const failures: PumiceError[] = [];
  const open = async (acknowledge: (number: number) => void): Promise<LogHandle> => {
    const worker = spawner.spawn("log", { folder: "/log", segmentBytes: 65_536, sliceBytes: 4096 });
    const opening = LogHandle.open(worker, { acknowledge, failed: (error) => failures.push(error) });
    await runTurns();
    return opening;
  };
  const log = await open((number) => acknowledged.push(number));
  const stateOnDisk = async () => (await open(() => undefined)).opened;
  return { disk, runTurns, acknowledged, failures, log, stateOnDisk };
}

const entries = (number: number, index: number, commit?: number): LogBatch => ({
  number,
  hardState: commit === undefined ? undefined : { term: 1, vote: 1, commit },
  snapshot: undefined,
  entries: [{ index, term: 1, type: "normal", data: new Uint8Array(100) }],
  mustSync: true,
});
const commitOnly = (number: number, commit: number): LogBatch => ({
  number,
  hardState: { term: 1, vote: 1, commit },
  snapshot: undefined,
  entries: [],
  mustSync: false,
});

test("a batch with entries is acknowledged only when the log's thread has synced it", async () => {
  const { log, acknowledged, runTurns } = await create();
  log.append(entries(1, 1, 0));
  assert.deepEqual(acknowledged, []);
  await runTurns();
  assert.deepEqual(acknowledged, [1]);
});

test("a commit index alone is acknowledged at once, but never before a batch in front of it", async () => {
  const { log, acknowledged, runTurns } = await create();
  log.append(entries(1, 1, 0));
  log.append(commitOnly(2, 1));
  assert.deepEqual(acknowledged, []);
  await runTurns();
  assert.deepEqual(acknowledged, [2], "both, by the number of the last");
  log.append(commitOnly(3, 1));
  assert.deepEqual(acknowledged, [2, 3]);
});

test("the commit index travels with the next batch, with a compaction and with the close", async () => {
  const { log, runTurns, stateOnDisk } = await create();
  log.append(entries(1, 1, 0));
  await runTurns();
  log.append(commitOnly(2, 1));
  log.append(entries(3, 2));
  await runTurns();
  log.append(commitOnly(4, 2));
  const compacting = log.compact({ index: 2, term: 1 });
  await runTurns();
  assert.equal(await compacting, true);
  await runTurns();
  assert.deepEqual(await stateOnDisk(), {
    hardState: { term: 1, vote: 1, commit: 2 },
    compacted: { index: 2, term: 1 },
    last: { index: 2, term: 1 },
  });
  log.append(entries(5, 3));
  await runTurns();
  log.append(commitOnly(6, 3));
  const closing = log.close();
  await runTurns();
  await closing;
  assert.equal((await stateOnDisk()).hardState.commit, 3);
});

test("what a full disk refuses is neither acknowledged nor lost: it is written, in order, when there is space", async () => {
  const { disk, log, acknowledged, failures, runTurns, stateOnDisk } = await create();
  log.append(entries(1, 1, 0));
  await runTurns();
  disk.capacityBytes = 0;
  const count = 2000;
  for (let number = 2; number <= count; number++) log.append(entries(number, number, number - 1));
  await runTurns();
  assert.equal(log.refusal?.code, "LOG_FULL");
  const refusedFrom = (acknowledged.at(-1) ?? 0) + 1;
  assert.ok(refusedFrom < count, "the disk is too small for all");
  log.retry();
  await runTurns();
  assert.equal(log.refusal?.code, "LOG_FULL", "still full");
  disk.capacityBytes = Infinity;
  log.retry();
  await runTurns();
  assert.equal(log.refusal, undefined);
  assert.equal(acknowledged.at(-1), count);
  assert.deepEqual(failures, []);
  assert.deepEqual((await stateOnDisk()).last, { index: count, term: 1 });
});
