/**
 * The reader threads, seen from the main thread.
 *
 * Reads of the same turn of the event loop go to one idle reader as one batch, which it runs in one read transaction: the hop between
 * threads and SQLite's locks are then paid once. A slow read must not hold up the quick ones behind it, so:
 * - a text that was slow before goes alone;
 * - when a batch has lasted `HEDGE_MS` and another reader is idle, the reads behind the one that runs are sent there too. Reads change
 *   nothing, so that the later answer is dropped.
 *
 * Waking a second thread costs more than a quick read, so a few reads wait up to `HOLD_MS` for a reader that has just begun.
 *
 * A text that a reader has found simple is read at once on this thread, where that can be done without holding it up: see InlineReader.
 *
 * Invariants:
 * 1. Each read is answered exactly once.
 * 2. A reader has at most one batch.
 */
import { Gather, PumiceError, assert, unpackError, type Clock, type Worker } from "../../base/mod.ts";
import type { SqliteStatus } from "../connection/sqlite-status.ts";
import { unpackResults } from "../wire/packing.ts";
import type { ReaderRequest, ReaderResponse } from "../wire/protocol.ts";
import type { SqlRead } from "../command/read.ts";
import type { SqlReadResult } from "../result/results.ts";

/** What the pool needs of the world. */
export interface ReaderPoolParts {
  readonly clock: Clock;
  /** Starts a reader that tells by `running` which read it runs: see ReaderWorkerInit. */
  readonly spawn: (running: SharedArrayBuffer) => Worker;
  /** Runs `task` at the end of this turn of the event loop. */
  readonly defer: (task: () => void) => void;
  /** Interrupts the statement that the reader with this handle runs now, if any. */
  readonly interrupt: (handle: number) => void;
  /** Opens what reads simple statements on this thread. */
  readonly openInline: () => InlineReads;
  /** A reader failed: the replica must stop. */
  readonly failed: (error: PumiceError) => void;
}

/** Simple reads on this thread: InlineReader. */
export interface InlineReads {
  /** Undefined: ask a reader. */
  read(request: SqlRead): SqlReadResult | undefined;
  close(): void;
}

/** Small batches overlap: while one is read, the answers of the one before are written. */
const BATCH_READS_MAX = 16;
/** A read that took this long goes alone from then on. Unit: ms. */
const SLOW_MS = 5;
/** Unit: ms. */
const HEDGE_MS = 20;
/** How long a batch is waited for before another reader is woken for a few reads. Unit: ms. */
const HOLD_MS = 1;
/** Reads that wait so, at most. */
const HELD_READS_MAX = 16;
const SLOW_TEXTS_MAX = 256;
const SIMPLE_TEXTS_MAX = 2048;
/** Reads that wait for a reader, at most: more are refused. */
const QUEUE_MAX = 65_536;

interface Job {
  readonly id: number;
  readonly request: SqlRead;
  readonly resolve: (result: SqlReadResult) => void;
  readonly reject: (error: PumiceError) => void;
  isDone: boolean;
}

interface Reader {
  readonly worker: Worker;
  /** The id, cut to 32 bits, of the read that it runs. */
  readonly running: Int32Array;
  handle: number | undefined;
  /** In the order in which they run; empty: idle. */
  batch: Job[];
  startedMs: number;
  /** When the last answer of the batch came. */
  progressMs: number;
  /** The read that was to be interrupted for its caller's sake; whichever else the interrupt met is run again. */
  abandoned: Job | undefined;
  statuses: ((status: SqliteStatus) => void)[];
}

/** A fixed number of readers. */
export class ReaderPool {
  readonly #parts: ReaderPoolParts;
  readonly #readers: Reader[];
  readonly #jobs = new Map<number, Job>();
  readonly #slowTexts = new Set<string>();
  /** Texts that readers have found simple. */
  readonly #simpleTexts = new Set<string>();
  #inline: InlineReads | undefined;
  readonly #opened: Promise<void>;
  readonly #gather: Gather;
  #queue: Job[] = [];
  #nextId = 1;
  #isLookingAgain = false;
  #isClosed = false;

