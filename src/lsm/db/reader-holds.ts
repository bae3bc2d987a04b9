/**
 * What a reader of another process's store keeps from garbage collection: checkpoints of its own, one for each state that somebody still reads.
 *
 * 1. The state that the reader shows, and each older one that a scan or a get has not ended with, has a checkpoint that is renewed at half of its life.
 * 2. There is one put of the manifest for a new tree or a renewal, and none besides: a checkpoint that nobody needs any more goes with the next of those
 *    puts, with the end of the reader, or when its life is over.
 */
import type { Random } from "../../base/mod.ts";
import { newUuid, type Uuid } from "../format/identifiers.ts";
import { treesOf, type Checkpoint, type Manifest } from "../format/manifest.ts";
import { momentOf, msSince, type Moment } from "../store/moment.ts";
import { newCheckpoint } from "../engine/checkpoints.ts";
import type { StoreContext } from "../engine/context.ts";

/** A state, and the checkpoint that holds it. */
interface Held {
  readonly id: Uuid;
  readonly manifest: Manifest;
  /** When the checkpoint was made or renewed. */
  since: Moment;
  /** Scans and gets that look at it. */
  uses: number;
}

/** See the header of this file. */
export class ReaderHolds {
  readonly #random: Random;
  readonly #lifetimeMs: number;
  /** Oldest first. */
  #held: readonly Held[] = [];
  /** What new reads look at. */
  #shown: Held | undefined;

  constructor(random: Random, lifetimeMs: number) {
    this.#random = random;
    this.#lifetimeMs = lifetimeMs;
  }

  /** The state to read now: that of `latest`, the manifest in force, or one that is held and has the same tree. It is held until another is shown. */
  async hold(context: StoreContext, latest: Manifest): Promise<Manifest> {
    // The collector may have deleted one: by its clock, it was over.
    this.#held = this.#held.filter(({ id }) => latest.checkpoints.some((checkpoint) => checkpoint.id === id));
    const newest = this.#held.at(-1);
    const target = newest !== undefined && sameTree(latest, newest.manifest) ? newest : undefined;
    const isOld = ({ since }: Held): boolean => msSince(since, context.clock) >= this.#lifetimeMs / 2;
    if (target !== undefined && !this.#needed(target).some(isOld)) return target.manifest;
    return await this.#put(context, target);
  }

  /** From now on this state, which `hold` gave, is the one that is read. */
  show(manifest: Manifest): void {
    this.#shown = this.#held.findLast((each) => each.manifest === manifest);
  }

  /** Keeps the state that is shown until what comes back is called. Calling that again does nothing. */
  use(): () => void {
    const shown = this.#shown;
    if (shown === undefined) return () => undefined;
    shown.uses++;
    let isUsed = true;
    return () => {
      if (isUsed) shown.uses--;
      isUsed = false;
    };
  }

  /** Gives all checkpoints back. */
  async letGo(context: StoreContext): Promise<void> {
    const mine = new Set(this.#held.map(({ id }) => id));
    if (mine.size === 0) return;
    await context.manifests.update((manifest) => {
      const checkpoints = manifest.checkpoints.filter(({ id }) => !mine.has(id));
      return checkpoints.length === manifest.checkpoints.length ? undefined : { ...manifest, checkpoints };
    });
  }

  /** Reads that begin during a put look at what is shown, so that is needed too. */
  #needed(target: Held | undefined): readonly Held[] {
    return this.#held.filter((each) => each.uses > 0 || each === this.#shown || each === target);
  }

  /** Renews what is needed, lets go of the rest, and makes a checkpoint of the manifest in force unless `target` is there. */
  async #put(context: StoreContext, target: Held | undefined): Promise<Manifest> {
    const since = momentOf(context.clock);
    const id = newUuid(this.#random);
    let kept: readonly Held[] = [];
    let isMade = false;
    const version = await context.manifests.update((manifest, baseId) => {
      const has = (wanted: Uuid): boolean => manifest.checkpoints.some((checkpoint) => checkpoint.id === wanted);
      const made = newCheckpoint(context, { lifetimeMs: this.#lifetimeMs }, { id, manifestId: baseId + 1 });
      kept = this.#needed(target).filter((each) => has(each.id));
      isMade = target === undefined || !has(target.id);
      const isKept = (checkpoint: Checkpoint): boolean => kept.some((each) => each.id === checkpoint.id);
      const isMine = (checkpoint: Checkpoint): boolean => checkpoint.id === id || this.#held.some((each) => each.id === checkpoint.id);
      const checkpoints = manifest.checkpoints
        .filter((checkpoint) => isKept(checkpoint) || !isMine(checkpoint))
        .map((checkpoint) => (isKept(checkpoint) ? { ...checkpoint, expireTimeS: made.expireTimeS } : checkpoint));
      return { ...manifest, checkpoints: isMade ? [...checkpoints, made] : checkpoints };
    });
    for (const each of kept) each.since = since;
    const next = isMade || target === undefined ? { id, manifest: version.value, since, uses: 0 } : target;
    this.#held = [...kept.filter((each) => each !== next), next];
    return next.manifest;
  }
}

/** True if both manifests have the same tables. */
export function sameTree(left: Manifest, right: Manifest): boolean {
  const ids = (manifest: Manifest): string =>
    treesOf(manifest)
      .map(({ l0, runs }) =>
        [...l0.map((sst) => sst.viewId), ...runs.map((run) => `${run.id}:${run.ssts.map((sst) => sst.viewId).join()}`)].join(" "),
      )
      .join("/");
  return left.lastL0Seq === right.lastL0Seq && ids(left) === ids(right);
}
