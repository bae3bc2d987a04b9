/**
 * The way of rows from a commit into L0: the WAL and the memtable take them at once, a full memtable is frozen, and frozen ones are flushed beside
 * the writes that go on.
 *
 * 1. A row is in the memtable, and in the WAL's buffer if there is a WAL, before `insert` returns.
 * 2. The view is made again whenever a memtable or the manifest takes another's place, so each row is in some part of it at any time.
 */
import type { Manifest } from "../format/manifest.ts";
import type { Row } from "../format/row.ts";
import { sstSettings, type StoreContext } from "../engine/context.ts";
import type { WriterCounts } from "../engine/metrics.ts";
import type { LsmSettings } from "../engine/settings.ts";
import { Flusher, type FrozenMemtable } from "./flusher.ts";
import { Memtable } from "./memtable.ts";
import { checkEpoch, type Opened } from "./open.ts";
import type { View } from "./view.ts";
import { SeqWaiters } from "./waiters.ts";
import { WalWriter } from "./wal-writer.ts";

/** What the way works with. */
export interface WritePathParts {
  readonly context: StoreContext;
  readonly settings: LsmSettings;
  readonly opened: Opened;
  readonly counts: WriterCounts;
  readonly hooks: WritePathHooks;
}

/** What the way asks and tells the store. */
export interface WritePathHooks {
  /** @throws what ended the store */
  checkOpen(): void;
  /** True once the store has ended. */
  isOver(): boolean;
  /** The manifest as it is known. */
  manifest(): Manifest;
  /** The lowest sequence number at which somebody reads. */
  minReadSeq(): number | undefined;
  onDurable(): void;
  /** An L0 was built; `mergeFailure` is what the merge operator failed of on the way, undefined if nothing did. */
  onBuilt(mergeFailure: unknown): void;
  /** A memtable became an L0. */
  onFlushed(): void;
  /** Flushing waits for compaction. */
  onStall(): void;
  onFailure(error: unknown): void;
}

/** See the header of this file. */
export class WritePath {
  readonly wal: WalWriter | undefined;
  /** Reached by rows that are in L0. */
  readonly flushed: SeqWaiters;
  readonly #parts: Omit<WritePathParts, "opened">;
  /** What of the opened store is needed for good. Its first memtable is not: it would be held for the store's life. */
  readonly #opened: Pick<Opened, "fenceId" | "tracker" | "epoch" | "profile">;
  readonly #flusher: Flusher;
  #memtable: Memtable;
  /** Oldest first. */
  #frozen: readonly FrozenMemtable[];
  #view: View;
  #walFilesAtFreeze = 0;
  #isFlushing = false;

  constructor(parts: WritePathParts) {
    const { opened, ...rest } = parts;
    const { context, settings } = rest;
    const { fenceId, tracker, epoch, profile } = opened;
    this.#parts = rest;
    this.#opened = { fenceId, tracker, epoch, profile };
    this.#memtable = opened.memtable;
    this.#frozen = opened.frozen;
    this.flushed = new SeqWaiters(opened.manifest.lastL0Seq);
    this.wal = settings.walEnabled ? this.#newWal({ seq: opened.lastSeq, memtable: opened.memtable }) : undefined;
    const sst = sstSettings(settings, opened.profile);
    this.#flusher = new Flusher(context, { ...sst, l0SstsMax: settings.l0SstsMax }, this.#flushHooks());
    this.#view = this.#makeView(opened.manifest);
  }

  /** What a read of this moment looks at. */
  get view(): View {
    return this.#view;
  }

  /** Reads look at the tables of `manifest` from now on. */
  useManifest(manifest: Manifest): void {
    this.#view = this.#makeView(manifest);
  }

  get memtableBytes(): number {
    return this.#memtable.sizeBytes;
  }

  get frozenCount(): number {
    return this.#frozen.length;
  }

  /** How many L0s a flush of everything would add. */
  get pendingL0s(): number {
    return this.#frozen.length + (this.#memtable.isEmpty ? 0 : 1);
  }

  /** Every row up to this survives the loss of this machine. */
  get durableSeq(): number {
    return this.wal?.durableSeq ?? this.flushed.seq;
  }

  /** Bytes in frozen memtables and in the WAL's buffer. */
  get unflushedBytes(): number {
    return this.#frozen.reduce((sum, each) => sum + each.memtable.sizeBytes, 0) + (this.wal?.pendingBytes ?? 0);
  }

  /** True if a write has to wait for flushing. */
  get isFull(): boolean {
    const bytes = this.#memtable.sizeBytes + this.unflushedBytes;
    return bytes >= this.#parts.settings.unflushedBytesMax && (this.#frozen.length > 0 || this.wal !== undefined);
  }

  /** Twice the limit is where even callers that cannot wait must. */
  get isOverfull(): boolean {
    return this.#memtable.sizeBytes + this.unflushedBytes >= 2 * this.#parts.settings.unflushedBytesMax;
  }

