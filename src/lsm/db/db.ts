/**
 * Db: the store, open for writing. A write goes to the WAL's buffer and the memtable at once, and is durable when its WAL object is put;
 * full memtables become L0 SSTs; compaction and garbage collection go on beside.
 *
 * 1. One process writes: a newer writer's epoch or fence ends this one with LSM_FENCED.
 * 2. A commit is synchronous: nothing comes between its sequence number, its rows in WAL and memtable, and its visibility.
 */
import { assert, EMPTY_BYTES, isPumiceError, onAbort, PumiceError, type Metric } from "../../base/mod.ts";
import type { Uuid } from "../format/identifiers.ts";
import type { Checkpoint, Manifest } from "../format/manifest.ts";
import { MERGE, TOMBSTONE, VALUE, type Row } from "../format/row.ts";
import type { SequenceTracker } from "../format/sequence-tracker.ts";
import { Background } from "./background.ts";
import { deleteRange, multiGet } from "./bulk.ts";
import { checkWrite, makeRow, WriteBatch, type BatchStamp, type PutOptions } from "./batch.ts";
import { createCheckpoint, deleteCheckpoint, refreshCheckpoint, type CheckpointOptions } from "../engine/checkpoints.ts";
import { StoreContext } from "../engine/context.ts";
import { HybridClock } from "./hybrid-clock.ts";
import { noCounts, writerMetrics } from "../engine/metrics.ts";
import { checkEpoch, openForWriting, type Opened } from "./open.ts";
import { Pins } from "./pins.ts";
import { checkChoice, NOT_CACHED, ownValue, Reads, type GetOptions, type ReadSource, type ScanBounds, type ScanOptions } from "./reads.ts";
import type { KeyValue, Scan } from "./scan.ts";
import {
  completeSettings,
  type LsmComponents,
  type LsmOptions,
  type LsmSettings,
  type Profile,
  type WaitOptions,
} from "../engine/settings.ts";
import { Snapshot } from "./snapshot.ts";
import type { DbStatus, GcReport } from "../engine/status.ts";
import { ConflictLog, Transaction, type Isolation, type WriteHandle, type WriteOptions } from "./transaction.ts";
import { tablesOf, warmTables } from "./warming.ts";
import { WritePath } from "./write-path.ts";

/** What `flush` makes durable: the WAL, or also the memtable as an L0. */
export type FlushKind = "wal" | "memtable";

/** See the header of this file. */
export class Db {
  readonly settings: LsmSettings;
  readonly profile: Profile;
  readonly #context: StoreContext;
  readonly #epoch: number;
  readonly #hybrid: HybridClock;
  readonly #tracker: SequenceTracker;
  readonly #path: WritePath;
  readonly #reads: Reads;
  readonly #pins = new Pins();
  readonly #conflicts = new ConflictLog();
  readonly #background: Background;
  readonly #currentRules: { operator: LsmComponents["mergeOperator"]; expireAtMs: undefined };
  #lastSeq: number;
  /** What ended the store, and in what way. */
  #end: PumiceError | undefined;
  #ending: DbStatus["closed"];
  #closing: Promise<void> | undefined;
  /** While closing: called when flushing waits for compactions that fail. */
  #onStuck: (() => void) | undefined;
  readonly #counts = noCounts();
  readonly #replayedRows: number;
  readonly #listeners = new Set<(status: DbStatus) => void>();
  #isTelling = false;

  /** Opens the store under `root` for writing, and makes it if there is none. @throws LSM_CORRUPT, LSM_MISSING, LSM_UNSUPPORTED, LSM_DOWNGRADE, LSM_INVALID, LSM_FENCED */
  static async open(root: string, components: LsmComponents, options: LsmOptions & WaitOptions = {}): Promise<Db> {
    const { signal, ...given } = options;
    signal?.throwIfAborted();
    const settings = completeSettings(given);
    const context = StoreContext.of(root, components, settings);
    const forget = onAbort(signal, (reason) => context.shared.abort(reason));
    let db: Db | undefined;
    try {
      const opened = await openForWriting(context, settings);
      context.shared.becomePatient();
      db = new Db(context, settings, opened);
      await db.#background.start();
      signal?.throwIfAborted();
      return db;
    } catch (error) {
      // Nothing stays of a store that did not open: no task, no timer, no connection.
      context.shared.abort(error);
      if (db !== undefined) await db.#background.stop();
      await context.shared.release();
      throw error;
    } finally {
      forget();
    }
  }

