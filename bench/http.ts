/**
 * What a node does over HTTP beside the limits of the machine, interleaved in one run: `npm run bench:http -- [--rounds N] [--seconds N]`.
 * With `--against DIRECTORY`, another built checkout, it is measured beside the node of that one instead.
 *
 * Every round measures every cell once, in the same order; ratios are taken round by round, so that they hold when the machine's
 * speed drifts. The load generator is wrk with one thread, on this machine, for all.
 */
import { availableParallelism, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { startEmptyHandler, startPumiced, postJson, type ServerProcess } from "./support/server-process.ts";
import { hasWrk, runWrk, type Load } from "./support/wrk.ts";
import { formatSpread, printTable, ratioOf, spreadOf } from "./support/statistics.ts";
import { plainInsertRowsPerSecond } from "./support/plain-sqlite.ts";
import { LogLimits } from "./support/log-limits.ts";

const ROWS_PER_BATCH = 100;
const ROWS_TO_READ = 10_000;
const CONNECTIONS = [1, 8, 64, 256];
/** A figure may be so much worse than that of the other checkout. */
const NO_SLOWER = 0.95;

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, seconds: { type: "string", default: "2" }, against: { type: "string" } },
});
const rounds = Number(values.rounds);
const seconds = Number(values.seconds);

const insertBody = JSON.stringify([["INSERT INTO foo(name) VALUES(?)", "fiona"]]);
const batchBody = JSON.stringify(Array.from({ length: ROWS_PER_BATCH }, () => ["INSERT INTO foo(name) VALUES(?)", "fiona"]));

/** One figure that is measured once a round. */
interface Cell {
  readonly name: string;
  readonly unit: string;
  /** The cell whose figure of the same round this one is divided by, and the ratio to reach. */
  readonly limit?: { readonly name: string; readonly reach?: number };
  measure(): Promise<number>;
  readonly figures: number[];
  readonly p99Us: number[];
}

if (!hasWrk()) {
  console.log("SKIPPED: bench:http needs wrk (Debian package: apt-get install wrk)");
  process.exit(0);
}

await using node = await startPumiced();
await prepare(node);
await using other = values.against === undefined ? await startEmptyHandler() : await startPumiced([], values.against);
let cells: Cell[];
if (values.against === undefined) cells = allCells(node, other, await LogLimits.open());
else {
  await prepare(other);
  cells = pairedCells(node, other);
}
// Code that has just been loaded runs slowly, on both sides: not counted.
for (const port of [node.port, other.port])
  await runWrk({ port, connections: 64, seconds: 3, method: "POST", paths: ["/db/execute"], body: insertBody });
for (let round = 0; round < rounds; round++) {
  for (const cell of cells) {
    cell.figures.push(await cell.measure());
  }
  console.error(`round ${round + 1} of ${rounds} done`);
}
report(cells);

async function prepare(server: ServerProcess): Promise<void> {
  await postJson(server.port, "/db/execute", ["CREATE TABLE foo(id INTEGER NOT NULL PRIMARY KEY, name TEXT)"]);
  await postJson(server.port, "/db/execute", ["CREATE TABLE points(id INTEGER NOT NULL PRIMARY KEY, name TEXT)"]);
  const rows = Array.from({ length: ROWS_TO_READ }, (_, i) => ["INSERT INTO points VALUES(?, ?)", i + 1, `name ${i + 1}`]);
  await postJson(server.port, "/db/execute?transaction", rows);
}

/** Each cell of the node beside the same one of the other. */
function pairedCells(server: ServerProcess, other: ServerProcess): Cell[] {
  const pairs: Cell[] = [];
  const pair = (name: string, make: (name: string, limit: Cell["limit"], by: ServerProcess) => Cell): void => {
    const there = `${name}, there`;
    pairs.push(make(there, undefined, other), make(name, { name: there, reach: NO_SLOWER }, server));
  };
  for (const connections of CONNECTIONS) {
    const post = { connections, seconds, method: "POST" as const, paths: ["/db/execute"], body: insertBody };
    pair(`insert, ${connections} connections`, (name, limit, { port }) => loadCell(name, limit, { ...post, port }));
  }
  for (const connections of [1, 8]) {
    pair(`${ROWS_PER_BATCH}-row batches, ${connections} connections`, (name, limit, by) => batchCell({ name, limit, connections }, by));
  }
  for (const level of ["none", "linearizable"]) {
    for (const connections of CONNECTIONS) {
      const get = { connections, seconds, method: "GET" as const, paths: readPaths(level) };
      pair(`point read, ${level}, ${connections} connections`, (name, limit, { port }) => loadCell(name, limit, { ...get, port }));
    }
  }
  return pairs;
}

