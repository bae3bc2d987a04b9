/** Starts the servers that a benchmark loads, each as a process of its own, and stops them. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A server that answers on 127.0.0.1. `folder` is where it keeps its data, removed at the end. */
export interface ServerProcess extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
  readonly folder: string;
}

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Starts the empty handler. */
export async function startEmptyHandler(): Promise<ServerProcess> {
  const child = spawn(process.execPath, [join(root, "bench/support/empty-handler.ts")], { stdio: ["ignore", "pipe", "inherit"] });
  const [line] = (await once(child.stdout, "data")) as [Buffer];
  return running(child, Number(line.toString()), mkdtempSync(join(tmpdir(), "pumice-bench-")));
}

/** Starts a node of the checkout at `checkout` with an empty data directory and waits until it is ready. */
export async function startPumiced(flags: readonly string[] = [], checkout: string = root): Promise<ServerProcess> {
  const folder = mkdtempSync(join(tmpdir(), "pumice-bench-"));
  const port = await freePort();
  const raftPort = await freePort();
  const args = ["-http-addr", `127.0.0.1:${port}`, "-raft-addr", `127.0.0.1:${raftPort}`, ...flags, join(folder, "data")];
  const child = spawn(join(checkout, "bin/pumiced"), args, { stdio: ["ignore", "ignore", "inherit"] });
  const server = running(child, port, folder);
  const deadline = performance.now() + 20_000;
  for (;;) {
    try {
      if ((await fetch(`http://127.0.0.1:${port}/readyz`)).status === 200) return server;
    } catch {
      // Not listening yet: connection refused is what a starting server answers.
    }
    if (child.exitCode !== null || performance.now() > deadline) throw new Error("pumiced did not become ready");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

function running(child: ChildProcess, port: number, folder: string): ServerProcess {
  return {
    port,
    pid: child.pid!,
    folder,
    async [Symbol.asyncDispose](): Promise<void> {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGTERM");
        await once(child, "exit");
      }
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** POSTs JSON and returns the answer's JSON. @throws Error unless the status is 200. */
export async function postJson(port: number, path: string, body: unknown): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (response.status !== 200) throw new Error(`POST ${path}: ${response.status} ${await response.text()}`);
  return response.json();
}
