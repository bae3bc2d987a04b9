/** From the command line and the environment of pumiced to checked values, or to one line that says what is wrong and how to mend it. */
import { existsSync } from "node:fs";
import { ABSENT_FLAGS } from "./absent-flags.ts";
import { splitCommandLine, type GivenFlag } from "./flag-syntax.ts";
import { readValue, splitAddress, type Flag, type Reading } from "./flag-value.ts";
import { DATA_DIRECTORY_VARIABLE, environmentName, FLAGS, type FlagName, type FlagValues } from "./flags.ts";
import { nearest } from "./nearest.ts";

/** What pumiced was asked to do. Notices are lines to print before it runs. */
export type Request =
  | { readonly kind: "version" }
  | { readonly kind: "help" }
  | { readonly kind: "run"; readonly values: FlagValues; readonly dataDirectory: string; readonly notices: readonly string[] }
  | { readonly kind: "refused"; readonly problem: string };

type Refusal = Extract<Request, { readonly kind: "refused" }>;
type Environment = Readonly<Record<string, string | undefined>>;

/** What was typed may hold line breaks; the problem is one line all the same. */
const refused = (problem: string): Refusal => ({ kind: "refused", problem: problem.replaceAll(/[\r\n]+/g, "\\n") });

/** Reads and checks all of it. Looks at the file system only to see that the files named exist. */
export function readArguments(args: readonly string[], environment: Environment): Request {
  const line = splitCommandLine(args, (name) => flagOf(name)?.kind === "boolean" || (flagOf(name) ? false : ABSENT_FLAGS[name]?.boolean));
  if (!line.ok) return refused(withHint(line.problem));
  const fromEnvironment = readEnvironment(environment);
  if (!fromEnvironment.ok) return refused(fromEnvironment.problem);
  const values = fromEnvironment.value;
  const notices: string[] = [];
  for (const given of line.flags) {
    const problem = take(given, values, notices);
    if (problem !== undefined) return refused(problem);
  }
  const checked = values as unknown as FlagValues;
  if (checked.help) return { kind: "help" };
  if (checked.version) return { kind: "version" };
  const directory = dataDirectoryOf(line.rest, environment);
  if (typeof directory !== "string") return directory;
  const problem = problemOf(checked);
  if (problem !== undefined) return refused(problem);
  return { kind: "run", values: checked, dataDirectory: directory, notices };
}

function flagOf(name: string): Flag | undefined {
  return Object.hasOwn(FLAGS, name) ? FLAGS[name as FlagName] : undefined;
}

/** The defaults, overridden by the environment. */
function readEnvironment(environment: Environment): Reading<Record<string, boolean | string | number>> {
  const values: Record<string, boolean | string | number> = {};
  for (const [name, flag] of Object.entries<Flag>(FLAGS)) {
    values[name] = flag.default;
    const text = environment[environmentName(name)];
    if (text === undefined || text === "") continue;
    const reading = readValue(flag, text);
    if (!reading.ok) return { ok: false, problem: `environment variable ${environmentName(name)} ${reading.problem}` };
    values[name] = reading.value;
  }
  return { ok: true, value: values };
}

/** Puts one given flag into `values`, or says why not. */
function take(given: GivenFlag, values: Record<string, boolean | string | number>, notices: string[]): string | undefined {
  const flag = flagOf(given.name);
  const text = given.text ?? "true";
  if (flag !== undefined) {
    const reading = readValue(flag, text);
    if (!reading.ok) return `-${given.name} ${reading.problem}`;
    values[given.name] = reading.value;
    return undefined;
  }
  const absent = ABSENT_FLAGS[given.name];
  if (absent?.notice !== undefined) {
    notices.push(`-${given.name} ${text} ${absent.notice}`);
    return undefined;
  }
  if (absent?.isNeutral?.(text) === true) return undefined;
  return `-${given.name} ${absent?.reason ?? "is unknown"}`;
}

function withHint(problem: string): string {
  const name = /^unknown flag -(.*)$/s.exec(problem)?.[1];
  if (name === undefined) return problem;
  const near = nearest(name, Object.keys(FLAGS));
  return `${problem}; ${near === undefined ? "" : `did you mean -${near}? `}"pumiced -help" lists all flags`;
}

function dataDirectoryOf(rest: readonly string[], environment: Environment): string | Refusal {
  const [directory, second] = rest;
  if (second !== undefined) {
    const hint = second.startsWith("-")
      ? `flags stand before the data directory: move ${second} before ${String(directory)}`
      : `there is one too many: "${second}"`;
    return refused(`exactly one data directory is needed, as the last argument; ${hint}`);
  }
  const chosen = directory ?? environment[DATA_DIRECTORY_VARIABLE];
  if (chosen === undefined || chosen === "")
    return refused("the data directory is missing: pumiced [FLAGS] DIRECTORY (it is made if it does not exist)");
  return chosen;
}

const FILES = ["auth", "http-cert", "http-key", "http-ca-cert"] as const;

/** What is wrong with the values taken together. */
function problemOf(values: FlagValues): string | undefined {
  for (const name of FILES) {
    if (values[name] !== "" && !existsSync(values[name])) return `-${name}: no such file: ${values[name]}`;
  }
  if ((values["http-cert"] === "") !== (values["http-key"] === "")) {
    return `-http-cert and -http-key go together: give -http-${values["http-cert"] === "" ? "cert" : "key"} too`;
  }
  if (values["http-verify-client"] && values["http-cert"] === "") return "-http-verify-client needs HTTPS: give -http-cert and -http-key";
  return addressProblem(values);
}

function addressProblem(values: FlagValues): string | undefined {
  for (const name of ["http-addr", "raft-addr"] as const) {
    if (values[name] === "") return `-${name} can't be empty: give HOST:PORT`;
  }
  const http = advertised(values, "http");
  const raft = advertised(values, "raft");
  for (const [name, address] of [
    ["http", http],
    ["raft", raft],
  ] as const) {
    const host = splitAddress(address)?.host;
    if (host === "" || host === "0.0.0.0" || host === "::") {
      return `${address} can't be told to others: give -${name}-adv-addr HOST:PORT with a host that they can reach`;
    }
  }
  if (isSame(values["http-addr"], values["raft-addr"]))
    return `-http-addr and -raft-addr are both ${both(values["http-addr"], values["raft-addr"])}: give one of them another port`;
  if (isSame(http, raft)) return `the HTTP and Raft addresses told to others are both ${both(http, raft)}: give one of them another port`;
  return undefined;
}

/** The address that is told to others. */
export function advertised(values: FlagValues, which: "http" | "raft"): string {
  const address = values[`${which}-adv-addr`];
  return address === "" ? values[`${which}-addr`] : address;
}

/** Two addresses with port 0 differ: the system chooses each. */
function isSame(left: string, right: string): boolean {
  const [one, other] = [splitAddress(left), splitAddress(right)];
  if (one === undefined || other === undefined) return left === right;
  return one.port !== 0 && one.port === other.port && canonicalHost(one.host) === canonicalHost(other.host);
}

/** One spelling for a host: names without regard to case, and this machine, however it is written, as `localhost`. */
function canonicalHost(host: string): string {
  const lower = host.toLowerCase();
  return ["127.0.0.1", "::1", "0:0:0:0:0:0:0:1"].includes(lower) ? "localhost" : lower;
}

/** One address that was given in two spellings, for a line that names it. */
function both(left: string, right: string): string {
  return left === right ? left : `${left} (also written ${right})`;
}
