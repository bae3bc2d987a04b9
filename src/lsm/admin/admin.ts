/** Looking after a store without opening it for writing: what its files say, checkpoints, compaction, garbage collection, checks. */
import { PumiceError } from "../../base/mod.ts";
import { compactionsOf } from "../compaction/compactor.ts";
import { createCheckpoint, deleteCheckpoint, refreshCheckpoint, type CheckpointOptions } from "../engine/checkpoints.ts";
import { StoreContext } from "../engine/context.ts";
import { completeSettings, GC_DEFAULTS, type LsmComponents, type LsmOptions, type Profile, type WaitOptions } from "../engine/settings.ts";
import { profileOf } from "../db/open.ts";
import type { Compaction, Compactions, CompactionSpec } from "../format/compactions.ts";
import type { Ulid, Uuid } from "../format/identifiers.ts";
import { allSsts, type Checkpoint, type Manifest, type SstRef } from "../format/manifest.ts";
import { decodeTracker, type TrackedPoint } from "../format/sequence-tracker.ts";
import type { SstStats } from "../format/sst-info.ts";
import { readFooter, type SstFooter } from "../format/sst-reader.ts";
import type { GcReport } from "../engine/status.ts";
import { collectGarbage } from "../gc/gc.ts";
import { withRetry } from "../store/retry.ts";
import type { Table } from "../store/tables.ts";
import { applyRepair, planRepair, type RepairPlan } from "./repair.ts";
import { destroyStore, nearestPoint, serveCollector, serveCompactor, standaloneCompactor } from "./services.ts";
import { verifyStore, type VerifyReport } from "./verify.ts";

/** A stored version of a manifest or compactions file. */
export interface StoredVersion {
  readonly id: number;
  readonly key: string;
  readonly lastModifiedMs: number;
}

/** An SST as its own file describes it. */
export interface SstDescription extends SstFooter {
  readonly id: Ulid;
  readonly sizeBytes: number;
  readonly stats: SstStats | undefined;
  /** Whether the manifest in force uses it. */
  readonly isUsed: boolean;
}

/** See the header of this file. */
export class Admin {
  readonly #context: StoreContext;
  readonly #options: LsmOptions;

  constructor(root: string, components: LsmComponents, options: LsmOptions = {}) {
    this.#options = options;
    this.#context = StoreContext.of(root, components, completeSettings(options));
  }

  /** Stored manifests, ascending. */
  async listManifests(options: WaitOptions = {}): Promise<StoredVersion[]> {
    return await this.#scoped(options).manifests.list();
  }

  /** A manifest: of that id, or the one in force. @throws LSM_NOT_FOUND */
  async readManifest(id?: number, options: WaitOptions = {}): Promise<{ readonly id: number; readonly value: Manifest }> {
    const { manifests, paths } = this.#scoped(options);
    const version = id === undefined ? await manifests.refresh() : await manifests.read(id);
    if (version === undefined) throw new PumiceError("LSM_NOT_FOUND", { root: paths.root, manifest: id });
    return version;
  }

