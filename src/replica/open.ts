/**
 * Opens a replica: the database, the log and the readers at the same time, then the driver on what they hold, then the replica on the driver.
 *
 * A restart opens the file, reads the index that it has applied, and replays the log from there. Neither is scanned.
 */
import { PumiceError, type Clock, type EntryId, type FileSystem, type Random, type Spawner, type Worker } from "../base/mod.ts";
import type { ConfState, Entry } from "../raft/mod.ts";
import { ApplyThread, CheckpointThread, type InlineReads, ReaderPool, type ReaderWorkerInit, type SqlWorkerInit } from "../sql/mod.ts";
import type { DriverPorts } from "./consensus/ports.ts";
import { RaftDriver, type DriverState } from "./consensus/driver.ts";
import { LogHandle, type LogSettings } from "./log/mod.ts";
import { Replica, type ReplicaSettings } from "./replica.ts";
import type { BackupParts } from "./backup.ts";

/** Names under which the composition root registers the workers. */
export const WORKERS = { log: "log", apply: "apply", checkpoint: "checkpoint", reader: "reader" } as const;

/** Where a replica keeps what, and how it behaves. */
export interface OpenSettings extends ReplicaSettings {
  readonly sql: SqlWorkerInit;
  readonly log: LogSettings;
  /** A folder for copies that a backup makes; emptied by the owner before the start. */
  readonly temporaryFolder: string;
  /** Threads that read. At least 1. */
  readonly readers: number;
  /** Ticks without a leader after which a node stands for election. */
  readonly electionTicks: number;
}

/** The world of a replica. */
export interface World {
  readonly clock: Clock;
  readonly random: Random;
  readonly files: FileSystem;
  readonly spawner: Spawner;
  /** Runs `task` at the end of this turn of the event loop. */
  readonly defer: (task: () => void) => void;
  /** Opens what reads simple statements on this thread: an InlineReader. The database exists. */
  readonly openInline: (init: SqlWorkerInit) => InlineReads;
  /** Interrupts what the reader connection with this handle runs now. */
  readonly interrupt: (handle: number) => void;
  /** This machine failed: called once; the process must end. */
  readonly onFatal: (error: PumiceError) => void;
  /** Tells the operator. */
  readonly warn: (line: string) => void;
}

