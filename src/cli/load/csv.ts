/**
 * CSV as RFC 4180 has it: fields between delimiters, in quotes if they hold a delimiter, a quote (doubled) or a line break; lines end
 * by LF or CRLF. The first record names the columns unless names are given. A field without quotes that equals the null text is
 * NULL. Blank lines are skipped where a record has more than one column.
 *
 * A broken record does not take its neighbours with it: reading goes on at the line after the one on which it began.
 */
import { isNotUtf8, RECORD_LENGTH_MAX, type FileRecord, type RecordReader } from "./record.ts";

/** How a CSV file is written. */
export interface CsvDialect {
  /** One character. */
  readonly delimiter: string;
  /** The field that means NULL when it stands without quotes. */
  readonly nullText: string;
  /** The names of the columns if the file does not begin with them. */
  readonly columns: readonly string[] | undefined;
}

/** Where a field or a record ended; `more` if the text at hand does not say. */
type Step =
  | { readonly kind: "field" | "record"; readonly next: number }
  | { readonly kind: "more" }
  | { readonly kind: "broken"; readonly problem: string };

const QUOTE = 34;
const LF = 10;
const CR = 13;
const MORE: Step = { kind: "more" };

/** Reads CSV. */
export class CsvReader implements RecordReader {
  readonly #delimiter: number;
  readonly #nullText: string;
  #columns: readonly string[] | undefined;
  #text = "";
  #position = 0;
  #isEnded = false;
  #line = 1;
  #number = 0;
  /** The fields of the record that is being read. */
  #cells: (string | null)[] = [];

  constructor(dialect: CsvDialect) {
    this.#delimiter = dialect.delimiter.charCodeAt(0);
    this.#nullText = dialect.nullText;
    this.#columns = dialect.columns;
  }

  get columns(): readonly string[] {
    return this.#columns ?? [];
  }

  push(text: string): FileRecord[] {
    this.#text = this.#position === this.#text.length ? text : this.#text.slice(this.#position) + text;
    this.#position = 0;
    return this.#records();
  }

  end(): FileRecord[] {
    this.#isEnded = true;
    return this.#records();
  }

  #records(): FileRecord[] {
    const records: FileRecord[] = [];
    while (this.#position < this.#text.length) {
      const step = this.#readRecord();
      const mayWait = !this.#isEnded && this.#text.length - this.#position < RECORD_LENGTH_MAX;
      if (step.kind === "more") {
        if (mayWait) break;
        records.push(this.#broken("the record is too long: a quote that is never closed?"));
      } else if (step.kind === "broken") {
        if (mayWait && !this.#text.includes("\n", this.#position)) break;
        records.push(this.#broken(step.problem));
      } else {
        const record = this.#finish(step.next);
        if (record !== undefined) records.push(record);
      }
    }
    return records;
  }

  /** Reads fields into #cells up to the record's end. */
  #readRecord(): Step {
    this.#cells = [];
    let position = this.#position;
    for (;;) {
      const step = this.#text.charCodeAt(position) === QUOTE ? this.#quoted(position) : this.#plain(position);
      if (step.kind !== "field") return step;
      position = step.next;
    }
  }

  #plain(start: number): Step {
    const text = this.#text;
    const delimiter = this.#delimiter;
    let position = start;
    for (; position < text.length; position++) {
      const code = text.charCodeAt(position);
      if (code === delimiter || code === LF) break;
      if (code === QUOTE) return { kind: "broken", problem: "a quote stands inside a field that does not begin with one" };
    }
    if (position === text.length && !this.#isEnded) return MORE;
    const isDelimiter = text.charCodeAt(position) === delimiter;
    let end = position;
    if (!isDelimiter && end > start && text.charCodeAt(end - 1) === CR) end -= 1;
    const field = text.slice(start, end);
    this.#cells.push(field === this.#nullText ? null : field);
    return { kind: isDelimiter ? "field" : "record", next: position + 1 };
  }

  #quoted(start: number): Step {
    const text = this.#text;
    let field = "";
    let from = start + 1;
    for (;;) {
      const quote = text.indexOf('"', from);
      if (quote === -1) return this.#isEnded ? { kind: "broken", problem: "a quote is never closed" } : MORE;
      field += text.slice(from, quote);
      if (text.charCodeAt(quote + 1) !== QUOTE) return this.#afterQuoted(field, quote + 1);
      field += '"';
      from = quote + 2;
    }
  }

  /** A closing quote ends the text at hand, or a delimiter or a line break follows. */
  #afterQuoted(field: string, position: number): Step {
    const text = this.#text;
    if (position >= text.length && !this.#isEnded) return MORE;
    const code = text.charCodeAt(position);
    if (code === this.#delimiter) {
      this.#cells.push(field);
      return { kind: "field", next: position + 1 };
    }
    if (code === CR && position + 1 === text.length && !this.#isEnded) return MORE;
    const lineBreak = code === CR && (text.charCodeAt(position + 1) === LF || position + 1 === text.length) ? 2 : code === LF ? 1 : 0;
    if (lineBreak === 0 && position < text.length) return { kind: "broken", problem: "text stands after a closing quote" };
    this.#cells.push(field);
    return { kind: "record", next: position + lineBreak };
  }

  /** Takes the record [#position, next) off the text. Undefined for the header and for blank lines. */
  #finish(next: number): FileRecord | undefined {
    const cells = this.#cells;
    const line = this.#line;
    const raw = this.#text.slice(this.#position, next);
    this.#line += countLines(raw);
    this.#position = Math.min(next, this.#text.length);
    const isBlank = cells.length === 1 && (raw === "\n" || raw === "\r\n");
    if (this.#columns === undefined) {
      if (isBlank) return undefined;
      return this.#takeHeader(cells, line);
    }
    if (isBlank && this.#columns.length > 1) return undefined;
    this.#number += 1;
    const number = this.#number;
    if (isNotUtf8(raw)) return { ok: false, line, number, problem: "it is not UTF-8" };
    if (cells.length !== this.#columns.length)
      return { ok: false, line, number, problem: `it has ${cells.length} fields instead of ${this.#columns.length}` };
    return { ok: true, line, number, cells };
  }

  /** A header that can't name columns is a broken record; columns stay unknown and the next line is tried. */
  #takeHeader(cells: readonly (string | null)[], line: number): FileRecord | undefined {
    const names = cells.map((cell) => (cell ?? "").trim());
    const problem = headerProblem(names);
    if (problem === undefined) {
      this.#columns = names;
      return undefined;
    }
    return { ok: false, line, number: 0, problem };
  }

  /** Gives up the record at hand and goes on at the line after its first. */
  #broken(problem: string): FileRecord {
    const line = this.#line;
    const lineBreak = this.#text.indexOf("\n", this.#position);
    this.#position = lineBreak === -1 ? this.#text.length : lineBreak + 1;
    this.#line += 1;
    if (this.#columns === undefined) return { ok: false, line, number: 0, problem };
    this.#number += 1;
    return { ok: false, line, number: this.#number, problem };
  }
}

function headerProblem(names: readonly string[]): string | undefined {
  const empty = names.indexOf("");
  if (empty !== -1) return `column ${empty + 1} has no name; give names by --columns if the file does not begin with them`;
  const twice = names.find((name, index) => names.findIndex((other) => other.toLowerCase() === name.toLowerCase()) !== index);
  return twice === undefined ? undefined : `two columns are named "${twice}"; give names by --columns if the file does not begin with them`;
}

function countLines(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) count += 1;
  return count;
}
