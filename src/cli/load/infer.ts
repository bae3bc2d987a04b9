/**
 * The types of a file's columns, from all of its records. A type is chosen only if no value loses anything by it. In CSV, where all is text, that
 * includes its spelling: 007, +1, 1.10 and 1e5 stay TEXT, and whole numbers beside fractions are NUMERIC, which keeps both as they are. JSON
 * strings are text whatever stands in them, because the file says so.
 */
import type { Cell } from "./record.ts";

/** A declared type in SQLite. "" declares none: values stay as they are. */
export type ColumnType = "INTEGER" | "REAL" | "NUMERIC" | "TEXT" | "BOOLEAN" | "";

const INTEGER = /^(?:0|-?[1-9]\d{0,18})$/;
const REAL = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;
/** A shorter integer is a double exactly. */
const LONG_DIGITS = 16;
const INT64_MAX = 2n ** 63n - 1n;
const INT64_MIN = -(2n ** 63n);

/** How many values of a column were of which kind. */
export class ColumnStatistics {
  integers = 0;
  /** Of the integers, those that a REAL would round. */
  longIntegers = 0;
  reals = 0;
  /** Of the reals, those that are whole: NUMERIC would make integers of them. */
  wholeReals = 0;
  booleans = 0;
  texts = 0;
  nulls = 0;
  /** Texts that could have been numbers. */
  numericTexts = 0;
  readonly #isTextNumeric: boolean;

  /** `isTextNumeric`: text that reads as a number is one, as in CSV, where all is text. */
  constructor(isTextNumeric: boolean) {
    this.#isTextNumeric = isTextNumeric;
  }

  add(cell: Cell): void {
    if (cell === null) this.nulls += 1;
    else if (typeof cell === "boolean") this.booleans += 1;
    else if (typeof cell === "string") this.#addText(cell);
    else if (typeof cell === "number") this.#addNumber(Number.isInteger(cell) ? "integer" : "real", "");
    else this.#addNumber(numericKind(cell.rawJSON) === "integer" ? "integer" : "real", cell.rawJSON);
  }

  #addText(text: string): void {
    // A column that is text already needs no closer look.
    if (this.#isTextNumeric ? this.texts > 0 : this.numericTexts < this.texts) {
      this.texts += 1;
      return;
    }
    const kind = numericKind(text);
    if (kind === "text" || (kind === "real" && this.#isTextNumeric && !isSpelledAsReal(text))) this.texts += 1;
    else if (this.#isTextNumeric) this.#addNumber(kind, text);
    else {
      this.texts += 1;
      this.numericTexts += 1;
    }
  }

  /** `text`: the number as it was written, if it may be longer than a double. */
  #addNumber(kind: "integer" | "real", text: string): void {
    if (kind === "real") {
      this.reals += 1;
      if (text.endsWith(".0")) this.wholeReals += 1;
    } else {
      this.integers += 1;
      if (text.length >= LONG_DIGITS && BigInt(Number(text)) !== BigInt(text)) this.longIntegers += 1;
    }
  }

  /** True if neither INTEGER nor REAL keeps all numbers as they are. */
  get #isTooMixed(): boolean {
    return this.reals > 0 && this.longIntegers > 0;
  }

  get type(): ColumnType {
    const numbers = this.integers + this.reals;
    if (this.#isTextNumeric) return this.#typeOfText;
    const kinds = Number(numbers > 0) + Number(this.booleans > 0) + Number(this.texts > 0);
    if (kinds > 1 || this.#isTooMixed) return "";
    if (numbers > 0) return this.reals > 0 ? "REAL" : "INTEGER";
    return this.booleans > 0 ? "BOOLEAN" : "TEXT";
  }

  get #typeOfText(): ColumnType {
    if (this.texts > 0 || this.integers + this.reals === 0) return "TEXT";
    if (this.reals === 0) return "INTEGER";
    if (this.integers === 0) return "REAL";
    return this.wholeReals === 0 ? "NUMERIC" : "TEXT";
  }

  /** A remark for the reader of the table of types; "" if there is none. */
  get remark(): string {
    if (this.integers + this.reals + this.booleans + this.texts === 0) return "no value";
    if (!this.#isTextNumeric && this.numericTexts === this.texts && this.texts > 0) return "numbers written as text";
    if (this.#isTextNumeric && this.texts === 0 && this.type === "TEXT") return "numbers in two spellings";
    return this.type === "" ? "values of several types, kept as they are" : "";
  }
}

/** What `text` is if it is read as a number and must not lose anything. */
export function numericKind(text: string): "integer" | "real" | "text" {
  if (INTEGER.test(text)) {
    if (text.length < 19) return "integer";
    const value = BigInt(text);
    return value <= INT64_MAX && value >= INT64_MIN ? "integer" : "text";
  }
  if (!REAL.test(text)) return "text";
  // Without a point or exponent it is a whole number, beyond 64 bits or minus zero.
  if (!/[.eE]/.test(text)) return "text";
  const value = Number(text);
  if (!Number.isFinite(value)) return "text";
  const digits = text
    .replace(/[eE].*$/, "")
    .replaceAll(/[-.]/g, "")
    .replace(/^0+/, "")
    .replace(/0+$/, "");
  if (digits.length <= 15) return value === 0 && digits !== "" ? "text" : "real";
  return decimalOf(value) === digits ? "real" : "text";
}

/** True if the REAL that `text` stands for is written as `text` again: without an exponent, by its shortest digits, and with a fraction. */
function isSpelledAsReal(text: string): boolean {
  const written = String(Number(text));
  return !/[eE]/.test(text) && (written.includes(".") ? written : `${written}.0`) === text;
}

/** The significant digits of the shortest decimal that reads back as `value`. */
function decimalOf(value: number): string {
  return String(Math.abs(value)).replace(/e.*$/, "").replace(".", "").replace(/^0+/, "").replace(/0+$/, "");
}