  /** Takes the rows of one commit; their bytes are the caller's and are copied. */
  insert(rows: readonly Row[], seq: number): void {
    for (const row of rows) this.#memtable.insert(row);
    this.wal?.append(seq);
  }

  /** Freezes the memtable if it is full. */
  freezeIfFull(): void {
    if (this.#memtable.sizeBytes < this.#parts.settings.l0SstBytes) return;
    this.freeze();
    this.flushSoon();
  }

  /** Waits until there is room for another write. */
  async waitForRoom(signal: AbortSignal | undefined): Promise<void> {
    this.#parts.counts.backpressure++;
    while (this.isFull) {
      this.#parts.hooks.checkOpen();
      this.wal?.flushSoon();
      if (this.#frozen.length === 0) this.freeze();
      this.flushSoon();
      const oldest = this.#frozen[0];
      if (oldest === undefined) await this.wal?.flush(signal);
      else await this.flushed.wait(oldest.memtable.lastSeq, signal);
    }
  }

  /** Resolves when the commit of that sequence number survives the loss of this machine; starts what is needed for it. */
  async waitDurable(seq: number, signal: AbortSignal | undefined): Promise<void> {
    if (this.wal !== undefined) {
      await this.wal.waitDurable(seq, signal);
      return;
    }
    if (seq > this.flushed.seq) {
      this.freeze();
      this.flushSoon();
    }
    await this.flushed.wait(seq, signal);
  }

  /** The next commits go into a new memtable. */
  freeze(): void {
    if (this.#memtable.isEmpty) return;
    const { counts, hooks } = this.#parts;
    counts.freezes++;
    counts.frozenWriteBytes += this.#memtable.sizeBytes;
    const next = new Memtable();
    const walId = this.wal?.cutFor(next) ?? this.#opened.fenceId;
    this.#frozen = [...this.#frozen, { memtable: this.#memtable, walId, tracker: this.#opened.tracker.encode() }];
    this.#memtable = next;
    this.#walFilesAtFreeze = this.wal?.files ?? 0;
    this.#view = this.#makeView(hooks.manifest());
  }

  /** Starts flushing what is frozen, if it is not under way. */
  flushSoon(): void {
    if (this.#parts.hooks.isOver()) return;
    if (this.#isFlushing) this.#flusher.startUploads(this.#frozen);
    else {
      this.#isFlushing = true;
      void this.#flushFrozen();
    }
  }

  /** Ends it: every wait gets `error`. */
  fail(error: Error): void {
    this.wal?.fail(error);
    this.flushed.fail(error);
  }

  async #flushFrozen(): Promise<void> {
    try {
      await this.#flusher.flushAll(() => this.#frozen);
    } catch (error) {
      this.#parts.hooks.onFailure(error);
    } finally {
      // In the same turn as the look that found nothing left: what is frozen later starts anew.
      this.#isFlushing = false;
    }
  }

  #newWal(start: { readonly seq: number; readonly memtable: Memtable }): WalWriter {
    const { context, settings, hooks } = this.#parts;
    const walHooks = {
      onDurable: () => {
        hooks.onDurable();
        if (this.wal === undefined || this.wal.files - this.#walFilesAtFreeze < settings.walFilesMax) return;
        this.freeze();
        this.flushSoon();
      },
      onFailure: (error: unknown) => hooks.onFailure(error),
      checkEpoch: async () => {
        const latest = await context.manifests.refresh();
        if (latest !== undefined) checkEpoch(latest.value, this.#opened.epoch);
      },
    };
    return new WalWriter(
      { context, settings: sstSettings(settings, this.#opened.profile), hooks: walHooks },
      { nextId: this.#opened.fenceId + 1, ...start },
    );
  }

  #flushHooks(): ConstructorParameters<typeof Flusher>[2] {
    const { counts, hooks } = this.#parts;
    return {
      waitWal: async (seq) => await this.wal?.waitDurable(seq),
      walIdLastSeen: () => this.wal?.durableId ?? this.#opened.fenceId,
      minReadSeq: () => hooks.minReadSeq(),
      checkWriter: (manifest) => checkEpoch(manifest, this.#opened.epoch),
      onBuilt: (failure) => hooks.onBuilt(failure),
      onFlushed: (frozen) => {
        this.#frozen = this.#frozen.filter((each) => each !== frozen);
        counts.l0Flushes++;
        counts.l0FlushBytes += frozen.memtable.sizeBytes;
        // The newest manifest, which may be a later one than that of the flush.
        this.#view = this.#makeView(hooks.manifest());
        this.flushed.advance(frozen.memtable.lastSeq);
        hooks.onFlushed();
      },
      onStall: () => {
        counts.stalls++;
        hooks.onStall();
      },
    };
  }

  #makeView(manifest: Manifest): View {
    const frozen = this.#frozen.map((each) => each.memtable).reverse();
    return { memtables: [this.#memtable, ...frozen], ...this.#parts.context.currentTree(manifest) };
  }
}
