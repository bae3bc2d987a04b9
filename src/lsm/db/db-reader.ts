/**
 * DbReader: a store read by a process that does not write it. It follows the writer by polling the manifest and the WAL, or stands at a
 * checkpoint.
 *
 * 1. In mode "managed" it holds checkpoints of its own, so that garbage collection leaves it what it reads, also what a scan or a get that began on an
 *    older state still reads; "latest" writes nothing and may lose a race with collection, in which case a read begins again on the newer state, and a
 *    scan that has given rows fails.
 * 2. A WAL object becomes visible whole.
 */
import { abortable, isPumiceError, onAbort, PumiceError, type Metric } from "../../base/mod.ts";
import { isUuid, type Uuid } from "../format/identifiers.ts";
import type { Manifest } from "../format/manifest.ts";
import { withRetry } from "../store/retry.ts";
import { StoreContext } from "../engine/context.ts";
import { Memtable } from "./memtable.ts";
import { checkChoice, NOT_CACHED, ownValue, Reads, type GetOptions, type ScanOptions } from "./reads.ts";
import { ReaderHolds, sameTree } from "./reader-holds.ts";
import { replayWal } from "./replay.ts";
import type { KeyValue, Scan } from "./scan.ts";
import { LSM_DEFAULTS, type LsmComponents, type WaitOptions } from "../engine/settings.ts";
import { readerMetrics } from "../engine/metrics.ts";
import type { View } from "./view.ts";

/** How a reader keeps what it reads: by checkpoints of its own, at a given one, or not at all. */
export type ReaderMode = "managed" | "latest" | { readonly checkpoint: Uuid };

/** Settings of a reader. */
export interface ReaderOptions {
  /** Default "managed". */
  readonly mode?: ReaderMode | undefined;
  /** How often it looks for news. Default 10 s. */
  readonly pollMs?: number | undefined;
  /** Lifetime of its own checkpoints, renewed at half of it. At least twice `pollMs`. Default 10 min. */
  readonly checkpointLifetimeMs?: number | undefined;
  /** See only what is in L0 and runs. Default false. */
  readonly skipsWal?: boolean | undefined;
  readonly cacheBytes?: number | undefined;
  readonly filtersExpired?: boolean | undefined;
  /** Attempts of a read before STORE_UNAVAILABLE is passed on. Default 10. */
  readonly readAttemptsMax?: number | undefined;
}

interface ReaderSettings {
  readonly mode: ReaderMode;
  readonly pollMs: number;
  readonly checkpointLifetimeMs: number;
  readonly skipsWal: boolean;
  readonly filtersExpired: boolean;
}

/** Rows of the WAL that are in no L0 yet. */
interface Tail {
  readonly memtable: Memtable;
  /** The last WAL object that is in the memtable. */
  walId: number;
  /** The sequence number of its last row. */
  walSeq: number;
}

/** What a look at the store may fail of, and the next may not. */
const PASSING = ["STORE_UNAVAILABLE", "LSM_MISSING", "LSM_CHECKPOINT_NOT_FOUND", "LSM_CONTENTION"] as const;
/** How often a load begins again that lost a race with collection, before it is left to the next look. */
const RELOADS_MAX = 5;

/** See the header of this file. */
export class DbReader {
  readonly #context: StoreContext;
  readonly #settings: ReaderSettings;
  readonly #reads: Reads;
  #manifest: Manifest | undefined;
  #tail: Tail = { memtable: new Memtable(), walId: 0, walSeq: 0 };
  #view: View = { memtables: [], l0: [], runs: [] };
  #seq = 0;
  readonly #holds: ReaderHolds;
  #end: PumiceError | undefined;
  #polling: Promise<void> = Promise.resolve();
  #loading: Promise<void> = Promise.resolve();
  #closing: Promise<void> | undefined;
  #counts = { gets: 0, scans: 0, loads: 0 };

