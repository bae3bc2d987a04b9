/**
 * Opens a replica: the database, the log and the readers at the same time, then the driver on what they hold, then the replica on the driver.
 *
 * A restart opens the file, reads the index that it has applied, and replays the log from there. Neither is scanned.
 */
import { PumiceError, type Clock, type EntryId, type FileSystem, type Random, type Spawner, type Worker } from "../base/mod.ts";
import type { Entry } from "../raft/mod.ts";
import {
  ApplyThread,
  CheckpointThread,
  type DatabaseState,
  type InlineReads,
  ReaderPool,
  type ReaderWorkerInit,
  type SqlWorkerInit,
} from "../sql/mod.ts";
import type { BackupParts } from "./backup.ts";
import { Dumps } from "./dumps.ts";
import { encodeIdentity } from "./cluster/members-codec.ts";
import {
  beginningOf,
  checkFound,
  decideStart,
  membersBefore,
  memberOf,
  type Found,
  type Start,
  type StartSettings,
} from "./cluster/start.ts";
import { ReplicaCore, type CoreStart, type ReplicaSettings } from "./core.ts";
import { LogHandle, LogReader, type LogReaderInit, type LogSettings } from "./log/mod.ts";
import { Replica } from "./replica.ts";

/** Names under which the composition root registers the workers. */
export const WORKERS = { log: "log", logReader: "log-reader", apply: "apply", checkpoint: "checkpoint", reader: "reader" } as const;

/** Where a replica keeps what, and how it behaves. */
export interface OpenSettings extends ReplicaSettings, StartSettings {
  readonly sql: SqlWorkerInit;
  readonly log: LogSettings;
  /** A folder for copies that a backup makes; emptied by the owner before the start. */
  readonly temporaryFolder: string;
  /** Threads that read. At least 1. */
  readonly readers: number;
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

/** Bytes that one read of a replay brings. */
const REPLAY_BYTES = 8 * 1024 * 1024;
/**
 * Opens a replica. A new directory founds a cluster of one; any other goes on where it was.
 * @throws LOG_*, SQL_*, REPLICA_BEHIND_DATABASE, REPLICA_LOG_GAP, REPLICA_FOREIGN, REPLICA_OTHER_NAME, REPLICA_MEMBERS, REPLICA_JOIN, WORKER_FAILED
 */
export async function openReplica(settings: OpenSettings, world: World): Promise<Replica> {
  const opening = new Opening(world);
  try {
    return await opening.open(settings);
  } catch (error) {
    await opening.release();
    throw error;
  }
}

/** A database that has been opened. */
interface OpenDatabase {
  readonly apply: ApplyThread;
  readonly held: DatabaseState;
}

/** What has been opened so far; events that come before there is a core are failures of the opening. */
class Opening {
  readonly #world: World;
  readonly #failure = Promise.withResolvers<never>();
  #core: ReplicaCore | undefined;
  /** What to close if the opening fails. */
  readonly #opened: { close(): Promise<void> }[] = [];
  readonly #workers: Worker[] = [];

  constructor(world: World) {
    this.#world = world;
    // Avoids an unhandled rejection when nothing races with it any more.
    this.#failure.promise.catch(() => undefined);
  }

