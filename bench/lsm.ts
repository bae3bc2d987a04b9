/**
 * npm run bench:lsm: the storage engine beside SlateDB's own binding (`@slatedb/uniffi`), the same work on the same kind of directory with equal default
 * settings; neither syncs files to disk, as SlateDB never does. The engines take turns, each in a fresh process; medians and spread of all rounds.
 * The fast way of each side counts (here without promises, and `nextBatch`), and the promise API is shown beside. `--help` has the rest.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { COMPRESSIONS, type Compression } from "../src/entry/lsm.ts";
import { CompactionBench } from "./support/lsm-compaction.ts";
import { buildProgram } from "./support/published.ts";
import { ratioOf, spreadOf, type Spread } from "./support/statistics.ts";

const HELP = `npm run bench:lsm -- [FLAGS]
    (none)              beside SlateDB's binding: --rows N (50000), --rounds N (3)
    --compaction        compaction beside copying the same blocks through the same codec: --rows N of each of four L0s (50000), --rounds N (3), --codecs A,B (all)
    --amplification     bytes written for each byte put, under random overwrites: --mib N to put (512), --l0-mib N of a memtable (4), --keys N (2000000)
    --growth            what a put and a get cost with more and more keys: --keys A,B,... (10000,100000,1000000,10000000)
    --against DIR       beside the engine of another checkout, which is built: --rows N (50000), --rounds N (3)
    --help              this`;

const { values } = parseArgs({
  options: {
    rows: { type: "string", default: "50000" },
    rounds: { type: "string", default: "3" },
    codecs: { type: "string", default: COMPRESSIONS.join(",") },
    mib: { type: "string", default: "512" },
    "l0-mib": { type: "string", default: "4" },
    keys: { type: "string" },
    growth: { type: "boolean", default: false },
    compaction: { type: "boolean", default: false },
    amplification: { type: "boolean", default: false },
    against: { type: "string" },
    help: { type: "boolean", default: false },
  },
});

/** A whole number of at least 1. */
function count(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) {
    console.error(`--${name} ${text}: must be a whole number of at least 1`);
    process.exit(2);
  }
  return value;
}

const rows = count("rows", values.rows);
const rounds = count("rounds", values.rounds);

/** Figures by name; what is counted per second, or milliseconds, or MiB. */
type Figures = Readonly<Record<string, number>>;

/** The ratios to SlateDB's binding that are to be reached: the fast API of each side. The last two say how much slower or larger SlateDB's must be. */
const TARGETS: Figures = {
  "put, not awaited, /s": 20,
  "batches of 100, rows/s": 10,
  "get from memtable, /s": 20,
  "get from warm L0, /s": 30,
  "get absent, /s": 10,
  "scan, rows/s": 20,
  "durable put, p50, ms": 20,
  "reopen with a WAL of all rows, ms": 1,
  "memory at the end, MiB": 2,
};

/** The figures of one measurement, from a fresh process. */
type Measure = (kind: string, numbers: Figures) => Promise<Figures>;

async function measureInChildren(): Promise<Measure> {
  return measureBy(await buildProgram("lsm-child"));
}

