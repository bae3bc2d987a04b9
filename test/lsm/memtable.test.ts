/** The memtable beside a plain sorted list of rows: order, versions, seeks in both directions, cursors that meet changes, marks, the arena's borders. */
import assert from "node:assert/strict";
import test from "node:test";
import * as fc from "fast-check";
import { compareBytes } from "../../src/base/mod.ts";
import { Memtable } from "../../src/lsm/db/memtable.ts";
import type { Entry } from "../../src/lsm/format/entry-cursor.ts";
import { ALL_KEYS, contains, type KeyRange } from "../../src/lsm/format/key-range.ts";
import { MERGE, TOMBSTONE, VALUE, type Row } from "../../src/lsm/format/row.ts";
import type { Order } from "../../src/lsm/store/cursors.ts";

const seed = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
console.log(`memtable.test.ts: SEED=${seed}`);

const EMPTY = new Uint8Array(0);

/** Keys that share prefixes, are prefixes of each other, differ beyond the six bytes that are compared as numbers, and are now and then very long. */
const keys = fc.oneof(
  { weight: 8, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 3 }).map((bytes) => bytes.map((byte) => byte % 3)) },
  { weight: 4, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 4 }).map((tail) => Uint8Array.of(1, 1, 1, 1, 1, 1, 1, 1, ...tail)) },
  { weight: 4, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 16 }) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.integer({ min: 2000, max: 140_000 }), fc.nat(3)).map(([length, byte]) => new Uint8Array(length).fill(byte)),
  },
);
const values = fc.oneof(
  { weight: 12, arbitrary: fc.uint8Array({ maxLength: 40 }) },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.integer({ min: 8180, max: 8200 }), fc.nat(255)).map(([length, byte]) => new Uint8Array(length).fill(byte)),
  },
);
const times = fc.option(fc.constantFrom(0, 1, -5, 1_736_287_846_810, 2 ** 52), { nil: undefined });
const writes = fc.record({
  key: keys,
  kind: fc.constantFrom(VALUE, VALUE, MERGE, TOMBSTONE),
  value: values,
  step: fc.constantFrom(0, 1, 1, 1, 2, 2 ** 33),
  createTs: times,
  expireTs: times,
  asEntry: fc.boolean(),
});
type Write = typeof writes extends fc.Arbitrary<infer T> ? T : never;

/** The same in the simplest way: all rows in a list. Of rows with the same key and sequence number only the last stays. */
class Model {
  rows: Row[] = [];
  inserted: Row[] = [];

  insert(row: Row): void {
    this.inserted.push(row);
    this.rows = this.rows.filter((each) => each.seq !== row.seq || compareBytes(each.key, row.key) !== 0);
    this.rows.push(row);
  }

  scan(range: KeyRange, order: Order): Row[] {
    const direction = order === "ascending" ? 1 : -1;
    return this.rows
      .filter((row) => contains(range, row.key))
      .toSorted((left, right) => direction * compareBytes(left.key, right.key) || right.seq - left.seq);
  }

  lookup(key: Uint8Array, maxSeq: number): { rows: Row[]; isFound: boolean } {
    const versions = this.scan({ start: key, startInclusive: true, end: key, endInclusive: true }, "ascending").filter(
      (row) => row.seq <= maxSeq,
    );
    const end = versions.findIndex((row) => row.kind !== MERGE);
    return { rows: end < 0 ? versions : versions.slice(0, end + 1), isFound: end >= 0 };
  }
}

function plain(row: Row): object {
  const { key, kind, value, seq, createTs, expireTs } = row;
  return { key: Buffer.from(key).toString("hex"), kind, value: Buffer.from(value).toString("hex"), seq, createTs, expireTs };
}

