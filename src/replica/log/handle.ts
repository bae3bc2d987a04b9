/**
 * The log, as the main thread sees it: batches go to the log's thread, acknowledgements come back; what a full disk refused is kept here
 * and tried again.
 *
 * One group of batches is with the log's thread at a time; what comes meanwhile is merged into the next one. A batch that only moves the
 * commit index is not sent: it may be lost in a crash, so it is acknowledged when all before it are, and travels with the next batch that
 * is sent. Both spare hops between threads, which cost more than what they carry.
 *
 * A full disk fails nothing that was promised: batches that were refused wait, in order, until there is space. Meanwhile `refusal` tells
 * callers to propose nothing new. "Refused" does not mean "never applied": like anything that was under way, such a batch may be found
 * after a crash if nothing was written since.
 *
 * Invariants:
 * 1. Batches are acknowledged in order, each once, and none that must be synced before the log's thread has synced it.
 * 2. The commit index on disk has reached an index before the log is compacted up to it.
 */
import { PumiceError, assert, isPumiceError, unpackError, type EntryId, type Worker } from "../../base/mod.ts";
import { payloadBytes, type Entry } from "../../raft/mod.ts";
import type { LogBatch } from "../consensus/ports.ts";
import type { LogIdentity } from "./format.ts";
import type { LogAnswer, LogReply, LogRequest } from "./messages.ts";
import { packBatch, unpackEntries } from "./pack.ts";
import type { Located, ReadRange } from "./reader.ts";
import type { LogState } from "./types.ts";

/** The receiver of what the log tells without being asked. */
export interface LogOwner {
  /** Every batch up to `number` is durable, as far as it has to be. May be called from within `append`. */
  acknowledge(number: number): void;
  /** The log's thread made something durable, and the owner has been told. Never called from within `append`. */
  advanced?(): void;
  /** The log failed, or its thread did: nothing is acknowledged any more. The process must end and start again. */
  failed(error: PumiceError): void;
}

interface Waiting {
  readonly resolve: (answer: LogAnswer) => void;
  readonly reject: (error: Error) => void;
}

/** A request that is answered, before it has an id. */
type Question = LogRequest extends infer R ? (R extends { readonly id: number } ? Omit<R, "id"> : never) : never;

/** Unit: bytes. A group takes nothing more once it has so many. */
const GROUP_BYTES_MAX = 4 * 1024 * 1024;

