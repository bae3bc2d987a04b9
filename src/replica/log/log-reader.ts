/**
 * Reads old entries on a thread of its own, so that no reading holds up a sync. The writer tells where entries stand (LogHandle.locate); this thread opens
 * the files for itself. A segment may lose its name and be written over meanwhile: its frames are then valid nowhere, which is told as damage, and the asker asks the
 * writer again.
 */
import { PumiceError, isPumiceError, packError, unpackError, type PackedError, type Worker, type WorkerMain } from "../../base/mod.ts";
import type { Entry } from "../../raft/mod.ts";
import { packEntries, unpackEntries, type PackedEntries } from "./pack.ts";
import { SegmentReader, type ReadRange, type SegmentPlace } from "./reader.ts";
import type { LogParts } from "./recover.ts";
import type { LogHandle } from "./handle.ts";

/** First argument of the worker. */
export interface LogReaderInit {
  /** The log's folder. */
  readonly folder: string;
}

/** To the thread. */
interface ReaderRequest {
  readonly id: number;
  readonly place: SegmentPlace;
  readonly range: ReadRange;
}

/** From the thread, for each request. */
type ReaderReply =
  | { readonly kind: "entries"; readonly id: number; readonly entries: PackedEntries }
  | { readonly kind: "error"; readonly id: number; readonly error: PackedError };

/** The code of the log reader's worker, which is started with LogReaderInit. */
export function logReader(parts: LogParts): WorkerMain {
  return (scope, initial) => {
    const reader = new SegmentReader(parts, (initial as LogReaderInit).folder);
    scope.onMessage((message) => {
      const { id, place, range } = message as ReaderRequest;
      try {
        let result = reader.read(place, range);
        while (result.kind === "again") result = reader.read(place, range);
        const entries = packEntries(result.kind === "entries" ? result.entries : []);
        scope.post({ kind: "entries", id, entries } satisfies ReaderReply, [entries.frames.buffer]);
      } catch (error) {
        reader.close();
        scope.post({ kind: "error", id, error: packError(error) } satisfies ReaderReply);
      }
    });
  };
}

/** What the handle of the reader needs. */
export interface LogReaderParts {
  readonly log: Pick<LogHandle, "locate">;
  /** Starts a `logReader`. Called when the first entries are asked for: most nodes never lag behind. */
  readonly spawn: () => Worker;
}

interface Waiting {
  readonly resolve: (entries: readonly Entry[]) => void;
  readonly reject: (error: PumiceError) => void;
}

/** The reader, as the main thread sees it. */
export class LogReader {
  readonly #parts: LogReaderParts;
  #worker: Worker | undefined;
  readonly #waiting = new Map<number, Waiting>();
  #nextId = 1;
  #isClosed = false;

  constructor(parts: LogReaderParts) {
    this.#parts = parts;
  }

  /**
   * Entries from `range.lo` on, at least one if there is one, and fewer than asked for if a limit or a segment's end came first; undefined if the first was
   * dropped. @throws LOG_CORRUPT, LOG_CLOSED, FS_IO, WORKER_FAILED
   */
  async read(range: ReadRange): Promise<readonly Entry[] | undefined> {
    let failure: { readonly error: unknown; readonly name: string } | undefined;
    for (;;) {
      const located = await this.#parts.log.locate(range);
      if (located.kind === "compacted") return undefined;
      if (located.kind === "nowhere") return [];
      const { place, hi } = located;
      // What failed may have been a file that had just become another's.
      if (failure?.name === place.name) throw failure.error;
      try {
        return await this.#ask({ place, range: { ...range, hi } });
      } catch (error) {
        if (!isPumiceError(error, "LOG_CORRUPT") && !isPumiceError(error, "FS_NOT_FOUND")) throw error;
        failure = { error, name: place.name };
      }
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#failAll(new PumiceError("LOG_CLOSED"));
    await this.#worker?.terminate();
  }

  #ask(request: Omit<ReaderRequest, "id">): Promise<readonly Entry[]> {
    if (this.#isClosed) return Promise.reject(new PumiceError("LOG_CLOSED"));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker ??= this.#start();
      this.#worker.post({ id, ...request } satisfies ReaderRequest);
    });
  }

  #start(): Worker {
    const worker = this.#parts.spawn();
    worker.onExit((cause) => {
      this.#worker = undefined;
      this.#failAll(new PumiceError("WORKER_FAILED", { worker: "log reader", reason: cause?.message }, cause));
    });
    worker.onMessage((message) => {
      const reply = message as ReaderReply;
      const waiting = this.#waiting.get(reply.id);
      this.#waiting.delete(reply.id);
      if (reply.kind === "entries") waiting?.resolve(unpackEntries(reply.entries));
      else waiting?.reject(unpackError(reply.error));
    });
    return worker;
  }

  #failAll(error: PumiceError): void {
    for (const { reject } of this.#waiting.values()) reject(error);
    this.#waiting.clear();
  }
}
