/**
 * Opening for writing: claim an epoch, fence the WAL, replay it.
 *
 * 1. After the claim, no older writer changes the manifest; after the fence, none puts a WAL object before it. So the range to replay,
 *    (replayAfterWalId, fence), is final when it is read.
 * 2. Timestamps never make replay fail: their maximum is taken. What can only be damage is refused: a gap in ids, a bad checksum, sequence
 *    numbers that go back or repeat from one object to the next.
 */
import { assert, EMPTY_BYTES, PumiceError } from "../../base/mod.ts";
import { allSsts, emptyManifest, type Manifest } from "../format/manifest.ts";
import { decodeTracker, SequenceTracker } from "../format/sequence-tracker.ts";
import { encodeFence } from "../format/sst-writer.ts";
import { idOf } from "../store/paths.ts";
import { createObject, withRetry } from "../store/retry.ts";
import { checkWritable, type StoreContext } from "../engine/context.ts";
import type { FrozenMemtable } from "./flusher.ts";
import { Memtable } from "./memtable.ts";
import { replayWal, type WalObject } from "./replay.ts";
import type { Profile } from "../engine/settings.ts";

/** What opening found and made. */
export interface Opened {
  readonly manifest: Manifest;
  readonly profile: Profile;
  readonly epoch: number;
  /** The fence's id: the next WAL object gets the one after it. */
  readonly fenceId: number;
  readonly memtable: Memtable;
  /** Oldest first. */
  readonly frozen: readonly FrozenMemtable[];
  /** The highest sequence number of all rows. */
  readonly lastSeq: number;
  /** The highest stamp of all rows. */
  readonly lastTick: number;
  readonly tracker: SequenceTracker;
  readonly replayedRows: number;
}

/** Claims that somebody else's manifest may follow at once, before opening gives up. */
const CLAIMS_MAX = 100;
/** WAL objects read at a time. */
const PREFETCH = 4;

/** Opens the store, making it if there is none. @throws LSM_CORRUPT, LSM_MISSING, LSM_UNSUPPORTED, LSM_SEGMENTED, LSM_DOWNGRADE, LSM_INVALID, LSM_CONTENTION, and LSM_FENCED if another opens it meanwhile */
export async function openForWriting(context: StoreContext, wanted: { compat: Profile | undefined; l0SstBytes: number }): Promise<Opened> {
  for (let attempt = 0; attempt < CLAIMS_MAX; attempt++) {
    const opened = await claimAndReplay(context, wanted);
    if (opened !== undefined) return opened;
  }
  throw new PumiceError("LSM_CONTENTION", { root: context.paths.root, attempts: CLAIMS_MAX });
}

/** Undefined if it must be done again: then only an epoch and a fence have been spent. */
async function claimAndReplay(
  context: StoreContext,
  wanted: { compat: Profile | undefined; l0SstBytes: number },
): Promise<Opened | undefined> {
  const before = await loadOrCreate(context);
  checkWritable(before, context.paths.root);
  if (!before.initialized)
    throw new PumiceError("LSM_INVALID", { what: "the clone is not finished; make it again", root: context.paths.root });
  if (before.fileVersion === 1 && (before.walStoreUri !== undefined) !== context.hasOwnWalStore) {
    throw new PumiceError("LSM_INVALID", { what: "the WAL is in another store than the manifest says", root: context.paths.root });
  }
  const wals = await listWals(context, before.replayAfterWalId);
  const profile = await chooseProfile(context, { manifest: before, wals, compat: wanted.compat });
  const claimed = await context.manifests.update(
    (manifest) => ({ ...manifest, writerEpoch: manifest.writerEpoch + 1, walStoreUri: context.hasOwnWalStore ? "" : undefined }),
    { isClaim: true },
  );
  const epoch = claimed.value.writerEpoch;
  const listed = wals.reduce((most, wal) => Math.max(most, wal.id), 0);
  const fenceId = await fence(context, { epoch, profile, listed });
  const { id, value: manifest } = (await context.manifests.refresh()) ?? claimed;
  checkEpoch(manifest, epoch);
  // Beyond the claim there is a newer version. It may come of it; or it was there before, and the claim was put, after a long sleep, where
  // garbage collection had made room. Then neither claim nor fence mean anything (SlateDB #1682).
  if (id !== claimed.id) return undefined;
  return { ...(await replay(context, { manifest, fenceId, l0SstBytes: wanted.l0SstBytes, epoch })), profile };
}

/** @throws LSM_FENCED if the manifest is a newer writer's. */
export function checkEpoch(manifest: Manifest, epoch: number): void {
  if (manifest.writerEpoch > epoch) throw new PumiceError("LSM_FENCED", { epoch, newerEpoch: manifest.writerEpoch });
}

async function loadOrCreate(context: StoreContext): Promise<Manifest> {
  const found = await context.manifests.refresh();
  if (found !== undefined) return found.value;
  await context.manifests.create(emptyManifest(context.hasOwnWalStore ? "" : undefined));
  return (await context.manifest()).value;
}

interface ListedWal {
  readonly id: number;
  readonly sizeBytes: number;
}

async function listWals(context: StoreContext, afterId: number): Promise<ListedWal[]> {
  return await withRetry(context.writePolicy, async () => {
    const wals: ListedWal[] = [];
    // The object of the replay point itself tells the profile, if it is a fence; what is before it does not matter.
    const startAfter = context.paths.wal(Math.max(0, afterId - 1));
    for await (const meta of context.walStore.list(context.paths.wals, { startAfter, signal: context.signal })) {
      const id = idOf(meta.key, ".sst");
      if (id !== undefined) wals.push({ id, sizeBytes: meta.sizeBytes });
    }
    return wals;
  });
}

