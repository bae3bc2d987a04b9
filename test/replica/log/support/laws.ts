/** The laws of the log, each a function of a seed, so that planted bugs can be tried against all of them. */
import assert from "node:assert/strict";
import { crc32, isPumiceError } from "../../../../src/base/mod.ts";
import { parseName, segmentSeed } from "../../../../src/replica/log/format.ts";
import { SegmentScan } from "../../../../src/replica/log/segment-scan.ts";
import type { DiskFault } from "../../../../src/sim/mod.ts";
import { EMPTY_MODEL, contentsOf, difference, modelOf, type ModelState } from "./model.ts";
import { FOLDER, LogWorld, met, type OpenLog } from "./world.ts";

/** A law: throws if it is broken for the seed. */
export type Law = (seed: number, open: OpenLog) => void;

/** Runs random steps until one does not return "done", or the count is reached. */
function run(world: LogWorld, steps: number): string {
  for (let i = 0; i < steps; i++) {
    const result = world.step();
    if (result !== "done") return result;
  }
  return "done";
}

/** Operation `at` (counted from now) and no other meets the fault. */
function faultAt(world: LogWorld, at: number, fault: DiskFault): void {
  const number = world.disk.operations + at;
  world.disk.faults = (operation) => (operation.number === number ? fault : undefined);
}

/** The process ends, by power loss or by itself; then the log is opened, perhaps after crashes while it recovers. */
function restart(world: LogWorld, how: "crash" | "kill"): void {
  world.log = undefined;
  world.disk.faults = undefined;
  if (how === "crash") world.disk.crash();
  else world.disk.kill();
  while (world.random.below(3) === 0) {
    faultAt(world, 1 + world.random.below(20), { kind: "powerLoss" });
    const result = world.open();
    world.disk.faults = undefined;
    if (result === "done") return;
    assert.equal(result, "powerLoss");
    met.add("power lost in a recovery");
    if (world.random.below(2) === 0) world.disk.crash();
    else world.disk.kill();
  }
  assert.equal(world.open(), "done");
}

/** 20, 22, 24, 25: power lost at a random operation, again and again, at recoveries too. */
export const crashLaw: Law = (seed, open) => {
  const world = new LogWorld(seed, open);
  assert.equal(world.open(), "done");
  for (let incarnation = 0; incarnation < 5; incarnation++) {
    faultAt(world, 1 + world.random.below(80), { kind: "powerLoss" });
    run(world, 40);
    restart(world, world.random.below(3) === 0 ? "kill" : "crash");
  }
};

/** The same with power lost at each operation in turn of one short run: `seed` chooses the run and the operation. */
export const everyPointLaw: Law = (seed, open) => {
  const world = new LogWorld(1000 + Math.floor(seed / 120), open);
  faultAt(world, 1 + (seed % 120), { kind: "powerLoss" });
  if (world.open() === "done") run(world, 25);
  restart(world, "crash");
  world.check();
  run(world, 5);
  restart(world, "crash");
};

/** 23: a write, sync or other operation fails; from then on nothing is acknowledged, and what was stays. */
export const failureLaw: Law = (seed, open) => {
  const world = new LogWorld(seed, open);
  assert.equal(world.open(), "done");
  const wanted = world.random.below(2) === 0 ? "datasync" : "write";
  let left = 1 + world.random.below(30);
  world.disk.faults = (operation) => (operation.kind === wanted && --left === 0 ? { kind: "error", code: "FS_IO" } : undefined);
  const result = run(world, 60);
  if (result === "failed") {
    world.disk.faults = undefined;
    const { underWay } = world;
    for (let i = 0; i < 3; i++) assert.equal(world.append([world.vote()]), "failed");
    assert.throws(
      () => world.opened.read({ lo: 1, hi: 2, maxBytes: 1 }),
      (error) => isPumiceError(error, "LOG_FAILED"),
    );
    world.underWay = underWay;
  }
  // The machine goes on, with its memory of what never reached the disk; what the next process reports must stay all the same.
  restart(world, world.random.below(2) === 0 ? "kill" : "crash");
  restart(world, "crash");
};

