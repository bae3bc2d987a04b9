/** Checkpoints: promises, written into the manifest, to keep one state readable for other processes. */
import { assert, PumiceError, type Clock, type Random } from "../../base/mod.ts";
import { isUuid, newUuid, type Uuid } from "../format/identifiers.ts";
import type { Checkpoint, Manifest } from "../format/manifest.ts";
import type { Sequence } from "../store/sequence.ts";

/** How to make a checkpoint. */
export interface CheckpointOptions {
  /** Undefined: until it is deleted. Rounded up to seconds. */
  readonly lifetimeMs?: number | undefined;
  readonly name?: string | undefined;
  /** Of that checkpoint's state, not the latest. */
  readonly source?: Uuid | undefined;
  /** Chosen by the caller; else random. */
  readonly id?: Uuid | undefined;
}

/** What checkpoints are made with. */
export interface CheckpointParts {
  readonly manifests: Sequence<Manifest>;
  readonly clock: Pick<Clock, "now">;
  readonly random: Random;
}

/** Its end, in seconds since 1970, must fit 32 bits: 40 years. For longer, let it live until it is deleted. */
const LIFETIME_MS_MAX = 40 * 365 * 86_400_000;

function checkId(id: Uuid): void {
  if (!isUuid(id)) throw new PumiceError("LSM_INVALID", { what: "id of a checkpoint is no UUID", id });
}

/** Adds a checkpoint of the latest state, or of another checkpoint's. @throws LSM_CHECKPOINT_NOT_FOUND */
export async function createCheckpoint(parts: CheckpointParts, options: CheckpointOptions): Promise<Checkpoint> {
  const id = options.id ?? newUuid(parts.random);
  checkId(id);
  const version = await parts.manifests.update((manifest, baseId) => {
    // Made before an answer was lost: it is there already.
    if (manifest.checkpoints.some((checkpoint) => checkpoint.id === id)) return undefined;
    const checkpoint = newCheckpoint(parts, options, { id, manifestId: sourceManifestId(manifest, options.source) ?? baseId + 1 });
    return { ...manifest, checkpoints: [...manifest.checkpoints, checkpoint] };
  });
  const made = version.value.checkpoints.find((checkpoint) => checkpoint.id === id);
  assert(made !== undefined, "a checkpoint that was made is in the manifest");
  return made;
}

/** A checkpoint, not yet in a manifest. */
export function newCheckpoint(
  parts: Pick<CheckpointParts, "clock">,
  options: CheckpointOptions,
  place: { id: Uuid; manifestId: number },
): Checkpoint {
  const nowS = Math.floor(parts.clock.now() / 1000);
  return { ...place, createTimeS: nowS, expireTimeS: expireTimeS(nowS, options.lifetimeMs), name: options.name };
}

function expireTimeS(nowS: number, lifetimeMs: number | undefined): number {
  if (lifetimeMs !== undefined && !(typeof lifetimeMs === "number" && lifetimeMs >= 0 && lifetimeMs <= LIFETIME_MS_MAX))
    throw new PumiceError("LSM_INVALID", { what: "lifetime of a checkpoint is no time", lifetimeMs, maxMs: LIFETIME_MS_MAX });
  return lifetimeMs === undefined ? 0 : nowS + Math.max(1, Math.ceil(lifetimeMs / 1000));
}

function sourceManifestId(manifest: Manifest, source: Uuid | undefined): number | undefined {
  if (source === undefined) return undefined;
  const found = manifest.checkpoints.find((checkpoint) => checkpoint.id === source);
  if (found === undefined) throw new PumiceError("LSM_CHECKPOINT_NOT_FOUND", { checkpoint: source });
  return found.manifestId;
}

/** Gives a checkpoint a new lifetime from now on. @throws LSM_CHECKPOINT_NOT_FOUND */
export async function refreshCheckpoint(parts: CheckpointParts, id: Uuid, lifetimeMs: number | undefined): Promise<Checkpoint> {
  const version = await parts.manifests.update((manifest) => {
    if (!manifest.checkpoints.some((checkpoint) => checkpoint.id === id))
      throw new PumiceError("LSM_CHECKPOINT_NOT_FOUND", { checkpoint: id });
    const time = expireTimeS(Math.floor(parts.clock.now() / 1000), lifetimeMs);
    const checkpoints = manifest.checkpoints.map((checkpoint) =>
      checkpoint.id === id ? { ...checkpoint, expireTimeS: time } : checkpoint,
    );
    return { ...manifest, checkpoints };
  });
  const found = version.value.checkpoints.find((checkpoint) => checkpoint.id === id);
  assert(found !== undefined, "a checkpoint that was refreshed is in the manifest");
  return found;
}

/** Deletes a checkpoint; nothing happens if there is none of that id. */
export async function deleteCheckpoint(parts: CheckpointParts, id: Uuid): Promise<void> {
  await parts.manifests.update((manifest) => {
    const checkpoints = manifest.checkpoints.filter((checkpoint) => checkpoint.id !== id);
    return checkpoints.length === manifest.checkpoints.length ? undefined : { ...manifest, checkpoints };
  });
}
