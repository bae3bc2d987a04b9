/**
 * Manifest: what is alive. A file is version u16 BE | FlatBuffer. Version 1 (SlateDB 0.11 on) is written wherever it can say what is to
 * be said; version 2, which lists each SST once and knows segments, where it cannot. Both are read.
 *
 * 1. In every tree, `l0` is newest first; `runs` have descending ids, newest data first; the SSTs of a run ascend and do not overlap.
 * 2. Every WAL object up to replayAfterWalId is wholly in L0.
 * 3. createTs of every row in L0 and runs <= lastL0ClockTick, which never goes back.
 * 4. No segment's prefix begins with another's: each key belongs to one tree. So trees need no order among each other.
 */
import { PumiceError, viewOf } from "../../base/mod.ts";
import { damaged } from "./damage.ts";
import { FlatReader, type FlatTable } from "./flat-reader.ts";
import { flatOptionalU16, flatRef, flatU32, flatU64, flatU8, FlatWriter, type FlatOffset, type MaybeField } from "./flat-writer.ts";
import { ulidFromHalves, ulidToHalves, uuidFromHalves, uuidToHalves, type Halves, type Ulid, type Uuid } from "./identifiers.ts";
import type { KeyRange } from "./key-range.ts";
import { TICK_MIN } from "./row.ts";
import { EMPTY_TRACKER } from "./sequence-tracker.ts";
import { readInfo, writeInfo, type SstInfo } from "./sst-info.ts";

/** An SST as the manifest names it. */
export interface SstRef {
  readonly id: Ulid;
  /** Identity of this use of the SST; the same as `id` except in what newer SlateDB wrote. */
  readonly viewId: Ulid;
  readonly formatVersion: number;
  readonly info: SstInfo;
  /** Keys outside are not there. Undefined: all are. */
  readonly visibleRange: KeyRange | undefined;
}

/** SSTs that ascend and do not overlap. */
export interface SortedRun {
  readonly id: number;
  readonly ssts: readonly SstRef[];
}

/** A promise to keep one manifest version and all it names. */
export interface Checkpoint {
  readonly id: Uuid;
  /** The first manifest that lists this checkpoint: its state is what is kept. */
  readonly manifestId: number;
  /** Seconds since 1970; 0: never. */
  readonly expireTimeS: number;
  readonly createTimeS: number;
  readonly name: string | undefined;
}

/** A store whose SSTs this one borrows: the parent of a clone. */
export interface ExternalDb {
  readonly path: string;
  readonly sourceCheckpointId: Uuid;
  readonly finalCheckpointId: Uuid | undefined;
  readonly sstIds: readonly Ulid[];
}

/** One LSM tree. A store has one, and one more for each segment. */
export interface LsmTree {
  /** The newest L0 (view) that was compacted away; it and those after it are in runs. */
  readonly l0LastCompacted: Ulid | undefined;
  readonly l0: readonly SstRef[];
  readonly runs: readonly SortedRun[];
}

/** The tree of the keys that begin with a prefix, in stores of SlateDB 0.13 and later that were made with a segment extractor. */
export interface Segment extends LsmTree {
  readonly prefix: Uint8Array;
}

/** One version of the manifest. Its own tree holds the keys of no segment. */
export interface Manifest extends LsmTree {
  readonly externalDbs: readonly ExternalDb[];
  /** False only while a clone is being made. */
  readonly initialized: boolean;
  readonly writerEpoch: number;
  readonly compactorEpoch: number;
  readonly replayAfterWalId: number;
  readonly walIdLastSeen: number;
  readonly lastL0ClockTick: number;
  readonly checkpoints: readonly Checkpoint[];
  /** Highest sequence number in L0. */
  readonly lastL0Seq: number;
  /** Undefined: the WAL is in the same store. Empty: in another. Only version 1 says so. */
  readonly walStoreUri: string | undefined;
  /** Compaction keeps what a reader at this sequence number sees. */
  readonly recentSnapshotMinSeq: number;
  /** See sequence-tracker.ts. */
  readonly sequenceTracker: Uint8Array;
  /** By ascending prefix. */
  readonly segments: readonly Segment[];
  /** Name of the function that gives a key its segment. Only a writer that has it may write. */
  readonly segmentExtractor: string | undefined;
  /** Version of the file that it was read from. */
  readonly fileVersion: number;
}

