/**
 * Scripts in the datadriven format: a command line, optional input lines, `----`, and the output that is expected up to the
 * next blank line (or, after a doubled `----`, up to another doubled one). Lines that begin with # between cases are comments.
 */

/** An argument: `key`, `key=value` or `key=(a,b)`. */
export interface Argument {
  readonly key: string;
  readonly values: readonly string[];
}

/** One command and what is expected of it. */
export interface Case {
  /** 1-based line of the command. */
  readonly line: number;
  readonly command: string;
  readonly args: readonly Argument[];
  readonly input: string;
  readonly expected: string;
}

/** The cases of a script, in order. */
export function parseScript(text: string): Case[] {
  const lines = text.split("\n");
  const cases: Case[] = [];
  let at = 0;
  while (at < lines.length) {
    const first = (lines[at] ?? "").trim();
    if (first === "" || first.startsWith("#")) {
      at++;
      continue;
    }
    const line = at + 1;
    let directive = first;
    while (directive.endsWith("\\")) directive = `${directive.slice(0, -1).trimEnd()} ${(lines[++at] ?? "").trim()}`;
    at++;
    const input: string[] = [];
    while (at < lines.length && lines[at] !== "----") input.push(lines[at++] ?? "");
    at++;
    const expected: string[] = [];
    if (lines[at] === "----") {
      at++;
      while (at < lines.length && !(lines[at] === "----" && lines[at + 1] === "----")) expected.push(lines[at++] ?? "");
      at += 2;
    } else {
      while (at < lines.length && lines[at] !== "") expected.push(lines[at++] ?? "");
    }
    const { command, args } = parseDirective(directive);
    cases.push({ line, command, args, input: input.join("\n"), expected: expected.map((l) => `${l}\n`).join("") });
  }
  return cases;
}

/** The values of the argument `key`, if it is there. */
export function valuesOf(test: Case, key: string): readonly string[] | undefined {
  return test.args.find((arg) => arg.key === key)?.values;
}

/** The single value of the argument `key`, if it is there. */
export function valueOf(test: Case, key: string): string | undefined {
  return valuesOf(test, key)?.[0];
}

function parseDirective(text: string): { command: string; args: Argument[] } {
  const tokens = text.match(/[^\s=]+=\([^)]*\)|[^\s]+/g) ?? [];
  const [command, ...rest] = tokens;
  const args = rest.map((token): Argument => {
    const equals = token.indexOf("=");
    if (equals < 0) return { key: token, values: [] };
    const value = token.slice(equals + 1);
    const key = token.slice(0, equals);
    if (!value.startsWith("(")) return { key, values: [value] };
    const inner = value.slice(1, -1).trim();
    return { key, values: inner === "" ? [] : inner.split(",").map((part) => part.trim()) };
  });
  return { command: command ?? "", args };
}
