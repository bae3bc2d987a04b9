/**
 * Terms, indexes, sequence numbers and counts are JavaScript numbers, asserted to be safe integers (below 2^53) where they enter; on
 * disk they are u64. `bigint` is for SQLite's 64-bit integers and for hashes only.
 */
import { assert } from "./assert.ts";

declare const brand: unique symbol;

/** The identity of a Raft member on the network. Never 0. Branded so that it is not confused with a count. */
export type NodeId = number & { readonly [brand]: "NodeId" };

/** True if `value` is an integer in [0, 2^53). */
export function isSafeCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}

/** @throws AssertionError unless 0 < value < 2^53. */
export function asNodeId(value: number): NodeId {
  assert(isSafeCount(value) && value > 0, "a node id is a positive safe integer");
  return value as NodeId;
}
