/**
 * Merges on another thread: the job goes there as a message, outputs and counts come back as messages. One worker for one job, ended with it.
 * The worker opens the store by itself, and has functions of the program (a merge operator, a transformer, a filter) only if it can load them by itself too.
 */
import { onAbort, PumiceError, type ErrorCode, type ErrorDetails, type Spawner, type WorkerScope } from "../../base/mod.ts";
import { StoreContext } from "../db/context.ts";
import { LSM_DEFAULTS, type LsmComponents } from "../db/settings.ts";
import type { SstRef } from "../format/manifest.ts";
import type { RequestCounts } from "../store/counted-store.ts";
import { InlineExecutor, type CompactionExecutor, type CompactionJob, type CompactionProgress } from "./executor.ts";

type Reply =
  | { readonly kind: "output"; readonly outputs: readonly SstRef[] }
  | { readonly kind: "bytes"; readonly read: number; readonly written: number }
  | { readonly kind: "requests"; readonly counts: RequestCounts }
  | { readonly kind: "done"; readonly outputs: readonly SstRef[] }
  | { readonly kind: "error"; readonly code: ErrorCode; readonly details: ErrorDetails };

/** On a thread of its own nobody else waits for a turn: this is how often it tells how far it is. */
const PIECE_MS = 200;

/** See the header of this file. */
export class RemoteExecutor implements CompactionExecutor {
  private readonly spawner: Spawner;
  private readonly worker: { readonly name: string; readonly initial: unknown };

  /** `worker.initial` reaches the worker, which makes its components of it. */
  constructor(spawner: Spawner, worker: { readonly name: string; readonly initial: unknown }) {
    this.spawner = spawner;
    this.worker = worker;
  }

  async run(job: CompactionJob, progress: CompactionProgress, signal: AbortSignal): Promise<readonly SstRef[]> {
    signal.throwIfAborted();
    const worker = this.spawner.spawn(this.worker.name, this.worker.initial);
    let noted: Promise<void> = Promise.resolve();
    let forget = (): void => undefined;
    try {
      const outputs = await new Promise<readonly SstRef[]>((resolve, reject) => {
        forget = onAbort(signal, reject);
        worker.onExit((error) => reject(new PumiceError("WORKER_FAILED", { name: this.worker.name }, error)));
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
      forget();
      await worker.terminate();
    }
  }
}

/** The worker's side: merges the job that it is sent. `root` is the store's place in what `components` name. */
export function serveCompaction(scope: WorkerScope, store: { readonly root: string; readonly components: LsmComponents }): void {
  const context = new StoreContext(store.root, store.components, { ...LSM_DEFAULTS, cacheBytes: 0 });
  const executor = new InlineExecutor(context, { pieceMs: PIECE_MS, filter: store.components.compactionFilter });
  const progress: CompactionProgress = {
    onOutput: async (outputs) => scope.post({ kind: "output", outputs } satisfies Reply),
    onBytes: (counts) => scope.post({ kind: "bytes", ...counts } satisfies Reply),
  };
  scope.onMessage((message) => {
    executor.run(message as CompactionJob, progress, context.signal).then(
      (outputs) => {
        scope.post({ kind: "requests", counts: context.counts.requests } satisfies Reply);
        scope.post({ kind: "done", outputs } satisfies Reply);
      },
      (error: unknown) => {
        scope.post({ kind: "requests", counts: context.counts.requests } satisfies Reply);
        const known = error instanceof PumiceError ? error : new PumiceError("WORKER_FAILED", { reason: String(error) });
        scope.post({ kind: "error", code: known.code, details: known.details } satisfies Reply);
      },
    );
  });
}
