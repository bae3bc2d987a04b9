import assert from "node:assert/strict";
import { test } from "node:test";
import { PumiceError } from "../../../src/base/mod.ts";
import { FullDisk, type FullPlace } from "../../../src/replica/disk/full-disk.ts";

function create() {
  const world = { full: new Set<FullPlace>(), retries: [] as FullPlace[], lines: [] as string[] };
  const source = (place: FullPlace) => ({
    place,
    refusal: () => (world.full.has(place) ? new PumiceError("SQL_FULL", { where: place }) : undefined),
    retry: () => void world.retries.push(place),
  });
  const disk = new FullDisk([source("log"), source("checkpoint"), source("database")], (line) => world.lines.push(line));
  return { disk, world };
}

test("with room nothing is refused, said or tried", () => {
  const { disk, world } = create();
  for (let ms = 0; ms < 5000; ms += 25) disk.tick(ms);
  assert.equal(disk.refusal(), undefined);
  assert.equal(disk.status(5000), undefined);
  assert.deepEqual(world, { full: new Set(), retries: [], lines: [] });
});

test("a full disk is said once, refuses at once, and is tried every second: the checkpoint first, because it may make room", () => {
  const { disk, world } = create();
  world.full.add("database");
  assert.equal(disk.refusal()?.code, "REPLICA_FULL");
  for (let ms = 0; ms <= 3000; ms += 25) disk.tick(ms);
  assert.deepEqual(disk.status(3000), { places: ["database"], forMs: 3000 });
  assert.equal(world.lines.length, 1);
  assert.match(
    world.lines[0] ?? "",
    /the disk is full \(database\): writes are refused until there is room, reads go on; .*where=database/,
  );
  const round = ["log", "checkpoint", "database"];
  assert.deepEqual(world.retries, [...round, ...round, ...round]);
});

test("room for a moment is not told as room: the log tries often, and looks well until it has failed again", () => {
  const { disk, world } = create();
  for (let ms = 0; ms < 4000; ms += 25) {
    if (ms % 100 === 0) world.full.add("log");
    else world.full.delete("log");
    disk.tick(ms);
  }
  assert.equal(world.lines.length, 1);
  world.full.clear();
  for (let ms = 4000; ms < 6000; ms += 25) disk.tick(ms);
  assert.equal(disk.status(6000), undefined);
  assert.deepEqual(world.lines.slice(1), ["there is room on the disk again, after 4.4 s: writes go on"]);
});
