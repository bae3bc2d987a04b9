/**
 * Writes one batch of queued requests and gives each request its own results.
 *
 * A batch is one entry of the log under one request id, kept when it is sent again after an unknown outcome. Requests that cannot
 * share an entry (one makes the whole entry fail, uses up the work that one entry may cost, or is a VACUUM) are written alone, each
 * under an id of its own; that happens only after an outcome which says that nothing of them was applied.
 *
 * Requests that ask for a transaction share one: the first that fails takes the entry back, is taken out, and the others are
 * written again. So each of them is all or nothing, and none depends on another.
 */
import { assert, isPumiceError } from "../base/mod.ts";
import type { Counters } from "./counters.ts";
import type { LogLine, QueueOptions } from "./options.ts";
import { errorOfResult, splitElements } from "./result-slices.ts";
import { type ResultFormat, type Statement, VACUUM_ALONE_TEXT } from "../sql/mod.ts";
import type { WriteOutcome } from "../replica/mod.ts";
import type { ReplicaPort } from "./replica-port.ts";

/** What became of a queued request. */
export interface QueueOutcome {
  /** What stands between the brackets of `results`. */
  readonly results: string;
  readonly error?: string | undefined;
  readonly raftIndex?: number | undefined;
}

/** A request in the queue. Its statements have text: blank ones give no result and were left out. */
export interface QueuedRequest {
  readonly sequence: bigint;
  readonly statements: readonly Statement[];
  readonly sizeBytes: number;
  readonly format: ResultFormat | undefined;
  readonly dbTimeoutMs: number | undefined;
  /** All of its statements or none. */
  readonly transaction: boolean;
  readonly settle: (outcome: QueueOutcome) => void;
}

/** An error of a queued request, as /status shows it. */
export interface QueueError {
  readonly time: string;
  readonly sequence_number: bigint;
  /** Position in the request; absent if the whole request failed. */
  readonly statement?: number;
  readonly error: string;
}

/** What a writer works with. */
export interface QueueParts {
  readonly replica: () => ReplicaPort | undefined;
  readonly counters: Counters;
  readonly log: LogLine;
}

/** The error of a statement that found the work of its entry used up. */
const BUDGET_ERROR = "execute timeout";

/** So many errors are kept for /status. */
const ERRORS_KEPT = 32;

/** Pause before a batch is sent again, ms: doubled each time, up to a bound. */
const RETRY_MS = 50;
const RETRY_MS_MAX = 1000;

/** Sends batches, one at a time. */
export class QueueWriter {
  readonly #options: QueueOptions;
  readonly #parts: QueueParts;
  /** Random for each process, so that no two processes share ids. */
  readonly #session: bigint;
  readonly #errors: QueueError[] = [];
  #sequence = 0n;
  #givenUp: string | undefined;
  #wake: (() => void) | undefined;

  constructor(options: QueueOptions, parts: QueueParts, session: bigint) {
    this.#options = options;
    this.#parts = parts;
    this.#session = session;
  }

  /** The last errors, oldest first. */
  get errors(): readonly QueueError[] {
    return this.#errors;
  }

  /** From now on a batch that cannot be written is not tried again. */
  giveUp(reason: string): void {
    this.#givenUp = reason;
    this.#wake?.();
  }

  /** Writes the requests in order and settles each. All have the same format, time limit and `transaction`. @throws AssertionError */
  write(requests: readonly QueuedRequest[]): Promise<void> {
    return this.#write(requests, this.#options.transaction || requests[0]?.transaction === true);
  }

  async #write(requests: readonly QueuedRequest[], transaction: boolean): Promise<void> {
    const [first] = requests;
    if (first === undefined) return;
    const statements = requests.flatMap((request) => request.statements);
    if (statements.length === 0) {
      for (const request of requests) this.#settle(request, { results: "" });
      return;
    }
    const outcome = await this.#send(first, statements, transaction);
    if (outcome.kind === "results") {
      const elements = splitElements(textOf(outcome.results));
      assert(elements.length === statements.length || transaction, "a statement has one result");
      const entry = { requests, transaction, elements, raftIndex: outcome.raftIndex };
      await (transaction ? this.#distributeWhole(entry) : this.#distribute(entry));
    } else await this.#refused(requests, outcome.kind === "error" ? outcome.error : "the request was not written");
  }

