/** Simulated randomness: a tree of seeds, so that one part of a world draws more without changing what another draws. */
import { seededRandom, utf8, crc32, type Random } from "../../base/mod.ts";

/** A source of its own for the part `name` of the world with `seed`. */
export function randomOf(seed: number | bigint, name: string): Random {
  return seededRandom((BigInt(seed) << 32n) ^ BigInt(crc32(utf8(name), 0)) ^ (BigInt(seed) >> 16n));
}
