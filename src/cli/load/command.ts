/** The command `pumice load`. */
import { Connection } from "./connection.ts";
import { Inputs } from "./input.ts";
import { loadRecords, type LoadOutput } from "./load-records.ts";
import { loadWhole } from "./load-whole.ts";
import { loadHelp, readLoadArguments } from "./options.ts";

/** Runs `pumice load` with the arguments behind it. Returns the exit code. */
export async function runLoad(args: readonly string[]): Promise<number> {
  if (args.some((argument) => ["-h", "-help", "--help"].includes(argument))) {
    process.stdout.write(loadHelp());
    return 0;
  }
  const read = readLoadArguments(args, process.env);
  if (!read.ok) return refuse(read.problem);
  using inputs = new Inputs();
  const input = await inputs.open(read.options);
  if (!input.ok) return refuse(input.problem);
  const { options } = input;
  const output: LoadOutput = { out: process.stdout, progress: process.stderr };
  let waited = "";
  const connection = new Connection(options, (problem) => {
    if (problem !== waited) process.stderr.write(`pumice load: waiting for ${options.url.origin}: ${problem}\n`);
    waited = problem;
  });
  const isWhole = options.format === "sql" || options.format === "db";
  const problem = await (isWhole ? loadWhole : loadRecords)(options, connection, output);
  connection.close();
  return problem === undefined ? 0 : refuse(problem);
}

function refuse(problem: string): number {
  process.stderr.write(`pumice load: ${problem}\n`);
  return 1;
}