/** The manifest of a store in which nothing was ever written. */
export function emptyManifest(walStoreUri: string | undefined): Manifest {
  return {
    externalDbs: [],
    initialized: true,
    writerEpoch: 0,
    compactorEpoch: 0,
    replayAfterWalId: 0,
    walIdLastSeen: 0,
    l0LastCompacted: undefined,
    l0: [],
    runs: [],
    lastL0ClockTick: TICK_MIN,
    checkpoints: [],
    lastL0Seq: 0,
    walStoreUri,
    recentSnapshotMinSeq: 0,
    sequenceTracker: EMPTY_TRACKER,
    segments: [],
    segmentExtractor: undefined,
    fileVersion: 1,
  };
}

/** The store's own tree and those of its segments. */
export function treesOf(manifest: Manifest): readonly LsmTree[] {
  return [manifest, ...manifest.segments];
}

/** All SSTs of a manifest; newest data first within each tree. */
export function allSsts(manifest: Manifest): SstRef[] {
  return treesOf(manifest).flatMap((tree) => [...tree.l0, ...tree.runs.flatMap((run) => run.ssts)]);
}

/** True if the manifest is that of a store with segments, which only a writer with their extractor may write. */
export function isSegmented(manifest: Manifest): boolean {
  return manifest.segments.length > 0 || manifest.segmentExtractor !== undefined;
}

/** The file of a manifest: of version 1, or of version 2 if there are segments, or views that are not called as their SSTs. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const needsV2 = isSegmented(manifest) || allSsts(manifest).some((sst) => sst.viewId !== sst.id);
  return needsV2 ? encodeV2(manifest) : encodeV1(manifest);
}

function encodeV1(manifest: Manifest): Uint8Array {
  const writer = new FlatWriter();
  const l0 = writer.refs(manifest.l0.map((sst) => writeSst(writer, sst)));
  const marker = writeMarker(writer, manifest);
  const runs = writeRuns(writer, manifest.runs, (sst) => writeSst(writer, sst));
  const { checkpoints, slots } = writeCommon(writer, manifest);
  const uri = manifest.walStoreUri === undefined ? undefined : writer.string(manifest.walStoreUri);
  const tracker = writer.bytes(manifest.sequenceTracker);
  const root = writer.table([
    ...slots,
    flatRef(7, marker),
    flatRef(8, l0),
    flatRef(9, runs),
    flatU64(10, BigInt(manifest.lastL0ClockTick)),
    flatRef(11, checkpoints),
    flatU64(12, manifest.lastL0Seq),
    flatRef(13, uri),
    flatU64(14, manifest.recentSnapshotMinSeq),
    flatRef(15, tracker),
  ]);
  return withVersion(1, writer.finish(root));
}

/** Version 2: slots from 8 on are one further than in version 1, as the SSTs come first; the WAL store's slot is gone, segments are new. */
function encodeV2(manifest: Manifest): Uint8Array {
  const writer = new FlatWriter();
  const physical = new Map(allSsts(manifest).map((sst) => [sst.id, sst]));
  const ssts = writer.refs([...physical.values()].map((sst) => writePhysicalSst(writer, sst)));
  const tree = writeTree(writer, manifest);
  const { checkpoints, slots } = writeCommon(writer, manifest);
  const tracker = writer.bytes(manifest.sequenceTracker);
  const segments =
    manifest.segments.length === 0 ? undefined : writer.refs(manifest.segments.map((segment) => writeSegment(writer, segment)));
  const extractor = manifest.segmentExtractor === undefined ? undefined : writer.string(manifest.segmentExtractor);
  const root = writer.table([
    ...slots,
    flatRef(7, tree.marker),
    flatRef(8, ssts),
    flatRef(9, tree.l0),
    flatRef(10, tree.runs),
    flatU64(11, BigInt(manifest.lastL0ClockTick)),
    flatRef(12, checkpoints),
    flatU64(13, manifest.lastL0Seq),
    flatU64(14, manifest.recentSnapshotMinSeq),
    flatRef(15, tracker),
    flatRef(16, segments),
    flatRef(17, extractor),
  ]);
  return withVersion(2, writer.finish(root));
}

