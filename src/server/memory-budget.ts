/**
 * Bounds the memory that large bodies and large answers take together, of all clients: each alone has its own limit, but many
 * clients at once could ask for a multiple. What is small is not counted: the number of connections bounds it.
 */

/** Bodies and answers up to this size are not counted. Unit: bytes. */
export const SMALL_BYTES = 64 * 1024;

/**
 * What a body of `bytes` takes beyond what the number of connections bounds. A large one stands in memory several times at once: as it came, as text, as parsed values, as an entry of the log, on its
 * way between threads. Of a small one the copies are gone before they add up.
 */
export function bodyMemory(bytes: number): number {
  const counted = Math.max(0, bytes - SMALL_BYTES);
  return bytes <= QUICK_BYTES ? counted : counted * BODY_COPIES;
}

const BODY_COPIES = 5;
const QUICK_BYTES = 1024 * 1024;

/** Bytes that are taken and given back. */
export class MemoryBudget {
  readonly #maxBytes: number;
  #usedBytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  /** False if there is no room; then nothing was taken. What is larger than the whole budget gets room when there is nothing else. */
  take(bytes: number): boolean {
    if (this.#usedBytes > 0 && this.#usedBytes + bytes > this.#maxBytes) return false;
    this.#usedBytes += bytes;
    return true;
  }

  /** Takes more than there may be room for: of something that is done and must be told. */
  takeAnyway(bytes: number): void {
    this.#usedBytes += bytes;
  }

  give(bytes: number): void {
    this.#usedBytes -= bytes;
  }
}
