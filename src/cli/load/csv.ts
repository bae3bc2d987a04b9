/**
 * CSV as RFC 4180 has it: fields between delimiters, in quotes if they hold a delimiter, a quote (doubled) or a line break; lines end
 * by LF, CRLF or CR. A quote inside a field that does not begin with one is text. The first record names the columns unless names are given. A field
 * without quotes that equals the null text is NULL. Blank lines are skipped where a record has more than one column.
 *
 * Between tabs a field that begins with a quote is in quotes only if the closing one ends it; else its quotes are text, as IANA's
 * text/tab-separated-values has it.
 *
 * A broken record does not take its neighbours with it: reading goes on at the line after the one on which it began.
 */
import { foldCase, isNotUtf8, RECORD_LENGTH_MAX, type FileRecord, type RecordReader } from "./record.ts";

/** How a CSV file is written. */
export interface CsvDialect {
  /** One character. */
  readonly delimiter: string;
  /** The field that means NULL when it stands without quotes. */
  readonly nullText: string;
  /** The names of the columns; undefined: the first record has them. */
  readonly columns: readonly string[] | undefined;
  /** With `columns`: the file begins with names all the same, which are passed over. Default false. */
  readonly skipsHeader?: boolean | undefined;
}

/** Where a field or a record ended; `more` if the text at hand does not say. */
type Step =
  | { readonly kind: "field" | "record"; readonly next: number }
  | { readonly kind: "more" }
  | { readonly kind: "broken"; readonly problem: string };

const QUOTE = 34;
const LF = 10;
const CR = 13;
const TAB = 9;
const LINE_BREAK = /\r\n|\n|\r(?=[^\n]|$)/g;
const MORE: Step = { kind: "more" };

/** Reads CSV. */
export class CsvReader implements RecordReader {
  readonly #delimiter: number;
  readonly #nullText: string;
  #columns: readonly string[] | undefined;
  #skipsHeader: boolean;
  /** Set once the header was none: there is no telling what the rest is. */
  #isHopeless = false;
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
    this.#skipsHeader = dialect.skipsHeader === true;
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
    while (this.#position < this.#text.length && !this.#isHopeless) {
      const step = this.#readRecord();
      const mayWait = !this.#isEnded && this.#text.length - this.#position < RECORD_LENGTH_MAX;
      if (step.kind === "more") {
        if (mayWait) break;
        records.push(this.#broken("the record is too long: a quote that is never closed?"));
      } else if (step.kind === "broken") {
        if (mayWait && nextLine(this.#text, this.#position) === undefined) break;
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
      let step = this.#text.charCodeAt(position) === QUOTE ? this.#quoted(position) : this.#plain(position);
      if (step.kind === "broken" && this.#delimiter === TAB) step = this.#plain(position);
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
      if (code === delimiter || code === LF || code === CR) break;
    }
    const code = text.charCodeAt(position);
    // Behind a CR an LF may follow, which belongs to it.
    if (position + (code === CR ? 1 : 0) >= text.length && !this.#isEnded) return MORE;
    const field = text.slice(start, position);
    this.#cells.push(field === this.#nullText ? null : field);
    const length = code === CR && text.charCodeAt(position + 1) === LF ? 2 : 1;
    return { kind: code === delimiter ? "field" : "record", next: position + length };
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
    const lineBreak = code === CR ? (text.charCodeAt(position + 1) === LF ? 2 : 1) : code === LF ? 1 : 0;
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
    const isBlank = cells.length === 1 && /^(?:\r|\n|\r\n)$/.test(raw);
    if (this.#columns === undefined || this.#skipsHeader) {
      if (isBlank) return undefined;
      return this.#takeHeader(raw, line);
    }
    if (isBlank && this.#columns.length > 1) return undefined;
    this.#number += 1;
    const number = this.#number;
    if (isNotUtf8(raw)) return { ok: false, line, number, problem: "it is not UTF-8" };
    if (cells.length !== this.#columns.length)
      return { ok: false, line, number, problem: `it has ${cells.length} fields instead of ${this.#columns.length}` };
    return { ok: true, line, number, cells };
  }

  /** No later line is ever taken for the header: a header that cannot be read ends the file. */
  #takeHeader(raw: string, line: number): FileRecord | undefined {
    this.#skipsHeader = false;
    if (isNotUtf8(raw)) {
      this.#isHopeless = true;
      return { ok: false, line, number: 0, problem: "the names of the columns are not UTF-8; convert the file first (iconv)" };
    }
    this.#columns ??= namesOf(this.#cells);
    return undefined;
  }

  /** Gives up the record at hand and goes on at the line after its first. */
  #broken(problem: string): FileRecord {
    const line = this.#line;
    this.#position = nextLine(this.#text, this.#position) ?? this.#text.length;
    this.#line += 1;
    this.#isHopeless = this.#columns === undefined;
    if (this.#columns === undefined) return { ok: false, line, number: 0, problem };
    this.#number += 1;
    return { ok: false, line, number: this.#number, problem };
  }
}

/**
 * The names of columns from a header. One without a name is called column_N by its place; one whose name an earlier column has, as SQLite compares
 * names, gets the first of _2, _3, ... that is free.
 */
export function namesOf(cells: readonly (string | null)[]): string[] {
  const given = cells.map((cell, index) => (cell ?? "").trim() || `column_${index + 1}`);
  const taken = new Set<string>();
  return given.map((name) => {
    let free = name;
    for (let count = 2; taken.has(foldCase(free)); count++) free = `${name}_${count}`;
    taken.add(foldCase(free));
    return free;
  });
}

/** Where the line behind the one at `position` begins; undefined if the text at hand does not say. */
function nextLine(text: string, position: number): number | undefined {
  LINE_BREAK.lastIndex = position;
  return LINE_BREAK.test(text) ? LINE_BREAK.lastIndex : undefined;
}

function countLines(text: string): number {
  let count = 0;
  for (let at = nextLine(text, 0); at !== undefined; at = nextLine(text, at)) count += 1;
  return count;
}
