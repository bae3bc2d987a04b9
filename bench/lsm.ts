/**
 * npm run bench:lsm: the storage engine beside SlateDB's own binding (`@slatedb/uniffi`), the same work on the same kind of directory with equal default
 * settings; neither syncs files to disk, as SlateDB never does. The engines take turns, each in a fresh process; medians and spread of all rounds.
 * The fast way of each side counts (here without promises, and `nextBatch`), and the promise API is shown beside.
 *
 * `--rows N` rows (default 50,000), `--rounds N` rounds (default 3), `--growth` how the costs grow with the rows, `--compaction` compaction alone.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { measureCompaction, measureGrowth, measureOurs } from "./support/lsm-ours.ts";
import { measureTheirs } from "./support/lsm-theirs.ts";

const { values } = parseArgs({
  options: {
    rows: { type: "string", default: "50000" },
    rounds: { type: "string", default: "3" },
    child: { type: "string" },
    growth: { type: "boolean", default: false },
    compaction: { type: "boolean", default: false },
  },
});
const rows = Number(values.rows);

/** Figures by name; what is counted per second, or milliseconds, or MiB. */
type Figures = Readonly<Record<string, number>>;

function inChild(engine: string): Figures {
  const result = spawnSync(process.execPath, [fileURLToPath(import.meta.url), "--child", engine, "--rows", String(rows)], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (result.status !== 0) throw new Error(`${engine} failed`);
  return JSON.parse(result.stdout) as Figures;
}

function median(list: readonly number[]): number {
  const sorted = list.toSorted((left, right) => left - right);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

function show(value: number): string {
  return value >= 1000 ? value.toFixed(0) : value.toPrecision(3);
}

if (values.child !== undefined) {
  const root = mkdtempSync(join(tmpdir(), "pumice-bench-"));
  try {
    const figures =
      values.child === "ours"
        ? await measureOurs(root, rows)
        : values.child === "theirs"
          ? await measureTheirs(root, rows)
          : values.child === "growth"
            ? await measureGrowth(root)
            : await measureCompaction(root, rows);
    console.log(JSON.stringify(figures));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
  process.exit(0);
}

if (values.growth || values.compaction) {
  for (const [name, figure] of Object.entries(inChild(values.growth ? "growth" : "compaction")))
    console.log(`${name.padEnd(48)} ${show(figure)}`);
} else {
  const ours: Figures[] = [];
  const theirs: Figures[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    ours.push(inChild("ours"));
    theirs.push(inChild("theirs"));
  }
  console.log(`${rows} rows of 16 + 100 bytes, ${values.rounds} rounds, node ${process.version}; median [least..most]`);
  const spread = (list: readonly number[]): string => `${show(median(list))} [${show(Math.min(...list))}..${show(Math.max(...list))}]`;
  for (const name of Object.keys(ours[0] ?? {})) {
    const our = ours.map((figures) => figures[name] ?? Number.NaN);
    const their = theirs.map((figures) => figures[name.replace(/ \(.*\)$/, "")] ?? Number.NaN);
    const ratio = /, (?:ms|MiB)/.test(name) ? median(their) / median(our) : median(our) / median(their);
    console.log(`${name.padEnd(44)} ours ${spread(our).padEnd(34)} SlateDB ${spread(their).padEnd(30)} ${show(ratio)}x`);
  }
}