/** What stands in the same slots in both versions, and the checkpoints, whose slot differs. */
function writeCommon(writer: FlatWriter, manifest: Manifest): { checkpoints: FlatOffset; slots: readonly MaybeField[] } {
  const checkpoints = writer.refs(manifest.checkpoints.map((checkpoint) => writeCheckpoint(writer, checkpoint)));
  const externals =
    manifest.externalDbs.length === 0 ? undefined : writer.refs(manifest.externalDbs.map((db) => writeExternal(writer, db)));
  const slots = [
    flatRef(1, externals),
    flatU8(2, manifest.initialized ? 1 : 0),
    flatU64(3, manifest.writerEpoch),
    flatU64(4, manifest.compactorEpoch),
    flatU64(5, manifest.replayAfterWalId),
    flatU64(6, manifest.walIdLastSeen),
  ];
  return { checkpoints, slots };
}

function writeMarker(writer: FlatWriter, tree: LsmTree): FlatOffset | undefined {
  return tree.l0LastCompacted === undefined ? undefined : writeHalves(writer, ulidToHalves(tree.l0LastCompacted));
}

function writeRuns(writer: FlatWriter, runs: readonly SortedRun[], write: (sst: SstRef) => FlatOffset): FlatOffset {
  return writer.refs(
    runs.map((run) => {
      const ssts = writer.refs(run.ssts.map(write));
      return writer.table([flatU32(0, run.id), flatRef(1, ssts)]);
    }),
  );
}

function writeTree(writer: FlatWriter, tree: LsmTree): { marker: FlatOffset | undefined; l0: FlatOffset; runs: FlatOffset } {
  const l0 = writer.refs(tree.l0.map((sst) => writeView(writer, sst)));
  const marker = writeMarker(writer, tree);
  return { marker, l0, runs: writeRuns(writer, tree.runs, (sst) => writeView(writer, sst)) };
}

function writeSegment(writer: FlatWriter, segment: Segment): FlatOffset {
  const prefix = writer.bytes(segment.prefix);
  const tree = writeTree(writer, segment);
  return writer.table([flatRef(0, prefix), flatRef(1, tree.marker), flatRef(2, tree.l0), flatRef(3, tree.runs)]);
}

/** An SST of version 2: without a range, which belongs to the view. */
function writePhysicalSst(writer: FlatWriter, sst: SstRef): FlatOffset {
  const id = writeHalves(writer, ulidToHalves(sst.id));
  const info = writeInfo(writer, sst.info);
  return writer.table([flatRef(0, id), flatRef(1, info), flatOptionalU16(2, sst.formatVersion)]);
}

function writeView(writer: FlatWriter, sst: SstRef): FlatOffset {
  const viewId = writeHalves(writer, ulidToHalves(sst.viewId));
  const id = writeHalves(writer, ulidToHalves(sst.id));
  const range = sst.visibleRange === undefined ? undefined : writeRange(writer, sst.visibleRange);
  return writer.table([flatRef(0, viewId), flatRef(1, id), flatRef(2, range)]);
}

/** `body` with its version before it. */
export function withVersion(version: number, body: Uint8Array): Uint8Array {
  const file = new Uint8Array(body.length + 2);
  viewOf(file).setUint16(0, version);
  file.set(body, 2);
  return file;
}

/** The version of a versioned file, and its root table. @throws LSM_CORRUPT, LSM_UNSUPPORTED */
export function openVersioned(bytes: Uint8Array, object: string, versions: readonly number[]): { version: number; root: FlatTable } {
  if (bytes.length < 2) throw damaged({ object, what: "file is too short for its version", found: bytes.length });
  const version = viewOf(bytes).getUint16(0);
  if (!versions.includes(version)) {
    throw new PumiceError("LSM_UNSUPPORTED", { object, what: "unknown file version", expected: versions.join(" or "), found: version });
  }
  return { version, root: new FlatReader(object, bytes.subarray(2)).root() };
}

