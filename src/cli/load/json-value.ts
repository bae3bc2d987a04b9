/**
 * The text of one JSON record, and what of it a cell can keep. JSON.parse alone drops things in silence: digits of long integers, numbers beyond
 * a double's range, all but the last of equal keys. Here each of these is kept or is the record's problem, by name. A number with a
 * fraction or an exponent is the double nearest to it, as for every reader of JSON.
 */
import { numericKind } from "./infer.ts";
import type { Cell, RawNumber } from "./record.ts";

/** A value, or what is wrong with its text. */
export type JsonReading = { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly problem: string };

/** A cell, or why the value fits into none. */
export type CellReading = { readonly ok: true; readonly cell: Cell } | { readonly ok: false; readonly problem: string };

/** Of a text that is shown, so much. Unit: UTF-16 code units. */
const SHOWN_MAX = 60;

/** Only a number with one of these can be more than a double holds: all others go the quick way. */
const LONG_NUMBER = /\d{16}|[eE][+-]?\d{3}/;

/** The value of JSON text. Integers too long for a double are kept as they were written. */
export function readJson(raw: string): JsonReading {
  try {
    const value: unknown = LONG_NUMBER.test(raw) ? ExactJson.parse(raw, keepNumber) : JSON.parse(raw);
    if (countColons(raw) === countKeys(value)) return { ok: true, value };
    return { ok: false, problem: `it has a key twice${namePhrase(raw, value)}: ${shorten(raw)}` };
  } catch (error) {
    if (error instanceof NumberRange)
      return { ok: false, problem: `${shorten(error.message)} is beyond what a number holds: ${QUOTES_HINT}` };
    if (error instanceof SyntaxError) return { ok: false, problem: `it is not JSON: ${shorten(raw)}` };
    throw error;
  }
}

/** The cell of the value under `key`. Objects and arrays become their JSON text. */
export function readCell(key: string, value: unknown): CellReading {
  if (!isWellFormed(key) || (typeof value === "string" && !isWellFormed(value))) return { ok: false, problem: HALF_CHARACTER };
  if (typeof value !== "object" || value === null) return { ok: true, cell: value as Cell };
  if (!ExactJson.isRawJSON(value)) return { ok: true, cell: JSON.stringify(value) };
  // SQLite reads an integer beyond 64 bits as a double.
  if (numericKind(value.rawJSON) === "integer" || isExactDouble(value.rawJSON)) return { ok: true, cell: value };
  return { ok: false, problem: `${shorten(value.rawJSON)} under "${shorten(key)}" is beyond 64 bits: ${QUOTES_HINT}` };
}

/** `text` for a line of output. */
export function shorten(text: string): string {
  return text.length <= SHOWN_MAX ? text : `${text.slice(0, SHOWN_MAX - 3)}...`;
}

/** Half of a pair of surrogates stands for no character, and no UTF-8 writes it. */
const HALF_CHARACTER = "it has half a character (a lone surrogate), which no text can keep: a text cut in the middle of an emoji?";
const SURROGATE = /[\uD800-\uDFFF]/;

function isWellFormed(text: string): boolean {
  return !SURROGATE.test(text) || text.isWellFormed();
}

const QUOTES_HINT = "put it in quotes to keep it as text";

/** A number whose double is infinite, or zero though it is not. The message is its text. */
class NumberRange extends Error {}

function keepNumber(_key: string, value: unknown, context: { readonly source?: string }): unknown {
  const { source } = context;
  if (typeof value !== "number" || source === undefined) return value;
  if (/^-?\d+$/.test(source)) return Number.isSafeInteger(value) ? value : ExactJson.rawJSON(source);
  if (!Number.isFinite(value) || (value === 0 && /[1-9]/.test(source.replace(/[eE].*$/, "")))) throw new NumberRange(source);
  return value;
}

/** True if a double holds the integer, or if this is how the double itself is written. */
function isExactDouble(digits: string): boolean {
  const value = Number(digits);
  return Number.isFinite(value) && (String(value) === digits || BigInt(value) === BigInt(digits));
}

/** Parts of ECMAScript's JSON that the compiler's library does not know yet. */
const ExactJson = JSON as unknown as {
  parse(text: string, reviver: typeof keepNumber): unknown;
  rawJSON(text: string): RawNumber;
  isRawJSON(value: unknown): value is RawNumber;
};

/** Colons of JSON text outside of strings: one for each key as it was written. */
function countColons(raw: string): number {
  let count = 0;
  for (let at = 0; at < raw.length; at++) {
    const code = raw.charCodeAt(at);
    if (code === COLON) count += 1;
    else if (code === QUOTE) at = closingQuote(raw, at);
  }
  return count;
}

const QUOTE = 34;
const COLON = 58;
const BACKSLASH = 92;

/** The position of the quote that closes the string opened at `start`. */
function closingQuote(raw: string, start: number): number {
  for (let at = raw.indexOf('"', start + 1); at !== -1; at = raw.indexOf('"', at + 1)) {
    let backslashes = 0;
    while (raw.charCodeAt(at - 1 - backslashes) === BACKSLASH) backslashes += 1;
    if (backslashes % 2 === 0) return at;
  }
  return raw.length;
}

/** Keys of all objects in `value`. */
function countKeys(value: unknown): number {
  let count = 0;
  const left: unknown[] = [value];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    if (typeof next !== "object" || next === null || ExactJson.isRawJSON(next)) continue;
    const isArray = Array.isArray(next);
    for (const each of Object.values(next)) {
      if (!isArray) count += 1;
      if (typeof each === "object") left.push(each);
    }
  }
  return count;
}

/** ` ("a")` for the first key of the outermost object that stands there twice; "" if it is another object's. */
function namePhrase(raw: string, value: unknown): string {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return "";
  const seen = new Set<string>();
  let depth = 0;
  for (let at = 0; at < raw.length; at++) {
    const character = raw[at] as string;
    if ("{[".includes(character)) depth += 1;
    else if ("}]".includes(character)) depth -= 1;
    else if (character === '"') {
      const end = closingQuote(raw, at);
      const key = raw.slice(at, end + 1);
      at = end;
      if (depth !== 1 || !/^\s*:/.test(raw.slice(end + 1, end + 1 + SHOWN_MAX))) continue;
      const name = JSON.parse(key) as string;
      if (seen.has(name)) return ` ("${shorten(name)}")`;
      seen.add(name);
    }
  }
  return "";
}
