/**
 * JSON files of objects: one array of them, or one after another with or without line breaks between (NDJSON). The array is never held
 * whole: the reader finds where each element ends by its brackets and quotes and parses that much. Columns are the keys in the order
 * in which they first come; a key that a record lacks is NULL. Nested objects and arrays become their JSON text.
 */
import { flattenFeature, ObjectWalker } from "./json-object.ts";
import { readCell, readJson, shorten } from "./json-value.ts";
import { foldCase, isNotUtf8, RECORD_LENGTH_MAX, type Cell, type FileRecord, type RecordReader } from "./record.ts";

/** What stands at the top of the file. Undecided until its first character that is no space. */
type Shape = "undecided" | "array" | "sequence" | "done";

const SPACE = /[\s\uFEFF]/;

/** Reads JSON. */
export class JsonReader implements RecordReader {
  readonly #isByLine: boolean;
  /** Walks to the array of records in the one object that the file is. */
  readonly #walker: ObjectWalker | undefined;
  readonly #recordsKey: string | undefined;
  readonly #columns: string[];
  readonly #indexOf = new Map<string, number>();
  /** The names of #columns by their folded form: a table cannot have two that differ in case only. */
  readonly #folded = new Map<string, string>();
  #shape: Shape = "undecided";
  #text = "";
  /** Start of the element at hand, or where to look for the next one. */
  #position = 0;
  /** How far the element at hand has been scanned, and in what state. */
  #scanned = 0;
  #depth = 0;
  #isInString = false;
  #line = 1;
  #number = 0;
  /** In an array: true after an element, when a comma or the end must follow. */
  #needsComma = false;

  /**
   * `columns`: names known beforehand, in order. With `isByLine` each line is a record (NDJSON), so that a broken one ends with its line. With
   * `recordsKey` the file is one object, and its records stand in the array under that key.
   */
  constructor(
    columns: readonly string[],
    { isByLine, recordsKey }: { readonly isByLine: boolean; readonly recordsKey?: string | undefined },
  ) {
    this.#isByLine = isByLine;
    this.#recordsKey = recordsKey;
    this.#walker = recordsKey === undefined ? undefined : new ObjectWalker();
    if (isByLine) this.#shape = "sequence";
    this.#columns = [...columns];
    for (const [index, name] of columns.entries()) {
      this.#indexOf.set(name, index);
      this.#folded.set(foldCase(name), name);
    }
  }

  get columns(): readonly string[] {
    return this.#columns;
  }

