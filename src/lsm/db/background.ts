/** What goes on beside an open store: the flush interval, looking at the manifest, compaction, garbage collection. */
import { isPumiceError, PumiceError } from "../../base/mod.ts";
import { Compactor } from "../compaction/compactor.ts";
import { InlineExecutor } from "../compaction/executor.ts";
import { SizeTieredPicker } from "../compaction/picker.ts";
import type { CompactionExecutor } from "../engine/compaction.ts";
import type { CompactorStats, GcReport } from "../engine/status.ts";
import { collectGarbage } from "../gc/gc.ts";
import type { StoreContext } from "../engine/context.ts";
import type { GcTotals } from "../engine/metrics.ts";
import { COMPACTOR_DEFAULTS, GC_DEFAULTS, type LsmSettings, type Profile } from "../engine/settings.ts";

/** What the background tells the store. */
export interface BackgroundHooks {
  /** @throws LSM_FENCED */
  checkEpoch(): void;
  flushWal(): void;
  onFailure(error: unknown): void;
}

/** An idle store looks at its manifest less and less often, down to this. */
const IDLE_POLL_MS_MAX = 30_000;

/** A compactor that was taken over claims the next epoch after this. */
const COMPACTOR_RETURN_MS = 30_000;

/** See the header of this file. */
export class Background {
  readonly #context: StoreContext;
  readonly #settings: LsmSettings;
  readonly #profile: Profile;
  readonly #hooks: BackgroundHooks;
  readonly #tasks: Promise<void>[] = [];
  readonly #stopper = new AbortController();
  #compactor: Compactor | undefined;
  #flushTimer: Promise<void> | undefined;
  #writes = 0;
  #compactionError: PumiceError | undefined;
  #gcError: PumiceError | undefined;
  #flushError: PumiceError | undefined;
  #collected: GcTotals = { runs: 0, checkpoints: 0, detached: 0, manifests: 0, compactions: 0, wals: 0, ssts: 0 };

  constructor(parts: { context: StoreContext; settings: LsmSettings; profile: Profile }, hooks: BackgroundHooks) {
    this.#context = parts.context;
    this.#settings = parts.settings;
    this.#profile = parts.profile;
    this.#hooks = hooks;
  }

  /** What failed last in compaction, collection, or merging at a flush; undefined when it has gone well since. */
  get failure(): PumiceError | undefined {
    return this.#compactionError ?? this.#gcError ?? this.#flushError;
  }

  /** What failed last in compaction alone. */
  get compactionFailure(): PumiceError | undefined {
    return this.#compactionError;
  }

  /** What collection has deleted. */
  get gcTotals(): GcTotals {
    return this.#collected;
  }

  get compactorStats(): CompactorStats | undefined {
    return this.#compactor?.stats;
  }

  /** Starts everything. @throws LSM_UNSUPPORTED, STORE_UNAVAILABLE */
  async start(): Promise<void> {
    if (this.#settings.compactor !== undefined) {
      this.#spawn(this.#runCompactor(await this.#firstCompactor()), "compactor");
    }
    this.#spawn(this.#pollManifest(), "poll");
    if (this.#settings.gc !== undefined) this.#spawn(this.#runGc(this.#settings.gc.intervalMs), "gc");
  }

  /** A write happened: it leaves with the flush interval. */
  onWrite(): void {
    this.#writes++;
    const { flushIntervalMs } = this.#settings;
    if (this.#flushTimer !== undefined || flushIntervalMs === undefined) return;
    this.#flushTimer = this.#sleep(flushIntervalMs).then((isStopped) => {
      this.#flushTimer = undefined;
      if (!isStopped) this.#hooks.flushWal();
    });
  }

  notifyCompactor(): void {
    this.#compactor?.notify();
  }

  /** A flush has built an SST; `failure` is what the merge operator failed of on the way. */
  noteFlush(failure: unknown): void {
    this.#flushError = asFailure("flush", failure);
  }

  /** Merges all there is into one run. */
  async compactAll(signal: AbortSignal | undefined): Promise<void> {
    const embedded = this.#compactor;
    const compactor = embedded ?? this.#newCompactor(this.#context.scoped(signal));
    if (embedded === undefined) await compactor.start();
    await compactor.compactAll(signal);
  }

  async collectGarbage(minAgeMs: number | undefined, signal?: AbortSignal): Promise<GcReport> {
    const ageMs = minAgeMs ?? this.#settings.gc?.minAgeMs ?? GC_DEFAULTS.minAgeMs;
    const report = await collectGarbage(this.#context.scoped(signal), { minAgeMs: ageMs }, this.#profile);
    const total = this.#collected;
    this.#collected = {
      runs: total.runs + 1,
      checkpoints: total.checkpoints + report.checkpoints,
      detached: total.detached + report.detached,
      manifests: total.manifests + report.manifests,
      compactions: total.compactions + report.compactions,
      wals: total.wals + report.wals,
      ssts: total.ssts + report.ssts,
    };
    return report;
  }

