/**
 * A whole node: the data directory, the replica with its threads, the HTTP server in front. The composition root of pumiced.
 *
 * The server listens before the database is open, so that a restart answers /status and refuses the rest with a reason.
 */
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { PumiceError } from "../base/mod.ts";
import { systemFiles, systemRandom, systemClock, threadSpawner } from "../host/mod.ts";
import { openReplica, type OpenSettings, type Replica, type World, WORKERS } from "../replica/mod.ts";
import { InlineReader, InterruptSwitch } from "../sql/mod.ts";
import { startServer, type LogLine, type RunningServer, type ServerOptions } from "../server/mod.ts";
import { type DataDirectory, openDataDirectory } from "./data-directory.ts";
import { extensionPath } from "./extension.ts";

/** What a node is told. */
export interface NodeSettings {
  readonly dataDirectory: string;
  readonly version: string;
  readonly server: ServerOptions;
  /** Name of the node, kept for good: a directory that was begun with another is refused. Default: the directory's, or the Raft address. */
  readonly nodeId?: string | undefined;
  /** The Raft address told to others, HOST:PORT. */
  readonly raftAddress: string;
  /** Raft addresses of nodes of a cluster to join, if the directory is new. Default: none. */
  readonly join?: readonly string[] | undefined;
  readonly foreignKeys: boolean;
  /** Threads that read. */
  readonly readers: number;
  /** Work that a write without `db_timeout` may do; see ReplicaSettings. Unit: ms. */
  readonly writeTimeoutMs: number;
  /** Unit: bytes. */
  readonly walLimitBytes: number;
  /** Unit: bytes. */
  readonly logSegmentBytes: number;
  /** Unit: ms. */
  readonly applyTimeoutMs: number;
  /** Time without a leader after which a node stands for election. Unit: ms. */
  readonly electionTimeoutMs: number;
  readonly log: LogLine;
}

/** A node that runs. */
export interface RunningNode {
  /** Where it listens. */
  readonly url: string;
  readonly dataDirectory: string;
  /** Resolves if this machine fails the node: nothing is acknowledged any more, and the process should end. */
  readonly failed: Promise<PumiceError>;
  /** Finishes what was accepted, and closes everything. Idempotent. */
  close(): Promise<void>;
}

/** A start that has taken so long says so, again and again. Unit: ms. */
const SLOW_START_MS = 5000;
const ELECTION_TICKS = 10;
/** An entry may be as large as a body may be, and its encoding a little larger. Unit: bytes. */
const ENTRY_SLACK_BYTES = 16 * 1024 * 1024;

/**
 * Starts a node and resolves when it is ready to serve.
 * @throws NODE_DIRECTORY, NODE_DIRECTORY_LOCKED, SERVER_*, LOG_*, SQL_*, REPLICA_*
 */
export async function startNode(settings: NodeSettings): Promise<RunningNode> {
  const directory = openDataDirectory(settings.dataDirectory);
  let replica: Replica | undefined;
  let server: RunningServer | undefined;
  let interrupts: InterruptSwitch | undefined;
  const failed = Promise.withResolvers<PumiceError>();
  try {
    server = await startServer(settings.server, {
      replica: () => replica,
      node: { version: settings.version, dataDirectory: directory.path },
      log: settings.log,
    });
    interrupts = new InterruptSwitch(extensionPath());
    replica = await openReplica(
      openSettings(settings, { directory, apiAddress: server.advertisedUrl }),
      worldOf(interrupts, failed.resolve, settings.log),
    );
    await untilReady(replica, settings.log);
  } catch (error) {
    await server?.close();
    await replica?.close();
    interrupts?.close();
    directory[Symbol.dispose]();
    throw error;
  }
  return new Node({ directory, replica, server, interrupts, failed: failed.promise });
}

/** A start that replays long says so, and how far it is: a budget bounds each entry, but the last ones before a kill are run again. */
async function untilReady(replica: Replica, log: LogLine): Promise<void> {
  const told = setInterval(() => {
    log(`the start takes long: entry ${replica.applied.index} of ${replica.lastIndex} has been applied`);
  }, SLOW_START_MS);
  try {
    await replica.ready();
  } finally {
    clearInterval(told);
  }
}

interface NodeParts {
  readonly directory: DataDirectory;
  readonly replica: Replica;
  readonly server: RunningServer;
  readonly interrupts: InterruptSwitch;
  readonly failed: Promise<PumiceError>;
}

class Node implements RunningNode {
  readonly #parts: NodeParts;
  #closing: Promise<void> | undefined;

  constructor(parts: NodeParts) {
    this.#parts = parts;
  }

  get url(): string {
    return this.#parts.server.url;
  }

  get dataDirectory(): string {
    return this.#parts.directory.path;
  }

  get failed(): Promise<PumiceError> {
    return this.#parts.failed;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { directory, replica, server, interrupts } = this.#parts;
    try {
      await server.close();
      await replica.close();
    } finally {
      interrupts.close();
      directory[Symbol.dispose]();
    }
  }
}

function openSettings(settings: NodeSettings, at: { readonly directory: DataDirectory; readonly apiAddress: string }): OpenSettings {
  const { directory, apiAddress } = at;
  const temporaryFolder = join(directory.path, "tmp");
  rmSync(temporaryFolder, { recursive: true, force: true });
  mkdirSync(temporaryFolder, { mode: 0o700 });
  return {
    id: settings.nodeId ?? settings.raftAddress,
    isIdChosen: settings.nodeId !== undefined,
    address: settings.raftAddress,
    apiAddress,
    join: settings.join,
    applyTimeoutMs: settings.applyTimeoutMs,
    writeTimeoutMs: settings.writeTimeoutMs,
    walLimitBytes: settings.walLimitBytes,
    entryBytesMax: settings.server.limits.maxBodyBytes + ENTRY_SLACK_BYTES,
    raftTickMs: settings.electionTimeoutMs / ELECTION_TICKS,
    electionTicks: ELECTION_TICKS,
    sql: { path: directory.databasePath, extensionPath: extensionPath(), foreignKeys: settings.foreignKeys },
    log: { folder: directory.logPath, segmentBytes: settings.logSegmentBytes },
    temporaryFolder,
    readers: settings.readers,
  };
}

function worldOf(interrupts: InterruptSwitch, onFatal: (error: PumiceError) => void, warn: LogLine): World {
  const suffix = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const entry = (name: string): URL => new URL(`./${name}.${suffix}`, import.meta.url);
  const spawner = threadSpawner(
    new Map([
      [WORKERS.log, entry("log-writer")],
      [WORKERS.logReader, entry("log-reader")],
      [WORKERS.apply, entry("apply-worker")],
      [WORKERS.checkpoint, entry("checkpoint-worker")],
      [WORKERS.reader, entry("reader-worker")],
    ]),
  );
  return {
    clock: systemClock,
    random: systemRandom,
    files: systemFiles,
    spawner,
    defer: (task) => void setImmediate(task),
    openInline: (init) => new InlineReader({ ...init, monotonic: () => systemClock.monotonic() }),
    interrupt: (handle) => interrupts.interrupt(handle),
    onFatal,
    warn,
  };
}