  push(piece: string): FileRecord[] {
    const text = this.#walker === undefined ? piece : this.#intoArray(piece, this.#walker);
    if (text === "") return [];
    this.#text = this.#text.slice(this.#position) + text;
    this.#scanned -= this.#position;
    this.#position = 0;
    const records: FileRecord[] = [];
    while (this.#skipToElement(records)) {
      const end = this.#findEnd();
      if (end === undefined) {
        if (this.#text.length - this.#position >= RECORD_LENGTH_MAX)
          records.push(this.#giveUp("the record is too long: a bracket or quote that is never closed?"));
        break;
      }
      records.push(this.#take(end));
    }
    return records;
  }

  /** What of `piece` stands in the array of records; all of it once the array has begun. */
  #intoArray(piece: string, walker: ObjectWalker): string {
    if (this.#shape !== "undecided") return piece;
    const start = walker.walk(piece, this.#recordsKey);
    for (const character of piece.slice(0, start)) if (character === "\n") this.#line += 1;
    if (start === undefined) return "";
    this.#shape = "array";
    return piece.slice(start);
  }

  end(): FileRecord[] {
    if (this.#walker !== undefined && this.#shape === "undecided") return [this.#giveUp(`it has no array under "${this.#recordsKey}"`)];
    const line = this.#line;
    const records = this.push("\n");
    const rest = this.#text.slice(this.#position).trim();
    if (this.#shape === "array") {
      this.#line = line;
      records.push(this.#giveUp("the array is never closed: is the file cut off?"));
    } else if (rest !== "" && this.#shape !== "done") records.push(this.#giveUp("the file ends inside a record: is it cut off?"));
    return records;
  }

  /** Moves to the start of the next element. False if the text at hand holds none. */
  #skipToElement(records: FileRecord[]): boolean {
    if (this.#scanned > this.#position) return true;
    for (; this.#position < this.#text.length; this.#position++) {
      const character = this.#text[this.#position] as string;
      if (character === "\n") this.#line += 1;
      if (SPACE.test(character)) continue;
      if (this.#shape === "done") {
        // What stands behind the array in its object is not looked at.
        if (this.#walker !== undefined) break;
        records.push(this.#giveUp("text stands after the end of the array"));
        return false;
      }
      if (this.#isPunctuation(character)) continue;
      if (this.#shape === "array" && this.#needsComma) {
        records.push(this.#giveUp("a comma is missing between records"));
        return false;
      }
      this.#scanned = this.#position;
      return true;
    }
    this.#scanned = this.#position;
    return false;
  }

  /** Takes what opens, closes or separates elements at the top. */
  #isPunctuation(character: string): boolean {
    if (this.#shape === "undecided") {
      this.#shape = character === "[" ? "array" : "sequence";
      return character === "[";
    }
    if (this.#shape !== "array") return false;
    if (character === "]") {
      this.#shape = "done";
      return true;
    }
    if (character !== "," || !this.#needsComma) return false;
    this.#needsComma = false;
    return true;
  }

  /** The end of the element at #position, or undefined if it lies beyond the text at hand. */
  #findEnd(): number | undefined {
    const text = this.#text;
    if (this.#isByLine) return this.#findLineEnd();
    let position = this.#scanned;
    while (position < text.length) {
      if (this.#isInString) {
        position = this.#scanString(position);
        if (this.#isInString) break;
        continue;
      }
      const character = text[position] as string;
      if (this.#depth === 0 && position > this.#position && isScalarEnd(character)) return position;
      if (character === '"') this.#isInString = true;
      else if (character === "{" || character === "[") this.#depth += 1;
      else if (character === "}" || character === "]") {
        this.#depth -= 1;
        if (this.#depth <= 0) return position + 1;
      }
      position += 1;
    }
    this.#scanned = position;
    return undefined;
  }

  #findLineEnd(): number | undefined {
    const lineBreak = this.#text.indexOf("\n", this.#scanned);
    if (lineBreak !== -1) return lineBreak;
    this.#scanned = this.#text.length;
    return undefined;
  }

  /** Scans to just behind the closing quote; to the end of the text, or to a backslash that ends it, if the quote lies beyond. */
  #scanString(from: number): number {
    const text = this.#text;
    let position = from;
    for (; position < text.length; position++) {
      const character = text[position];
      if (character === "\\") {
        if (position + 1 === text.length) return position;
        position += 1;
      } else if (character === '"') {
        this.#isInString = false;
        return position + 1;
      }
    }
    return position;
  }

  #take(end: number): FileRecord {
    const raw = this.#text.slice(this.#position, end);
    const line = this.#line;
    for (let at = raw.indexOf("\n"); at !== -1; at = raw.indexOf("\n", at + 1)) this.#line += 1;
    this.#position = end;
    this.#scanned = end;
    this.#depth = 0;
    this.#needsComma = true;
    this.#number += 1;
    const number = this.#number;
    if (isNotUtf8(raw)) return { ok: false, line, number, problem: "it is not UTF-8" };
    const reading = readJson(raw);
    if (!reading.ok) return { ...reading, line, number };
    const { value } = reading;
    if (typeof value !== "object" || value === null || Array.isArray(value))
      return { ok: false, line, number, problem: `it is no object: ${shorten(raw)}` };
    const record = value as Readonly<Record<string, unknown>>;
    const cells = this.#cellsOf(this.#recordsKey === "features" ? flattenFeature(record) : record);
    return typeof cells === "string" ? { ok: false, line, number, problem: cells } : { ok: true, line, number, cells };
  }

  /** The cells of a record, or what is wrong with it; then it adds no column. */
  #cellsOf(value: Readonly<Record<string, unknown>>): Cell[] | string {
    const keys = Object.keys(value);
    const cells: Cell[] = [];
    const known = this.#columns.length;
    // Most records have all keys in the same order: then the cells are simply pushed.
    let index = 0;
    for (; index < keys.length && keys[index] === this.#columns[index]; index++) {
      const key = keys[index] as string;
      const reading = readCell(key, value[key]);
      if (!reading.ok) return reading.problem;
      cells.push(reading.cell);
    }
    if (index === keys.length && index === known) return cells;
    for (let rest = index; rest < known; rest++) cells.push(null);
    for (; index < keys.length; index++) {
      const key = keys[index] as string;
      const reading = readCell(key, value[key]);
      const column = reading.ok ? this.#columnOf(key) : reading.problem;
      if (!reading.ok || typeof column === "string") {
        this.#forgetColumns(known);
        return String(column);
      }
      cells[column] = reading.cell;
    }
    return cells;
  }

  /** The index of a column, which is added if it is new; or why there can be no such column. */
  #columnOf(key: string): number | string {
    const known = this.#indexOf.get(key);
    if (known !== undefined) return known;
    const folded = foldCase(key);
    const twin = this.#folded.get(folded);
    if (twin !== undefined) return `the key "${shorten(key)}" differs from "${shorten(twin)}" in case only, and columns of a table cannot`;
    this.#folded.set(folded, key);
    this.#indexOf.set(key, this.#columns.length);
    return this.#columns.push(key) - 1;
  }

  /** Takes back the columns behind the first `count`. */
  #forgetColumns(count: number): void {
    for (const name of this.#columns.splice(count)) {
      this.#indexOf.delete(name);
      this.#folded.delete(foldCase(name));
    }
  }

  /** Nothing after this can be told apart. */
  #giveUp(problem: string): FileRecord {
    this.#number += 1;
    this.#shape = "done";
    this.#position = this.#text.length;
    this.#scanned = this.#position;
    return { ok: false, line: this.#line, number: this.#number, problem };
  }
}

function isScalarEnd(character: string): boolean {
  return character === "," || character === "]" || SPACE.test(character);
}
