/**
 * Compactions file: which compactions are under way, so that one can be resumed. version u16 BE | FlatBuffer. Version 1 (profile
 * 0.12) does not store the destination: a reader takes the smallest source run, or 0.
 */
import { EMPTY_BYTES, PumiceError } from "../../base/mod.ts";
import { flatRef, flatU32, flatU64, flatU8, FlatWriter, type FlatField, type FlatOffset } from "./flat-writer.ts";
import type { FlatTable } from "./flat-reader.ts";
import { ulidFromHalves, ulidToHalves, type Ulid } from "./identifiers.ts";
import { openVersioned, readHalves, readSstV1, withVersion, writeHalves, writeSst, type SstRef } from "./manifest.ts";

/** States of a compaction by their numbers on disk. FROZEN. */
export const COMPACTION_STATUSES = ["submitted", "running", "completed", "failed", "compacted", "scheduled"] as const;
/** State of a compaction. */
export type CompactionStatus = (typeof COMPACTION_STATUSES)[number];

/** What to merge: L0s (by view id, newest first), then runs (descending ids). Consecutive in the order of age. */
export interface CompactionSpec {
  readonly l0: readonly Ulid[];
  readonly runs: readonly number[];
  /** Id of the run that the result becomes. */
  readonly destination: number;
  /** Prefix of the segment that it is about; undefined: the store's own tree. Version 2 only. */
  readonly segment?: Uint8Array | undefined;
  /** True if the segment is dropped whole instead of merged. */
  readonly isDrain?: boolean | undefined;
}

/** One compaction. */
export interface Compaction {
  readonly id: Ulid;
  readonly spec: CompactionSpec;
  readonly status: CompactionStatus;
  /** Finished output so far, ascending. */
  readonly outputs: readonly SstRef[];
}

/** The file's content. */
export interface Compactions {
  readonly compactorEpoch: number;
  readonly compactions: readonly Compaction[];
}

/** True while the compaction's sources and outputs must be kept. */
export function isActive(compaction: Compaction): boolean {
  return compaction.status !== "completed" && compaction.status !== "failed";
}

const TIERED_SPEC = 1;
const DRAIN_SPEC = 2;

/** The file. @throws LSM_UNSUPPORTED if version 1 cannot say it, or if it is about segments, which this engine's compactor leaves alone. */
export function encodeCompactions(content: Compactions, version: 1 | 2): Uint8Array {
  const writer = new FlatWriter();
  const entries = content.compactions.map((compaction) => writeCompaction(writer, compaction, version));
  const recent = writer.refs(entries);
  return withVersion(version, writer.finish(writer.table([flatU64(0, content.compactorEpoch), flatRef(1, recent)])));
}

function writeCompaction(writer: FlatWriter, compaction: Compaction, version: 1 | 2): FlatOffset {
  const status = COMPACTION_STATUSES.indexOf(compaction.status);
  if (version === 1 && status > 3)
    throw new PumiceError("LSM_UNSUPPORTED", { what: "version 1 has no such status", status: compaction.status });
  if (compaction.spec.segment !== undefined)
    throw new PumiceError("LSM_UNSUPPORTED", { what: "a compaction of a segment", id: compaction.id });
  const id = writeHalves(writer, ulidToHalves(compaction.id));
  const spec = writeSpec(writer, compaction.spec, version);
  const outputs = compaction.outputs.length === 0 ? undefined : writer.refs(compaction.outputs.map((sst) => writeSst(writer, sst)));
  return writer.table([flatRef(0, id), flatU8(1, TIERED_SPEC), flatRef(2, spec), flatU8(3, status), flatRef(4, outputs)]);
}

function writeSpec(writer: FlatWriter, spec: CompactionSpec, version: 1 | 2): FlatOffset {
  const views = spec.l0.length === 0 ? undefined : writer.refs(spec.l0.map((id) => writeHalves(writer, ulidToHalves(id))));
  const runs = spec.runs.length === 0 ? undefined : writer.u32s(spec.runs);
  const fields: (FlatField | undefined)[] = [flatRef(1, runs), flatRef(2, views)];
  if (version === 2) fields.push(flatU32(4, spec.destination));
  return writer.table(fields);
}

/** Reads a compactions file of version 1 or 2. @throws LSM_CORRUPT, LSM_UNSUPPORTED */
export function decodeCompactions(bytes: Uint8Array, object: string): Compactions & { readonly fileVersion: number } {
  const { version, root } = openVersioned(bytes, object, [1, 2]);
  const compactions = root.requiredTables(1).map((table) => readCompaction(table, object, version));
  return { compactorEpoch: root.u64(0), compactions, fileVersion: version };
}

function readCompaction(table: FlatTable, object: string, version: number): Compaction {
  const status = COMPACTION_STATUSES[table.u8(3)];
  if (status === undefined) throw new PumiceError("LSM_UNSUPPORTED", { object, what: "unknown compaction status", found: table.u8(3) });
  return {
    id: ulidFromHalves(readHalves(table.requiredTable(0))),
    spec: readSpec(table, object, version),
    status,
    outputs: (table.tables(4) ?? []).map((sst) => readSstV1(sst, object)),
  };
}

function readSpec(table: FlatTable, object: string, version: number): CompactionSpec {
  const kind = table.u8(1);
  const spec = table.requiredTable(2);
  if (kind === DRAIN_SPEC) return { l0: [], runs: [], destination: 0, segment: spec.ownBytes(0) ?? EMPTY_BYTES, isDrain: true };
  if (kind !== TIERED_SPEC) throw new PumiceError("LSM_UNSUPPORTED", { object, what: "unknown kind of compaction", found: kind });
  const runs = spec.u32s(1) ?? [];
  const l0 = (spec.tables(2) ?? spec.tables(0) ?? []).map((id) => ulidFromHalves(readHalves(id)));
  const destination = version === 1 ? runs.reduce((least, run) => Math.min(least, run), runs[0] ?? 0) : spec.u32(4);
  const segment = version === 1 ? undefined : spec.ownBytes(3);
  return segment === undefined || segment.length === 0 ? { l0, runs, destination } : { l0, runs, destination, segment };
}
