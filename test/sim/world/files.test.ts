import assert from "node:assert/strict";
import { test } from "node:test";
import { isPumiceError, seededRandom, utf8, type File } from "../../../src/base/mod.ts";
import { PowerLoss, SECTOR_BYTES, SimDisk } from "../../../src/sim/mod.ts";

const SEEDS = 300;

/** Runs `body` on many disks, each with a durable folder `d`. */
function onDisks(body: (disk: SimDisk, seed: number) => void): void {
  for (let seed = 1; seed <= SEEDS; seed++) {
    const disk = new SimDisk(seededRandom(seed));
    disk.files.makeDirectory("d");
    disk.files.syncDirectory("");
    try {
      body(disk, seed);
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error });
    }
  }
}

/** A durable file of `sectors` sectors, all of byte `fill`. */
function durableFile(disk: SimDisk, path: string, sectors: number, fill: number): File {
  const file = disk.files.open(path, "create");
  file.write(new Uint8Array(sectors * SECTOR_BYTES).fill(fill), 0);
  file.sync();
  disk.files.syncDirectory("d");
  return file;
}

function contents(disk: SimDisk, path: string): Uint8Array {
  const file = disk.files.open(path, "read");
  const bytes = new Uint8Array(file.size());
  file.read(bytes, 0);
  file.close();
  return bytes;
}

test("what was synced, file and name, survives every crash", () => {
  onDisks((disk) => {
    const file = durableFile(disk, "d/a", 3, 1);
    file.write(Uint8Array.of(2), 700);
    file.datasync();
    for (let crash = 0; crash < 3; crash++) disk.crash();
    const bytes = contents(disk, "d/a");
    assert.equal(bytes[700], 2);
    assert.equal(bytes.filter((byte) => byte === 1).length, 3 * SECTOR_BYTES - 1);
  });
});

