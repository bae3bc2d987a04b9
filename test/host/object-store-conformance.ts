/**
 * What every object store must do, as tests. Each implementation runs the whole suite: `objectStoreConformance("memory", open)`.
 * Keys of one run begin with a prefix of their own, so that a store that outlives the run (a bucket) can be used again.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import {
  AssertionError,
  compareUtf8,
  equalBytes,
  isPumiceError,
  utf8,
  type ETag,
  type ListOptions,
  type ObjectMeta,
  type ObjectStore,
} from "../../src/base/mod.ts";

/** A store to test, and how to get rid of it. */
export interface OpenedStore {
  readonly store: ObjectStore;
  readonly close?: () => Promise<void>;
}

/** What an implementation cannot do, said aloud. */
export interface ConformanceTraits {
  /** The name of a group of tests and why they are left out. */
  readonly skip?: string | undefined;
  /** Bytes of the largest object tested. Default 9 MiB and 1. */
  readonly largeBytes?: number | undefined;
  /** Objects in the listing that must be paged. Default 1203. */
  readonly listCount?: number | undefined;
}

/** Registers the suite under the name of the implementation. */
export function objectStoreConformance(name: string, open: () => Promise<OpenedStore>, traits: ConformanceTraits = {}): void {
  describe(`object store conformance: ${name}`, { skip: traits.skip ?? false }, () => {
    let opened: OpenedStore;
    let counter = 0;
    before(async () => {
      opened = await open();
    });
    after(async () => {
      await opened?.close?.();
    });
    /** A prefix that no other test of this run uses. */
    const fresh = (): string => `run-${process.pid}-${Date.now()}/${++counter}`;
    const context: Context = {
      get store() {
        return opened.store;
      },
      fresh,
      traits,
    };
    readsAndWrites(context);
    ranges(context);
    conditions(context);
    streams(context);
    races(context);
    listings(context);
    keys(context);
    aborts(context);
  });
}

interface Context {
  readonly store: ObjectStore;
  fresh(): string;
  readonly traits: ConformanceTraits;
}

function readsAndWrites(c: Context): void {
  test("an absent object is undefined to get, getRange and head, and deleting it is no error", async () => {
    const key = `${c.fresh()}/absent`;
    assert.equal(await c.store.get(key), undefined);
    assert.equal(await c.store.getRange(key, { start: 0, end: 10 }), undefined);
    assert.equal(await c.store.getRange(key, { start: 0, end: 0 }), undefined);
    assert.equal(await c.store.head(key), undefined);
    await c.store.delete(key);
  });

  test("what was put is what is got, and head tells its size, version and time", async () => {
    const key = `${c.fresh()}/a.bin`;
    const body = Uint8Array.from({ length: 256 }, (_, i) => i);
    const etag = await c.store.put(key, body);
    assert.ok(equalBytes((await c.store.get(key)) as Uint8Array, body));
    const meta = (await c.store.head(key)) as ObjectMeta;
    assert.equal(meta.key, key);
    assert.equal(meta.sizeBytes, 256);
    assert.equal(meta.etag, etag);
    // The store's own clock; a store on this machine or beside it is not ten minutes off, and 1970 would be a missing value.
    assert.ok(Math.abs(meta.lastModifiedMs - Date.now()) < 600_000, `lastModifiedMs=${meta.lastModifiedMs}`);
  });

  test("a put replaces the object and changes its version", async () => {
    const key = `${c.fresh()}/a`;
    const first = await c.store.put(key, utf8("one"));
    const second = await c.store.put(key, utf8("two!"));
    assert.notEqual(first, second);
    assert.equal(text(await c.store.get(key)), "two!");
    assert.equal((await c.store.head(key))?.etag, second);
    assert.equal((await c.store.head(key))?.sizeBytes, 4);
  });

  test("an object may be empty", async () => {
    const key = `${c.fresh()}/empty`;
    await c.store.put(key, new Uint8Array(0));
    assert.equal((await c.store.get(key))?.length, 0);
    assert.equal((await c.store.getRange(key, { start: 0, end: 0 }))?.length, 0);
    assert.equal((await c.store.getRange(key, { start: 0, end: 5 }))?.length, 0);
    assert.equal((await c.store.head(key))?.sizeBytes, 0);
    assert.deepEqual(await names(c.store, key), [key]);
  });

  test("a deleted object is gone from get, head and list, and can be created again", async () => {
    const key = `${c.fresh()}/a`;
    await c.store.put(key, utf8("x"));
    await c.store.delete(key);
    assert.equal(await c.store.get(key), undefined);
    assert.equal(await c.store.head(key), undefined);
    assert.deepEqual(await names(c.store, key), []);
    assert.equal((await c.store.putIf(key, utf8("y"), { kind: "absent" })).ok, true);
    assert.equal(text(await c.store.get(key)), "y");
  });

  test("large objects come back whole and in ranges", async () => {
    const sizeBytes = c.traits.largeBytes ?? 9 * 1024 * 1024 + 1;
    const body = pattern(sizeBytes);
    for (const how of ["put", "putIf"] as const) {
      const key = `${c.fresh()}/large`;
      if (how === "put") await c.store.put(key, body);
      else assert.equal((await c.store.putIf(key, body, { kind: "absent" })).ok, true);
      assert.equal((await c.store.head(key))?.sizeBytes, sizeBytes);
      assert.ok(equalBytes((await c.store.get(key)) as Uint8Array, body), how);
      const middle = (await c.store.getRange(key, { start: 5_000_000, end: 5_000_100 })) as Uint8Array;
      assert.ok(equalBytes(middle, body.subarray(5_000_000, 5_000_100)));
      const tail = (await c.store.getRange(key, { start: sizeBytes - 7, end: sizeBytes + 100 })) as Uint8Array;
      assert.ok(equalBytes(tail, body.subarray(sizeBytes - 7)));
    }
  });

  test("the caller's bytes and the store's are not shared", async () => {
    const key = `${c.fresh()}/own`;
    for (const body of [utf8("abc"), Buffer.from("abc"), new Uint8Array([0, 97, 98, 99, 0]).subarray(1, 4)]) {
      await c.store.put(key, body);
      body.fill(0);
      const got = (await c.store.get(key)) as Uint8Array;
      assert.equal(text(got), "abc");
      got.fill(1);
      const part = (await c.store.getRange(key, { start: 0, end: 3 })) as Uint8Array;
      part.fill(2);
      assert.equal(text(await c.store.get(key)), "abc");
    }
  });
}