/** The bytes of a row in a block, as block-writer.ts draws them; with something else before and behind. */
function entryOf(row: Row): Entry {
  const key = new Uint8Array(row.key.length + 7).fill(9);
  key.set(row.key);
  const times = [row.expireTs, row.createTs].filter((time) => time !== undefined);
  const bytes = Buffer.alloc(5 + row.value.length + 9 + times.length * 8 + 5, 7);
  bytes.set(row.value, 5);
  let at = bytes.writeBigUInt64BE(BigInt(row.seq), 5 + row.value.length);
  const flags = row.kind | (row.expireTs === undefined ? 0 : 2) | (row.createTs === undefined ? 0 : 4);
  at = bytes.writeUInt8(flags, at);
  for (const time of times) at = bytes.writeBigInt64BE(BigInt(time), at);
  const { kind, seq } = row;
  return { key, keyLength: row.key.length, bytes, tailAt: 5, tailEnd: at, valueLength: row.value.length, flags, kind, seq };
}

class Pair {
  readonly memtable = new Memtable();
  readonly model = new Model();
  private seq = 0;

  write(write: Write): void {
    // The first write of all has a sequence number of at least 1; a step of 0 is another row of the same batch.
    this.seq += this.seq === 0 ? Math.max(1, write.step) : write.step;
    const value = write.kind === TOMBSTONE ? EMPTY : write.value;
    const row: Row = { key: write.key, kind: write.kind, value, seq: this.seq, createTs: write.createTs, expireTs: write.expireTs };
    const own = { ...row, key: row.key.slice(), value: row.value.slice() };
    if (write.asEntry) {
      const entry = entryOf(own);
      this.memtable.insertEntry(entry);
      entry.key.fill(0xee);
      entry.bytes.fill(0xee);
    } else this.memtable.insert(own);
    // The caller's bytes are the caller's again.
    own.key.fill(0xee);
    own.value.fill(0xee);
    this.model.insert(row);
  }

  check(range: KeyRange): void {
    for (const order of ["ascending", "descending"] as const) {
      const cursor = this.memtable.cursor(range, order);
      const seen: object[] = [];
      for (cursor.next(); cursor.row !== undefined; cursor.next()) seen.push(plain(cursor.row));
      assert.deepEqual(seen, this.model.scan(range, order).map(plain));
    }
  }
}

const ranges = fc.record({
  start: fc.option(keys, { nil: undefined }),
  startInclusive: fc.boolean(),
  end: fc.option(keys, { nil: undefined }),
  endInclusive: fc.boolean(),
});

test("a memtable gives what a sorted list gives: scans of every range in both directions, every version, every lookup", () => {
  const law = (list: readonly Write[], range: KeyRange, probes: readonly Uint8Array[]): void => {
    const pair = new Pair();
    for (const write of list) pair.write(write);
    const { memtable, model } = pair;
    pair.check(ALL_KEYS);
    pair.check(range);
    for (const key of [...probes, ...list.slice(0, 10).map((write) => write.key)]) {
      for (const maxSeq of [Infinity, memtable.lastSeq - 1, Math.floor(memtable.lastSeq / 2)]) {
        const found: Row[] = [];
        const isFound = memtable.lookup(key, maxSeq, found);
        assert.deepEqual(
          { rows: found.map(plain), isFound },
          { rows: model.lookup(key, maxSeq).rows.map(plain), isFound: model.lookup(key, maxSeq).isFound },
        );
        const newest = memtable.newest(key, maxSeq);
        assert.deepEqual(newest && plain(newest), found[0] && plain(found[0]));
      }
    }
    const seqs = model.inserted.map((row) => row.seq);
    assert.equal(memtable.lastSeq, Math.max(0, ...seqs));
    assert.equal(memtable.firstSeq, seqs[0] ?? 0);
    assert.equal(memtable.isEmpty, list.length === 0);
    assert.equal(
      memtable.sizeBytes,
      model.inserted.reduce((sum, row) => sum + row.key.length + row.value.length + 24, 0),
    );
    const ticks = model.inserted.flatMap((row) => row.createTs ?? []);
    assert.equal(memtable.lastTick, Math.max(-(2 ** 63), ...ticks));
  };
  fc.assert(fc.property(fc.array(writes, { maxLength: 60 }), ranges, fc.array(keys, { maxLength: 5 }), law), { seed, numRuns: 150 });
});

