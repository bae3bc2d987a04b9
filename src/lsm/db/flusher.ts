/**
 * Frozen memtables become L0 SSTs, oldest first, and the manifest says so. They are built one after the other, uploaded side by side (a slow object
 * store takes its time for each), and committed in their order.
 *
 * 1. An L0 never holds what is not durable in the WAL: building it waits for that.
 * 2. ULIDs of L0s never go back, in the order of their commits: garbage collection relies on it to leave alone what is put but not yet committed.
 * 3. With one put of the manifest: the L0, the WAL id up to which nothing need be replayed, the highest sequence number, the clock tick.
 * 4. A memtable is committed only when all older ones are: if one fails, none after it is ever committed by this writer.
 * 5. L0s and uploads together are never more than `l0SstsMax`.
 */
import { assert } from "../../base/mod.ts";
import { UlidSource, type Ulid } from "../format/identifiers.ts";
import type { Manifest, SstRef } from "../format/manifest.ts";
import { SST_VERSION, type BuiltSst, type SstSettings } from "../format/sst-writer.ts";
import { createUnderNewKey } from "../store/retry.ts";
import type { StoreContext } from "../engine/context.ts";
import { buildL0 } from "./l0-builder.ts";
import type { Memtable } from "./memtable.ts";

/** A memtable that is not written to any more. */
export interface FrozenMemtable {
  readonly memtable: Memtable;
  /** Its rows and all before them lie in WAL objects up to this one. */
  readonly walId: number;
  /** Sequence tracker at its end. */
  readonly tracker: Uint8Array;
}

/** What the flusher asks of and tells its owner. */
export interface FlushHooks {
  /** Resolves when everything up to `seq` is in the WAL, or at once if there is none. */
  waitWal(seq: number): Promise<void>;
  /** The newest WAL object that is in the store. */
  walIdLastSeen(): number;
  /** Lowest sequence number at which somebody reads, undefined if nobody does. */
  minReadSeq(): number | undefined;
  /** @throws LSM_FENCED if the manifest is a newer writer's. */
  checkWriter(manifest: Manifest): void;
  /** An SST was built; `failure` is what the merge operator failed of on the way, undefined if nothing did. */
  onBuilt(failure: unknown): void;
  /** The memtable is in L0 of the known manifest. */
  onFlushed(frozen: FrozenMemtable): void;
  /** Compaction must make room before L0 can take more. */
  onStall(): void;
}

/** A frozen memtable on its way. */
interface Upload {
  readonly frozen: FrozenMemtable;
  readonly done: Promise<{ readonly built: BuiltSst; readonly id: Ulid }>;
}

/** Uploads under way at a time: each holds a built SST in memory. */
const UPLOADS_MAX = 4;
/** How often a stalled flush looks at the manifest. */
const STALL_POLL_MS = 200;

/** See the header of this file. */
export class Flusher {
  readonly #context: StoreContext;
  readonly #settings: SstSettings & { readonly l0SstsMax: number };
  readonly #hooks: FlushHooks;
  readonly #ulids: UlidSource;
  /** Under way, oldest first. */
  #uploads: Upload[] = [];
  /** Settles when the last of them is built. Never rejects. */
  #built: Promise<void> = Promise.resolve();

  constructor(context: StoreContext, settings: SstSettings & { readonly l0SstsMax: number }, hooks: FlushHooks) {
    this.#context = context;
    this.#settings = settings;
    this.#hooks = hooks;
    this.#ulids = new UlidSource(context.random);
  }

  /**
   * Makes L0s of the memtables, oldest first, that `frozen` gives, until it gives none: `onFlushed` is told of each, and is to take it from there.
   * @throws LSM_FENCED, LSM_MERGE_OPERATOR, the abort's reason
   */
  async flushAll(frozen: () => readonly FrozenMemtable[]): Promise<void> {
    this.#uploads = [];
    this.#built = Promise.resolve();
    for (;;) {
      this.startUploads(frozen());
      const oldest = this.#uploads[0];
      if (oldest !== undefined) await this.#commit(oldest);
      else if (frozen().length > 0) await this.#waitForRoom();
      else return;
    }
  }

