/** View: what a read looks at, newest data first: memtable, frozen memtables, L0, sorted runs. A view never changes; a new one replaces it. */
import { compareBytes } from "../../base/mod.ts";
import type { KeyRange } from "../format/key-range.ts";
import { MERGE, type Row } from "../format/row.ts";
import { sipHash13, type Hash64 } from "../format/siphash.ts";
import { MergeCursor, RunCursor, TableCursor, type Order, type ReadAhead, type RowCursor } from "../store/cursors.ts";
import { isDisjoint, overlaps, type Load, type Loaded, type Table } from "../store/tables.ts";
import type { RunTables, Tree } from "../engine/store.ts";
import type { Memtable } from "./memtable.ts";
import { resolve, visible, type ReadRules } from "../engine/merge-operator.ts";

/** See the header of this file. */
export interface View extends Tree {
  /** Newest first; only the first may still grow. */
  readonly memtables: readonly Memtable[];
}

/** A question to a view. */
export interface Lookup {
  readonly key: Uint8Array;
  /** Rows with a higher sequence number are not seen. */
  readonly maxSeq: number;
  readonly rules: ReadRules;
  /** A transaction's own writes, newer than everything. */
  readonly local?: Memtable | undefined;
}

/** The row that a reader sees, undefined if there is none, or the Load without which it cannot be known. @throws LSM_MERGE_OPERATOR */
export function lookupNow(view: View, lookup: Lookup, loaded: Loaded | undefined): Row | undefined | Load {
  const { key, rules, local } = lookup;
  let { maxSeq } = lookup;
  const newest = local === undefined ? newestInMemory(view, lookup) : undefined;
  if (newest !== undefined && newest.kind !== MERGE) return visible(newest, rules);
  const found: Row[] = [];
  if (newest !== undefined || local !== undefined) {
    if (local?.lookup(key, Infinity, found) === true) return resolve(found, rules);
    for (const memtable of view.memtables) {
      if (memtable.lookup(key, maxSeq, found)) return resolve(found, rules);
      // What was found once may be found again below, while a memtable is being replaced by its L0.
      maxSeq = Math.min(maxSeq, (found.at(-1)?.seq ?? Infinity) - 1);
    }
  }
  if (view.l0.length === 0 && view.runs.length === 0) return resolve(found, rules);
  return searchTables(view, new Search({ key, rules, maxSeq }, found, loaded));
}

/** The newest version of the key in the memtables that a reader sees. */
function newestInMemory({ memtables }: View, { key, maxSeq }: Lookup): Row | undefined {
  for (const memtable of memtables) {
    const row = memtable.newest(key, maxSeq);
    if (row !== undefined) return row;
  }
  return undefined;
}

/** What is looked for in tables, one after the other. */
class Search {
  readonly key: Uint8Array;
  readonly rules: ReadRules;
  readonly loaded: Loaded | undefined;
  /** Newest first. */
  readonly found: Row[];
  /** Below all that was found. */
  maxSeq: number;
  #hashed: Hash64 | undefined = undefined;

  constructor(lookup: Lookup, found: Row[], loaded: Loaded | undefined) {
    this.key = lookup.key;
    this.rules = lookup.rules;
    this.loaded = loaded;
    this.found = found;
    this.maxSeq = lookup.maxSeq;
  }

  /** Only tables that may have the key by their bounds ask for it. */
  get hash(): Hash64 {
    return (this.#hashed ??= sipHash13(this.key));
  }
}

function searchTables(view: View, search: Search): Row | undefined | Load {
  const { key, found, rules } = search;
  for (const table of view.l0) {
    const result = ask(table, search);
    if (typeof result === "function") return result;
    if (result) return resolve(found, rules);
  }
  for (const run of view.runs) {
    for (let i = firstTable(run.tables, key); i < run.tables.length; i++) {
      const table = run.tables[i] as Table;
      if (compareBytes(table.firstKey ?? key, key) > 0) break;
      const result = ask(table, search);
      if (typeof result === "function") return result;
      if (result) return resolve(found, rules);
    }
  }
  return resolve(found, rules);
}

/** No closure in `lookupNow`: its contexts, made for each read, came to survive scavenges by chains that the old generation held. */
function ask(table: Table, search: Search): boolean | Load {
  const result = table.lookup(search, search.found, search.loaded);
  search.maxSeq = Math.min(search.maxSeq, (search.found.at(-1)?.seq ?? Infinity) - 1);
  return result;
}

/** The first table of a run that may hold `key`. */
function firstTable(tables: readonly Table[], key: Uint8Array): number {
  let low = 0;
  let high = tables.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareBytes((tables[middle] as Table).firstKey ?? key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return Math.max(0, low - 1);
}

/** How a scan goes. */
export interface ScanWay {
  readonly range: KeyRange;
  readonly order: Order;
  readonly readAhead: ReadAhead;
}

/** All versions of all keys in the range, merged. */
export function openCursor(view: View, way: ScanWay): MergeCursor {
  const how = { order: way.order, readAhead: way.readAhead };
  const cursors: RowCursor[] = [
    ...view.memtables.filter((memtable) => !memtable.isEmpty).map((memtable) => memtable.cursor(way.range, way.order)),
    ...view.l0.filter((table) => overlaps(table.ref, way.range)).map((table) => new TableCursor(table, way.range, how)),
    ...view.runs.flatMap((run) => runCursors(run, way)),
  ];
  return new MergeCursor(cursors, way.order);
}

/** One cursor for the run; one per table if versions of a key lie in two of them, which other writers may do. */
function runCursors(run: RunTables, way: ScanWay): RowCursor[] {
  if (isDisjoint(run.tables)) return [new RunCursor(run.tables, way.range, way)];
  return run.tables.map((table) => new TableCursor(table, way.range, way));
}
