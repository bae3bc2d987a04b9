/**
 * One simulated machine and the production replica on it: the log on a simulated disk, SQLite on files of its own that lose power as the disk does,
 * every thread a queue of turns, and a clock that nothing but the world moves. The process on it starts, is killed, and starts again.
 *
 * Invariants:
 * 1. After the end of a process nothing of it runs: no turn, no timer, no message.
 * 2. What a process finds at its start is what was durable, plus any part of what was written and not synced.
 */
import { assert, crc32, type PumiceError, type FileSystem, type Random, type WorkerMain } from "../../base/mod.ts";
import { logReader, logWriter, openReplica, WORKERS, type OpenSettings, type Replica, type World } from "../../replica/mod.ts";
import { InlineReader, serveApply, serveCheckpointer, serveReader, type ReaderWorkerInit, type SqlWorkerInit } from "../../sql/mod.ts";
import { SimClock } from "../world/clock.ts";
import { SimDisk } from "../world/files.ts";
import { simSpawner } from "../world/spawner.ts";
import { Schedule } from "./schedule.ts";

/** How a process ends: by itself with the machine going on, or with the machine's power. */
export type Death = "kill" | "power";

/** SQLite's files of one machine: real ones, because SQLite itself works on them. Injected, because this room has no files. */
export interface SqliteDisk {
  /** The database file of the process that runs now. */
  readonly path: string;
  readonly extensionPath: string;
  /** The files, for the WAL's size, the staging file of a load, and backups. */
  readonly files: FileSystem;
  /** Called after each thing that SQLite may have synced something in: notes what is durable. */
  note(): void;
  /** A reader that takes long keeps the snapshot of now, so that no checkpoint is whole, until it is released or the process ends. Idempotent. */
  holdSnapshot(): void;
  /** Idempotent. */
  releaseSnapshot(): void;
  /** The process has ended. The next one gets another `path`, and there what would be left. */
  crash(death: Death, random: Random): void;
}

/** What a machine is made of. */
export interface MachineParts {
  readonly name: string;
  readonly sqlite: SqliteDisk;
  readonly random: Random;
  /** The wall clock at the beginning. Unit: ms since 1970. */
  readonly startMs: number;
  /** What differs from the settings of `settingsOf`. */
  readonly settings?: Partial<OpenSettings> | undefined;
}

/** One machine. */
export class SimMachine {
  readonly name: string;
  readonly disk: SimDisk;
  readonly sqlite: SqliteDisk;
  readonly #random: Random;
  readonly #settings: Partial<OpenSettings>;
  #wallMs: number;
  #process: Process | undefined;

  constructor(parts: MachineParts) {
    this.name = parts.name;
    this.sqlite = parts.sqlite;
    this.#random = parts.random;
    this.#settings = parts.settings ?? {};
    this.#wallMs = parts.startMs;
    this.disk = new SimDisk(parts.random);
    this.disk.files.makeDirectory("data/log");
    this.disk.files.syncDirectory("data");
    this.disk.files.syncDirectory("");
  }

