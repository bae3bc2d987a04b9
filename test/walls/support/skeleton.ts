/**
 * A temporary copy of the house, walls without furniture: the real compiler and lint settings, and per room a door and nothing else.
 * Canaries are planted in it; the real sources are not, so that a canary costs what it costs and no more.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The root of the repository. */
export const ROOT = fileURLToPath(new URL("../../..", import.meta.url));

/** The rooms: the folders of src. */
export const ROOMS: readonly string[] = readdirSync(join(ROOT, "src")).sort();

/** Room -> rooms that it may import: the table of ARCHITECTURE.md, section 1. @throws Error if a room has no row there */
export function allowedRooms(): Readonly<Record<string, readonly string[]>> {
  const text = readFileSync(join(ROOT, "ARCHITECTURE.md"), "utf8");
  const allowed: Record<string, readonly string[]> = {};
  for (const room of ROOMS) {
    const cell = new RegExp(`^\\| ${room} \\| ([^|]*) \\|`, "m").exec(text)?.[1]?.trim();
    if (cell === undefined) throw new Error(`ARCHITECTURE.md has no row for ${room}`);
    allowed[room] = cell === "nothing" ? [] : cell.split(" ").filter((word) => ROOMS.includes(word));
  }
  return allowed;
}

/** What a tool said of one file. */
export interface Finding {
  /** Relative to the skeleton's root. */
  readonly file: string;
  /** TS2304, or eslint(no-var). */
  readonly code: string;
  readonly text: string;
}

/** A skeleton on disk. */
export class Skeleton {
  readonly #root = mkdtempSync(join(tmpdir(), "pumice-walls-"));

  constructor() {
    for (const name of ["package.json", "tsconfig.json", "tsconfig.base.json", "tsconfig.test.json", ".oxlintrc.json"]) {
      cpSync(join(ROOT, name), join(this.#root, name));
    }
    symlinkSync(join(ROOT, "node_modules"), join(this.#root, "node_modules"));
    for (const room of ROOMS) {
      mkdirSync(join(this.#root, "src", room), { recursive: true });
      cpSync(join(ROOT, "src", room, "tsconfig.json"), join(this.#root, "src", room, "tsconfig.json"));
      this.plant(`src/${room}/mod.ts`, `/** A door. */\nexport const door = "${room}";\n`);
      this.plant(`src/${room}/inner.ts`, `/** Behind the door. */\nexport const inner = "${room}";\n`);
    }
    cpSync(join(ROOT, "src/base/globals.d.ts"), join(this.#root, "src/base/globals.d.ts"));
    this.plant("test/outside.ts", `/** Outside all rooms. */\nexport const outside = 1;\n`);
  }

  /** Writes a file. */
  plant(path: string, text: string): void {
    mkdirSync(dirname(join(this.#root, path)), { recursive: true });
    writeFileSync(join(this.#root, path), text);
  }

  /** Builds every room. @throws if the skeleton itself does not compile. */
  build(): void {
    const result = this.#run("node_modules/typescript/bin/tsc", ["-b"]);
    if (result.status !== 0) throw new Error(`the skeleton does not compile: ${result.stdout}`);
  }

  /** What the compiler says of one room as it stands now. The rooms it refers to must have been built. */
  compile(room: string): Finding[] {
    const { stdout } = this.#run("node_modules/typescript/bin/tsc", ["-p", `src/${room}`, "--noEmit", "--pretty", "false"]);
    const findings: Finding[] = [];
    for (const line of stdout.split("\n")) {
      const match = /^(\S+?)\(\d+,\d+\): error (TS\d+): (.*)$/.exec(line);
      if (match !== null) findings.push({ file: match[1] as string, code: match[2] as string, text: match[3] as string });
    }
    return findings;
  }

  /** What the linter says of the whole tree. */
  lint(): Finding[] {
    const { stdout } = this.#run("node_modules/oxlint/bin/oxlint", ["--type-aware", "--deny-warnings", "--format=json"]);
    const { diagnostics } = JSON.parse(stdout) as { readonly diagnostics: readonly { filename: string; code: string; message: string }[] };
    return diagnostics.map(({ filename, code, message }) => ({ file: filename, code, text: message }));
  }

  [Symbol.dispose](): void {
    rmSync(this.#root, { recursive: true });
  }

  #run(tool: string, args: readonly string[]): { readonly stdout: string; readonly status: number | null } {
    const result = spawnSync(process.execPath, [tool, ...args], { cwd: this.#root, encoding: "utf8", maxBuffer: 1 << 27 });
    if (result.error !== undefined) throw result.error;
    return result;
  }
}
