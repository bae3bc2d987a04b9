/** Reading and writing integers in byte arrays, and the few things that every format needs. Little-endian unless the name says BE. */
import { assert } from "./assert.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** 2^32. */
const U32_RANGE = 0x1_0000_0000;

/** No bytes. Shared: never written, having nothing to write to. */
export const EMPTY_BYTES: Uint8Array = new Uint8Array(0);

/** UTF-8 of `text`, newly allocated. */
export function utf8(text: string): Uint8Array {
  return encoder.encode(text);
}

/** The text of UTF-8 `bytes`. @throws TypeError if they are not valid UTF-8. */
export function fromUtf8(bytes: Uint8Array): string {
  return decoder.decode(bytes);
}

/** A view for reading and writing numbers in `bytes`; shares its memory. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Writes a safe integer as u64 LE. @throws AssertionError if it is not in [0, 2^53). */
export function setU64(view: DataView, offset: number, value: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, "u64 value is a safe integer");
  view.setUint32(offset, value % U32_RANGE, true);
  view.setUint32(offset + 4, Math.floor(value / U32_RANGE), true);
}

/** Reads a u64 LE; undefined if it is 2^53 or more, which no number of ours can be. */
export function getU64(view: DataView, offset: number): number | undefined {
  const high = view.getUint32(offset + 4, true);
  if (high >= 0x20_0000) return undefined;
  return high * U32_RANGE + view.getUint32(offset, true);
}

/**
 * A copy of bytes [start, end), a plain Uint8Array with memory of its own. `slice` would not do: that of a Buffer, which callers pass as a Uint8Array,
 * gives a view of the caller's memory.
 */
export function copyBytes(bytes: Uint8Array, start = 0, end: number = bytes.length): Uint8Array<ArrayBuffer> {
  const copy = new Uint8Array(Math.max(0, Math.min(end, bytes.length) - start));
  copy.set(start === 0 && end >= bytes.length ? bytes : bytes.subarray(start, end));
  return copy;
}

/** All `parts` in one new array. */
export function concat(parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/** Negative, 0 or positive, as memcmp: bytewise, and a prefix is smaller than what it begins. */
export function compareBytes(left: Uint8Array, right: Uint8Array): number {
  const length = Math.min(left.length, right.length);
  for (let i = 0; i < length; i++) {
    const difference = (left[i] as number) - (right[i] as number);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** True if both hold the same bytes. */
export function equalBytes(left: Uint8Array, right: Uint8Array): boolean {
  return left.length === right.length && compareBytes(left, right) === 0;
}

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Lowercase hexadecimal, two digits a byte. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += HEX[byte] as string;
  return text;
}
