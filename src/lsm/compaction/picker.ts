/**
 * Which SSTs to merge next: size-tiered. Many small L0s become a run; several runs of similar size become one.
 *
 * 1. Sources are consecutive in the order of age [L0 newest..oldest, runs highest..lowest id], so no older row overtakes a newer one.
 * 2. A merge of runs keeps the lowest of their ids, a merge of L0s gets a fresh one above all: ids of runs stay in order of age.
 * 3. One merge of L0s at a time: the manifest's marker of the last compacted L0 moves in order.
 */
import type { CompactionSpec } from "../format/compactions.ts";
import type { Manifest, SortedRun, SstRef } from "../format/manifest.ts";
import type { CompactionPicker } from "../engine/compaction.ts";

/** The parameters of the picker. See CompactorSettings. */
export interface PickerSettings {
  readonly minSources: number;
  readonly maxSources: number;
  readonly includeSizeThreshold: number;
}

/** Size of an SST, as far as it matters: its blocks and filter. */
export function sstBytes(sst: SstRef): number {
  return sst.info.indexOffset + sst.info.indexLength;
}

function runBytes(run: SortedRun): number {
  return run.ssts.reduce((sum, sst) => sum + sstBytes(sst), 0);
}

/** SlateDB's size-tiered picker. */
export class SizeTieredPicker implements CompactionPicker {
  readonly #settings: PickerSettings;

  constructor(settings: PickerSettings) {
    this.#settings = settings;
  }

  pick(manifest: Manifest, busy: readonly CompactionSpec[]): CompactionSpec | undefined {
    return this.#pickL0(manifest, busy) ?? this.#pickRuns(manifest, busy);
  }

  #pickL0(manifest: Manifest, busy: readonly CompactionSpec[]): CompactionSpec | undefined {
    const { l0, runs } = manifest;
    if (l0.length < this.#settings.minSources || busy.some((spec) => spec.l0.length > 0)) return undefined;
    const sources = l0.slice(-this.#settings.maxSources);
    const bytes = sources.reduce((sum, sst) => sum + sstBytes(sst), 0);
    if (this.#isBackedUp(bytes, runs)) return undefined;
    return { l0: sources.map((sst) => sst.viewId), runs: [], destination: freshRunId(manifest, busy) };
  }

  #pickRuns(manifest: Manifest, busy: readonly CompactionSpec[]): CompactionSpec | undefined {
    const inUse = new Set(busy.flatMap((spec) => [...spec.runs, spec.destination]));
    for (let i = 0; i < manifest.runs.length; i++) {
      const group = this.#groupFrom(manifest.runs, i, inUse);
      if (group.length < this.#settings.minSources) continue;
      const sources = group.slice(-this.#settings.maxSources);
      return { l0: [], runs: sources.map((run) => run.id), destination: (sources.at(-1) as SortedRun).id };
    }
    return undefined;
  }

  /** The runs from `start` on, towards older ones, that are of similar size and not in use. */
  #groupFrom(runs: readonly SortedRun[], start: number, inUse: ReadonlySet<number>): SortedRun[] {
    const group: SortedRun[] = [];
    let least = Infinity;
    for (const run of runs.slice(start)) {
      const bytes = runBytes(run);
      if (inUse.has(run.id) || (group.length > 0 && bytes > least * this.#settings.includeSizeThreshold)) break;
      group.push(run);
      least = Math.min(least, bytes);
    }
    return group;
  }

  /** True if a new run of that size would only lengthen a group of runs that already waits to be merged. */
  #isBackedUp(bytes: number, runs: readonly SortedRun[]): boolean {
    const first = runs[0];
    if (first === undefined || runBytes(first) > bytes * this.#settings.includeSizeThreshold) return false;
    return this.#groupFrom(runs, 0, new Set()).length >= this.#settings.maxSources;
  }
}

/** An id above those of all runs, there and to come. */
export function freshRunId(manifest: Manifest, busy: readonly CompactionSpec[]): number {
  return Math.max(-1, ...manifest.runs.map((run) => run.id), ...busy.map((spec) => spec.destination)) + 1;
}

/** Why the compaction cannot be done on that manifest, or undefined if it can. */
export function faultOfSpec(manifest: Manifest, spec: CompactionSpec): string | undefined {
  if (spec.l0.length + spec.runs.length === 0) return "it has no sources";
  const ages = [...manifest.l0.map((sst) => `l0 ${sst.viewId}`), ...manifest.runs.map((run) => `run ${run.id}`)];
  const wanted = [...spec.l0.map((id) => `l0 ${id}`), ...spec.runs.map((id) => `run ${id}`)];
  const start = ages.indexOf(wanted[0] as string);
  if (start === -1) return `its source ${wanted[0]} is not there`;
  for (const [i, source] of wanted.entries()) {
    if (ages[start + i] !== source) return ages.includes(source) ? "its sources are not consecutive" : `its source ${source} is not there`;
  }
  if (
    spec.l0.length > 0 &&
    spec.l0.length < manifest.l0.length &&
    ages[start + spec.l0.length - 1] !== `l0 ${manifest.l0.at(-1)?.viewId}`
  ) {
    return "it leaves older L0s behind";
  }
  const others = manifest.runs.filter((run) => !spec.runs.includes(run.id));
  if (others.some((run) => run.id === spec.destination)) return `its destination ${spec.destination} is another run`;
  const next = ages[start + wanted.length];
  const older = next === undefined ? undefined : manifest.runs.find((run) => next === `run ${run.id}`);
  if (older !== undefined && older.id > spec.destination) return "its destination is below an older run";
  if (spec.l0.length === 0) return undefined;
  const newest = manifest.runs.find((run) => !spec.runs.includes(run.id));
  return newest !== undefined && newest.id > spec.destination ? "its destination is below an older run" : undefined;
}
