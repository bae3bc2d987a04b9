/** The first of the two passes over a file: what columns it has, of what types, how many records, and which of them are broken. */
import { CsvReader } from "./csv.ts";
import { ColumnStatistics } from "./infer.ts";
import { JsonReader } from "./json.ts";
import type { LoadOptions } from "./options.ts";
import { foldCase, type Cell, type FileRecord, type RecordReader } from "./record.ts";
import { readPieces } from "./source.ts";

/** What the first pass found. */
export interface Scan {
  readonly columns: readonly string[];
  /** In the order of the columns. */
  readonly statistics: readonly ColumnStatistics[];
  readonly recordCount: number;
  readonly brokenCount: number;
  /** The first of the broken records, at most BROKEN_SHOWN. */
  readonly broken: readonly { readonly line: number; readonly problem: string }[];
  /** A name that --columns gives and that the first record has in its place, if nobody said whether that is a header. */
  readonly headerLike: string | undefined;
}

const BROKEN_SHOWN = 10;

/** Reads the whole file. Memory: one piece of it. */
export async function scanFile(options: LoadOptions, onBytes: (bytesRead: number) => void): Promise<Scan> {
  const statistics: ColumnStatistics[] = [];
  const broken: { line: number; problem: string }[] = [];
  let recordCount = 0;
  let brokenCount = 0;
  let columns: readonly string[] = [];
  let headerLike: string | undefined;
  for await (const group of readRecords(options, undefined)) {
    columns = group.columns;
    while (statistics.length < columns.length) statistics.push(new ColumnStatistics(options.format === "csv"));
    for (const record of group.records) {
      if (recordCount === 0 && record.ok && options.header === undefined) headerLike = nameIn(record.cells, options.columns);
      recordCount += 1;
      if (record.ok) {
        for (const [index, cell] of record.cells.entries()) statistics[index]?.add(cell);
        continue;
      }
      brokenCount += 1;
      if (broken.length < BROKEN_SHOWN) broken.push({ line: record.line, problem: record.problem });
    }
    onBytes(group.bytesRead);
  }
  return { columns, statistics, recordCount, brokenCount, broken, headerLike };
}

function nameIn(cells: readonly Cell[], columns: readonly string[] | undefined): string | undefined {
  return columns?.find((name, at) => {
    const cell = cells[at];
    return typeof cell === "string" && foldCase(cell.trim()) === foldCase(name);
  });
}

/** Some records of a file, in order. */
export interface RecordGroup {
  readonly records: readonly FileRecord[];
  readonly columns: readonly string[];
  readonly bytesRead: number;
}

/** The records of a file. `columns`: what the first pass found, so that the second has them in the same order from the start. */
export async function* readRecords(options: LoadOptions, columns: readonly string[] | undefined): AsyncGenerator<RecordGroup> {
  const reader = readerOf(options, columns);
  let bytesRead = 0;
  for await (const piece of readPieces(options.file)) {
    bytesRead = piece.bytesRead;
    yield { records: reader.push(piece.text), columns: reader.columns, bytesRead };
  }
  yield { records: reader.end(), columns: reader.columns, bytesRead };
}

function readerOf(options: LoadOptions, columns: readonly string[] | undefined): RecordReader {
  if (options.format === "csv")
    return new CsvReader({
      delimiter: options.delimiter,
      nullText: options.nullText,
      columns: options.columns,
      skipsHeader: options.header === "skip",
    });
  return new JsonReader(columns ?? [], { isByLine: options.format === "ndjson", recordsKey: options.recordsKey });
}
