/** Sends a SQLite file or SQL text whole to /db/load. One request: it happens wholly or not at all, so there is nothing to resume. */
import { createReadStream, openSync, readSync, closeSync, statSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import type { Connection, StatementResult } from "./connection.ts";
import type { LoadOutcome, LoadOutput } from "./load-records.ts";
import type { LoadOptions } from "./options.ts";
import { formatCount, Progress } from "./progress.ts";

const SQLITE_MAGIC = "SQLite format 3\0";

/** Loads a .db or .sql file. */
export async function loadWhole(options: LoadOptions, connection: Connection, output: LoadOutput): Promise<LoadOutcome> {
  const isDatabase = beginsAsDatabase(options.file);
  if (isDatabase !== (options.format === "db")) {
    return isDatabase
      ? `${options.name} is a SQLite database, not SQL text: give --format db`
      : `${options.name} is no SQLite database: it does not begin as one`;
  }
  if (isDatabase && !options.replace) {
    const tables = await connection.sql("/db/query?level=linearizable", [["SELECT count(*) FROM sqlite_master WHERE type = 'table'"]]);
    if (!tables.ok) return tables.problem;
    const count = Number(tables.results[0]?.values?.[0]?.[0] ?? 0);
    if (count > 0) return `the node has ${count} tables, which ${options.name} would replace: add --replace if it shall`;
  }
  return send(options, connection, output);
}

async function send(options: LoadOptions, connection: Connection, output: LoadOutput): Promise<LoadOutcome> {
  const { size } = statSync(options.file);
  const bar = new Progress(output.progress, { label: "sending", unit: "bytes", total: size, start: 0 });
  let sent = 0;
  let answer;
  try {
    answer = await connection.upload("/db/load", size, async (request) => {
      const file = createReadStream(options.file);
      file.on("data", (chunk) => bar.update((sent += chunk.length)));
      await pipeline(file, request);
    });
  } catch (error) {
    return `${options.url.origin} did not take the file, or its answer was lost: ${error instanceof Error ? error.message : String(error)}; look before loading it again`;
  } finally {
    bar.end();
  }
  const problem = problemOf(answer.status, answer.body);
  if (problem === undefined) output.out.write(`${options.name}: ${formatCount(size)} bytes loaded\n`);
  return problem;
}

function problemOf(status: number, body: string): string | undefined {
  if (status !== 200) return `the node answered ${status} ${body.trim()}`;
  const { results = [], error } = JSON.parse(body) as { readonly results?: readonly StatementResult[]; readonly error?: string };
  return error ?? results.find((result) => result.error !== undefined)?.error;
}

function beginsAsDatabase(path: string): boolean {
  const file = openSync(path, "r");
  try {
    const start = Buffer.alloc(SQLITE_MAGIC.length);
    readSync(file, start, 0, start.length, 0);
    return start.toString("latin1") === SQLITE_MAGIC;
  } finally {
    closeSync(file);
  }
}