function ranges(c: Context): void {
  test("a range is half-open and cut at the object's end", async () => {
    const key = `${c.fresh()}/r`;
    await c.store.put(key, utf8("0123456789"));
    const at = async (start: number, end: number) => text(await c.store.getRange(key, { start, end }));
    assert.equal(await at(0, 10), "0123456789");
    assert.equal(await at(2, 5), "234");
    assert.equal(await at(0, 1), "0");
    assert.equal(await at(9, 10), "9");
    assert.equal(await at(7, 1000), "789");
    assert.equal(await at(4, 4), "");
    assert.equal(await at(10, 10), "");
    assert.equal(await at(10, 20), "");
  });

  test("a range that begins beyond the object's end is STORE_RANGE", async () => {
    const key = `${c.fresh()}/r`;
    await c.store.put(key, utf8("0123456789"));
    for (const range of [
      { start: 11, end: 12 },
      { start: 11, end: 11 },
      { start: 1_000_000, end: 2_000_000 },
    ]) {
      await assert.rejects(c.store.getRange(key, range), (e) => isPumiceError(e, "STORE_RANGE"));
    }
  });

  test("a range that is no range is the programmer's error", async () => {
    const key = `${c.fresh()}/r`;
    await c.store.put(key, utf8("x"));
    for (const range of [
      { start: 2, end: 1 },
      { start: -1, end: 1 },
      { start: 0, end: 0.5 },
      { start: Number.NaN, end: 1 },
    ]) {
      await assert.rejects(c.store.getRange(key, range), AssertionError);
    }
  });
}