  /** Starts what may go on beside what is under way; of `frozen`, oldest first, the first ones are. */
  startUploads(frozen: readonly FrozenMemtable[]): void {
    for (let next = frozen[this.#uploads.length]; next !== undefined; next = frozen[this.#uploads.length]) {
      if (this.#uploads.length >= UPLOADS_MAX || this.#isFull(this.#uploads.length)) return;
      this.#uploads.push(this.#startUpload(next));
    }
  }

  #startUpload(frozen: FrozenMemtable): Upload {
    const done = Promise.withResolvers<{ built: BuiltSst; id: Ulid }>();
    // A failure is passed on when the upload is committed, in its turn.
    done.promise.catch(() => undefined);
    this.#built = this.#built.then(async () => {
      try {
        await this.#hooks.waitWal(frozen.memtable.lastSeq);
        let failure: unknown;
        const onMergeFailure = (error: unknown): void => void (failure = error);
        const from = { memtable: frozen.memtable, minReadSeq: this.#hooks.minReadSeq(), onMergeFailure };
        const built = await buildL0(this.#context, this.#settings, from);
        this.#hooks.onBuilt(failure);
        // Its ULID is given before the next one is built, and so before the next one's.
        done.resolve(this.#upload(built).then((id) => ({ built, id })));
      } catch (error) {
        done.reject(error);
      }
    });
    return { frozen, done: done.promise };
  }

  async #commit(upload: Upload): Promise<void> {
    const { frozen } = upload;
    const { built, id: firstId } = await upload.done;
    let id = firstId;
    // If an older upload was retried under a newer ULID, this ULID is too small: upload again.
    while (id <= (this.#newestId ?? "")) id = await this.#upload(built);
    const sst: SstRef = { id, viewId: id, formatVersion: SST_VERSION, info: built.info, visibleRange: undefined };
    await this.#context.manifests.update((manifest) => {
      this.#hooks.checkWriter(manifest);
      return this.#withL0(manifest, sst, frozen);
    });
    this.#uploads.shift();
    this.#hooks.onFlushed(frozen);
  }

  #withL0(manifest: Manifest, sst: SstRef, frozen: FrozenMemtable): Manifest {
    const { memtable } = frozen;
    assert(memtable.lastSeq > manifest.lastL0Seq, "L0s come in order of sequence numbers");
    assert(
      manifest.l0.every((each) => each.id < sst.id),
      "ULIDs of L0s never go back",
    );
    assert(frozen.walId >= manifest.replayAfterWalId, "the replay point never goes back");
    return {
      ...manifest,
      l0: [sst, ...manifest.l0],
      replayAfterWalId: frozen.walId,
      walIdLastSeen: Math.max(manifest.walIdLastSeen, this.#hooks.walIdLastSeen()),
      lastL0Seq: memtable.lastSeq,
      lastL0ClockTick: Math.max(manifest.lastL0ClockTick, memtable.lastTick),
      recentSnapshotMinSeq: Math.min(this.#hooks.minReadSeq() ?? memtable.lastSeq, memtable.lastSeq),
      sequenceTracker: frozen.tracker,
    };
  }

  /** True if L0 has no room for one more beside so many uploads under way. */
  #isFull(uploads: number): boolean {
    return (this.#context.manifests.known?.value.l0.length ?? 0) + uploads >= this.#settings.l0SstsMax;
  }

  async #waitForRoom(): Promise<void> {
    while (this.#isFull(0)) {
      this.#hooks.onStall();
      await this.#manifestChange();
      const version = this.#context.manifests.known;
      if (version !== undefined) this.#hooks.checkWriter(version.value);
    }
  }

  /** Resolves when this process has changed the manifest, or a while has passed and the store was asked whether another has. */
  async #manifestChange(): Promise<void> {
    const over = new AbortController();
    const forget = this.#context.manifests.onChange(() => over.abort());
    const stop = (): void => over.abort();
    this.#context.signal.addEventListener("abort", stop, { once: true });
    try {
      await this.#context.clock.sleep(STALL_POLL_MS, { signal: over.signal });
      await this.#context.manifests.refresh();
    } catch (error) {
      if (!over.signal.aborted) throw error;
    } finally {
      forget();
      this.#context.signal.removeEventListener("abort", stop);
    }
    this.#context.signal.throwIfAborted();
  }

  /** The highest ULID of all L0s that there are, and of the last that was compacted; other engines' need not be in order. */
  get #newestId(): Ulid | undefined {
    const manifest = this.#context.manifests.known?.value;
    let newest = manifest?.l0LastCompacted;
    for (const { id } of manifest?.l0 ?? []) if (newest === undefined || id > newest) newest = id;
    return newest;
  }

  /** Puts the SST under a ULID above all before. */
  async #upload(built: BuiltSst): Promise<Ulid> {
    const newestId = this.#newestId;
    if (newestId !== undefined) this.#ulids.observe(newestId);
    const { id } = await createUnderNewKey(this.#context.store, this.#context.writePolicy, {
      body: built.bytes,
      newKey: () => {
        const ulid = this.#ulids.next(Math.max(0, Math.floor(this.#context.clock.now())));
        return { id: ulid, key: this.#context.paths.sst(ulid) };
      },
    });
    return id;
  }
}