  /** Opens a store for reading. @throws LSM_NOT_FOUND, LSM_CHECKPOINT_NOT_FOUND, LSM_CORRUPT, LSM_UNSUPPORTED, LSM_INVALID */
  static async open(root: string, components: LsmComponents, options: ReaderOptions & WaitOptions = {}): Promise<DbReader> {
    options.signal?.throwIfAborted();
    const settings: ReaderSettings = {
      mode: options.mode ?? "managed",
      pollMs: options.pollMs ?? 10_000,
      checkpointLifetimeMs: options.checkpointLifetimeMs ?? 600_000,
      skipsWal: options.skipsWal ?? false,
      filtersExpired: options.filtersExpired ?? false,
    };
    if (typeof settings.mode === "string") checkChoice("mode", settings.mode, ["managed", "latest"]);
    if (!(settings.pollMs > 0 && settings.checkpointLifetimeMs >= Math.max(1000, 2 * settings.pollMs))) {
      throw new PumiceError("LSM_INVALID", {
        what: "a checkpoint must live at least 1 s and twice as long as a poll",
        checkpointLifetimeMs: settings.checkpointLifetimeMs,
      });
    }
    const context = StoreContext.of(root, components, {
      cacheBytes: options.cacheBytes ?? LSM_DEFAULTS.cacheBytes,
      readAttemptsMax: options.readAttemptsMax ?? LSM_DEFAULTS.readAttemptsMax,
    });
    const reader = new DbReader(context, settings);
    const forget = onAbort(options.signal, (reason) => context.shared.abort(reason));
    try {
      await reader.#load(context);
      options.signal?.throwIfAborted();
    } catch (error) {
      // Its checkpoint, if it came to one, expires.
      if (options.signal?.aborted === true) await context.shared.release();
      else await reader.close();
      throw error;
    } finally {
      forget();
    }
    if (typeof settings.mode === "string") reader.#polling = reader.#poll();
    return reader;
  }

