/** Small hashes for the simulator: what a log holds, what a state machine has become, what a run did. Not for secrets. */
import type { Entry } from "../../raft/mod.ts";

/** Mixes `value` into `hash`. */
export function mix(hash: number, value: number): number {
  let mixed = Math.imul(hash ^ (value >>> 0), 0x9e3779b1);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed ^ Math.floor(value / 0x1_0000_0000), 0x85ebca6b);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}

/** The hash of an entry and of everything before it: equal for equal logs. */
export function chainHash(previous: number, entry: Entry): number {
  let hash = mix(previous, entry.index);
  hash = mix(hash, entry.term);
  hash = mix(hash, entry.type === "config" ? 1 : 0);
  for (const byte of entry.data) hash = mix(hash, byte);
  return hash;
}

/** The id that a client put into its proposal. */
export function proposalId(data: Uint8Array): number {
  const [a = 0, b = 0, c = 0, d = 0] = data;
  return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
}
