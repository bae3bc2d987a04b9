/**
 * WAL: rows on their way into numbered objects. They lie in the memtable that they were written to, and are encoded when their object is put. Group commit: when somebody waits for durability and nothing is under way, the put
 * starts at once; what comes meanwhile shares the next object. What nobody waits for goes with the flush interval.
 *
 * 1. Ids are contiguous; object n+1 is put only after object n is there. So the objects after a crash are a prefix of what was written.
 * 2. A batch lies in one object.
 * 3. An id that is taken means a newer writer: LSM_FENCED. The check of the epoch after a long pause catches a newer writer whose
 *    fence has been deleted meanwhile (SlateDB #352).
 */
import { EMPTY_BYTES, PumiceError } from "../../base/mod.ts";
import { expectedBytes, SstWriter, type SstSettings } from "../format/sst-writer.ts";
import { momentOf, msSince, type Moment } from "../store/moment.ts";
import { createObject } from "../store/retry.ts";
import type { StoreContext } from "../engine/context.ts";
import type { Memtable } from "./memtable.ts";
import type { RowRef } from "./row-arena.ts";
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

/** The rows that were inserted into a memtable between two marks. */
interface PendingFile {
  readonly id: number;
  readonly memtable: Memtable;
  readonly from: RowRef;
  readonly to: RowRef;
  readonly sizeBytes: number;
  readonly lastSeq: number;
}

/** A put that ends later than this after the last look at the manifest is believed only after another look. */
const EPOCH_TRUST_MS = 60_000;
/**
 * An object is closed when its rows have grown to this. It is encoded in one go, and in memory: so this bounds how long others wait,
 * and what it costs. An object store gains little by larger ones.
 */
const OBJECT_BYTES_MAX = 4_194_304;

/** See the header of this file. */
export class WalWriter {
  readonly #context: StoreContext;
  readonly #settings: SstSettings;
  readonly #hooks: WalHooks;
  readonly #durable: SeqWaiters;
  #memtable: Memtable;
  /** What was inserted up to this mark lies in objects, put or in the queue. */
  #mark: RowRef;
  /** Size of the memtable at the mark. */
  #markBytes: number;
  #lastSeq: number;
  #queue: PendingFile[] = [];
  /** Objects are put one at a time: the next is built where the last was. */
  #memory: Uint8Array = EMPTY_BYTES;
  #nextId: number;
  #putId: number;
  #isRunning = false;
  /** What was appended during a put is to follow it, although nobody waits for it. */
  #isWanted = false;
  #epochCheckedAt: Moment;
  /** Objects put so far. */
  files = 0;
  /** Their bytes. */
  bytes = 0;

  constructor(
    parts: { context: StoreContext; settings: SstSettings; hooks: WalHooks },
    start: { nextId: number; seq: number; memtable: Memtable },
  ) {
    this.#context = parts.context;
    this.#settings = parts.settings;
    this.#hooks = parts.hooks;
    this.#nextId = start.nextId;
    this.#putId = start.nextId - 1;
    this.#lastSeq = start.seq;
    this.#memtable = start.memtable;
    this.#mark = start.memtable.mark;
    this.#markBytes = start.memtable.sizeBytes;
    this.#durable = new SeqWaiters(start.seq);
    this.#epochCheckedAt = momentOf(parts.context.clock);
  }

  /** Every row up to this is in the store. */
  get durableSeq(): number {
    return this.#durable.seq;
  }

  /** The newest object that is in the store. */
  get durableId(): number {
    return this.#putId;
  }

  /** Bytes not yet in the store, estimated. */
  get pendingBytes(): number {
    return this.#queue.reduce((sum, file) => sum + file.sizeBytes, this.#currentBytes);
  }

  get #currentBytes(): number {
    return this.#memtable.sizeBytes - this.#markBytes;
  }

  /** A batch with that sequence number is in the memtable, whole. */
  append(seq: number): void {
    this.#lastSeq = seq;
    if (this.#currentBytes < OBJECT_BYTES_MAX) return;
    this.cut();
    this.flushSoon();
  }

  /** Closes the current object; gives the id of the newest object that holds, or will hold, everything appended so far. */
  cut(): number {
    const memtable = this.#memtable;
    const from = this.#mark;
    const to = memtable.mark;
    if (to !== from) {
      this.#queue.push({ id: this.#nextId++, memtable, from, to, sizeBytes: this.#currentBytes, lastSeq: this.#lastSeq });
      this.#mark = to;
      this.#markBytes = memtable.sizeBytes;
    }
    return this.#nextId - 1;
  }

  /** As cut; what comes later is inserted into `next`, which is empty. */
  cutFor(next: Memtable): number {
    const id = this.cut();
    this.#memtable = next;
    this.#mark = next.mark;
    this.#markBytes = next.sizeBytes;
    return id;
  }

  /** Starts putting what there is, if that is not under way. */
  flushSoon(): void {
    this.#isWanted = true;
    if (this.#isRunning) return;
    this.#isRunning = true;
    void this.#run();
  }

  /** Resolves when `seq` is durable; starts what is needed for it. */
  async waitDurable(seq: number, signal?: AbortSignal): Promise<void> {
    if (seq <= this.#durable.seq) return;
    this.flushSoon();
    await this.#durable.wait(seq, signal);
  }

  /** Puts all that was appended before the call. */
  async flush(signal?: AbortSignal): Promise<void> {
    await this.waitDurable(this.#lastSeq, signal);
  }

  /** Rejects all waits. */
  fail(error: unknown): void {
    this.#durable.fail(error);
  }

  async #run(): Promise<void> {
    try {
      // Writes of the same turn of the event loop share an object.
      await Promise.resolve();
      for (;;) {
        if (this.#queue.length === 0) {
          this.cut();
          this.#isWanted = false;
        }
        const file = this.#queue[0];
        if (file === undefined) return;
        await this.#put(file);
        this.#queue.shift();
        this.#putId = file.id;
        this.files++;
        this.#hooks.onDurable(file.lastSeq, file.id);
        this.#durable.advance(file.lastSeq);
        if (this.#durable.isEmpty && this.#queue.length === 0 && !this.#isWanted) return;
      }
    } catch (error) {
      this.#hooks.onFailure(error);
    } finally {
      this.#isRunning = false;
    }
  }

  async #put(file: PendingFile): Promise<void> {
    const needed = expectedBytes(file.sizeBytes);
    if (this.#memory.length < needed) this.#memory = new Uint8Array(needed);
    const writer = new SstWriter("wal", { ...this.#settings, memory: this.#memory }, this.#context.sealer);
    file.memtable.eachBetween(file.from, file.to, (entry) => writer.addEntry(entry));
    const object = { key: this.#context.paths.wal(file.id), body: writer.finish().bytes };
    const outcome = await createObject(this.#context.walStore, this.#context.writePolicy, object);
    this.bytes += object.body.length;
    if (outcome === "taken") throw new PumiceError("LSM_FENCED", { what: "WAL object is another writer's", object: object.key });
    if (this.#memory.length > OBJECT_BYTES_MAX * 2) this.#memory = EMPTY_BYTES;
    if (msSince(this.#epochCheckedAt, this.#context.clock) < EPOCH_TRUST_MS) return;
    const now = momentOf(this.#context.clock);
    await this.#hooks.checkEpoch();
    this.#epochCheckedAt = now;
  }
}
