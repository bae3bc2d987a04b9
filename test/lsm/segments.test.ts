/**
 * Stores with segments (manifest version 2, SlateDB 0.13 and later): they are read in full, kept in full by whatever rewrites their
 * manifest, and never written to. There is no oracle for them here: the stores are made of ours, by moving SSTs into segments.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { compareBytes, EMPTY_BYTES, isPumiceError, type MemoryObjectStore } from "../../src/base/mod.ts";
import { decodeCompactions, encodeCompactions } from "../../src/lsm/format/compactions.ts";
import { flatRef, flatU64, flatU8, FlatWriter } from "../../src/lsm/format/flat-writer.ts";
import { ulidFromHalves, ulidToHalves, uuidFromHalves } from "../../src/lsm/format/identifiers.ts";
import { encodeManifest, emptyManifest, withVersion, writeHalves, type LsmTree, type Segment } from "../../src/lsm/format/manifest.ts";
import { pathsOf } from "../../src/lsm/store/paths.ts";
import {
  Admin,
  cloneStore,
  Db,
  DbReader,
  decodeManifest,
  WalReader,
  type LsmComponents,
  type Manifest,
  type SstRef,
} from "../../src/lsm/mod.ts";
import { bytes, keysOf, memoryWorld, openQuiet, text } from "./support/world.ts";

const PREFIXES = ["hour=10/", "hour=11/", "hour=12/"];
const paths = pathsOf("db");
const segmented = (error: unknown): boolean => isPumiceError(error, "LSM_SEGMENTED") && error.message.includes("extractor=hours");

async function latest(store: MemoryObjectStore): Promise<{ id: number; value: Manifest }> {
  const key = (await keysOf(store, paths.manifests)).at(-1) as string;
  return { id: Number(/(\d+)\.manifest$/.exec(key)?.[1]), value: decodeManifest((await store.get(key)) as Uint8Array, key) };
}

/** Puts the next version of the manifest. */
async function rewrite(store: MemoryObjectStore, change: (manifest: Manifest) => Manifest): Promise<void> {
  const { id, value } = await latest(store);
  await store.put(paths.manifest(id + 1), encodeManifest(change(value)));
}

function segmentOf(prefix: string, ssts: readonly SstRef[], firstRunId: number): Segment {
  // The oldest two become runs of one SST each, the others stay L0s.
  const runs = ssts.slice(-2).map((sst, i) => ({ id: firstRunId + 1 - i, ssts: [sst] }));
  return { prefix: bytes(prefix), l0LastCompacted: ssts.at(-2)?.viewId, l0: ssts.slice(0, -2), runs };
}

interface World {
  readonly store: MemoryObjectStore;
  readonly components: LsmComponents;
  readonly clock: { nowMs: number };
  /** What a reader must see. */
  readonly model: ReadonlyMap<string, string>;
}

/** A store of three segments, each of two L0s and two runs, with a tail in the WAL. */
async function segmentedStore(): Promise<World> {
  const { store, components, clock } = memoryWorld();
  const model = new Map<string, string>();
  const db = await openQuiet(components, { compat: "0.14", l0SstsMax: 1000, blockSizeBytes: 1024, minFilterKeys: 10 });
  for (let round = 0; round < 4; round++) {
    for (const prefix of PREFIXES) {
      for (let i = round; i < 60; i += round + 1) {
        const key = `${prefix}${String(i).padStart(3, "0")}`;
        if ((i + round) % 7 === 3) {
          db.deleteSync(bytes(key));
          model.delete(key);
        } else {
          db.putSync(bytes(key), bytes(`${prefix}${round}`));
          model.set(key, `${prefix}${round}`);
        }
      }
      clock.nowMs += 1000;
      await db.flush("memtable");
    }
  }
  for (const prefix of PREFIXES) await db.put(bytes(`${prefix}tail`), bytes("wal"));
  for (const prefix of PREFIXES) model.set(`${prefix}tail`, "wal");
  await db.close({ flush: "wal" });
  await rewrite(store, (manifest) => ({
    ...manifest,
    l0: [],
    segmentExtractor: "hours",
    segments: PREFIXES.map((prefix, i) =>
      segmentOf(
        prefix,
        manifest.l0.filter((sst) => text(sst.info.firstEntry)?.startsWith(prefix)),
        i * 2,
      ),
    ),
  }));
  return { store, components, clock, model };
}

