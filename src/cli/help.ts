/** The words that pumiced and pumice print about themselves, and the table of flags in docs/operating.md: all from the declarations. */
import { placeholder, writeValue, type Flag } from "./flag-value.ts";
import { DATA_DIRECTORY_VARIABLE, environmentName, FLAGS } from "./flags.ts";

const WIDTH = 100;
const INDENT = 8;

/** The text of `pumiced -help`. */
export function pumicedHelp(): string {
  const lines = [
    "pumiced [FLAGS] DIRECTORY",
    "",
    "Runs a node of Pumice with its data in DIRECTORY, which is made if it does not exist.",
    "SIGTERM or SIGINT ends it in good order; a second one kills it.",
    "",
    "Flags are written -name VALUE, -name=VALUE or --name; true-or-false ones -name or -name=false. Each can be given",
    `as an environment variable too (-http-addr as ${environmentName("http-addr")}, DIRECTORY as ${DATA_DIRECTORY_VARIABLE}); the command line wins.`,
  ];
  for (const [group, flags] of groups()) {
    lines.push("", `${group}:`);
    for (const [name, flag] of flags) {
      const value = placeholder(flag);
      lines.push(`    -${name}${value === "" ? "" : ` ${value}`}`, ...wrap(flag.help + defaultWords(flag)));
    }
  }
  return `${lines.join("\n")}\n`;
}

/** The flags as a Markdown table, one row each. docs/operating.md holds it, and a test compares. */
export function flagTable(): string {
  const rows = ["| Flag | Default | Meaning |", "|---|---|---|"];
  for (const [name, flag] of Object.entries<Flag>(FLAGS)) {
    const value = placeholder(flag).replaceAll("|", " \\| ");
    const written = flag.default === "" ? "" : `\`${writeValue(flag, flag.default)}\``;
    rows.push(`| \`-${name}${value === "" ? "" : ` ${value}`}\` | ${written} | ${flag.help} |`);
  }
  return rows.join("\n");
}

function groups(): Map<string, [string, Flag][]> {
  const byGroup = new Map<string, [string, Flag][]>();
  for (const [name, flag] of Object.entries<Flag>(FLAGS)) {
    const list = byGroup.get(flag.group) ?? [];
    list.push([name, flag]);
    byGroup.set(flag.group, list);
  }
  return byGroup;
}

function defaultWords(flag: Flag): string {
  return flag.kind === "boolean" || flag.default === "" ? "" : ` (default ${writeValue(flag, flag.default)})`;
}

function wrap(text: string): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && INDENT + line.length + 1 + word.length > WIDTH) {
      lines.push(" ".repeat(INDENT) + line);
      line = word;
    } else {
      line += line === "" ? word : ` ${word}`;
    }
  }
  lines.push(" ".repeat(INDENT) + line);
  return lines;
}
