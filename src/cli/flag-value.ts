/** The kinds of value that a flag takes, each with the one function that reads its text. */
import { formatDuration, parseDuration, unreachable } from "../base/mod.ts";

/** What one flag is: kind, default, and the words of help and documentation. `default` is in the kind's own unit. */
export interface FlagOf<Kind extends string, Value> {
  readonly kind: Kind;
  readonly default: Value;
  /** The group under which help lists it. */
  readonly group: string;
  /** One sentence without its full stop. */
  readonly help: string;
  /** Smallest and largest value allowed, in the kind's unit. */
  readonly min?: number;
  readonly max?: number;
  /** The only texts allowed, for a string. Compared without regard to case; the value is the spelling listed here. */
  readonly choices?: readonly string[];
}

/** A flag of any kind. Durations are milliseconds, sizes bytes. */
export type Flag =
  | FlagOf<"boolean", boolean>
  | FlagOf<"string", string>
  | FlagOf<"address", string>
  | FlagOf<"file", string>
  | FlagOf<"integer", number>
  | FlagOf<"duration", number>
  | FlagOf<"size", number>;

/** A value read from text, or why it is none: a phrase that follows the flag's name. */
export type Reading<Value> = { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly problem: string };

/** Reads `text` as a value of that flag. */
export function readValue(flag: Flag, text: string): Reading<boolean | string | number> {
  switch (flag.kind) {
    case "boolean":
      return readBoolean(text);
    case "string":
      return readString(flag, text);
    case "address":
      return readAddress(text);
    case "file":
      return { ok: true, value: text };
    case "integer":
      return inRange(flag, /^\d{1,15}$/.test(text) ? Number(text) : undefined, text);
    case "duration":
      return inRange(flag, parseDuration(text), text);
    case "size":
      return inRange(flag, readSize(text), text);
    default:
      return unreachable(flag);
  }
}

/** A value of that flag as one would type it. */
export function writeValue(flag: Flag, value: boolean | string | number): string {
  if (flag.kind === "duration") return formatDuration(value as number);
  if (flag.kind === "size") return writeSize(value as number);
  return String(value);
}

/** What stands for the value in help. */
export function placeholder(flag: Flag): string {
  switch (flag.kind) {
    case "boolean":
      return "";
    case "string":
      return flag.choices === undefined ? "TEXT" : flag.choices.join("|");
    case "address":
      return "HOST:PORT";
    case "file":
      return "FILE";
    case "integer":
      return "N";
    case "duration":
      return "DURATION";
    case "size":
      return "SIZE";
    default:
      return unreachable(flag);
  }
}

const TRUE_WORDS = ["1", "t", "T", "TRUE", "true", "True"];
const FALSE_WORDS = ["0", "f", "F", "FALSE", "false", "False"];

function readBoolean(text: string): Reading<boolean> {
  if (TRUE_WORDS.includes(text)) return { ok: true, value: true };
  if (FALSE_WORDS.includes(text)) return { ok: true, value: false };
  return { ok: false, problem: `is true or false, not "${text}"` };
}

function readString(flag: FlagOf<"string", string>, text: string): Reading<string> {
  if (flag.choices === undefined) return { ok: true, value: text };
  const choice = flag.choices.find((each) => each.toLowerCase() === text.toLowerCase());
  if (choice !== undefined) return { ok: true, value: choice };
  return { ok: false, problem: `is one of ${flag.choices.join(", ")}, not "${text}"` };
}

const ADDRESS = /^(?:\[([0-9A-Fa-f:.%]+)\]|([^:/[\]\s]*)):(\d{1,5})$/;

/** Host and port of an address; IPv6 hosts without their brackets. Undefined if `text` is none. */
export function splitAddress(text: string): { readonly host: string; readonly port: number } | undefined {
  const match = ADDRESS.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  return port > 65_535 ? undefined : { host: match[1] ?? match[2] ?? "", port };
}

function readAddress(text: string): Reading<string> {
  if (/^[a-z]+:\/\//i.test(text))
    return { ok: false, problem: `is HOST:PORT without a scheme; drop "${text.slice(0, text.indexOf("//") + 2)}"` };
  if (text === "" || splitAddress(text) !== undefined) return { ok: true, value: text };
  return { ok: false, problem: `is HOST:PORT (as localhost:4001 or [::1]:4001), not "${text}"` };
}

const SIZE_UNITS: readonly (readonly [string, number])[] = [
  ["GiB", 1024 ** 3],
  ["MiB", 1024 ** 2],
  ["KiB", 1024],
];

/** Bytes: a plain number as rqlited takes it, or one with KiB, MiB or GiB. */
function readSize(text: string): number | undefined {
  const match = /^(\d{1,15})\s*(KiB|MiB|GiB|B)?$/i.exec(text);
  if (match === null) return undefined;
  const unit = SIZE_UNITS.find(([name]) => name.toLowerCase() === match[2]?.toLowerCase());
  const bytes = Number(match[1]) * (unit?.[1] ?? 1);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

function writeSize(bytes: number): string {
  for (const [name, unit] of SIZE_UNITS) {
    if (bytes >= unit && bytes % unit === 0) return `${bytes / unit}${name}`;
  }
  return String(bytes);
}

type Ranged = FlagOf<"integer", number> | FlagOf<"duration", number> | FlagOf<"size", number>;

const EXAMPLES = {
  integer: "a whole number",
  duration: "a duration (as 500ms, 2s, 1m30s)",
  size: "a size in bytes (as 65536, 64KiB, 4MiB)",
} as const;

function inRange(flag: Ranged, value: number | undefined, text: string): Reading<number> {
  if (value === undefined) return { ok: false, problem: `is ${EXAMPLES[flag.kind]}, not "${text}"` };
  if (value < (flag.min ?? 0)) return { ok: false, problem: `is at least ${writeValue(flag, flag.min ?? 0)}, not ${text}` };
  if (flag.max !== undefined && value > flag.max) return { ok: false, problem: `is at most ${writeValue(flag, flag.max)}, not ${text}` };
  return { ok: true, value };
}