const sorted = (model: ReadonlyMap<string, string>): string[] => [...model].map(([key, value]) => `${key}=${value}`).toSorted();

/** What a checkpoint that is made from outside sees: what the manifest knew of, not the WAL after it. */
const flushed = (model: ReadonlyMap<string, string>): string[] => sorted(model).filter((row) => !row.endsWith("tail=wal"));

async function seen(db: Pick<DbReader, "scan">, options: Parameters<DbReader["scan"]>[0] = {}): Promise<string[]> {
  return (await db.scan(options).toArray()).map((row) => `${text(row.key)}=${text(row.value)}`);
}

/** What of a manifest is about trees. */
const treesIn = (manifest: Manifest): unknown => ({ segments: manifest.segments, extractor: manifest.segmentExtractor, l0: manifest.l0 });

test("a reader sees root and segments as one store: gets, scans both ways, prefixes over borders, the WAL's tail", async () => {
  const { store, components, model } = await segmentedStore();
  const before = await latest(store);
  const reader = await DbReader.open("db", components);
  assert.deepEqual(await seen(reader), sorted(model));
  assert.deepEqual(await seen(reader, { order: "descending" }), sorted(model).reverse());
  const inside = sorted(model).filter((row) => row >= "hour=10/05" && row < "hour=12/01");
  assert.deepEqual(await seen(reader, { gte: bytes("hour=10/05"), lt: bytes("hour=12/01") }), inside);
  for (const prefix of [...PREFIXES, "hour=1"])
    assert.deepEqual(
      await seen(reader, { prefix: bytes(prefix) }),
      sorted(model).filter((row) => row.startsWith(prefix)),
    );
  for (const prefix of PREFIXES)
    for (let i = 0; i < 60; i++) {
      const key = `${prefix}${String(i).padStart(3, "0")}`;
      assert.equal(text(await reader.get(bytes(key))), model.get(key), key);
    }
  // It has written its checkpoint into a manifest of version 2, and lost nothing of it.
  const during = await latest(store);
  assert.equal(during.value.checkpoints.length, 1);
  assert.equal(during.value.fileVersion, 2);
  assert.deepEqual(treesIn(during.value), treesIn(before.value));
  await reader.close();
  assert.deepEqual((await latest(store)).value, before.value);
});

test("a reader follows a segmented store: a segment that comes, one that goes", async () => {
  const { store, components, model } = await segmentedStore();
  const { segments } = (await latest(store)).value;
  for (const mode of ["latest", "managed"] as const) await follows({ store, components, model }, mode, segments);
});

async function follows(
  world: Pick<World, "store" | "components" | "model">,
  mode: "latest" | "managed",
  segments: Manifest["segments"],
): Promise<void> {
  const { store, components, model } = world;
  await rewrite(store, (manifest) => ({ ...manifest, segments: segments.slice(0, 2) }));
  const reader = await DbReader.open("db", components, { mode, pollMs: 300_000 });
  assert.equal(await reader.get(bytes("hour=12/001")), undefined);
  await rewrite(store, (manifest) => ({ ...manifest, segments }));
  await reader.refresh();
  assert.deepEqual(await seen(reader), sorted(model));
  await rewrite(store, (manifest) => ({ ...manifest, segments: segments.slice(1) }));
  await reader.refresh();
  assert.deepEqual(
    await seen(reader, { lt: bytes("hour=11") }),
    sorted(model).filter((row) => row.startsWith("hour=10/tail")),
    "the drained segment is gone; its tail in the WAL is still replayed",
  );
  assert.equal(await reader.get(bytes("hour=10/001")), undefined);
  await reader.close();
}

test("checkpoints, clones and the WAL's stream work on a segmented store", async () => {
  const { store, components, model } = await segmentedStore();
  const admin = new Admin("db", components);
  const checkpoint = await admin.createCheckpoint({ name: "kept" });
  await cloneStore("db", "copy", components, { checkpoint: checkpoint.id });
  await rewrite(store, (manifest) => ({ ...manifest, segments: [] }));
  const before = (await admin.readManifest(checkpoint.manifestId)).value;
  for (const [root, mode] of [
    ["db", { checkpoint: checkpoint.id }],
    ["copy", "latest"],
  ] as const) {
    const reader = await DbReader.open(root, components, { mode });
    assert.deepEqual(await seen(reader), flushed(model), root);
    await reader.close();
  }
  const copy = (await new Admin("copy", components).readManifest()).value;
  assert.deepEqual(treesIn(copy), treesIn(before));
  assert.equal(copy.externalDbs[0]?.sstIds.length, 12, "it borrows the SSTs of every segment");
  const tail = [];
  for await (const { row } of new WalReader("db", components).follow()) tail.push(text(row.key));
  assert.deepEqual(
    tail.slice(-3),
    PREFIXES.map((prefix) => `${prefix}tail`),
  );
  assert.deepEqual((await new Admin("copy", components).verify()).findings, []);
});

