/** Merging: operands wait for each other and for the value they belong to, and become one value when they are read. */
import { assert, compareBytes, copyBytes, PumiceError, toHex } from "../../base/mod.ts";
import { refusedValue } from "../format/given.ts";
import { isBytes, isExpired, MERGE, TOMBSTONE, VALUE, type Row } from "../format/row.ts";

/** The user's function. Associative: merge(merge(a, b), c) = merge(a, merge(b, c)); operands may be merged before the value is known. */
export interface MergeOperator {
  /** `existing` is undefined if there is no value (yet). Must not change its arguments, and gives bytes, not a promise of them. */
  merge(key: Uint8Array, existing: Uint8Array | undefined, operand: Uint8Array): Uint8Array;
}

/** How rows become what a reader sees. */
export interface ReadRules {
  readonly operator: MergeOperator | undefined;
  /** Rows expired at this time are as good as deleted; undefined: expiry is left to compaction, as in SlateDB. */
  readonly expireAtMs: number | undefined;
}

/**
 * The row that a reader sees of the versions of one key (newest first: merge operands, then perhaps a value or tombstone), or
 * undefined if there is none. @throws LSM_MERGE_OPERATOR
 */
export function resolve(versions: readonly Row[], rules: ReadRules): Row | undefined {
  const newest = versions[0];
  if (newest === undefined) return undefined;
  if (newest.kind !== MERGE) return visible(newest, rules);
  const { expireAtMs } = rules;
  const alive = expireAtMs === undefined ? versions : versions.filter((row) => !isExpired(row, expireAtMs));
  const operands = alive.filter((row) => row.kind === MERGE);
  const base = alive.find((row) => row.kind === VALUE);
  if (operands.length === 0) return base;
  return fold(operands, base, rules.operator);
}

/** A row that is no merge operand, if a reader sees it. */
export function visible(row: Row, rules: ReadRules): Row | undefined {
  const isHidden = row.kind === TOMBSTONE || (rules.expireAtMs !== undefined && isExpired(row, rules.expireAtMs));
  return isHidden ? undefined : row;
}

/** Operands (newest first, at least one) and their base as one value. @throws LSM_MERGE_OPERATOR */
export function fold(operands: readonly Row[], base: Row | undefined, operator: MergeOperator | undefined): Row {
  const newest = operands[0] as Row;
  if (operator === undefined) throw new PumiceError("LSM_MERGE_OPERATOR", { key: toHex(newest.key.subarray(0, 32)) });
  const values = operands.map((row) => row.value).reverse();
  const value = applyOperator(operator, newest.key, { existing: base?.value, operands: values });
  const all = base === undefined ? operands : [...operands, base];
  return {
    key: newest.key,
    kind: VALUE,
    value,
    seq: newest.seq,
    createTs: pick(all, (row) => row.createTs, Math.max),
    expireTs: pick(all, (row) => row.expireTs, Math.min),
  };
}

/**
 * What the operator makes of the operands, oldest first, at least one. The bytes are ours: an operator may give the same ones again with the next key.
 * @throws LSM_MERGE_RESULT if it gives no bytes, and what it throws
 */
export function applyOperator(
  operator: MergeOperator,
  key: Uint8Array,
  from: { readonly existing: Uint8Array | undefined; readonly operands: readonly Uint8Array[] },
): Uint8Array {
  let value = from.existing;
  for (const operand of from.operands) {
    const result: unknown = operator.merge(key, value, operand);
    if (!isBytes(result)) throw new PumiceError("LSM_MERGE_RESULT", { found: refusedValue(result), key: toHex(key.subarray(0, 32)) });
    value = result;
  }
  assert(value !== undefined, "there is an operand");
  return copyBytes(value);
}

function pick(rows: readonly Row[], get: (row: Row) => number | undefined, choose: (a: number, b: number) => number): number | undefined {
  let chosen: number | undefined;
  for (const row of rows) {
    const value = get(row);
    if (value !== undefined) chosen = chosen === undefined ? value : choose(chosen, value);
  }
  return chosen;
}

/** True if both rows are of one key. */
export function isSameKey(left: Row, right: Row): boolean {
  return left.key === right.key || compareBytes(left.key, right.key) === 0;
}