  constructor(count: number, parts: ReaderPoolParts) {
    assert(count > 0, "a pool has at least one reader");
    this.#parts = parts;
    this.#gather = new Gather(parts, () => this.#flush());
    const opening: Promise<void>[] = [];
    this.#readers = Array.from({ length: count }, () => this.#start(opening));
    this.#opened = Promise.all(opening).then(() => {
      if (!this.#isClosed) this.#inline = parts.openInline();
    });
  }

  /** Resolves when every reader has opened the database. */
  opened(): Promise<void> {
    return this.#opened;
  }

  /** Reads that wait or run. */
  get count(): number {
    return this.#jobs.size;
  }

  get readerCount(): number {
    return this.#readers.length;
  }

  /** @throws REPLICA_OVERLOADED, REPLICA_CLOSED; the signal's reason if it aborts first. */
  read(request: SqlRead, options: { readonly signal?: AbortSignal | undefined } = {}): Promise<SqlReadResult> {
    if (this.#isClosed) return Promise.reject(new PumiceError("REPLICA_CLOSED"));
    const result = options.signal?.aborted === true ? undefined : this.#readInline(request);
    if (result !== undefined) return Promise.resolve(result);
    if (this.#queue.length >= QUEUE_MAX) return Promise.reject(new PumiceError("REPLICA_OVERLOADED", { waiting: this.#queue.length }));
    return new Promise((resolve, reject) => {
      const job: Job = { id: this.#nextId++, request, resolve, reject, isDone: false };
      this.#jobs.set(job.id, job);
      this.#queue.push(job);
      if (options.signal !== undefined) this.#watch(job, options.signal, reject);
      this.#gather.add();
    });
  }

  #readInline(request: SqlRead): SqlReadResult | undefined {
    const { statements, timings } = request;
    const sql = statements[0]?.sql;
    if (sql === undefined || statements.length !== 1 || timings === true || !this.#simpleTexts.has(sql)) return undefined;
    const result = this.#inline?.read(request);
    // Whatever was in the way: a reader says whether it is still simple.
    if (result === undefined) this.#simpleTexts.delete(sql);
    return result;
  }

  /** Called now and then by the replica's clock: see the head of this file. */
  tick(): void {
    const nowMs = this.#parts.clock.monotonic();
    for (const reader of this.#readers) {
      // Reads whose caller gave up before they began, or that another reader has answered.
      for (const job of reader.batch) if (job.isDone) this.#abandon(reader, job);
      const waiting = reader.batch.filter((job) => !job.isDone);
      if (waiting.length < 2 || nowMs - reader.progressMs < HEDGE_MS) continue;
      const idle = this.#readers.find((other) => other.batch.length === 0 && other.handle !== undefined);
      if (idle === undefined) return;
      const runningId = Atomics.load(reader.running, 0);
      const running = waiting.find((job) => (job.id | 0) === runningId);
      this.#markSlow(running);
      this.#send(
        idle,
        waiting.filter((job) => job !== running),
      );
    }
  }

  /** Interrupts reads that have run for longer than `ms`. The number of readers interrupted. */
  interruptOlderThan(ms: number): number {
    const nowMs = this.#parts.clock.monotonic();
    let count = 0;
    for (const reader of this.#readers) {
      if (reader.batch.length === 0 || reader.handle === undefined || nowMs - reader.startedMs < ms) continue;
      this.#parts.interrupt(reader.handle);
      count++;
    }
    return count;
  }

  /** Status of one reader's connection. */
  status(): Promise<SqliteStatus> {
    const reader = this.#readers.find((each) => each.batch.length === 0) ?? this.#readers[0];
    assert(reader !== undefined, "a pool has at least one reader");
    return new Promise((resolve) => {
      reader.statuses.push(resolve);
      this.#post(reader, { kind: "status", id: this.#nextId++ });
    });
  }

  /** Refuses what waits, interrupts what runs, and ends the threads. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#inline?.close();
    this.#inline = undefined;
    for (const job of this.#jobs.values()) job.reject(new PumiceError("REPLICA_CLOSED"));
    this.#jobs.clear();
    this.#queue = [];
    await Promise.all(
      this.#readers.map(async (reader) => {
        if (reader.batch.length > 0 && reader.handle !== undefined) this.#parts.interrupt(reader.handle);
        await reader.worker.terminate();
      }),
    );
  }

  #start(opening: Promise<void>[]): Reader {
    const { promise, resolve } = Promise.withResolvers<void>();
    opening.push(promise);
    const running = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
    const reader: Reader = {
      worker: this.#parts.spawn(running),
      running: new Int32Array(running),
      handle: undefined,
      batch: [],
      startedMs: 0,
      progressMs: 0,
      abandoned: undefined,
      statuses: [],
    };
    reader.worker.onMessage((message) => {
      this.#receive(reader, message as ReaderResponse);
      if (reader.handle !== undefined) resolve();
    });
    reader.worker.onExit((error) => this.#parts.failed(new PumiceError("WORKER_FAILED", { name: "reader" }, error)));
    return reader;
  }

  #flush(): void {
    for (const reader of this.#readers) {
      if (this.#queue.length === 0) return;
      if (reader.batch.length > 0 || reader.handle === undefined) continue;
      if (this.#shouldHold()) {
        this.#lookAgain();
        return;
      }
      this.#send(reader, this.#takeBatch());
    }
  }

  /** True if a reader that began a moment ago is likely to be free before another would have woken: then few reads wait for it. */
  #shouldHold(): boolean {
    if (this.#queue.length >= HELD_READS_MAX || this.#isSlow(this.#queue[0] as Job)) return false;
    const nowMs = this.#parts.clock.monotonic();
    return this.#readers.some((reader) => reader.batch.length > 0 && nowMs - reader.progressMs < HOLD_MS);
  }

  /** The reader that was waited for may be at a slow read after all. */
  #lookAgain(): void {
    if (this.#isLookingAgain) return;
    this.#isLookingAgain = true;
    void this.#parts.clock.sleep(HOLD_MS).then(() => {
      this.#isLookingAgain = false;
      this.#flush();
    });
  }

  /** The reads from the head of the queue that may share a transaction. */
  #takeBatch(): Job[] {
    let count = 0;
    while (count < this.#queue.length && count < BATCH_READS_MAX) {
      if (this.#isSlow(this.#queue[count] as Job)) {
        if (count === 0) count = 1;
        break;
      }
      count++;
    }
    return this.#queue.splice(0, count);
  }

  #send(reader: Reader, batch: Job[]): void {
    const nowMs = this.#parts.clock.monotonic();
    reader.batch = batch;
    reader.startedMs = nowMs;
    reader.progressMs = nowMs;
    this.#post(reader, { kind: "read", requests: batch.map((job) => ({ id: job.id, request: job.request })) });
  }

  #post(reader: Reader, request: ReaderRequest): void {
    reader.worker.post(request);
  }

  #receive(reader: Reader, response: ReaderResponse): void {
    switch (response.kind) {
      case "opened":
        reader.handle = response.interruptHandle;
        this.#gather.add();
        return;
      case "reads":
        this.#answered(reader, response.ids, unpackResults(response.results));
        return;
      case "status":
        reader.statuses.shift()?.(response.status);
        return;
      case "fatal":
        this.#parts.failed(unpackError(response.error));
        return;
      case "backup-done":
      case "dump-chunk":
      case "closed":
        assert(false, "a reader of the pool neither backs up nor dumps");
    }
  }

  #answered(reader: Reader, ids: readonly number[], results: readonly SqlReadResult[]): void {
    const nowMs = this.#parts.clock.monotonic();
    if (ids.length === 1 && nowMs - reader.progressMs > SLOW_MS) this.#markSlow(this.#jobs.get(ids[0] as number));
    reader.progressMs = nowMs;
    for (const [i, id] of ids.entries()) {
      const job = this.#jobs.get(id);
      const result = results[i] as SqlReadResult;
      if (job === undefined) continue;
      if (result.isSimple === true) this.#markSimple(job);
      if (result.interrupted === true && reader.abandoned !== undefined) this.#queue.push(job);
      else this.#settle(job, result);
    }
    // Reads answered here or, after a hedge, elsewhere: the reader is idle only when it has answered every one itself.
    const answered = new Set(ids);
    reader.batch = reader.batch.filter((job) => !answered.has(job.id));
    if (reader.batch.length > 0) return;
    reader.abandoned = undefined;
    this.#flush();
  }

  #settle(job: Job, result: SqlReadResult): void {
    if (job.isDone) return;
    job.isDone = true;
    this.#jobs.delete(job.id);
    job.resolve(result);
  }

  #watch(job: Job, signal: AbortSignal, reject: (reason: unknown) => void): void {
    const abort = (): void => {
      if (job.isDone) return;
      job.isDone = true;
      this.#jobs.delete(job.id);
      this.#queue = this.#queue.filter((each) => each !== job);
      for (const reader of this.#readers) if (reader.batch.includes(job)) this.#abandon(reader, job);
      reject(signal.reason);
    };
    if (signal.aborted) abort();
    else signal.addEventListener("abort", abort, { once: true });
  }

  /** Interrupts the reader if it runs `job` now. It may have gone on to the next read at this moment: see `abandoned`. */
  #abandon(reader: Reader, job: Job): void {
    if (reader.handle === undefined || Atomics.load(reader.running, 0) !== (job.id | 0)) return;
    reader.abandoned = job;
    this.#parts.interrupt(reader.handle);
  }

  #isSlow(job: Job): boolean {
    const text = job.request.statements[0]?.sql;
    return text !== undefined && this.#slowTexts.has(text);
  }

  #markSimple(job: Job): void {
    const text = job.request.statements[0]?.sql;
    if (text === undefined) return;
    if (this.#simpleTexts.size >= SIMPLE_TEXTS_MAX) this.#simpleTexts.delete(this.#simpleTexts.values().next().value as string);
    this.#simpleTexts.add(text);
  }

  #markSlow(job: Job | undefined): void {
    const text = job?.request.statements[0]?.sql;
    if (text === undefined) return;
    if (this.#slowTexts.size >= SLOW_TEXTS_MAX) this.#slowTexts.delete(this.#slowTexts.values().next().value as string);
    this.#slowTexts.add(text);
  }
}
