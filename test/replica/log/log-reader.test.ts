/** Old entries read beside the log's thread: what it has synced, through appends, truncations, new segments and files that become others'. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { crc32, isPumiceError, type FileSystem } from "../../../src/base/mod.ts";
import { threadSpawner } from "../../../src/host/mod.ts";
import type { Entry } from "../../../src/raft/mod.ts";
import { Log, LogHandle, LogReader, logReader, WORKERS } from "../../../src/replica/mod.ts";
import { SimDisk, randomOf, simSpawner } from "../../../src/sim/mod.ts";
import { batchOf, packed } from "./support/batch.ts";

const FOLDER = "log";
const SETTINGS = { folder: FOLDER, segmentBytes: 4096, sliceBytes: 1024 };

const entryAt = (index: number, term = 1): Entry => ({ index, term, type: "normal", data: new Uint8Array(100 + (index % 7)).fill(index) });
const entriesFrom = (first: number, count: number, term = 1): Entry[] => Array.from({ length: count }, (_, i) => entryAt(first + i, term));

/** A log in this thread, read by a LogReader whose worker runs at once. */
function create(files: (disk: SimDisk) => FileSystem = (disk) => disk.files) {
  const disk = new SimDisk(randomOf(1, "disk"));
  const log = Log.open({ files: disk.files, crc32 }, SETTINGS);
  const spawner = simSpawner(new Map([["log-reader", logReader({ files: files(disk), crc32 })]]), (task) => queueMicrotask(task));
  const world = { located: (): void => undefined };
  const reader = new LogReader({
    log: {
      locate: async (range) => {
        const located = log.locate(range);
        world.located();
        return located;
      },
    },
    spawn: () => spawner.spawn("log-reader", { folder: FOLDER }),
  });
  let number = 0;
  const append = (entries: readonly Entry[], commit = 0): void => {
    const term = entries.at(-1)?.term ?? 1;
    log.append([packed({ number: ++number, hardState: { term, vote: 1, commit }, entries })]);
  };
  const all = async (lo: number, hi: number): Promise<readonly Entry[]> => {
    const entries: Entry[] = [];
    while (lo + entries.length < hi) {
      const some = await reader.read({ lo: lo + entries.length, hi, maxBytes: 900 });
      assert.ok(some !== undefined && some.length > 0, `entry ${lo + entries.length} is there`);
      entries.push(...some);
    }
    return entries;
  };
  return { disk, log, reader, append, all, world };
}

test("all entries of finished segments and of the one that is written are read, also after it has grown and was cut", async () => {
  const { log, append, all, reader } = create();
  for (let first = 1; first <= 96; first += 5) append(entriesFrom(first, 5), first - 1);
  assert.deepEqual(await all(1, 101), entriesFrom(1, 100));
  assert.deepEqual(await all(50, 101), entriesFrom(50, 51));
  // The written segment grows while the reader has it open, then entries are replaced back into an older one.
  append(entriesFrom(101, 3), 95);
  assert.deepEqual(await all(96, 104), entriesFrom(96, 8));
  append(entriesFrom(97, 30, 2), 96);
  assert.deepEqual(await all(90, 127), [...entriesFrom(90, 7), ...entriesFrom(97, 30, 2)]);
  assert.deepEqual(await reader.read({ lo: 127, hi: 130, maxBytes: 1 }), [], "what is not there yet");
  log.compact({ index: 60, term: 1 });
  assert.equal(await reader.read({ lo: 60, hi: 62, maxBytes: 1 }), undefined);
  assert.deepEqual(await all(61, 127), [...entriesFrom(61, 36), ...entriesFrom(97, 30, 2)]);
  await reader.close();
  await assert.rejects(reader.read({ lo: 61, hi: 62, maxBytes: 1 }), (error) => isPumiceError(error, "LOG_CLOSED"));
});

test("a segment that becomes another's between the answer of the writer and the reading is no damage", async () => {
  const { log, append, reader, world } = create();
  for (let first = 1; first <= 96; first += 5) append(entriesFrom(first, 5), first - 1);
  world.located = () => {
    world.located = () => undefined;
    log.compact({ index: 95, term: 1 });
    // Long enough to be written over the files that were let go.
    for (let first = 101; first <= 296; first += 5) append(entriesFrom(first, 5), first - 1);
  };
  assert.equal(await reader.read({ lo: 3, hi: 10, maxBytes: 1000 }), undefined);
  await reader.close();
});

test("real damage is told, after the writer was asked a second time", async () => {
  const { disk, append, reader } = create();
  for (let first = 1; first <= 96; first += 5) append(entriesFrom(first, 5), first - 1);
  const [name] = disk.files.list(FOLDER);
  disk.flip(`${FOLDER}/${name}`, 700 * 8);
  await assert.rejects(reader.read({ lo: 1, hi: 90, maxBytes: 1e6 }), (error) => isPumiceError(error, "LOG_CORRUPT"));
  await reader.close();
});

test("on real threads and files", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "pumice-log-reader-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const entry = (name: string): URL => new URL(`../../../src/entry/${name}.ts`, import.meta.url);
  const workers = new Map<string, URL>([
    [WORKERS.log, entry("log-writer")],
    [WORKERS.logReader, entry("log-reader")],
  ]);
  const spawner = threadSpawner(workers);
  const durable = Promise.withResolvers<void>();
  const log = await LogHandle.open(spawner.spawn(WORKERS.log, { ...SETTINGS, folder }), {
    acknowledge: (number) => number === 40 && durable.resolve(),
    failed: (error) => durable.reject(error),
  });
  for (let i = 0; i < 40; i++) {
    log.append(batchOf({ number: i + 1, hardState: { term: 1, vote: 1, commit: i * 5 }, entries: entriesFrom(i * 5 + 1, 5) }));
  }
  await durable.promise;
  const reader = new LogReader({ log, spawn: () => spawner.spawn(WORKERS.logReader, { folder }) });
  const entries: Entry[] = [];
  while (entries.length < 200) {
    const some = await reader.read({ lo: entries.length + 1, hi: 201, maxBytes: 2000 });
    assert.ok(some !== undefined && some.length > 0);
    entries.push(...some);
  }
  assert.deepEqual(entries, entriesFrom(1, 200));
  await reader.close();
  await log.close();
});