/** A log on its own thread. */
export class LogHandle {
  /** What was durable when the log was opened. */
  readonly opened: LogState;
  /** Whose log it is; undefined if nobody has told it. */
  readonly identity: LogIdentity | undefined;
  /** True if it was begun by this opening. */
  readonly hasBegun: boolean;
  readonly #worker: Worker;
  readonly #owner: LogOwner;
  /** Given and not yet acknowledged, oldest first. */
  readonly #pending: LogBatch[] = [];
  /** The newest commit index, if nothing has carried it to the log's thread yet. */
  #unsent: LogBatch | undefined;
  /** The last batch of the group that the log's thread has; 0: it has none. */
  #underWay = 0;
  #refusal: PumiceError | undefined;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #ended: PumiceError | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Waits until the log of `worker` (a `logWriter`, started with LogSettings) is open. Ends the worker if that fails.
   * @throws LOG_CORRUPT, LOG_MISSING, LOG_VERSION, FS_NO_SPACE, FS_IO, WORKER_FAILED
   */
  static open(worker: Worker, owner: LogOwner): Promise<LogHandle> {
    return new Promise((resolve, reject) => {
      let handle: LogHandle | undefined;
      const fail = (error: PumiceError): void => {
        if (handle === undefined) {
          reject(error);
          void worker.terminate();
        } else if (handle.#end(error)) owner.failed(error);
      };
      worker.onExit((cause) => fail(new PumiceError("WORKER_FAILED", { worker: "log", reason: cause?.message }, cause)));
      worker.onMessage((message) => {
        const reply = message as LogReply;
        if (reply.kind === "failed") {
          fail(unpackError(reply.error));
        } else if (reply.kind === "opened") {
          handle = new LogHandle(worker, owner, reply);
          resolve(handle);
        } else if (handle !== undefined) {
          handle.#receive(reply);
        }
      });
    });
  }

  private constructor(worker: Worker, owner: LogOwner, { state, identity, hasBegun }: Extract<LogReply, { kind: "opened" }>) {
    this.#worker = worker;
    this.#owner = owner;
    this.opened = state;
    this.identity = identity;
    this.hasBegun = hasBegun;
  }

  /** Why nothing new should be proposed: the disk is full (LOG_FULL). Undefined: all is well. */
  get refusal(): PumiceError | undefined {
    return this.#refusal;
  }

  /**
   * Takes a batch. Batches are made durable in the order of their numbers. The entries' bytes are copied when they are sent.
   * @throws LOG_CLOSED after close; what `failed` was told, after that
   */
  append(batch: LogBatch): void {
    this.#check();
    if (isCommitOnly(batch)) {
      if (batch.hardState !== undefined) this.#unsent = batch;
      if (this.#pending.length === 0) this.#owner.acknowledge(batch.number);
      else this.#pending.push(batch);
      return;
    }
    const whole = { ...batch, hardState: batch.hardState ?? this.#unsent?.hardState };
    this.#unsent = undefined;
    this.#pending.push(whole);
    this.#sendGroup();
  }

  /**
   * Drops entries up to `to`, which must be applied, and restorable without the log. Resolves true when the mark is durable, false if
   * the disk is full or the log has ended: then nothing is dropped.
   */
  async compact(to: EntryId): Promise<boolean> {
    this.#sendCommit();
    try {
      await this.#ask({ kind: "compact", to });
      return true;
    } catch (error) {
      // A log that failed has told its owner.
      const isTold = isPumiceError(error) && (error === this.#ended || error.code === "LOG_FULL" || error.code === "LOG_FAILED");
      if (!isTold) this.#owner.failed(isPumiceError(error) ? error : new PumiceError("WORKER_FAILED", { worker: "log" }, error));
      return false;
    }
  }

  /**
   * For a start, while the log's thread has nothing else to do; later a LogReader reads.
   * Entries from `range.lo` on that were durable at the call, at least one if there is one, and fewer than asked for if a limit came first;
   * undefined if the first was dropped. @throws LOG_CORRUPT, LOG_CLOSED, FS_IO
   */
  async read(range: ReadRange): Promise<readonly Entry[] | undefined> {
    for (;;) {
      const answer = await this.#ask({ kind: "read", range });
      if (answer.kind === "entries") return unpackEntries(answer.entries);
      if (answer.kind === "compacted") return undefined;
    }
  }

  /** Where entries from `range.lo` on stand, as far as they were durable at the call: for a LogReader. @throws LOG_CLOSED */
  async locate(range: ReadRange): Promise<Located> {
    const answer = await this.#ask({ kind: "locate", range });
    assert(answer.kind === "located", "a question is answered by its own kind");
    return answer.located;
  }

  /** Sends again what was refused. Called now and then. */
  retry(): void {
    if (this.#refusal === undefined || this.#ended !== undefined) return;
    this.#refusal = undefined;
    this.#sendGroup();
  }

  /** Makes durable what was sent, closes the log and ends its thread. Idempotent. @throws LOG_FAILED */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#sendCommit();
    const done = this.#ended === undefined ? this.#ask({ kind: "close" }) : undefined;
    this.#ended ??= new PumiceError("LOG_CLOSED");
    try {
      await done;
    } finally {
      await this.#worker.terminate();
    }
  }

  #receive(reply: Exclude<LogReply, { kind: "opened" | "failed" }>): void {
    switch (reply.kind) {
      case "persisted":
        this.#persisted(reply.number);
        this.#owner.advanced?.();
        return;
      case "refused":
        this.#refusal = unpackError(reply.error);
        this.#underWay = 0;
        return;
      case "answer":
        this.#take(reply.id)?.resolve(reply.answer);
        return;
      case "error":
        this.#take(reply.id)?.reject(unpackError(reply.error));
    }
  }

  /** The log's thread made everything up to `number` durable. A commit index behind it needs no more. */
  #persisted(number: number): void {
    let last = 0;
    let count = 0;
    for (const batch of this.#pending) {
      if (batch.number > number && !isCommitOnly(batch)) break;
      last = batch.number;
      count++;
    }
    if (number >= this.#underWay) this.#underWay = 0;
    if (count === 0) return;
    this.#pending.splice(0, count);
    this.#sendGroup();
    this.#owner.acknowledge(last);
  }

  /** Everything that waits, as far as it can be one batch. */
  #sendGroup(): void {
    if (this.#underWay !== 0 || this.#refusal !== undefined || this.#ended !== undefined) return;
    let group: LogBatch | undefined;
    let bytes = 0;
    for (const batch of this.#pending) {
      if (isCommitOnly(batch)) continue;
      if (group !== undefined && (bytes > GROUP_BYTES_MAX || !follows(group, batch))) break;
      group = group === undefined ? batch : merge(group, batch);
      bytes += payloadBytes(batch.entries);
    }
    if (group === undefined) return;
    this.#underWay = group.number;
    this.#send(group);
  }

  /** Never before the entries that it may speak of: they may still be refused. */
  #sendCommit(): void {
    if (this.#unsent === undefined || this.#pending.length > 0 || this.#ended !== undefined) return;
    this.#send(this.#unsent);
    this.#unsent = undefined;
  }

  #send(batch: LogBatch): void {
    const packed = packBatch(batch);
    this.#worker.post({ kind: "append", batch: packed } satisfies LogRequest, [packed.entries.frames.buffer]);
  }

  #check(): void {
    if (this.#ended !== undefined) throw this.#ended;
  }

  async #ask(question: Question): Promise<LogAnswer> {
    this.#check();
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.post({ ...question, id } satisfies LogRequest);
    });
  }

  #take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  /** False if it had ended. */
  #end(error: PumiceError): boolean {
    const isFirst = this.#ended === undefined;
    this.#ended ??= error;
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    return isFirst;
  }
}

/** True if `next` only adds entries behind those of `group`: it replaces nothing. */
function follows(group: LogBatch, next: LogBatch): boolean {
  const last = group.entries.at(-1);
  const first = next.entries[0];
  return next.snapshot === undefined && (first === undefined || (last !== undefined && first.index === last.index + 1));
}

function merge(group: LogBatch, next: LogBatch): LogBatch {
  return {
    number: next.number,
    hardState: next.hardState ?? group.hardState,
    snapshot: group.snapshot,
    entries: [...group.entries, ...next.entries],
    mustSync: true,
  };
}

function isCommitOnly(batch: LogBatch): boolean {
  return !batch.mustSync && batch.snapshot === undefined && batch.entries.length === 0;
}
