/** The commands of pumice. */
import { nearest } from "./nearest.ts";
import { versionLine } from "./version.ts";

interface Command {
  readonly summary: string;
  run(args: readonly string[]): Promise<number>;
}

const COMMANDS: Readonly<Record<string, Command>> = {
  load: {
    summary: "send a CSV, JSON, SQL or SQLite file to a node",
    run: async (args) => {
      const { runLoad } = await import("./load/command.ts");
      return runLoad(args);
    },
  },
  lsm: {
    summary: "look into, check and mend a database of the LSM store by its files",
    run: async (args) => {
      const { runLsm } = await import("./lsm/command.ts");
      return runLsm(args);
    },
  },
  help: { summary: "print this help", run: () => print(commandHelp()) },
  version: { summary: "print the version", run: () => print(versionLine("pumice")) },
};

/** Runs the command that `args` begin with and sets the exit code. */
export async function runPumice(args: readonly string[]): Promise<void> {
  const [typed = "help", ...rest] = args;
  const name = ALIASES[typed] ?? typed;
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command === undefined) {
    const near = nearest(name, Object.keys(COMMANDS));
    process.stderr.write(
      `pumice: unknown command "${name}"; ${near === undefined ? "" : `did you mean ${near}? `}"pumice help" lists all commands\n`,
    );
    process.exitCode = 1;
    return;
  }
  process.exitCode = await command.run(rest);
}

const ALIASES: Readonly<Record<string, string>> = {
  "-h": "help",
  "-help": "help",
  "--help": "help",
  "-version": "version",
  "--version": "version",
  "-v": "version",
};

async function print(text: string): Promise<number> {
  process.stdout.write(text);
  return 0;
}

function commandHelp(): string {
  const lines = ["pumice COMMAND [ARGUMENTS]", "", "Works with a running node of Pumice. The commands:"];
  for (const [name, command] of Object.entries(COMMANDS)) lines.push(`    ${name.padEnd(10)} ${command.summary}`);
  return `${lines.join("\n")}\n`;
}