function measureBy(program: string): Measure {
  return async (kind, numbers) =>
    await withDirectory((root) => {
      const args = [program, kind, root, JSON.stringify(numbers)];
      const result = spawnSync(process.execPath, args, { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
      if (result.status !== 0) throw new Error(`${kind} failed`);
      return JSON.parse(result.stdout) as Figures;
    });
}

function show(value: number): string {
  return value >= 1000 ? value.toFixed(0) : value.toPrecision(3);
}

function showSpread({ median, min, max }: Spread): string {
  return `${show(median)} [${show(min)}..${show(max)}]`;
}

async function withDirectory<T>(run: (root: string) => Promise<T> | T): Promise<T> {
  const root = mkdtempSync(join(tmpdir(), "pumice-bench-"));
  try {
    return await run(root);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

async function compareCompaction(): Promise<void> {
  const codecs = COMPRESSIONS.filter((codec) => values.codecs.split(",").includes(codec));
  if (codecs.length !== values.codecs.split(",").length) {
    console.error(`--codecs ${values.codecs}: must be of ${COMPRESSIONS.join(",")}, each once`);
    process.exit(2);
  }
  console.log(
    `compaction of 4 x ${rows} rows of 16 + 100 bytes on one thread, ${rounds} rounds, node ${process.version}; median [least..most]`,
  );
  for (const codec of codecs) await withDirectory(async (root) => await compareOne(root, codec));
}

async function compareOne(root: string, codec: Compression): Promise<void> {
  const bench = new CompactionBench(root, codec, rows);
  await bench.prepare();
  const compactions: number[] = [];
  const copies: number[] = [];
  let writtenShare = 0;
  // The first round warms the code of both up, and does not count.
  for (let round = 0; round <= rounds; round++) {
    const compaction = await bench.compact();
    const copy = await bench.copy();
    if (round === 0) continue;
    compactions.push(compaction.mbPerSecond);
    copies.push(copy);
    ({ writtenShare } = compaction);
  }
  const share = ratioOf(compactions, copies);
  console.log(
    `${codec.padEnd(8)} compaction ${showSpread(spreadOf(compactions)).padEnd(22)} MB/s   copy ${showSpread(spreadOf(copies)).padEnd(22)} MB/s   ` +
      `share ${showSpread(share).padEnd(24)} ${show(writtenShare)} bytes written per byte of rows`,
  );
}

async function compareEngines(): Promise<void> {
  const measure = await measureInChildren();
  const ours: Figures[] = [];
  const theirs: Figures[] = [];
  for (let round = 0; round < rounds; round++) {
    ours.push(await measure("ours", { rows }));
    theirs.push(await measure("theirs", { rows }));
  }
  console.log(`${rows} rows of 16 + 100 bytes, ${rounds} rounds, node ${process.version}; median [least..most]`);
  for (const name of Object.keys(ours[0] ?? {})) {
    const our = spreadOf(ours.map((figures) => figures[name] ?? Number.NaN));
    const their = spreadOf(theirs.map((figures) => figures[name.replace(/ \(.*\)$/, "")] ?? Number.NaN));
    const ratio = /, (?:ms|MiB)/.test(name) ? their.median / our.median : our.median / their.median;
    const target = TARGETS[name];
    const verdict = target === undefined ? "" : `   target ${target}x${ratio >= target ? "" : " MISSED"}`;
    console.log(
      `${name.padEnd(36)} ours ${showSpread(our).padEnd(34)} SlateDB ${showSpread(their).padEnd(30)} ${`${show(ratio)}x`.padStart(6)}${verdict}`,
    );
  }
}

/** Builds the program of another checkout by that one's own means. */
function buildThere(checkout: string): string {
  const text = `import { buildProgram } from ${JSON.stringify(join(resolve(checkout), "bench/support/published.ts"))}; console.log(await buildProgram("lsm-child"))`;
  const result = spawnSync(process.execPath, ["--input-type=module-typescript", "-e", text], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (result.status !== 0) throw new Error(`${checkout} does not build`);
  return result.stdout.trim().split("\n").at(-1) as string;
}

/** A figure may be so much worse than that of the other checkout. */
const NO_SLOWER = 0.95;

async function compareCheckouts(checkout: string): Promise<void> {
  const here = await measureInChildren();
  const there = measureBy(buildThere(checkout));
  const ours: Figures[] = [];
  const theirs: Figures[] = [];
  for (let round = 0; round < rounds; round++) {
    theirs.push(await there("ours", { rows }));
    ours.push(await here("ours", { rows }));
  }
  console.log(
    `${rows} rows of 16 + 100 bytes, ${rounds} rounds, node ${process.version}; median [least..most]; above 1 this checkout is better`,
  );
  for (const name of Object.keys(ours[0] ?? {})) {
    const our = ours.map((figures) => figures[name] ?? Number.NaN);
    const their = theirs.map((figures) => figures[name] ?? Number.NaN);
    const isCost = /, (?:ms|MiB)/.test(name);
    const ratio = isCost ? ratioOf(their, our) : ratioOf(our, their);
    console.log(
      `${name.padEnd(36)} here ${showSpread(spreadOf(our)).padEnd(34)} there ${showSpread(spreadOf(their)).padEnd(34)} ` +
        `${showSpread(ratio)}${ratio.median >= NO_SLOWER ? "" : " SLOWER"}`,
    );
  }
}

async function showGrowth(): Promise<void> {
  const measure = await measureInChildren();
  const sizes = (values.keys ?? "10000,100000,1000000,10000000").split(",").map((text) => count("keys", text));
  const columns: Figures[] = [];
  for (const keys of sizes) columns.push(await measure("growth", { keys }));
  console.log(`microseconds an operation; 16 + 100 bytes a row, node ${process.version}`);
  console.log(`${"keys".padEnd(44)}${sizes.map((size) => String(size).padStart(12)).join("")}`);
  for (const name of Object.keys(columns[0] ?? {}))
    console.log(`${name.padEnd(44)}${columns.map((figures) => show(figures[name] ?? Number.NaN).padStart(12)).join("")}`);
}

async function showAmplification(): Promise<void> {
  const load = {
    mib: count("mib", values.mib),
    "l0-mib": count("l0-mib", values["l0-mib"]),
    keys: count("keys", values.keys ?? "2000000"),
  };
  const measure = await measureInChildren();
  console.log(`${values.mib} MiB of random overwrites, L0s of ${values["l0-mib"]} MiB, default compactor`);
  for (const [name, figure] of Object.entries(await measure("amplification", load))) console.log(`${name.padEnd(48)} ${show(figure)}`);
}

if (values.help) console.log(HELP);
else if (values.against !== undefined) await compareCheckouts(values.against);
else if (values.growth) await showGrowth();
else if (values.compaction) await compareCompaction();
else if (values.amplification) await showAmplification();
else await compareEngines();
