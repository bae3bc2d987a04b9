/**
 * The log's thread. All batches that wait become one group: one write, one sync, one acknowledgement. There is no timer: while a group is
 * written the next one gathers.
 */
import { isPumiceError, packError, type WorkerMain, type WorkerScope } from "../../base/mod.ts";
import { Log, type LogSettings } from "./log.ts";
import { type LogAnswer, type LogReply, type LogRequest } from "./messages.ts";
import { packEntries, type PackedBatch } from "./pack.ts";
import type { LogParts } from "./recover.ts";

/** A group is written once it has so many bytes, though more wait. */
const GROUP_BYTES_MAX = 4 * 1024 * 1024;

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
    post(scope, { kind: "opened", state: log.state });
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
  #group: PackedBatch[] = [];
  #groupBytes = 0;
  /** open: batches are taken. refused: they are dropped until the client rewinds. failed: for ever. */
  #mode: "open" | "refused" | "failed" = "open";

  constructor(scope: WorkerScope, log: Log) {
    this.#scope = scope;
    this.#log = log;
  }

  receive(request: LogRequest): void {
    if (request.kind !== "append") {
      this.#flush();
      this.#answer(request);
      return;
    }
    if (this.#mode !== "open") return;
    this.#group.push(request.batch);
    this.#groupBytes += request.batch.entries.frames.length;
    if (this.#groupBytes >= GROUP_BYTES_MAX) this.#flush();
  }

  /** Nothing waits: writes the group, or else prepares for later ones. */
  idle(): boolean {
    if (this.#group.length > 0) {
      this.#flush();
      return true;
    }
    return this.#try(() => this.#log.prepare()) ?? false;
  }

  #flush(): void {
    const group = this.#group;
    if (group.length === 0) return;
    this.#group = [];
    this.#groupBytes = 0;
    const outcome = this.#try(() => this.#log.append(group));
    if (outcome === undefined) return;
    const persisted = group[outcome.persisted - 1];
    if (persisted !== undefined) post(this.#scope, { kind: "persisted", number: persisted.number });
    const refused = group[outcome.persisted];
    if (refused === undefined || outcome.refusal === undefined) return;
    this.#mode = "refused";
    post(this.#scope, { kind: "refused", number: refused.number, error: packError(outcome.refusal) });
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
      case "compact":
        this.#log.compact(request.to);
        return { kind: "done" };
      case "close":
        this.#log.close();
        return { kind: "done" };
      case "rewind":
        break;
    }
    if (this.#mode === "refused") this.#mode = "open";
    return { kind: "state", state: this.#log.state };
  }

  /** Undefined if the log failed, which is reported once. */
  #try<T>(work: () => T): T | undefined {
    if (this.#mode === "failed") return undefined;
    try {
      return work();
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  #fail(error: unknown): void {
    if (this.#mode === "failed") return;
    this.#mode = "failed";
    post(this.#scope, { kind: "failed", error: packError(error) });
  }
}