function conditions(c: Context): void {
  test("put-if-absent creates once; what loses changes nothing", async () => {
    const key = `${c.fresh()}/c`;
    const first = await c.store.putIf(key, utf8("one"), { kind: "absent" });
    assert.ok(first.ok);
    assert.equal((await c.store.head(key))?.etag, first.etag);
    assert.deepEqual(await c.store.putIf(key, utf8("two"), { kind: "absent" }), { ok: false });
    // The same bytes are no excuse: two writers' fence objects are equal, and still only one of them has won.
    assert.deepEqual(await c.store.putIf(key, utf8("one"), { kind: "absent" }), { ok: false });
    assert.equal(text(await c.store.get(key)), "one");
  });

  test("put-if-match replaces exactly the version it names", async () => {
    const key = `${c.fresh()}/m`;
    const first = await c.store.put(key, utf8("one"));
    const second = await c.store.putIf(key, utf8("two"), { kind: "match", etag: first });
    assert.ok(second.ok);
    assert.notEqual(second.etag, first);
    assert.equal((await c.store.head(key))?.etag, second.etag);
    assert.deepEqual(await c.store.putIf(key, utf8("three"), { kind: "match", etag: first }), { ok: false });
    assert.equal(text(await c.store.get(key)), "two");
    const third = await c.store.putIf(key, utf8("three"), { kind: "match", etag: second.etag });
    assert.ok(third.ok);
    assert.equal(text(await c.store.get(key)), "three");
  });

  test("put-if-match fails where there is no object", async () => {
    const key = `${c.fresh()}/m`;
    const etag = await c.store.put(key, utf8("one"));
    await c.store.delete(key);
    assert.deepEqual(await c.store.putIf(key, utf8("two"), { kind: "match", etag }), { ok: false });
    assert.equal(await c.store.get(key), undefined);
    assert.deepEqual(await c.store.putIf(key, utf8("two"), { kind: "match", etag: "no such version" as ETag }), { ok: false });
  });

  test("the version that a listing tells serves as a condition", async () => {
    const key = `${c.fresh()}/m`;
    await c.store.put(key, utf8("one"));
    const [meta] = await metas(c.store, key);
    assert.ok(meta !== undefined);
    assert.equal((await c.store.putIf(key, utf8("two"), { kind: "match", etag: meta.etag })).ok, true);
  });
}

function streams(c: Context): void {
  async function* cut(body: Uint8Array, bytes: number): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < body.length; at += bytes) yield body.slice(at, at + bytes);
  }

  test("an object created from parts is their bytes in order, whether there are none, one or many", async () => {
    const sizeBytes = c.traits.largeBytes ?? 9 * 1024 * 1024 + 1;
    for (const [length, part] of [
      [0, 1],
      [5, 5],
      [1000, 7],
      [sizeBytes, 1_000_000],
    ] as const) {
      const key = `${c.fresh()}/stream`;
      const body = pattern(length);
      const result = await c.store.createFrom(key, cut(body, part));
      assert.ok(result.ok);
      assert.ok(equalBytes((await c.store.get(key)) as Uint8Array, body), `${length} bytes`);
      assert.equal((await c.store.head(key))?.etag, result.etag);
    }
  });

  test("creating from parts what is there already changes nothing, however long it is", async () => {
    for (const length of [3, c.traits.largeBytes ?? 9 * 1024 * 1024 + 1]) {
      const key = `${c.fresh()}/stream`;
      await c.store.put(key, utf8("first"));
      assert.deepEqual(await c.store.createFrom(key, cut(pattern(length), 1_000_000)), { ok: false });
      assert.equal(text(await c.store.get(key)), "first");
    }
  });

  test("of 8 racing creates from parts one wins, and its bytes are stored", async () => {
    const key = `${c.fresh()}/race`;
    const results = await Promise.all(Array.from({ length: 8 }, (_, i) => c.store.createFrom(key, cut(utf8(`racer ${i}`), 2))));
    const winners = results.flatMap((result, i) => (result.ok ? [i] : []));
    assert.equal(winners.length, 1, `winners=${winners.join(",")}`);
    assert.equal(text(await c.store.get(key)), `racer ${winners[0]}`);
  });

  test("parts that fail leave no object, and their error is the caller's", async () => {
    const failure = new Error("no more parts");
    for (const length of [1, 9 * 1024 * 1024]) {
      const key = `${c.fresh()}/broken`;
      const parts = async function* (): AsyncGenerator<Uint8Array> {
        yield* cut(pattern(length), 1_000_000);
        throw failure;
      };
      await assert.rejects(c.store.createFrom(key, parts()), failure);
      assert.equal(await c.store.get(key), undefined);
      assert.deepEqual(await names(c.store, key), []);
    }
  });

  test("a create from parts that is aborted on its way rejects with the reason, asks for no more, and leaves no object", async () => {
    const key = `${c.fresh()}/aborted`;
    const controller = new AbortController();
    const reason = new Error("enough");
    let given = 0;
    const parts = async function* (): AsyncGenerator<Uint8Array> {
      for (;;) {
        if (++given === 20) controller.abort(reason);
        yield new Uint8Array(500_000);
      }
    };
    await assert.rejects(c.store.createFrom(key, parts(), { signal: controller.signal }), reason);
    assert.ok(given < 60, `${given} parts were asked for`);
    assert.equal(await c.store.get(key), undefined);
  });
}

