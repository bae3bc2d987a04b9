import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { fileURLToPath } from "node:url";
import { equalBytes, isPumiceError, utf8, type ETag } from "../../src/base/mod.ts";
import { LocalObjectStore } from "../../src/host/local-store/local-object-store.ts";
import { FolderLocks } from "../../src/host/local-store/lock.ts";
import { newOwnName } from "../../src/host/local-store/owner.ts";
import { names, objectStoreConformance, text } from "./object-store-conformance.ts";
import { fileError, hookFiles, type FileCall } from "./support/fs-hook.ts";

const CHILD = fileURLToPath(new URL("support/local-store-child.ts", import.meta.url));

for (const isSynced of [true, false]) {
  objectStoreConformance(`local directory, ${isSynced ? "synced" : "not synced"}`, async () => {
    const folder = await mkdtemp(join(tmpdir(), "pumice-local-store-"));
    return {
      store: new LocalObjectStore({ root: join(folder, "root"), isSynced }),
      close: () => rm(folder, { recursive: true, force: true }),
    };
  });
}

describe("local directory", () => {
  let folder: string;
  let root: string;
  let count = 0;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "pumice-local-store-"));
  });
  after(() => rm(folder, { recursive: true, force: true }));
  /** Children start in half the time if they share what the first one compiled. */
  const childEnv = () => ({ ...process.env, NODE_COMPILE_CACHE: join(folder, "compile-cache") });
  /** A store in a directory of its own. */
  const fresh = (isSynced?: boolean): LocalObjectStore => {
    root = join(folder, `root-${++count}`);
    return new LocalObjectStore({ root, isSynced });
  };

  test("an object is the plain file of its key, and a plain file is an object", async () => {
    const store = fresh();
    await store.put("db/wal/00000000000000000001.sst", utf8("one"));
    assert.equal(fs.readFileSync(`${root}/db/wal/00000000000000000001.sst`, "utf8"), "one");
    fs.writeFileSync(`${root}/db/wal/00000000000000000002.sst`, "two");
    assert.equal(text(await store.get("db/wal/00000000000000000002.sst")), "two");
    const stats = fs.statSync(`${root}/db/wal/00000000000000000002.sst`, { bigint: true });
    const etag = [stats.ino, stats.mtimeNs / 1000n, stats.size].map((n) => n.toString(16)).join("-");
    assert.equal((await store.head("db/wal/00000000000000000002.sst"))?.etag, etag as ETag);
    assert.deepEqual(fs.readdirSync(`${root}/db/wal`).sort(), ["00000000000000000001.sst", "00000000000000000002.sst"]);
  });

  test("before a put settles, its file, its folder and every folder made for it are synced, in an order that no power loss can tear", async () => {
    const store = fresh();
    const puts: Record<string, () => Promise<unknown>> = {
      create: () => store.putIf("a/b/c/one", utf8("1"), { kind: "absent" }),
      "put of a new key": () => store.put("a/b/two", utf8("1")),
      replace: () => store.put("a/b/two", utf8("2")),
      match: async () => store.putIf("a/b/two", utf8("3"), { kind: "match", etag: (await store.head("a/b/two"))!.etag }),
    };
    for (const [name, put] of Object.entries(puts)) {
      const calls: FileCall[] = [];
      const unhook = hookFiles((call) => void calls.push(call));
      await put().finally(unhook);
      const placed = calls.findIndex((call) => (call.name === "link" || call.name === "rename") && call.to !== undefined);
      const { path: temporary, to: final } = calls[placed] as FileCall;
      const before = calls.slice(0, placed).filter((call) => call.path === temporary);
      assert.deepEqual(
        before.map((call) => call.name),
        ["open", "write", "futimes", "fsync", "fstat"],
        name,
      );
      const isSyncedAfter = (path: string, index: number) => calls.slice(index).some((call) => call.name === "fsync" && call.path === path);
      assert.ok(isSyncedAfter(dirname(final!), placed + 1), `${name}: the folder is synced after the name is given`);
      if (name !== "create") continue;
      for (let at = dirname(final!); at !== dirname(root); at = dirname(at)) {
        const made = calls.findIndex((call) => call.name === "mkdir");
        assert.ok(isSyncedAfter(dirname(at), made + 1), `${name}: the folder above ${at} is synced`);
      }
    }
    const calls: FileCall[] = [];
    const unhook = hookFiles((call) => void calls.push(call));
    await store.delete("a/b/two").finally(unhook);
    assert.deepEqual(calls.at(-1), { name: "fsync", path: `${root}/a/b`, to: undefined });
  });

  test("folders that had to be made above the root are synced too", async () => {
    fresh();
    const store = new LocalObjectStore({ root: `${root}/x/y` });
    const calls: FileCall[] = [];
    const unhook = hookFiles((call) => void calls.push(call));
    await store.put("k", utf8("1")).finally(unhook);
    const made = calls.findIndex((call) => call.name === "mkdir");
    for (const path of [`${root}/x/y`, `${root}/x`, root, dirname(root)]) {
      assert.ok(
        calls.slice(made).some((call) => call.name === "fsync" && call.path === path),
        path,
      );
    }
  });

  test("who is told that the name is taken is told so after the folder is synced, if the sync of a put before has failed", async () => {
    const store = fresh();
    await store.put("d/other", utf8("1"));
    let isFailing = true;
    const calls: FileCall[] = [];
    const unhook = hookFiles((call) => {
      if (call.path !== `${root}/d` || (call.name !== "open" && call.name !== "fsync")) return undefined;
      calls.push(call);
      return isFailing ? fileError("EMFILE", "open") : undefined;
    });
    const put = () => store.putIf("d/k", utf8("1"), { kind: "absent" });
    try {
      await assert.rejects(put(), (e) => isPumiceError(e, "STORE_UNAVAILABLE"));
      await assert.rejects(put(), (e) => isPumiceError(e, "STORE_UNAVAILABLE"));
      isFailing = false;
      calls.length = 0;
      assert.deepEqual(await put(), { ok: false });
      assert.deepEqual(
        calls.map((call) => call.name),
        ["open", "fsync"],
      );
      calls.length = 0;
      assert.deepEqual(await put(), { ok: false });
      assert.deepEqual(calls, [], "once is enough");
    } finally {
      unhook();
    }
  });

  test("links that lead nowhere but to each other are in no listing and stop none", async () => {
    const store = fresh();
    await store.put("d/k", utf8("1"));
    fs.symlinkSync("loop", `${root}/d/loop`);
    assert.deepEqual(await names(store, ""), ["d/k"]);
  });

  test("a file where the store's directory should be is named as such", async () => {
    fresh();
    fs.writeFileSync(root, "x");
    for (const path of [root, `${root}/below`]) {
      const store = new LocalObjectStore({ root: path });
      await assert.rejects(store.put("d/k", utf8("1")), (e) => isPumiceError(e, "STORE_REFUSED") && e.details["path"] === root);
    }
  });

  test("a store told not to sync syncs nothing", async () => {
    const store = fresh(false);
    const calls: FileCall[] = [];
    const unhook = hookFiles((call) => void calls.push(call));
    await store.put("a/b", utf8("1")).finally(unhook);
    assert.ok(calls.length > 0 && calls.every((call) => call.name !== "fsync"));
  });

  test("changes of one folder that come together share its syncs", async () => {
    const store = fresh();
    await store.put("d/first", utf8("1"));
    let syncCount = 0;
    const unhook = hookFiles((call) => {
      if (call.name === "fsync" && call.path === `${root}/d`) syncCount++;
      return undefined;
    });
    await Promise.all(Array.from({ length: 40 }, (_, i) => store.put(`d/${i}`, utf8("1")))).finally(unhook);
    assert.ok(syncCount >= 1 && syncCount < 40, `syncCount=${syncCount}`);
  });

  for (const [code, on, expected] of [
    ["ENOSPC", "write", "STORE_UNAVAILABLE"],
    ["EIO", "fsync", "STORE_UNAVAILABLE"],
    ["EMFILE", "open", "STORE_UNAVAILABLE"],
    ["EIO", "link", "STORE_UNAVAILABLE"],
    ["EACCES", "open", "STORE_REFUSED"],
    ["EROFS", "mkdir", "STORE_REFUSED"],
    ["ENAMETOOLONG", "open", "STORE_KEY"],
  ] as const) {
    test(`${code} on ${on} is ${expected}, leaves no file behind, and the next put succeeds`, async () => {
      const store = fresh();
      const unhook = hookFiles((call) => (call.name === on ? fileError(code, on) : undefined));
      await assert.rejects(store.put("d/k", utf8("1")), (e) => isPumiceError(e, expected) && e.message.includes("key=d/k")).finally(unhook);
      assert.deepEqual(fs.existsSync(`${root}/d`) ? fs.readdirSync(`${root}/d`) : [], []);
      await store.put("d/k", utf8("2"));
      assert.equal(text(await store.get("d/k")), "2");
    });
  }

  for (const code of ["EPERM", "ENOTSUP", "ENOSYS"]) {
    test(`a file system that answers ${code} to a hard link is named as one without, and not asked again and again`, async () => {
      const store = fresh();
      const unhook = hookFiles((call) => (call.name === "link" ? fileError(code, "link") : undefined));
      const isNamed = (e: unknown) => isPumiceError(e, "STORE_REFUSED") && e.message.includes("hard links");
      await assert.rejects(store.putIf("d/k", utf8("1"), { kind: "absent" }), isNamed).finally(unhook);
    });
  }

  test("a failed read is an error, never an absent object", async () => {
    const store = fresh();
    await store.put("d/k", utf8("1"));
    for (const on of ["open", "read", "fstat"] as const) {
      const unhook = hookFiles((call) => (call.name === on ? fileError("EIO", on) : undefined));
      await assert.rejects(store.get("d/k"), (e) => isPumiceError(e, "STORE_UNAVAILABLE")).finally(unhook);
    }
    for (const on of ["stat", "readdir"] as const) {
      const unhook = hookFiles((call) => (call.name === on ? fileError("EIO", on) : undefined));
      await assert.rejects(names(store, "d/"), (e) => isPumiceError(e, "STORE_UNAVAILABLE")).finally(unhook);
    }
  });

  test("a key below another object, or with the name of a folder, is STORE_KEY to writers and absent to readers", async () => {
    const store = fresh();
    await store.put("a/b", utf8("1"));
    for (const put of [
      () => store.put("a/b/c", utf8("2")),
      () => store.putIf("a/b/c", utf8("2"), { kind: "absent" }),
      () => store.put("a", utf8("2")),
      () => store.putIf("a", utf8("2"), { kind: "absent" }),
    ]) {
      await assert.rejects(put(), (e) => isPumiceError(e, "STORE_KEY"));
    }
    for (const key of ["a", "a/b/c"]) {
      assert.equal(await store.get(key), undefined);
      assert.equal(await store.getRange(key, { start: 0, end: 0 }), undefined);
      assert.equal(await store.getRange(key, { start: 0, end: 5 }), undefined);
      assert.equal(await store.getRange(key, { start: 0, end: 2_000_000 }), undefined);
      assert.equal(await store.head(key), undefined);
      await store.delete(key);
    }
    assert.equal(text(await store.get("a/b")), "1");
    await assert.rejects(store.put("x#12", utf8("1")), (e) => isPumiceError(e, "STORE_KEY"));
  });

  test("a listing never leaves the root and shows no temporary file, no lock and no foreign thing", async () => {
    const store = fresh();
    await store.put("d/k", utf8("1"));
    fs.writeFileSync(join(folder, "outside"), "secret");
    fs.writeFileSync(`${root}/d/k#1`, "SlateDB's temporary file");
    fs.writeFileSync(`${root}/d/${newOwnName()}`, "ours");
    fs.symlinkSync("nowhere", `${root}/d/dangling`);
    fs.symlinkSync("k", `${root}/d/link`);
    fs.symlinkSync(newOwnName(), `${root}/d/#0`);
    assert.deepEqual(await names(store, ""), ["d/k", "d/link"]);
    for (const prefix of ["../", "/", "d/../../", "d//", "./"]) assert.deepEqual(await names(store, prefix), [], prefix);
  });

  test("temporary files of dead processes are removed by the next writer in the folder; those of live ones and SlateDB's stay", async () => {
    const store = fresh();
    fs.mkdirSync(`${root}/d`, { recursive: true });
    const [mine, dead, foreign, foreignOld] = [newOwnName(), nameOfDeadProcess(), nameOfForeigner(), nameOfForeigner()];
    for (const name of [mine, dead, foreign, foreignOld, "k#1"]) fs.writeFileSync(`${root}/d/${name}`, "x");
    fs.utimesSync(`${root}/d/${foreignOld}`, 1, Date.now() / 1000 - 7200);
    await store.put("d/new", utf8("1"));
    assert.deepEqual(fs.readdirSync(`${root}/d`).sort(), [mine, foreign, "k#1", "new"].sort());
  });

  test("the lock of a dead process is broken at once, a foreign one when it is old, a live one only when it is very old", async () => {
    const store = fresh();
    await store.put("d/k", utf8("1"));
    const lock = `${root}/d/#0`;
    const set = (name: string, ageS: number) => {
      fs.rmSync(lock, { force: true });
      fs.symlinkSync(name, lock);
      fs.lutimesSync(lock, 1, Date.now() / 1000 - ageS);
    };
    /** True once the put has tried three times to take the lock; false if it ends before. */
    const isWaiting = async () => {
      const controller = new AbortController();
      const { promise: triedThrice, resolve: tell } = Promise.withResolvers<true>();
      let tries = 0;
      const unhook = hookFiles((call) => {
        if (call.name === "symlink" && call.to === lock && ++tries === 3) tell(true);
        return undefined;
      });
      const call = store.put("d/k", utf8("2"), { signal: controller.signal });
      const isStuck = await Promise.race([call.then(() => false), triedThrice]).finally(unhook);
      controller.abort(new Error("seen enough"));
      await call.catch((error: Error) => assert.equal(error.message, "seen enough"));
      return isStuck;
    };
    set(nameOfDeadProcess(), 0);
    assert.equal(await isWaiting(), false, "dead");
    set(nameOfForeigner(), 1);
    assert.equal(await isWaiting(), true, "foreign and young");
    set(nameOfForeigner(), 11);
    assert.equal(await isWaiting(), false, "foreign and old");
    set(newOwnName(), 11);
    assert.equal(await isWaiting(), true, "live and old");
    set(newOwnName(), 21);
    assert.equal(await isWaiting(), false, "live and very old");
    assert.deepEqual(fs.readdirSync(`${root}/d`), ["k"]);
  });

  test("who lost the lock while it stood still changes nothing", async () => {
    const store = fresh();
    const etag = await store.put("d/k", utf8("1"));
    const unhook = hookFiles((call) => {
      // Just before it confirms its lock, another process breaks it and takes its own.
      if (call.name === "readlink" && fs.existsSync(dirname(call.path)) && fs.readdirSync(dirname(call.path)).includes("#0")) {
        fs.rmSync(call.path);
        fs.symlinkSync(nameOfForeigner(), call.path);
      }
      return undefined;
    });
    const call = store.putIf("d/k", utf8("2"), { kind: "match", etag });
    await assert.rejects(call, (e) => isPumiceError(e, "STORE_UNAVAILABLE")).finally(unhook);
    assert.equal(text(await store.get("d/k")), "1");
    assert.ok(fs.readdirSync(`${root}/d`).includes("#0"), "the other's lock is not removed");
  });

  test("many who break the lock of one dead process enter one at a time", async () => {
    fresh();
    fs.mkdirSync(`${root}/d`, { recursive: true });
    for (let round = 0; round < 40; round++) {
      fs.symlinkSync(nameOfDeadProcess(), `${root}/d/#0`);
      let inside = 0;
      const enter = async (): Promise<void> => {
        assert.equal(++inside, 1);
        await new Promise(setImmediate);
        inside--;
      };
      // Each with a queue of its own, as if in another process.
      await Promise.all(Array.from({ length: 6 }, () => new FolderLocks().within(`${root}/d`, enter)));
      assert.deepEqual(fs.readdirSync(`${root}/d`), []);
    }
  });

  test("no two versions of a key share an etag, however fast they follow each other", async () => {
    const store = fresh(false);
    const etags = new Set<string>();
    for (let i = 0; i < 300; i++) {
      const put = await store.putIf("d/k", utf8("same"), { kind: "absent" });
      assert.ok(put.ok);
      etags.add(put.etag);
      if (i % 2 === 0) etags.add(await store.put("d/k", utf8("same")));
      await store.delete("d/k");
    }
    assert.equal(etags.size, 450);
  });

  for (const op of ["create", "replace", "match", "delete"] as const) {
    test(`killed before any change of a file in a ${op}, the object is the old or the new one, whole, and the store works on`, async () => {
      let isThrough = false;
      let newCount = 0;
      for (let at = 1; !isThrough; at++) {
        assert.ok(at < 40, "the operation ends");
        const store = fresh();
        if (op !== "create") await store.put("dir/k", new Uint8Array(50_000).fill(1));
        const job = JSON.stringify({ mode: "crash", root, op, at });
        const child = spawnSync(process.execPath, [CHILD, job], { encoding: "utf8", env: childEnv() });
        isThrough = child.status === 0;
        assert.ok(isThrough || child.signal === "SIGKILL", child.stderr);
        const body = await store.get("dir/k");
        const isNew = op === "delete" ? body === undefined : body !== undefined && equalBytes(body, new Uint8Array(100_000).fill(2));
        const isOld = op === "create" ? body === undefined : body !== undefined && equalBytes(body, new Uint8Array(50_000).fill(1));
        assert.ok(isNew !== isOld, `at=${at} size=${body?.length}`);
        if (isThrough) assert.ok(isNew);
        if (isNew) newCount++;
        assert.deepEqual(await names(store, ""), body === undefined ? [] : ["dir/k"]);
        // A store opened afterwards replaces the object and finds nothing in its way, and no litter stays.
        const next = new LocalObjectStore({ root });
        await next.put("dir/k", utf8("after"));
        await next.put("dir/k", utf8("after that"));
        assert.deepEqual(fs.readdirSync(`${root}/dir`), ["k"], `at=${at}`);
      }
      assert.ok(newCount >= 1);
    });
  }

  test("counters in several processes that are killed at any moment lose no increment, and none waits for the dead", async () => {
    const store = fresh();
    await store.put("d/counter", utf8("0"));
    const stored: number[] = [];
    const deadline = Date.now() + 20_000;
    const run = async (killCount: number): Promise<void> => {
      for (let i = 0; i < killCount; i++) {
        const child = spawn(process.execPath, [CHILD, JSON.stringify({ mode: "count", root, key: "d/counter" })], {
          stdio: ["ignore", "pipe", "inherit"],
          env: childEnv(),
        });
        let rest = "";
        const before = stored.length;
        child.stdout.on("data", (chunk: Buffer) => {
          const lines = (rest + chunk.toString()).split("\n");
          rest = lines.pop() as string;
          stored.push(...lines.map(Number));
        });
        while (stored.length < before + 15 + i * 7) {
          assert.ok(Date.now() < deadline, "the counters go on");
          await once(child.stdout, "data");
        }
        child.kill("SIGKILL");
        await once(child, "close");
      }
    };
    await Promise.all([run(4), run(4), run(4)]);
    assert.equal(new Set(stored).size, stored.length, "no number was stored twice");
    assert.ok(Number(text(await store.get("d/counter"))) >= Math.max(...stored));
  });
});

function nameOfDeadProcess(): string {
  const own = newOwnName();
  // The same realm and a process number that exists; nobody started at that time.
  return `${own.slice(0, 27)}${"1".padStart(14, "0")}${own.slice(41)}`;
}

function nameOfForeigner(): string {
  assert.ok(hostname().length > 0);
  return `#${"7".repeat(16)}${newOwnName().slice(17)}`;
}
