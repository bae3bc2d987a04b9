import assert from "node:assert/strict";
import { test } from "node:test";
import { AssertionError, crc32, isPumiceError, seededRandom, utf8 } from "../../../src/base/mod.ts";
import type { Entry } from "../../../src/raft/mod.ts";
import { Log, type LogSettings } from "../../../src/replica/mod.ts";
import { packed, type TestBatch } from "./support/batch.ts";
import { SimDisk } from "../../../src/sim/mod.ts";
import { contentsOf } from "./support/model.ts";

const FOLDER = "data/log";

function open(disk: SimDisk, settings: Omit<LogSettings, "folder"> = { segmentBytes: 4096, sliceBytes: 1024 }): Log {
  return Log.open({ files: disk.files, crc32 }, { folder: FOLDER, ...settings });
}

function newDisk(): SimDisk {
  return new SimDisk(seededRandom(1));
}

function entry(index: number, term = 1, data: Uint8Array = utf8(`entry ${index}`)): Entry {
  return { index, term, type: "normal", data };
}

function append(log: Log, ...group: Omit<TestBatch, "number">[]): void {
  const outcome = log.append(group.map((batch, i) => packed({ number: i + 1, ...batch })));
  assert.deepEqual(outcome, { persisted: group.length, refusal: undefined });
}

function countOf(disk: SimDisk, kind: string, work: () => void): number {
  let count = 0;
  disk.faults = (operation) => {
    if (operation.kind === kind) count++;
    return undefined;
  };
  work();
  disk.faults = undefined;
  return count;
}

test("a new log is empty, and its folder and those above it are made", () => {
  const disk = newDisk();
  const log = open(disk);
  assert.deepEqual(log.state, {
    hardState: { term: 0, vote: 0, commit: 0 },
    compacted: { index: 0, term: 0 },
    last: { index: 0, term: 0 },
  });
  assert.deepEqual(log.read({ lo: 1, hi: 2, maxBytes: 1 }), { kind: "entries", entries: [] });
  disk.crash();
  assert.ok(disk.files.exists(FOLDER));
});

test("all that waits costs one write and one sync", () => {
  const disk = newDisk();
  const log = open(disk, {});
  const group = Array.from({ length: 100 }, (_, i) => ({ hardState: { term: 1, vote: 1, commit: i }, entries: [entry(i + 1)] }));
  assert.equal(
    countOf(disk, "datasync", () => append(log, ...group)),
    1,
  );
  const more = group.map((batch, i) => ({ ...batch, entries: [entry(101 + i)] }));
  assert.equal(
    countOf(disk, "write", () => append(log, ...more)),
    1,
  );
});

test("a batch that only moves the commit index costs no write, and travels with the next one", () => {
  const disk = newDisk();
  const log = open(disk);
  append(log, { hardState: { term: 1, vote: 1, commit: 0 }, entries: [entry(1), entry(2)] });
  assert.equal(
    countOf(disk, "write", () => append(log, { hardState: { term: 1, vote: 1, commit: 2 }, entries: [] })),
    0,
  );
  assert.equal(log.state.hardState.commit, 2);
  disk.crash();
  const lost = open(disk);
  assert.equal(lost.state.hardState.commit, 0);
  append(lost, { hardState: { term: 1, vote: 1, commit: 2 }, entries: [] }, { entries: [entry(3)] });
  disk.crash();
  assert.equal(open(disk).state.hardState.commit, 2);
});

test("a term and a vote cost a sync, alone too", () => {
  const disk = newDisk();
  const log = open(disk);
  assert.equal(
    countOf(disk, "datasync", () => append(log, { hardState: { term: 1, vote: 2, commit: 0 }, entries: [] })),
    1,
  );
  assert.equal(
    countOf(disk, "datasync", () => append(log, { hardState: { term: 1, vote: 2, commit: 0 }, entries: [] })),
    0,
  );
});

test("what a core must never ask is a programmer's error, and leaves the log as it is", () => {
  const log = open(newDisk());
  append(log, { hardState: { term: 3, vote: 1, commit: 2 }, entries: [entry(1, 3), entry(2, 3), entry(3, 3)] });
  const wrong: Omit<TestBatch, "number">[] = [
    { entries: [entry(5, 3)] },
    { entries: [entry(2, 4)] },
    { entries: [entry(4, 2)] },
    { hardState: { term: 2, vote: 0, commit: 0 }, entries: [] },
    { hardState: { term: 3, vote: 2, commit: 0 }, entries: [] },
  ];
  for (const batch of wrong) assert.throws(() => log.append([packed({ number: 1, ...batch })]), AssertionError);
  assert.throws(() => packed({ number: 1, entries: [entry(4, 3), entry(6, 3)] }), AssertionError);
  assert.throws(() => packed({ number: 1, entries: [entry(4, 3), entry(5, 2)] }), AssertionError);
  assert.throws(() => log.compact({ index: 4, term: 3 }), AssertionError);
  append(log, { entries: [entry(4, 3)] });
  assert.equal(log.state.last.index, 4);
});