function races(c: Context): void {
  test("of 20 racing creates one wins, and its bytes are stored", async () => {
    for (let round = 0; round < 3; round++) {
      const key = `${c.fresh()}/race`;
      const results = await Promise.all(Array.from({ length: 20 }, (_, i) => c.store.putIf(key, utf8(`racer ${i}`), { kind: "absent" })));
      const winners = results.flatMap((result, i) => (result.ok ? [i] : []));
      assert.equal(winners.length, 1, `winners=${winners.join(",")}`);
      assert.equal(text(await c.store.get(key)), `racer ${winners[0]}`);
    }
  });

  test("of 20 racing replacements of one version one wins, and its bytes are stored", async () => {
    for (let round = 0; round < 3; round++) {
      const key = `${c.fresh()}/race`;
      const etag = await c.store.put(key, utf8("start"));
      const results = await Promise.all(
        Array.from({ length: 20 }, (_, i) => c.store.putIf(key, utf8(`racer ${i}`), { kind: "match", etag })),
      );
      const winners = results.flatMap((result, i) => (result.ok ? [i] : []));
      assert.equal(winners.length, 1, `winners=${winners.join(",")}`);
      assert.equal(text(await c.store.get(key)), `racer ${winners[0]}`);
    }
  });

  test("eight counters that compare and swap lose no increment", async () => {
    const key = `${c.fresh()}/counter`;
    await c.store.put(key, utf8("0"));
    const increments = 3;
    // A store may fail to know an outcome, and must say so then: such an increment may or may not be in the sum.
    let unknownCount = 0;
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        for (let done = 0; done < increments;) {
          const meta = (await c.store.head(key)) as ObjectMeta;
          const value = Number(text(await c.store.get(key)));
          // The count only grows, so that no two versions have the same bytes: S3's version is a hash of them.
          const next = c.store.putIf(key, utf8(String(value + 1)), { kind: "match", etag: meta.etag });
          const result = await next.catch((error: unknown) => {
            if (!isPumiceError(error, "STORE_UNAVAILABLE")) throw error;
            unknownCount++;
            return { ok: false };
          });
          if (result.ok) done++;
        }
      }),
    );
    const sum = Number(text(await c.store.get(key)));
    assert.ok(sum >= 8 * increments && sum <= 8 * increments + unknownCount, `sum=${sum} unknownCount=${unknownCount}`);
  });

  test("a reader beside a writer sees one whole version or the other", async () => {
    const key = `${c.fresh()}/whole`;
    const bodies = [pattern(200_001, 1), pattern(100_003, 2)];
    await c.store.put(key, bodies[0]!);
    const progress = { isDone: false };
    const writer = (async () => {
      for (let i = 1; i <= 12; i++) await c.store.put(key, bodies[i % 2]!);
    })().finally(() => (progress.isDone = true));
    while (!progress.isDone) {
      const got = (await c.store.get(key)) as Uint8Array;
      assert.ok(
        bodies.some((body) => equalBytes(body, got)),
        `a mixture of ${got.length} bytes`,
      );
      await new Promise(setImmediate); // A store in memory would never let the writer have its turn.
    }
    await writer;
  });
}

