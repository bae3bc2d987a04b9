/**
 * Planted bugs: patches of the sources by their exact text, made in a copy, that the nets named for them must catch. A net that catches nothing is no
 * net. Each of raft, lsm, sql, cluster and torture has a table, mutants.ts; test/walls/planted-bugs.test.ts holds all of
 * them to the sources as they are.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** One replacement; `find` occurs exactly once in `file`, a path from the repository's root. */
export interface Patch {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** One planted bug. */
export interface PlantedBug {
  readonly id: string;
  /** What is wrong with the program then. */
  readonly bug: string;
  readonly patches: readonly Patch[];
  /** Why no net has to catch it, if so. */
  readonly mayLive?: string;
}

/** How a program ended that ran over a planted bug. */
export interface Run {
  readonly stdout: string;
  readonly stderr: string;
  /** Undefined if it had to be ended. */
  readonly status: number | undefined;
}

/** What the nets made of a bug. */
export interface Verdict {
  readonly isCaught: boolean;
  /** What each net says, in words. */
  readonly nets: readonly string[];
}

/**
 * The files that `bug` changes, by path, as they are then. `root` is where they are read.
 * @throws Error if a patch does not occur exactly once: the source has changed, and the bug must be planted otherwise.
 */
export function patched(bug: PlantedBug, root: string = ROOT): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  for (const { file, find, replace } of bug.patches) {
    const text = texts.get(file) ?? readFileSync(join(root, file), "utf8");
    const count = text.split(find).length - 1;
    if (count !== 1) throw new Error(`${bug.id} does not fit ${file} any more, which has ${count} times: ${find}`);
    texts.set(
      file,
      text.replace(find, () => replace),
    );
  }
  return texts;
}

/** A copy of those of the repository's files that the nets need, to plant one bug after another in. */
export class BugLab {
  readonly directory: string = mkdtempSync(join(tmpdir(), "pumice-planted-"));

  constructor(paths: readonly string[]) {
    for (const path of paths) cpSync(join(ROOT, path), join(this.directory, path), { recursive: true });
    symlinkSync(join(ROOT, "node_modules"), join(this.directory, "node_modules"));
  }

  /** Plants `bug`; what is returned takes it out again. The originals are the copy's: the sources beside it may change meanwhile. */
  plant(bug: PlantedBug | undefined): () => void {
    const texts: ReadonlyMap<string, string> = bug === undefined ? new Map() : patched(bug, this.directory);
    const originals = [...texts.keys()].map((file) => [file, readFileSync(join(this.directory, file), "utf8")] as const);
    for (const [file, text] of texts) writeFileSync(join(this.directory, file), text);
    return () => {
      for (const [file, text] of originals) writeFileSync(join(this.directory, file), text);
    };
  }

  /** Runs Node in the copy with `bug` planted. */
  run(bug: PlantedBug | undefined, args: readonly string[], limitMs: number): Run {
    const takeOut = this.plant(bug);
    try {
      // A test runner below a test runner would report to the upper one.
      const { NODE_TEST_CONTEXT: _, ...env } = process.env;
      const result = spawnSync(process.execPath, args, { cwd: this.directory, encoding: "utf8", timeout: limitMs, env });
      return { stdout: result.stdout, stderr: result.stderr, status: result.error === undefined ? (result.status ?? 1) : undefined };
    } finally {
      takeOut();
    }
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Those of `table` that the command line names; all if it names none. @throws Error if it names one that is not there. */
export function chosen<Bug extends PlantedBug>(table: readonly Bug[], ids: readonly string[]): readonly Bug[] {
  const unknown = ids.find((id) => !table.some((bug) => bug.id === id));
  if (unknown !== undefined) throw new Error(`no planted bug is called ${unknown}; there are: ${table.map(({ id }) => id).join(" ")}`);
  return ids.length === 0 ? table : table.filter(({ id }) => ids.includes(id));
}

/** Looks at each bug, prints what the nets say, and counts those that live without a reason. */
export async function reportEach<Bug extends PlantedBug>(
  bugs: readonly Bug[],
  look: (bug: Bug) => Verdict | Promise<Verdict>,
): Promise<number> {
  let survivors = 0;
  for (const bug of bugs) {
    const { isCaught, nets } = await look(bug);
    const isSurvivor = !isCaught && bug.mayLive === undefined;
    if (isSurvivor) survivors++;
    console.log(`${isCaught ? "caught" : isSurvivor ? "LIVES " : "lives "}  ${bug.id}: ${bug.bug}`);
    for (const net of nets) console.log(`        ${net}`);
    if (!isCaught && bug.mayLive !== undefined) console.log(`        may live: ${bug.mayLive}`);
  }
  console.log(`${bugs.length} planted, ${survivors} live without a reason`);
  return survivors;
}
