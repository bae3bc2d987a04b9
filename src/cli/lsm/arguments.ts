/** The arguments of `pumice lsm`: `COMMAND STORE ARGUMENTS`, with flags anywhere. Each command says which it takes. */
import { parseArgs } from "node:util";
import { ESCAPED, HEX, type TextForm } from "./text-form.ts";

/** A flag: with a value or without. */
export interface FlagSpec {
  readonly type: "string" | "boolean";
  /** What stands for the value in help. */
  readonly value?: string;
  readonly help: string;
}

/** Flags of every command. */
export const COMMON_FLAGS = {
  root: { type: "string", value: "PATH", help: "place of the database in STORE; default: STORE itself" },
  endpoint: { type: "string", value: "URL", help: "S3: address of the service; default AWS_ENDPOINT_URL, else Amazon's" },
  region: { type: "string", value: "NAME", help: "S3: region; default AWS_REGION, else us-east-1" },
  hex: { type: "boolean", help: "keys and values are hexadecimal; default: UTF-8 with \\xNN for other bytes" },
} as const satisfies Record<string, FlagSpec>;

/** Something that a person got wrong; the message says what to do. */
export class UsageError extends Error {}

/** Parsed arguments of one command. */
export class Arguments {
  readonly #positionals: readonly string[];
  readonly #values: Readonly<Record<string, string | boolean | undefined>>;

  /** @throws UsageError */
  constructor(args: readonly string[], specs: Readonly<Record<string, FlagSpec>>, names: readonly string[]) {
    const options = Object.fromEntries(Object.entries({ ...COMMON_FLAGS, ...specs }).map(([name, { type }]) => [name, { type }]));
    try {
      const parsed = parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
      this.#positionals = parsed.positionals;
      this.#values = parsed.values;
    } catch (error) {
      // Node goes on to say how a value with a dash is given, which is not what went wrong.
      const told = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
      throw new UsageError(told.split(". To specify")[0] ?? told);
    }
    const least = names.filter((name) => !name.startsWith("[")).length;
    const missing = names[this.#positionals.length];
    if (this.#positionals.length < least) throw new UsageError(`${missing} is missing`);
    if (this.#positionals.length > names.length) throw new UsageError(`one argument too many: ${this.#positionals[names.length]}`);
  }

  /** The positional argument of that number; "" if it may be left out and is. */
  at(index: number): string {
    return this.#positionals[index] ?? "";
  }

  /** Whether the positional argument of that number is there, be it empty. */
  isGiven(index: number): boolean {
    return index < this.#positionals.length;
  }

  flag(name: string): string | undefined {
    const value = this.#values[name];
    return typeof value === "string" ? value : undefined;
  }

  has(name: string): boolean {
    return this.#values[name] === true;
  }

  get form(): TextForm {
    return this.has("hex") ? HEX : ESCAPED;
  }

  /** Text of a key or value as bytes. @throws UsageError */
  bytes(text: string): Uint8Array {
    const bytes = this.form.read(text);
    if (bytes !== undefined) return bytes;
    throw new UsageError(
      this.has("hex") ? `not hexadecimal: ${text}` : `a backslash must be doubled, or begin \\xNN, \\t, \\n, \\r: ${text}`,
    );
  }

  /** The same of a flag, if it is given. */
  flagBytes(name: string): Uint8Array | undefined {
    const text = this.flag(name);
    return text === undefined ? undefined : this.bytes(text);
  }

  /** A count, if it is given. @throws UsageError */
  count(name: string): number | undefined {
    const text = this.flag(name);
    if (text === undefined) return undefined;
    const value = Number(text);
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new UsageError(`--${name} is no count: ${text}`);
    return value;
  }

  /** A time as ms since 1970, if it is given: ISO 8601, or seconds since 1970. @throws UsageError */
  time(name: string): number | undefined {
    const text = this.flag(name);
    if (text === undefined) return undefined;
    const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text);
    if (!Number.isSafeInteger(ms))
      throw new UsageError(`--${name} is no time such as 2026-01-31T12:00:00Z, nor seconds since 1970: ${text}`);
    return ms;
  }

  /** A duration as ms, if it is given: a number with ms, s, m, h or d. @throws UsageError */
  duration(name: string): number | undefined {
    const text = this.flag(name);
    if (text === undefined) return undefined;
    const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
    if (match === null) throw new UsageError(`--${name} is no duration such as 500ms, 90s, 15m, 12h, 7d: ${text}`);
    return Number(match[1]) * (UNITS_MS[match[2] ?? ""] ?? 0);
  }
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