  /** Lets nothing begin any more. Idempotent. */
  halt(): void {
    if (!this.#stopper.signal.aborted) this.#stopper.abort();
    this.#compactor?.halt();
  }

  /** Ends everything and waits for it. Idempotent. */
  async stop(): Promise<void> {
    this.halt();
    await this.#compactor?.stop();
    await Promise.all([...this.#tasks, this.#flushTimer]);
  }

  #newCompactor(context: StoreContext = this.#context): Compactor {
    const settings = { ...this.#settings, compactor: this.#settings.compactor ?? COMPACTOR_DEFAULTS };
    const chosen = this.#context.shared.components;
    const inline = new InlineExecutor(context, { filter: chosen.compactionFilter });
    return new Compactor({
      context,
      settings,
      profile: this.#profile,
      onEnd: (error) => {
        if (!this.#context.signal.aborted) this.#compactionError = asFailure("compaction", error);
      },
      picker: chosen.compactionPicker ?? new SizeTieredPicker(settings.compactor),
      executor: chosen.compactionFilter === undefined ? eitherExecutor(chosen.compactionExecutor, inline) : inline,
    });
  }

  /** Waits; true if the store ended meanwhile. */
  async #sleep(ms: number): Promise<boolean> {
    try {
      await this.#context.clock.sleep(ms, { signal: this.#stopper.signal });
    } catch {
      // The signal's reason: the store is closing.
    }
    return this.#stopper.signal.aborted || this.#context.signal.aborted;
  }

  /** Another compactor, a tool perhaps, may take over: after a while this one comes back, so that L0 never stays full. */
  async #runCompactor(first: Compactor | undefined): Promise<void> {
    for (let compactor = first; ; compactor = undefined) {
      try {
        compactor ??= await this.#startCompactor();
        await compactor.run();
        return;
      } catch (error) {
        // While it ran, or while it took over from another that took over: either way it comes back.
        if (!isPumiceError(error, "LSM_FENCED") || (await this.#sleep(COMPACTOR_RETURN_MS))) throw error;
      }
    }
  }

  /** Undefined if another compactor, a tool perhaps, took over while this one began: no reason not to open. */
  async #firstCompactor(): Promise<Compactor | undefined> {
    try {
      return await this.#startCompactor();
    } catch (error) {
      if (isPumiceError(error, "LSM_FENCED")) return undefined;
      throw error;
    }
  }

  async #startCompactor(): Promise<Compactor> {
    const compactor = this.#newCompactor();
    await compactor.start();
    this.#compactor = compactor;
    // The store may have been closed meanwhile, and have stopped the one before.
    if (this.#stopper.signal.aborted) await compactor.stop();
    return compactor;
  }

  async #pollManifest(): Promise<void> {
    let intervalMs = this.#settings.manifestPollMs;
    let seenWrites = this.#writes;
    while (!(await this.#sleep(intervalMs))) {
      await this.#context.manifests.refresh();
      this.#hooks.checkEpoch();
      intervalMs =
        this.#writes === seenWrites ? Math.min(Math.max(IDLE_POLL_MS_MAX, intervalMs), intervalMs * 2) : this.#settings.manifestPollMs;
      seenWrites = this.#writes;
    }
  }

  async #runGc(intervalMs: number): Promise<void> {
    let collectedId = 0;
    while (!(await this.#sleep(intervalMs))) {
      const id = this.#context.manifests.known?.id ?? 0;
      const hasCheckpoints = (this.#context.manifests.known?.value.checkpoints.length ?? 0) > 0;
      // What was too young at the last run may be old enough now: a run without deletions ends it.
      if (id === collectedId && !hasCheckpoints) continue;
      try {
        const report = await this.collectGarbage(undefined);
        if (report.manifests + report.ssts + report.wals + report.compactions === 0) collectedId = id;
        this.#gcError = undefined;
      } catch (error) {
        // Garbage that cannot be collected is no reason to stop: it is told, and tried again.
        if (!isPumiceError(error)) throw error;
        this.#gcError = error;
      }
    }
  }

  /** A task that fails takes the store with it, except for what concerns only compaction or collection. */
  #spawn(task: Promise<void>, name: "compactor" | "poll" | "gc"): void {
    this.#tasks.push(
      task.catch((error: unknown) => {
        if (this.#stopper.signal.aborted || this.#context.signal.aborted) return;
        // Another compactor took over: the store goes on without its own.
        if (name !== "poll" && isPumiceError(error, "LSM_FENCED")) return;
        this.#hooks.onFailure(error);
      }),
    );
  }
}

/** `elsewhere` for the jobs that it takes. */
function eitherExecutor(elsewhere: CompactionExecutor | undefined, inline: CompactionExecutor): CompactionExecutor {
  if (elsewhere?.takes === undefined) return elsewhere ?? inline;
  return { run: async (job, ...rest) => await (elsewhere.takes?.(job) === false ? inline : elsewhere).run(job, ...rest) };
}

/** What a compaction or flush failed of, in our words: a user's merge operator or filter may throw anything. */
function asFailure(name: string, error: unknown): PumiceError | undefined {
  if (error === undefined || isPumiceError(error)) return error;
  return new PumiceError("WORKER_FAILED", { name, reason: error instanceof Error ? error.message : typeof error }, error);
}
