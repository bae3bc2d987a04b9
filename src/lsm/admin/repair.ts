/**
 * Repair of a damaged store: first a plan, then, if the plan is still true, its steps. Nothing is destroyed: each damaged object that is
 * taken out of the way is copied to `set-aside/` under the root before.
 *
 * What can be mended, and what it costs:
 * 1. A manifest in force that cannot be read: the one before comes into force. What was committed in between is lost.
 * 2. An SST that is missing or damaged: the manifest is made without it. Its rows are lost, and older versions of them may show again.
 * 3. A WAL object that is missing or damaged: it and all after it are taken out. Their rows are lost. (Rows after a hole would be a
 *    history that never was.)
 * 4. A checkpoint whose manifest or SSTs are missing or damaged: it is dropped.
 *
 * All processes that use the store are to be stopped first. A repair claims new epochs all the same: a writer that runs after all is fenced off
 * when it next looks at the manifest, not before. SSTs themselves stay where they are; garbage collection removes them. A repair that
 * stopped on the way is planned and carried out again.
 */
import { isPumiceError, PumiceError } from "../../base/mod.ts";
import type { StoreContext } from "../engine/context.ts";
import { checkOrder } from "../db/replay.ts";
import type { Uuid } from "../format/identifiers.ts";
import { decodeManifest, encodeManifest, type LsmTree, type Manifest, type SstRef } from "../format/manifest.ts";
import { readWal } from "../format/sst-reader.ts";
import { createObject, withRetry } from "../store/retry.ts";
import { nothingLoaded, type Table } from "../store/tables.ts";

/** One thing to be done, and why. */
export type RepairStep =
  | { readonly kind: "set-manifest-aside"; readonly object: string; readonly reason: string }
  | { readonly kind: "drop-checkpoint"; readonly checkpoint: Uuid; readonly reason: string }
  | { readonly kind: "drop-sst"; readonly object: string; readonly viewId: string; readonly reason: string }
  | { readonly kind: "set-wal-aside"; readonly object: string; readonly reason: string };

/** What is to be done to make the store openable. */
export interface RepairPlan {
  /** The manifest that is the base of the repair; undefined if none can be read: then there is nothing to repair with. */
  readonly baseManifestId: number | undefined;
  readonly steps: readonly RepairStep[];
}

/** Looks, and changes nothing. @throws LSM_NOT_FOUND if there is no manifest at all, STORE_UNAVAILABLE, LSM_UNSUPPORTED */
export async function planRepair(context: StoreContext): Promise<RepairPlan> {
  return (await survey(context)).plan;
}

/**
 * Carries out a plan. It can be carried out again if it stopped on the way, with a new plan. @throws LSM_CONTENTION if the store has
 * changed since the plan was made, STORE_UNAVAILABLE
 */
export async function applyRepair(context: StoreContext, plan: RepairPlan): Promise<void> {
  const { plan: now, base } = await survey(context);
  if (JSON.stringify(now) !== JSON.stringify(plan)) {
    throw new PumiceError("LSM_CONTENTION", { what: "the store is not as it was when the repair was planned; plan again" });
  }
  if (base === undefined || plan.steps.length === 0) return;
  for (const step of plan.steps) {
    if (step.kind === "set-manifest-aside") await setAside(context, step.object, context.store);
  }
  const next: Manifest = {
    ...without(base.value, plan.steps),
    writerEpoch: base.value.writerEpoch + 1,
    compactorEpoch: base.value.compactorEpoch + 1,
  };
  const object = { key: context.paths.manifest(base.id + 1), body: encodeManifest(next) };
  if ((await createObject(context.store, context.writePolicy, object)) === "taken") {
    throw new PumiceError("LSM_CONTENTION", { what: "another process has written a manifest meanwhile; plan again", object: object.key });
  }
  // From the last on: what is left if the repair stops on the way has the damaged one as its end, and no hole.
  for (const step of plan.steps.toReversed()) {
    if (step.kind === "set-wal-aside") await setAside(context, step.object, context.walStore);
  }
}

interface Base {
  readonly id: number;
  readonly value: Manifest;
}

async function survey(context: StoreContext): Promise<{ plan: RepairPlan; base: Base | undefined }> {
  const steps: RepairStep[] = [];
  const base = await readableManifest(context, steps);
  if (base !== undefined) {
    const faults = new Map<string, string | undefined>();
    for (const checkpoint of base.value.checkpoints) {
      const reason = await faultOfCheckpoint(context, checkpoint.manifestId, faults);
      if (reason !== undefined) steps.push({ kind: "drop-checkpoint", checkpoint: checkpoint.id, reason });
    }
    for (const table of tablesOf(context, base.value)) {
      const reason = await faultOfTable(table, faults);
      if (reason !== undefined) steps.push({ kind: "drop-sst", object: table.object, viewId: table.ref.viewId, reason });
    }
    await surveyWal(context, base.value, steps);
  }
  return { plan: { baseManifestId: base?.id, steps }, base };
}