/** A full disk: entries are refused, votes are recorded, nothing acknowledged is lost, and space makes it go on. */
export const fullDiskLaw: Law = (seed, open) => {
  const world = new LogWorld(seed, open);
  // Room for a head, four votes and a compaction in the reserve.
  world.settings = { folder: FOLDER, segmentBytes: 4096, sliceBytes: 1024 };
  assert.equal(world.open(), "done");
  for (let round = 0; round < 3; round++) {
    const used = usedBytes(world);
    world.disk.capacityBytes = used + world.random.below(12) * 512;
    for (let i = 0; i < 60; i++) {
      const result = world.append(world.group());
      if (result === "full") break;
      assert.equal(result, "done");
    }
    world.disk.capacityBytes = Math.min(world.disk.capacityBytes, usedBytes(world));
    for (let vote = 0; vote < 4; vote++) assert.equal(world.append([world.vote()]), "done", "a full disk records a vote");
    if (world.random.below(2) === 0) restart(world, world.random.below(2) === 0 ? "crash" : "kill");
    if (world.random.below(2) === 0) assert.equal(world.compact(), "done", "a full disk can be compacted");
    world.disk.capacityBytes = Infinity;
    for (let i = 0; i < 5; i++) assert.equal(world.append(world.group()), "done", "space makes it go on");
  }
  restart(world, "crash");
};

const noSpace: DiskFault = { kind: "error", code: "FS_NO_SPACE" };

/** No space at one operation, whichever: refused or failed, never wrong. */
export const noSpaceAnywhereLaw: Law = (seed, open) => {
  const world = new LogWorld(seed, open);
  assert.equal(world.open(), "done");
  let left = 1 + world.random.below(60);
  const changes = new Set(["write", "create", "rename", "remove", "datasync", "sync", "truncate"]);
  world.disk.faults = (operation) => (changes.has(operation.kind) && --left === 0 ? noSpace : undefined);
  for (let i = 0; i < 40; i++) {
    const result = world.step();
    if (result === "failed" || (result === "full" && world.random.below(2) === 0)) break;
  }
  restart(world, world.random.below(2) === 0 ? "kill" : "crash");
  run(world, 5);
  // A full disk keeps no node from starting.
  if (world.random.below(2) === 0) world.disk.crash();
  else world.disk.kill();
  left = 1 + world.random.below(8);
  world.disk.faults = (operation) => (changes.has(operation.kind) && operation.kind !== "datasync" && --left === 0 ? noSpace : undefined);
  assert.equal(world.open(), "done");
  run(world, 5);
  restart(world, "crash");
};

/** No space for the head of a new segment, on a file system that does not write in place: the segment must be gone, or it would be the last. */
export const halfSegmentLaw: Law = (seed, open) => {
  const world = new LogWorld(seed, open);
  assert.equal(world.open(), "done");
  const begun = new Set<string>();
  let left = 1 + world.random.below(4);
  const isHead = (path: string): boolean => parseName(path.slice(FOLDER.length + 1))?.kind === "segment" && !begun.has(path);
  world.disk.faults = (operation) => {
    if (operation.kind !== "write" || !isHead(operation.path)) return undefined;
    begun.add(operation.path);
    return --left === 0 ? noSpace : undefined;
  };
  begun.add(`${FOLDER}/${world.disk.files.list(FOLDER).find((name) => parseName(name)?.kind === "segment")!}`);
  for (let i = 0; i < 60; i++) {
    if (world.append(world.group()) !== "full") continue;
    assert.equal(world.append([world.vote()]), "done");
    break;
  }
  restart(world, world.random.below(2) === 0 ? "kill" : "crash");
};

/** A segment that is needed and not the last was removed: refused by name. */
export const missingLaw: Law = (seed, open) => {
  const world = new LogWorld(seed, open);
  assert.equal(world.open(), "done");
  run(world, 40);
  assert.equal(world.close(), "done");
  world.underWay = [];
  const ids = world.disk.files
    .list(FOLDER)
    .flatMap((name) => (parseName(name)?.kind === "segment" ? [{ name, id: parseName(name)!.id }] : []));
  ids.sort((left, right) => left.id - right.id);
  if (ids.length < 2) return;
  world.disk.files.remove(`${FOLDER}/${ids[world.random.below(ids.length - 1)]!.name}`);
  world.disk.kill();
  world.log = undefined;
  try {
    world.open();
  } catch (error) {
    assert.ok(isPumiceError(error, "LOG_MISSING"), String(error));
  }
};

