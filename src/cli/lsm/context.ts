/** What a command of `pumice lsm` works with, and how it prints. */
import { toHex } from "../../base/mod.ts";
import type { LsmTarget } from "../../entry/mod.ts";
import { Admin } from "../../lsm/mod.ts";
import type { Arguments, FlagSpec } from "./arguments.ts";

/** Streams, apart so that a test can read them. */
export interface Output {
  out(text: string): void;
  problem(text: string): void;
}

/** What a command is given. */
export interface CommandContext {
  readonly args: Arguments;
  readonly target: LsmTarget;
  readonly output: Output;
}

/** A command: its arguments behind STORE, its flags, and what it does. The result is the exit code. */
export interface LsmCommand {
  readonly names: readonly string[];
  readonly flags: Readonly<Record<string, FlagSpec>>;
  readonly help: string;
  run(context: CommandContext): Promise<number>;
}

/** The flag of lists. */
export const JSON_FLAG = { type: "boolean", help: "print JSON" } as const;

/** A person waits: what the store itself has tried often enough is told. */
export const TOOL_PATIENCE = { readAttemptsMax: 1 } as const;

/** The administration of the target. */
export function adminOf({ target }: CommandContext): Admin {
  return new Admin(target.root, target.components, TOOL_PATIENCE);
}

const NO_TICK = -(2 ** 63);

/** Prints `value` as JSON that a person can read: bytes as hexadecimal, what is undefined left out. */
export function printJson(output: Output, value: unknown): void {
  const text = JSON.stringify(
    value,
    (_, inner: unknown) => {
      if (inner instanceof Uint8Array) return toHex(inner);
      if (typeof inner === "bigint") return inner.toString();
      // SlateDB's "no tick yet" is -2^63, which is no number of ours.
      return typeof inner === "number" && (!Number.isFinite(inner) || inner === NO_TICK) ? "none" : inner;
    },
    2,
  );
  output.out(`${text}\n`);
}

/** Prints rows with their columns aligned. */
export function printTable(output: Output, rows: readonly (readonly string[])[]): void {
  const widths: number[] = [];
  for (const row of rows) for (const [i, cell] of row.entries()) widths[i] = Math.max(widths[i] ?? 0, cell.length);
  for (const row of rows)
    output.out(
      `${row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd()}\n`,
    );
}

/** A time as text, in UTC. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString();
}