test("rows between two marks come back in the order of their insertion, as entries that another memtable takes", () => {
  const law = (before: readonly Write[], between: readonly Write[], after: readonly Write[]): void => {
    const pair = new Pair();
    for (const write of before) pair.write(write);
    const from = pair.memtable.mark;
    for (const write of between) pair.write(write);
    const to = pair.memtable.mark;
    for (const write of after) pair.write(write);
    const copy = new Pair();
    const seqs: number[] = [];
    pair.memtable.eachBetween(from, to, (entry) => {
      seqs.push(entry.seq);
      copy.memtable.insertEntry(entry);
    });
    const inserted = pair.model.inserted.slice(before.length, before.length + between.length);
    assert.deepEqual(
      seqs,
      inserted.map((row) => row.seq),
    );
    for (const row of inserted) copy.model.insert(row);
    copy.check(ALL_KEYS);
  };
  const some = fc.array(writes, { maxLength: 40 });
  fc.assert(fc.property(some, some, some, law), { seed, numRuns: 100 });
});

test("a cursor that meets insertions goes on in order: it repeats and leaves out nothing that was there, and keeps the versions it began with", () => {
  const law = (first: readonly Write[], later: readonly Write[], order: Order, range: KeyRange): void => {
    const pair = new Pair();
    for (const write of first) pair.write(write);
    // Rows of the last batch may be replaced by others of it, which a store never does under a cursor.
    const opened = pair.memtable.lastSeq;
    const expected = pair.model.scan(range, order).map(plain);
    const cursor = pair.memtable.cursor(range, order);
    const seen: Row[] = [];
    let i = 0;
    for (cursor.next(); cursor.row !== undefined; cursor.next()) {
      seen.push(cursor.row);
      const write = later[i++];
      if (write !== undefined) pair.write({ ...write, step: Math.max(1, write.step) });
    }
    assert.deepEqual(seen.filter((row) => row.seq <= opened).map(plain), expected);
    const direction = order === "ascending" ? 1 : -1;
    for (let j = 1; j < seen.length; j++) {
      const [left, right] = [seen[j - 1] as Row, seen[j] as Row];
      const way = direction * compareBytes(left.key, right.key);
      assert.ok(way < 0 || (way === 0 && left.seq > right.seq), "rows come in order");
    }
    for (const row of seen) assert.ok(contains(range, row.key));
  };
  const orders = fc.constantFrom<Order>("ascending", "descending");
  fc.assert(fc.property(fc.array(writes, { maxLength: 40 }), fc.array(writes, { maxLength: 40 }), orders, ranges, law), {
    seed,
    numRuns: 200,
  });
});

test("thousands of keys in any order, over many chunks of the arena and of the order, are found and scanned", () => {
  for (const direction of ["ascending", "descending", "mixed"] as const) {
    const memtable = new Memtable();
    const count = 5000;
    const numberOf = (i: number): number =>
      direction === "ascending" ? i : direction === "descending" ? count - 1 - i : (i * 2377) % count;
    const keyOf = (n: number): Uint8Array => Buffer.from(`some-prefix-${String(n).padStart(6, "0")}`);
    for (let round = 0; round < 2; round++) {
      for (let i = 0; i < count; i++) {
        const seq = round * count + i + 1;
        memtable.insert({ key: keyOf(numberOf(i)), kind: VALUE, value: Buffer.alloc(100, seq), seq, createTs: seq, expireTs: undefined });
      }
    }
    const cursor = memtable.cursor(ALL_KEYS, "ascending");
    for (let n = 0; n < count; n++) {
      for (const round of [1, 0]) {
        cursor.next();
        assert.deepEqual(cursor.row?.key, new Uint8Array(keyOf(n)));
        assert.equal(numberOf((cursor.row?.seq ?? 0) - 1 - round * count), n);
      }
      const found: Row[] = [];
      assert.ok(memtable.lookup(keyOf(n), count, found));
      assert.equal(numberOf((found[0]?.seq ?? 0) - 1), n);
    }
    cursor.next();
    assert.equal(cursor.row, undefined);
  }
});

test("an older version cannot be inserted over a newer one", () => {
  const memtable = new Memtable();
  const row = { key: Uint8Array.of(1), kind: VALUE, value: EMPTY, createTs: undefined, expireTs: undefined } as const;
  memtable.insert({ ...row, seq: 7 });
  assert.throws(() => memtable.insert({ ...row, seq: 6 }), /higher sequence number/);
});