/** The id of the node that founds a group. */
const FOUNDER_ID = 1;
const FOUNDING_MEMBERS: ConfState = { voters: [FOUNDER_ID], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
/** Bytes that one read of a replay brings. */
const REPLAY_BYTES = 8 * 1024 * 1024;
/** Bytes of applied entries that stay in memory. Nobody follows a node that is alone. */
const MEMORY_LOG_BYTES = 4 * 1024 * 1024;

/** Opens a replica that is alone in its group, and stands for election at once. @throws LOG_*, SQL_*, REPLICA_BEHIND_DATABASE, WORKER_FAILED */
export async function openReplica(settings: OpenSettings, world: World): Promise<Replica> {
  const opening = new Opening(world);
  try {
    return await opening.open(settings);
  } catch (error) {
    await opening.release();
    throw error;
  }
}

/** What has been opened so far; events that come before there is a replica are failures of the opening. */
class Opening {
  readonly #world: World;
  readonly #failure = Promise.withResolvers<never>();
  #replica: Replica | undefined;
  #apply: ApplyThread | undefined;
  #readers: ReaderPool | undefined;
  #log: LogHandle | undefined;
  #driver: RaftDriver | undefined;
  readonly #workers: Worker[] = [];

  constructor(world: World) {
    this.#world = world;
    // Whoever races with it sees it; nobody need.
    this.#failure.promise.catch(() => undefined);
  }

  async open(settings: OpenSettings): Promise<Replica> {
    const [log, applied] = await this.#whole(Promise.all([this.#openLog(settings), this.#openDatabase(settings)]));
    // The readers open a database that exists.
    const readers = this.#openReaders(settings);
    const state = await this.#whole(this.#recover(log, applied));
    await this.#whole(readers.opened());
    return this.#join(settings, { log, readers, applied, state });
  }

  /** Ends what was started, whether or not it had opened. */
  async release(): Promise<void> {
    await Promise.allSettled([this.#apply?.close(), this.#readers?.close(), this.#log?.close()]);
    await Promise.allSettled(this.#workers.map((worker) => worker.terminate()));
  }

  #spawn(name: string, initial: unknown): Worker {
    const worker = this.#world.spawner.spawn(name, initial);
    this.#workers.push(worker);
    return worker;
  }

  /** Until there is a replica, any failure of a part is the failure of the opening. */
  #whole<T>(step: Promise<T>): Promise<T> {
    return Promise.race([step, this.#failure.promise]);
  }

  readonly #fail = (error: PumiceError): void => {
    if (this.#replica === undefined) this.#failure.reject(error);
    else this.#replica.fail(error);
  };

  async #openLog(settings: OpenSettings): Promise<LogHandle> {
    this.#log = await LogHandle.open(this.#spawn(WORKERS.log, settings.log), {
      acknowledge: (number) => this.#driver?.persisted(number),
      advanced: () => this.#replica?.logAdvanced(),
      failed: this.#fail,
    });
    return this.#log;
  }

  #openDatabase(settings: OpenSettings): Promise<EntryId> {
    return new Promise((resolve) => {
      this.#apply = new ApplyThread(this.#spawn(WORKERS.apply, settings.sql), {
        opened: ({ applied }) => resolve(applied),
        applied: (entries, results) => this.#replica?.appliedEntries(entries, results),
        failed: this.#fail,
      });
    });
  }

  #openReaders(settings: OpenSettings): ReaderPool {
    const { clock, defer, interrupt, openInline } = this.#world;
    const spawn = (running: SharedArrayBuffer): Worker =>
      this.#spawn(WORKERS.reader, { ...settings.sql, running } satisfies ReaderWorkerInit);
    this.#readers = new ReaderPool(settings.readers, {
      clock,
      spawn,
      defer,
      interrupt,
      openInline: () => openInline(settings.sql),
      failed: this.#fail,
    });
    return this.#readers;
  }

  /** What the driver starts from: the entries that the database has not applied, and before them what it has. */
  async #recover(log: LogHandle, applied: EntryId): Promise<DriverState> {
    const { hardState, compacted, last } = log.opened;
    if (applied.index > last.index) {
      throw new PumiceError("REPLICA_BEHIND_DATABASE", { applied: applied.index, logEnd: last.index });
    }
    const start = applied.index >= compacted.index ? applied : undefined;
    if (start === undefined) {
      throw new PumiceError("REPLICA_LOG_GAP", { applied: applied.index, logStart: compacted.index + 1 });
    }
    const entries: Entry[] = [];
    while (start.index + entries.length < last.index) {
      const lo = start.index + entries.length + 1;
      const read = await log.read({ lo, hi: last.index + 1, maxBytes: REPLAY_BYTES });
      if (read === undefined || read.length === 0) throw new PumiceError("REPLICA_LOG_GAP", { applied: applied.index, missing: lo });
      entries.push(...read);
    }
    return { compacted: start, entries, hardState, applied: applied.index, members: FOUNDING_MEMBERS };
  }

  #join(settings: OpenSettings, opened: Opened): Replica {
    const { clock, random, defer, files, spawner, onFatal, warn } = this.#world;
    const apply = this.#apply as ApplyThread;
    const { log } = opened;
    const replica = (): Replica => this.#replica as Replica;
    const ports: DriverPorts = {
      log: { append: (batch) => log.append(batch), compact: (to) => void log.compact(to) },
      send: () => undefined,
      apply: (entries) => replica().applyCommitted(entries),
      readable: (read, index) => replica().readable(read, index),
      roleChanged: (change) => replica().roleChanged(change),
      membersChanged: () => undefined,
      latestSnapshot: () => {
        const position = replica().syncedPosition;
        return position && { ...position, confState: FOUNDING_MEMBERS, data: new Uint8Array(0) };
      },
    };
    const raft = { id: FOUNDER_ID, random, electionTicks: settings.electionTicks };
    const driver = new RaftDriver(opened.state, { raft, random, maxLogBytes: MEMORY_LOG_BYTES }, ports);
    const backup = (name: string): BackupParts => ({
      spawnReader: () => spawner.spawn(WORKERS.reader, settings.sql),
      files,
      temporaryPath: `${settings.temporaryFolder}/${name}`,
    });
    this.#driver = driver;
    const checkpointer = new CheckpointThread({ spawn: () => this.#spawn(WORKERS.checkpoint, settings.sql), failed: this.#fail });
    const parts = {
      clock,
      random,
      apply,
      checkpointer,
      readers: opened.readers,
      log,
      driver,
      defer,
      backup,
      onFatal,
      warn,
      applied: opened.applied,
    };
    this.#replica = new Replica(settings, parts);
    driver.campaign();
    driver.pump();
    return this.#replica;
  }
}

/** What stands when the driver can be made. */
interface Opened {
  readonly log: LogHandle;
  readonly readers: ReaderPool;
  readonly applied: EntryId;
  readonly state: DriverState;
}
