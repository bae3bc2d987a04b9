/** Ranges of keys, each end open, closed or without bound. */
import { copyBytes, compareBytes } from "../../base/mod.ts";

/** Keys between two bounds. An undefined bound is no bound. */
export interface KeyRange {
  readonly start: Uint8Array | undefined;
  readonly startInclusive: boolean;
  readonly end: Uint8Array | undefined;
  readonly endInclusive: boolean;
}

/** Every key. */
export const ALL_KEYS: KeyRange = { start: undefined, startInclusive: true, end: undefined, endInclusive: false };

/** True if `key` is not beyond the range's start. */
export function isAfterStart(range: KeyRange, key: Uint8Array): boolean {
  if (range.start === undefined) return true;
  const order = compareBytes(key, range.start);
  return order > 0 || (order === 0 && range.startInclusive);
}

/** True if `key` is not beyond the range's end. */
export function isBeforeEnd(range: KeyRange, key: Uint8Array): boolean {
  if (range.end === undefined) return true;
  const order = compareBytes(key, range.end);
  return order < 0 || (order === 0 && range.endInclusive);
}

/** True if `key` is in the range. */
export function contains(range: KeyRange, key: Uint8Array): boolean {
  return isAfterStart(range, key) && isBeforeEnd(range, key);
}

/** True if no key can be in the range. */
export function isEmptyRange(range: KeyRange): boolean {
  if (range.start === undefined || range.end === undefined) return false;
  const order = compareBytes(range.start, range.end);
  return order > 0 || (order === 0 && !(range.startInclusive && range.endInclusive));
}

/** The keys in both. */
export function intersect(left: KeyRange, right: KeyRange): KeyRange {
  const start = laterStart(left, right);
  const end = earlierEnd(left, right);
  return { start: start.start, startInclusive: start.startInclusive, end: end.end, endInclusive: end.endInclusive };
}

function laterStart(left: KeyRange, right: KeyRange): KeyRange {
  if (left.start === undefined) return right;
  if (right.start === undefined) return left;
  const order = compareBytes(left.start, right.start);
  if (order === 0) return left.startInclusive ? right : left;
  return order > 0 ? left : right;
}

function earlierEnd(left: KeyRange, right: KeyRange): KeyRange {
  if (left.end === undefined) return right;
  if (right.end === undefined) return left;
  const order = compareBytes(left.end, right.end);
  if (order === 0) return left.endInclusive ? right : left;
  return order < 0 ? left : right;
}

/** Keys that begin with `prefix`: up to its successor, or without end if it is all 0xff. */
export function prefixRange(prefix: Uint8Array): KeyRange {
  let length = prefix.length;
  while (length > 0 && prefix[length - 1] === 0xff) length--;
  if (length === 0) return { start: prefix, startInclusive: true, end: undefined, endInclusive: false };
  const end = copyBytes(prefix, 0, length);
  end[length - 1] = (end[length - 1] as number) + 1;
  return { start: prefix, startInclusive: true, end, endInclusive: false };
}
