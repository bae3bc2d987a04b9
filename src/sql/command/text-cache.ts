/**
 * SQL texts by their UTF-8: most statements of a log have the text of one before, and to decode it anew costs more than to compare it. The
 * same string object also has its hash already when the prepared statement is looked up. Direct-mapped and small.
 */
import { copyBytes, equalBytes } from "../../base/mod.ts";

/** A power of two. */
const SLOTS = 128;
/** Longer texts are decoded each time. */
const TEXT_BYTES_MAX = 512;

interface Slot {
  readonly bytes: Uint8Array;
  readonly text: string;
}

/** A cache of texts. */
export class TextCache {
  readonly #slots: (Slot | undefined)[] = Array.from({ length: SLOTS }, () => undefined);

  /** The text of `bytes`, or undefined if it is not known. */
  get(bytes: Uint8Array): string | undefined {
    if (bytes.length > TEXT_BYTES_MAX) return undefined;
    const slot = this.#slots[slotOf(bytes)];
    return slot !== undefined && equalBytes(slot.bytes, bytes) ? slot.text : undefined;
  }

  /** Keeps a copy of the bytes. */
  set(bytes: Uint8Array, text: string): void {
    if (bytes.length <= TEXT_BYTES_MAX) this.#slots[slotOf(bytes)] = { bytes: copyBytes(bytes), text };
  }
}

/** By the length and a few bytes: texts of one program differ early, in the middle, or at the end. */
function slotOf(bytes: Uint8Array): number {
  const { length } = bytes;
  let hash = length * 31;
  for (let i = 0; i < length; i += 7) hash = (Math.imul(hash, 31) + (bytes[i] as number)) | 0;
  return (hash ^ (hash >>> 9)) & (SLOTS - 1);
}