  private constructor(context: StoreContext, settings: LsmSettings, opened: Opened) {
    this.#context = context;
    this.settings = settings;
    this.profile = opened.profile;
    this.#epoch = opened.epoch;
    this.#tracker = opened.tracker;
    this.#replayedRows = opened.replayedRows;
    this.#hybrid = new HybridClock(context.clock);
    this.#hybrid.observe(opened.lastTick);
    this.#lastSeq = opened.lastSeq;
    this.#currentRules = { operator: context.shared.operators.read, expireAtMs: undefined };
    this.#path = new WritePath({ context, settings, opened, counts: this.#counts, hooks: this.#pathHooks() });
    this.#reads = new Reads(this.#source());
    this.#background = new Background(
      { context, settings, profile: opened.profile },
      {
        checkEpoch: () => this.#checkWriter(),
        flushWal: () => this.#path.wal?.flushSoon(),
        onFailure: (error) => this.#fail(error),
      },
    );
    context.manifests.onChange(({ value }) => this.#onManifest(value));
    if (this.#path.frozenCount > 0) this.#path.flushSoon();
  }

  /** Writes a value. Resolves when it is durable, unless `awaitDurable` is false. @throws LSM_FENCED, LSM_CLOSED, LSM_INVALID */
  async put(key: Uint8Array, value: Uint8Array, options?: WriteOptions): Promise<WriteHandle> {
    options?.signal?.throwIfAborted();
    if (!this.#path.isFull) return await this.#finish(this.putSync(key, value, options), options);
    return await this.write(new WriteBatch().put(key, value, options), options);
  }

  /** Deletes a key, whether or not it is there. */
  async delete(key: Uint8Array, options?: WriteOptions): Promise<WriteHandle> {
    options?.signal?.throwIfAborted();
    if (!this.#path.isFull) return await this.#finish(this.deleteSync(key), options);
    return await this.write(new WriteBatch().delete(key), options);
  }

  /** Writes an operand for the merge operator. @throws LSM_MERGE_OPERATOR */
  async merge(key: Uint8Array, operand: Uint8Array, options?: WriteOptions): Promise<WriteHandle> {
    options?.signal?.throwIfAborted();
    return await this.write(new WriteBatch().merge(key, operand, options), options);
  }

  /** Writes a batch, all or nothing. @throws LSM_INVALID if it is empty */
  async write(batch: WriteBatch, options?: WriteOptions): Promise<WriteHandle> {
    options?.signal?.throwIfAborted();
    while (this.#path.isFull) await this.#path.waitForRoom(options?.signal);
    return await this.#finish(this.writeSync(batch), options);
  }

  /** As put, without a promise: visible at once, durable later. @throws LSM_BUSY if too much waits to be flushed */
  putSync(key: Uint8Array, value: Uint8Array, options?: PutOptions): WriteHandle {
    return this.#commitOne(VALUE, { key, value }, options?.ttl);
  }

  /** As delete, without a promise: visible at once, durable later. @throws LSM_BUSY */
  deleteSync(key: Uint8Array): WriteHandle {
    return this.#commitOne(TOMBSTONE, { key, value: EMPTY_BYTES }, "never");
  }

  /** As write, without a promise: visible at once, durable later. @throws LSM_BUSY */
  writeSync(batch: WriteBatch): WriteHandle {
    this.#checkWritable();
    if (!(batch instanceof WriteBatch)) throw new PumiceError("LSM_INVALID", { what: "what is written is no WriteBatch" });
    if (batch.size === 0) throw new PumiceError("LSM_INVALID", { what: "batch is empty" });
    if (this.#context.shared.operators.read === undefined && batch.entries.some((entry) => entry.kind === MERGE))
      throw new PumiceError("LSM_MERGE_OPERATOR");
    const handle = { seq: this.#lastSeq + 1, createTs: this.#hybrid.tick() };
    this.#commitRows(batch.rows({ ...this.#stamp(handle), operator: this.#context.shared.operators.read }), handle);
    return handle;
  }

  /** Deletes every key of a range, in batches of its own: not all at once. Gives how many there were. */
  async deleteRange(bounds: ScanBounds, options?: WriteOptions): Promise<number> {
    return await deleteRange(this, bounds, options);
  }

  /** The value of `key`, or undefined. The bytes are the caller's. @throws LSM_CLOSED, LSM_FENCED, LSM_CORRUPT, LSM_MISSING, STORE_UNAVAILABLE */
  async get(key: Uint8Array, options?: GetOptions): Promise<Uint8Array | undefined> {
    options?.signal?.throwIfAborted();
    this.#counts.gets++;
    const row = this.#reads.rowSync(key, options);
    return ownValue(row === NOT_CACHED ? await this.#reads.row(key, options) : row);
  }

  /** As get, without a promise; NOT_CACHED if something would have to be fetched. */
  getSync(key: Uint8Array, options?: GetOptions): Uint8Array | undefined | typeof NOT_CACHED {
    this.#counts.gets++;
    const row = this.#reads.rowSync(key, options);
    return row === NOT_CACHED ? row : ownValue(row);
  }

  /** Key, value, sequence number and times; the bytes are shared and must not be changed. */
  async getRow(key: Uint8Array, options?: GetOptions): Promise<KeyValue | undefined> {
    this.#counts.gets++;
    return await this.#reads.keyValue(key, options);
  }

  /** The values of many keys, fetched side by side. */
  async multiGet(keys: readonly Uint8Array[], options?: GetOptions): Promise<(Uint8Array | undefined)[]> {
    options?.signal?.throwIfAborted();
    return await multiGet(keys, {
      now: (key) => this.getSync(key, options),
      fetch: async (key) => ownValue(await this.#reads.row(key, options)),
    });
  }

  /** The rows of a range, in order. */
  scan(options: ScanOptions = {}): Scan {
    this.#counts.scans++;
    return this.#reads.scan(options);
  }

  /** A view of this moment that stays as it is until it is closed. */
  snapshot(): Snapshot {
    this.#checkOpen();
    this.#counts.snapshots++;
    return new Snapshot(this.#source(this.#lastSeq), this.#lastSeq, this.#pins.pin(this.#lastSeq));
  }

  /** Begins a transaction. */
  begin(isolation: Isolation = "serializable"): Transaction {
    this.#checkOpen();
    checkChoice("isolation", isolation, ["serializable", "snapshot"]);
    this.#counts.transactions++;
    const host = {
      log: this.#conflicts,
      room: (signal: AbortSignal | undefined) => (this.#path.isFull ? this.#path.waitForRoom(signal) : undefined),
      source: (seq: number) => this.#source(seq),
      commit: (batch: WriteBatch) => this.writeSync(batch),
      finish: async (handle: WriteHandle, options: WriteOptions | undefined) => await this.#finish(handle, options),
      pin: (seq: number) => this.#pins.pin(seq),
    };
    return new Transaction(host, isolation, this.#lastSeq);
  }

  /** Runs `work` in a transaction and commits it, again from the start if it conflicts. @throws LSM_CONFLICT after `attemptsMax` (default 20) */
  async transact<T>(
    work: (transaction: Transaction) => Promise<T> | T,
    options: WriteOptions & { isolation?: Isolation; attemptsMax?: number } = {},
  ): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const transaction = this.begin(options.isolation ?? "serializable");
      try {
        const result = await work(transaction);
        await transaction.commit(options);
        return result;
      } catch (error) {
        transaction.rollback();
        if (!isPumiceError(error, "LSM_CONFLICT") || attempt >= (options.attemptsMax ?? 20)) throw error;
      }
    }
  }

  /** Makes everything written before durable: as WAL objects, or as L0. */
  async flush(kind: FlushKind = "wal", options: WaitOptions = {}): Promise<void> {
    this.#checkOpen();
    checkChoice("kind of flush", kind, ["wal", "memtable"]);
    options.signal?.throwIfAborted();
    if (kind === "wal") this.#counts.walFlushes++;
    else this.#counts.memtableFlushes++;
    const { wal } = this.#path;
    if (kind === "wal" && wal !== undefined) {
      await wal.flush(options.signal);
      return;
    }
    const seq = this.#lastSeq;
    this.#path.freeze();
    this.#path.flushSoon();
    await this.#path.flushed.wait(seq, options.signal);
  }

  /** Keeps the state of this moment readable, for other processes too. Everything written before is in it. */
  async createCheckpoint(options: CheckpointOptions & WaitOptions = {}): Promise<Checkpoint> {
    this.#checkOpen();
    this.#counts.checkpoints++;
    if (options.source === undefined) await this.flush("memtable", options);
    return await createCheckpoint(this.#context.scoped(options.signal), options);
  }

  /** Gives a checkpoint a new lifetime from now on; undefined: until it is deleted. @throws LSM_CHECKPOINT_NOT_FOUND */
  async refreshCheckpoint(id: Uuid, lifetimeMs: number | undefined, options: WaitOptions = {}): Promise<Checkpoint> {
    this.#checkOpen();
    return await refreshCheckpoint(this.#context.scoped(options.signal), id, lifetimeMs);
  }

  /** Deletes a checkpoint. */
  async deleteCheckpoint(id: Uuid, options: WaitOptions = {}): Promise<void> {
    this.#checkOpen();
    await deleteCheckpoint(this.#context.scoped(options.signal), id);
  }

  /** The checkpoints of the store, of that name if one is given. */
  async listCheckpoints(name?: string, options: WaitOptions = {}): Promise<readonly Checkpoint[]> {
    this.#checkOpen();
    const { value } = await this.#context.scoped(options.signal).manifest();
    return value.checkpoints.filter((checkpoint) => name === undefined || checkpoint.name === name);
  }

  /** Merges everything into one run. */
  async compact(options: WaitOptions = {}): Promise<void> {
    await this.flush("memtable", options);
    await this.#background.compactAll(options.signal);
  }

  /** Runs garbage collection now. */
  async collectGarbage(minAgeMs?: number, options: WaitOptions = {}): Promise<GcReport> {
    this.#checkOpen();
    if (minAgeMs !== undefined && !(minAgeMs >= 0)) throw new PumiceError("LSM_INVALID", { what: "minAgeMs is no time", minAgeMs });
    return await this.#background.collectGarbage(minAgeMs, options.signal);
  }

  /** What the store is doing and has done. Cheap. */
  status(): DbStatus {
    const manifest = this.manifest;
    return {
      closed: this.#ending,
      profile: this.profile,
      writerEpoch: this.#epoch,
      lastSeq: this.#lastSeq,
      durableSeq: this.#path.durableSeq,
      flushedSeq: this.#path.flushed.seq,
      lastTick: this.#hybrid.last,
      clock: this.#hybrid.skew,
      memtableBytes: this.#path.memtableBytes,
      unflushedBytes: this.#path.unflushedBytes,
      frozenMemtables: this.#path.frozenCount,
      l0Ssts: manifest.l0.length,
      sortedRuns: manifest.runs.length,
      walFiles: this.#path.wal?.files ?? 0,
      replayedRows: this.#replayedRows,
      openReads: this.#pins.count,
      cache: this.#context.shared.cache.stats,
      compactor: this.#background.compactorStats,
      backgroundError: this.#background.failure,
      storeError: this.#context.shared.trouble,
      memtableWriteBytes: this.#counts.frozenWriteBytes + this.#path.memtableBytes,
      walBytes: this.#path.wal?.bytes ?? 0,
      walBufferBytes: this.#path.wal?.pendingBytes ?? 0,
      ...this.#counts,
    };
  }

  /** Numbers for monitoring, see docs/lsm.md; `prometheusText` makes text of them. Cheap. */
  metrics(): Metric[] {
    return [...writerMetrics(this.status(), this.manifest, this.#background.gcTotals), ...this.#context.shared.metrics()];
  }

  /** Resolves when what a write without `awaitDurable` wrote, and all before it, survives the loss of this machine. Starts what is needed for it. */
  async awaitDurable(write: Pick<WriteHandle, "seq">, options: WaitOptions = {}): Promise<void> {
    this.#checkOpen();
    options.signal?.throwIfAborted();
    await this.#finish({ seq: Math.min(write.seq, this.#lastSeq), createTs: 0 }, options);
  }

  /** Looks for what others have changed: compactors, checkpoints, a newer writer. It is done every `manifestPollMs` anyway. @throws LSM_FENCED */
  async refresh(options: WaitOptions = {}): Promise<void> {
    this.#checkOpen();
    await this.#context.scoped(options.signal).manifests.refresh();
    this.#checkOpen();
  }

  /**
   * Calls `listener` soon after writes have become durable, after the manifest has changed, and, a last time, after the store has ended. Several changes
   * may be told as one. What comes back stops that.
   */
  subscribe(listener: (status: DbStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Reads indexes and filters of all SSTs into the cache, and with "all" their blocks too, as far as there is room. */
  async warm(what: "index" | "all" = "index", options: WaitOptions = {}): Promise<void> {
    this.#checkOpen();
    checkChoice("what to warm", what, ["index", "all"]);
    options.signal?.throwIfAborted();
    await warmTables(this.#path.view, { what, roomBytes: this.settings.cacheBytes, signal: options.signal });
  }

  /** Forgets what the cache has of this store. */
  evict(): void {
    for (const table of tablesOf(this.#path.view)) table.evict();
  }

  /** The manifest as this writer knows it. */
  get manifest(): Manifest {
    const { known } = this.#context.manifests;
    assert(known !== undefined, "an open store has a manifest");
    return known.value;
  }

  /**
   * Flushes (by default the memtable too, so that nothing need be replayed, unless L0 is full and no compactor makes room), waits for
   * compactions under way, and ends everything. Idempotent. When the signal aborts, of whichever call, the store ends at once: what was
   * not durable is lost, as if the process had ended.
   */
  async close(options: WaitOptions & { readonly flush?: FlushKind | "none" } = {}): Promise<void> {
    options.signal?.throwIfAborted();
    this.#closing ??= this.#closeNow(options.flush);
    const closing = this.#closing;
    const forget = onAbort(options.signal, (reason) => this.#fail(new PumiceError("LSM_CLOSED", { what: "closing was given up" }, reason)));
    try {
      await closing;
    } catch (error) {
      // The caller that gave up is told; a later call finds a closed store.
      if (options.signal?.aborted === true) this.#closing = Promise.resolve();
      options.signal?.throwIfAborted();
      throw error;
    } finally {
      forget();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #closeNow(flush: FlushKind | "none" | undefined): Promise<void> {
    try {
      if (this.#end === undefined) await this.#flushForClose(flush);
      if (this.#end === undefined) await this.#background.stop();
    } finally {
      this.#fail(new PumiceError("LSM_CLOSED"));
      await this.#background.stop();
      await this.#context.shared.release();
    }
  }

  /** Without a wish of the caller's: the WAL, and then the memtables, unless a full L0 keeps them waiting and nobody makes room. */
  async #flushForClose(flush: FlushKind | "none" | undefined): Promise<void> {
    if (flush === "none") return;
    if (flush !== undefined || this.#path.wal === undefined) {
      await this.flush(flush ?? "memtable");
      return;
    }
    await this.flush("wal");
    const l0s = this.manifest.l0.length + this.#path.pendingL0s;
    if (this.settings.compactor === undefined && l0s > this.settings.l0SstsMax) return;
    const stuck = new AbortController();
    this.#onStuck = () => stuck.abort();
    try {
      await this.flush("memtable", { signal: stuck.signal });
    } catch (error) {
      if (!stuck.signal.aborted) throw error;
    } finally {
      this.#onStuck = undefined;
    }
  }

  #commitOne(kind: 0 | 1, entry: { key: Uint8Array; value: Uint8Array }, ttl: PutOptions["ttl"]): WriteHandle {
    this.#checkWritable();
    checkWrite(entry.key, entry.value, ttl);
    const handle = { seq: this.#lastSeq + 1, createTs: this.#hybrid.tick() };
    const stamp = this.#stamp(handle);
    this.#commitRows([makeRow({ kind, key: entry.key, value: entry.value, ttl }, stamp)], handle);
    return handle;
  }

  #stamp({ seq, createTs }: WriteHandle): BatchStamp {
    return { seq, createTs, presentMs: this.#hybrid.presentAtTick, defaultTtlMs: this.settings.defaultTtlMs, operator: undefined };
  }

  /** The rows' bytes are the caller's: inserting copies them. */
  #commitRows(rows: readonly Row[], handle: WriteHandle): void {
    this.#lastSeq = handle.seq;
    this.#path.insert(rows, handle.seq);
    this.#counts.puts += rows.length;
    this.#counts.batches++;
    if (!this.#conflicts.isIdle) {
      this.#conflicts.note(
        handle.seq,
        rows.map((row) => row.key),
      );
    }
    this.#tracker.record(handle.seq, Math.floor(handle.createTs / 1000));
    this.#background.onWrite();
    this.#path.freezeIfFull();
  }

  async #finish(handle: WriteHandle, options: WriteOptions | undefined): Promise<WriteHandle> {
    if (options?.awaitDurable === false) return handle;
    await this.#path.waitDurable(handle.seq, options?.signal);
    return handle;
  }

  #pathHooks(): ConstructorParameters<typeof WritePath>[0]["hooks"] {
    return {
      checkOpen: () => this.#checkOpen(),
      isOver: () => this.#end !== undefined,
      manifest: () => this.manifest,
      minReadSeq: () => this.#pins.least,
      onDurable: () => this.#tellSoon(),
      onBuilt: (failure) => this.#background.noteFlush(failure),
      onFlushed: () => this.#background.notifyCompactor(),
      onStall: () => {
        this.#background.notifyCompactor();
        if (this.#background.compactionFailure !== undefined) this.#onStuck?.();
      },
      onFailure: (error) => this.#fail(error),
    };
  }

  #onManifest(manifest: Manifest): void {
    try {
      checkEpoch(manifest, this.#epoch);
    } catch (error) {
      this.#fail(error);
      return;
    }
    this.#path.useManifest(manifest);
    this.#tellSoon();
  }

  /** Not in the middle of a step: what a listener does, or throws, is no part of it. */
  #tellSoon(): void {
    if (this.#listeners.size === 0 || this.#isTelling) return;
    this.#isTelling = true;
    void Promise.resolve().then(() => this.#tell());
  }

  #tell(): void {
    this.#isTelling = false;
    const status = this.status();
    for (const listener of this.#listeners) listener(status);
    if (this.#end !== undefined) this.#listeners.clear();
  }

  #checkWriter(): void {
    checkEpoch(this.manifest, this.#epoch);
  }

  #source(fixedSeq?: number): ReadSource {
    return {
      view: () => this.#path.view,
      rules: () =>
        this.settings.filtersExpired
          ? { operator: this.#context.shared.operators.read, expireAtMs: this.#hybrid.present }
          : this.#currentRules,
      maxSeq: (durability) => {
        const seq = durability === "remote" ? this.#path.durableSeq : this.#lastSeq;
        return fixedSeq === undefined ? seq : Math.min(seq, fixedSeq);
      },
      check: () => this.#checkOpen(),
      pin: (seq) => this.#pins.pin(seq),
      // Another process compacted and collected since this one looked.
      refresh: async (signal) => void (await this.#context.scoped(signal).manifests.refresh()),
    };
  }

  #checkOpen(): void {
    if (this.#end !== undefined) throw this.#end;
  }

  #checkWritable(): void {
    if (this.#end !== undefined) throw this.#end;
    if (this.#closing !== undefined) throw new PumiceError("LSM_CLOSED", { what: "the store is closing" });
    if (this.#path.isOverfull) throw new PumiceError("LSM_BUSY", { bytes: this.#path.unflushedBytes });
  }

  /** Ends the store: all calls that wait, and all later ones, get `error`. */
  #fail(error: unknown): void {
    if (this.#end !== undefined) return;
    const told = error instanceof PumiceError && error.kind === "closed" ? error : undefined;
    this.#end = told ?? new PumiceError("LSM_CLOSED", { what: "the store failed" }, error);
    this.#ending = told?.code === "LSM_FENCED" ? "fenced" : told?.code === "LSM_CLOSED" ? "closed" : "failed";
    this.#path.fail(this.#end);
    this.#context.shared.abort(this.#end);
    this.#background.halt();
    this.#tellSoon();
  }
}
