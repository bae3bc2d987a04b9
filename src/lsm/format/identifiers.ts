/**
 * ULIDs name SSTs and compactions: 48 bits of milliseconds, 80 random bits, 26 characters of Crockford's base 32. UUIDs name
 * checkpoints. Both are text in memory and two u64 on disk.
 */
import { assert, type Random } from "../../base/mod.ts";

/** 26 characters, upper case. Text order is time order. */
export type Ulid = string;
/** 8-4-4-4-12 lowercase hexadecimal digits. */
export type Uuid = string;
/** 128 bits as two u64. */
export interface Halves {
  readonly high: bigint;
  readonly low: bigint;
}

const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const ULID_PATTERN = /^[0-7][0-9A-HJKMNP-TV-Z]{25}$/;
const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const MASK_64 = 0xffff_ffff_ffff_ffffn;
const RANDOM_BITS = 80n;

/** True if `text` is a ULID in canonical form. */
export function isUlid(text: string): boolean {
  return ULID_PATTERN.test(text);
}

/** True if `text` is a UUID in canonical form. */
export function isUuid(text: string): boolean {
  return UUID_PATTERN.test(text);
}

/** The ULID of 128 bits. */
export function ulidFromHalves(halves: Halves): Ulid {
  let rest = (halves.high << 64n) | halves.low;
  let text = "";
  for (let i = 0; i < 26; i++) {
    text = (ALPHABET[Number(rest & 31n)] as string) + text;
    rest >>= 5n;
  }
  return text;
}

/** The 128 bits of a ULID. @throws AssertionError if it is none. */
export function ulidToHalves(ulid: Ulid): Halves {
  assert(isUlid(ulid), "text is a ULID");
  let value = 0n;
  for (const character of ulid) value = (value << 5n) | BigInt(ALPHABET.indexOf(character));
  return { high: value >> 64n, low: value & MASK_64 };
}

/** The time in a ULID, milliseconds since 1970. */
export function ulidTimeMs(ulid: Ulid): number {
  return Number(ulidToHalves(ulid).high >> 16n);
}

/** The UUID of 128 bits. */
export function uuidFromHalves(halves: Halves): Uuid {
  const hex = halves.high.toString(16).padStart(16, "0") + halves.low.toString(16).padStart(16, "0");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** The 128 bits of a UUID. @throws AssertionError if it is none. */
export function uuidToHalves(uuid: Uuid): Halves {
  assert(isUuid(uuid), "text is a UUID");
  const hex = uuid.replaceAll("-", "");
  return { high: BigInt(`0x${hex.slice(0, 16)}`), low: BigInt(`0x${hex.slice(16)}`) };
}

/** A random UUID, version 4. */
export function newUuid(random: Random): Uuid {
  const high = (BigInt.asUintN(64, random.u64()) & ~0xf000n) | 0x4000n;
  const low = (BigInt.asUintN(62, random.u64()) | (1n << 63n)) & MASK_64;
  return uuidFromHalves({ high, low });
}

/**
 * Gives ULIDs that never go back, even if the clock does: garbage collection trusts that a newer SST has a ULID that is not smaller.
 */
export class UlidSource {
  readonly #random: Random;
  #last = 0n;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Never gives a ULID at or before `ulid` from now on. */
  observe(ulid: Ulid): void {
    const { high, low } = ulidToHalves(ulid);
    const value = (high << 64n) | low;
    if (value > this.#last) this.#last = value;
  }

  /**
   * A ULID of time `nowMs`, or one a little above the last one if that is not later. A little, at random: two processes that begin at the same
   * last one must not give the same.
   */
  next(nowMs: number): Ulid {
    assert(Number.isSafeInteger(nowMs) && nowMs >= 0, "ULID time is a safe integer");
    const randomPart = (BigInt(this.#random.below(0x10000)) << 64n) | BigInt.asUintN(64, this.#random.u64());
    const fresh = (BigInt(nowMs) << RANDOM_BITS) | randomPart;
    this.#last = fresh > this.#last ? fresh : this.#last + 1n + BigInt.asUintN(64, this.#random.u64());
    return ulidFromHalves({ high: this.#last >> 64n, low: this.#last & MASK_64 });
  }
}
