/**
 * The log's thread: does what it is told, in order. One batch is one write, one sync, one acknowledgement; what belongs in a batch is decided by the
 * handle on the main thread, which has one batch here at a time.
 */
import { isPumiceError, packError, type WorkerMain, type WorkerScope } from "../../base/mod.ts";
import { Log, type LogSettings } from "./log.ts";
import type { LogAnswer, LogReply, LogRequest } from "./messages.ts";
import { packEntries, type PackedBatch } from "./pack.ts";
import type { LogParts } from "./recover.ts";

/** The code of the log's worker, which is started with LogSettings. */
export function logWriter(parts: LogParts): WorkerMain {
  return (scope, initial) => {
    let log: Log;
    try {
      log = Log.open(parts, initial as LogSettings);
    } catch (error) {
      post(scope, { kind: "failed", error: packError(error) });
      return;
    }
    const writer = new LogWriter(scope, log);
    post(scope, { kind: "opened", state: log.state, identity: log.identity, hasBegun: log.hasBegun });
    scope.onMessage((message) => writer.receive(message as LogRequest));
    scope.onIdle(() => writer.idle());
  };
}

function post(scope: WorkerScope, reply: LogReply, transfer: readonly ArrayBuffer[] = []): void {
  scope.post(reply, transfer);
}

class LogWriter {
  readonly #scope: WorkerScope;
  readonly #log: Log;
  #hasFailed = false;

  constructor(scope: WorkerScope, log: Log) {
    this.#scope = scope;
    this.#log = log;
  }

  receive(request: LogRequest): void {
    if (request.kind !== "append") this.#answer(request);
    else if (!this.#hasFailed) this.#append(request.batch);
  }

  /** Nothing waits: prepares for later batches. True if there is more to do. */
  idle(): boolean {
    if (this.#hasFailed) return false;
    try {
      return this.#log.prepare();
    } catch (error) {
      this.#fail(error);
      return false;
    }
  }

  #append(batch: PackedBatch): void {
    const { number } = batch;
    try {
      const { refusal } = this.#log.append([batch]);
      if (refusal === undefined) post(this.#scope, { kind: "persisted", number });
      else post(this.#scope, { kind: "refused", number, error: packError(refusal) });
    } catch (error) {
      this.#fail(error);
    }
  }

  #answer(request: Exclude<LogRequest, { kind: "append" }>): void {
    const { id } = request;
    let answer: LogAnswer;
    try {
      answer = this.#perform(request);
    } catch (error) {
      if (isPumiceError(error, "LOG_FAILED")) this.#fail(error);
      post(this.#scope, { kind: "error", id, error: packError(error) });
      return;
    }
    post(this.#scope, { kind: "answer", id, answer }, answer.kind === "entries" ? [answer.entries.frames.buffer] : []);
  }

  #perform(request: Exclude<LogRequest, { kind: "append" }>): LogAnswer {
    switch (request.kind) {
      case "read": {
        const result = this.#log.read(request.range);
        return result.kind === "entries" ? { kind: "entries", entries: packEntries(result.entries) } : result;
      }
      case "locate":
        return { kind: "located", located: this.#log.locate(request.range) };
      case "compact":
        this.#log.compact(request.to);
        break;
      case "close":
        this.#log.close();
        break;
    }
    return { kind: "done" };
  }

  /** Told once. */
  #fail(error: unknown): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    post(this.#scope, { kind: "failed", error: packError(error) });
  }
}