/** 21, 22: a bit flips in a log that was closed: refused, or without any effect on term, vote and entries. */
export const rotLaw: Law = (seed, open) => {
  const world = new LogWorld(seed, open);
  assert.equal(world.open(), "done");
  assert.equal(run(world, 30), "done");
  const isClosed = world.random.below(3) > 0;
  const before = world.acked;
  let beforeLast: ModelState | undefined;
  if (isClosed) assert.equal(world.close(), "done");
  else {
    beforeLast = world.acked;
    assert.equal(world.append([{ number: 1e9, hardState: { ...world.vote().hardState!, vote: 3 }, entries: [] }]), "done");
  }
  const after = world.acked;
  world.disk.kill();
  world.disk.crash();
  rot(world, lastBatch(world));
  try {
    world.open();
  } catch (error) {
    if (isRefusal(error)) {
      met.add("rot refused");
      return;
    }
    // `open` compared with what was acknowledged; a last batch that nothing follows may be taken for a torn one.
    if (beforeLast === undefined || world.log === undefined) throw error;
    met.add("rot in the last batch dropped");
    const entries = contentsOf(world.opened, 1000);
    assert.equal(difference(world.opened, { ...beforeLast, commitOnDisk: 0 }, entries), undefined);
    return;
  }
  assert.deepEqual(world.acked.entries, isClosed ? before.entries : after.entries);
};

/** The file that holds the log's last batch, and the first sector that the batch touches. */
function lastBatch(world: LogWorld): { readonly name: string; readonly sector: number } {
  const found = { name: "", sector: 0, id: 0 };
  for (const name of world.disk.files.list(FOLDER)) {
    const parsed = parseName(name);
    if (parsed?.kind !== "segment" || parsed.id < found.id) continue;
    const file = world.disk.files.open(`${FOLDER}/${name}`, "read");
    const scan = new SegmentScan({ file, segmentSeed: segmentSeed(parsed.id, crc32), crc32, end: file.size() }, name);
    scan.run(Infinity);
    file.close();
    if (scan.state !== undefined) Object.assign(found, { name, id: parsed.id, sector: Math.floor(scan.state.batchStart / 512) });
  }
  return found;
}

/**
 * Rot, in one of its forms, somewhere in the log's files. A whole sector rots only where the last batch has no part in it: where it has, small
 * batches before it lie in the same sector, and nothing tells that they were there.
 */
function rot(world: LogWorld, last: { readonly name: string; readonly sector: number }): void {
  const names = world.disk.files.list(FOLDER);
  const name = names[world.random.below(names.length)]!;
  const file = world.disk.files.open(`${FOLDER}/${name}`, "write");
  const size = file.size();
  const sector = Math.floor(world.random.below(size) / 512);
  const form = name === last.name && sector >= last.sector ? 3 : world.random.below(4);
  if (form === 0) {
    file.write(new Uint8Array(512), sector * 512);
  } else if (form === 1) {
    // A misdirected write: a sector of one file lies in another.
    const other = world.disk.files.open(`${FOLDER}/${names[world.random.below(names.length)]!}`, "read");
    const bytes = new Uint8Array(512);
    other.read(bytes, Math.floor(world.random.below(other.size()) / 512) * 512);
    file.write(bytes, sector * 512);
    other.close();
  } else {
    world.disk.flip(`${FOLDER}/${name}`, world.random.below(size * 8));
  }
  file.sync();
  file.close();
}

function isRefusal(error: unknown): boolean {
  if (!isPumiceError(error) || error.kind === "unavailable") return false;
  assert.ok(["LOG_CORRUPT", "LOG_MISSING", "LOG_VERSION"].includes(error.code), error.code);
  if (error.code === "LOG_CORRUPT") assert.ok(typeof error.details["segment"] === "string" && typeof error.details["offset"] === "number");
  return true;
}