test("a batch larger than a segment is written whole, and the log goes on after it", () => {
  const disk = newDisk();
  const log = open(disk);
  const big = new Uint8Array(3 * 1024 * 1024).map((_, i) => i * 7);
  append(log, { hardState: { term: 1, vote: 1, commit: 0 }, entries: [entry(1)] });
  append(log, { entries: [entry(2, 1, big), entry(3)] });
  append(log, { entries: [entry(4)] });
  disk.crash();
  const again = open(disk);
  assert.deepEqual(contentsOf(again, 1), [entry(1), entry(2, 1, big), entry(3), entry(4)]);
});

test("reads are cut after their bytes, never to nothing, and at the log's end", () => {
  const log = open(newDisk(), { segmentBytes: 65_536, sliceBytes: 1024 });
  append(log, { entries: [1, 2, 3, 4, 5].map((index) => entry(index, 1, new Uint8Array(10))) });
  const lengths = [0, 9, 10, 19, 20, 29, 30, 1000].map((maxBytes) => {
    const result = log.read({ lo: 2, hi: 100, maxBytes });
    assert.ok(result.kind === "entries");
    return result.entries.length;
  });
  assert.deepEqual(lengths, [1, 1, 1, 1, 2, 2, 3, 4]);
  const cut = log.read({ lo: 2, hi: 4, maxBytes: 1000 });
  assert.ok(cut.kind === "entries" && cut.entries.length === 2);
});

test("entries that were handed out do not change when the log goes on", () => {
  const log = open(newDisk());
  append(log, { entries: [entry(1)] });
  const result = log.read({ lo: 1, hi: 2, maxBytes: 100 });
  append(log, { hardState: { term: 2, vote: 0, commit: 0 }, entries: [entry(1, 2, utf8("another"))] });
  assert.deepEqual(result, { kind: "entries", entries: [entry(1)] });
});

test("once closed the log answers LOG_CLOSED, and closing again is harmless", () => {
  const log = open(newDisk());
  log.close();
  log.close();
  const isClosed = (error: unknown): boolean => isPumiceError(error, "LOG_CLOSED");
  assert.throws(() => log.append([]), isClosed);
  assert.throws(() => log.compact({ index: 0, term: 0 }), isClosed);
  assert.throws(() => log.read({ lo: 1, hi: 2, maxBytes: 1 }), isClosed);
  assert.equal(log.prepare(), false);
});

test("a log that cannot begin for want of space says so, and begins when there is some", () => {
  const disk = newDisk();
  disk.capacityBytes = 512;
  assert.throws(
    () => open(disk),
    (error) => isPumiceError(error, "FS_NO_SPACE"),
  );
  disk.capacityBytes = Infinity;
  append(open(disk), { entries: [entry(1)] });
});

test("on a full disk a reserve of the default size holds 3,000 votes", () => {
  const disk = newDisk();
  const log = open(disk, {});
  const free = disk.freeBytes();
  assert.equal(free, Infinity);
  disk.capacityBytes = 0;
  const big = packed({ number: 1, entries: [entry(1, 1, new Uint8Array(300_000))] });
  assert.ok(isPumiceError(log.append([big]).refusal, "LOG_FULL"));
  for (let term = 1; term <= 3000; term++) append(log, { hardState: { term, vote: 1, commit: 0 }, entries: [] });
  disk.crash();
  assert.equal(open(disk, {}).state.hardState.term, 3000);
});

test("idle work fills ahead of the log in slices, and ends", () => {
  const disk = newDisk();
  const log = open(disk, { segmentBytes: 65_536, sliceBytes: 4096 });
  let slices = 0;
  while (log.prepare()) assert.ok(slices++ < 10);
  append(log, { entries: [entry(1, 1, new Uint8Array(3000))] });
  const name = disk.files.list(FOLDER).find((other) => !other.startsWith("blank"));
  const file = disk.files.open(`${FOLDER}/${name}`, "read");
  assert.ok(file.size() >= 2 * 4096, "the next batches are written over what is there");
  assert.equal(disk.files.list(FOLDER).filter((other) => other.startsWith("blank")).length, 2);
});

test("damage is refused with the segment and the offset", () => {
  const disk = newDisk();
  const log = open(disk);
  append(log, { entries: [entry(1)] });
  append(log, { entries: [entry(2)] });
  log.close();
  const name = disk.files.list(FOLDER).find((other) => !other.startsWith("blank"))!;
  // The first entry's frame follows the head's batch of 208 bytes.
  disk.flip(`${FOLDER}/${name}`, (208 + 33) * 8);
  assert.throws(
    () => open(disk),
    (error) => isPumiceError(error, "LOG_CORRUPT") && error.details["segment"] === name && error.details["offset"] === 208,
  );
});

test("strangers' files in the folder are left alone", () => {
  const disk = newDisk();
  open(disk).close();
  disk.files.open(`${FOLDER}/notes.txt`, "create").close();
  open(disk).close();
  assert.ok(disk.files.exists(`${FOLDER}/notes.txt`));
});