  /** Sends one entry until its outcome is known. */
  async #send(like: QueuedRequest, statements: readonly Statement[], transaction: boolean): Promise<WriteOutcome> {
    const { counters } = this.#parts;
    const requestId = { session: this.#session, sequence: ++this.#sequence };
    counters.http.queued_executions_num_stmts_tx += statements.length;
    for (let attempt = 0; ; attempt++) {
      const outcome = await this.#attempt({
        kind: "execute",
        statements,
        transaction,
        dbTimeoutMs: like.dbTimeoutMs,
        requestId,
        format: like.format,
      });
      if (outcome.kind !== "again") return outcome;
      if (this.#givenUp !== undefined) return { kind: "error", error: `${this.#givenUp}: ${outcome.why}` };
      if (attempt === 0) this.#parts.log(`queue: a batch could not be written and is tried again: ${outcome.why}`);
      counters.queue.num_retries++;
      await this.#pause(Math.min(RETRY_MS * 2 ** attempt, RETRY_MS_MAX));
    }
  }

  async #attempt(request: Parameters<ReplicaPort["write"]>[0]): Promise<WriteOutcome | { readonly kind: "again"; readonly why: string }> {
    const { http } = this.#parts.counters;
    const replica = this.#parts.replica();
    if (replica === undefined) return { kind: "again", why: "store not open" };
    try {
      return await replica.write(request);
    } catch (error) {
      if (!isPumiceError(error)) {
        this.#parts.log(
          `queue: a batch failed inside the node: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`,
        );
        return { kind: "error", error: "internal error: see the log of the node" };
      }
      if (error.kind === "not-leader") http.queued_executions_not_leader++;
      else http.queued_executions_unknown_error++;
      if (error.kind === "not-leader" || error.kind === "unavailable") return { kind: "again", why: error.message };
      return { kind: "error", error: error.message };
    }
  }

  /** The entry failed as a whole and nothing of it was applied: whose fault it was shows when each request is written alone. */
  async #refused(requests: readonly QueuedRequest[], error: string): Promise<void> {
    for (const request of requests) {
      if (requests.length === 1) this.#settle(request, { results: "", error });
      else await this.write([request]);
    }
  }

  /** The results of an entry that was one transaction: one failure undid all of it. */
  async #distributeWhole(entry: WrittenEntry): Promise<void> {
    const { requests, elements } = entry;
    const failed = elements.findIndex((element) => errorOfResult(element) !== undefined);
    if (failed >= 0 && requests.length > 1) {
      const error = errorOfResult(elements[failed] as string);
      await (error === BUDGET_ERROR ? this.#refused(requests, error) : this.#takeOut(entry, failed));
    } else await this.#distribute(entry);
  }

  async #distribute({ requests, transaction, elements, raftIndex }: WrittenEntry): Promise<void> {
    let start = 0;
    for (const request of requests) {
      const end = start + request.statements.length;
      const own = elements.slice(start, end);
      const starved = requests.length === 1 ? -1 : own.findIndex((element) => errorOfResult(element) === BUDGET_ERROR);
      if (starved >= 0) await this.#finishAlone(request, own.slice(0, starved));
      else if ((requests.length > 1 || transaction) && mayRunAlone(request, own)) await this.#write([request], false);
      else this.#settle(request, { results: own.join(","), raftIndex });
      start = end;
    }
  }

  /** The entry's budget of work ran out, perhaps by another request's doing: the statements that did not run get an entry of their own. */
  #finishAlone(request: QueuedRequest, before: readonly string[]): Promise<void> {
    const settle = (outcome: QueueOutcome): void => {
      request.settle({ ...outcome, results: [...before, outcome.results].filter((part) => part !== "").join(",") });
    };
    return this.write([{ ...request, statements: request.statements.slice(before.length), settle }]);
  }

  /** A statement of a transaction failed and everything was undone: its request fails alone, the others are written again. */
  async #takeOut({ requests, elements }: WrittenEntry, failed: number): Promise<void> {
    let start = 0;
    const others: QueuedRequest[] = [];
    for (const request of requests) {
      const end = start + request.statements.length;
      const own = elements.slice(start, failed + 1);
      if (failed < start || failed >= end) others.push(request);
      else if (mayRunAlone(request, own)) await this.#write([request], false);
      else this.#settle(request, { results: own.join(",") });
      start = end;
    }
    await this.write(others);
  }

  #settle(request: QueuedRequest, outcome: QueueOutcome): void {
    const { http, queue } = this.#parts.counters;
    if (outcome.error !== undefined) {
      http.queued_executions_failed++;
      this.#keep({ sequence_number: request.sequence, error: outcome.error });
    } else {
      http.queued_executions_ok++;
      if (outcome.results.includes('"error":')) {
        for (const [statement, element] of splitElements(outcome.results).entries()) {
          const error = errorOfResult(element);
          if (error === undefined) continue;
          queue.num_statement_errors++;
          this.#keep({ sequence_number: request.sequence, statement, error });
        }
      }
    }
    queue.objects_tx++;
    request.settle(outcome);
  }

  #keep(error: Omit<QueueError, "time">): void {
    this.#errors.push({ time: new Date().toISOString(), ...error });
    if (this.#errors.length > ERRORS_KEPT) this.#errors.shift();
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}

/** An entry that was written, and the result of each of its statements; of a transaction that failed, up to the one that failed. */
interface WrittenEntry {
  readonly requests: readonly QueuedRequest[];
  readonly transaction: boolean;
  readonly elements: readonly string[];
  readonly raftIndex: number | undefined;
}

/** True for a VACUUM that failed only because of what the queue put beside or around it. */
function mayRunAlone(request: QueuedRequest, results: readonly string[]): boolean {
  const [only] = results;
  if (request.transaction || request.statements.length !== 1 || only === undefined) return false;
  return errorOfResult(only) === VACUUM_ALONE_TEXT;
}

function textOf(json: string | Uint8Array): string {
  return typeof json === "string" ? json : Buffer.from(json.buffer, json.byteOffset, json.byteLength).toString("utf8");
}