test("a crash leaves any subset of unsynced sectors, each whole, in any of its versions", () => {
  const seen = new Set<string>();
  onDisks((disk) => {
    const file = durableFile(disk, "d/a", 3, 1);
    file.write(new Uint8Array(3 * SECTOR_BYTES).fill(2), 0);
    file.write(new Uint8Array(3 * SECTOR_BYTES).fill(3), 0);
    disk.crash();
    const bytes = contents(disk, "d/a");
    const sectors = [0, 1, 2].map((sector) => {
      const part = bytes.subarray(sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
      assert.ok(part.every((byte) => byte === part[0]));
      return part[0];
    });
    seen.add(sectors.join(""));
  });
  for (const state of ["111", "333", "113", "311", "313"]) assert.ok(seen.has(state), state);
  assert.ok([...seen].some((state) => state.includes("2")));
});

test("an unsynced size may be lost, and what lies beyond it with it", () => {
  const sizes = new Set<number>();
  onDisks((disk) => {
    const file = durableFile(disk, "d/a", 1, 1);
    file.write(new Uint8Array(SECTOR_BYTES).fill(2), SECTOR_BYTES);
    disk.crash();
    sizes.add(contents(disk, "d/a").length);
  });
  assert.deepEqual(
    [...sizes].sort((a, b) => a - b),
    [SECTOR_BYTES, 2 * SECTOR_BYTES],
  );
});

test("names that were not synced may be lost or kept, each by itself; a rename may happen by halves", () => {
  const seen = new Set<string>();
  onDisks((disk) => {
    durableFile(disk, "d/a", 1, 1);
    disk.files.rename("d/a", "d/b");
    disk.files.open("d/c", "create").close();
    disk.crash();
    seen.add(disk.files.list("d").join());
  });
  assert.deepEqual([...seen].sort(), ["", "a", "a,b", "a,b,c", "a,c", "b", "b,c", "c"]);
});

test("a removed name may come back until its folder is synced, with its bytes", () => {
  const seen = new Set<string>();
  onDisks((disk) => {
    durableFile(disk, "d/a", 1, 7);
    durableFile(disk, "d/b", 1, 7);
    disk.files.remove("d/a");
    disk.files.syncDirectory("d");
    disk.files.remove("d/b");
    disk.crash();
    const names = disk.files.list("d").join();
    if (names === "b") assert.equal(contents(disk, "d/b")[0], 7);
    seen.add(names);
  });
  assert.deepEqual([...seen].sort(), ["", "b"]);
});

test("a killed process loses nothing that it wrote, and none of it is durable for that", () => {
  let lost = 0;
  onDisks((disk) => {
    const file = durableFile(disk, "d/a", 1, 1);
    file.write(new Uint8Array(SECTOR_BYTES).fill(2), 0);
    disk.kill();
    assert.throws(() => file.write(Uint8Array.of(1), 0), PowerLoss);
    assert.equal(contents(disk, "d/a")[0], 2);
    disk.crash();
    if (contents(disk, "d/a")[0] === 1) lost++;
  });
  assert.ok(lost > 0 && lost < SEEDS);
});

test("after a failed sync a later sync succeeds and saves nothing of what the failed one left", () => {
  let lost = 0;
  onDisks((disk) => {
    const file = durableFile(disk, "d/a", 1, 1);
    file.write(new Uint8Array(SECTOR_BYTES).fill(2), 0);
    disk.faults = (operation) => (operation.kind === "datasync" ? { kind: "error", code: "FS_IO" } : undefined);
    assert.throws(
      () => file.datasync(),
      (error) => isPumiceError(error, "FS_IO"),
    );
    disk.faults = undefined;
    file.datasync();
    assert.equal(contents(disk, "d/a")[0], 2);
    disk.crash();
    if (contents(disk, "d/a")[0] === 1) lost++;
  });
  assert.ok(lost > 0);
});

test("a full disk takes what fits, then says so; overwriting needs no space, and removing gives it back", () => {
  onDisks((disk) => {
    disk.capacityBytes = 4 * SECTOR_BYTES;
    const file = durableFile(disk, "d/a", 3, 1);
    assert.throws(
      () => file.write(new Uint8Array(2 * SECTOR_BYTES).fill(2), 3 * SECTOR_BYTES),
      (error) => isPumiceError(error, "FS_NO_SPACE"),
    );
    assert.equal(file.size(), 4 * SECTOR_BYTES);
    file.write(new Uint8Array(4 * SECTOR_BYTES).fill(3), 0);
    disk.files.remove("d/a");
    durableFile(disk, "d/b", 4, 1);
  });
});

test("power lost within a write or a sync leaves any part of it, and nothing answers until power is back", () => {
  for (const kind of ["write", "datasync"] as const) {
    const seen = new Set<number>();
    onDisks((disk) => {
      const file = durableFile(disk, "d/a", 4, 1);
      disk.faults = (operation) => (operation.kind === kind ? { kind: "powerLoss" } : undefined);
      assert.throws(() => {
        file.write(new Uint8Array(4 * SECTOR_BYTES).fill(2), 0);
        file.datasync();
      }, PowerLoss);
      assert.throws(() => disk.files.list("d"), PowerLoss);
      disk.faults = undefined;
      disk.crash();
      seen.add(contents(disk, "d/a").filter((byte) => byte === 2).length);
    });
    for (const sectors of [0, 1, 2, 3]) assert.ok(seen.has(sectors * SECTOR_BYTES), `${kind} ${sectors}`);
  }
});

test("reads may be short, but never empty where there is something", () => {
  onDisks((disk) => {
    const file = durableFile(disk, "d/a", 1, 1);
    disk.faults = (operation) => (operation.kind === "read" ? { kind: "short" } : undefined);
    const count = file.read(new Uint8Array(100), 0);
    assert.ok(count >= 1 && count < 100);
  });
});

test("a flipped bit stays flipped", () => {
  onDisks((disk) => {
    durableFile(disk, "d/a", 1, 0);
    disk.flip("d/a", 8 * 100 + 3);
    assert.equal(contents(disk, "d/a")[100], 8);
    disk.crash();
    assert.equal(contents(disk, "d/a")[100], 8);
  });
});

test("the same seed gives the same disk", () => {
  const run = (): string => {
    const disk = new SimDisk(seededRandom(99));
    disk.files.makeDirectory("d");
    const file = disk.files.open("d/a", "create");
    for (let i = 0; i < 20; i++) file.write(utf8(`record ${i}`), i * 300);
    disk.crash();
    return disk.files.exists("d/a") ? contents(disk, "d/a").join() : "none";
  };
  assert.equal(run(), run());
});