test("opening for writing and compacting a segmented store are refused, and leave it as it was", async () => {
  const { store, components } = await segmentedStore();
  const before = await keysOf(store, "");
  await assert.rejects(Db.open("db", components), segmented);
  await assert.rejects(Db.open("db", components, { compat: "0.14", compactor: false, gc: false }), segmented);
  for (const how of ["everything", "tiered"] as const) await assert.rejects(new Admin("db", components).compact(how), segmented);
  assert.deepEqual(await keysOf(store, ""), before);
  // An extractor binds even while there is no segment yet.
  await rewrite(store, (manifest) => ({ ...manifest, segments: [] }));
  await assert.rejects(Db.open("db", components), segmented);
});

test("garbage collection keeps what a segment or a checkpoint's segment uses, and deletes the rest", async () => {
  const { store, components, clock, model } = await segmentedStore();
  const admin = new Admin("db", components);
  const checkpoint = await admin.createCheckpoint();
  const [dropped] = (await admin.readManifest()).value.segments;
  const doomed = [...(dropped?.l0 ?? []), ...(dropped?.runs ?? []).flatMap((run) => run.ssts)].map((sst) => paths.sst(sst.id));
  await rewrite(store, (manifest) => ({ ...manifest, segments: manifest.segments.slice(1) }));
  clock.nowMs += 86_400_000;
  // The manifest's time is the store's time: one more version moves it.
  await admin.createCheckpoint({ lifetimeMs: 1000 });
  clock.nowMs += 86_400_000;
  await rewrite(store, (manifest) => manifest);
  const ssts = await keysOf(store, paths.ssts);
  assert.equal((await admin.collectGarbage(0, "0.14")).ssts, 0, "the checkpoint's segment keeps them");
  assert.deepEqual(await keysOf(store, paths.ssts), ssts);
  const reader = await DbReader.open("db", components, { mode: { checkpoint: checkpoint.id } });
  assert.deepEqual(await seen(reader), flushed(model));
  await reader.close();
  await admin.deleteCheckpoint(checkpoint.id);
  assert.equal((await admin.collectGarbage(0, "0.14")).ssts, doomed.length);
  assert.deepEqual(
    await keysOf(store, paths.ssts),
    ssts.filter((key) => !doomed.includes(key)),
  );
  assert.deepEqual((await admin.verify()).findings, []);
});

test("a compaction of a segment, or its draining, protects what is younger from collection", async () => {
  const { store, components, clock } = await segmentedStore();
  const admin = new Admin("db", components);
  const oldest = (await admin.readManifest()).value.segments[0]?.runs.at(-1)?.ssts[0]?.id ?? "";
  const writer = new FlatWriter();
  const spec = writer.table([flatRef(0, writer.bytes(bytes(PREFIXES[0] as string)))]);
  const job = writer.table([flatRef(0, writeHalves(writer, ulidToHalves(oldest))), flatU8(1, 2), flatRef(2, spec), flatU8(3, 5)]);
  const root = writer.table([flatU64(0, 1), flatRef(1, writer.refs([job]))]);
  const file = withVersion(2, writer.finish(root));
  await store.put(paths.compaction(1), file);
  const drain = decodeCompactions(file, "c").compactions[0];
  assert.deepEqual([drain?.spec.isDrain, text(drain?.spec.segment), drain?.status], [true, PREFIXES[0], "scheduled"]);
  assert.throws(
    () => encodeCompactions(decodeCompactions(file, "c"), 2),
    (error) => isPumiceError(error, "LSM_UNSUPPORTED"),
  );
  await rewrite(store, (manifest) => ({ ...manifest, segments: manifest.segments.slice(1) }));
  clock.nowMs += 86_400_000;
  await rewrite(store, (manifest) => manifest);
  assert.equal((await admin.collectGarbage(0, "0.14")).ssts, 0);
  await store.delete(paths.compaction(1));
  assert.equal((await admin.collectGarbage(0, "0.14")).ssts, 4);
});

