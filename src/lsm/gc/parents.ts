/** The end of a clone's hold on its parents: once it uses no SST of a parent any more, the parent may collect them. */
import { allSsts, type ExternalDb, type Manifest } from "../format/manifest.ts";
import { deleteCheckpoint } from "../engine/checkpoints.ts";
import type { StoreContext } from "../engine/context.ts";

/** Deletes the checkpoint by which a clone held the parent, if both are there. */
export async function letGo(parent: StoreContext, { finalCheckpointId: id }: ExternalDb): Promise<void> {
  if (id !== undefined && (await parent.manifests.refresh()) !== undefined) await deleteCheckpoint(parent, id);
}

/** Lets go of parents of which nothing is used any more: their checkpoint goes, then the mention. Gives how many. */
export async function detachParents(context: StoreContext, kept: readonly Manifest[]): Promise<number> {
  const used = new Set(kept.flatMap(allSsts).map((sst) => sst.id));
  const latest = context.manifests.known?.value;
  const idle = (latest?.externalDbs ?? []).filter((db) => !db.sstIds.some((id) => used.has(id)));
  for (const db of idle) await letGo(context.sibling(db.path), db);
  if (idle.length === 0) return 0;
  const paths = new Set(idle.map((db) => db.path));
  await context.manifests.update((manifest) => ({ ...manifest, externalDbs: manifest.externalDbs.filter((db) => !paths.has(db.path)) }));
  return idle.length;
}