/** Reads a manifest of version 1 or 2. @throws LSM_CORRUPT, LSM_UNSUPPORTED */
export function decodeManifest(bytes: Uint8Array, object: string): Manifest {
  const { version, root } = openVersioned(bytes, object, [1, 2]);
  const isV1 = version === 1;
  // Version 2 has one vector more, before l0: what follows moves by one slot, and the URI gave up its own.
  const slots = isV1 ? { l0: 8, runs: 9, tick: 10, checkpoints: 11, seq: 12 } : { l0: 9, runs: 10, tick: 11, checkpoints: 12, seq: 13 };
  const lookup = isV1 ? undefined : sstTable(root.requiredTables(8), object);
  const readSst = (table: FlatTable): SstRef => (lookup === undefined ? readSstV1(table, object) : readView(table, lookup, object));
  return {
    externalDbs: (root.tables(1) ?? []).map((table) => readExternal(table, object)),
    initialized: root.u8(2) === 1,
    writerEpoch: root.u64(3),
    compactorEpoch: root.u64(4),
    replayAfterWalId: root.u64(5),
    walIdLastSeen: root.u64(6),
    ...readTree(root, { marker: 7, l0: slots.l0, runs: slots.runs }, readSst),
    lastL0ClockTick: root.i64(slots.tick),
    checkpoints: root.requiredTables(slots.checkpoints).map(readCheckpoint),
    lastL0Seq: root.u64(slots.seq),
    walStoreUri: isV1 ? root.string(13) : undefined,
    recentSnapshotMinSeq: root.u64(14),
    sequenceTracker: root.ownBytes(15) ?? EMPTY_TRACKER,
    segments: isV1 ? [] : (root.tables(16) ?? []).map((segment) => readSegment(segment, readSst, object)),
    segmentExtractor: isV1 ? undefined : root.string(17),
    fileVersion: version,
  };
}

function readTree(table: FlatTable, slots: { marker: number; l0: number; runs: number }, readSst: (sst: FlatTable) => SstRef): LsmTree {
  const marker = table.table(slots.marker);
  return {
    l0LastCompacted: marker === undefined ? undefined : ulidFromHalves(readHalves(marker)),
    l0: table.requiredTables(slots.l0).map(readSst),
    runs: table.requiredTables(slots.runs).map((run) => ({ id: run.u32(0), ssts: run.requiredTables(1).map(readSst) })),
  };
}

function readSegment(table: FlatTable, readSst: (sst: FlatTable) => SstRef, object: string): Segment {
  const prefix = table.ownBytes(0);
  if (prefix === undefined) throw damaged({ object, what: "segment has no prefix" });
  return { prefix, ...readTree(table, { marker: 1, l0: 2, runs: 3 }, readSst) };
}

function sstTable(tables: readonly FlatTable[], object: string): Map<Ulid, SstRef> {
  const lookup = new Map<Ulid, SstRef>();
  for (const table of tables) {
    const sst = readSstV1(table, object, 2);
    lookup.set(sst.id, sst);
  }
  return lookup;
}

function readView(table: FlatTable, lookup: ReadonlyMap<Ulid, SstRef>, object: string): SstRef {
  const sst = lookup.get(ulidFromHalves(readHalves(table.requiredTable(1))));
  if (sst === undefined) throw damaged({ object, what: "manifest uses an SST that it does not list" });
  return { ...sst, viewId: ulidFromHalves(readHalves(table.requiredTable(0))), visibleRange: readRange(table.table(2), object) };
}

/** Writes an SST of a manifest of version 1 or a compactions file. */
export function writeSst(writer: FlatWriter, sst: SstRef): FlatOffset {
  const id = writeHalves(writer, ulidToHalves(sst.id));
  const info = writeInfo(writer, sst.info);
  const range = sst.visibleRange === undefined ? undefined : writeRange(writer, sst.visibleRange);
  return writer.table([flatRef(0, id), flatRef(1, info), flatRef(2, range), flatOptionalU16(3, sst.formatVersion)]);
}

/** Reads an SST of a manifest or a compactions file; `versionSlot` is where its format version is (2 in version 2, without a range). */
export function readSstV1(table: FlatTable, object: string, versionSlot: 2 | 3 = 3): SstRef {
  const id = ulidFromHalves(readHalves(table.requiredTable(0)));
  const range = versionSlot === 3 ? readRange(table.table(2), object) : undefined;
  // A missing version means 1: the field is younger than the format.
  return {
    id,
    viewId: id,
    formatVersion: table.u16(versionSlot) ?? 1,
    info: readInfo(table.requiredTable(1), object),
    visibleRange: range,
  };
}

