/** Loads the records of a CSV, JSON or NDJSON file into one table, in batches that are each one transaction. */
import { statSync } from "node:fs";
import { basename } from "node:path";
import { behind, readItems, split, startOfFile, type Batch, type Item } from "./batches.ts";
import type { Connection, SqlAnswer, SqlStatement, StatementResult } from "./connection.ts";
import { findRecordsKey } from "./json-object.ts";
import type { LoadOptions } from "./options.ts";
import { formatCount, formatSeconds, Progress as Bar, type ProgressOutput } from "./progress.ts";
import { scanFile, type Scan } from "./scan.ts";
import {
  beginLoad,
  createProgressTable,
  createTable,
  dropProgressTable,
  endLoad,
  insertRows,
  moveLoad,
  quoteName,
  readLoad,
  type LoadKey,
  type Progress,
} from "./statements.ts";

/** Where a load prints: what it did, and how far it is. */
export interface LoadOutput {
  readonly out: { write(text: string): unknown };
  readonly progress: ProgressOutput;
}

/** How a load ended: undefined if it is whole, else one line that says why not. */
export type LoadOutcome = string | undefined;

const EXECUTE = "/db/execute?transaction";
const QUERY = "/db/query?level=linearizable";
/** Of records that the table refused, so many are shown. */
const REFUSED_SHOWN = 10;
/** --records: the object is the record. */
const AS_IT_IS = ".";

/** Ends a load from within, with its line. */
class Stop extends Error {}

/** Loads `options.file`. */
export async function loadRecords(options: LoadOptions, connection: Connection, output: LoadOutput): Promise<LoadOutcome> {
  try {
    await new RecordLoad(options, connection, output).run();
    return undefined;
  } catch (error) {
    if (error instanceof Stop) return error.message;
    throw error;
  }
}

class RecordLoad {
  #options: LoadOptions;
  readonly #connection: Connection;
  readonly #output: LoadOutput;
  readonly #key: LoadKey;
  #columns: readonly string[] = [];
  #bar: Bar | undefined;
  #refusedShown = 0;

  constructor(options: LoadOptions, connection: Connection, output: LoadOutput) {
    this.#options = options;
    this.#connection = connection;
    this.#output = output;
    this.#key = { file: basename(options.file), table: options.table };
  }

  async run(): Promise<void> {
    const startedMs = performance.now();
    await this.#findRecords();
    const scan = await this.#scan();
    this.#columns = scan.columns;
    const resumed = await this.#findInterrupted();
    if (resumed === undefined) await this.#begin(scan);
    else if (resumed.records > 0)
      this.#say(`goes on behind record ${formatCount(resumed.records)}, where an earlier load of ${this.#key.file} stopped`);
    const done = await this.#sendAll(scan, resumed);
    const problem = await this.#problemOf([endLoad(this.#key)]);
    if (problem !== undefined) throw new Stop(problem);
    await this.#run(EXECUTE, dropProgressTable(), []);
    const skipped = done.skipped === 0 ? "" : `, ${formatCount(done.skipped)} skipped`;
    const seconds = (performance.now() - startedMs) / 1000;
    this.#say(`${plural(done.records - done.skipped, "row")} in ${quoteName(this.#key.table)}${skipped}, in ${formatSeconds(seconds)}`);
  }

