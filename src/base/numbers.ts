/**
 * Counts and positions are JavaScript numbers, branded by what they count and asserted to be safe integers (below 2^53).
 * On disk they are u64. `bigint` is for SQLite's 64-bit integers and for hashes only.
 */
import { assert } from "./assert.ts";

declare const brand: unique symbol;
type Branded<Name extends string> = number & { readonly [brand]: Name };

/** A Raft term. 0 is before the first election. */
export type Term = Branded<"Term">;
/** A position in the Raft log. The first entry has index 1; 0 is before it. */
export type LogIndex = Branded<"LogIndex">;
/** The sequence number of a write in the LSM store. */
export type SeqNo = Branded<"SeqNo">;
/** The identity of a Raft member. Never 0. */
export type NodeId = Branded<"NodeId">;

/** True if `value` is an integer in [0, 2^53). */
export function isSafeCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** @throws AssertionError unless 0 <= value < 2^53. */
export function asTerm(value: number): Term {
  assert(isSafeCount(value), "a term is a safe integer");
  return value as Term;
}

/** @throws AssertionError unless 0 <= value < 2^53. */
export function asLogIndex(value: number): LogIndex {
  assert(isSafeCount(value), "a log index is a safe integer");
  return value as LogIndex;
}

/** @throws AssertionError unless 0 <= value < 2^53. */
export function asSeqNo(value: number): SeqNo {
  assert(isSafeCount(value), "a sequence number is a safe integer");
  return value as SeqNo;
}

/** @throws AssertionError unless 0 < value < 2^53. */
export function asNodeId(value: number): NodeId {
  assert(isSafeCount(value) && value > 0, "a node id is a positive safe integer");
  return value as NodeId;
}
