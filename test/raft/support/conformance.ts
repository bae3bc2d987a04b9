/** Runs a directory of scripts: subfolders interaction, quorum and confchange, each file in its own world. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ConfChangeScript } from "./confchange-script.ts";
import { parseScript, type Case } from "./datadriven.ts";
import { InteractionScript } from "./interaction.ts";
import { runQuorumCase } from "./quorum-script.ts";

/** Where a script's output first differs from what it expects. */
export interface Difference {
  readonly line: number;
  readonly command: string;
  readonly expected: string;
  readonly actual: string;
}

/** One file's result. */
export interface ScriptResult {
  readonly file: string;
  readonly commands: number;
  readonly bytes: number;
  readonly difference: Difference | undefined;
}

/** The kinds of scripts, and what runs one. */
const KINDS: Readonly<Record<string, () => (test: Case) => string>> = {
  interaction: () => {
    const script = new InteractionScript();
    return (test) => script.run(test);
  },
  quorum: () => runQuorumCase,
  confchange: () => {
    const script = new ConfChangeScript();
    return (test) => script.run(test);
  },
};

/** Runs every script under `directory`, in order of name. */
export function runScripts(directory: string): ScriptResult[] {
  const results: ScriptResult[] = [];
  for (const [kind, start] of Object.entries(KINDS)) {
    const folder = join(directory, kind);
    if (!existsSync(folder)) continue;
    for (const name of readdirSync(folder).sort()) {
      if (name.endsWith(".txt")) results.push(runScript(join(kind, name), readFileSync(join(folder, name), "utf8"), start()));
    }
  }
  return results;
}

function runScript(file: string, text: string, run: (test: Case) => string): ScriptResult {
  let commands = 0;
  let bytes = 0;
  for (const test of parseScript(text)) {
    const actual = attempt(run, test);
    commands++;
    bytes += Buffer.byteLength(actual);
    if (actual !== test.expected) {
      return { file, commands, bytes, difference: { line: test.line, command: commandLine(test), expected: test.expected, actual } };
    }
  }
  return { file, commands, bytes, difference: undefined };
}

/** A command's output; a program's error is a difference, not the end of the run. */
function attempt(run: (test: Case) => string, test: Case): string {
  try {
    return run(test);
  } catch (error) {
    return `!! ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`;
  }
}

function commandLine(test: Case): string {
  return [test.command, ...test.args.map(({ key, values }) => (values.length === 0 ? key : `${key}=${values.join(",")}`))].join(" ");
}

/** The first line that differs, with a little of what comes before. */
export function describeDifference(result: ScriptResult): string {
  const { difference } = result;
  if (difference === undefined) return `${result.file}: as expected`;
  const expected = difference.expected.split("\n");
  const actual = difference.actual.split("\n");
  let at = 0;
  while (at < expected.length && expected[at] === actual[at]) at++;
  const context = expected.slice(Math.max(0, at - 3), at).map((line) => `    ${line}`);
  return [
    `${result.file}:${difference.line}: ${difference.command}`,
    ...context,
    `  - ${expected.slice(at, at + 3).join("\n  - ")}`,
    `  + ${actual.slice(at, at + 12).join("\n  + ")}`,
  ].join("\n");
}
