/**
 * Results as rqlite writes them: key order, omitted zeros, arrays or objects (reference/rqlite.md 1.5).
 *
 *     exec   {"last_insert_id":1,"rows_affected":1,"time":0.1}        objects: and "rows":null at the end
 *     rows   {"columns":[…],"types":[…],"values":[[…]],"time":0.1}     objects: {"types":{…},"rows":[{…}],"time":0.1}
 *     error  {"error":"…"}                                             objects, of a read: {"rows":[],"error":"…"}
 */
import { type ColumnPlan, type FilledFormat, qualifyColumns } from "./columns.ts";
import { integerText, realJson, type StoredValue, typeOfValue, valueJson } from "./json-values.ts";
import { TEXT_CHARS_MAX } from "./results.ts";
import type { TextBuffer } from "./text.ts";

/** What a statement that returns no rows did. */
export interface ExecCounts {
  readonly lastInsertRowid: bigint;
  readonly changes: bigint;
}

/** The result of such a statement. `seconds` is undefined unless timings were asked for. */
export function execJson(counts: ExecCounts, format: FilledFormat, seconds: number | undefined): string {
  const rest = timeJson(seconds) + (format.associative ? ',"rows":null' : "");
  const changes = counts.changes === 0n ? "" : `"rows_affected":${integerText(counts.changes)}`;
  if (counts.lastInsertRowid !== 0n) {
    return `{"last_insert_id":${integerText(counts.lastInsertRowid)}${changes === "" ? "" : ","}${changes}${rest}}`;
  }
  return changes === "" ? `{${rest.slice(1)}}` : `{${changes}${rest}}`;
}

/** The result of a statement that failed. */
export function errorJson(message: string): string {
  return `{"error":${JSON.stringify(message)}}`;
}

/** The result of a read that failed. */
export function readErrorJson(message: string, format: FilledFormat): string {
  return format.associative ? `{"rows":[],"error":${JSON.stringify(message)}}` : errorJson(message);
}

function timeJson(seconds: number | undefined): string {
  return seconds === undefined || seconds === 0 ? "" : `,"time":${realJson(seconds)}`;
}

/** Columns in the order in which they are written: as objects sorted by name, the last of several with one name. */
interface Layout {
  readonly columns: readonly ColumnPlan[];
  /** Position in the row of each. */
  readonly positions: readonly number[];
  /** What stands before each value as an object. */
  readonly keys: readonly string[];
}

const arrayLayouts = new WeakMap<readonly ColumnPlan[], Layout>();
const objectLayouts = new WeakMap<readonly ColumnPlan[], Layout>();

function layoutOf(columns: readonly ColumnPlan[], isObject: boolean): Layout {
  const layouts = isObject ? objectLayouts : arrayLayouts;
  let layout = layouts.get(columns);
  if (layout === undefined) {
    const last = new Map(columns.map((column, position) => [isObject ? column.name : position, position]));
    const positions = [...last.values()];
    if (isObject) positions.sort((a, b) => compare((columns[a] as ColumnPlan).name, (columns[b] as ColumnPlan).name));
    const ordered = positions.map((position) => columns[position] as ColumnPlan);
    layout = { columns: ordered, positions, keys: ordered.map((column, i) => `${i === 0 ? "{" : ","}${column.nameJson}:`) };
    layouts.set(columns, layout);
  }
  return layout;
}

function compare(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

/** How rows are written. */
export interface RowsOptions {
  readonly columns: readonly ColumnPlan[];
  readonly format: FilledFormat;
  /** Seconds since the statement began, asked for after the last row; undefined unless timings were asked for. */
  readonly seconds: (() => number) | undefined;
}

/**
 * Writes the result of a statement that returns rows. If `rows` throws, or the text becomes too long, the rows are taken back and the
 * error is written in their place if `explain` has a text for it; else the error is thrown on, with nothing written.
 */
export function writeRows(
  out: TextBuffer,
  rows: Iterable<StoredValue[]>,
  options: RowsOptions,
  explain: (error: unknown) => string | undefined,
): void {
  const start = out.mark();
  let afterTypes = start;
  try {
    const columns = options.format.qualifyColumns ? qualifyColumns(options.columns) : options.columns;
    const layout = layoutOf(columns, options.format.associative);
    let isFirst = true;
    for (const row of rows) {
      if (isFirst) {
        writeHead(out, layout, row, options);
        afterTypes = out.mark();
        out.add(options.format.associative ? ',"rows":[' : ',"values":[');
      }
      writeRow(out, layout, row, { format: options.format, isFirst });
      isFirst = false;
    }
    if (isFirst) {
      writeHead(out, layout, undefined, options);
      if (options.format.associative) out.add(',"rows":[]');
    } else out.add("]");
    out.add(`${timeJson(options.seconds?.())}}`);
  } catch (error) {
    const message = explain(error);
    if (message === undefined || afterTypes === start) {
      out.cutBack(start);
      if (message === undefined) throw error;
      out.add(readErrorJson(message, options.format));
      return;
    }
    out.cutBack(afterTypes);
    out.add(`${options.format.associative ? ',"rows":[]' : ""},"error":${JSON.stringify(message)}}`);
  }
}

function writeHead(out: TextBuffer, layout: Layout, first: StoredValue[] | undefined, options: RowsOptions): void {
  const types = layout.columns.map((column, i) => {
    if (column.type !== "" || first === undefined) return column.typeJson;
    return `"${typeOfValue(first[layout.positions[i] as number] as StoredValue, column)}"`;
  });
  if (!options.format.associative) {
    out.add(`{"columns":[${layout.columns.map((column) => column.nameJson).join(",")}],"types":[${types.join(",")}]`);
    return;
  }
  const pairs = types.map((type, i) => (layout.keys[i] as string) + type).join("");
  out.add(`{"types":${pairs === "" ? "{" : pairs}}`);
}

function writeRow(out: TextBuffer, layout: Layout, row: StoredValue[], how: { format: FilledFormat; isFirst: boolean }): void {
  const { columns, positions, keys } = layout;
  const { associative, blobArray } = how.format;
  let text = how.isFirst ? "" : ",";
  if (!associative) text += "[";
  for (let i = 0; i < columns.length; i++) {
    if (associative) text += keys[i] as string;
    else if (i > 0) text += ",";
    text += valueJson(row[positions[i] as number] as StoredValue, (columns[i] as ColumnPlan).kind, blobArray);
    if (text.length <= TEXT_CHARS_MAX) continue;
    // Long values one by one: a row may be longer than a JavaScript string can be.
    out.add(text);
    text = "";
  }
  out.add(text + (associative ? "}" : "]"));
}
