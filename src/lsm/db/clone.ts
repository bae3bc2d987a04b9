/**
 * Clones: a store that begins as another's checkpoint and shares its SSTs. Nothing but WAL objects is copied.
 *
 * Each step can be done again: (1) the child's manifest, not initialized, which says by which checkpoints it holds its parents;
 * (2) those checkpoints, in the parents; (3) the WAL objects of the checkpoint's state; (4) initialized. A clone that stopped on the way
 * goes on from there when it is made again.
 */
import { assert, isPumiceError, PumiceError } from "../../base/mod.ts";
import { newUuid, type Uuid } from "../format/identifiers.ts";
import { allSsts, type ExternalDb, type Manifest } from "../format/manifest.ts";
import { idOf } from "../store/paths.ts";
import { letGo } from "../gc/parents.ts";
import { createObject, withRetry } from "../store/retry.ts";
import { createCheckpoint } from "../engine/checkpoints.ts";
import { StoreContext } from "../engine/context.ts";
import { LSM_DEFAULTS, type LsmComponents, type WaitOptions } from "../engine/settings.ts";

/** How to clone. */
export interface CloneOptions extends WaitOptions {
  /** The state to begin with; undefined: the latest flushed to L0 or WAL. */
  readonly checkpoint?: Uuid | undefined;
}

/** How long the parent keeps the state while the clone is being made. */
const SOURCE_LIFETIME_MS = 300_000;

/** Makes the store under `childRoot` a clone of the one under `parentRoot`, in the same object store. @throws LSM_NOT_FOUND, LSM_CHECKPOINT_NOT_FOUND, LSM_INVALID */
export async function cloneStore(
  parentRoot: string,
  childRoot: string,
  components: LsmComponents,
  options: CloneOptions = {},
): Promise<void> {
  const parent = StoreContext.of(parentRoot, components, LSM_DEFAULTS).scoped(options.signal);
  const child = StoreContext.of(childRoot, components, LSM_DEFAULTS).scoped(options.signal);
  // The parent first: if its place cannot be reached, nothing is begun.
  await parent.manifests.refresh();
  const started = await child.manifests.refresh();
  if (started === undefined) await child.manifests.create(await newDraft(parent, child, options));
  const draft = (await child.manifest()).value;
  const link = draft.externalDbs.find((db) => db.path === parent.paths.root);
  if (link === undefined) throw new PumiceError("LSM_INVALID", { what: "there is another store already", root: child.paths.root });
  if (draft.initialized) return;
  try {
    await finishClone(parent, child, draft);
  } catch (error) {
    const isGone = isPumiceError(error, "LSM_CHECKPOINT_NOT_FOUND") || isPumiceError(error, "LSM_MISSING");
    if (started === undefined || options.checkpoint !== undefined || !isGone) throw error;
    // The state with which an attempt began long ago has gone from the parent: the latest one will do as well.
    const anew = await newDraft(parent, child, options);
    await child.manifests.update((manifest) => (isSameDraft(manifest, draft) ? anew : undefined));
    await finishClone(parent, child, anew);
    for (const external of draft.externalDbs) await letGo(child.sibling(external.path), external);
  }
}

async function finishClone(parent: StoreContext, child: StoreContext, draft: Manifest): Promise<void> {
  for (const external of draft.externalDbs) await holdParent(external, child);
  await copyWal(parent, child, draft);
  await child.manifests.update((manifest) => {
    if (manifest.initialized) return undefined;
    if (!isSameDraft(manifest, draft))
      throw new PumiceError("LSM_INVALID", {
        what: "another process began the clone anew meanwhile; make it again",
        root: child.paths.root,
      });
    return { ...manifest, initialized: true };
  });
}

/** True if both began with the same state, and neither is finished. */
function isSameDraft(left: Manifest, right: Manifest): boolean {
  const holds = ({ externalDbs }: Manifest): string => externalDbs.map(({ finalCheckpointId }) => finalCheckpointId).join(" ");
  return !left.initialized && !right.initialized && holds(left) === holds(right);
}

/** What a clone's first manifest says. */
async function newDraft(parent: StoreContext, child: StoreContext, options: CloneOptions): Promise<Manifest> {
  const latest = await parent.manifest();
  const source =
    options.checkpoint === undefined
      ? await createCheckpoint(parent, { lifetimeMs: SOURCE_LIFETIME_MS })
      : latest.value.checkpoints.find((checkpoint) => checkpoint.id === options.checkpoint);
  if (source === undefined) throw new PumiceError("LSM_CHECKPOINT_NOT_FOUND", { checkpoint: options.checkpoint });
  const version = await parent.manifests.read(source.manifestId);
  if (version === undefined) throw new PumiceError("LSM_MISSING", { object: parent.paths.manifest(source.manifestId) });
  if (!version.value.initialized)
    throw new PumiceError("LSM_INVALID", { what: "the parent is itself a clone that is not finished", root: parent.paths.root });
  const state = version.value;
  const borrowed = new Set(state.externalDbs.flatMap((db) => db.sstIds));
  const own = allSsts(state)
    .map((sst) => sst.id)
    .filter((id) => !borrowed.has(id));
  const inherited = state.externalDbs.map((db) => ({
    ...db,
    sourceCheckpointId: db.finalCheckpointId ?? db.sourceCheckpointId,
    finalCheckpointId: newUuid(parent.random),
  }));
  const link: ExternalDb = {
    path: parent.paths.root,
    sourceCheckpointId: source.id,
    finalCheckpointId: newUuid(parent.random),
    sstIds: own,
  };
  return {
    ...state,
    externalDbs: [...inherited, link],
    initialized: false,
    writerEpoch: 0,
    compactorEpoch: 0,
    checkpoints: [],
    // A checkpoint of the latest state would know the WAL only as far as the last flush of a memtable did.
    walIdLastSeen: options.checkpoint === undefined ? await lastWalId(parent, state) : state.walIdLastSeen,
    walStoreUri: child.hasOwnWalStore ? "" : undefined,
  };
}

/** The last object of the parent's WAL, as far as it goes on without a gap. */
async function lastWalId(parent: StoreContext, state: Manifest): Promise<number> {
  return await withRetry(parent.readPolicy, async () => {
    let last = state.replayAfterWalId;
    for await (const meta of parent.walStore.list(parent.paths.wals, { startAfter: parent.paths.wal(last) })) {
      const id = idOf(meta.key, ".sst");
      if (id === last + 1) last = id;
    }
    return Math.max(last, state.walIdLastSeen);
  });
}

/** Makes the checkpoint by which a clone holds the SSTs of a parent. */
async function holdParent(external: ExternalDb, child: StoreContext): Promise<void> {
  const id = external.finalCheckpointId;
  assert(id !== undefined, "a clone names the checkpoint by which it holds its parent");
  const parent = child.sibling(external.path);
  await parent.manifest();
  await createCheckpoint(parent, { id, source: external.sourceCheckpointId });
}

async function copyWal(parent: StoreContext, child: StoreContext, draft: Manifest): Promise<void> {
  for (let id = draft.replayAfterWalId + 1; id <= draft.walIdLastSeen; id++) {
    const from = parent.paths.wal(id);
    const body = await withRetry(parent.readPolicy, async () => await parent.walStore.get(from, { signal: parent.signal }));
    if (body === undefined) throw new PumiceError("LSM_MISSING", { object: from });
    await createObject(child.walStore, child.writePolicy, { key: child.paths.wal(id), body });
  }
}
