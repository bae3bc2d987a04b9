/** SQLite values as JSON text: exact 64-bit integers, shortest reals, BLOBs as base64 or as arrays of integers. */
import type { ColumnKind, ColumnPlan } from "./columns.ts";
import { dateOfInteger, dateOfText } from "./dates.ts";

/** A value as node:sqlite reads it with big integers on. */
export type StoredValue = null | bigint | number | string | Uint8Array;

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/** Base64 of every 12 bits. */
const PAIRS = Array.from({ length: 4096 }, (_, bits) => (ALPHABET[bits >> 6] as string) + (ALPHABET[bits & 63] as string));
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Standard base64 with padding. */
export function base64(bytes: Uint8Array): string {
  let text = "";
  const whole = bytes.length - (bytes.length % 3);
  for (let i = 0; i < whole; i += 3) {
    const bits = ((bytes[i] as number) << 16) | ((bytes[i + 1] as number) << 8) | (bytes[i + 2] as number);
    text += (PAIRS[bits >> 12] as string) + (PAIRS[bits & 4095] as string);
  }
  if (bytes.length - whole === 1) return `${text}${PAIRS[(bytes[whole] as number) << 4] as string}==`;
  if (bytes.length - whole === 2) {
    const bits = ((bytes[whole] as number) << 10) | ((bytes[whole + 1] as number) << 2);
    return `${text}${PAIRS[bits >> 6] as string}${ALPHABET[bits & 63] as string}=`;
  }
  return text;
}

/** A real as JSON. Infinity, which JSON has no word for, is a number too large to be finite: every parser reads it back. */
export function realJson(value: number): string {
  if (value === Infinity) return "9e999";
  if (value === -Infinity) return "-9e999";
  return value === 0 && 1 / value < 0 ? "-0" : String(value);
}

/** Digits of an integer. A number's are several times quicker to have than a bigint's. */
export function integerText(value: bigint): string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? String(number) : value.toString();
}

/** `value` of a column of `kind`, as JSON. */
export function valueJson(value: StoredValue, kind: ColumnKind, blobArray: boolean): string {
  if (typeof value === "string") return kind === "date" ? `"${dateOfText(value)}"` : JSON.stringify(value);
  if (typeof value === "bigint") {
    if (kind === "boolean") return value > 0n ? "true" : "false";
    return kind === "date" ? `"${dateOfInteger(value)}"` : integerText(value);
  }
  if (typeof value === "number") return realJson(value);
  if (value === null) return "null";
  if (kind === "text") return JSON.stringify(decoder.decode(value));
  return blobArray ? `[${value.join(",")}]` : `"${base64(value)}"`;
}

/** The name of an expression's type, which is that of its first value. */
export function typeOfValue(value: StoredValue, column: ColumnPlan): string {
  if (typeof value === "string") return "text";
  if (typeof value === "bigint") return "integer";
  if (typeof value === "number") return "real";
  if (value === null) return "";
  return column.kind === "text" ? "text" : "blob";
}
