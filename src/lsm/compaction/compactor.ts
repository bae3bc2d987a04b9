/**
 * The compactor: picks, runs and commits compactions, and keeps the compactions file, so that a successor can go on.
 *
 * 1. One compactor epoch is alive: a newer one fences this. The manifest says so first, the compactions file after it.
 * 2. The manifest changes in one put: sources out, output in, and a checkpoint of the state before, for readers in other processes.
 * 3. The compactions file is behind the manifest, never before it: a compaction that is listed as running and whose sources are gone is over.
 */
import { abortable, assert, compareBytes, isPumiceError, PumiceError } from "../../base/mod.ts";
import { checkWritable, sstSettings, type StoreContext } from "../engine/context.ts";
import { retentionTick } from "../engine/present.ts";
import { newCheckpoint } from "../engine/checkpoints.ts";
import type { CompactorSettings, LsmSettings, Profile } from "../engine/settings.ts";
import {
  decodeCompactions,
  encodeCompactions,
  isActive,
  type Compaction,
  type Compactions,
  type CompactionSpec,
} from "../format/compactions.ts";
import { newUuid, UlidSource, type Ulid } from "../format/identifiers.ts";
import type { Manifest, SortedRun, SstRef } from "../format/manifest.ts";
import { Sequence } from "../store/sequence.ts";
import type { CompactionExecutor, CompactionPicker, CompactionProgress } from "../engine/compaction.ts";
import type { CompactorStats } from "../engine/status.ts";
import { faultOfSpec, freshRunId } from "./picker.ts";

/** What a compactor is made of. */
export interface CompactorParts {
  readonly context: StoreContext;
  readonly settings: LsmSettings & { readonly compactor: CompactorSettings };
  readonly profile: Profile;
  readonly picker: CompactionPicker;
  readonly executor: CompactionExecutor;
  /** Hears how each compaction ended; one that failed is tried again later. */
  readonly onEnd?: ((error: unknown) => void) | undefined;
}

/** The sequence of compactions files of a store. */
export function compactionsOf(context: StoreContext, profile: Profile): Sequence<Compactions> {
  return new Sequence<Compactions>({
    store: context.store,
    policy: context.writePolicy,
    prefix: context.paths.compactions,
    suffix: ".compactions",
    key: context.paths.compaction,
    boundaryKey: context.paths.boundary("compactions"),
    encode: (content) => encodeCompactions(content, profile === "0.12" ? 1 : 2),
    decode: decodeCompactions,
  });
}

/** What one compaction works with: it may be given up alone. */
interface Work {
  readonly context: StoreContext;
  readonly file: Sequence<Compactions>;
}

/** See the header of this file. */
export class Compactor {
  readonly #parts: CompactorParts;
  readonly #context: StoreContext;
  readonly #file: Sequence<Compactions>;
  readonly #all: Work;
  readonly #ulids: UlidSource;
  readonly #running = new Map<Ulid, { readonly spec: CompactionSpec; readonly done: Promise<void> }>();
  #epoch = 0;
  #counts = { completed: 0, failed: 0, bytesRead: 0, bytesWritten: 0, sstsWritten: 0, lastCompletedS: 0 };
  #wake: () => void = () => undefined;
  #isStopped = false;
  #restUntilMs = -Infinity;
  /** A merge of everything waits or runs: nothing else begins. */
  #isExclusive = false;
  #exclusive: Promise<void> = Promise.resolve();
  /** Compactions whose callers gave them up; the file does not say so yet. */
  readonly #abandoned = new Set<Ulid>();

  constructor(parts: CompactorParts) {
    this.#parts = parts;
    this.#context = parts.context;
    this.#file = compactionsOf(parts.context, parts.profile);
    this.#all = { context: this.#context, file: this.#file };
    this.#file.followBoundaryOf(parts.context.manifests);
    this.#ulids = new UlidSource(parts.context.random);
  }