  async open(settings: OpenSettings): Promise<Replica> {
    const [log, { apply, held }] = await this.#openStored(settings);
    const found = foundIn(log, held);
    checkFound(found);
    // The readers open a database that exists.
    const readers = this.#openReaders(settings);
    const replay = await this.#whole(entriesToReplay(log, held.applied));
    const start = this.#decide(settings, found, replay);
    if (held.node === undefined) apply.identify(encodeIdentity(start.node));
    const coreStart = coreStartOf(settings, { found, start, replay });
    await this.#whole(readers.opened());
    const { clock, random, defer, files, spawner, onFatal, warn } = this.#world;
    const checkpointer = new CheckpointThread({ spawn: () => this.#spawn(WORKERS.checkpoint, settings.sql), failed: this.#fail });
    const readerInit: LogReaderInit = { folder: settings.log.folder };
    const logReader = new LogReader({ log, spawn: () => this.#spawn(WORKERS.logReader, readerInit) });
    const dumps = new Dumps(clock);
    const parts = { clock, random, apply, checkpointer, readers, log, logReader, defer, onFatal, warn, dumps };
    const core = new ReplicaCore(settings, parts, coreStart);
    this.#core = core;
    core.start();
    const backup = (name: string): BackupParts => ({
      spawnReader: () => spawner.spawn(WORKERS.reader, settings.sql),
      files,
      temporaryPath: `${settings.temporaryFolder}/${name}`,
      dumps,
    });
    return new Replica({ core, readers, random, backup, writeTimeoutMs: settings.writeTimeoutMs });
  }

  /** Ends what was started, whether or not it had opened. */
  async release(): Promise<void> {
    await Promise.allSettled(this.#opened.map((part) => part.close()));
    await Promise.allSettled(this.#workers.map((worker) => worker.terminate()));
  }

  /** @throws REPLICA_JOIN: nothing serves a join yet. And as decideStart */
  #decide(settings: OpenSettings, found: Found, replay: readonly Entry[]): StartHere {
    const start = decideStart(settings, found, replay);
    if (start.kind === "join") throw new PumiceError("REPLICA_JOIN", { addresses: start.addresses.join(",") });
    if (start.node.name !== settings.id) {
      this.#world.warn(
        `this node keeps the id ${start.node.name}, which its directory was begun with; its Raft address is ${settings.address}`,
      );
    }
    return start;
  }

  #spawn(name: string, initial: unknown): Worker {
    const worker = this.#world.spawner.spawn(name, initial);
    this.#workers.push(worker);
    return worker;
  }

  /** Until there is a core, any failure of a part is the failure of the opening. */
  #whole<T>(step: Promise<T>): Promise<T> {
    return Promise.race([step, this.#failure.promise]);
  }

  readonly #fail = (error: PumiceError): void => {
    if (this.#core === undefined) this.#failure.reject(error);
    else this.#core.failed(error);
  };

  async #openLog(settings: OpenSettings): Promise<LogHandle> {
    const initial: LogSettings = { ...settings.log, begin: beginningOf(settings, this.#world.random) };
    const log = await LogHandle.open(this.#spawn(WORKERS.log, initial), {
      acknowledge: (number) => this.#core?.logPersisted(number),
      advanced: () => this.#core?.logAdvanced(),
      failed: this.#fail,
    });
    this.#opened.push(log);
    return log;
  }

  /**
   * Both at the same time. But where both are of an older format the log is upgraded first, durably: an older program refuses such a log, and so never comes to replay
   * it into a database that it takes for an empty one.
   */
  #openStored(settings: OpenSettings): Promise<[LogHandle, OpenDatabase]> {
    const log = this.#openLog(settings);
    return this.#whole(Promise.all([log, this.#openDatabase(settings, log)]));
  }

  /** A database of an older format is upgraded once `log` is open. */
  #openDatabase(settings: OpenSettings, log: Promise<LogHandle>): Promise<OpenDatabase> {
    return new Promise((resolve, reject) => {
      const apply = new ApplyThread(this.#spawn(WORKERS.apply, settings.sql), {
        old: () => void log.then(() => apply.upgrade(), reject),
        opened: (held) => resolve({ apply, held }),
        applied: (entries, results) => this.#core?.applied(entries, results),
        failed: this.#fail,
      });
      this.#opened.push(apply);
    });
  }

  #openReaders(settings: OpenSettings): ReaderPool {
    const { clock, defer, interrupt, openInline } = this.#world;
    const spawn = (running: SharedArrayBuffer): Worker =>
      this.#spawn(WORKERS.reader, { ...settings.sql, running } satisfies ReaderWorkerInit);
    const readers = new ReaderPool(settings.readers, {
      clock,
      spawn,
      defer,
      interrupt,
      openInline: () => openInline(settings.sql),
      failed: this.#fail,
    });
    this.#opened.push(readers);
    return readers;
  }
}

/** A start that this version serves. */
type StartHere = Exclude<Start, { kind: "join" }>;

/** @throws REPLICA_FOREIGN: the log is nobody's */
function foundIn(log: LogHandle, database: DatabaseState): Found {
  const { opened, identity, hasBegun } = log;
  if (identity === undefined) throw new PumiceError("REPLICA_FOREIGN", { reason: "the log does not say whose it is" });
  return { log: opened, identity, hasBegun, database };
}

/** What the core starts from: the entries that the database has not applied, and before them what it has. */
function coreStartOf(
  settings: OpenSettings,
  from: { readonly found: Found; readonly start: StartHere; readonly replay: Entry[] },
): CoreStart {
  const { found, start, replay: entries } = from;
  const { hardState, compacted } = found.log;
  const { applied } = found.database;
  const members = start.members ?? membersBefore(applied.index === 0 ? entries[0] : undefined);
  const driver = { compacted, onDisk: applied, entries, hardState, applied: applied.index, members: members.confState };
  return { self: memberOf(start.node, settings), applied, members, driver };
}

/** The log's entries after `applied`. @throws REPLICA_LOG_GAP, LOG_CORRUPT */
async function entriesToReplay(log: LogHandle, applied: EntryId): Promise<Entry[]> {
  const { compacted, last } = log.opened;
  if (applied.index < compacted.index) {
    throw new PumiceError("REPLICA_LOG_GAP", { applied: applied.index, logStart: compacted.index + 1 });
  }
  const entries: Entry[] = [];
  while (applied.index + entries.length < last.index) {
    const lo = applied.index + entries.length + 1;
    const read = await log.read({ lo, hi: last.index + 1, maxBytes: REPLAY_BYTES });
    if (read === undefined || read.length === 0) throw new PumiceError("REPLICA_LOG_GAP", { applied: applied.index, missing: lo });
    entries.push(...read);
  }
  return entries;
}
