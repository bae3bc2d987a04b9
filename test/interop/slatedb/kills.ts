/** One engine's process is killed in the middle of its work; the other takes over. */
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Admin } from "../../../src/lsm/mod.ts";
import type { InteropCase } from "./cases.ts";
import { bytes, COMPACTING, must, openOurs, openTheirs, ourComponents, ourRows, slate, theirRows } from "./oracle.ts";

const WRITES_BEFORE_KILL = 40;
const ROUNDS = 4;

/** What runs in the child: writes for ever, flushing and compacting, and says each row that is durable. */
export async function writeUntilKilled(root: string, who: "ours" | "theirs", round: number): Promise<never> {
  if (who === "ours") {
    const db = await openOurs(root, { compactor: { pollIntervalMs: 20, minSources: 2 } });
    for (let i = 0; ; i++) {
      await db.put(bytes(`${round}-${i}`), bytes(String(i)));
      process.stdout.write(`${round}-${i}\n`);
      if (i % 10 === 9) void db.flush("memtable");
    }
  }
  const settings = { flush_interval: "2ms", compactor_options: { ...COMPACTING, scheduler_options: { min_compaction_sources: "2" } } };
  const db = await openTheirs(root, { settings });
  for (let i = 0; ; i++) {
    await db.put(bytes(`${round}-${i}`), bytes(String(i)));
    process.stdout.write(`${round}-${i}\n`);
    if (i % 10 === 9) void db.flush_with_options({ flush_type: slate.FlushType.MemTable }).catch(() => undefined);
  }
}

/** Runs a writer and kills it; the rows that it said are durable. */
async function killedWriter(root: string, who: "ours" | "theirs", round: number): Promise<string[]> {
  const script = fileURLToPath(new URL("../slatedb.ts", import.meta.url));
  const child = spawn(process.execPath, [script, "--writer", who, "--round", String(round), "--root", root], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let said = "";
  const deadline = setTimeout(() => child.kill("SIGKILL"), 25_000);
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    said += text;
    if (said.split("\n").length > WRITES_BEFORE_KILL) child.kill("SIGKILL");
  });
  await new Promise((resolve) => child.once("close", resolve));
  clearTimeout(deadline);
  // What stands behind the last line break was cut off by the kill.
  const lines = said.split("\n").slice(0, -1);
  must(lines.length >= WRITES_BEFORE_KILL, `the writer came to ${lines.length} rows`);
  return lines;
}

/** All cases of this file. */
export const killCases: readonly InteropCase[] = [
  {
    name: "each in turn is killed while it writes, flushes and compacts: the other has every row that was durable, and verifies",
    run: async (root) => {
      const durable: string[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        const who = round % 2 === 0 ? "theirs" : "ours";
        durable.push(...(await killedWriter(root, who, round)));
        if (who === "theirs") {
          const ours = await openOurs(root);
          const rows = await ourRows(ours);
          for (const key of durable) must(rows.has(Buffer.from(key).toString("hex")), `we lost ${key}`);
          await ours.close({ flush: "wal" });
          const { findings } = await new Admin("db", ourComponents(root)).verify();
          must(findings.length === 0, JSON.stringify(findings));
        } else {
          const theirs = await openTheirs(root);
          const rows = await theirRows(theirs);
          for (const key of durable) must(rows.has(Buffer.from(key).toString("hex")), `SlateDB lost ${key}`);
          await theirs.shutdown();
        }
      }
    },
  },
];
