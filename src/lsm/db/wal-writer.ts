/**
 * WAL: rows on their way into numbered objects. Group commit: when somebody waits for durability and nothing is under way, the put
 * starts at once; what comes meanwhile shares the next object. What nobody waits for goes with the flush interval.
 *
 * 1. Ids are contiguous; object n+1 is put only after object n is there. So the objects after a crash are a prefix of what was written.
 * 2. A batch lies in one object.
 * 3. An id that is taken means a newer writer: LSM_FENCED. The check of the epoch after a long pause catches a newer writer whose
 *    fence has been deleted meanwhile (SlateDB #352).
 */
import { PumiceError } from "../../base/mod.ts";
import { SstWriter, type SstSettings } from "../format/sst-writer.ts";
import { createObject } from "../store/retry.ts";
import type { StoreContext } from "./context.ts";
import type { MemRow } from "./memtable.ts";
import { SeqWaiters } from "./waiters.ts";

/** What the WAL tells its owner. */
export interface WalHooks {
  /** Everything up to `seq` is durable, and lies in objects up to `walId`. */
  onDurable(seq: number, walId: number): void;
  /** Nothing more can be written. */
  onFailure(error: unknown): void;
  /** @throws LSM_FENCED if a newer writer has claimed the store. */
  checkEpoch(): Promise<void>;
}

interface PendingFile {
  readonly id: number;
  readonly rows: MemRow[];
  readonly sizeBytes: number;
  readonly lastSeq: number;
}

/** Rough size of a row beside its key and value. */
const ROW_OVERHEAD_BYTES = 24;
/** A put that ends later than this after the last look at the manifest is believed only after another look. */
const EPOCH_TRUST_MS = 60_000;

/** See the header of this file. */
export class WalWriter {
  private readonly context: StoreContext;
  private readonly settings: SstSettings & { readonly fileBytesMax: number };
  private readonly hooks: WalHooks;
  private readonly durable: SeqWaiters;
  private rows: MemRow[] = [];
  private rowsBytes = 0;
  private lastSeq: number;
  private queue: PendingFile[] = [];
  private nextId: number;
  private putId: number;
  private running: Promise<void> | undefined;
  /** What was appended during a put is to follow it, although nobody waits for it. */
  private isWanted = false;
  private epochCheckedAt: number;
  /** Objects put so far. */
  files = 0;

  constructor(
    parts: { context: StoreContext; settings: SstSettings & { readonly fileBytesMax: number }; hooks: WalHooks },
    start: { nextId: number; seq: number },
  ) {
    this.context = parts.context;
    this.settings = parts.settings;
    this.hooks = parts.hooks;
    this.nextId = start.nextId;
    this.putId = start.nextId - 1;
    this.lastSeq = start.seq;
    this.durable = new SeqWaiters(start.seq);
    this.epochCheckedAt = parts.context.clock.monotonic();
  }

  /** Every row up to this is in the store. */
  get durableSeq(): number {
    return this.durable.seq;
  }

  /** The newest object that is in the store. */
  get durableId(): number {
    return this.putId;
  }

  /** Bytes not yet in the store, estimated. */
  get pendingBytes(): number {
    return this.queue.reduce((sum, file) => sum + file.sizeBytes, this.rowsBytes);
  }

  /** Takes the rows of one batch. */
  append(rows: readonly MemRow[], seq: number): void {
    for (const row of rows) {
      this.rows.push(row);
      this.rowsBytes += row.key.length + row.value.length + ROW_OVERHEAD_BYTES;
    }
    this.lastSeq = seq;
    if (this.rowsBytes >= this.settings.fileBytesMax) this.flushSoon();
  }

  /** Closes the current object; gives the id of the newest object that holds, or will hold, everything appended so far. */
  cut(): number {
    if (this.rows.length > 0) {
      this.queue.push({ id: this.nextId++, rows: this.rows, sizeBytes: this.rowsBytes, lastSeq: this.lastSeq });
      this.rows = [];
      this.rowsBytes = 0;
    }
    return this.nextId - 1;
  }

  /** Starts putting what there is, if that is not under way. */
  flushSoon(): void {
    this.isWanted = true;
    this.running ??= this.run();
  }

  /** Resolves when `seq` is durable; starts what is needed for it. */
  async waitDurable(seq: number, signal?: AbortSignal): Promise<void> {
    if (seq <= this.durable.seq) return;
    this.flushSoon();
    await this.durable.wait(seq, signal);
  }

  /** Puts all that was appended before the call. */
  async flush(signal?: AbortSignal): Promise<void> {
    await this.waitDurable(this.lastSeq, signal);
  }

  /** Rejects all who wait. */
  fail(error: unknown): void {
    this.durable.fail(error);
  }

  private async run(): Promise<void> {
    try {
      // Writes of the same turn of the event loop share an object.
      await Promise.resolve();
      for (;;) {
        if (this.queue.length === 0) {
          this.cut();
          this.isWanted = false;
        }
        const file = this.queue[0];
        if (file === undefined) return;
        await this.put(file);
        this.queue.shift();
        this.putId = file.id;
        this.files++;
        this.hooks.onDurable(file.lastSeq, file.id);
        this.durable.advance(file.lastSeq);
        if (this.durable.isEmpty && this.queue.length === 0 && !this.isWanted) return;
      }
    } catch (error) {
      this.hooks.onFailure(error);
    } finally {
      this.running = undefined;
    }
  }

  private async put(file: PendingFile): Promise<void> {
    const writer = new SstWriter("wal", this.settings, this.context.sealer);
    for (const row of file.rows) writer.add(row);
    const object = { key: this.context.paths.wal(file.id), body: writer.finish().bytes };
    const outcome = await createObject(this.context.walStore, this.context.writePolicy, object);
    if (outcome === "taken") throw new PumiceError("LSM_FENCED", { what: "WAL object is another writer's", object: object.key });
    const now = this.context.clock.monotonic();
    if (now - this.epochCheckedAt < EPOCH_TRUST_MS) return;
    await this.hooks.checkEpoch();
    this.epochCheckedAt = now;
  }
}