/** Reads may be short. */
export const shortReadLaw: Law = (seed, open) => {
  const world = new LogWorld(seed, open);
  assert.equal(world.open(), "done");
  run(world, 30);
  world.disk.crash();
  world.log = undefined;
  world.disk.faults = (operation) => (operation.kind === "read" && operation.number % 2 === 0 ? { kind: "short" } : undefined);
  assert.equal(world.open(), "done");
  assert.equal(world.readSome(), "done");
};

/** A late commit index never replaces a newer one on disk, and a vote alone carries the newest. */
export const monotonicCommitLaw: Law = (seed, open) => {
  const world = new LogWorld(seed, open);
  assert.equal(world.open(), "done");
  let highest = 0;
  for (let i = 0; i < 20; i++) {
    if (world.step() !== "done") break;
    highest = Math.max(highest, world.acked.hardState.commit);
    assert.equal(world.opened.state.hardState.commit, highest);
  }
  assert.equal(world.close(), "done");
  world.underWay = [];
  world.disk.crash();
  world.acked = { ...world.acked, commitOnDisk: world.acked.hardState.commit };
  world.log = undefined;
  assert.equal(world.open(), "done");
};

/** Segments that hold nothing that is needed go, and the folder does not grow without end. */
export const boundLaw: Law = (seed, open) => {
  const world = new LogWorld(seed, open);
  assert.equal(world.open(), "done");
  for (let i = 0; i < 150; i++) {
    assert.equal(world.append(world.group()), "done");
    const { hardState, entries } = world.acked;
    const last = entries.at(-1);
    if (last === undefined) continue;
    const commit = { number: 1e9 + i, hardState: { ...hardState, commit: last.index }, entries: [] };
    assert.equal(world.append([commit]), "done");
    world.opened.compact({ index: last.index, term: last.term });
    world.acked = { ...modelOf(world.opened, []), commitOnDisk: last.index };
    // The tail, the reserve, the next one, and what the last batch may have begun.
    assert.ok(world.disk.files.list(FOLDER).length <= 4, world.disk.files.list(FOLDER).join());
  }
  restart(world, "crash");
  assert.notEqual(world.acked, EMPTY_MODEL);
};

function usedBytes(world: LogWorld): number {
  const capacity = world.disk.capacityBytes;
  world.disk.capacityBytes = 2 ** 40;
  const used = 2 ** 40 - world.disk.freeBytes();
  world.disk.capacityBytes = capacity;
  return used;
}

/** Every law, with how many seeds the gate gives it. */
export const LAWS = {
  crash: {
    name: "power lost at random operations, recoveries included, takes nothing acknowledged and adds nothing",
    law: crashLaw,
    seeds: 1000,
  },
  everyPoint: { name: "power lost at every operation of a run", law: everyPointLaw, seeds: 2400 },
  failure: { name: "a failed write or sync ends all acknowledgement, and loses nothing acknowledged", law: failureLaw, seeds: 1000 },
  fullDisk: { name: "a full disk refuses entries, records votes, and goes on when there is space", law: fullDiskLaw, seeds: 400 },
  noSpace: { name: "no space at any one operation is refused or fatal, never wrong", law: noSpaceAnywhereLaw, seeds: 800 },
  halfSegment: { name: "no space for a segment's head leaves no segment behind", law: halfSegmentLaw, seeds: 300 },
  missing: { name: "a segment that is missing is missed", law: missingLaw, seeds: 300 },
  rot: { name: "rot is refused or without effect", law: rotLaw, seeds: 2000 },
  shortRead: { name: "short reads change nothing", law: shortReadLaw, seeds: 100 },
  commit: { name: "the commit index never goes back, and a clean close keeps the newest", law: monotonicCommitLaw, seeds: 200 },
  bound: { name: "a compacted log keeps few files", law: boundLaw, seeds: 30 },
} as const satisfies Record<string, { readonly name: string; readonly law: Law; readonly seeds: number }>;

/** The first seed of [from, to) that breaks the law, with its error; undefined if none does. */
export function firstBroken(
  law: Law,
  open: OpenLog,
  range: { readonly from: number; readonly to: number },
): { readonly seed: number; readonly error: unknown } | undefined {
  for (let seed = range.from; seed < range.to; seed++) {
    try {
      law(seed, open);
    } catch (error) {
      return { seed, error };
    }
  }
  return undefined;
}
