/**
 * JSON with exact numbers. `JSON.parse` cannot tell `1` from `1.0` and loses the digits of 64-bit integers, both of which
 * SQLite keeps. Almost every body has neither, and a scan of the text outside its strings proves that; only the others
 * take the slower way, where the reviver sees each number as it was written.
 *
 * What a number becomes (as in Go, whose clients wrote the rules): an integer within 64 bits stays one (a `number` if safe, else a
 * `bigint`); any other number is a real (a `number` with a fraction, or a `Real` where the value happens to be integral).
 */

/** A real number whose value is integral, kept apart from an integer. */
export class Real {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** Thrown for a number that no double can hold, such as 1e999. */
export class NumberRangeError extends Error {
  override readonly name = "NumberRangeError";
}

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;

/** The value of `text`. @throws SyntaxError if it is not JSON, NumberRangeError */
export function parseExactJson(text: string): unknown {
  if (numbersArePlain(text)) return JSON.parse(text);
  return JSON.parse(text, reviveNumber);
}

function reviveNumber(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== "number") return value;
  return numberOf(context?.source ?? String(value), value);
}

function numberOf(source: string, value: number): number | bigint | Real {
  if (!Number.isFinite(value)) throw new NumberRangeError(`number out of range: ${source}`);
  if (/[.eE]/.test(source)) return Number.isInteger(value) ? new Real(value) : value;
  if (Number.isSafeInteger(value)) return value + 0;
  const exact = BigInt(source);
  return exact >= INT64_MIN && exact <= INT64_MAX ? exact : new Real(value);
}

/** True if `JSON.parse` alone gives every number of `text` its right value and kind. */
export function numbersArePlain(text: string): boolean {
  let position = 0;
  for (;;) {
    const quote = text.indexOf('"', position);
    if (!segmentIsPlain(text, position, quote < 0 ? text.length : quote)) return false;
    if (quote < 0) return true;
    position = endOfString(text, quote + 1);
  }
}

/** The position after the quote that ends the string whose first character is at `start`; the text's end if none does. */
function endOfString(text: string, start: number): number {
  let position = start;
  for (;;) {
    const quote = text.indexOf('"', position);
    if (quote < 0) return text.length;
    let backslashes = 0;
    while (quote - backslashes > start && text.charCodeAt(quote - backslashes - 1) === 0x5c) backslashes++;
    if (backslashes % 2 === 0) return quote + 1;
    position = quote + 1;
  }
}

/** No string stands in [start, end). */
function segmentIsPlain(text: string, start: number, end: number): boolean {
  let i = start;
  while (i < end) {
    const code = text.charCodeAt(i);
    if (code !== MINUS && !isDigit(code)) {
      i++;
      continue;
    }
    const first = i;
    let isReal = false;
    for (i++; i < end; i++) {
      const next = text.charCodeAt(i);
      if (next === DOT || next === UPPER_E || next === LOWER_E) isReal = true;
      else if (!isDigit(next) && next !== MINUS && next !== PLUS) break;
    }
    if (!(isReal ? realIsPlain(text.slice(first, i)) : integerIsPlain(text, first, i))) return false;
  }
  return true;
}

const MINUS = 0x2d;
const PLUS = 0x2b;
const DOT = 0x2e;
const UPPER_E = 0x45;
const LOWER_E = 0x65;

/** Every integer of so many characters is safe. */
const SAFE_DIGITS = 15;

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

/** `-0` is an integer, and parses as a real. */
function integerIsPlain(text: string, start: number, end: number): boolean {
  return end - start <= SAFE_DIGITS && !(end - start === 2 && text.charCodeAt(start) === MINUS && text.charCodeAt(start + 1) === 0x30);
}

/** A real with an integral value would pass for an integer; an infinite one must be refused. */
function realIsPlain(token: string): boolean {
  const value = Number(token);
  return Number.isFinite(value) && !Number.isInteger(value);
}