  /** Of a JSON file that is one object: under which key its records stand. */
  async #findRecords(): Promise<void> {
    const { format, recordsKey, name } = this.#options;
    if (format !== "json") return;
    if (recordsKey === AS_IT_IS) {
      this.#options = { ...this.#options, recordsKey: undefined };
      return;
    }
    const found = recordsKey ?? (await findRecordsKey(this.#options.file));
    if (typeof found === "object") {
      throw new Stop(
        `${name} is one object with arrays of objects under ${found.join(", ")}: choose one by --records KEY, or take the object as one record by --records ${AS_IT_IS}`,
      );
    }
    if (found !== undefined && recordsKey === undefined) this.#say(`${name} is one object: its records are those under "${found}"`);
    this.#options = { ...this.#options, recordsKey: found };
  }

  /** Reads the file, shows what is in it, and stops at broken records unless they are to be skipped. */
  async #scan(): Promise<Scan> {
    const bar = new Bar(this.#output.progress, { label: "reading", unit: "bytes", total: statSync(this.#options.file).size, start: 0 });
    const scan = await scanFile(this.#options, (bytes) => bar.update(bytes));
    bar.end();
    this.#say(`${this.#options.name}: ${plural(scan.recordCount, "record")}`);
    for (const { line, problem } of scan.broken) this.#say(`  line ${line}: ${problem}`);
    if (scan.brokenCount > 0) {
      if (!this.#options.skipBroken)
        throw new Stop(
          `${plural(scan.brokenCount, "broken record")}, nothing was loaded: mend the file, or skip what is broken by --on-error skip`,
        );
      this.#say(`  ${plural(scan.brokenCount, "broken record")} to be skipped`);
    }
    if (scan.headerLike !== undefined) {
      throw new Stop(
        `the first line of ${this.#options.name} has "${scan.headerLike}" where --columns has it too: say --header skip if the file begins with names, --header none if with data`,
      );
    }
    if (scan.columns.length === 0) throw new Stop(`${this.#options.name} has no columns: is it empty?`);
    return scan;
  }

  /** The progress of an interrupted load of this file into this table. */
  async #findInterrupted(): Promise<Progress | undefined> {
    const result = await this.#first(QUERY, readLoad(this.#key));
    const [row] = result.values ?? [];
    if (row === undefined) return undefined;
    if (!this.#options.restart) return { digest: String(row[0]), records: Number(row[1]), skipped: Number(row[2]) };
    await this.#run(EXECUTE, [endLoad(this.#key)], []);
    return undefined;
  }

  /** Makes the table if asked, and enters the load, in one transaction. */
  async #begin(scan: Scan): Promise<void> {
    const { create, table } = this.#options;
    const statements: SqlStatement[] = [createProgressTable(), beginLoad(this.#key, startOfFile().before)];
    if (create) statements.push(createTable(table, scan.columns, this.#chooseTypes(scan)));
    else await this.#checkColumns(scan);
    const problem = await this.#problemOf(statements);
    if (problem === undefined) return;
    // The answer of an earlier try may have been lost: then the load stands at its beginning.
    const [row] = (await this.#first(QUERY, readLoad(this.#key))).values ?? [];
    if (row?.[0] !== startOfFile().before.digest) throw new Stop(problem);
  }

  #chooseTypes(scan: Scan): string[] {
    for (const name of this.#options.types.keys()) {
      if (!scan.columns.includes(name)) throw new Stop(`--type names the column "${name}", but the file has ${scan.columns.join(", ")}`);
    }
    const width = Math.max(...scan.columns.map((name) => name.length));
    return scan.columns.map((name, index) => {
      const { type, remark } = scan.statistics[index] ?? { type: "TEXT", remark: "" };
      const given = this.#options.types.get(name);
      this.#say(
        `  ${name.padEnd(width)}  ${given ?? (type === "" ? "any type" : type)}${given === undefined && remark !== "" ? `  (${remark})` : ""}`,
      );
      return given ?? type;
    });
  }

  async #checkColumns(scan: Scan): Promise<void> {
    const result = await this.#first(QUERY, [`SELECT * FROM ${quoteName(this.#options.table)} LIMIT 0`]);
    if (result.error !== undefined) throw new Stop(`${result.error}; --create makes the table`);
    const known = new Set((result.columns ?? []).map((name) => name.toLowerCase()));
    const missing = scan.columns.find((name) => !known.has(name.toLowerCase()));
    if (missing !== undefined)
      throw new Stop(`the table ${this.#options.table} has no column "${missing}"; it has ${(result.columns ?? []).join(", ")}`);
  }

  async #sendAll(scan: Scan, resumed: Progress | undefined): Promise<Progress> {
    this.#bar = new Bar(this.#output.progress, {
      label: "loading",
      unit: "records",
      total: scan.recordCount,
      start: resumed?.records ?? 0,
    });
    let state = startOfFile();
    try {
      for await (const items of readAhead(readItems(this.#options, this.#columns))) {
        state = await this.#sendGroup({ ...state, items }, resumed);
        this.#bar.update(state.before.records);
      }
    } finally {
      this.#bar.end();
    }
    if (resumed !== undefined && state.before.records < resumed.records) throw this.#otherFile(resumed);
    return state.before;
  }

  /** Sends the part of a group that an earlier load has not sent. */
  async #sendGroup(group: Batch, resumed: Progress | undefined): Promise<Omit<Batch, "items">> {
    const missing = resumed === undefined ? 0 : resumed.records - group.before.records;
    if (resumed === undefined || missing < 0) return this.#sendBatch(group);
    const sent = behind({ ...group, items: group.items.slice(0, missing) });
    if (sent.before.records < resumed.records) return sent;
    if (sent.before.digest !== resumed.digest) throw this.#otherFile(resumed);
    return this.#sendBatch({ items: group.items.slice(missing), hash: sent.hash, before: resumed });
  }

  #otherFile(resumed: Progress): Stop {
    const { file, table } = this.#key;
    return new Stop(
      `${file} begins otherwise than the file of that name of which ${formatCount(resumed.records)} records are in ${table}: load that one, or use --restart, which keeps those rows`,
    );
  }

  /** Sends a batch; if the table refuses it, its halves, down to the record at fault. */
  async #sendBatch(batch: Batch): Promise<Omit<Batch, "items">> {
    if (batch.items.length === 0) return batch;
    const after = behind(batch);
    const rows = batch.items.flatMap(({ row }) => row ?? []);
    const statements = [moveLoad(this.#key, batch.before, after.before)];
    if (rows.length > 0) statements.push(insertRows(this.#key.table, this.#columns, rows));
    const [moved, inserted] = await this.#run(EXECUTE, statements, batch.items);
    if (moved?.error !== undefined) await this.#checkArrived(after.before, moved.error);
    else if (inserted?.error !== undefined) return this.#sendHalves(batch, inserted.error);
    return after;
  }

  async #sendHalves(batch: Batch, refusal: string): Promise<Omit<Batch, "items">> {
    const [item] = batch.items;
    if (batch.items.length === 1 && item !== undefined) return this.#refuse(batch, item, refusal);
    const [first, second] = split(batch);
    const middle = await this.#sendBatch(first);
    return this.#sendBatch(second(middle.before));
  }

  /** A record that the table refuses ends the load, or is counted and left out. */
  async #refuse(batch: Batch, item: Item, refusal: string): Promise<Omit<Batch, "items">> {
    const message = `${this.#options.file}: line ${item.line}: ${refusal}`;
    if (!this.#options.skipBroken) {
      throw new Stop(
        `${message}; what stands before it is loaded: mend the line and run the same command again to go on, or skip such records by --on-error skip`,
      );
    }
    if (this.#refusedShown < REFUSED_SHOWN) this.#bar?.say(message);
    this.#refusedShown += 1;
    const after = behind(batch);
    const left = { hash: after.hash, before: { ...after.before, skipped: after.before.skipped + 1 } };
    const [moved] = await this.#run(EXECUTE, [moveLoad(this.#key, batch.before, left.before)], batch.items);
    if (moved?.error !== undefined) await this.#checkArrived(left.before, moved.error);
    return left;
  }

  /** The load does not stand where the batch begins: because the batch arrived before, its answer being lost, or because of somebody else. */
  async #checkArrived(after: Progress, error: string): Promise<void> {
    const result = await this.#first(QUERY, readLoad(this.#key));
    if (result.values?.[0]?.[0] === after.digest) return;
    throw new Stop(
      `another load of ${this.#key.file} into ${this.#key.table} went on meanwhile, or somebody changed its progress (${error}); nothing was loaded twice`,
    );
  }

  async #first(path: typeof EXECUTE | typeof QUERY, statement: SqlStatement): Promise<StatementResult> {
    const [result] = await this.#run(path, [statement], []);
    return result ?? {};
  }

  /** Runs statements none of which may fail, as one transaction; what went wrong, if anything. */
  async #problemOf(statements: readonly SqlStatement[]): Promise<string | undefined> {
    const results = await this.#run(EXECUTE, statements, []);
    const error = results.find((result) => result.error !== undefined)?.error;
    return error !== undefined && /already exists/.test(error) ? `${error}; leave out --create to add to it` : error;
  }

  async #run(
    path: typeof EXECUTE | typeof QUERY,
    statements: readonly SqlStatement[],
    items: readonly Item[],
  ): Promise<readonly StatementResult[]> {
    const answer: SqlAnswer = await this.#connection.sql(path, statements);
    if (answer.ok) return answer.results;
    const where =
      items.length === 0
        ? ""
        : ` (records of lines ${items[0]?.line ?? 0} to ${items.at(-1)?.line ?? 0}); run the same command again to go on`;
    throw new Stop(answer.problem + where);
  }

  #say(text: string): void {
    this.#output.out.write(`${text}\n`);
  }
}

function plural(count: number, noun: string): string {
  return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** The same values, each asked for before the one in front of it is used up: the file is read on while the node writes. */
async function* readAhead<Value>(source: AsyncGenerator<Value>): AsyncGenerator<Value> {
  let next = source.next();
  try {
    for (;;) {
      const { value, done } = await next;
      if (done === true) return;
      next = source.next();
      // Marks a failure as seen: it is thrown when its turn comes, unless the consumer ends first.
      next.catch(() => undefined);
      yield value;
    }
  } finally {
    await source.return(undefined);
  }
}
