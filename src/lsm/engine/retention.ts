/**
 * Which versions of a key survive a flush or a compaction. A reader at any sequence number >= `minSeq` sees the same before and after.
 *
 * 1. Versions above minSeq stay. Of the others only what a reader at minSeq sees: the newest, with its operands.
 * 2. An expired value becomes a tombstone, an expired operand goes.
 * 3. Operands at or below minSeq are merged, with their value if that is there and expires at the same time.
 * 4. At the bottom of the tree, where nothing older can be, a tombstone that is the oldest version goes.
 */
import { asTombstone, isExpired, MERGE, TOMBSTONE, VALUE, type Row } from "../format/row.ts";
import { fold, type MergeOperator } from "./merge-operator.ts";

/** What retention goes by. */
export interface RetentionRules {
  readonly minSeq: number;
  /** "Now", for expiry: a clock tick. */
  readonly tick: number;
  readonly isBottom: boolean;
  /** Undefined: operands stay as they are. */
  readonly operator: MergeOperator | undefined;
}

/** The surviving versions of one key, newest first, of all its `versions`, newest first. */
export function retain(versions: readonly Row[], rules: RetentionRules): Row[] {
  const kept: Row[] = [];
  let i = 0;
  for (; i < versions.length && (versions[i] as Row).seq > rules.minSeq; i++) {
    const row = expire(versions[i] as Row, rules.tick);
    if (row !== undefined) kept.push(row);
  }
  const boundary: Row[] = [];
  for (; i < versions.length; i++) {
    const row = expire(versions[i] as Row, rules.tick);
    if (row === undefined) continue;
    boundary.push(row);
    if (row.kind !== MERGE) break;
  }
  for (const row of mergeBoundary(boundary, rules)) kept.push(row);
  if (rules.isBottom) while (kept.at(-1)?.kind === TOMBSTONE) kept.pop();
  return kept;
}

function expire(row: Row, tick: number): Row | undefined {
  if (!isExpired(row, tick)) return row;
  if (row.kind === MERGE) return undefined;
  return row.kind === VALUE ? asTombstone(row) : row;
}

function mergeBoundary(boundary: readonly Row[], rules: RetentionRules): readonly Row[] {
  const operands = boundary.filter((row) => row.kind === MERGE);
  const newest = operands[0];
  if (newest === undefined || rules.operator === undefined) return boundary;
  const base = boundary.find((row) => row.kind !== MERGE);
  const value = base?.kind === VALUE ? base : undefined;
  const isUniform = [...operands, ...(value === undefined ? [] : [value])].every((row) => row.expireTs === newest.expireTs);
  if (!isUniform) return boundary;
  const isComplete = base !== undefined || rules.isBottom;
  if (!isComplete && operands.length === 1) return boundary;
  const merged = fold(operands, value, rules.operator);
  return [isComplete ? merged : { ...merged, kind: MERGE }];
}
