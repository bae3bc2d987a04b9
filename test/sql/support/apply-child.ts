/** A process that applies a random log from where the database is, in batches, and may be killed. Says a line after each batch. */
import { writeSync } from "node:fs";
import * as host from "../../../src/host/mod.ts";
import * as sql from "../../../src/sql/mod.ts";
import { randomLog } from "./batching.ts";
import { EXTENSION, openMachine } from "./database.ts";

interface Options {
  readonly path: string;
  readonly seed: number;
  readonly count: number;
  readonly foreignKeys: boolean;
  readonly batch: number;
}

const options = JSON.parse(process.argv[2] ?? "{}") as Options;
const log = randomLog({ sql, host, extensionPath: EXTENSION }, options.seed, options.count);
const machine = openMachine(options.path, options.foreignKeys);
while (machine.applied.index < log.length) {
  const first = machine.applied.index;
  machine.apply(
    log.slice(first, first + options.batch).map((data, i) => ({ index: first + i + 1, term: 1 + Math.floor((first + i) / 10), data })),
  );
  writeSync(1, `${machine.applied.index}\n`);
}
machine.close();
