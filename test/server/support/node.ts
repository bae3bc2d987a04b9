/** A whole node for tests, in this process, in a folder of its own. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type NodeSettings, type RunningNode, startNode } from "../../../src/entry/node.ts";
import { DEFAULT_LIMITS, DEFAULT_QUEUE, type Limits, type QueueOptions, type ServerOptions } from "../../../src/server/mod.ts";
import { type Call, call, eventually, type Reply } from "./http.ts";

/** What a test may choose. */
export interface TestSettings {
  readonly limits?: Partial<Limits>;
  readonly queue?: Partial<QueueOptions>;
  readonly server?: Partial<ServerOptions>;
  readonly node?: Partial<NodeSettings>;
}

/** A running node and what its tests ask of it. */
export class TestNode implements AsyncDisposable {
  readonly log: string[];
  readonly folder: string;
  readonly #settings: NodeSettings;
  #node: RunningNode;

  private constructor(parts: {
    readonly folder: string;
    readonly settings: NodeSettings;
    readonly node: RunningNode;
    readonly log: string[];
  }) {
    this.folder = parts.folder;
    this.log = parts.log;
    this.#settings = parts.settings;
    this.#node = parts.node;
  }

  static async start(settings: TestSettings = {}): Promise<TestNode> {
    const folder = mkdtempSync(join(tmpdir(), "pumice-server-"));
    const log: string[] = [];
    const complete: NodeSettings = {
      dataDirectory: join(folder, "data"),
      version: "v0-test",
      raftAddress: "localhost:4002",
      foreignKeys: false,
      readers: 2,
      writeTimeoutMs: 5000,
      walLimitBytes: 4 * 1024 * 1024,
      logSegmentBytes: 16 * 1024 * 1024,
      applyTimeoutMs: 10_000,
      electionTimeoutMs: 1000,
      log: (line) => log.push(line),
      ...settings.node,
      server: {
        host: "127.0.0.1",
        port: 0,
        limits: { ...DEFAULT_LIMITS, ...settings.limits },
        queue: { ...DEFAULT_QUEUE, timeoutMs: 5, ...settings.queue },
        ...settings.server,
      },
    };
    const started = new TestNode({ folder, settings: complete, node: await startNode(complete), log });
    await started.#untilReady();
    return started;
  }

  get url(): string {
    return this.#node.url;
  }

  call(path: string, options: Call = {}): Promise<Reply> {
    return call(this.url + path, options);
  }

  /** POSTs statements as JSON; a string is sent as it is. */
  post(path: string, body: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Reply> {
    const text = typeof body === "string" || body instanceof Uint8Array ? body : JSON.stringify(body);
    return this.call(path, { method: "POST", body: text, headers: { "Content-Type": "application/json", ...headers } });
  }

  /** The text of the answer to statements that write. */
  async execute(...statements: readonly unknown[]): Promise<string> {
    return (await this.post("/db/execute", statements)).text;
  }

  /** The text of the answer to a statement that reads. */
  async query(sql: string, parameters = ""): Promise<string> {
    return (await this.call(`/db/query?q=${encodeURIComponent(sql)}${parameters}`)).text;
  }

  /** Drops every table and view. */
  async wipe(): Promise<void> {
    const { results } = JSON.parse(
      await this.query(
        "SELECT type, name FROM sqlite_master WHERE type IN ('view', 'table') AND name NOT LIKE 'sqlite%' ORDER BY type DESC",
      ),
    ) as {
      results: { values?: string[][] }[];
    };
    const drops = (results[0]?.values ?? []).map(([type, name]) => `DROP ${type as string} "${name as string}"`);
    if (drops.length > 0) await this.execute(...drops);
  }

  /** Stops the node and starts it again on the same folder; the port may be another. `between` runs while nothing does. */
  async restart(between: () => void = () => undefined): Promise<void> {
    await this.#node.close();
    between();
    this.#node = await startNode(this.#settings);
    await this.#untilReady();
  }

  #untilReady(): Promise<void> {
    return eventually(async () => (await this.call("/readyz")).status === 200, "the node is ready");
  }

  close(): Promise<void> {
    return this.#node.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#node.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