/** The profile of a store that is there. @throws LSM_NOT_FOUND */
export async function profileOf(context: StoreContext): Promise<Profile> {
  const { value: manifest } = await context.manifest();
  return await chooseProfile(context, { manifest, wals: await listWals(context, manifest.replayAfterWalId), compat: undefined });
}

/** The profile that the store's files have, and the one to write. @throws LSM_DOWNGRADE */
async function chooseProfile(
  context: StoreContext,
  found: { manifest: Manifest; wals: readonly ListedWal[]; compat: Profile | undefined },
): Promise<Profile> {
  const boundary = await context.manifests.boundary();
  const newest = await newestCompactionsVersion(context);
  const sign =
    found.manifest.fileVersion > 1
      ? "manifest version 2"
      : allSsts(found.manifest).some((sst) => sst.info.filterLength > 0 && sst.info.filterFormat === "composite")
        ? "composite filter"
        : found.wals.some((wal) => wal.sizeBytes === 0)
          ? "fence without bytes"
          : newest > 1
            ? "compactions version 2"
            : boundary > 0
              ? "boundary of garbage collection"
              : undefined;
  if (sign === undefined && found.compat !== "0.14") return "0.12";
  if (found.compat === "0.12") throw new PumiceError("LSM_DOWNGRADE", { root: context.paths.root, found: sign, wanted: found.compat });
  // From the first writer on: its successor may move a boundary while it sleeps.
  context.manifests.honoursBoundary = true;
  return "0.14";
}

async function newestCompactionsVersion(context: StoreContext): Promise<number> {
  return await withRetry(context.writePolicy, async () => {
    let key: string | undefined;
    for await (const meta of context.store.list(context.paths.compactions, { signal: context.signal })) {
      if (idOf(meta.key, ".compactions") !== undefined) ({ key } = meta);
    }
    const bytes = key === undefined ? undefined : await context.store.get(key, { signal: context.signal });
    return bytes === undefined || bytes.length < 2 ? 0 : (bytes[0] as number) * 256 + (bytes[1] as number);
  });
}

/** Puts the fence at the first free id. */
async function fence(context: StoreContext, claim: { epoch: number; profile: Profile; listed: number }): Promise<number> {
  const body = claim.profile === "0.12" ? encodeFence(context.sealer) : new Uint8Array(0);
  const manifest = context.manifests.known?.value;
  assert(manifest !== undefined, "the manifest is known when the WAL is fenced");
  let id = Math.max(claim.listed, manifest.replayAfterWalId) + 1;
  for (;;) {
    const outcome = await createObject(context.walStore, context.writePolicy, { key: context.paths.wal(id), body });
    // Fences look all the same: one whose put got no answer may be another's, so it is not taken for ours.
    if (outcome === "created") return id;
    const latest = await context.manifests.refresh();
    if (latest !== undefined) checkEpoch(latest.value, claim.epoch);
    id++;
  }
}

interface ReplayRange {
  readonly manifest: Manifest;
  readonly fenceId: number;
  readonly l0SstBytes: number;
  readonly epoch: number;
}

async function replay(context: StoreContext, range: ReplayRange): Promise<Omit<Opened, "profile">> {
  const { manifest, fenceId, epoch } = range;
  const tracker = new SequenceTracker(decodeTracker(manifest.sequenceTracker, "manifest"));
  const frozen: FrozenMemtable[] = [];
  let memtable = new Memtable();
  let lastSeq = manifest.lastL0Seq;
  let lastTick = manifest.lastL0ClockTick;
  let replayedRows = 0;
  let previousSeq = 0;
  for await (const { id, wal } of readWals(context, range)) {
    const taken = replayWal(wal, context.sealer, { memtable, aboveSeq: manifest.lastL0Seq, previousSeq });
    previousSeq = taken.lastSeq;
    replayedRows += taken.rows;
    lastSeq = Math.max(lastSeq, memtable.lastSeq);
    lastTick = Math.max(lastTick, memtable.lastTick);
    if (!memtable.isEmpty && memtable.lastTick > 0) tracker.record(memtable.lastSeq, Math.floor(memtable.lastTick / 1000));
    if (memtable.sizeBytes < range.l0SstBytes) continue;
    frozen.push({ memtable, walId: id, tracker: tracker.encode() });
    memtable = new Memtable();
  }
  return { manifest, epoch, fenceId, memtable, frozen, lastSeq, lastTick, tracker, replayedRows };
}

/** WAL objects (replayAfterWalId, fence) in order. */
async function* readWals(context: StoreContext, range: ReplayRange): AsyncGenerator<{ id: number; wal: WalObject }> {
  const ahead: Promise<Uint8Array>[] = [];
  let fetchId = range.manifest.replayAfterWalId + 1;
  for (let id = fetchId; id < range.fenceId; id++) {
    for (; fetchId < range.fenceId && ahead.length < PREFETCH; fetchId++) {
      const promise = fetchWal(context, fetchId, range.epoch);
      // Awaited below in order; until then its failure waits too.
      promise.catch(() => undefined);
      ahead.push(promise);
    }
    yield { id, wal: { object: context.paths.wal(id), bytes: (await ahead.shift()) ?? EMPTY_BYTES } };
  }
}

async function fetchWal(context: StoreContext, id: number, epoch: number): Promise<Uint8Array> {
  const key = context.paths.wal(id);
  const bytes = await withRetry(context.writePolicy, async () => await context.walStore.get(key, { signal: context.signal }));
  if (bytes !== undefined) return bytes;
  const latest = await context.manifests.refresh();
  if (latest !== undefined) checkEpoch(latest.value, epoch);
  throw new PumiceError("LSM_MISSING", { object: key, what: "gap in the WAL" });
}
