/** A real pumiced as a child process, for tests that start, stop and kill it. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { request as httpRequest, type Agent } from "node:http";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Where the program and its data are. */
export interface PumicedOptions {
  readonly dataDirectory: string;
  readonly port: number;
  readonly flags?: readonly string[];
  /** A checkout other than this one, built, as for a copy with a planted bug. */
  readonly root?: string;
  /** The largest file that the process may write, as if its disk failed there. Unit: KiB. */
  readonly fileLimitKiB?: number;
  /** The folder that holds the data directory is a file system of its own, so large. Unit: MiB. */
  readonly diskMiB?: number;
  readonly environment?: Readonly<Record<string, string>>;
}

/** An answer over HTTP. */
export interface HttpAnswer {
  readonly status: number;
  readonly body: string;
}

/** A TCP port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
  return address.port;
}

/** One run of pumiced, from start to exit. */
export class Pumiced {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly options: PumicedOptions;
  readonly startedMs = performance.now();
  /** All that it printed. */
  output = "";

  constructor(options: PumicedOptions) {
    this.options = options;
    const flags = ["-http-addr", `127.0.0.1:${options.port}`, "-raft-addr", "127.0.0.1:1", ...(options.flags ?? []), options.dataDirectory];
    const program = join(options.root ?? ROOT, "bin/pumiced");
    // `ulimit -f` counts in blocks of 512 bytes.
    const limit = options.fileLimitKiB === undefined ? "" : `ulimit -f ${options.fileLimitKiB * 2}; `;
    const mount = options.diskMiB === undefined ? "" : `mount -t tmpfs -o size=${options.diskMiB}m tmpfs "$PUMICE_TEST_DISK" && `;
    const run = ["sh", "-c", `${limit}${mount}exec "$0" "$@"`, program, ...flags];
    const [command = "", ...args] = options.diskMiB === undefined ? run : ["unshare", "-rm", ...run];
    this.#child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, PUMICE_TEST_DISK: dirname(options.dataDirectory), ...options.environment },
    });
    const keep = (chunk: Buffer): void => {
      this.output = (this.output + chunk.toString()).slice(-64 * 1024);
    };
    this.#child.stdout?.on("data", keep);
    this.#child.stderr?.on("data", keep);
    this.#exited = once(this.#child, "exit");
  }

  /** Waits until `text` stands in its output. @throws if the process ends first or 20 s pass. */
  async prints(text: string): Promise<void> {
    const deadline = performance.now() + 20_000;
    while (!this.output.includes(text)) {
      if (this.hasExited || performance.now() > deadline) throw new Error(`pumiced did not print "${text}":\n${this.output}`);
      await sleep(5);
    }
  }

  /** Closes the pipes that it prints to. */
  closeOutput(): void {
    this.#child.stdout?.destroy();
    this.#child.stderr?.destroy();
  }

  get pid(): number {
    return this.#child.pid ?? assertNever("a child has a process id");
  }

  get hasExited(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  /** Waits until it has ended by itself. Its exit code, or the signal that ended it. */
  async ends(): Promise<number | NodeJS.Signals> {
    await this.#exited;
    return this.#child.exitCode ?? this.#child.signalCode ?? assertNever("an ended child has a code or a signal");
  }

  /** Sends a signal and waits until the process is gone. Its exit code, or the signal that ended it. */
  async end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals> {
    this.#child.kill(signal);
    return this.ends();
  }

  /** Waits until a linearizable read is answered. @throws if the process ends first or `deadlineMs` passes. */
  async answers(deadlineMs = 20_000): Promise<void> {
    const deadline = performance.now() + deadlineMs;
    for (;;) {
      if (this.hasExited) throw new Error(`pumiced ended by itself:\n${this.output}`);
      const answer = await exchange(this.options.port, "/db/query?level=linearizable", '["SELECT 1"]').catch(() => undefined);
      if (answer?.status === 200 && answer.body.includes('"values":[[1]]')) return;
      if (performance.now() > deadline) throw new Error(`pumiced does not answer: ${answer?.body ?? "no connection"}\n${this.output}`);
      await sleep(5);
    }
  }
}

/** Starts pumiced and waits until it answers. */
export async function startPumiced(options: PumicedOptions): Promise<Pumiced> {
  const node = new Pumiced(options);
  try {
    await node.answers();
  } catch (error) {
    if (!node.hasExited) await node.end("SIGKILL");
    throw error;
  }
  return node;
}

/** How long `pumiced -version` takes from start to exit, ms: a measure of how busy this machine is. */
export async function bareStart(): Promise<number> {
  const startedMs = performance.now();
  await once(spawn(join(ROOT, "bin/pumiced"), ["-version"], { stdio: "ignore" }), "exit");
  return performance.now() - startedMs;
}

/** POSTs `body`, or GETs if there is none. Rejects when the connection breaks before the whole answer is there. */
export function exchange(port: number, path: string, body?: string, agent?: Agent): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
  const headers = body === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
  const options = { host: "127.0.0.1", port, path, method: body === undefined ? "GET" : "POST", headers, agent: agent ?? false };
  const sent = httpRequest(options, (response) => {
    let text = "";
    response.setEncoding("utf8");
    response.on("data", (chunk: string) => (text += chunk));
    response.on("end", () => resolve({ status: response.statusCode ?? 0, body: text }));
    response.on("error", reject);
    response.on("close", () => reject(new Error("the answer was cut off")));
  });
  sent.on("error", reject);
  sent.end(body);
  return promise;
}

function assertNever(message: string): never {
  throw new Error(message);
}