test("verify knows what segments promise: no prefix in another, no foreign key, no run id twice, every object sound", async () => {
  const { store, components } = await segmentedStore();
  const admin = new Admin("db", components);
  const { value: good } = await admin.readManifest();
  const report = await admin.verify();
  assert.deepEqual(report.findings, []);
  assert.equal(report.ssts, 12);
  const [first, second, third] = good.segments as [Segment, Segment, Segment];
  const wrong: [Partial<Manifest>, RegExp][] = [
    [{ segments: [{ ...first, prefix: bytes("hour=1") }, second, third] }, /lies in segment/],
    [{ segments: [second, first, third] }, /stands behind segment/],
    [{ segments: [{ ...first, l0: second.l0 }, third] }, /has keys of another/],
    [
      { segments: [first, { ...second, runs: first.runs.map((run, i) => ({ ...run, ssts: second.runs[i]?.ssts ?? [] })) }] },
      /run of one id/,
    ],
  ];
  for (const [change, expected] of wrong) {
    await rewrite(store, () => ({ ...good, ...change }));
    const { findings } = await new Admin("db", components).verify();
    assert.ok(
      findings.some(({ problem }) => expected.test(problem)),
      `${expected}: ${JSON.stringify(findings)}`,
    );
  }
  await rewrite(store, () => good);
  const victim = paths.sst(second.runs[0]?.ssts[0]?.id ?? "");
  await store.delete(victim);
  const broken = new Admin("db", components);
  assert.deepEqual(
    (await broken.verify()).findings.map(({ object }) => object),
    [victim],
  );
  const described = await broken.describeSst(first.l0[0]?.id ?? "");
  assert.ok(described.isUsed && described.stats !== undefined);
  const plan = await broken.planRepair();
  assert.deepEqual(
    plan.steps.map((step) => step.kind),
    ["drop-sst"],
  );
  await broken.repair(plan);
  const mended = (await new Admin("db", components).readManifest()).value;
  assert.deepEqual(
    mended.segments.map((segment) => segment.runs.length),
    [2, 1, 2],
  );
  assert.deepEqual((await new Admin("db", components).verify()).findings, []);
});

const half = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const ulid = fc.record({ high: half, low: half }).map(ulidFromHalves);
const key = fc.uint8Array({ minLength: 1, maxLength: 4 });
const plainly = { noNullPrototype: true };
const range = fc.record(
  {
    start: fc.option(key, { nil: undefined }),
    startInclusive: fc.boolean(),
    end: fc.option(key, { nil: undefined }),
    endInclusive: fc.boolean(),
  },
  plainly,
);

function sstOf(id: string, viewId: string, visibleRange: SstRef["visibleRange"]): SstRef {
  const offset = 100;
  return {
    id,
    viewId,
    formatVersion: 2,
    info: {
      firstEntry: Uint8Array.of(1),
      lastEntry: Uint8Array.of(9),
      filterOffset: offset,
      filterLength: 0,
      indexOffset: offset,
      indexLength: 60,
      statsOffset: 160,
      statsLength: 40,
      compression: "zstd",
      isWal: false,
      filterFormat: "composite",
    },
    visibleRange,
  };
}

const sst: fc.Arbitrary<SstRef> = fc.tuple(ulid, ulid, fc.option(range, { nil: undefined })).map(([id, viewId, visible]) => {
  const isBounded =
    visible === undefined ? undefined : { ...visible, startInclusive: visible.start !== undefined && visible.startInclusive };
  return sstOf(
    id,
    viewId,
    isBounded === undefined ? undefined : { ...isBounded, endInclusive: isBounded.end !== undefined && isBounded.endInclusive },
  );
});
const run = fc.record({ id: fc.nat({ max: 2 ** 32 - 1 }), ssts: fc.array(sst, { maxLength: 3 }) }, plainly);
const tree: fc.Arbitrary<LsmTree> = fc.record(
  {
    l0LastCompacted: fc.option(ulid, { nil: undefined }),
    l0: fc.array(sst, { maxLength: 3 }),
    runs: fc.array(run, { maxLength: 2 }),
  },
  plainly,
);

