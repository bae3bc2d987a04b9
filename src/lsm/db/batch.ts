/** A batch: writes that become visible and durable together. All get one sequence number; of several writes to a key the last counts. */
import { compareBytes, EMPTY_BYTES, PumiceError } from "../../base/mod.ts";
import { checkBytes, checkKey, MERGE, TOMBSTONE, VALUE, VALUE_BYTES_MAX, type Row, type RowKind } from "../format/row.ts";
import { applyOperator, type MergeOperator } from "../engine/merge-operator.ts";
import { Arena } from "./arena.ts";

/** When a row expires: after so many milliseconds, at a time (milliseconds since 1970), never, or by the store's default if absent. */
export type Ttl = { readonly afterMs: number } | { readonly atMs: number } | "never";

/** Options of a single write. */
export interface PutOptions {
  readonly ttl?: Ttl | undefined;
}

interface Operation {
  readonly kind: RowKind;
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly ttl: Ttl | undefined;
}

/** Small keys and values of batches share chunks of this. */
const POOL_BYTES = 16_384;
const pool = new Arena(POOL_BYTES);

/** Collects writes. Keys and values are copied as they come: the caller may use its bytes for the next. */
export class WriteBatch {
  readonly #operations: Operation[] = [];

  /** @throws LSM_INVALID if the key is empty or too long. */
  put(key: Uint8Array, value: Uint8Array, options?: PutOptions): this {
    return this.#add({ kind: VALUE, key, value, ttl: options?.ttl });
  }

  /** @throws LSM_INVALID if the key is empty or too long. */
  delete(key: Uint8Array): this {
    return this.#add({ kind: TOMBSTONE, key, value: EMPTY_BYTES, ttl: "never" });
  }

  /** @throws LSM_INVALID if the key is empty or too long. */
  merge(key: Uint8Array, operand: Uint8Array, options?: PutOptions): this {
    return this.#add({ kind: MERGE, key, value: operand, ttl: options?.ttl });
  }

  get size(): number {
    return this.#operations.length;
  }

  /** Writes in the order in which they were added. */
  get entries(): readonly { readonly kind: RowKind; readonly key: Uint8Array; readonly value: Uint8Array }[] {
    return this.#operations;
  }

  /** The rows of the batch: by ascending key, one per key. Their bytes are the batch's. */
  rows(stamp: BatchStamp): Row[] {
    const operations = this.#operations;
    if (operations.length === 1) return [makeRow(operations[0] as Operation, stamp)];
    // A stable sort: writes of one key stay in the order in which they were added.
    const sorted = operations.toSorted((left, right) => compareBytes(left.key, right.key));
    const rows: Row[] = [];
    for (let i = 0; i < sorted.length;) {
      const first = i;
      const operation = sorted[first] as Operation;
      i++;
      while (i < sorted.length && compareBytes((sorted[i] as Operation).key, operation.key) === 0) i++;
      rows.push(i - first === 1 ? makeRow(operation, stamp) : combine(sorted.slice(first, i), stamp));
    }
    return rows;
  }

  #add(operation: Operation): this {
    checkWrite(operation.key, operation.value, operation.ttl);
    const { kind, ttl } = operation;
    this.#operations.push({ kind, key: pool.copy(operation.key), value: pool.copy(operation.value), ttl });
    return this;
  }
}

/** @throws LSM_INVALID if key or value cannot be stored, or `ttl` is no time. */
export function checkWrite(key: Uint8Array, value: Uint8Array, ttl: Ttl | undefined): void {
  checkKey(key);
  checkBytes(value, "value");
  if (ttl !== undefined && ttl !== "never") checkTtl(ttl);
  if (value.length > VALUE_BYTES_MAX) throw new PumiceError("LSM_INVALID", { what: "value is too long", bytes: value.length });
}

function checkTtl(ttl: object): void {
  const time: unknown =
    typeof ttl === "object" && ttl !== null ? ("atMs" in ttl ? ttl.atMs : "afterMs" in ttl ? ttl.afterMs : undefined) : undefined;
  if (typeof time === "number" && !Number.isNaN(time)) return;
  throw new PumiceError("LSM_INVALID", { what: "ttl is neither { afterMs }, { atMs } nor never", found: JSON.stringify(ttl) });
}

/** What all rows of a batch share. */
export interface BatchStamp {
  readonly seq: number;
  readonly createTs: number;
  /** Times to live are counted from here, milliseconds since 1970. */
  readonly presentMs: number;
  readonly defaultTtlMs: number | undefined;
  readonly operator: MergeOperator | undefined;
}

/** One row, of the operation's own bytes. */
export function makeRow(operation: Operation, stamp: BatchStamp): Row {
  const { kind, key, value } = operation;
  return { key, kind, value, seq: stamp.seq, createTs: stamp.createTs, expireTs: expiry(operation.ttl, stamp) };
}

function expiry(ttl: Ttl | undefined, stamp: BatchStamp): number | undefined {
  if (ttl === "never") return undefined;
  if (ttl === undefined) return stamp.defaultTtlMs === undefined ? undefined : stamp.presentMs + stamp.defaultTtlMs;
  return "atMs" in ttl ? ttl.atMs : stamp.presentMs + ttl.afterMs;
}

/** Several writes of one key, oldest first, as one row. @throws LSM_MERGE_OPERATOR, LSM_INVALID */
function combine(operations: readonly Operation[], stamp: BatchStamp): Row {
  let base = operations.length - 1;
  while (base > 0 && (operations[base] as Operation).kind === MERGE) base--;
  const first = operations[base] as Operation;
  if (base === operations.length - 1) return makeRow(first, stamp);
  const { operator } = stamp;
  if (operator === undefined) throw new PumiceError("LSM_MERGE_OPERATOR", { what: "a batch merges twice into one key" });
  // A deletion does not expire: what counts are the operands after it.
  const expiries = operations.slice(first.kind === TOMBSTONE ? base + 1 : base).map((operation) => expiry(operation.ttl, stamp));
  const expireTs = expiries[0];
  if (expiries.some((time) => time !== expireTs)) {
    throw new PumiceError("LSM_INVALID", {
      what: "writes of one key in a batch that are merged have different expiries; write them one by one",
    });
  }
  const operands = operations.slice(base + 1).map((operation) => operation.value);
  const value = applyOperator(operator, first.key, { existing: first.kind === TOMBSTONE ? undefined : first.value, operands });
  // A deletion with operands after it is the value that they make of nothing.
  const kind = first.kind === MERGE ? MERGE : VALUE;
  return { ...makeRow({ kind, key: first.key, value, ttl: "never" }, stamp), expireTs };
}
