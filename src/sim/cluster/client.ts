/**
 * A client of the simulated database: one operation at a time, what it was told kept as the operation's fate. A write with a request id is sent
 * again, under the same id, until its outcome is known; one without is given up.
 */
import { fromUtf8, isPumiceError, type Random } from "../../base/mod.ts";
import type { Level, Replica } from "../../replica/mod.ts";
import type { RequestId } from "../../sql/mod.ts";
import { checkLinearizableByKey, REGISTER, type Operation, type RegisterInput } from "../check/linearizability.ts";
import { drawWrite, statementsOf, REGISTERS, type Fate, type Model, type WriteOperation } from "./model.ts";

/** What clients share. */
export interface Bench {
  readonly random: Random;
  /** Counts turns: the time of histories. */
  readonly now: () => number;
  model: Model;
  history: History;
  nextId: number;
  /** Operations that were counted, by what became of them. */
  readonly counts: Map<string, number>;
}

/** Writes and reads of registers since the last load. */
export class History {
  readonly #operations: Operation<RegisterInput, number>[] = [];

  add(operation: Operation<RegisterInput, number>): void {
    this.#operations.push(operation);
  }

  /**
   * The register whose history, with the writes of `open` that may have happened, no order explains; undefined if all is well. A search that ends by
   * its budget accuses nothing.
   */
  violation(open: readonly Operation<RegisterInput, number>[]): string | number | undefined {
    const { verdict, key } = checkLinearizableByKey([...this.#operations, ...open], (input) => input.key, REGISTER, BUDGET);
    return verdict === "illegal" ? key : undefined;
  }
}

/** Steps of the search per register. */
const BUDGET = 200_000;
const LEVELS: readonly Level[] = ["weak", "linearizable", "strong", "none"];
/** A write without a request id whose outcome is open waits no longer than this. Unit: ms of the simulated clock. */
const WRITE_TIMEOUT_MS = 2_000;

interface Retry {
  readonly operation: WriteOperation;
  readonly requestId: RequestId;
  readonly call: number;
}

/** One client. */
export class Client {
  readonly #bench: Bench;
  readonly #session: bigint;
  #sequence = 0n;
  /** A write with a request id whose outcome is not known. */
  #retry: Retry | undefined;
  /** Writes whose outcome is open, with the time of their call. */
  readonly #open = new Map<number, { readonly operation: WriteOperation; readonly call: number }>();
  #isBusy = false;
  /** Counts processes: what an earlier one still says is not heard. */
  #incarnation = 0;

  constructor(bench: Bench) {
    this.#bench = bench;
    this.#session = bench.random.u64();
  }

  get isIdle(): boolean {
    return !this.#isBusy;
  }

  /** The operation that will be sent again. */
  get retried(): number | undefined {
    return this.#retry?.operation.id;
  }

  /** The process has ended: no answer will come. */
  disconnected(): void {
    this.#incarnation++;
    this.#isBusy = false;
  }

  /** Writes of registers that may have happened. */
  openWrites(): Operation<RegisterInput, number>[] {
    return [...this.#open.values()]
      .filter(({ operation }) => operation.kind === "set")
      .map(({ operation, call }) => writeOf(operation, call, Infinity));
  }

  /** What was open is settled: the model knows. Their writes of registers enter the history as what they were. */
  settled(): void {
    for (const [id, { operation, call }] of this.#open) {
      if (id === this.retried) continue;
      this.#open.delete(id);
      if (operation.kind === "set" && this.#bench.model.hasShown(id)) this.#wrote(operation, call, Infinity);
    }
  }

  /** Begins an operation. */
  act(replica: Replica): void {
    this.#isBusy = true;
    const incarnation = this.#incarnation;
    void this.#operate(replica, incarnation).finally(() => {
      if (incarnation === this.#incarnation) this.#isBusy = false;
    });
  }

  #operate(replica: Replica, incarnation: number): Promise<void> {
    if (this.#retry === undefined && this.#bench.random.below(3) === 0) return this.#read(replica, incarnation);
    return this.#write(replica, incarnation);
  }

  async #write(replica: Replica, incarnation: number): Promise<void> {
    const { bench, now } = this.#world();
    const retry = this.#retry ?? this.#begin();
    const { operation, requestId, call } = retry;
    const { statements, isTransaction } = statementsOf(operation);
    bench.model.issued(operation);
    this.#open.set(operation.id, { operation, call });
    let fate: Fate = "open";
    try {
      const request = { kind: "execute", statements, transaction: isTransaction, ...(requestId && { requestId }) } as const;
      const outcome = await replica.write(request, { timeoutMs: WRITE_TIMEOUT_MS });
      if (incarnation !== this.#incarnation) return;
      fate = fateOf(outcome, isTransaction);
    } catch (error) {
      if (incarnation !== this.#incarnation) return;
      if (!isPumiceError(error)) throw error;
      // These say that the entry was not proposed. All others leave the outcome open.
      if (["REPLICA_NOT_LEADER", "REPLICA_FULL", "REPLICA_OVERLOADED"].includes(error.code))
        fate = requestId === undefined ? "refused" : "open";
    }
    this.#count(`${operation.kind} ${fate}`);
    if (fate === "open") return;
    this.#open.delete(operation.id);
    this.#retry = undefined;
    bench.model.became(operation.id, fate);
    if (operation.kind === "set" && fate === "done") this.#wrote(operation, call, now());
  }

  #begin(): Retry | { readonly operation: WriteOperation; readonly requestId: undefined; readonly call: number } {
    const { bench, now } = this.#world();
    const operation = drawWrite(bench.nextId++, bench.random);
    if (bench.random.below(2) === 0) return { operation, requestId: undefined, call: now() };
    this.#retry = { operation, requestId: { session: this.#session, sequence: ++this.#sequence }, call: now() };
    return this.#retry;
  }

  async #read(replica: Replica, incarnation: number): Promise<void> {
    const { bench, now } = this.#world();
    const key = bench.random.below(REGISTERS);
    const level = LEVELS[bench.random.below(LEVELS.length)] as Level;
    const call = now();
    try {
      const statements = [{ sql: "SELECT v FROM registers WHERE k = ?", params: [BigInt(key)] }];
      const outcome = await replica.read({ statements, level }, { timeoutMs: WRITE_TIMEOUT_MS });
      if (incarnation !== this.#incarnation) return;
      const value = Number(rowsOf(outcome)[0]?.[0]?.[0] ?? 0);
      if (level !== "none") bench.history.add({ call, ret: now(), input: { kind: "read", key }, output: value });
      this.#count(`read ${level}`);
    } catch (error) {
      if (!isPumiceError(error)) throw error;
      this.#count(`read ${error.code}`);
    }
  }

  #wrote(operation: WriteOperation, call: number, ret: number): void {
    this.#bench.history.add(writeOf(operation, call, ret));
  }

  #count(what: string): void {
    const { counts } = this.#bench;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }

  #world(): { readonly bench: Bench; readonly now: () => number } {
    return { bench: this.#bench, now: this.#bench.now };
  }
}

function writeOf({ id, a }: WriteOperation, call: number, ret: number): Operation<RegisterInput, number> {
  return { call, ret, input: { kind: "write", key: a, value: id }, output: undefined };
}

type Outcome = Awaited<ReturnType<Replica["read"]>>;

/** A transaction with an error in it left nothing. Without one each statement stands alone, so that the first one, the row, is there. */
function fateOf(outcome: Outcome, isTransaction: boolean): Fate {
  if (outcome.kind !== "results") return "refused";
  return isTransaction && resultsOf(outcome).some((result) => result.error !== undefined) ? "refused" : "done";
}

interface StatementResult {
  readonly error?: string;
  readonly values?: readonly (readonly unknown[])[];
}

function resultsOf(outcome: Outcome): StatementResult[] {
  if (outcome.kind !== "results") throw new Error(`a read gave ${JSON.stringify(outcome)}`);
  const text = typeof outcome.results === "string" ? outcome.results : fromUtf8(outcome.results);
  return JSON.parse(`[${text}]`) as StatementResult[];
}

/** The rows of each statement. @throws Error if one failed */
export function rowsOf(outcome: Outcome): (readonly (readonly unknown[])[])[] {
  return resultsOf(outcome).map(({ error, values }) => {
    if (error !== undefined) throw new Error(`a read failed: ${error}`);
    return values ?? [];
  });
}
