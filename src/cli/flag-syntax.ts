/**
 * The command line as Go's flag package reads it, which is what rqlited's users type: `-x v`, `-x=v`, `--x`; a boolean takes its
 * value only by `=`; the first argument that is no flag ends the flags, as does `--`.
 */

/** One flag as it stood on the command line. `text` is undefined for a boolean that stands alone. */
export interface GivenFlag {
  readonly name: string;
  readonly text: string | undefined;
}

/** The command line, taken apart; or the one problem that stops it. */
export type CommandLine =
  | { readonly ok: true; readonly flags: readonly GivenFlag[]; readonly rest: readonly string[] }
  | { readonly ok: false; readonly problem: string };

/** Takes `args` apart. `isBoolean` says of each name whether it stands alone; undefined if there is no such flag. */
export function splitCommandLine(args: readonly string[], isBoolean: (name: string) => boolean | undefined): CommandLine {
  const flags: GivenFlag[] = [];
  let position = 0;
  while (position < args.length) {
    const argument = args[position] as string;
    if (argument === "--") return { ok: true, flags, rest: args.slice(position + 1) };
    if (!argument.startsWith("-") || argument === "-") break;
    position += 1;
    const match = /^--?([^-=][^=]*)(?:=(.*))?$/s.exec(argument);
    if (match === null) return { ok: false, problem: `"${argument}" is no flag` };
    const name = match[1] as string;
    const boolean = isBoolean(name);
    if (boolean === undefined) return { ok: false, problem: `unknown flag -${name}` };
    let text = match[2];
    if (text === undefined && !boolean) {
      text = args[position];
      if (text === undefined) return { ok: false, problem: `-${name} needs a value: -${name}=VALUE` };
      position += 1;
    }
    flags.push({ name, text });
  }
  return { ok: true, flags, rest: args.slice(position) };
}
