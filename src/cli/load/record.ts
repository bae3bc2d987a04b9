/** One record of a file as its reader hands it over, and what every reader is. */

/** A number too long for a JavaScript number, kept as it was written (`JSON.rawJSON`), so that 64-bit integers stay exact. */
export interface RawNumber {
  readonly rawJSON: string;
}

/** A value of a record. `JSON.stringify` writes every kind of it. */
export type Cell = string | number | boolean | null | RawNumber;

/** A record, or why it is none. `line` and `number` count from 1; `line` is where the record begins. */
export type FileRecord =
  | { readonly ok: true; readonly line: number; readonly number: number; readonly cells: readonly Cell[] }
  | { readonly ok: false; readonly line: number; readonly number: number; readonly problem: string };

/** Turns the text of a file, in pieces of any size, into records. */
export interface RecordReader {
  /** The names of the columns so far, in the order of the cells. A JSON file may name new ones in any record. */
  readonly columns: readonly string[];
  /** The records that `text` completes. */
  push(text: string): FileRecord[];
  /** The records that the end of the file completes. */
  end(): FileRecord[];
}

/** No record may be longer: what is longer is an unclosed quote or bracket. Unit: UTF-16 code units. */
export const RECORD_LENGTH_MAX = 16 * 1024 * 1024;

/** Stands in text for bytes that are no UTF-8. No valid text decodes to a lone surrogate. */
export const NOT_UTF8 = "\uDFFF";

/** True if part of `text` was no UTF-8. */
export function isNotUtf8(text: string): boolean {
  return text.includes(NOT_UTF8) && /\uDFFF/u.test(text);
}

/** `name` as SQLite compares names: without regard to the case of ASCII letters. */
export function foldCase(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase());
}
