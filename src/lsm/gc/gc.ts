/**
 * Garbage collection: deletes what no manifest in force, no checkpoint and no compaction under way needs, and nothing that is younger
 * than the minimum age.
 *
 * 1. Expired checkpoints go first, by a put of the manifest.
 * 2. Compactions are read BEFORE manifests: an output that is not in the manifest yet is protected by its compaction (SlateDB #604).
 * 3. SSTs are judged by the time in their ULID: below min(now - age, oldest active compaction, newest L0). So an L0 that is put but not yet
 *    in the manifest is never touched, because ULIDs of L0s never go back.
 * 4. A fence stays for FENCE_AGE_MS at least, whatever the minimum age: a writer that slept could else put its next WAL object where the fence was (SlateDB
 *    #352, #1622). One that slept for longer looks, after its put and before it acknowledges anything, whether there is a newer writer (db/wal-writer.ts).
 * 5. "Now" is the store's own time, as its newest manifest tells it, if the clock here is ahead of it: a clock that jumps a year deletes nothing.
 * 6. In the 0.14 profile a boundary is moved before manifests or compactions files are deleted.
 */
import type { ObjectMeta, ObjectStore } from "../../base/mod.ts";
import { compactionsOf } from "../compaction/compactor.ts";
import type { StoreContext } from "../engine/context.ts";
import type { GcSettings, Profile } from "../engine/settings.ts";
import type { GcReport } from "../engine/status.ts";
import { isActive } from "../format/compactions.ts";
import { isUlid, ulidTimeMs } from "../format/identifiers.ts";
import { allSsts, treesOf, type Checkpoint, type LsmTree, type Manifest } from "../format/manifest.ts";
import { readWal } from "../format/sst-reader.ts";
import { idOf } from "../store/paths.ts";
import { withRetry } from "../store/retry.ts";
import { detachParents } from "./parents.ts";

/** Ten times as long as a writer trusts its last look at the manifest (EPOCH_TRUST_MS in db/wal-writer.ts). */
const FENCE_AGE_MS = 600_000;
/** Fences are smaller than this, whatever codec their writer used; objects with rows are larger, or nearly so. */
const FENCE_BYTES_MAX = 256;

/** One run. @throws STORE_UNAVAILABLE, LSM_CORRUPT, LSM_UNSUPPORTED */
export async function collectGarbage(context: StoreContext, settings: Pick<GcSettings, "minAgeMs">, profile: Profile): Promise<GcReport> {
  return await new Collector(context, settings.minAgeMs, profile).run();
}

function newestL0Time(tree: LsmTree): number {
  const newest = tree.l0[0]?.id ?? tree.l0LastCompacted;
  return newest === undefined ? 0 : ulidTimeMs(newest);
}

class Collector {
  readonly #context: StoreContext;
  readonly #minAgeMs: number;
  readonly #profile: Profile;
  #nowMs = 0;

  constructor(context: StoreContext, minAgeMs: number, profile: Profile) {
    this.#context = context;
    this.#minAgeMs = minAgeMs;
    this.#profile = profile;
  }

  async run(): Promise<GcReport> {
    await this.#context.manifests.refresh();
    await this.#lookAtClock();
    const checkpoints = await this.#expireCheckpoints();
    const oldestJobMs = await this.#oldestJobTime();
    const latest = await this.#context.manifest();
    const kept = new Map<number, Manifest>([[latest.id, latest.value]]);
    for (const checkpoint of latest.value.checkpoints) {
      const version = kept.has(checkpoint.manifestId) ? undefined : await this.#context.manifests.read(checkpoint.manifestId);
      if (version !== undefined) kept.set(version.id, version.value);
    }
    const detached = await detachParents(this.#context, [...kept.values()]);
    const keptIds = new Set([latest.id, ...latest.value.checkpoints.map((checkpoint) => checkpoint.manifestId)]);
    return {
      checkpoints,
      detached,
      ssts: await this.#deleteSsts(latest.value, kept, oldestJobMs),
      wals: await this.#deleteWals(latest.value, kept),
      manifests: await this.#deleteManifests(this.#context.manifests.known?.id ?? latest.id, keptIds),
      compactions: await this.#deleteCompactions(),
    };
  }

  #isOld(lastModifiedMs: number): boolean {
    return this.#isOlder({ lastModifiedMs }, this.#minAgeMs);
  }

