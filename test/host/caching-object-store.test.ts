import assert from "node:assert/strict";
import * as fs from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { after, before, describe, test } from "node:test";
import { equalBytes, isPumiceError, MemoryObjectStore, utf8, type ObjectStore } from "../../src/base/mod.ts";
import { CachingObjectStore, type CachingObjectStoreOptions } from "../../src/host/object-cache/caching-object-store.ts";
import { DiskCache } from "../../src/host/object-cache/disk-cache.ts";
import { encodePartHeader } from "../../src/host/object-cache/part-file.ts";
import { interceptStore, type StoreCall } from "../../src/sim/mod.ts";
import { objectStoreConformance, pattern, text } from "./object-store-conformance.ts";
import { fileError, hookFiles } from "./support/fs-hook.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);

for (const isPutCached of [false, true]) {
  objectStoreConformance(
    `a disk cache before memory, ${isPutCached ? "puts cached" : "puts not cached"}, everything cacheable`,
    async () => {
      const folder = await mkdtemp(join(tmpdir(), "pumice-cache-"));
      const cache = await DiskCache.open({ folder, bytesMax: 3_000_000 });
      const store = new MemoryObjectStore({ clock: Date });
      const caching = new CachingObjectStore({ store, cache, storeName: "m", partBytes: 70_000, isCacheable: () => true, isPutCached });
      return {
        store: caching,
        close: async () => {
          await caching.close();
          await rm(folder, { recursive: true, force: true });
        },
      };
    },
  );
}

