/**
 * What a key of an object store may be, and the order of keys. The rules are those that every store can keep: S3, a directory of files,
 * memory. A key that one store takes and another refuses would make a database that cannot be moved.
 */
import { PumiceError } from "./errors.ts";

/** The longest key in bytes of UTF-8: S3's limit. */
export const OBJECT_KEY_BYTES_MAX = 1024;

/**
 * Passes if `key` may name an object: parts divided by single `/`, none of them empty, `.` or `..`, no control characters, no lone
 * surrogate, at most 1024 bytes of UTF-8. @throws STORE_KEY
 */
export function checkObjectKey(key: string): void {
  const reason = faultOf(key);
  if (reason !== undefined) throw new PumiceError("STORE_KEY", { reason, key: JSON.stringify(key.slice(0, 100)) });
}

function faultOf(key: string): string | undefined {
  if (key === "") return "it is empty";
  if (!key.isWellFormed()) return "it has half a surrogate pair";
  if (utf8Length(key) > OBJECT_KEY_BYTES_MAX) return `it is longer than ${OBJECT_KEY_BYTES_MAX} bytes`;
  for (let i = 0; i < key.length; i++) {
    const unit = key.charCodeAt(i);
    if (unit < 0x20 || unit === 0x7f) return "it has a control character";
  }
  for (const part of key.split("/")) {
    if (part === "") return "it has an empty part";
    if (part === "." || part === "..") return "a part of it is . or ..";
  }
  return undefined;
}

/** Number of bytes that well-formed `text` takes in UTF-8. */
function utf8Length(text: string): number {
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    // Each half of a surrogate pair stands for two of the pair's four bytes.
    length += unit < 0x80 ? 1 : unit < 0x800 || isSurrogate(unit) ? 2 : 3;
  }
  return length;
}

function isSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit < 0xe000;
}

/**
 * Negative, 0 or positive, as comparing the UTF-8 bytes of two well-formed texts would. JavaScript's own order is by UTF-16 unit, which
 * puts the characters beyond U+FFFF before U+E000 to U+FFFF.
 */
export function compareUtf8(left: string, right: string): number {
  const length = Math.min(left.length, right.length);
  for (let i = 0; i < length; i++) {
    const l = left.charCodeAt(i);
    const r = right.charCodeAt(i);
    if (l === r) continue;
    if (isSurrogate(l) !== isSurrogate(r) && l >= 0xd800 && r >= 0xd800) return isSurrogate(l) ? 1 : -1;
    return l - r;
  }
  return left.length - right.length;
}
