/** Golden vectors: bytes that SlateDB 0.12.1 wrote, which these writers must give again, to the byte. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { crc32, toHex, utf8 } from "../../src/base/mod.ts";
import { BloomBuilder } from "../../src/lsm/format/bloom.ts";
import { decodeCompactions, encodeCompactions } from "../../src/lsm/format/compactions.ts";
import { Sealer } from "../../src/lsm/format/compression.ts";
import { decodeManifest, emptyManifest, encodeManifest } from "../../src/lsm/format/manifest.ts";
import { MERGE, TOMBSTONE, VALUE, type Row } from "../../src/lsm/format/row.ts";
import { decodeTracker, encodeTracker, EMPTY_TRACKER } from "../../src/lsm/format/sequence-tracker.ts";
import { sipHash13 } from "../../src/lsm/format/siphash.ts";
import { readFooter, readWal } from "../../src/lsm/format/sst-reader.ts";
import { encodeFence, separator, SstWriter, type SstSettings } from "../../src/lsm/format/sst-writer.ts";
import { fromHex } from "./support/hex.ts";

const sealer = new Sealer({ crc32 });
const settings: SstSettings = {
  blockSizeBytes: 4096,
  compression: "none",
  minFilterKeys: 1000,
  filterBitsPerKey: 10,
  filterFormat: "legacy",
};

const FENCE = `0c0000000000060008000400060000000400000000000000177e6f0a080000000400040004000000ed606b2a1c00000018001c000000000004000000000000000000
  00000c001400180000001c000000000000001c00000000000000100000000000000064413efa000000000000002c0002`;
const COMPACTIONS_1 = "00010c0000000800080000000400080000000400000000000000";
const COMPACTIONS_2 = "000110000000000000000800140008000400080000001000000001000000000000000000000000000000";
const MANIFEST_1 = `000128000000240020000000000007000000000000000000000008000c001800100000000000000014002400000000000001340000002c000000240000000c00
  000000000000000000800d00000001000000000000000000000000000000000000000000000000000000`;
const WAL = `0005036170706c65726564000000000000000104000001a1fc5ae85000000001ed40ac4b0c00000000000600080004000600000004000000010000000c000000
  08000800000004000800000004000000080000000000000000000001e28086d41c0000000000000000001200280008000c0014001c0000000000070012000000
  000000012000000024000000000000003c00000000000000240000000000000000000000080000000000000000000001be37196900000000000000600002`;
const L0 = `0005036170706c65726564000000000000000104000001a1fc5ae85000060062616e616e61000000000000000205000001a1fc5ae8b7000000016d35e1c80c00
  000000000600080004000600000004000000010000000c00000008000800000004000800000004000000000000007091379d1800000000000000100028000800
  100000001800200004001000000024000000010000000000000001000000000000000b000000000000000300000000000000010000000c000000080008000400
  060008000000010001009a1217c11c0000001800340004000c0014001c00000000000000080024002c00180000003c0000002c0000003e000000000000003400
  0000000000003e0000000000000072000000000000005c000000000000000600000062616e616e610000050000006170706c6500000060bbc31a000000000000
  00ce0002`;
const MANIFEST_5 = `000128000000240054000000000007001800200028003000000008000c0038001000400000004800140024000000000000017800000070000000680000004000
  00000100000000000000010000000000000003000000000000000300000000000000b7e85afca101000002000000000000000200000000000000000000001d00
  0000010100000000000001000000000000000100000001000000006b011d6a000000000000000000000001000000100000000c00100008000c00000006000c00
  000000000200780000001c0000001800380004000c0014001c00000000000000080024002c001800000040000000300000003e00000000000000340000000000
  00003e0000000000000072000000000000005c00000000000000000000000600000062616e616e610000050000006170706c650000000800140004000c000800
  000087751ae95afca10165aaee4cdf559d4e`;

const apple: Row = { key: utf8("apple"), kind: VALUE, value: utf8("red"), seq: 1, createTs: 1795235178576, expireTs: undefined };
const banana: Row = { key: utf8("banana"), kind: TOMBSTONE, value: utf8(""), seq: 2, createTs: 1795235178679, expireTs: undefined };

function plain(hex: string): string {
  return hex.replaceAll(/\s/g, "");
}

test("the fence of the 0.12 profile is SlateDB's 114 bytes, and has no rows", () => {
  assert.equal(toHex(encodeFence(sealer)), plain(FENCE));
  assert.deepEqual(readWal(fromHex(FENCE), "wal", sealer), []);
  assert.deepEqual(readWal(new Uint8Array(0), "wal", sealer), []);
});

test("compactions files of an idle compactor are SlateDB's bytes", () => {
  assert.equal(toHex(encodeCompactions({ compactorEpoch: 0, compactions: [] }, 1)), COMPACTIONS_1);
  assert.equal(toHex(encodeCompactions({ compactorEpoch: 1, compactions: [] }, 1)), COMPACTIONS_2);
  assert.equal(decodeCompactions(fromHex(COMPACTIONS_2), "compactions").compactorEpoch, 1);
});

test("the first manifest is SlateDB's 106 bytes", () => {
  assert.equal(toHex(encodeManifest(emptyManifest(undefined))), plain(MANIFEST_1));
});

test("a manifest with an L0 decodes and encodes to SlateDB's bytes", () => {
  const manifest = decodeManifest(fromHex(MANIFEST_5), "manifest");
  assert.equal(manifest.replayAfterWalId, 3);
  assert.equal(manifest.lastL0ClockTick, 1795235178679);
  assert.equal(manifest.l0[0]?.id, "01M7Y5NT8TEP3MX7ANVX6EXAK5");
  assert.equal(manifest.l0[0]?.formatVersion, 2);
  assert.deepEqual(decodeTracker(manifest.sequenceTracker, "manifest"), [{ seq: 1, timeS: 1795235178 }]);
  assert.equal(toHex(encodeManifest(manifest)), plain(MANIFEST_5));
});

test("a WAL object is SlateDB's bytes, and reads back", () => {
  const writer = new SstWriter("wal", settings, sealer);
  writer.add(apple);
  assert.equal(toHex(writer.finish().bytes), plain(WAL));
  assert.deepEqual(readWal(fromHex(WAL), "wal", sealer), [apple]);
});

test("an L0 with a value and a tombstone is SlateDB's bytes", () => {
  const writer = new SstWriter("compacted", settings, sealer);
  writer.add(apple);
  writer.add(banana);
  const built = writer.finish();
  assert.equal(toHex(built.bytes), plain(L0));
  assert.deepEqual(readFooter(built.bytes, "sst", sealer).info, built.info);
});

test("SipHash-1-3 gives SlateDB's hashes", () => {
  const expected: Record<string, string> = {
    a: "407448d2b89b1813",
    apple: "e4305d08716d0e44",
    "key-1": "cf0b45d25cc7758e",
    "12345678": "3489982430560a87",
    "0123456789abcdef": "1d42b30f7e060c24",
  };
  for (const [text, hex] of Object.entries(expected)) {
    const { high, low } = sipHash13(utf8(text));
    assert.equal(high.toString(16).padStart(8, "0") + low.toString(16).padStart(8, "0"), hex, text);
  }
});

test("a Bloom filter is SlateDB's bits", () => {
  const bloom = new BloomBuilder(10);
  for (const key of ["a", "b", "c"]) bloom.add(utf8(key), key.length);
  assert.equal(toHex(bloom.finish()), "0006b3631d09");
});

test("a key's probes are SlateDB's: six bits of eighty", () => {
  const expected: Record<string, readonly number[]> = {
    a: [67, 69, 72, 77, 5, 17],
    apple: [4, 76, 69, 64, 62, 64],
    "key-1": [30, 32, 35, 40, 48, 60],
  };
  for (const [text, probes] of Object.entries(expected)) {
    const bloom = new BloomBuilder(10);
    const key = utf8(text);
    bloom.add(key, key.length);
    // A row of the same key again: it counts for the size, ten bits each.
    for (let i = 0; i < 7; i++) bloom.repeat();
    const filter = bloom.finish();
    assert.equal(filter.length, 2 + 10);
    const set = [...filter.subarray(2)].flatMap((byte, i) =>
      [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => (byte & (1 << bit)) !== 0).map((bit) => i * 8 + bit),
    );
    assert.deepEqual(
      set,
      [...new Set(probes)].toSorted((left, right) => left - right),
      text,
    );
  }
});

test("a checksum is CRC-32", () => {
  assert.equal(crc32(utf8("123456789"), 0), 0xcbf43926);
});

test("every golden file is read as what it was written from", () => {
  assert.deepEqual(decodeCompactions(fromHex(COMPACTIONS_1), "c"), { compactorEpoch: 0, compactions: [], fileVersion: 1 });
  assert.deepEqual(decodeManifest(fromHex(MANIFEST_1), "m"), emptyManifest(undefined));
  const { info } = readFooter(fromHex(L0), "sst", sealer);
  assert.deepEqual(readWal(fromHex(L0), "sst", sealer), [apple, banana]);
  const [l0] = decodeManifest(fromHex(MANIFEST_5), "m").l0;
  assert.deepEqual(l0?.info, info, "the manifest's copy of the L0's info is that of its footer");
  assert.deepEqual(
    [info.firstEntry, info.lastEntry, info.indexOffset, info.filterOffset, info.statsOffset],
    [utf8("apple"), utf8("banana"), 62, 62, 114],
  );
});

test("index separators are the shortest", () => {
  const of = (left: string, right: string): string => new TextDecoder().decode(separator(utf8(left), utf8(right)));
  assert.deepEqual(
    [of("abc", "abd"), of("ab", "abcdef"), of("abc", "abc"), of("a", "b"), of("abczzz", "abd")],
    ["abd", "abc", "abc", "b", "abd"],
  );
});

test("a sequence tracker is SlateDB's bits", () => {
  const points = [
    { seq: 1, timeS: 1000 },
    { seq: 100, timeS: 1060 },
    { seq: 250, timeS: 1120 },
  ];
  const hex = "0103000000 00000003 0000000000000001 c63998 00000003 00000000000003e8 9e00";
  assert.equal(toHex(encodeTracker(points)), plain(hex));
  assert.deepEqual(decodeTracker(fromHex(hex), "tracker"), points);
  assert.deepEqual(encodeTracker([]), EMPTY_TRACKER);
});

test("a merge operand has flag 8", () => {
  const writer = new SstWriter("wal", settings, sealer);
  writer.add({ ...apple, kind: MERGE });
  assert.equal(readWal(writer.finish().bytes, "wal", sealer)[0]?.kind, MERGE);
});
