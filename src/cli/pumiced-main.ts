/** Runs pumiced: reads the command line, starts the node, waits for what ends it. */
import { isPumiceError, type ErrorCode } from "../base/mod.ts";
import { startNode, type RunningNode } from "../entry/mod.ts";
import type { FlagValues } from "./flags.ts";
import { pumicedHelp } from "./help.ts";
import { readArguments, type Request } from "./pumiced-arguments.ts";
import { nodeSettings } from "./settings.ts";
import { versionLine } from "./version.ts";

/** What to do about errors that a start may meet, beyond what their own text says. */
const HINTS: Partial<Readonly<Record<ErrorCode, string>>> = {
  SERVER_LISTEN: "stop what listens there, or give another -http-addr",
  NODE_DIRECTORY: "give a directory that this user may write to",
};

/** Runs until the node has ended, and sets the exit code: 0 after a signal, 1 after an error. */
export async function runPumiced(args: readonly string[]): Promise<void> {
  const request = readArguments(args, process.env);
  switch (request.kind) {
    case "version":
      process.stdout.write(versionLine("pumiced"));
      return;
    case "help":
      process.stdout.write(pumicedHelp());
      return;
    case "refused":
      fail(request.problem);
      return;
    case "run":
      await run(request);
  }
}

async function run(request: Extract<Request, { readonly kind: "run" }>): Promise<void> {
  const { values, dataDirectory, notices } = request;
  survivePipes();
  // What SQLite makes by itself, such as copies for backups, is nobody else's to read.
  process.umask(0o077);
  const say = printer(values["raft-log-level"]);
  for (const notice of notices) say("WARN", notice);
  const stopped = firstSignal();
  const starting = startNode(nodeSettings(values, dataDirectory, (line) => say("WARN", line)));
  // Nothing is acknowledged before the start is done, so that exiting loses nothing.
  const early = await Promise.race([stopped, starting.catch(() => undefined)]);
  if (typeof early === "string") process.exit(0);
  let node: RunningNode;
  try {
    node = await starting;
  } catch (error) {
    process.exit(fail(describe(error)));
  }
  greet(node, values);
  const failure = await Promise.race([stopped, node.failed]);
  // Nothing is acknowledged any more after a failure of this machine: there is nothing to finish.
  if (typeof failure !== "string") process.exit(fail(describe(failure)));
  say("INFO", `${failure}: finishing what was accepted`);
  try {
    await node.close();
  } catch (error) {
    process.exit(fail(describe(error)));
  }
  process.exit(0);
}

/** Signals closer together than this are one: Ctrl-C under `npm start` comes from the terminal and from npm. Unit: ms. */
const SAME_SIGNAL_MS = 300;

/**
 * Resolves with the name of the first signal to end. The second one kills the process: `process.exit` would wait for the worker threads, and
 * SQLite may be busy in one of them.
 */
function firstSignal(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let firstMs: number | undefined;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.on(signal, () => {
      firstMs ??= performance.now();
      if (performance.now() - firstMs > SAME_SIGNAL_MS) process.kill(process.pid, "SIGKILL");
      resolve(signal);
    });
  }
  return promise;
}

type Level = FlagValues["raft-log-level"];

const LEVELS: readonly Level[] = ["ERROR", "WARN", "INFO", "DEBUG"];

/** Prints lines with their time to stderr, unless they are less serious than `least`. */
function printer(least: Level): (level: Level, line: string) => void {
  return (level, line) => {
    if (LEVELS.indexOf(level) <= LEVELS.indexOf(least)) process.stderr.write(`${new Date().toISOString()} ${level} ${line}\n`);
  };
}

function greet(node: RunningNode, values: FlagValues): void {
  const insecure = values["http-cert"] === "" ? "" : "--insecure ";
  process.stdout.write(
    `${versionLine("pumiced")}data     ${node.dataDirectory}\nHTTP API ${node.url}\nconsole  ${node.url}/console/\n` +
      `try      curl -s ${insecure}'${node.url}/db/query?pretty' -H 'Content-Type: text/plain' -d 'SELECT sqlite_version(), datetime()'\n`,
  );
}

/** A parent that closed its end of the pipe must not take the database down. */
function survivePipes(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code !== "EPIPE") throw error;
    });
  }
}

function describe(error: unknown): string {
  if (!isPumiceError(error)) throw error;
  const hint = HINTS[error.code];
  return hint === undefined ? error.message : `${error.message}; ${hint}`;
}

function fail(problem: string): number {
  process.stderr.write(`pumiced: ${problem.replaceAll("\n", " ")}\n`);
  process.exitCode = 1;
  return 1;
}