test("a manifest with segments is read as it was written, and written again to the byte", () => {
  fc.assert(
    fc.property(
      tree,
      fc.array(fc.tuple(fc.uint8Array({ maxLength: 6 }), tree), { maxLength: 4 }),
      fc.option(fc.string(), { nil: undefined }),
      (root, segments, extractor) => {
        const manifest: Manifest = {
          ...emptyManifest(undefined),
          ...root,
          writerEpoch: 3,
          compactorEpoch: 2 ** 40,
          replayAfterWalId: 7,
          walIdLastSeen: 9,
          lastL0ClockTick: 1_795_235_178_679,
          lastL0Seq: 12,
          recentSnapshotMinSeq: 11,
          checkpoints: [{ id: uuidFromHalves({ high: 1n, low: 2n }), manifestId: 4, expireTimeS: 5, createTimeS: 6, name: "n" }],
          segments: segments.map(([prefix, segment]) => ({ prefix, ...segment })).sort((a, b) => compareBytes(a.prefix, b.prefix)),
          segmentExtractor: extractor,
          fileVersion: 2,
        };
        const file = encodeManifest({ ...manifest, segmentExtractor: extractor ?? "always version 2" });
        const again = decodeManifest(file, "m");
        assert.deepEqual(again, { ...manifest, segmentExtractor: extractor ?? "always version 2" });
        assert.deepEqual(encodeManifest(again), file);
        for (let at = 0; at < file.length; at += 1 + (file.length >> 5)) {
          const broken = at % 2 === 0 ? file.subarray(0, at) : file.with(at, (file[at] as number) ^ (1 << (at % 8)));
          try {
            decodeManifest(broken, "m");
          } catch (error) {
            assert.ok(isPumiceError(error, "LSM_CORRUPT") || isPumiceError(error, "LSM_UNSUPPORTED"), String(error));
          }
        }
      },
    ),
    { numRuns: 200 },
  );
});

test("version 1 is written as long as it says everything: views called as their SSTs, no segment, no extractor", () => {
  const plain = sstOf("01M7Y5NT8TEP3MX7ANVX6EXAK5", "01M7Y5NT8TEP3MX7ANVX6EXAK5", undefined);
  const versionOf = (change: Partial<Manifest>): number => encodeManifest({ ...emptyManifest(undefined), ...change })[1] as number;
  assert.equal(versionOf({ l0: [plain], fileVersion: 2 }), 1);
  assert.equal(versionOf({ l0: [{ ...plain, viewId: "01M7Y5NT8TEP3MX7ANVX6EXAK6" }] }), 2);
  assert.equal(versionOf({ segmentExtractor: "x" }), 2);
  assert.equal(versionOf({ segments: [{ prefix: EMPTY_BYTES, l0LastCompacted: undefined, l0: [], runs: [] }] }), 2);
});

test("two views of one SST, each with its range, are two: in L0 and in a run, for gets and scans", async () => {
  const { store, components } = memoryWorld();
  const db = await openQuiet(components);
  for (let i = 0; i < 100; i++) db.putSync(bytes(`k${String(i).padStart(2, "0")}`), bytes(String(i)));
  await db.close();
  const view = (sst: SstRef, start: string, end: string): SstRef => ({
    ...sst,
    visibleRange: { start: bytes(start), startInclusive: true, end: bytes(end), endInclusive: false },
  });
  for (const place of ["l0", "runs"] as const) {
    await rewrite(store, (manifest) => {
      const [sst] = [...manifest.l0, ...manifest.runs.flatMap((run) => run.ssts)] as [SstRef];
      const views = [view(sst, "k10", "k20"), view(sst, "k40", "k50"), view(sst, "k90", "k95")];
      return { ...manifest, l0: place === "l0" ? views : [], runs: place === "l0" ? [] : [{ id: 0, ssts: views }] };
    });
    const reader = await DbReader.open("db", components, { mode: "latest" });
    // The second look finds the first one's tables by the names of their views.
    await reader.refresh();
    const expected = [...Array.from({ length: 10 }, (_, i) => i + 10), ...Array.from({ length: 10 }, (_, i) => i + 40), 90, 91, 92, 93, 94];
    assert.deepEqual(
      (await reader.scan().toArray()).map((row) => Number(text(row.value))),
      expected,
    );
    assert.deepEqual(
      (await reader.scan({ order: "descending" }).toArray()).map((row) => Number(text(row.value))),
      expected.toReversed(),
    );
    for (let i = 0; i < 100; i++) {
      const got = text(await reader.get(bytes(`k${String(i).padStart(2, "0")}`)));
      assert.equal(got, expected.includes(i) ? String(i) : undefined, `${place} ${i}`);
    }
    await reader.close();
    assert.deepEqual((await new Admin("db", components).verify()).findings, [], place);
  }
});
