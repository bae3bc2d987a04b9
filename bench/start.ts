/**
 * What `pumice/lsm` weighs and how long it takes to begin: `node bench/start.ts`, after a build. Measured are the files that npm would publish, each time
 * in a fresh process, in turn with a module that is empty.
 */
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus, loadavg, tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { formatSpread, printTable, spreadOf } from "./support/statistics.ts";

const ROUNDS = 20;
const root = fileURLToPath(new URL("..", import.meta.url));
const door = join(root, "dist/lsm/lsm.js");
const types = join(root, "dist/src/entry/lsm.d.ts");

/** The file and all that it names, by import and, for the thread, by URL. */
function reach(file: string, pattern: RegExp, found: Set<string> = new Set()): Set<string> {
  if (found.has(file)) return found;
  found.add(file);
  for (const [, name = ""] of readFileSync(file, "utf8").matchAll(pattern))
    reach(join(dirname(file), name.replace(/(\.d)?\.ts$/, ".d.ts")), pattern, found);
  return found;
}

function published(): ReadonlyMap<string, number> {
  const packed = spawnSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: root, encoding: "utf8" });
  const [report] = JSON.parse(packed.stdout) as { files: { path: string; size: number }[] }[];
  return new Map(report?.files.map(({ path, size }) => [path, size]));
}

/** Bytes of the files; all of them must be published. */
function weigh(files: Iterable<string>, known: ReadonlyMap<string, number>): number {
  let bytes = 0;
  for (const file of files) {
    const size = known.get(relative(root, file));
    if (size === undefined) throw new Error(`${relative(root, file)} would not be published`);
    bytes += size;
  }
  return bytes;
}

const PROGRAM = `
  const cpu = process.cpuUsage(), started = performance.now();
  const door = await import(process.argv[1]);
  const open = process.argv[2];
  if (open !== undefined) await door.openDb(open, "store", { compactor: false, gc: false });
  const ms = performance.now() - started, used = process.cpuUsage(cpu);
  process.stdout.write(JSON.stringify([ms, (used.user + used.system) / 1000]));
  process.exit();`;

async function measure(...args: readonly string[]): Promise<[number, number]> {
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", PROGRAM, "--", ...args]);
  return JSON.parse(stdout) as [number, number];
}

const known = published();
const code = reach(door, /(?:from|import)\s*\(?"(\.\.?\/[^"]+)"/g).add(join(root, "dist/lsm/lsm-compaction-worker.js"));
const kilobytes = (bytes: number): string => `${(bytes / 1000).toFixed(1)} KB`;
console.log(`code   ${kilobytes(weigh(code, known))} in ${code.size} files`);
const declared = reach(types, /from "(\.\.?\/[^"]+)"/g);
console.log(`types  ${kilobytes(weigh(declared, known))} in ${declared.size} files`);
for (const file of code)
  if (statSync(file).size !== known.get(relative(root, file))) throw new Error("build again: the files changed meanwhile");

const folder = mkdtempSync(join(tmpdir(), "pumice-start-"));
try {
  const empty = join(folder, "empty.mjs");
  writeFileSync(empty, "export const nothing = 0;\n");
  const cases: [string, (round: number) => string[]][] = [
    ["an empty module", () => [empty]],
    ["import pumice/lsm", () => [door]],
    ["import, and open a new store in a directory", (round) => [door, join(folder, String(round))]],
  ];
  const results = cases.map(() => ({ wall: [] as number[], cpu: [] as number[] }));
  for (let round = 0; round < ROUNDS; round++) {
    for (const [i, [, args]] of cases.entries()) {
      const [wall, cpu] = await measure(...args(round));
      results[i]?.wall.push(wall);
      results[i]?.cpu.push(cpu);
    }
  }
  console.log(
    `Node ${process.version}, ${cpus().length} x ${cpus()[0]?.model ?? "?"}, load ${loadavg()[0]?.toFixed(1)}; median (least..greatest) of ${ROUNDS}`,
  );
  const rows = cases.map(([name], i) => [
    name,
    formatSpread(spreadOf(results[i]?.wall ?? []), 1),
    formatSpread(spreadOf(results[i]?.cpu ?? []), 1),
  ]);
  printTable([["fresh process each", "ms", "processor ms"], ...rows]);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