function listings(c: Context): void {
  test("a listing is in order of bytes, whatever the order of the puts and the shape of the tree", async () => {
    const prefix = c.fresh();
    const shapes = ["b", "a/b/c", "a-b", "a.b", "a0", "a/b-", "a/c", "B", "é", "z/1", "z/10", "z/2", "ａ", "😀"];
    const keys = shapes.map((name) => `${prefix}/${name}`);
    for (const key of keys) await c.store.put(key, utf8(key));
    const expected = keys.toSorted(compareUtf8);
    assert.deepEqual(await names(c.store, `${prefix}/`), expected);
    for (const meta of await metas(c.store, `${prefix}/`)) assert.deepEqual(meta, await withListTime(c.store, meta));
  });

  test("a prefix is a text, not a folder", async () => {
    const prefix = c.fresh();
    for (const name of ["wal/001", "wal/002", "wal/010", "wall/1", "wa", "x"]) await c.store.put(`${prefix}/${name}`, utf8("."));
    const list = async (p: string) => (await names(c.store, `${prefix}/${p}`)).map((key) => key.slice(prefix.length + 1));
    assert.deepEqual(await list("wal/00"), ["wal/001", "wal/002"]);
    assert.deepEqual(await list("wal/"), ["wal/001", "wal/002", "wal/010"]);
    assert.deepEqual(await list("wal"), ["wal/001", "wal/002", "wal/010", "wall/1"]);
    assert.deepEqual(await list("wa"), ["wa", "wal/001", "wal/002", "wal/010", "wall/1"]);
    assert.deepEqual(await list("wal/001"), ["wal/001"]);
    assert.deepEqual(await list("none"), []);
    assert.deepEqual(await list("wal/001/"), []);
  });

  test("a listing begins after the key given, which need not exist", async () => {
    const prefix = c.fresh();
    for (const name of ["m/1", "m/2", "m/3", "n"]) await c.store.put(`${prefix}/${name}`, utf8("."));
    const after = async (startAfter: string, under = "") =>
      (await names(c.store, `${prefix}/${under}`, { startAfter: startAfter === "" ? "" : `${prefix}/${startAfter}` })).map((key) =>
        key.slice(prefix.length + 1),
      );
    assert.deepEqual(await after(""), ["m/1", "m/2", "m/3", "n"]);
    assert.deepEqual(await after("m/1"), ["m/2", "m/3", "n"]);
    assert.deepEqual(await after("m/1x"), ["m/2", "m/3", "n"]);
    assert.deepEqual(await after("m"), ["m/1", "m/2", "m/3", "n"]);
    assert.deepEqual(await after("m/3"), ["n"]);
    assert.deepEqual(await after("m/9", "m/"), []);
    assert.deepEqual(await after("a", "m/"), ["m/1", "m/2", "m/3"]);
    assert.deepEqual(await after("z"), []);
  });

  test("a listing longer than a page shows every object once", async () => {
    const prefix = c.fresh();
    const count = c.traits.listCount ?? 1203;
    const keys = Array.from({ length: count }, (_, i) => `${prefix}/${String(i * 7).padStart(8, "0")}`);
    for (let at = 0; at < count; at += 16) {
      await Promise.all(keys.slice(at, at + 16).map((key) => c.store.put(key, utf8("p"))));
    }
    assert.deepEqual(await names(c.store, `${prefix}/`), keys);
    assert.deepEqual(await names(c.store, `${prefix}/`, { startAfter: keys[count - 3]! }), keys.slice(count - 2));
  });

  test("a listing can be left early", async () => {
    const prefix = c.fresh();
    for (const name of ["1", "2", "3"]) await c.store.put(`${prefix}/${name}`, utf8("."));
    for await (const meta of c.store.list(`${prefix}/`)) {
      assert.equal(meta.key, `${prefix}/1`);
      break;
    }
  });

  test("deleting what a listing shows, while it shows it, misses nothing", async () => {
    const prefix = c.fresh();
    for (let i = 0; i < 20; i++) await c.store.put(`${prefix}/${String(i).padStart(3, "0")}`, utf8("."));
    for await (const meta of c.store.list(`${prefix}/`)) await c.store.delete(meta.key);
    assert.deepEqual(await names(c.store, `${prefix}/`), []);
  });
}

/** Keys that have broken some store or other. */
const ODD_NAMES = [
  "with space",
  "per%cent",
  "%2e%2e",
  "a%2Fb",
  "plus+and&equals=x",
  "quote'\"back\\slash",
  "hash#mark",
  "question?x=1",
  "ümläut",
  "日本語",
  "😀.sst",
  "~tilde!(star*)",
  "semi;colon:comma,at@dollar$",
  "<angle>[square]{curly}|pipe^caret`tick",
  ".hidden",
  "...",
  "trailing.",
  "trailing space ",
  "UPPER/lower",
  "long-".repeat(40),
];

