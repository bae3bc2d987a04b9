/**
 * Frozen memtables become L0 SSTs, oldest first, and the manifest says so.
 *
 * 1. An L0 never holds what is not durable in the WAL: flushing waits for it.
 * 2. ULIDs of L0s never go back: garbage collection relies on it.
 * 3. With one put of the manifest: the L0, the WAL id up to which nothing need be replayed, the highest sequence number, the clock tick.
 */
import { assert } from "../../base/mod.ts";
import { UlidSource } from "../format/identifiers.ts";
import { ALL_KEYS } from "../format/key-range.ts";
import type { Manifest, SstRef } from "../format/manifest.ts";
import { MERGE, type Row } from "../format/row.ts";
import { expectedBytes, SST_VERSION, SstWriter, type BuiltSst, type SstSettings } from "../format/sst-writer.ts";
import { createUnderNewKey } from "../store/retry.ts";
import type { StoreContext } from "./context.ts";
import { isSameKey } from "./merge-operator.ts";
import type { Memtable } from "./memtable.ts";
import { Pace } from "./pace.ts";
import { retain, type RetentionRules } from "./retention.ts";

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
  /** The memtable is in L0 of the known manifest. */
  onFlushed(frozen: FrozenMemtable): void;
  /** Compaction must make room before L0 can take more. */
  onStall(): void;
}

/** True if no reader can see an older version of the row's key. */
function hidesOlder(row: Row, rules: RetentionRules): boolean {
  return row.seq <= rules.minSeq && row.kind !== MERGE;
}

/** How often a stalled flush looks at the manifest. */
const STALL_POLL_MS = 200;

/** See the header of this file. */
export class Flusher {
  private readonly context: StoreContext;
  private readonly settings: SstSettings & { readonly l0SstsMax: number };
  private readonly hooks: FlushHooks;
  private readonly ulids: UlidSource;

  constructor(context: StoreContext, settings: SstSettings & { readonly l0SstsMax: number }, hooks: FlushHooks) {
    this.context = context;
    this.settings = settings;
    this.hooks = hooks;
    this.ulids = new UlidSource(context.random);
  }

  /** Makes an L0 of the memtable. @throws LSM_FENCED, STORE_UNAVAILABLE, the abort's reason */
  async flush(frozen: FrozenMemtable): Promise<void> {
    await this.hooks.waitWal(frozen.memtable.lastSeq);
    await this.waitForRoom();
    const { memtable } = frozen;
    const minSeq = this.hooks.minReadSeq() ?? memtable.lastSeq;
    const rules: RetentionRules = { minSeq, tick: memtable.lastTick, isBottom: false, operator: this.context.operators.flush };
    const built = await this.build(memtable, rules);
    const sst = await this.upload(built);
    await this.context.manifests.update((manifest) => {
      this.hooks.checkWriter(manifest);
      return this.withL0(manifest, sst, frozen);
    });
    this.hooks.onFlushed(frozen);
  }

  private withL0(manifest: Manifest, sst: SstRef, frozen: FrozenMemtable): Manifest {
    const { memtable } = frozen;
    assert(memtable.lastSeq > manifest.lastL0Seq, "L0s come in order of sequence numbers");
    assert(frozen.walId >= manifest.replayAfterWalId, "the replay point never goes back");
    return {
      ...manifest,
      l0: [sst, ...manifest.l0],
      replayAfterWalId: frozen.walId,
      walIdLastSeen: Math.max(manifest.walIdLastSeen, this.hooks.walIdLastSeen()),
      lastL0Seq: memtable.lastSeq,
      lastL0ClockTick: Math.max(manifest.lastL0ClockTick, memtable.lastTick),
      recentSnapshotMinSeq: Math.min(this.hooks.minReadSeq() ?? memtable.lastSeq, memtable.lastSeq),
      sequenceTracker: frozen.tracker,
    };
  }

  private async waitForRoom(): Promise<void> {
    const isFull = (): boolean => (this.context.manifests.known?.value.l0.length ?? 0) >= this.settings.l0SstsMax;
    if (!isFull()) return;
    while (isFull()) {
      this.hooks.onStall();
      await this.manifestChange();
      const version = this.context.manifests.known;
      if (version !== undefined) this.hooks.checkWriter(version.value);
    }
  }

  /** Resolves when this process has changed the manifest, or a while has passed and the store was asked whether another has. */
  private async manifestChange(): Promise<void> {
    const over = new AbortController();
    const forget = this.context.manifests.onChange(() => over.abort());
    const stop = (): void => over.abort();
    this.context.signal.addEventListener("abort", stop, { once: true });
    try {
      await this.context.clock.sleep(STALL_POLL_MS, { signal: over.signal });
      await this.context.manifests.refresh();
    } catch (error) {
      if (!over.signal.aborted) throw error;
    } finally {
      forget();
      this.context.signal.removeEventListener("abort", stop);
    }
    this.context.signal.throwIfAborted();
  }

  private async build(memtable: Memtable, rules: RetentionRules): Promise<BuiltSst> {
    const settings = { ...this.settings, memory: new Uint8Array(expectedBytes(memtable.newestBytes)) };
    const writer = new SstWriter("compacted", settings, this.context.sealer);
    const cursor = memtable.cursor(ALL_KEYS, "ascending");
    const pace = new Pace(this.context.clock, this.context.signal);
    let newest: Row | undefined;
    /** All versions of the newest's key that may be seen; empty if that is only the newest. */
    let versions: Row[] = [];
    for (;;) {
      cursor.next();
      const { row } = cursor;
      if (newest !== undefined && row !== undefined && isSameKey(newest, row)) {
        if (versions.length === 0) {
          // Of most keys everybody sees only the newest version: the others cost nothing.
          if (hidesOlder(newest, rules)) continue;
          versions.push(newest);
        }
        versions.push(row);
      } else {
        if (versions.length > 0) for (const kept of retain(versions, rules)) writer.add(kept);
        else if (newest !== undefined)
          for (const kept of newest.expireTs === undefined ? [newest] : retain([newest], rules)) writer.add(kept);
        if (row === undefined) return writer.finish();
        newest = row;
        if (versions.length > 0) versions = [];
      }
      if (pace.due()) await pace.rest();
    }
  }

  private async upload(built: BuiltSst): Promise<SstRef> {
    const newest = this.context.manifests.known?.value.l0[0];
    if (newest !== undefined) this.ulids.observe(newest.id);
    const marker = this.context.manifests.known?.value.l0LastCompacted;
    if (marker !== undefined) this.ulids.observe(marker);
    const { id } = await createUnderNewKey(this.context.store, this.context.writePolicy, {
      body: built.bytes,
      newKey: () => {
        const ulid = this.ulids.next(Math.max(0, Math.floor(this.context.clock.now())));
        return { id: ulid, key: this.context.paths.sst(ulid) };
      },
    });
    return { id, viewId: id, formatVersion: SST_VERSION, info: built.info, visibleRange: undefined };
  }
}
