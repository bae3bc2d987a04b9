/** Formats against naive models and against damage: whatever is written is read back, whatever is damaged is named. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { compareBytes, crc32, isPumiceError, toHex } from "../../src/base/mod.ts";
import { hostCodecs } from "../../src/host/mod.ts";
import { readBlock } from "../../src/lsm/format/block-reader.ts";
import { BlockWriter } from "../../src/lsm/format/block-writer.ts";
import { EntryCursor } from "../../src/lsm/format/entry-cursor.ts";
import { decodeCompactions, encodeCompactions } from "../../src/lsm/format/compactions.ts";
import { COMPRESSIONS, Sealer } from "../../src/lsm/format/compression.ts";
import {
  isUlid,
  ulidFromHalves,
  UlidSource,
  ulidTimeMs,
  ulidToHalves,
  uuidFromHalves,
  uuidToHalves,
} from "../../src/lsm/format/identifiers.ts";
import { lz4 } from "../../src/lsm/format/lz4.ts";
import { decodeManifest, emptyManifest, encodeManifest } from "../../src/lsm/format/manifest.ts";
import { MERGE, TOMBSTONE, VALUE, type Row } from "../../src/lsm/format/row.ts";
import { decodeTracker, encodeTracker, SequenceTracker } from "../../src/lsm/format/sequence-tracker.ts";
import { snappy } from "../../src/lsm/format/snappy.ts";
import { readWal } from "../../src/lsm/format/sst-reader.ts";
import { separator, SstWriter } from "../../src/lsm/format/sst-writer.ts";
import { seededRandom } from "../../src/base/mod.ts";
import { fromHex } from "./support/hex.ts";

const origin = { object: "test", offset: 0 };
const key = fc.uint8Array({ minLength: 1, maxLength: 12 }).map((bytes) => bytes.map((byte) => byte % 4));
const time = fc.option(fc.integer({ min: -1e15, max: 1e15 }), { nil: undefined });

const row: fc.Arbitrary<Row> = fc.record({
  key,
  kind: fc.constantFrom(VALUE, TOMBSTONE, MERGE),
  value: fc.uint8Array({ maxLength: 40 }),
  seq: fc.integer({ min: 1, max: 30 }),
  createTs: time,
  expireTs: time,
});

const toHash = (value: Uint8Array): string => `${value.length} ${crc32(value, 0)}`;

const sortedRows = fc.array(row, { minLength: 1, maxLength: 120 }).map((rows) => {
  const unique = new Map(
    rows.map((each) => [`${toHex(each.key)}/${each.seq}`, each.kind === TOMBSTONE ? { ...each, value: new Uint8Array(0) } : { ...each }]),
  );
  return [...unique.values()].toSorted((left, right) => compareBytes(left.key, right.key) || right.seq - left.seq);
});

test("a block gives back its rows, and a lookup what a search through them gives", () => {
  fc.assert(
    fc.property(sortedRows, key, fc.integer({ min: 0, max: 31 }), (rows, sought, maxSeq) => {
      const writer = new BlockWriter(65_536);
      for (const each of rows) assert.ok(writer.add(each, writer.sharedWithLast(each.key, each.key.length)));
      const encoded = writer.finish();
      const block = readBlock(encoded, 2, origin);
      assert.deepEqual(block.rows(), rows);
      const cursor = new EntryCursor();
      cursor.openBlock(encoded, { start: 0, end: encoded.length }, origin);
      for (const each of rows) {
        assert.ok(cursor.next());
        assert.deepEqual(cursor.row(), each);
      }
      assert.equal(cursor.next(), false);
      for (const wanted of [sought, ...rows.map((each) => each.key)]) {
        const found: Row[] = [];
        const end = block.lookup(wanted, maxSeq, found);
        const versions = rows.filter((each) => compareBytes(each.key, wanted) === 0 && each.seq <= maxSeq);
        const base = versions.findIndex((each) => each.kind !== MERGE);
        assert.deepEqual(found, base === -1 ? versions : versions.slice(0, base + 1));
        assert.equal(end === "found", base !== -1);
        if (end === "past") assert.ok(rows.some((each) => compareBytes(each.key, wanted) > 0));
      }
    }),
    { numRuns: 300 },
  );
});

test("a block of version 1 is read", () => {
  // apple=red (seq 1, created 7), apply deleted (seq 2, with an expiry that is dropped), made by the layout in block-reader.ts.
  const entries = `0000 0005 6170706c65 0000000000000001 04 0000000000000007 00000003 726564
    0004 0001 79 0000000000000002 03 0000000000000009`;
  const block = readBlock(fromHex(`${entries} 0000 0021 0002`), 1, origin);
  const [first, second] = block.rows();
  assert.deepEqual([toHex(first?.key as Uint8Array), toHex(first?.value as Uint8Array), first?.createTs], ["6170706c65", "726564", 7]);
  assert.deepEqual([toHex(second?.key as Uint8Array), second?.kind, second?.expireTs], ["6170706c79", TOMBSTONE, undefined]);
  const found: Row[] = [];
  assert.equal(block.lookup(fromHex("6170706c65"), 5, found), "found");
  assert.equal(found.length, 1);
});

test("an SST gives back its rows, whatever their sizes: a block of several MiB stays as it is when the next one is built", () => {
  const sealer = new Sealer({ crc32, hostCodecs });
  const sizes = [100, 1_048_560, 1_048_576, 3_000_000, 5, 70_000, 1_200_000, 0];
  const rows: Row[] = sizes.map((size, i) => ({
    key: Uint8Array.of(1, i),
    kind: VALUE,
    value: new Uint8Array(size).map((_, at) => (at * (i + 3)) & 255),
    seq: i + 1,
    createTs: 5,
    expireTs: undefined,
  }));
  for (const compression of COMPRESSIONS) {
    for (const kind of ["wal", "compacted"] as const) {
      const settings = { blockSizeBytes: 4096, compression, minFilterKeys: 1, filterBitsPerKey: 10, filterFormat: "legacy" } as const;
      const writer = new SstWriter(kind, settings, sealer);
      for (const each of rows) writer.add(each);
      assert.deepEqual(
        readWal(writer.finish().bytes, "sst", sealer).map((each) => toHash(each.value)),
        rows.map((each) => toHash(each.value)),
        `${compression} ${kind}`,
      );
    }
  }
});

test("a separator lies between its keys, and no shorter one does", () => {
  fc.assert(
    fc.property(key, key, (left, right) => {
      fc.pre(compareBytes(left, right) < 0);
      const middle = separator(left, right);
      assert.ok(compareBytes(left, middle) < 0 && compareBytes(middle, right) <= 0);
      assert.ok(middle.length === 1 || compareBytes(left, right.slice(0, middle.length - 1)) >= 0);
    }),
  );
});

test("every codec gives back what it was given, and damage is an error, not a wrong answer or a crash", () => {
  const sealer = new Sealer({ crc32, hostCodecs });
  const random = seededRandom(5);
  const bodies = [
    new Uint8Array(0),
    new Uint8Array(1),
    new Uint8Array(70_000).fill(7),
    Uint8Array.from({ length: 70_000 }, () => random.below(256)),
    Uint8Array.from({ length: 70_000 }, (_, i) => (i * i) % 23),
    Uint8Array.from({ length: 300 }, (_, i) => (i % 100 < 70 ? 65 + (i % 7) : random.below(256))),
  ];
  for (const compression of COMPRESSIONS) {
    for (const body of bodies) {
      const sealed = sealer.seal(body, compression);
      assert.deepEqual(new Uint8Array(sealer.unseal(sealed, compression, origin)), body, compression);
      for (let i = 0; i < 20; i++) {
        const at = random.below(sealed.length);
        const damaged = sealed.with(at, (sealed[at] as number) ^ (1 << random.below(8)));
        assert.throws(
          () => sealer.unseal(damaged, compression, origin),
          (error) => isPumiceError(error, "LSM_CORRUPT"),
        );
      }
    }
  }
});

test("what lz4 and snappy give does not depend on what they were given before", () => {
  const random = seededRandom(7);
  const bodies = Array.from({ length: 60 }, () =>
    Uint8Array.from({ length: random.below(6000) }, (_, i) => (i % 90 < 40 ? random.below(6) : i % 90)),
  );
  for (const codec of [lz4, snappy]) {
    const first = bodies.map((body) => codec.compress(body));
    for (const [i, body] of [...bodies.entries()].reverse()) {
      assert.deepEqual(codec.compress(body), first[i]);
      assert.deepEqual(codec.decompress(first[i] as Uint8Array, 6000), body);
    }
  }
});

test("lz4 and snappy never write beyond their output, whatever they are given", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      for (const codec of [lz4, snappy]) {
        try {
          assert.ok(codec.decompress(bytes, 100_000).length <= 100_000);
        } catch (error) {
          assert.ok(error instanceof Error && !(error instanceof TypeError));
        }
      }
    }),
    { numRuns: 2000 },
  );
});

test("a length that a few bytes cannot stand for is refused before memory is taken for it", () => {
  const before = process.memoryUsage().arrayBuffers;
  assert.throws(() => lz4.decompress(Uint8Array.of(0, 0, 0, 0x30, 0x10, 1), 0x4000_0000), /within its bound/);
  assert.throws(() => snappy.decompress(Uint8Array.of(0x80, 0x80, 0x80, 0x80, 0x03, 0, 1), 0x4000_0000), /within its bound/);
  assert.ok(process.memoryUsage().arrayBuffers - before < 1_000_000);
});

test("a manifest, a compactions file and a WAL object that are cut or changed anywhere are refused or read as something valid, never a crash", () => {
  const sealer = new Sealer({ crc32 });
  const settings = { blockSizeBytes: 1024, compression: "none", minFilterKeys: 1, filterBitsPerKey: 10, filterFormat: "legacy" } as const;
  const writer = new SstWriter("wal", settings, sealer);
  for (let i = 1; i < 50; i++)
    writer.add({
      key: fromHex(`aa${String(i).padStart(4, "0")}`),
      kind: VALUE,
      value: fromHex("bb"),
      seq: i,
      createTs: i,
      expireTs: undefined,
    });
  const wal = writer.finish();
  const sst = {
    id: "01M7Y5NT8TEP3MX7ANVX6EXAK5",
    viewId: "01M7Y5NT8TEP3MX7ANVX6EXAK5",
    formatVersion: 2,
    info: { ...wal.info, isWal: false },
    visibleRange: undefined,
  };
  const uuid = "00000000-0000-4000-8000-000000000001";
  const manifest = encodeManifest({
    ...emptyManifest(""),
    l0: [sst],
    runs: [
      { id: 3, ssts: [{ ...sst, visibleRange: { start: fromHex("aa"), startInclusive: true, end: undefined, endInclusive: false } }] },
    ],
    checkpoints: [{ id: uuid, manifestId: 1, expireTimeS: 0, createTimeS: 5, name: "n" }],
    externalDbs: [{ path: "p", sourceCheckpointId: uuid, finalCheckpointId: undefined, sstIds: [sst.id] }],
  });
  const compactions = encodeCompactions(
    {
      compactorEpoch: 1,
      compactions: [{ id: sst.id, spec: { l0: [sst.id], runs: [3, 2], destination: 2 }, status: "running", outputs: [sst] }],
    },
    2,
  );
  assert.equal(decodeCompactions(compactions, "c").compactions[0]?.spec.destination, 2);
  assert.deepEqual(decodeManifest(manifest, "m").runs[0]?.ssts[0]?.visibleRange?.start, fromHex("aa"));
  const random = seededRandom(9);
  for (const [file, read] of [
    [manifest, (bytes: Uint8Array) => decodeManifest(bytes, "m")],
    [compactions, (bytes: Uint8Array) => decodeCompactions(bytes, "c")],
    [wal.bytes, (bytes: Uint8Array) => readWal(bytes, "w", sealer)],
  ] as const) {
    for (let i = 0; i < 3000; i++) {
      const at = random.below(file.length);
      const broken = i % 3 === 0 ? file.slice(0, at) : file.with(at, random.below(256));
      try {
        read(broken);
      } catch (error) {
        assert.ok(isPumiceError(error, "LSM_CORRUPT") || isPumiceError(error, "LSM_UNSUPPORTED"), String(error));
      }
    }
  }
});

test("ULIDs and UUIDs survive the way to disk and back, and ULIDs never go back even if the clock does", () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), (high, low) => {
      assert.deepEqual(ulidToHalves(ulidFromHalves({ high, low })), { high, low });
      assert.deepEqual(uuidToHalves(uuidFromHalves({ high, low })), { high, low });
    }),
  );
  const source = new UlidSource(seededRandom(1));
  let last = "";
  for (const now of [5000, 5000, 4000, 6000, 1, 6000, 7000]) {
    const next = source.next(now);
    assert.ok(isUlid(next) && next > last && ulidTimeMs(next) >= now);
    last = next;
  }
});

test("a sequence tracker gives back its points and stays sparse", () => {
  const steps = fc.record({
    seq: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.integer({ min: 1, max: 1e9 })),
    timeS: fc.integer({ min: -100, max: 10_000 }),
  });
  fc.assert(
    fc.property(fc.array(steps, { maxLength: 50 }), (list) => {
      let seq = 0;
      let timeS = 1_800_000_000;
      const points = list.map((step) => ({ seq: (seq += step.seq), timeS: (timeS += step.timeS) }));
      assert.deepEqual(decodeTracker(encodeTracker(points), "t"), points);
    }),
  );
  const tracker = new SequenceTracker([]);
  for (let i = 1; i < 100_000; i++) tracker.record(i, 1_800_000_000 + i * 10);
  const points = decodeTracker(tracker.encode(), "t");
  assert.ok(points.length > 1000 && points.length <= 8192);
});
