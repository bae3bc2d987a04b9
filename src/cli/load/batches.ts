/** The second pass over a file: its records in batches, each with the digest that it leads to. */
import { createHash, type Hash } from "node:crypto";
import type { LoadOptions } from "./options.ts";
import type { Cell, FileRecord } from "./record.ts";
import { readRecords } from "./scan.ts";
import type { Progress } from "./statements.ts";

/** A record on its way: its row as JSON text, or undefined if it is broken and to be skipped. */
export interface Item {
  readonly line: number;
  readonly row: string | undefined;
}

/** Records that go into one transaction. `hash` and `before` are the state in front of them. */
export interface Batch {
  readonly items: readonly Item[];
  readonly hash: Hash;
  readonly before: Progress;
}

/** The most JSON text in one batch; a longer row goes alone. Unit: UTF-16 code units. */
const BATCH_LENGTH_MAX = 512 * 1024;

/** The state in front of the first record. */
export function startOfFile(): Omit<Batch, "items"> {
  const hash = createHash("sha256");
  return { hash, before: { digest: digestOf(hash), records: 0, skipped: 0 } };
}

/** The state behind `items`, none of which the table refused. */
export function behind(batch: Batch): Omit<Batch, "items"> {
  const hash = batch.hash.copy();
  let { records, skipped } = batch.before;
  for (const { row } of batch.items) {
    hash.update(row ?? "broken");
    hash.update("\n");
    records += 1;
    if (row === undefined) skipped += 1;
  }
  return { hash, before: { digest: digestOf(hash), records, skipped } };
}

/** The batch in two halves of which the second begins where the first leads to. */
export function split(batch: Batch): readonly [Batch, (afterFirst: Progress) => Batch] {
  const middle = Math.floor(batch.items.length / 2);
  const first: Batch = { ...batch, items: batch.items.slice(0, middle) };
  const { hash } = behind(first);
  // The progress comes from what became of the first half: it may have skipped more.
  return [first, (before) => ({ items: batch.items.slice(middle), hash, before })];
}

/** The items of a file in groups of a batch's size. */
export async function* readItems(options: LoadOptions, columns: readonly string[]): AsyncGenerator<Item[]> {
  let items: Item[] = [];
  let length = 0;
  for await (const group of readRecords(options, columns)) {
    for (const record of group.records) {
      const item = itemOf(record);
      const itemLength = item.row?.length ?? 0;
      if (items.length > 0 && (items.length === options.batchRows || length + itemLength > BATCH_LENGTH_MAX)) {
        yield items;
        items = [];
        length = 0;
      }
      items.push(item);
      length += itemLength;
    }
  }
  if (items.length > 0) yield items;
}

function itemOf(record: FileRecord): Item {
  return { line: record.line, row: record.ok ? JSON.stringify(withoutTrailingNulls(record.cells)) : undefined };
}

/** A record's row does not depend on columns that only later records have. */
function withoutTrailingNulls(cells: readonly Cell[]): readonly Cell[] {
  if (cells.at(-1) !== null) return cells;
  let length = cells.length;
  while (length > 0 && cells[length - 1] === null) length -= 1;
  return cells.slice(0, length);
}

function digestOf(hash: Hash): string {
  return hash.copy().digest("hex");
}