  #isOlder({ lastModifiedMs }: Pick<ObjectMeta, "lastModifiedMs">, ageMs: number): boolean {
    return lastModifiedMs < this.#nowMs - ageMs;
  }

  /** Rule 5. */
  async #lookAtClock(): Promise<void> {
    const newestMs = (await this.#context.manifests.list()).reduce((newest, { lastModifiedMs }) => Math.max(newest, lastModifiedMs), 0);
    this.#nowMs = Math.min(this.#context.clock.now(), newestMs);
  }

  async #expireCheckpoints(): Promise<number> {
    const manifest = this.#context.manifests.known?.value;
    const isOver = (checkpoint: Checkpoint, nowMs: number): boolean =>
      checkpoint.expireTimeS !== 0 && checkpoint.expireTimeS * 1000 <= nowMs;
    const localMs = this.#context.clock.now();
    const over = manifest?.checkpoints.filter((checkpoint) => isOver(checkpoint, localMs)) ?? [];
    if (over.length === 0) return 0;
    if (!over.every((checkpoint) => isOver(checkpoint, this.#nowMs))) {
      // The store was idle since, or the clock here is wrong: a put makes the store tell its time.
      await this.#context.manifests.update((latest) => ({ ...latest }));
      await this.#lookAtClock();
    }
    let expired = 0;
    await this.#context.manifests.update((latest) => {
      const alive = latest.checkpoints.filter((checkpoint) => !isOver(checkpoint, this.#nowMs));
      expired = latest.checkpoints.length - alive.length;
      return expired === 0 ? undefined : { ...latest, checkpoints: alive };
    });
    return expired;
  }

  /** Time of the oldest compaction under way: what is younger may be its output. */
  async #oldestJobTime(): Promise<number> {
    const content = (await compactionsOf(this.#context, this.#profile).refresh())?.value;
    return Math.min(Infinity, ...(content?.compactions ?? []).filter(isActive).map((compaction) => ulidTimeMs(compaction.id)));
  }

  async #deleteSsts(latest: Manifest, kept: ReadonlyMap<number, Manifest>, oldestJobMs: number): Promise<number> {
    const used = new Set([...kept.values()].flatMap(allSsts).map((sst) => sst.id));
    // One writer makes the L0s of all segments, so they have one order of time.
    const newestL0Ms = Math.max(0, ...treesOf(latest).map(newestL0Time));
    const limitMs = Math.min(this.#nowMs - this.#minAgeMs, oldestJobMs, newestL0Ms);
    const doomed = await this.#listed(this.#context.store, this.#context.paths.ssts, (meta) => {
      const name = meta.key.slice(this.#context.paths.ssts.length);
      const id = name.endsWith(".sst") ? name.slice(0, -4) : "";
      return isUlid(id) && !used.has(id) && ulidTimeMs(id) < limitMs && this.#isOld(meta.lastModifiedMs);
    });
    return await this.#deleteKeys(
      this.#context.store,
      doomed.map(({ key }) => key),
    );
  }

  async #deleteWals(latest: Manifest, kept: ReadonlyMap<number, Manifest>): Promise<number> {
    const protectedRanges = [...kept.values()].filter((manifest) => manifest !== latest);
    const { wals } = this.#context.paths;
    const doomed = await this.#listed(this.#context.walStore, wals, (meta) => {
      const id = idOf(meta.key, ".sst");
      if (id === undefined || id >= latest.replayAfterWalId || !this.#isOld(meta.lastModifiedMs)) return false;
      return !protectedRanges.some((manifest) => id > manifest.replayAfterWalId && id <= manifest.walIdLastSeen);
    });
    const unneeded: string[] = [];
    for (const meta of doomed) if (this.#isOlder(meta, FENCE_AGE_MS) || !(await this.#isFence(meta))) unneeded.push(meta.key);
    return await this.#deleteKeys(this.#context.walStore, unneeded);
  }

  /** A fence is small; what is small is looked at, once. */
  async #isFence(meta: ObjectMeta): Promise<boolean> {
    if (meta.sizeBytes > FENCE_BYTES_MAX) return false;
    const { fences } = this.#context.shared;
    if (meta.sizeBytes === 0 || fences.has(meta.etag)) return true;
    const bytes = await withRetry(
      this.#context.readPolicy,
      async () => await this.#context.walStore.get(meta.key, { signal: this.#context.signal }),
    );
    const isFence = bytes !== undefined && readWal(bytes, meta.key, this.#context.sealer).length === 0;
    if (isFence) fences.add(meta.etag);
    return isFence;
  }

  async #deleteManifests(latestId: number, keptIds: ReadonlySet<number>): Promise<number> {
    const listed = await this.#context.manifests.list();
    const doomed = listed.filter(({ id, lastModifiedMs }) => id < latestId && !keptIds.has(id) && this.#isOld(lastModifiedMs));
    const last = doomed.at(-1);
    if (last === undefined) return 0;
    if (this.#profile === "0.14") await this.#context.manifests.advanceBoundary(last.id);
    return await this.#deleteKeys(
      this.#context.store,
      doomed.map(({ key }) => key),
    );
  }

  async #deleteCompactions(): Promise<number> {
    const file = compactionsOf(this.#context, this.#profile);
    const listed = await file.list();
    const doomed = listed.slice(0, -1).filter(({ lastModifiedMs }) => this.#isOld(lastModifiedMs));
    const last = doomed.at(-1);
    if (last === undefined) return 0;
    if (this.#profile === "0.14") await file.advanceBoundary(last.id);
    return await this.#deleteKeys(
      this.#context.store,
      doomed.map(({ key }) => key),
    );
  }

  async #listed(store: ObjectStore, prefix: string, isWanted: (meta: ObjectMeta) => boolean): Promise<ObjectMeta[]> {
    return await withRetry(this.#context.readPolicy, async () => {
      const wanted: ObjectMeta[] = [];
      for await (const meta of store.list(prefix, { signal: this.#context.signal })) if (isWanted(meta)) wanted.push(meta);
      return wanted;
    });
  }

  async #deleteKeys(store: ObjectStore, keys: readonly string[]): Promise<number> {
    for (const key of keys)
      await withRetry(this.#context.readPolicy, async () => await store.delete(key, { signal: this.#context.signal }));
    return keys.length;
  }
}