  get stats(): CompactorStats {
    return { epoch: this.#epoch, running: this.#running.size, ...this.#counts };
  }

  /** Claims the next compactor epoch and takes over what the last compactor left. @throws LSM_FENCED, LSM_SEGMENTED, LSM_UNSUPPORTED */
  async start(): Promise<void> {
    const claimed = await this.#context.manifests.update(
      (manifest) => {
        checkWritable(manifest, this.#context.paths.root);
        return { ...manifest, compactorEpoch: manifest.compactorEpoch + 1 };
      },
      { isClaim: true },
    );
    this.#epoch = claimed.value.compactorEpoch;
    if ((await this.#file.refresh()) === undefined) {
      await this.#file.create({ compactorEpoch: 0, compactions: [] });
      await this.#file.refresh();
    }
    await this.#updateFile((compactions) => compactions.map((each) => this.#takeOver(each, claimed.value)));
    for (const compaction of this.#file.known?.value.compactions ?? []) if (isActive(compaction)) this.#launch(compaction);
  }

  /** Looks for work until `stop`. @throws LSM_FENCED when a newer compactor took over, and what ends the store */
  async run(): Promise<void> {
    while (!this.#isStopped) {
      const waiting = new Promise<void>((resolve) => (this.#wake = resolve));
      this.#schedule();
      const sleep = new AbortController();
      const timer = this.#context.clock
        .sleep(this.#parts.settings.compactor.pollIntervalMs, { signal: sleep.signal })
        .catch(() => undefined);
      await Promise.race([waiting, timer]);
      sleep.abort();
      if (this.#isStopped) return;
      // Another process may have changed the manifest.
      const latest = await this.#context.manifests.refresh();
      if (latest !== undefined) this.#checkEpoch(latest.value);
      if (this.#abandoned.size > 0) await this.#updateFile((compactions) => compactions);
    }
  }

  /** Says that there may be work. */
  notify(): void {
    this.#wake();
  }

  /** Starts nothing more. */
  halt(): void {
    this.#isStopped = true;
    this.#wake();
  }

  /** Starts nothing more; resolves when what runs has ended. */
  async stop(): Promise<void> {
    this.halt();
    await Promise.all([...this.#running.values()].map(({ done }) => done));
  }

  /** Compacts until there is nothing to do, for tools and tests. */
  async drain(): Promise<void> {
    for (;;) {
      this.#schedule();
      if (this.#running.size === 0) return;
      await Promise.all([...this.#running.values()].map(({ done }) => done));
    }
  }

  /** Runs one compaction now. @throws LSM_INVALID if it cannot be done */
  async compact(spec: CompactionSpec, signal?: AbortSignal): Promise<void> {
    const work = { context: this.#context.scoped(signal), file: this.#file.scoped(signal) };
    const manifest = (await work.context.manifest()).value;
    this.#checkEpoch(manifest);
    const fault = faultOfSpec(manifest, spec);
    if (fault !== undefined) throw new PumiceError("LSM_INVALID", { what: "compaction is not possible", because: fault });
    const compaction = this.#newCompaction(spec);
    const over = Promise.withResolvers<void>();
    this.#running.set(compaction.id, { spec, done: over.promise });
    try {
      await this.#updateFile((compactions) => [...compactions, compaction], work);
      await this.#execute(compaction, work);
      this.#counts.completed++;
    } catch (error) {
      if (signal?.aborted === true) this.#abandoned.add(compaction.id);
      throw error;
    } finally {
      this.#running.delete(compaction.id);
      over.resolve();
    }
  }

  /** Merges everything into one run, when what runs now has ended. */
  async compactAll(signal?: AbortSignal): Promise<void> {
    const turn = this.#exclusive.then(async () => await this.#compactAllNow(signal));
    this.#exclusive = turn.catch(() => undefined);
    await abortable(turn, signal);
  }

  async #compactAllNow(signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    this.#isExclusive = true;
    try {
      while (this.#running.size > 0) await abortable(Promise.all([...this.#running.values()].map(({ done }) => done)), signal);
      const manifest = (await this.#context.scoped(signal).manifest()).value;
      this.#checkEpoch(manifest);
      const l0 = manifest.l0.map((sst) => sst.viewId);
      const runs = manifest.runs.map((run) => run.id);
      if (l0.length + runs.length > 0) await this.compact({ l0, runs, destination: runs.at(-1) ?? 0 }, signal);
    } finally {
      this.#isExclusive = false;
      this.#wake();
    }
  }

  #schedule(): void {
    const { compactor } = this.#parts.settings;
    if (this.#context.clock.monotonic() < this.#restUntilMs) return;
    while (!this.#isStopped && !this.#isExclusive && this.#running.size < compactor.maxConcurrent) {
      const manifest = this.#context.manifests.known?.value;
      const busy = [...this.#running.values()].map(({ spec }) => spec);
      const spec = manifest === undefined ? undefined : this.#parts.picker.pick(manifest, busy);
      if (spec === undefined || manifest === undefined) return;
      const fault = faultOfSpec(manifest, spec);
      assert(fault === undefined, "the picker picks what can be compacted");
      const compaction = this.#newCompaction(spec);
      // Counts as running from now on, so that nobody else takes its sources meanwhile.
      this.#launch(
        compaction,
        this.#updateFile((compactions) => [...compactions, compaction]),
      );
    }
  }

  #newCompaction(spec: CompactionSpec): Compaction {
    return { id: this.#ulids.next(Math.max(0, Math.floor(this.#context.clock.now()))), spec, status: "running", outputs: [] };
  }

  /** What becomes of a compaction that an earlier compactor left. */
  #takeOver(compaction: Compaction, manifest: Manifest): Compaction {
    if (!isActive(compaction)) return compaction;
    // Version 1 of the file cannot say the destination of a merge of L0s: SlateDB #1660.
    const { spec } = compaction;
    const isUnsure = spec.runs.length === 0 && this.#parts.profile === "0.12";
    const destination = isUnsure ? freshRunId(manifest, []) : spec.destination;
    const mended = { ...compaction, spec: { ...spec, destination } };
    const isPossible = faultOfSpec(manifest, mended.spec) === undefined;
    return isPossible ? { ...mended, status: "running" } : { ...compaction, status: "failed" };
  }

  #launch(compaction: Compaction, listed: Promise<void> = Promise.resolve()): void {
    const done = listed
      .then(async () => await this.#execute(compaction))
      .then(
        () => {
          this.#counts.completed++;
          this.#parts.onEnd?.(undefined);
        },
        (error: unknown) => {
          this.#counts.failed++;
          // What failed would fail again at once: the next look is that of the poll.
          this.#restUntilMs = this.#context.clock.monotonic() + this.#parts.settings.compactor.pollIntervalMs;
          this.#parts.onEnd?.(error);
        },
      )
      .finally(() => {
        this.#running.delete(compaction.id);
        this.#wake();
      });
    this.#running.set(compaction.id, { spec: compaction.spec, done });
  }

  async #execute(compaction: Compaction, work: Work = this.#all): Promise<void> {
    try {
      const manifest = (await work.context.manifest()).value;
      this.#checkEpoch(manifest);
      const sources = sourcesOf(manifest, compaction.spec);
      const outputs = this.#trivialMove(sources) ?? (await this.#merge({ compaction, work }, manifest, sources));
      await this.#commit({ compaction, work }, outputs);
      this.#counts.lastCompletedS = Math.floor(this.#context.clock.now() / 1000);
      await this.#setStatus(compaction.id, "completed", work);
    } catch (error) {
      if (!work.context.signal.aborted && !isPumiceError(error, "LSM_FENCED")) await this.#setStatus(compaction.id, "failed", work);
      throw error;
    }
  }

  async #merge(
    { compaction, work }: { compaction: Compaction; work: Work },
    manifest: Manifest,
    sources: { l0: SstRef[]; runs: SortedRun[] },
  ): Promise<readonly SstRef[]> {
    const { settings, profile, executor } = this.#parts;
    const tick = retentionTick(manifest.lastL0ClockTick, this.#context.clock.now());
    const job = {
      id: compaction.id,
      sources: { ...sources, externalDbs: manifest.externalDbs },
      outputs: compaction.outputs,
      rules: { minSeq: manifest.recentSnapshotMinSeq, tick, isBottom: isBottom(manifest, compaction.spec) },
      settings: { ...sstSettings(settings, profile), maxSstBytes: settings.compactor.maxSstBytes },
    };
    const progress: CompactionProgress = {
      onRequests: (counts) => this.#context.shared.addRequests(counts),
      onOutput: async (outputs) => {
        this.#counts.sstsWritten++;
        await this.#updateFile((all) => all.map((each) => (each.id === compaction.id ? { ...each, outputs } : each)), work);
      },
      onBytes: ({ read, written }) => {
        this.#counts.bytesRead += read;
        this.#counts.bytesWritten += written;
      },
    };
    return await executor.run(job, progress, work.context.signal);
  }

  /** The sources themselves, in order of keys, if they may be used as they are. */
  #trivialMove(sources: { l0: SstRef[]; runs: SortedRun[] }): readonly SstRef[] | undefined {
    if (!this.#parts.settings.compactor.movesTrivially || sources.runs.length > 0) return undefined;
    const ssts = sources.l0.slice();
    if (ssts.some((sst) => sst.info.firstEntry === undefined || sst.info.lastEntry === undefined || sst.visibleRange !== undefined))
      return undefined;
    ssts.sort((left, right) => compareBytes(left.info.firstEntry as Uint8Array, right.info.firstEntry as Uint8Array));
    const isDisjoint = ssts.every((sst, i) => {
      const next = ssts[i + 1]?.info.firstEntry;
      return next === undefined || compareBytes(sst.info.lastEntry as Uint8Array, next) < 0;
    });
    return isDisjoint ? ssts : undefined;
  }

  async #commit({ compaction, work }: { compaction: Compaction; work: Work }, outputs: readonly SstRef[]): Promise<void> {
    const { spec } = compaction;
    const checkpointId = newUuid(this.#context.random);
    const lifetimeMs = this.#parts.settings.compactor.checkpointLifetimeMs;
    await work.context.manifests.update((manifest, id) => {
      this.#checkEpoch(manifest);
      const fault = faultOfSpec(manifest, spec);
      if (fault !== undefined) throw new PumiceError("LSM_INVALID", { what: "the sources changed during the compaction", because: fault });
      const checkpoint = newCheckpoint(this.#context, { lifetimeMs }, { id: checkpointId, manifestId: id });
      return applyCompaction(manifest, { spec, outputs, checkpoints: lifetimeMs > 0 ? [checkpoint] : [] });
    });
  }

  async #setStatus(id: Ulid, status: Compaction["status"], work: Work): Promise<void> {
    await this.#updateFile((all) => all.map((each) => (each.id === id ? { ...each, status } : each)), work);
  }

  /** Changes the list; keeps what is active and the newest of what is finished. */
  async #updateFile(change: (compactions: readonly Compaction[]) => readonly Compaction[], work: Work = this.#all): Promise<void> {
    const abandoned = new Set(this.#abandoned);
    await work.file.update((content) => {
      if (content.compactorEpoch > this.#epoch)
        throw new PumiceError("LSM_FENCED", { epoch: this.#epoch, newerEpoch: content.compactorEpoch });
      const changed = change(content.compactions).map((each) => (abandoned.has(each.id) ? ({ ...each, status: "failed" } as const) : each));
      const newestDone = changed.filter((each) => !isActive(each)).at(-1);
      return { compactorEpoch: this.#epoch, compactions: changed.filter((each) => isActive(each) || each === newestDone) };
    });
    for (const id of abandoned) this.#abandoned.delete(id);
  }

  #checkEpoch(manifest: Manifest): void {
    if (manifest.compactorEpoch > this.#epoch)
      throw new PumiceError("LSM_FENCED", { epoch: this.#epoch, newerEpoch: manifest.compactorEpoch });
  }
}

function sourcesOf(manifest: Manifest, spec: CompactionSpec): { l0: SstRef[]; runs: SortedRun[] } {
  return { l0: manifest.l0.filter((sst) => spec.l0.includes(sst.viewId)), runs: manifest.runs.filter((run) => spec.runs.includes(run.id)) };
}

/** True if nothing older than the sources exists. */
export function isBottom(manifest: Manifest, spec: CompactionSpec): boolean {
  const oldestRun = manifest.runs.at(-1);
  if (oldestRun !== undefined) return spec.runs.includes(oldestRun.id);
  return spec.l0.includes(manifest.l0.at(-1)?.viewId ?? "");
}

/** The manifest after a compaction. */
export function applyCompaction(
  manifest: Manifest,
  result: { spec: CompactionSpec; outputs: readonly SstRef[]; checkpoints: Manifest["checkpoints"] },
): Manifest {
  const { spec, outputs } = result;
  const runs = manifest.runs.filter((run) => !spec.runs.includes(run.id));
  if (outputs.length > 0) runs.push({ id: spec.destination, ssts: outputs });
  return {
    ...manifest,
    l0: manifest.l0.filter((sst) => !spec.l0.includes(sst.viewId)),
    l0LastCompacted: spec.l0[0] ?? manifest.l0LastCompacted,
    runs: runs.sort((left, right) => right.id - left.id),
    checkpoints: [...manifest.checkpoints, ...result.checkpoints],
  };
}
