/**
 * Queued writes: `POST /db/execute?queue` is answered before its statements are written, and many requests are written at once.
 *
 * Invariants:
 * 1. One batch is under way at a time, in order of arrival, so that the session of request ids has one request under way.
 * 2. A batch that is sent again after an unknown outcome keeps its request id: it is applied at most once.
 * 3. Each request gets the results of its own statements. One that fails neither fails nor stops another.
 * 4. What waits is bounded in requests and in bytes; a request beyond that waits for room, and is refused in the end.
 * 5. Nothing is lost silently: each request ends in results, or in an error that is counted and kept for /status.
 */
import { randomBytes } from "node:crypto";
import { formatGoDuration } from "./go-duration.ts";
import { HttpError } from "./http-error.ts";
import type { QueueOptions } from "./options.ts";
import { type QueuedRequest, type QueueOutcome, type QueueParts, QueueWriter } from "./queue-writer.ts";

/** A request for the queue. */
export type NewRequest = Pick<QueuedRequest, "statements" | "sizeBytes" | "format" | "dbTimeoutMs" | "transaction">;

/** A request that the queue has taken. */
export interface Accepted {
  /** The number that the client is told. */
  readonly sequence: bigint;
  /** Settles when the statements are written or have failed. Never rejects. */
  readonly done: Promise<QueueOutcome>;
}

interface Waiter {
  readonly sizeBytes: number;
  readonly enter: () => void;
  readonly refuse: (error: HttpError) => void;
}

/** The queue of one node. */
export class WriteQueue {
  readonly #options: QueueOptions;
  readonly #parts: QueueParts;
  readonly #writer: QueueWriter;
  readonly #pending: QueuedRequest[] = [];
  readonly #waiters: Waiter[] = [];
  #pendingBytes = 0;
  #pendingStatements = 0;
  /** Requests of the batch that is under way. */
  #underWay = 0;
  #timer: NodeJS.Timeout | undefined;
  #isDue = false;
  #isClosing = false;
  #onEmpty: (() => void) | undefined;
  #sequence = BigInt(Date.now()) * 1_000_000n;

  constructor(options: QueueOptions, parts: QueueParts) {
    this.#options = options;
    this.#parts = parts;
    this.#writer = new QueueWriter(options, parts, randomBytes(8).readBigUInt64LE());
  }