  private constructor(context: StoreContext, settings: ReaderSettings) {
    this.#context = context;
    this.#settings = settings;
    this.#holds = new ReaderHolds(context.random, settings.checkpointLifetimeMs);
    this.#reads = new Reads({
      view: () => this.#view,
      rules: () => ({ operator: context.shared.operators.read, expireAtMs: settings.filtersExpired ? context.clock.now() : undefined }),
      maxSeq: () => this.#seq,
      check: () => {
        if (this.#end !== undefined) throw this.#end;
      },
      keep: () => this.#holds.use(),
      refresh: async (signal) => {
        if (typeof settings.mode === "string") await this.#load(this.#context.scoped(signal));
      },
    });
  }

  /** The newest sequence number that it sees. */
  get lastSeq(): number {
    return this.#seq;
  }

  /** The value of `key`, or undefined. */
  async get(key: Uint8Array, options?: GetOptions): Promise<Uint8Array | undefined> {
    this.#counts.gets++;
    return ownValue(await this.#reads.row(key, options));
  }

  /** As get, without a promise, or NOT_CACHED. */
  getSync(key: Uint8Array): Uint8Array | undefined | typeof NOT_CACHED {
    this.#counts.gets++;
    const row = this.#reads.rowSync(key);
    return row === NOT_CACHED ? row : ownValue(row);
  }

  /** Key, value and times. */
  async getRow(key: Uint8Array, options?: GetOptions): Promise<KeyValue | undefined> {
    this.#counts.gets++;
    return await this.#reads.keyValue(key, options);
  }

  /** Rows of a range. */
  scan(options: ScanOptions = {}): Scan {
    this.#counts.scans++;
    return this.#reads.scan(options);
  }

  /** Numbers for monitoring, see docs/lsm.md; `prometheusText` makes text of them. Cheap. */
  metrics(): Metric[] {
    return [...readerMetrics({ ...this.#counts, lastSeq: this.#seq }), ...this.#context.shared.metrics()];
  }

  /** Looks for news now. */
  async refresh(options: WaitOptions = {}): Promise<void> {
    if (this.#end !== undefined) throw this.#end;
    if (typeof this.#settings.mode === "string") await this.#load(this.#context.scoped(options.signal));
  }

  /** Gives its checkpoints back and ends. Idempotent. When the signal aborts, of whichever call, they are left to their lifetime. */
  async close(options: WaitOptions = {}): Promise<void> {
    options.signal?.throwIfAborted();
    this.#closing ??= this.#closeNow();
    const forget = onAbort(options.signal, (reason) => this.#context.shared.abort(reason));
    try {
      await this.#closing;
    } catch (error) {
      if (options.signal?.aborted === true) this.#closing = Promise.resolve();
      throw error;
    } finally {
      forget();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #closeNow(): Promise<void> {
    this.#end ??= new PumiceError("LSM_CLOSED", { what: "the reader is closed" });
    try {
      await this.#holds.letGo(this.#context);
    } catch (error) {
      if (!isPumiceError(error)) throw error;
    } finally {
      this.#context.shared.abort(this.#end);
      await this.#polling;
      await this.#context.shared.release();
    }
  }

  async #poll(): Promise<void> {
    for (;;) {
      try {
        await this.#context.clock.sleep(this.#settings.pollMs, { signal: this.#context.signal });
        await this.#load(this.#context);
      } catch (error) {
        if (this.#context.signal.aborted) return;
        // The store may be away for a while, or collection was faster: what was read before stays readable.
        if (!PASSING.some((code) => isPumiceError(error, code))) {
          this.#end ??= new PumiceError("LSM_CLOSED", { what: "the reader failed" }, error);
          return;
        }
      }
    }
  }

  /** One at a time: two would put the same rows into the same memtable. */
  async #load(context: StoreContext): Promise<void> {
    const turn = this.#loading.then(async () => {
      context.signal.throwIfAborted();
      await this.#loadNow(context, 0);
    });
    this.#loading = turn.catch(() => undefined);
    await abortable(turn, context.signal);
  }

  async #loadNow(context: StoreContext, attempt: number): Promise<void> {
    this.#counts.loads++;
    const manifest = await this.#latest(context);
    const isNewTree = this.#manifest === undefined || !sameTree(manifest, this.#manifest);
    const tail = isNewTree ? { memtable: new Memtable(), walId: manifest.replayAfterWalId, walSeq: 0 } : this.#tail;
    const lastWalId = typeof this.#settings.mode === "string" ? Infinity : manifest.walIdLastSeen;
    while (!this.#settings.skipsWal && tail.walId < lastWalId) {
      const key = context.paths.wal(tail.walId + 1);
      const bytes = await withRetry(context.readPolicy, async () => await context.walStore.get(key, { signal: context.signal }));
      if (bytes === undefined) break;
      const target = { memtable: tail.memtable, aboveSeq: manifest.lastL0Seq, previousSeq: tail.walSeq };
      tail.walSeq = replayWal({ object: key, bytes }, context.sealer, target).lastSeq;
      // With its rows, not at the end: should the next object fail, these are not read again.
      tail.walId++;
    }
    const seq = Math.max(manifest.lastL0Seq, tail.memtable.lastSeq);
    if (seq < this.#seq) {
      // Collection took WAL objects away meanwhile, so a newer manifest has their rows. What was seen goes on being seen.
      if (attempt < RELOADS_MAX) await this.#loadNow(context, attempt + 1);
      return;
    }
    this.#manifest = manifest;
    this.#tail = tail;
    this.#view = { memtables: [tail.memtable], ...context.currentTree(manifest) };
    this.#seq = seq;
    this.#holds.show(manifest);
  }

  async #latest(context: StoreContext): Promise<Manifest> {
    const { mode } = this.#settings;
    const version = await context.manifest();
    if (mode === "latest") return version.value;
    if (mode !== "managed") return await this.#atCheckpoint(context, version.value, mode.checkpoint);
    return await this.#holds.hold(context, version.value);
  }

  async #atCheckpoint(context: StoreContext, manifest: Manifest, id: Uuid): Promise<Manifest> {
    const found = isUuid(id) ? manifest.checkpoints.find((checkpoint) => checkpoint.id === id) : undefined;
    const version = found === undefined ? undefined : await context.manifests.read(found.manifestId);
    if (version === undefined) throw new PumiceError("LSM_CHECKPOINT_NOT_FOUND", { checkpoint: id });
    return version.value;
  }
}
