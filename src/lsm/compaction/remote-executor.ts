/**
 * Merges on another thread: the job goes there as a message, outputs and counts come back as messages. The worker opens the store by itself, and has
 * functions of the program (a merge operator, a transformer, a filter) only if it can load them by itself too.
 *
 * 1. A worker has one job at a time. After one that succeeded it waits a while for the next, and no program waits for it; after any other it ends: what a
 *    failed job left behind, a function of the program's in an odd state perhaps, is not built upon.
 * 2. A job that costs less than a thread's start is not taken if no worker waits.
 * 3. `close` ends every worker, and no other begins.
 */
import {
  onAbort,
  PumiceError,
  type Clock,
  type ErrorCode,
  type ErrorDetails,
  type Spawner,
  type Worker,
  type WorkerScope,
} from "../../base/mod.ts";
import { StoreContext } from "../engine/context.ts";
import { LSM_DEFAULTS, type LsmComponents } from "../engine/settings.ts";
import type { SstRef } from "../format/manifest.ts";
import type { RequestCounts } from "../store/counted-store.ts";
import type { CompactionExecutor, CompactionJob, CompactionProgress } from "../engine/compaction.ts";
import { InlineExecutor } from "./executor.ts";
import { sstBytes } from "./picker.ts";

type Reply =
  | { readonly kind: "output"; readonly outputs: readonly SstRef[] }
  | { readonly kind: "bytes"; readonly read: number; readonly written: number }
  | { readonly kind: "requests"; readonly counts: RequestCounts }
  | { readonly kind: "done"; readonly outputs: readonly SstRef[] }
  | { readonly kind: "error"; readonly code: ErrorCode; readonly details: ErrorDetails };

/** On a thread of its own nobody else waits for a turn: this is how often it tells how far it is. */
const PIECE_MS = 200;

/** A worker that nobody has asked for so long ends: the default. */
const IDLE_MS = 3000;
/** Sources up to this size are merged in less time than a thread takes to start: the default. */
const SMALL_BYTES = 262_144;

/** How to start workers, and when not to. */
export interface RemoteWorker {
  readonly name: string;
  /** Reaches the worker, which makes its components of it. */
  readonly initial: unknown;
  readonly clock: Pick<Clock, "sleep">;
  /** Default 3 s. */
  readonly idleMs?: number | undefined;
  /** Jobs whose sources are not larger are left to the store's thread if no worker waits. 0: none is, as where only the worker has the filter. Default 256 KiB. */
  readonly smallBytes?: number | undefined;
}

/** See the header of this file. */
export class RemoteExecutor implements CompactionExecutor {
  readonly #spawner: Spawner;
  readonly #worker: RemoteWorker;
  readonly #workers = new Set<Worker>();
  /** Those of them that wait, and how to end their wait. */
  readonly #idle = new Map<Worker, AbortController>();
  readonly #closing = new AbortController();

  constructor(spawner: Spawner, worker: RemoteWorker) {
    this.#spawner = spawner;
    this.#worker = worker;
  }

  takes({ sources }: Pick<CompactionJob, "sources">): boolean {
    const ssts = [...sources.l0, ...sources.runs.flatMap((run) => run.ssts)];
    return this.#idle.size > 0 || ssts.reduce((sum, sst) => sum + sstBytes(sst), 0) > (this.#worker.smallBytes ?? SMALL_BYTES);
  }

  async run(job: CompactionJob, progress: CompactionProgress, signal: AbortSignal): Promise<readonly SstRef[]> {
    signal.throwIfAborted();
    this.#closing.signal.throwIfAborted();
    const worker = this.#wake() ?? this.#spawner.spawn(this.#worker.name, this.#worker.initial);
    this.#workers.add(worker);
    try {
      const outputs = await this.#merge(worker, { job, progress }, signal);
      this.#rest(worker);
      return outputs;
    } catch (error) {
      await this.#end(worker);
      throw error;
    }
  }

