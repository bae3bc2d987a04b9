/** Runs pumiced: reads the command line, starts the node, waits for the signal to end. */
import { pumicedHelp } from "./help.ts";
import { readArguments } from "./pumiced-arguments.ts";
import { versionLine } from "./version.ts";

/** Runs until the node has ended, and sets the exit code. */
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
      process.stderr.write(`pumiced: ${request.problem}\n`);
      process.exitCode = 1;
      return;
    case "run":
      throw new Error("the node is not here yet");
  }
}
