/** What an administrator lets run, or asks once: a compactor and a collector apart from the writer, the end of a store, sequence numbers and times. */
import { isPumiceError, PumiceError } from "../../base/mod.ts";
import { Compactor } from "../compaction/compactor.ts";
import { InlineExecutor } from "../compaction/executor.ts";
import { SizeTieredPicker } from "../compaction/picker.ts";
import { detachParents } from "../gc/parents.ts";
import type { StoreContext } from "../engine/context.ts";
import { profileOf } from "../db/open.ts";
import { COMPACTOR_DEFAULTS, type LsmSettings, type Profile } from "../engine/settings.ts";
import type { TrackedPoint } from "../format/sequence-tracker.ts";
import { collectGarbage } from "../gc/gc.ts";
import { withRetry } from "../store/retry.ts";

/** A compactor of its own, not started. It merges where the components say, else on this thread. */
export function standaloneCompactor(context: StoreContext, settings: LsmSettings, profile: Profile): Compactor {
  const complete = { ...settings, compactor: settings.compactor ?? COMPACTOR_DEFAULTS };
  const { compactionExecutor, compactionFilter, compactionPicker } = context.shared.components;
  return new Compactor({
    context,
    settings: complete,
    profile,
    picker: compactionPicker ?? new SizeTieredPicker(complete.compactor),
    executor:
      compactionFilter === undefined && compactionExecutor !== undefined
        ? compactionExecutor
        : new InlineExecutor(context, { filter: compactionFilter }),
  });
}

/** Compacts until the context's signal aborts, which is no error. @throws LSM_FENCED when another compactor took over, LSM_NOT_FOUND */
export async function serveCompactor(context: StoreContext, make: () => Promise<Compactor>): Promise<void> {
  try {
    const compactor = await make();
    await compactor.start();
    const halt = (): void => compactor.halt();
    context.signal.addEventListener("abort", halt, { once: true });
    try {
      await compactor.run();
    } finally {
      context.signal.removeEventListener("abort", halt);
      await compactor.stop();
    }
  } catch (error) {
    if (!context.signal.aborted) throw error;
  }
}

/** Collects garbage now and then until the context's signal aborts, which is no error. What the store does not answer is tried at the next turn. */
export async function serveCollector(
  context: StoreContext,
  settings: { readonly intervalMs: number; readonly minAgeMs: number; readonly profile: Profile | undefined },
): Promise<void> {
  try {
    const profile = settings.profile ?? (await profileOf(context));
    for (;;) {
      try {
        await collectGarbage(context, settings, profile);
      } catch (error) {
        if (!isPumiceError(error, "STORE_UNAVAILABLE")) throw error;
      }
      await context.clock.sleep(settings.intervalMs, { signal: context.signal });
    }
  } catch (error) {
    if (!context.signal.aborted) throw error;
  }
}

/**
 * Deletes a store's objects. Writer and compactor are fenced off first; manifests go last and in their order, so that what an end on the way leaves
 * can be found, and deleted by another call. Gives how many there were. @throws LSM_NOT_FOUND; LSM_INVALID if checkpoints hold it
 */
export async function destroyStore(context: StoreContext, options: { readonly evenWithCheckpoints: boolean }): Promise<number> {
  const { value } = await context.manifest();
  const nowS = context.clock.now() / 1000;
  const held = value.checkpoints.filter(({ expireTimeS }) => expireTimeS === 0 || expireTimeS > nowS);
  if (held.length > 0 && !options.evenWithCheckpoints) {
    throw new PumiceError("LSM_INVALID", { what: "checkpoints hold the store: a reader or a clone may need it", checkpoints: held.length });
  }
  await context.manifests.update((manifest) => ({
    ...manifest,
    writerEpoch: manifest.writerEpoch + 1,
    compactorEpoch: manifest.compactorEpoch + 1,
  }));
  // A clone lets go of its parents: nobody else would.
  await detachParents(context, []);
  const { paths, store, walStore } = context;
  let count = await deleteAll(context, walStore, paths.wals);
  for (const folder of [paths.ssts, paths.compactions]) count += await deleteAll(context, store, folder);
  for (const kind of ["compactions", "manifest"] as const) await deleteOne(context, store, paths.boundary(kind));
  count += await deleteAll(context, store, paths.manifests);
  context.manifests.forget();
  return count;
}

async function deleteAll(context: StoreContext, store: StoreContext["store"], prefix: string): Promise<number> {
  const keys = await withRetry(context.readPolicy, async () => {
    const found: string[] = [];
    for await (const { key } of store.list(prefix, { signal: context.signal })) found.push(key);
    return found;
  });
  for (const key of keys) await deleteOne(context, store, key);
  return keys.length;
}

async function deleteOne(context: StoreContext, store: StoreContext["store"], key: string): Promise<void> {
  await withRetry(context.readPolicy, async () => await store.delete(key, { signal: context.signal }));
}

/** The point at, or next before (after) `value`; undefined if there is none on that side. */
export function nearestPoint(
  points: readonly TrackedPoint[],
  by: keyof TrackedPoint,
  where: { readonly value: number; readonly round: "down" | "up" },
): TrackedPoint | undefined {
  return where.round === "down" ? points.findLast((point) => point[by] <= where.value) : points.find((point) => point[by] >= where.value);
}