function keys(c: Context): void {
  test("odd keys are kept as they are", async () => {
    const prefix = `${c.fresh()}/odd ü`;
    for (const name of ODD_NAMES) await c.store.put(`${prefix}/${name}`, utf8(name));
    for (const name of ODD_NAMES) {
      assert.equal(text(await c.store.get(`${prefix}/${name}`)), name);
      assert.equal((await c.store.head(`${prefix}/${name}`))?.key, `${prefix}/${name}`);
    }
    const expected = ODD_NAMES.map((name) => `${prefix}/${name}`).toSorted(compareUtf8);
    assert.deepEqual(await names(c.store, `${prefix}/`), expected);
    for (const [i, key] of expected.entries()) {
      assert.deepEqual(await names(c.store, `${prefix}/`, { startAfter: key }), expected.slice(i + 1), key);
    }
    for (const key of expected) await c.store.delete(key);
    assert.deepEqual(await names(c.store, `${prefix}/`), []);
  });

  test("names in NFC and in NFD are two objects", async () => {
    const prefix = c.fresh();
    await c.store.put(`${prefix}/\u00e9`, utf8("one"));
    await c.store.put(`${prefix}/e\u0301`, utf8("two"));
    assert.equal(text(await c.store.get(`${prefix}/\u00e9`)), "one");
    assert.equal(text(await c.store.get(`${prefix}/e\u0301`)), "two");
  });

  test("a key that not every store could keep is STORE_KEY in every call", async () => {
    const bad = [
      "",
      "/a",
      "a/",
      "a//b",
      ".",
      "..",
      "a/../b",
      "../store/a",
      "a\u0000b",
      "a\nb",
      "\ud800",
      "x".repeat(1025),
      "é".repeat(513),
    ];
    for (const key of bad) {
      const refused = (promise: Promise<unknown>) => assert.rejects(promise, (e) => isPumiceError(e, "STORE_KEY"), JSON.stringify(key));
      await refused(c.store.get(key));
      await refused(c.store.getRange(key, { start: 0, end: 1 }));
      await refused(c.store.head(key));
      await refused(c.store.put(key, utf8("x")));
      await refused(c.store.putIf(key, utf8("x"), { kind: "absent" }));
      await refused(c.store.delete(key));
    }
  });
}

function aborts(c: Context): void {
  test("a call with an aborted signal rejects with its reason and does nothing", async () => {
    const prefix = c.fresh();
    const key = `${prefix}/a`;
    await c.store.put(key, utf8("x"));
    const reason = new Error("enough");
    const options = { signal: AbortSignal.abort(reason) };
    const rejects = (promise: Promise<unknown>) => assert.rejects(promise, (e) => e === reason);
    await rejects(c.store.get(key, options));
    await rejects(c.store.getRange(key, { start: 0, end: 1 }, options));
    await rejects(c.store.head(key, options));
    await rejects(c.store.put(key, utf8("y"), options));
    await rejects(c.store.putIf(`${prefix}/b`, utf8("y"), { kind: "absent" }, options));
    await rejects(c.store.delete(key, options));
    await rejects(names(c.store, prefix, options));
    assert.equal(text(await c.store.get(key)), "x");
    assert.equal(await c.store.head(`${prefix}/b`), undefined);
  });

  test("a signal that aborts on the way ends the call or comes too late; the store is whole either way", async () => {
    const key = `${c.fresh()}/a`;
    const body = pattern(300_000);
    for (let i = 0; i < 10; i++) {
      const controller = new AbortController();
      const reason = new Error("stop");
      const call = c.store.put(key, body, { signal: controller.signal });
      for (let turn = 0; turn < i; turn++) await new Promise(setImmediate);
      controller.abort(reason);
      await call.catch((error: unknown) => assert.equal(error, reason));
      const got = await c.store.get(key);
      assert.ok(got === undefined || equalBytes(got, body));
    }
    await c.store.put(key, body);
    assert.ok(equalBytes((await c.store.get(key)) as Uint8Array, body));
  });
}

/** The metas that a listing shows. */
export async function metas(store: ObjectStore, prefix: string, options?: ListOptions): Promise<ObjectMeta[]> {
  const found: ObjectMeta[] = [];
  for await (const meta of store.list(prefix, options)) found.push(meta);
  return found;
}

/** The keys that a listing shows. */
export async function names(store: ObjectStore, prefix: string, options?: ListOptions): Promise<string[]> {
  return (await metas(store, prefix, options)).map((meta) => meta.key);
}

/** What head says of the object, with the time of the listing if both name the same second: S3's head knows whole seconds only. */
async function withListTime(store: ObjectStore, listed: ObjectMeta): Promise<ObjectMeta> {
  const meta = (await store.head(listed.key)) as ObjectMeta;
  const isSameSecond = Math.abs(meta.lastModifiedMs - listed.lastModifiedMs) < 1000;
  return isSameSecond ? { ...meta, lastModifiedMs: listed.lastModifiedMs } : meta;
}

/** UTF-8 text of the bytes; undefined stays so. */
export function text(bytes: Uint8Array | undefined): string | undefined {
  return bytes === undefined ? undefined : Buffer.from(bytes).toString("utf8");
}

/** Bytes that differ at every place, so that a shifted or torn copy shows. */
export function pattern(sizeBytes: number, seed = 7): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  let state = seed;
  for (let i = 0; i < sizeBytes; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    bytes[i] = state >>> 24;
  }
  return bytes;
}
