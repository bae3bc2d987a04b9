/**
 * Bytes belong to somebody: what a caller hands over it may use again, a Buffer is a Uint8Array like any other (though its `slice` is a view), and what a
 * program's own functions give is checked. test/lsm/metamorphic.test.ts runs every call with every kind of bytes; here are the cases by name.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isPumiceError } from "../../src/base/mod.ts";
import { Db, WriteBatch, type BlockTransformer, type MergeOperator } from "../../src/lsm/mod.ts";
import { bytes, fails, memoryWorld, openQuiet, text, until } from "./support/world.ts";

const ROWS = 2000;
const NOT_BYTES: Readonly<Record<string, () => unknown>> = {
  promise: () => Promise.resolve(bytes("x")),
  "promise that fails": () => Promise.reject(new Error("nobody hears of this")),
  undefined: () => undefined,
  null: () => null,
  string: () => "x",
  number: () => 5,
  array: () => [1, 2],
};

test("one Buffer may be the key of all writes: the rows are there, in order, in memory and in L0", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  const scratch = Buffer.alloc(64);
  const name = (i: number): string => `user:${i}`;
  for (let i = 0; i < ROWS; i++) {
    const length = scratch.write(name((i * 7919) % ROWS));
    await db.put(scratch.subarray(0, length), bytes(`v${(i * 7919) % ROWS}`), { awaitDurable: false });
  }
  for (const kind of ["wal", "memtable"] as const) {
    await db.flush(kind);
    const rows = (await db.scan().toArray()).map(({ key, value }) => [text(key), text(value)]);
    assert.deepEqual(
      rows,
      Array.from({ length: ROWS }, (_, i) => [name(i), `v${i}`]).sort(([left = ""], [right = ""]) => (left < right ? -1 : 1)),
    );
    for (let i = 0; i < ROWS; i++) assert.equal(text(await db.get(bytes(name(i)))), `v${i}`);
  }
});

test("a prefix may be a Buffer, and stays as it was", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  for (const key of ["page:1", "page:2", "q"]) await db.put(bytes(key), bytes("v"));
  const prefix = Buffer.from("page:");
  assert.equal((await db.scan({ prefix }).toArray()).length, 2);
  assert.equal(prefix.toString(), "page:");
  const [one, two] = [db.begin(), db.begin()];
  for (const each of [one, two]) assert.equal((await each.scan({ prefix: Buffer.from("job:") }).toArray()).length, 0);
  one.put(bytes("job:1"), bytes("v"));
  two.put(bytes("job:2"), bytes("v"));
  await one.commit();
  await assert.rejects(two.commit(), fails("LSM_CONFLICT"));
  assert.equal(await db.deleteRange({ prefix }), 2);
});

test("the bounds of a scan may be used again at once: the scan and the conflicts of its transaction are those of the bounds given", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components, { blockSizeBytes: 1024 });
  for (let i = 0; i < 600; i++) db.putSync(bytes(`r${String(i).padStart(3, "0")}`), bytes("v".repeat(20)));
  await db.flush("memtable");
  const lt = bytes("r500");
  let count = 0;
  for await (const row of db.scan({ gte: bytes("r000"), lt })) {
    lt.set(bytes("r100"));
    count += row.value.length > 0 ? 1 : 0;
  }
  assert.equal(count, 500);
  const [gte, end] = [bytes("r0"), bytes("r9")];
  const [one, two] = [db.begin(), db.begin()];
  for (const each of [one, two]) await each.scan({ gte, lt: end }).toArray();
  gte.set(bytes("z0"));
  end.set(bytes("z9"));
  one.put(bytes("r001"), bytes("off"));
  two.put(bytes("r002"), bytes("off"));
  await one.commit();
  await assert.rejects(two.commit(), fails("LSM_CONFLICT"));
});

test("keys of multiGet may be used again while those that are not cached are fetched", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components, { cacheBytes: 0 });
  const keys = Array.from({ length: 300 }, (_, i) => bytes(`key${String(i).padStart(3, "0")}`));
  for (const key of keys) db.putSync(key, key);
  await db.flush("memtable");
  const asked = keys.map((key) => Buffer.from(key));
  const reading = db.multiGet(asked);
  for (const key of asked) key.fill(0xff);
  assert.deepEqual((await reading).map(text), keys.map(text));
});

test("a write that waits for room writes the bytes that it was called with", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components, { unflushedBytesMax: 1000, l0SstBytes: 1_000_000 });
  const key = Buffer.from("key0");
  const written: Promise<unknown>[] = [];
  for (let i = 0; i < 8; i++) {
    key.write(`key${i}`);
    const value = Buffer.alloc(600, i + 1);
    written.push(i === 3 ? db.delete(key) : db.put(key, value), i === 4 ? db.delete(key) : Promise.resolve());
    value.fill(0xff);
  }
  key.fill(0xff);
  await Promise.all(written);
  assert.ok(db.status().backpressure > 0);
  const rows = await db.scan().toArray();
  assert.deepEqual(
    rows.map(({ key: each, value }) => `${text(each)} ${value[0]}`),
    ["key0 1", "key1 2", "key2 3", "key5 6", "key6 7", "key7 8"],
  );
});

for (const [name, broken] of Object.entries(NOT_BYTES)) {
  test(`a merge operator that gives ${name} is an error of that call, and of nothing else`, async () => {
    const world = memoryWorld();
    let isBroken = true;
    const merge = (_key: Uint8Array, existing: Uint8Array | undefined, operand: Uint8Array): Uint8Array =>
      isBroken ? (broken() as Uint8Array) : bytes((text(existing) ?? "") + (text(operand) ?? ""));
    await using other = await openQuiet(memoryWorld().components);
    await other.put(bytes("k"), bytes("precious"));
    const components = { ...world.components, mergeOperator: { merge } };
    await using db = await openQuiet(components);
    await db.put(bytes("k"), bytes("a"));
    await db.merge(bytes("k"), bytes("b"));
    await db.merge(bytes("k"), bytes("c"));
    await assert.rejects(db.get(bytes("k")), fails("LSM_MERGE_RESULT"));
    assert.throws(() => db.getSync(bytes("k")), fails("LSM_MERGE_RESULT"));
    await assert.rejects(db.scan().toArray(), fails("LSM_MERGE_RESULT"));
    const twice = new WriteBatch().merge(bytes("z"), bytes("1")).merge(bytes("z"), bytes("2"));
    await assert.rejects(db.write(twice), fails("LSM_MERGE_RESULT"));
    for (const value of [await other.get(bytes("k")), other.getSync(bytes("k")), ...(await other.multiGet([bytes("k")]))])
      assert.equal(text(value as Uint8Array), "precious");
    await db.flush("memtable");
    assert.equal(db.status().backgroundError?.code, "LSM_MERGE_RESULT", "the flush tells of it, and leaves the operands as they are");
    await assert.rejects(db.compact(), fails("LSM_MERGE_RESULT"));
    isBroken = false;
    assert.equal(text(await db.get(bytes("k"))), "abc");
    await db.compact();
    assert.equal(text(await db.get(bytes("k"))), "abc");
    await db.put(bytes("l"), bytes("1"));
    await db.flush("memtable");
    assert.equal(db.status().backgroundError, undefined);
  });
}

test("a merge operator that throws keeps no write from becoming durable", async () => {
  const world = memoryWorld();
  const operator: MergeOperator = {
    merge: () => {
      throw new RangeError("odd operand");
    },
  };
  await using db = await openQuiet({ ...world.components, mergeOperator: operator });
  for (let i = 0; i < 3; i++) await db.merge(bytes("k"), bytes(`${i}`));
  await db.put(bytes("l"), bytes("v"));
  await db.flush("memtable");
  assert.equal(db.status().l0Ssts, 1);
  assert.equal(db.status().backgroundError?.code, "WORKER_FAILED");
  assert.equal(text(await db.get(bytes("l"))), "v");
  await assert.rejects(db.get(bytes("k")), RangeError);
});

test("a merge operator may give the same memory for every key", async () => {
  const { components } = memoryWorld();
  const memory = Buffer.alloc(8);
  const add: MergeOperator = {
    merge: (_key, existing, operand) => {
      const sum = (existing === undefined ? 0 : Buffer.from(existing).readInt32BE()) + Buffer.from(operand).readInt32BE();
      memory.writeInt32BE(sum);
      return memory.subarray(0, 4);
    },
  };
  const number = (value: number): Uint8Array => Uint8Array.of(0, 0, 0, value);
  await using db = await openQuiet({ ...components, mergeOperator: add });
  const batch = new WriteBatch();
  for (const key of ["a", "b", "c"]) batch.merge(bytes(key), number(key.charCodeAt(0))).merge(bytes(key), number(1));
  await db.write(batch);
  for (const key of ["a", "b", "c"]) await db.merge(bytes(key), number(1));
  const sums = async (): Promise<unknown> => (await db.scan().toArray()).map(({ value }) => value[3]);
  assert.deepEqual(await sums(), [99, 100, 101]);
  await db.flush("memtable");
  assert.deepEqual(await sums(), [99, 100, 101]);
});

test("a compaction filter that says neither keep nor drop drops nothing", async () => {
  const { components } = memoryWorld();
  const compactionFilter = (() => Promise.resolve("drop")) as unknown as () => "drop";
  await using db = await openQuiet({ ...components, compactionFilter });
  await db.put(bytes("k"), bytes("v"));
  await assert.rejects(db.compact(), fails("LSM_INVALID"));
  assert.equal(text(await db.get(bytes("k"))), "v");
});

test("a block transformer may give the same memory for every block; one that gives no bytes writes nothing", async () => {
  const { components } = memoryWorld();
  const memory = Buffer.alloc(100_000);
  const flip = (from: Uint8Array): Uint8Array => {
    for (const [i, byte] of from.entries()) memory[i] = byte ^ 0x55;
    return memory.subarray(0, from.length);
  };
  const blockTransformer: BlockTransformer = { encode: flip, decode: flip };
  const db = await openQuiet({ ...components, blockTransformer }, { blockSizeBytes: 1024 });
  for (let i = 0; i < 300; i++) db.putSync(bytes(`k${String(i).padStart(3, "0")}`), bytes(`v${i}`));
  await db.flush("memtable");
  const expected = Array.from({ length: 300 }, (_, i) => `v${i}`);
  assert.deepEqual(
    (await db.scan({ cachesBlocks: true }).toArray()).map(({ value }) => text(value)),
    expected,
  );
  assert.deepEqual(
    (await db.scan().toArray()).map(({ value }) => text(value)),
    expected,
  );
  await db.close();
  const late = { encode: (from: Uint8Array) => Promise.resolve(flip(from)), decode: flip } as unknown as BlockTransformer;
  const broken = await Db.open("other", { ...components, blockTransformer: late }, { compactor: false, gc: false }).catch(
    (error: unknown) => error,
  );
  const failure = broken instanceof Db ? await broken.put(bytes("k"), bytes("v")).catch((error: unknown) => error) : broken;
  const codes = [failure, (failure as Error).cause].map((error) => (isPumiceError(error) ? error.code : ""));
  assert.ok(codes.includes("LSM_INVALID"), codes.join());
});

test("writes of one key in a batch that are merged have one expiry, or are refused (SlateDB #1581)", async () => {
  const { components, clock } = memoryWorld();
  const mergeOperator: MergeOperator = { merge: (_key, existing, operand) => bytes((text(existing) ?? "") + (text(operand) ?? "")) };
  await using db = await openQuiet({ ...components, mergeOperator }, { filtersExpired: true });
  const soon = { ttl: { afterMs: 150 } } as const;
  const later = { ttl: { atMs: clock.nowMs + 150 } } as const;
  const never = { ttl: "never" } as const;
  const [key, value] = [bytes("k"), bytes("v")];
  const refused = [
    new WriteBatch().put(key, value, never).merge(key, value, soon),
    new WriteBatch().put(key, value, soon).merge(key, value, never),
    new WriteBatch().merge(key, value, soon).merge(key, value, never),
    new WriteBatch().delete(key).merge(key, value, soon).merge(key, value, never),
    new WriteBatch().put(key, value, never).merge(key, value, never).merge(key, value, soon),
  ];
  for (const batch of refused) await assert.rejects(db.write(batch), fails("LSM_INVALID"));
  await db.write(new WriteBatch().put(key, value, soon).merge(key, value, soon).merge(key, value, later));
  assert.equal((await db.getRow(key))?.expireTs, clock.nowMs + 150);
  await db.write(new WriteBatch().put(key, bytes("gone"), never).delete(key).merge(key, value, soon).merge(bytes("other"), value, never));
  assert.equal((await db.getRow(key))?.expireTs, clock.nowMs + 150);
  assert.equal(text(await db.get(key)), "v");
  assert.equal((await db.getRow(bytes("other")))?.expireTs, undefined);
  clock.nowMs += 200;
  assert.equal(await db.get(key), undefined);
  const transaction = db.begin();
  transaction.put(key, value, soon);
  transaction.merge(key, value);
  await assert.rejects(transaction.commit(), fails("LSM_INVALID"));
  await until(() => db.status().openReads === 0, "the transaction is over");
});