  /**
   * Puts the request into the queue, waiting for room if there is none. A request without statements is a barrier: it is done when
   * everything before it is, and makes the queue write at once.
   * @throws HttpError 503 if there is no room within `timeoutMs`: then nothing of the request is ever written.
   */
  async submit(request: NewRequest, timeoutMs: number): Promise<Accepted> {
    if (!this.#hasRoom(request.sizeBytes)) await this.#waitForRoom(request.sizeBytes, timeoutMs);
    if (this.#isClosing) throw closing();
    const { promise, resolve } = Promise.withResolvers<QueueOutcome>();
    const sequence = ++this.#sequence;
    this.#pending.push({ ...request, sequence, settle: resolve });
    this.#pendingBytes += request.sizeBytes;
    this.#pendingStatements += request.statements.length;
    this.#parts.counters.queue.objects_rx++;
    if (request.statements.length === 0) this.#isDue = true;
    this.#pump();
    return { sequence, done: promise };
  }

  /** For /status. */
  status(): Record<string, unknown> {
    return {
      max_size: this.#options.capacity,
      batch_size: this.#options.batchSize,
      timeout: formatGoDuration(Math.round(this.#options.timeoutMs * 1e6)),
      sequence_number: this.#sequence,
      transaction: this.#options.transaction,
      pending: this.#pending.length,
      pending_bytes: this.#pendingBytes,
      under_way: this.#underWay,
      waiting_for_room: this.#waiters.length,
      last_errors: this.#writer.errors,
    };
  }

  /** Takes no more, and writes what is there. What cannot be written within `timeoutMs` fails, and is counted in the log. */
  async close(timeoutMs: number): Promise<void> {
    this.#isClosing = true;
    for (const waiter of this.#waiters.splice(0)) waiter.refuse(closing());
    const timer = setTimeout(() => {
      this.#parts.log(`queue: closing before everything is written requests=${String(this.#pending.length + this.#underWay)}`);
      this.#writer.giveUp("the node is shutting down");
    }, timeoutMs);
    this.#pump();
    if (this.#underWay > 0) {
      await new Promise<void>((resolve) => {
        this.#onEmpty = resolve;
      });
    }
    clearTimeout(timer);
    clearTimeout(this.#timer);
  }

  #hasRoom(sizeBytes: number): boolean {
    if (this.#waiters.length > 0 || this.#pending.length >= this.#options.capacity) return false;
    return this.#pending.length === 0 || this.#pendingBytes + sizeBytes <= this.#options.capacityBytes;
  }

  #waitForRoom(sizeBytes: number, timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiters.splice(this.#waiters.indexOf(waiter), 1);
        this.#parts.counters.http.queued_executions_refused++;
        reject(new HttpError(503, "queue full: nothing of this request was written", ["Retry-After", "1"]));
      }, timeoutMs);
      const waiter: Waiter = {
        sizeBytes,
        enter: () => {
          clearTimeout(timer);
          resolve();
        },
        refuse: (error) => {
          clearTimeout(timer);
          reject(error);
        },
      };
      this.#waiters.push(waiter);
    });
  }

  /** Writes a batch if one is due and none is under way. */
  #pump(): void {
    if (this.#underWay > 0) return;
    if (this.#pending.length === 0) {
      this.#onEmpty?.();
      return;
    }
    if (this.#isDue || this.#isClosing || this.#pendingStatements >= this.#options.batchSize) {
      void this.#flush();
    } else {
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.#isDue = true;
        this.#parts.counters.queue.num_timeout++;
        this.#pump();
      }, this.#options.timeoutMs);
    }
  }

  async #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const batch = this.#takeBatch();
    this.#underWay = batch.length;
    this.#parts.counters.queue.num_flush++;
    this.#admitWaiters();
    try {
      await this.#writer.write(batch);
    } catch (error) {
      // A bug of ours. The outcome of the batch is not known; nothing behind it may wait for it.
      this.#parts.log(
        `queue: a batch failed inside the server: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
      );
      for (const request of batch) request.settle({ results: "", error: "internal error: see the log of the node" });
    }
    this.#underWay = 0;
    this.#pump();
  }

  /** The oldest requests that may share an entry. What was due stays due until everything that was there is taken. */
  #takeBatch(): QueuedRequest[] {
    let count = 0;
    let statements = 0;
    const [first] = this.#pending;
    for (const request of this.#pending) {
      if (first === undefined || !sharesEntry(first, request) || statements >= this.#options.batchSize) break;
      count++;
      statements += request.statements.length;
      this.#pendingBytes -= request.sizeBytes;
    }
    this.#pendingStatements -= statements;
    const batch = this.#pending.splice(0, count);
    if (this.#pending.length === 0) this.#isDue = false;
    return batch;
  }

  /** Lets requests in that wait for room. They enter in a microtask each, so their room is reckoned here. */
  #admitWaiters(): void {
    let requests = this.#pending.length;
    let bytes = this.#pendingBytes;
    while (this.#waiters.length > 0) {
      const waiter = this.#waiters[0] as Waiter;
      if (requests >= this.#options.capacity || (requests > 0 && bytes + waiter.sizeBytes > this.#options.capacityBytes)) return;
      requests++;
      bytes += waiter.sizeBytes;
      this.#waiters.shift();
      waiter.enter();
    }
  }
}

/** An entry of the log has one format and one time limit, and is one transaction or none. */
function sharesEntry(left: QueuedRequest, right: QueuedRequest): boolean {
  return (
    left.dbTimeoutMs === right.dbTimeoutMs &&
    left.transaction === right.transaction &&
    left.format?.associative === right.format?.associative &&
    left.format?.blobArray === right.format?.blobArray &&
    left.format?.qualifyColumns === right.format?.qualifyColumns
  );
}

function closing(): HttpError {
  return new HttpError(503, "the node is shutting down: nothing of this request was written");
}
