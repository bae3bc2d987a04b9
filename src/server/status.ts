/** What /status shows: rqlite's document, as far as one node has what it tells of. Reading it changes nothing and waits for no query. */
import { hostname } from "node:os";
import type { App } from "./app.ts";
import { formatGoDuration } from "./go-duration.ts";
import { storeStatus } from "./store-status.ts";

/** The whole document. */
export async function collectStatus(app: App): Promise<Record<string, unknown>> {
  const { parts } = app;
  const now = Date.now();
  return {
    os: { pid: process.pid, ppid: process.ppid, executable: process.execPath, hostname: hostname() },
    runtime: {
      arch: process.arch,
      os: process.platform,
      num_cpu: navigator.hardwareConcurrency,
      version: process.version,
      v8: process.versions.v8,
    },
    store: await storeStatus(app),
    http: httpStatus(app),
    node: {
      start_time: new Date(app.startedMs).toISOString(),
      current_time: new Date(now).toISOString(),
      uptime: formatGoDuration(Math.round(now - app.startedMs) * 1_000_000),
    },
    build: { version: parts.node.version, compiler_toolchain: "node" },
  };
}

function httpStatus(app: App): Record<string, unknown> {
  const { options } = app;
  return {
    bind_addr: app.boundAddress(),
    api_addr: app.advertisedAddress(),
    auth: app.credentials === undefined ? "disabled" : "enabled",
    tls: { enabled: options.tls !== undefined, verify_client: options.tls?.verifyClient === true },
    allow_origin: options.allowOrigin === "" ? undefined : options.allowOrigin,
    connections: app.connectionCount(),
    memory: app.memory.usedBytes,
    backups: app.backups,
    limits: {
      max_body: options.limits.maxBodyBytes,
      max_statements: options.limits.maxStatements,
      max_result: options.limits.maxResultBytes,
      max_memory: options.limits.maxMemoryBytes,
      max_connections: options.limits.maxConnections,
      max_backups: options.limits.maxBackups,
    },
    queue: { _default: app.queue.status() },
  };
}