describe(`disk cache of objects (seed ${SEED})`, () => {
  let top: string;
  let count = 0;
  before(async () => {
    top = await mkdtemp(join(tmpdir(), "pumice-cache-"));
  });
  after(() => rm(top, { recursive: true, force: true }));

  interface World {
    readonly folder: string;
    readonly memory: MemoryObjectStore;
    readonly cache: DiskCache;
    readonly store: CachingObjectStore;
    /** Calls that reached the store behind, since last asked. */
    asked(): string[];
  }

  async function world(
    more: Partial<CachingObjectStoreOptions> & { bytesMax?: number; folder?: string; memory?: MemoryObjectStore } = {},
  ): Promise<World> {
    const folder = more.folder ?? join(top, String(++count));
    const memory = more.memory ?? new MemoryObjectStore({ clock: Date });
    let calls: StoreCall[] = [];
    const counted: ObjectStore = interceptStore(memory, (call, run) => {
      calls.push(call);
      return run();
    });
    const cache = await DiskCache.open({ folder, bytesMax: more.bytesMax ?? 1e8 });
    const store = new CachingObjectStore({ cache, storeName: "m", partBytes: 100_000, store: counted, ...more });
    const asked = (): string[] => {
      const names = calls.map((call) => call.operation);
      calls = [];
      return names;
    };
    return { folder, memory, cache, store, asked };
  }

  const key = "db/compacted/01.sst";

  test("a range is fetched once, by whole parts; what follows in them comes from the disk", async () => {
    const { memory, store, asked, cache } = await world();
    const body = pattern(350_000);
    await memory.put(key, body);
    const read = async (start: number, end: number) => {
      assert.ok(equalBytes((await store.getRange(key, { start, end })) as Uint8Array, body.subarray(start, end)), `${start}-${end}`);
      await store.close();
    };
    await read(150_000, 150_010);
    assert.deepEqual(asked(), ["getRange"]);
    await read(100_000, 200_000);
    await read(199_999, 200_000);
    assert.deepEqual(asked(), []);
    await read(50, 349_999);
    assert.deepEqual(asked(), ["getRange", "getRange", "getRange"]);
    await read(0, 400_000);
    assert.deepEqual(asked(), []);
    assert.ok(equalBytes((await store.get(key)) as Uint8Array, body));
    assert.deepEqual(asked(), []);
    await assert.rejects(
      store.getRange(key, { start: 350_001, end: 350_002 }),
      (e) => isPumiceError(e, "STORE_RANGE") && e.message.includes("start=350001"),
    );
    assert.equal(cache.stats.entries, 4);
  });

  test("an object that ends with a full part, or has no bytes, is cached whole", async () => {
    const { memory, store, asked } = await world();
    for (const sizeBytes of [0, 100_000, 200_000]) {
      const body = pattern(sizeBytes);
      await memory.put(key, body);
      await store.delete(key);
      await memory.put(key, body);
      await store.get(key);
      await store.close();
      asked();
      assert.ok(equalBytes((await store.get(key)) as Uint8Array, body));
      assert.equal((await store.getRange(key, { start: sizeBytes, end: sizeBytes + 5 }))?.length, 0);
      assert.deepEqual(asked(), [], `${sizeBytes}`);
    }
  });

  test("what is not said to be immutable is never cached", async () => {
    const { memory, store, asked } = await world();
    for (const mutable of ["db/manifest/1.manifest", "db/wal/1.sst", "db/gc/manifest.boundary"]) {
      await memory.put(mutable, utf8("1"));
      await store.get(mutable);
      await memory.put(mutable, utf8("2"));
      assert.equal(text(await store.get(mutable)), "2");
      assert.equal(text(await store.getRange(mutable, { start: 0, end: 9 })), "2");
    }
    assert.equal(asked().length, 9);
  });

  test("readers who miss the same part at the same time fetch it once; one who aborts does not abort the others", async () => {
    const { memory, store, asked } = await world();
    await memory.put(key, pattern(1000));
    const controller = new AbortController();
    const reason = new Error("enough");
    const aborted = store.getRange(key, { start: 0, end: 10 }, { signal: controller.signal });
    const others = Array.from({ length: 5 }, (_, i) => store.getRange(key, { start: i, end: 20 }));
    controller.abort(reason);
    await assert.rejects(aborted, (e) => e === reason);
    assert.deepEqual(
      (await Promise.all(others)).map((bytes) => bytes?.length),
      [20, 19, 18, 17, 16],
    );
    assert.deepEqual(asked(), ["getRange"]);
  });

  test("a failed fetch fails its readers and is not remembered", async () => {
    const { memory, cache } = await world();
    await memory.put(key, utf8("abc"));
    let isDown = true;
    const flaky = interceptStore(memory, (_, run) => (isDown ? Promise.reject(new Error("down")) : run()));
    const store = new CachingObjectStore({ store: flaky, cache, storeName: "flaky" });
    await assert.rejects(store.getRange(key, { start: 0, end: 3 }), /down/);
    await assert.rejects(store.get(key), /down/);
    isDown = false;
    assert.equal(text(await store.getRange(key, { start: 0, end: 3 })), "abc");
  });

  test("the cache survives a restart, the most recently used entries longest", async () => {
    const one = await world({ bytesMax: 1e6 });
    for (let i = 0; i < 5; i++) {
      await one.memory.put(`compacted/${i}.sst`, pattern(50_000, i));
      await one.store.get(`compacted/${i}.sst`);
    }
    await one.store.close();
    // As if used long ago, in the opposite of the order in which the folder shows them.
    const files = fs.readdirSync(one.folder, { recursive: true, encoding: "utf8" }).filter((name) => /-\d+$/.test(name));
    assert.equal(files.length, 5);
    const identityOf = (name: string): number =>
      Number(/compacted\/(\d)\.sst/.exec(fs.readFileSync(join(one.folder, name), "latin1"))?.[1]);
    const order = files.toSorted().toReversed().map(identityOf);
    for (const name of files) fs.utimesSync(join(one.folder, name), 1, 1000 + order.indexOf(identityOf(name)));
    fs.writeFileSync(join(one.folder, files[0]!.slice(0, 2), "7.tmp"), "half-written");
    const two = await world({ folder: one.folder, memory: one.memory, bytesMax: 160_000 });
    assert.equal(two.cache.stats.entries, 3);
    assert.ok(!fs.readdirSync(one.folder, { recursive: true, encoding: "utf8" }).some((name) => name.endsWith(".tmp")));
    for (const i of order.slice(2)) assert.ok(equalBytes((await two.store.get(`compacted/${i}.sst`)) as Uint8Array, pattern(50_000, i)));
    assert.deepEqual(two.asked(), []);
    await two.store.get(`compacted/${order[1]}.sst`);
    assert.deepEqual(two.asked(), ["get"]);
  });

  test("the folder never holds more than its bound, and what was used least recently goes first", async () => {
    const bytesMax = 400_000;
    const { memory, store, cache, folder, asked } = await world({ bytesMax });
    for (let i = 0; i < 30; i++) await memory.put(`compacted/${i}.sst`, pattern(60_000, i));
    const size = (): number =>
      fs
        .readdirSync(folder, { recursive: true, withFileTypes: true })
        .reduce((sum, e) => sum + (e.isFile() ? fs.statSync(join(e.parentPath, e.name)).size : 0), 0);
    for (let i = 1; i < 30; i++) {
      await store.get("compacted/0.sst");
      await store.get(`compacted/${i}.sst`);
      await store.close();
      assert.ok(size() <= bytesMax, `${size()}`);
      assert.equal(cache.stats.bytes, size());
    }
    assert.equal(asked().length, 30, "what is used all the time is fetched once");
    await store.get("compacted/0.sst");
    await store.get("compacted/29.sst");
    assert.deepEqual(asked(), []);
    assert.ok(cache.stats.evicted >= 20);
    await store.get("compacted/1.sst");
    assert.deepEqual(asked(), ["get"]);
  });

  test("a cache entry with any byte changed, cut or swapped is a miss, never a wrong answer, and is replaced", async () => {
    const { memory, store, folder, cache } = await world();
    const body = pattern(70_000);
    await memory.put(key, body);
    await store.get(key);
    await store.close();
    const [name] = fs.readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((n) => /-\d+$/.test(n));
    const path = join(folder, name!);
    const good = fs.readFileSync(path);
    let state = SEED;
    const damages: ((file: Buffer) => Buffer)[] = [
      (file) => file.subarray(0, file.length - 1),
      (file) => file.subarray(0, 10),
      () => Buffer.alloc(0),
      (file) => Buffer.concat([file, Buffer.from([0])]),
      () => Buffer.alloc(good.length),
    ];
    for (let i = 0; i < 60; i++) {
      // The header byte by byte, then anywhere.
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const at = i < 40 ? i : state % good.length;
      damages.push((file) => {
        const copy = Buffer.from(file);
        copy[at] = (copy[at] as number) ^ (1 << (state & 7));
        return copy;
      });
    }
    for (const [i, damage] of damages.entries()) {
      // A fresh cache: an open one knows the layout already.
      fs.writeFileSync(path, damage(good));
      const reopened = await DiskCache.open({ folder, bytesMax: 1e8 });
      const again = new CachingObjectStore({ store: memory, cache: reopened, storeName: "m", partBytes: 100_000 });
      assert.ok(equalBytes((await again.get(key)) as Uint8Array, body), `damage ${i}`);
      assert.ok(equalBytes((await again.getRange(key, { start: 5, end: 69_000 })) as Uint8Array, body.subarray(5, 69_000)), `damage ${i}`);
      await again.close();
      assert.equal(reopened.stats.damaged, 1, `damage ${i}`);
      assert.deepEqual(fs.readFileSync(path), good, `damage ${i}`);
    }
    // In an open cache too.
    fs.writeFileSync(path, Buffer.alloc(good.length, 7));
    assert.ok(equalBytes((await store.get(key)) as Uint8Array, body));
    assert.equal(cache.stats.damaged, 1);
    await store.close();
    // Another part's file under this name.
    await memory.put("compacted/other.sst", pattern(70_000, 9));
    await store.get("compacted/other.sst");
    await store.close();
    const other = fs.readdirSync(folder, { recursive: true, encoding: "utf8" }).find((n) => /-\d+$/.test(n) && n !== name);
    fs.copyFileSync(join(folder, other!), path);
    const swapped = await world({ folder, memory });
    assert.ok(equalBytes((await swapped.store.get(key)) as Uint8Array, body));
  });

  test("a part file that vanished is a miss; a disk that takes or gives nothing is no cache, and no error", async () => {
    const { memory, store, folder, cache } = await world();
    await memory.put(key, utf8("abc"));
    await store.get(key);
    await store.close();
    fs.rmSync(folder, { recursive: true });
    assert.equal(text(await store.get(key)), "abc");
    await store.close();
    for (const [on, code] of [
      ["write", "ENOSPC"],
      ["open", "EMFILE"],
      ["rename", "EIO"],
      ["mkdir", "EACCES"],
      ["read", "EIO"],
    ] as const) {
      await store.delete(key);
      await memory.put(key, utf8("abc"));
      const unhook = hookFiles((call) => (call.name === on ? fileError(code, on) : undefined));
      try {
        for (let i = 0; i < 3; i++) {
          assert.equal(text(await store.getRange(key, { start: 0, end: 3 })), "abc", on);
          await store.close();
        }
      } finally {
        unhook();
      }
    }
    assert.ok(cache.stats.unwritten > 0);
    assert.ok(!fs.readdirSync(folder, { recursive: true, encoding: "utf8" }).some((name) => name.endsWith(".tmp")));
  });

  test("what is replaced or deleted here is never read as it was, even by a fetch that began before", async () => {
    const memory = new MemoryObjectStore({ clock: Date });
    const gate: { open?: () => void } = {};
    const slow = interceptStore(memory, async (call, run) => {
      const result = await run();
      if (call.operation.startsWith("get")) await new Promise<void>((resolve) => (gate.open = resolve));
      return result;
    });
    const { cache } = await world();
    const store = new CachingObjectStore({ store: slow, cache, storeName: "s", partBytes: 10 });
    const through = async (call: Promise<Uint8Array | undefined>): Promise<string | undefined> => {
      while (gate.open === undefined) await new Promise(setImmediate);
      gate.open();
      delete gate.open;
      return text(await call);
    };
    for (const read of [() => store.get(key), () => store.getRange(key, { start: 0, end: 9 })]) {
      await memory.put(key, utf8("old"));
      await store.delete("none");
      const early = read();
      while (gate.open === undefined) await new Promise(setImmediate);
      await store.put(key, utf8("new"));
      assert.equal(await through(early), "old");
      await store.close();
      assert.equal(await through(read()), "new");
      await store.close();
      assert.equal(text(await read()), "new", "from the cache");
      await store.delete(key);
      assert.equal(await through(read()), undefined);
    }
  });

  test("who asks past the cache gets what the store has, and so does everybody after", async () => {
    const { memory, store, asked } = await world();
    await memory.put(key, pattern(250_000));
    await store.getRange(key, { start: 0, end: 250_000 });
    await store.get(key);
    asked();
    // A cached object never changes; here it stands for one that was damaged on its way into the cache.
    await memory.put(key, pattern(250_000).fill(7, 5, 6));
    assert.equal((await store.getRange(key, { start: 5, end: 6 }, { isFresh: true }))?.[0], 7);
    assert.equal((await store.getRange(key, { start: 5, end: 6 }))?.[0], 7);
    assert.equal((await store.get(key))?.[5], 7);
  });

  test("caches of two programs in one folder give each its own, and open although the other removes files", async () => {
    const folder = join(top, "shared");
    const worlds = await Promise.all([world({ folder, bytesMax: 400_000 }), world({ folder, bytesMax: 400_000, storeName: "n" })]);
    await Promise.all(
      worlds.map(async ({ memory, store }, w) => {
        for (let i = 0; i < 20; i++) await memory.put(`db/compacted/${i}.sst`, pattern(90_000).fill(w, 0, 1));
        for (let round = 0; round < 3; round++) {
          for (let i = 0; i < 20; i++) assert.equal((await store.get(`db/compacted/${i}.sst`))?.[0], w);
          await store.close();
          await DiskCache.open({ folder, bytesMax: 200_000 });
        }
      }),
    );
  });

  test("a folder that cannot be made is told in the store's words", async () => {
    const file = join(top, "a-file");
    fs.writeFileSync(file, "x");
    await assert.rejects(DiskCache.open({ folder: join(file, "cache"), bytesMax: 1000 }), (e) => isPumiceError(e));
  });

  test("two stores in one cache do not see each other's objects", async () => {
    const { cache, memory } = await world();
    const other = new MemoryObjectStore({ clock: Date });
    await memory.put(key, utf8("one"));
    await other.put(key, utf8("two"));
    const a = new CachingObjectStore({ store: memory, cache, storeName: "a" });
    const b = new CachingObjectStore({ store: other, cache, storeName: "b" });
    for (let i = 0; i < 2; i++) {
      assert.equal(text(await a.get(key)), "one");
      await a.close();
      assert.equal(text(await b.get(key)), "two");
      await b.close();
    }
    assert.equal(cache.stats.hits, 2);
  });
});

test("the part file of version 1 is what docs/formats/disk-cache.md says, byte for byte", () => {
  const header = Buffer.from(encodePartHeader("m\u0000100\u0000k\u00000", Buffer.alloc(65_537, 1)));
  assert.equal(
    header.toString("hex"),
    ["504d4350", "01000000", "@crc", "09000000", "01000100", "6d00313030006b0030", "@chunk0", "@chunk1"]
      .join("")
      .replace("@crc", hexLe(crc32(header.subarray(12))))
      .replace("@chunk0", hexLe(crc32(Buffer.alloc(65_536, 1))))
      .replace("@chunk1", hexLe(crc32(Buffer.alloc(1, 1)))),
  );
});

function hexLe(value: number): string {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes.toString("hex");
}