/** The newest manifest that can be read; a step for each newer one. */
async function readableManifest(context: StoreContext, steps: RepairStep[]): Promise<Base | undefined> {
  const stored = await context.manifests.list();
  if (stored.length === 0) throw new PumiceError("LSM_NOT_FOUND", { root: context.paths.root });
  const asides: RepairStep[] = [];
  for (const { id, key } of stored.toReversed()) {
    const bytes = await withRetry(context.readPolicy, async () => await context.store.get(key, { signal: context.signal }));
    if (bytes === undefined) continue;
    const reason = await faultIn(async () => void decodeManifest(bytes, key));
    if (reason === undefined) {
      steps.push(...asides);
      return { id, value: decodeManifest(bytes, key) };
    }
    asides.push({ kind: "set-manifest-aside", object: key, reason });
  }
  return undefined;
}

async function faultOfCheckpoint(
  context: StoreContext,
  manifestId: number,
  faults: Map<string, string | undefined>,
): Promise<string | undefined> {
  const key = context.paths.manifest(manifestId);
  const bytes = await withRetry(context.readPolicy, async () => await context.store.get(key, { signal: context.signal }));
  if (bytes === undefined) return `its manifest ${key} is missing`;
  const fault = await faultIn(async () => void decodeManifest(bytes, key));
  if (fault !== undefined) return fault;
  for (const table of tablesOf(context, decodeManifest(bytes, key))) {
    const reason = await faultOfTable(table, faults);
    if (reason !== undefined) return reason;
  }
  return undefined;
}

function tablesOf(context: StoreContext, manifest: Manifest): Table[] {
  const tree = context.treeOf(manifest);
  return [...tree.l0, ...tree.runs.flatMap((run) => run.tables)];
}

/** Why the SST cannot be read to its end; undefined if it can. Each is read once. */
async function faultOfTable(table: Table, faults: Map<string, string | undefined>): Promise<string | undefined> {
  if (faults.has(table.object)) return faults.get(table.object);
  const fault = await faultIn(async () => {
    const loaded = nothingLoaded();
    await table.loadMeta(loaded);
    const blockCount = table.metaNow(loaded)?.index.length ?? 0;
    for (let i = 0; i < blockCount; i++) {
      await table.loadBlocks({ from: i, to: i + 1, isCached: false }, loaded);
      for (const row of table.blockNow(i, loaded)?.rows() ?? []) void row;
      loaded.blocks.clear();
    }
  });
  faults.set(table.object, fault);
  return fault;
}

async function surveyWal(context: StoreContext, manifest: Manifest, steps: RepairStep[]): Promise<void> {
  let expected = manifest.replayAfterWalId + 1;
  let lastSeq = 0;
  let broken: string | undefined;
  for (const { id, key } of await context.walsAfter(manifest.replayAfterWalId)) {
    if (broken === undefined && id !== expected) broken = `${context.paths.wal(expected)} is missing`;
    const reason =
      broken ??
      (await faultIn(async () => {
        const bytes = await withRetry(context.readPolicy, async () => await context.walStore.get(key, { signal: context.signal }));
        lastSeq = checkOrder(readWal(bytes ?? new Uint8Array(0), key, context.sealer), lastSeq, key);
      }));
    if (reason !== undefined) steps.push({ kind: "set-wal-aside", object: key, reason });
    if (reason !== undefined && broken === undefined) broken = `it follows ${key}, which is damaged`;
    expected = id + 1;
  }
}

/** The message of the damage that `look` meets; undefined if it meets none. Anything else is passed on. */
async function faultIn(look: () => Promise<void>): Promise<string | undefined> {
  try {
    await look();
    return undefined;
  } catch (error) {
    if (isPumiceError(error) && error.kind === "corrupt") return error.message;
    throw error;
  }
}

function without(manifest: Manifest, steps: readonly RepairStep[]): Manifest {
  const checkpoints = new Set(steps.flatMap((step) => (step.kind === "drop-checkpoint" ? [step.checkpoint] : [])));
  const views = new Set(steps.flatMap((step) => (step.kind === "drop-sst" ? [step.viewId] : [])));
  const stays = (sst: SstRef): boolean => !views.has(sst.viewId);
  const trimmed = ({ l0, runs }: LsmTree): Pick<LsmTree, "l0" | "runs"> => ({
    l0: l0.filter(stays),
    runs: runs.map((run) => ({ ...run, ssts: run.ssts.filter(stays) })).filter((run) => run.ssts.length > 0),
  });
  return {
    ...manifest,
    checkpoints: manifest.checkpoints.filter((checkpoint) => !checkpoints.has(checkpoint.id)),
    ...trimmed(manifest),
    segments: manifest.segments.map((segment) => ({ ...segment, ...trimmed(segment) })),
  };
}

/** Copies the object below `set-aside/`, then deletes it. */
async function setAside(context: StoreContext, key: string, store: StoreContext["store"]): Promise<void> {
  const root = context.paths.root === "" ? "" : `${context.paths.root}/`;
  const bytes = await withRetry(context.readPolicy, async () => await store.get(key, { signal: context.signal }));
  if (bytes !== undefined) {
    // An id may be set aside twice in the life of a store: the copies are numbered.
    const copy = `${root}set-aside/${key.slice(root.length)}`;
    for (let number = 0; ; number++) {
      const object = { key: number === 0 ? copy : `${copy}.${number}`, body: bytes };
      if ((await createObject(store, context.writePolicy, object)) !== "taken") break;
    }
  }
  await withRetry(context.writePolicy, async () => await store.delete(key, { signal: context.signal }));
}
