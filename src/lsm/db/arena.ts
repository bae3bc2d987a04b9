/**
 * Copies small byte arrays into shared chunks: a key or value of its own backing store costs more than its bytes. What the caller
 * gave may change afterwards; what the store keeps may not.
 */
import { copyBytes } from "../../base/mod.ts";

const CHUNK_BYTES = 131_072;

/** Allocates; everything is freed together, when nobody refers to a chunk any more. */
export class Arena {
  readonly #chunkBytes: number;
  /** Larger arrays get their own memory: a chunk would be mostly waste. */
  readonly #sharedBytesMax: number;
  #chunk = new Uint8Array(0);
  #used = 0;

  constructor(chunkBytes = CHUNK_BYTES) {
    this.#chunkBytes = chunkBytes;
    this.#sharedBytesMax = chunkBytes / 16;
  }

  /** A copy of `bytes`. */
  copy(bytes: Uint8Array): Uint8Array {
    const { length } = bytes;
    if (length > this.#sharedBytesMax) return copyBytes(bytes);
    if (this.#used + length > this.#chunk.length) {
      this.#chunk = new Uint8Array(this.#chunkBytes);
      this.#used = 0;
    }
    const start = this.#used;
    this.#used += length;
    const chunk = this.#chunk;
    if (length <= 32) for (let i = 0; i < length; i++) chunk[start + i] = bytes[i] as number;
    else chunk.set(bytes, start);
    return chunk.subarray(start, start + length);
  }
}
