/** The command `pumice lsm`: dispatch, help, errors in words. */
import { isPumiceError, type PumiceError } from "../../base/mod.ts";
import { openLsmTarget, type LsmTarget } from "../../entry/mod.ts";
import { nearest } from "../nearest.ts";
import { Arguments, COMMON_FLAGS, UsageError, type FlagSpec } from "./arguments.ts";
import { bench } from "./bench.ts";
import type { LsmCommand, Output } from "./context.ts";
import { compaction, compactions, manifest, manifests, sst, timeline } from "./inspect.ts";
import { repair } from "./repair.ts";
import { get, put, remove, scan } from "./rows.ts";
import { checkpoint, clone, compact, destroy, gc, verify } from "./upkeep.ts";

const COMMANDS: Readonly<Record<string, LsmCommand>> = {
  manifests,
  manifest,
  compactions,
  compaction,
  sst,
  timeline,
  get,
  put,
  delete: remove,
  scan,
  checkpoint,
  clone,
  compact,
  gc,
  verify,
  repair,
  destroy,
  bench,
};

/** 128 and the number of SIGPIPE. */
const BROKEN_PIPE_EXIT = 141;

const PROCESS_OUTPUT: Output = {
  out: (text) => void process.stdout.write(text),
  problem: (text) => void process.stderr.write(`pumice lsm: ${text}\n`),
};

/**
 * Runs `pumice lsm` with the arguments behind it. The exit code: 0 done, 1 not done (wrong arguments, no such key or database, the
 * store does not answer), 2 something is wrong with the database.
 */
export async function runLsm(
  args: readonly string[],
  output: Output = PROCESS_OUTPUT,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<number> {
  const [first = "help", ...others] = args;
  if (output === PROCESS_OUTPUT) process.stdout.once("error", endWithReader);
  if (isHelp(first) && others.length === 0) {
    output.out(lsmHelp());
    return 0;
  }
  // `help put` is `put --help`.
  const [name = first, ...rest] = isHelp(first) ? [...others, "--help"] : args;
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    const near = nearest(name, Object.keys(COMMANDS));
    output.problem(`unknown command "${name}"; ${near === undefined ? "" : `did you mean ${near}? `}"pumice lsm help" lists all commands`);
    return 1;
  }
  if (rest.some((argument) => argument.startsWith("-") && isHelp(argument))) {
    output.out(commandHelp(name, command));
    return 0;
  }
  let target: LsmTarget | undefined;
  try {
    const parsed = new Arguments(rest, command.flags, ["STORE", ...command.names]);
    const settings = { env, endpoint: parsed.flag("endpoint"), region: parsed.flag("region") };
    target = openLsmTarget(parsed.at(0), settings, parsed.flag("root"));
    return await command.run({ args: parsed, target, output });
  } catch (error) {
    if (error instanceof UsageError) output.problem(`${name}: ${error.message}; "pumice lsm ${name} --help" says more`);
    else if (isPumiceError(error))
      output.problem(`${name}: ${describe(error, target)}${isCreated(error, command) ? "; --create makes one" : ""}`);
    else throw error;
    return isPumiceError(error) && error.kind === "corrupt" ? 2 : 1;
  } finally {
    await target?.close();
  }
}

function isHelp(argument: string): boolean {
  return ["help", "-h", "-help", "--help"].includes(argument);
}

/** True if the command would make what it did not find, had it been told to. */
function isCreated({ code, details }: PumiceError, { flags }: LsmCommand): boolean {
  return code === "LSM_NOT_FOUND" && details["object"] === undefined && Object.hasOwn(flags, "create");
}

function describe(error: PumiceError, target: LsmTarget | undefined): string {
  const store = target === undefined ? "" : ` store=${target.address}`;
  if (error.code !== "LSM_NOT_FOUND") return `${error.code}: ${error.message}${store}`;
  const { manifest: id, object } = error.details;
  if (object !== undefined) return `${error.code}: there is no ${String(object)}${store}`;
  return id === undefined
    ? `${error.code}: there is no database at ${target?.address ?? "?"}`
    : `${error.code}: there is no manifest ${String(id)}${store}`;
}

/** A reader that has seen enough, such as `head`, closes the pipe: then this ends as other programs do, without a word. */
function endWithReader(error: NodeJS.ErrnoException): void {
  if (error.code !== "EPIPE") throw error;
  process.exit(BROKEN_PIPE_EXIT);
}

function lsmHelp(): string {
  const lines = [
    "pumice lsm COMMAND STORE [ARGUMENTS]",
    "",
    "Works on a database of the LSM store, or of SlateDB, by its files. STORE is a directory, file:///DIRECTORY or s3://BUCKET/PATH;",
    "S3 takes its credentials from AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. The commands:",
  ];
  for (const [name, command] of Object.entries(COMMANDS))
    lines.push(`    ${[name, ...command.names].join(" ")}`, `        ${command.help}`);
  lines.push("", 'Flags of all commands; "pumice lsm COMMAND --help" shows those of one:', ...flagLines(COMMON_FLAGS));
  return `${lines.join("\n")}\n`;
}

function commandHelp(name: string, command: LsmCommand): string {
  const lines = [`pumice lsm ${[name, "STORE", ...command.names].join(" ")}`, "", command.help, "", "Flags:"];
  lines.push(...flagLines(command.flags), ...flagLines(COMMON_FLAGS));
  return `${lines.join("\n")}\n`;
}

function flagLines(flags: Readonly<Record<string, FlagSpec>>): string[] {
  return Object.entries(flags).map(
    ([name, { value, help }]) => `    ${`--${name}${value === undefined ? "" : ` ${value}`}`.padEnd(22)} ${help}`,
  );
}