  /** Starts a process. Nothing of it runs before the first `turn`. */
  start(): Process {
    assert(this.#process === undefined, "a machine runs one process");
    this.#process = new Process(this, { random: this.#random, wallMs: this.#wallMs, settings: this.#settings });
    return this.#process;
  }

  /** Ends the process that runs, if one does. */
  crash(death: Death): void {
    const process = this.#process;
    if (process === undefined) return;
    this.#process = undefined;
    this.#wallMs = process.clock.now();
    process.end();
    if (death === "power") this.disk.crash();
    else this.disk.kill();
    this.sqlite.crash(death, this.#random);
    process.closeConnections();
  }

  /** The wall clock jumps, and stays where it is then. */
  jump(ms: number): void {
    this.#wallMs += ms;
    this.#process?.clock.jump(ms);
  }
}

interface ProcessParts {
  readonly random: Random;
  readonly wallMs: number;
  readonly settings: Partial<OpenSettings>;
}

/** One process: one incarnation of a node. */
export class Process {
  readonly clock: SimClock;
  /** Resolves when the replica is open and ready; rejects if it does not open. */
  readonly opened: Promise<Replica>;
  /** The failure that ends the node, once there is one. */
  failure: PumiceError | undefined;
  readonly #schedule: Schedule;
  /** What closes the SQLite connections of threads that will never run again. */
  readonly #connections: (() => void)[] = [];
  #isOver = false;

  constructor(machine: SimMachine, parts: ProcessParts) {
    this.clock = new SimClock(parts.wallMs);
    this.#schedule = new Schedule(parts.random);
    const world = this.#world(machine, parts.random);
    this.opened = openReplica({ ...settingsOf(machine), ...parts.settings }, world).then(async (replica) => {
      await replica.ready();
      return replica;
    });
    // A process that is ended while it opens leaves this for ever; one that fails to open is asked by the world.
    this.opened.catch(() => undefined);
  }

  /** One turn of one thread, or, if none has work, time up to the next timer. False if nothing will ever happen. */
  turn(): boolean {
    assert(!this.#isOver, "a process that ended takes no turn");
    if (this.#schedule.turn()) return true;
    const deadline = this.clock.nextDeadline();
    if (deadline === undefined) return false;
    this.clock.advance(deadline - this.clock.monotonic());
    return true;
  }

  end(): void {
    this.#isOver = true;
    this.#schedule.end();
  }

  /** After what is left has been kept for the next process: a connection that closes may write. */
  closeConnections(): void {
    for (const close of this.#connections) close();
  }

  #world(machine: SimMachine, random: Random): World {
    const { clock } = this;
    const sql = { files: machine.sqlite.files, monotonic: () => clock.monotonic() };
    const note = (): void => machine.sqlite.note();
    const mains = new Map<string, WorkerMain>([
      [WORKERS.log, logWriter({ files: machine.disk.files, crc32 })],
      [WORKERS.logReader, logReader({ files: machine.disk.files, crc32 })],
      [WORKERS.apply, this.#closable((scope, init) => serveApply(scope, init as SqlWorkerInit, sql), note)],
      [WORKERS.checkpoint, this.#closable((scope, init) => serveCheckpointer(scope, init as SqlWorkerInit), note)],
      [
        WORKERS.reader,
        this.#closable(
          (scope, init) => serveReader(scope, init as ReaderWorkerInit, sql),
          () => undefined,
        ),
      ],
    ]);
    const defer = this.#schedule.thread();
    return {
      clock,
      random,
      files: machine.sqlite.files,
      spawner: { spawn: (name, initial) => simSpawner(mains, this.#schedule.thread()).spawn(name, initial) },
      defer,
      openInline: (init) => {
        const inline = new InlineReader({ ...init, monotonic: () => clock.monotonic() });
        let isOpen = true;
        const close = (): void => {
          if (isOpen) inline.close();
          isOpen = false;
        };
        this.#connections.push(close);
        return { read: (request) => inline.read(request), close };
      },
      interrupt: () => undefined,
      onFatal: (error) => (this.failure ??= error),
      warn: () => undefined,
    };
  }

  /** A worker whose connection is closed when the process has ended: a real end would do it. `after` runs after each message. */
  #closable(main: WorkerMain, after: () => void): WorkerMain {
    return (scope, initial) => {
      main(
        {
          ...scope,
          onMessage: (receive) => {
            this.#connections.push(() => receive({ kind: "close" }));
            scope.onMessage((message) => {
              receive(message);
              after();
            });
          },
        },
        initial,
      );
      after();
    };
  }
}

/** A node that checkpoints, rolls its log and times out often. */
function settingsOf(machine: SimMachine): OpenSettings {
  return {
    id: machine.name,
    address: `${machine.name}:4002`,
    applyTimeoutMs: 10_000,
    writeTimeoutMs: 30_000,
    walLimitBytes: 64 * 1024,
    entryBytesMax: 16 * 1024 * 1024,
    raftTickMs: 100,
    electionTicks: 10,
    sql: { path: machine.sqlite.path, extensionPath: machine.sqlite.extensionPath, foreignKeys: false },
    log: { folder: "data/log", segmentBytes: 64 * 1024, sliceBytes: 16 * 1024 },
    temporaryFolder: `${machine.sqlite.path.slice(0, machine.sqlite.path.lastIndexOf("/"))}/tmp`,
    readers: 2,
  };
}