  /** Stored compactions files, ascending. */
  async listCompactions(options: WaitOptions = {}): Promise<StoredVersion[]> {
    return await compactionsOf(this.#scoped(options), "0.12").list();
  }

  /** A compactions file: of that id, or the one in force; undefined if there is none. */
  async readCompactions(id?: number, options: WaitOptions = {}): Promise<{ readonly id: number; readonly value: Compactions } | undefined> {
    const file = compactionsOf(this.#scoped(options), "0.12");
    return id === undefined ? await file.refresh() : await file.read(id);
  }

  /** A compaction of the file in force; undefined if it is not listed there. */
  async readCompaction(id: Ulid, options: WaitOptions = {}): Promise<Compaction | undefined> {
    return (await this.readCompactions(undefined, options))?.value.compactions.find((compaction) => compaction.id === id);
  }

  /** Checkpoints, of that name if one is given. */
  async listCheckpoints(name?: string, options: WaitOptions = {}): Promise<readonly Checkpoint[]> {
    const { value } = await this.readManifest(undefined, options);
    return value.checkpoints.filter((checkpoint) => name === undefined || checkpoint.name === name);
  }

  /** A checkpoint of the latest state that is in the store, or of another checkpoint's. */
  async createCheckpoint(options: CheckpointOptions & WaitOptions = {}): Promise<Checkpoint> {
    await this.readManifest(undefined, options);
    return await createCheckpoint(this.#scoped(options), options);
  }

  /** @throws LSM_CHECKPOINT_NOT_FOUND */
  async refreshCheckpoint(id: Uuid, lifetimeMs: number | undefined, options: WaitOptions = {}): Promise<Checkpoint> {
    await this.readManifest(undefined, options);
    return await refreshCheckpoint(this.#scoped(options), id, lifetimeMs);
  }

  /** Deletes a checkpoint. */
  async deleteCheckpoint(id: Uuid, options: WaitOptions = {}): Promise<void> {
    await this.readManifest(undefined, options);
    await deleteCheckpoint(this.#scoped(options), id);
  }

  /** What an SST's own footer says. @throws LSM_NOT_FOUND, LSM_CORRUPT */
  async describeSst(id: Ulid, options: WaitOptions = {}): Promise<SstDescription> {
    const context = this.#scoped(options);
    const { value } = await this.readManifest(undefined, options);
    const ref = allSsts(value).find((sst) => sst.id === id);
    const key = ref === undefined ? context.paths.sst(id) : tableOf(context, value, ref).object;
    const bytes = await withRetry(context.readPolicy, async () => await context.store.get(key, { signal: context.signal }));
    if (bytes === undefined) throw new PumiceError("LSM_NOT_FOUND", { object: key });
    const footer = readFooter(bytes, key, context.sealer);
    const own: SstRef = { id, viewId: id, ...footer, visibleRange: undefined };
    const table = context.treeOf({ ...value, l0: [own], runs: [], segments: [] }).l0[0];
    return { ...footer, id, sizeBytes: bytes.length, stats: await table?.stats(), isUsed: ref !== undefined };
  }

  /** The points at which sequence numbers and times are known together. */
  async timeline(options: WaitOptions = {}): Promise<TrackedPoint[]> {
    const { id, value } = await this.readManifest(undefined, options);
    return decodeTracker(value.sequenceTracker, this.#context.paths.manifest(id));
  }

  /** One run of garbage collection. */
  async collectGarbage(minAgeMs: number, profile?: Profile, options: WaitOptions = {}): Promise<GcReport> {
    const context = this.#scoped(options);
    return await collectGarbage(context, { minAgeMs }, profile ?? (await profileOf(context)));
  }

  /**
   * Claims the compactor's epoch and merges: everything into one run, what the picker asks for, or what is named. A compactor that runs elsewhere is fenced
   * off. @throws LSM_INVALID if what is named cannot be merged
   */
  async compact(how: "everything" | "tiered" | CompactionSpec, profile?: Profile, options: WaitOptions = {}): Promise<void> {
    const context = this.#scoped(options);
    const compactor = standaloneCompactor(context, completeSettings(this.#options), profile ?? (await profileOf(context)));
    await compactor.start();
    if (how === "everything") await compactor.compactAll();
    else if (how === "tiered") await compactor.drain();
    else await compactor.compact(how);
    await compactor.stop();
  }

  /** Compacts for a writer that has no compactor, until the signal aborts; that is no error. @throws LSM_FENCED when another compactor took over */
  async runCompactor(options: { readonly signal: AbortSignal; readonly profile?: Profile }): Promise<void> {
    const context = this.#scoped(options);
    await serveCompactor(context, async () => {
      return standaloneCompactor(context, completeSettings(this.#options), options.profile ?? (await profileOf(context)));
    });
  }

  /** Collects garbage at intervals, until the signal aborts; that is no error. */
  async runGarbageCollector(options: { readonly signal: AbortSignal; readonly profile?: Profile }): Promise<void> {
    const { intervalMs, minAgeMs } = completeSettings(this.#options).gc ?? GC_DEFAULTS;
    await serveCollector(this.#scoped(options), { intervalMs, minAgeMs, profile: options.profile });
  }

  /** Deletes the store: gives how many objects it had. A writer that has it open is fenced off. @throws LSM_NOT_FOUND; LSM_INVALID if checkpoints hold it */
  async destroy(options: WaitOptions & { readonly evenWithCheckpoints?: boolean } = {}): Promise<number> {
    return await destroyStore(this.#scoped(options), { evenWithCheckpoints: options.evenWithCheckpoints === true });
  }

  /** When `seq` was the newest sequence number, as far as is known: the point at or next to it. Points are a minute or more apart. */
  async timeOf(seq: number, options: WaitOptions & { readonly round?: "down" | "up" } = {}): Promise<TrackedPoint | undefined> {
    return nearestPoint(await this.timeline(options), "seq", { value: seq, round: options.round ?? "down" });
  }

  /** The newest sequence number at that time (ms since 1970), as far as is known: the point at or next to it. */
  async seqAt(timeMs: number, options: WaitOptions & { readonly round?: "down" | "up" } = {}): Promise<TrackedPoint | undefined> {
    return nearestPoint(await this.timeline(options), "timeS", { value: timeMs / 1000, round: options.round ?? "down" });
  }

  /** Checks every checksum and every invariant that the files can show. */
  async verify(options: WaitOptions = {}): Promise<VerifyReport> {
    return await verifyStore(this.#scoped(options));
  }

  /** What would have to be done to a damaged store. Changes nothing. @throws LSM_NOT_FOUND */
  async planRepair(options: WaitOptions = {}): Promise<RepairPlan> {
    return await planRepair(this.#scoped(options));
  }

  /** Carries out a plan that was made by `planRepair` and shown. @throws LSM_CONTENTION if the store has changed since */
  async repair(plan: RepairPlan, options: WaitOptions = {}): Promise<void> {
    await applyRepair(this.#scoped(options), plan);
  }

  #scoped(options: WaitOptions): StoreContext {
    return this.#context.scoped(options.signal);
  }
}

function tableOf(context: StoreContext, manifest: Manifest, ref: SstRef): Table {
  const tree = context.treeOf(manifest);
  const found = [...tree.l0, ...tree.runs.flatMap((run) => run.tables)].find((table) => table.ref.viewId === ref.viewId);
  if (found === undefined) throw new PumiceError("LSM_NOT_FOUND", { sst: ref.id });
  return found;
}
