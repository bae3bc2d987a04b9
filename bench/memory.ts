/**
 * npm run bench:memory: resident memory of a node idle, after 1,000,000 rows, and while a result of 1 GiB is asked for. Linux only: it reads
 * /proc. "now" is VmRSS after a second of rest; "peak" is VmHWM since the step began.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { exchange, freePort, startPumiced, type Pumiced } from "../test/support/pumiced.ts";

const ROWS = 1_000_000;
const ROWS_PER_REQUEST = 1000;
const MIB = 1024 * 1024;

function memoryMiB(pid: number, field: "VmRSS" | "VmHWM"): number {
  const match = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"));
  return Number(match?.[1]) / 1024;
}

async function step(name: string, node: Pumiced, work: () => Promise<string>): Promise<void> {
  writeFileSync(`/proc/${node.pid}/clear_refs`, "5"); // Sets the peak back to what is resident now.
  const startedMs = performance.now();
  const remark = await work();
  const seconds = (performance.now() - startedMs) / 1000;
  const peak = memoryMiB(node.pid, "VmHWM").toFixed(0).padStart(5);
  await sleep(1000);
  const now = memoryMiB(node.pid, "VmRSS").toFixed(0).padStart(5);
  console.log(`${name.padEnd(32)} now ${now} MiB   peak ${peak} MiB   ${seconds.toFixed(1).padStart(6)} s   ${remark}`);
}

async function sql(node: Pumiced, path: string, statements: readonly unknown[]): Promise<string> {
  const answer = await exchange(node.options.port, path, JSON.stringify(statements));
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body}`);
  return answer.body;
}

async function insertRows(node: Pumiced): Promise<string> {
  await sql(node, "/db/execute", ["CREATE TABLE bench (id INTEGER PRIMARY KEY, name TEXT, value REAL)"]);
  for (let start = 0; start < ROWS; start += ROWS_PER_REQUEST) {
    const statements = Array.from({ length: ROWS_PER_REQUEST }, (_, i) => [
      "INSERT INTO bench (name, value) VALUES (?, ?)",
      `name ${start + i}`,
      (start + i) / 7,
    ]);
    await sql(node, "/db/execute?transaction", statements);
  }
  const body = await sql(node, "/db/query", ["SELECT count(*) FROM bench"]);
  if (!body.includes(`[[${ROWS}]]`)) throw new Error(body);
  return `${ROWS} rows in requests of ${ROWS_PER_REQUEST}`;
}

/** Asks for rows of 1 KiB; the answer's bytes are counted and not kept. */
function bigResult(node: Pumiced, rows: number): Promise<string> {
  const select = `WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < ${rows}) SELECT printf('%1024d', x) FROM c`;
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const sent = request({ host: "127.0.0.1", port: node.options.port, path: "/db/query", method: "POST", agent: false }, (response) => {
    let bytes = 0;
    let start = "";
    response.on("data", (chunk: Buffer) => {
      bytes += chunk.length;
      if (start.length < 400) start += chunk.toString("latin1");
    });
    response.on("end", () => {
      const error = /"error":"[^"]*"/.exec(start)?.[0];
      resolve(`${(bytes / MIB).toFixed(0)} MiB received${error === undefined ? "" : `: ${error}`}`);
    });
    response.on("error", reject);
  });
  sent.on("error", reject);
  sent.end(JSON.stringify([select]));
  return promise;
}

async function main(): Promise<void> {
  const dataDirectory = mkdtempSync(join(tmpdir(), "pumice-memory-"));
  const node = await startPumiced({ dataDirectory, port: await freePort() });
  try {
    await step("idle", node, async () => "");
    await step("after 1,000,000 rows", node, () => insertRows(node));
    await step("a result of 200 MiB", node, () => bigResult(node, 200 * 1024));
    await step("a result of 1 GiB", node, () => bigResult(node, 1024 * 1024));
    await step("four results of 1 GiB at once", node, async () =>
      (await Promise.all([0, 1, 2, 3].map(() => bigResult(node, 1024 * 1024)))).join("; "),
    );
  } finally {
    await node.end("SIGTERM");
    rmSync(dataDirectory, { recursive: true });
  }
}

await main();
