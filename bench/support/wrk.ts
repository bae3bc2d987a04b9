/** Runs the load generator `wrk` (Debian package wrk) and reads what it measured. */
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** One run's load. */
export interface Load {
  readonly port: number;
  readonly connections: number;
  readonly seconds: number;
  readonly method: "GET" | "POST";
  /** Path and query, one for each request in turn. At least one. */
  readonly paths: readonly string[];
  readonly body?: string | undefined;
}

/** One run's result. Latencies in microseconds. */
export interface LoadResult {
  readonly requestsPerSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** Answers that were not 2xx, and socket errors. 0 in a run that counts. */
  readonly errors: number;
}

/** True if `wrk` is installed. */
export function hasWrk(): boolean {
  return spawnSync("wrk", ["--version"]).error === undefined;
}

/** Runs one load to its end. @throws Error if wrk fails or its report cannot be read. */
export async function runWrk(load: Load): Promise<LoadResult> {
  const folder = mkdtempSync(join(tmpdir(), "pumice-wrk-"));
  try {
    const script = join(folder, "load.lua");
    writeFileSync(script, luaScript(load));
    const output = await run([
      "-t1",
      `-c${load.connections}`,
      `-d${load.seconds}s`,
      "--timeout",
      "30s",
      "-s",
      script,
      `http://127.0.0.1:${load.port}`,
    ]);
    const report = /^REPORT (\S+) (\S+) (\S+) (\S+) (\S+)$/m.exec(output);
    if (report === null) throw new Error(`wrk printed no report:\n${output}`);
    const [requests, durationUs, p50Us, p99Us, errors] = report.slice(1).map(Number) as [number, number, number, number, number];
    return { requestsPerSecond: (requests * 1e6) / durationUs, p50Us, p99Us, errors };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function run(args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile("wrk", args, { maxBuffer: 1 << 24 }, (error, stdout) => {
      if (error === null) resolve(stdout);
      else reject(error);
    });
  });
}

function luaScript(load: Load): string {
  const quoted = load.paths.map((path) => luaString(path)).join(",");
  const headers = load.body === undefined ? "{}" : '{["Content-Type"]="application/json"}';
  const body = load.body === undefined ? "nil" : luaString(load.body);
  return `
local paths = {${quoted}}
local requests = {}
local turn = 0
function init(args)
  for i, path in ipairs(paths) do requests[i] = wrk.format("${load.method}", path, ${headers}, ${body}) end
end
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("REPORT %d %d %d %d %d\\n", summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
`;
}

function luaString(text: string): string {
  return `"${text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n")}"`;
}
