/** The log, as the main thread sees it: batches go to the log's thread, acknowledgements come back. */
import { PumiceError, unpackError, type EntryId, type Worker } from "../../base/mod.ts";
import { type LogAnswer, type LogReply, type LogRequest } from "./messages.ts";
import { packBatch, unpackEntries } from "./pack.ts";
import type { ReadRange } from "./reader.ts";
import type { Entry } from "../../raft/mod.ts";
import type { LogAppend, LogState } from "./types.ts";

/** What the log tells without being asked. */
export interface LogListener {
  /** All batches up to `number` are durable. (A batch that only moves the commit index may be acknowledged before it is.) */
  persisted(number: number): void;
  /**
   * There is no space (LOG_FULL): batch `number` and all after it are not durable, and none is taken until `rewind`. Like anything that was under
   * way, what was refused may still be found after a crash, if nothing was written since: who was told that it failed was told too much.
   */
  refused(number: number, error: PumiceError): void;
  /** The log failed, or its thread did: nothing is acknowledged any more. The process must end and start again. */
  failed(error: PumiceError): void;
}

interface Waiting {
  readonly resolve: (answer: LogAnswer) => void;
  readonly reject: (error: Error) => void;
}

/** A log on its own thread. */
export class LogClient {
  /** What was durable when the log was opened. */
  readonly opened: LogState;
  readonly #worker: Worker;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #ended: PumiceError | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Waits until the log of `worker` (a `logWriter`, started with LogSettings) is open. Ends the worker if that fails.
   * @throws LOG_CORRUPT, LOG_MISSING, LOG_VERSION, FS_NO_SPACE, FS_IO, WORKER_FAILED
   */
  static open(worker: Worker, listener: LogListener): Promise<LogClient> {
    return new Promise((resolve, reject) => {
      let client: LogClient | undefined;
      const fail = (error: PumiceError): void => {
        if (client === undefined) {
          reject(error);
          void worker.terminate();
        } else if (client.#end(error)) listener.failed(error);
      };
      worker.onExit((cause) => fail(new PumiceError("WORKER_FAILED", { worker: "log", reason: cause?.message }, cause)));
      worker.onMessage((message) => {
        const reply = message as LogReply;
        switch (reply.kind) {
          case "opened":
            client = new LogClient(worker, reply.state);
            resolve(client);
            return;
          case "persisted":
            listener.persisted(reply.number);
            return;
          case "refused":
            listener.refused(reply.number, unpackError(reply.error));
            return;
          case "failed":
            fail(unpackError(reply.error));
            return;
          case "answer":
            client?.take(reply.id)?.resolve(reply.answer);
            return;
          case "error":
            client?.take(reply.id)?.reject(unpackError(reply.error));
        }
      });
    });
  }

  private constructor(worker: Worker, opened: LogState) {
    this.#worker = worker;
    this.opened = opened;
  }

  /**
   * Gives a batch to the log. The entries' bytes are copied. Batches are made durable in the order of their numbers.
   * @throws LOG_CLOSED after close; LOG_FAILED and what else `failed` was told, after that.
   */
  append(batch: LogAppend): void {
    this.#check();
    const packed = packBatch(batch);
    const request: LogRequest = { kind: "append", batch: packed };
    this.#worker.post(request, [packed.entries.frames.buffer]);
  }

  /**
   * Entries from `range.lo` on that were durable at the call, at least one if there is one, and fewer than asked for if a limit came first;
   * undefined if the first was dropped. @throws LOG_CORRUPT, LOG_CLOSED, FS_IO
   */
  async read(range: ReadRange): Promise<readonly Entry[] | undefined> {
    for (;;) {
      const answer = await this.#ask((id) => ({ kind: "read", id, range }));
      if (answer.kind === "entries") return unpackEntries(answer.entries);
      if (answer.kind === "compacted") return undefined;
    }
  }

  /**
   * Drops entries up to `to`, which must be applied, and restorable without the log. Resolves when the mark is durable.
   * @throws LOG_FULL, LOG_FAILED, LOG_CLOSED
   */
  async compact(to: EntryId): Promise<void> {
    await this.#ask((id) => ({ kind: "compact", id, to }));
  }

  /** After a refusal: what is durable. Batches are taken again from here on. @throws LOG_FAILED, LOG_CLOSED */
  async rewind(): Promise<LogState> {
    const answer = await this.#ask((id) => ({ kind: "rewind", id }));
    if (answer.kind !== "state") throw new PumiceError("WORKER_FAILED", { worker: "log", reason: `answered ${answer.kind}` });
    return answer.state;
  }

  /** Makes all that was given durable, closes the log and ends its thread. Idempotent. @throws LOG_FAILED */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const done = this.#ended === undefined ? this.#ask((id) => ({ kind: "close", id })) : undefined;
    this.#ended ??= new PumiceError("LOG_CLOSED");
    try {
      await done;
    } finally {
      await this.#worker.terminate();
    }
  }

  #check(): void {
    if (this.#ended !== undefined) throw this.#ended;
  }

  async #ask(make: (id: number) => LogRequest): Promise<LogAnswer> {
    this.#check();
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.post(make(id));
    });
  }

  private take(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  /** False if it had ended. */
  #end(error: PumiceError): boolean {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
    if (this.#ended !== undefined) return false;
    this.#ended = error;
    return true;
  }
}
