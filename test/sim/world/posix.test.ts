/** The simulated Unix machine below the store in a directory: what it loses, and what it must not lose. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { seededRandom } from "../../../src/base/mod.ts";
import { PosixError, PowerLoss, SimDisk, SimPosix } from "../../../src/sim/mod.ts";

const BODY = Uint8Array.from({ length: 2000 }, (_, i) => i % 251);

function machine(seed: number): SimPosix {
  const posix = new SimPosix(new SimDisk(seededRandom(seed)), () => 1_800_000_000_000);
  posix.start(undefined);
  posix.makeFolders("/d");
  const root = posix.openFile("/", "r");
  posix.sync(root);
  posix.close(root);
  return posix;
}

function write(posix: SimPosix, path: string, isSynced: boolean): void {
  const fd = posix.openFile(path, "wx");
  posix.write(fd, BODY, 0);
  if (isSynced) posix.sync(fd);
  posix.close(fd);
}

function syncFolder(posix: SimPosix): void {
  const fd = posix.openFile("/d", "r");
  posix.sync(fd);
  posix.close(fd);
}

function bodyOf(posix: SimPosix, path: string): Uint8Array | undefined {
  try {
    const fd = posix.openFile(path, "r");
    const bytes = new Uint8Array(posix.statOpen(fd).size);
    posix.read(fd, bytes, 0);
    posix.close(fd);
    return bytes;
  } catch (error) {
    if (error instanceof PosixError && error.code === "ENOENT") return undefined;
    throw error;
  }
}

test("a loss of power takes nothing whose bytes and whose folder were synced, and now and then each thing that was not", () => {
  const lost = { name: 0, bytes: 0 };
  for (let seed = 1; seed <= 60; seed++) {
    const posix = machine(seed);
    write(posix, "/d/safe", true);
    syncFolder(posix);
    write(posix, "/d/nameless", true);
    posix.bury("power");
    posix.start(undefined);
    assert.deepEqual(bodyOf(posix, "/d/safe"), BODY, `seed=${seed}`);
    if (bodyOf(posix, "/d/nameless") === undefined) lost.name++;
    write(posix, "/d/unsynced", false);
    syncFolder(posix);
    posix.bury("power");
    posix.start(undefined);
    const left = bodyOf(posix, "/d/unsynced");
    assert.ok(left !== undefined, "its name was synced");
    if (left.length !== BODY.length || left.some((byte, i) => byte !== BODY[i])) lost.bytes++;
  }
  assert.ok(lost.name > 5 && lost.name < 55 && lost.bytes > 5 && lost.bytes < 60, JSON.stringify(lost));
});

test("a process that dies takes nothing with it but its descriptors", () => {
  const posix = machine(1);
  write(posix, "/d/a", false);
  const fd = posix.openFile("/d/a", "r");
  posix.bury("process");
  posix.start(undefined);
  assert.deepEqual(bodyOf(posix, "/d/a"), BODY);
  assert.throws(() => posix.statOpen(fd), { code: "EBADF" });
});

test("a process dies before or after the call that was chosen, and calls that only ask are not counted", async () => {
  for (const when of ["before", "after"] as const) {
    const posix = machine(1);
    write(posix, "/d/a", true);
    posix.bury("process");
    posix.start({ at: 2, when, how: "process" });
    assert.equal(posix.stat("/d/a").size, BODY.length);
    posix.link("/d/a", "/d/b");
    assert.throws(() => posix.link("/d/a", "/d/c"), PowerLoss);
    await posix.crashed;
    assert.ok(posix.isDead);
    posix.bury("process");
    posix.start(undefined);
    assert.equal(bodyOf(posix, "/d/c") !== undefined, when === "after");
  }
});

test("names that are taken, absent, or links answer as the kernel does", () => {
  const posix = machine(1);
  write(posix, "/d/a", true);
  assert.throws(() => posix.link("/d/a", "/d/a"), { code: "EEXIST", syscall: "link" });
  assert.throws(() => posix.openFile("/d/a", "wx"), { code: "EEXIST" });
  assert.throws(() => posix.openFile("/none/a", "wx"), { code: "ENOENT" });
  posix.symlink("nobody", "/d/lock");
  assert.equal(posix.readlink("/d/lock"), "nobody");
  assert.throws(() => posix.stat("/d/lock"), { code: "ENOENT" }, "a link that hangs in the air");
  assert.equal(posix.statLink("/d/lock").kind, "link");
  assert.throws(() => posix.symlink("other", "/d/lock"), { code: "EEXIST" });
  posix.rename("/d/a", "/d/b");
  assert.deepEqual(
    posix.list("/d").map(({ name }) => name),
    ["b", "lock"],
  );
});