function readPaths(level: string): string[] {
  return Array.from({ length: 1000 }, (_, i) => `/db/query?level=${level}&q=SELECT%20*%20FROM%20points%20WHERE%20id%3D${i * 10 + 1}`);
}

function allCells(server: ServerProcess, limit: ServerProcess, log: LogLimits): Cell[] {
  const cells: Cell[] = [];
  for (const batch of [1, 8, 64, 256]) {
    cells.push(cell(`raw write+fdatasync, batch ${batch}`, "entries/s", undefined, () => log.raw(batch, seconds)));
    const raw = { name: `raw write+fdatasync, batch ${batch}` };
    cells.push(cell(`log writer alone, batch ${batch}`, "entries/s", raw, () => log.writer(batch, seconds)));
  }
  for (const connections of CONNECTIONS) {
    const post = { connections, seconds, method: "POST" as const, paths: ["/db/execute"], body: insertBody };
    cells.push(loadCell(`empty handler, POST, ${connections} connections`, undefined, { ...post, port: limit.port }));
    const reach = connections >= 64 ? { reach: 0.6 } : {};
    const by = connections === 1 ? { name: "log writer alone, batch 1", reach: 0.6 } : { name: cells.at(-1)!.name, ...reach };
    cells.push(loadCell(`insert, ${connections} connections`, by, { ...post, port: server.port }));
  }
  const batchName = `plain node:sqlite, ${ROWS_PER_BATCH} rows a transaction`;
  cells.push(cell(batchName, "rows/s", undefined, async () => plainInsertRowsPerSecond(ROWS_PER_BATCH, seconds)));
  for (const connections of [1, 8]) {
    const name = `${ROWS_PER_BATCH}-row batches, ${connections} connections`;
    cells.push(batchCell({ name, limit: { name: batchName, reach: 0.4 }, connections }, server));
  }
  for (const connections of CONNECTIONS) {
    const get = { connections, seconds, method: "GET" as const };
    cells.push(
      loadCell(`empty handler, GET, ${connections} connections`, undefined, { ...get, port: limit.port, paths: readPaths("none") }),
    );
    const name = cells.at(-1)!.name;
    const reach = connections >= 64 ? { reach: 0.7 } : {};
    cells.push(
      loadCell(`point read, none, ${connections} connections`, { name, ...reach }, { ...get, port: server.port, paths: readPaths("none") }),
    );
    cells.push(
      loadCell(
        `point read, linearizable, ${connections} connections`,
        { name },
        { ...get, port: server.port, paths: readPaths("linearizable") },
      ),
    );
  }
  return cells;
}

function batchCell(
  about: { readonly name: string; readonly limit: Cell["limit"]; readonly connections: number },
  server: ServerProcess,
): Cell {
  const { name, limit, connections } = about;
  const load: Load = { port: server.port, connections, seconds, method: "POST", paths: ["/db/execute?transaction"], body: batchBody };
  return cell(name, "rows/s", limit, async () => {
    const result = await runWrk(load);
    mustBeClean(result.errors);
    return result.requestsPerSecond * ROWS_PER_BATCH;
  });
}

function loadCell(name: string, limit: Cell["limit"], load: Load): Cell {
  const made = cell(name, "req/s", limit, async () => {
    const result = await runWrk(load);
    mustBeClean(result.errors);
    made.p99Us.push(result.p99Us);
    return result.requestsPerSecond;
  });
  return made;
}

function cell(name: string, unit: string, limit: Cell["limit"], measure: () => Promise<number>): Cell {
  return { name, unit, measure, figures: [], p99Us: [], ...(limit === undefined ? {} : { limit }) };
}

function mustBeClean(errors: number): void {
  if (errors !== 0) throw new Error(`wrk saw ${errors} errors: these figures would mean nothing`);
}

function report(measured: readonly Cell[]): void {
  const byName = new Map(measured.map((each) => [each.name, each]));
  console.log(
    `${rounds} rounds of ${seconds} s a cell; node ${process.version}, ${availableParallelism()} processors, load ${loadavg()[0]?.toFixed(1)} at the end`,
  );
  const rows = [["cell", "unit", "median (min..max)", "p99 ms", "ratio to its limit", "reach", ""]];
  for (const each of measured) {
    const row = [each.name, each.unit, formatSpread(spreadOf(each.figures))];
    row.push(each.p99Us.length === 0 ? "" : (spreadOf(each.p99Us).median / 1000).toFixed(1));
    if (each.limit !== undefined) {
      const ratio = ratioOf(each.figures, byName.get(each.limit.name)!.figures);
      const { reach } = each.limit;
      row.push(formatSpread(ratio, 2), reach === undefined ? "" : String(reach));
      row.push(reach === undefined ? "" : ratio.median >= reach ? "reached" : "MISSED");
    }
    rows.push(row);
  }
  printTable(rows);
}
