/** A state machine on a temporary folder, with entries written as SQL. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { systemFiles } from "../../../src/host/mod.ts";
import {
  type Command,
  encodeCommand,
  type EntryResult,
  type SqlCommand,
  StateMachine,
  STEPS_MAX,
  type Statement,
} from "../../../src/sql/mod.ts";

export const EXTENSION = fileURLToPath(new URL("../../../dist/native/pumice.so", import.meta.url));

/** 2024-02-29 12:34:56.789 UTC. */
export const TIME_MS = Date.UTC(2024, 1, 29, 12, 34, 56, 789);

/** A temporary folder that is removed at the end of the test. */
export function temporaryFolder(context: { after(run: () => void): void }): string {
  const folder = mkdtempSync(join(tmpdir(), "pumice-sql-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Opens the state machine on `path`. */
export function openMachine(path: string, foreignKeys = false): StateMachine {
  return StateMachine.open({ path, extensionPath: EXTENSION, foreignKeys, files: systemFiles, monotonic: () => performance.now() });
}

/** A database that takes SQL. */
export class Database {
  machine: StateMachine;
  readonly path: string;
  readonly #foreignKeys: boolean;

  constructor(path: string, foreignKeys = false) {
    this.path = path;
    this.#foreignKeys = foreignKeys;
    this.machine = openMachine(path, foreignKeys);
  }

  /** Applies one command as one entry. */
  apply(command: Command, timings = false): EntryResult {
    const { index, term } = this.machine.applied;
    const [result] = this.machine.apply([{ index: index + 1, term: Math.max(term, 1), data: encodeCommand(command), want: { timings } }]);
    return result as EntryResult;
  }

  /** The results of an execute, as the response's text. */
  execute(statements: readonly (string | Statement)[], more: Partial<SqlCommand> = {}): string {
    return envelope(this.apply(command(statements, more)));
  }

  reopen(): void {
    this.machine.close();
    this.machine = openMachine(this.path, this.#foreignKeys);
  }
}

/** An execute command. */
export function command(statements: readonly (string | Statement)[], more: Partial<SqlCommand> = {}): SqlCommand {
  return {
    kind: "execute",
    timeMs: TIME_MS,
    seed: 0x0123_4567_89ab_cdefn,
    steps: STEPS_MAX,
    statements: statements.map((statement) => (typeof statement === "string" ? { sql: statement } : statement)),
    ...more,
  };
}

/** A result in rqlite's envelope. */
export function envelope(result: EntryResult): string {
  const text = typeof result.results === "string" ? result.results : new TextDecoder().decode(result.results);
  return result.error === undefined ? `{"results":[${text}]}` : `{"results":[],"error":${JSON.stringify(result.error)}}`;
}