  /** Ends all workers, and what they do. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort(new PumiceError("LSM_CLOSED", { what: "the compaction thread is closed" }));
    await Promise.all([...this.#workers].map(async (worker) => await this.#end(worker)));
  }

  async #merge(
    worker: Worker,
    { job, progress }: { job: CompactionJob; progress: CompactionProgress },
    signal: AbortSignal,
  ): Promise<readonly SstRef[]> {
    let noted: Promise<void> = Promise.resolve();
    const forgets: (() => void)[] = [];
    try {
      const outputs = await new Promise<readonly SstRef[]>((resolve, reject) => {
        forgets.push(onAbort(signal, reject), onAbort(this.#closing.signal, reject));
        worker.onExit((error) => reject(new PumiceError("WORKER_FAILED", { name: this.#worker.name }, error)));
        worker.onMessage((message) => {
          const reply = message as Reply;
          if (reply.kind === "bytes") progress.onBytes(reply);
          else if (reply.kind === "requests") progress.onRequests?.(reply.counts);
          // In order, each after the one before: they are what a successor goes on from.
          else if (reply.kind === "output") noted = noted.then(async () => await progress.onOutput(reply.outputs));
          else if (reply.kind === "done") resolve(reply.outputs);
          else reject(new PumiceError(reply.code, reply.details));
          noted.catch(reject);
        });
        worker.post(job);
      });
      await noted;
      return outputs;
    } finally {
      for (const forget of forgets) forget();
    }
  }

  /** A worker that waits, which it then does no more. */
  #wake(): Worker | undefined {
    const [worker] = this.#idle.keys();
    if (worker === undefined) return undefined;
    this.#idle.get(worker)?.abort();
    this.#idle.delete(worker);
    worker.keepProcess(true);
    return worker;
  }

  #rest(worker: Worker): void {
    if (this.#closing.signal.aborted) {
      void this.#end(worker);
      return;
    }
    const wanted = new AbortController();
    this.#idle.set(worker, wanted);
    worker.keepProcess(false);
    // It may die while it waits, of what is not ours: then the next job has another.
    worker.onExit(() => void this.#end(worker));
    this.#worker.clock.sleep(this.#worker.idleMs ?? IDLE_MS, { signal: wanted.signal, keepsProcess: false }).then(
      async () => await this.#end(worker),
      () => undefined,
    );
  }

  async #end(worker: Worker): Promise<void> {
    this.#idle.get(worker)?.abort();
    this.#idle.delete(worker);
    await worker.terminate();
    this.#workers.delete(worker);
  }
}

/** The worker's side: merges the jobs that it is sent. `root` is the store's place in what `components` name. */
export function serveCompaction(scope: WorkerScope, store: { readonly root: string; readonly components: LsmComponents }): void {
  const progress: CompactionProgress = {
    onOutput: async (outputs) => scope.post({ kind: "output", outputs } satisfies Reply),
    onBytes: (counts) => scope.post({ kind: "bytes", ...counts } satisfies Reply),
  };
  scope.onMessage((message) => {
    // Each job has a context of its own: what it asked of the object store is told at its end.
    const context = StoreContext.of(store.root, store.components, { ...LSM_DEFAULTS, cacheBytes: 0 });
    const executor = new InlineExecutor(context, { pieceMs: PIECE_MS, filter: store.components.compactionFilter });
    executor.run(message as CompactionJob, progress, context.signal).then(
      (outputs) => {
        scope.post({ kind: "requests", counts: context.shared.counts.requests } satisfies Reply);
        scope.post({ kind: "done", outputs } satisfies Reply);
      },
      (error: unknown) => {
        scope.post({ kind: "requests", counts: context.shared.counts.requests } satisfies Reply);
        const known = error instanceof PumiceError ? error : new PumiceError("WORKER_FAILED", { reason: String(error) });
        scope.post({ kind: "error", code: known.code, details: known.details } satisfies Reply);
      },
    );
  });
}