/** Writes a ULID or UUID. */
export function writeHalves(writer: FlatWriter, halves: Halves): FlatOffset {
  return writer.table([flatU64(0, halves.high), flatU64(1, halves.low)]);
}

/** Reads a ULID or UUID. */
export function readHalves(table: FlatTable): Halves {
  return { high: table.u64Exact(0), low: table.u64Exact(1) };
}

const UNBOUNDED = 1;
const INCLUDED = 2;
const EXCLUDED = 3;

function writeBound(writer: FlatWriter, key: Uint8Array | undefined, isInclusive: boolean): FlatOffset {
  const bytes = key === undefined ? undefined : writer.bytes(key);
  return writer.table([flatRef(0, bytes), flatU8(1, key === undefined ? UNBOUNDED : isInclusive ? INCLUDED : EXCLUDED)]);
}

/** Writes a range of keys. */
export function writeRange(writer: FlatWriter, range: KeyRange): FlatOffset {
  const start = writeBound(writer, range.start, range.startInclusive);
  const end = writeBound(writer, range.end, range.endInclusive);
  return writer.table([flatRef(0, start), flatRef(1, end)]);
}

function readBound(table: FlatTable, object: string): { key: Uint8Array | undefined; isInclusive: boolean } {
  const kind = table.u8(1);
  if (kind === UNBOUNDED) return { key: undefined, isInclusive: false };
  const key = table.ownBytes(0);
  if (key === undefined || (kind !== INCLUDED && kind !== EXCLUDED))
    throw damaged({ object, what: "unknown kind of key bound", found: kind });
  return { key, isInclusive: kind === INCLUDED };
}

function readRange(table: FlatTable | undefined, object: string): KeyRange | undefined {
  if (table === undefined) return undefined;
  const start = readBound(table.requiredTable(0), object);
  const end = readBound(table.requiredTable(1), object);
  return { start: start.key, startInclusive: start.isInclusive, end: end.key, endInclusive: end.isInclusive };
}

function writeCheckpoint(writer: FlatWriter, checkpoint: Checkpoint): FlatOffset {
  const id = writeHalves(writer, uuidToHalves(checkpoint.id));
  const name = checkpoint.name === undefined ? undefined : writer.string(checkpoint.name);
  return writer.table([
    flatRef(0, id),
    flatU64(1, checkpoint.manifestId),
    flatU32(2, checkpoint.expireTimeS),
    flatU32(3, checkpoint.createTimeS),
    flatRef(6, name),
  ]);
}

function readCheckpoint(table: FlatTable): Checkpoint {
  return {
    id: uuidFromHalves(readHalves(table.requiredTable(0))),
    manifestId: table.u64(1),
    expireTimeS: table.u32(2),
    createTimeS: table.u32(3),
    name: table.string(6),
  };
}

function writeExternal(writer: FlatWriter, db: ExternalDb): FlatOffset {
  const path = writer.string(db.path);
  const source = writeHalves(writer, uuidToHalves(db.sourceCheckpointId));
  const final = db.finalCheckpointId === undefined ? undefined : writeHalves(writer, uuidToHalves(db.finalCheckpointId));
  const ssts = writer.refs(db.sstIds.map((id) => writeHalves(writer, ulidToHalves(id))));
  return writer.table([flatRef(0, path), flatRef(1, source), flatRef(2, final), flatRef(3, ssts)]);
}

function readExternal(table: FlatTable, object: string): ExternalDb {
  const path = table.string(0);
  if (path === undefined) throw damaged({ object, what: "external store has no path" });
  const final = table.table(2);
  return {
    path,
    sourceCheckpointId: uuidFromHalves(readHalves(table.requiredTable(1))),
    finalCheckpointId: final === undefined ? undefined : uuidFromHalves(readHalves(final)),
    sstIds: table.requiredTables(3).map((id) => ulidFromHalves(readHalves(id))),
  };
}
