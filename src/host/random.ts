/** The machine's randomness. */
import { uniformBelow, viewOf, type Random } from "../base/mod.ts";
import { crypto } from "./built-ins.ts";

/** Random bytes are drawn from the system this many at a time. */
const POOL_BYTES = 4096;

class CryptoRandom implements Random {
  readonly #pool = new Uint8Array(POOL_BYTES);
  readonly #view = viewOf(this.#pool);
  #used = POOL_BYTES;

  u32(): number {
    if (this.#used === POOL_BYTES) {
      crypto().randomFillSync(this.#pool);
      this.#used = 0;
    }
    const value = this.#view.getUint32(this.#used, true);
    // What was handed out is not kept: a later look at this memory must not reveal it.
    this.#view.setUint32(this.#used, 0, true);
    this.#used += 4;
    return value;
  }

  below(bound: number): number {
    return uniformBelow(bound, () => this.u32());
  }

  u64(): bigint {
    return (BigInt(this.u32()) << 32n) | BigInt(this.u32());
  }

  fill(target: Uint8Array): void {
    crypto().randomFillSync(target);
  }
}

/** Randomness of the operating system, fit for secrets. */
export const systemRandom: Random = new CryptoRandom();
