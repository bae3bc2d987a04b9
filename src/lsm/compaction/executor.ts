/** Merging: reads the sources of a compaction, writes its outputs. Where it runs (this thread, another) is the executor's affair. */
import { assert, compareBytes } from "../../base/mod.ts";
import { UlidSource, type Ulid } from "../format/identifiers.ts";
import { ALL_KEYS, type KeyRange } from "../format/key-range.ts";
import type { Manifest, SstRef } from "../format/manifest.ts";
import type { Row } from "../format/row.ts";
import { SST_VERSION, type SstSettings } from "../format/sst-writer.ts";
import type { StoreContext } from "../engine/context.ts";
import type { RetentionRules } from "../engine/retention.ts";
import type { RequestCounts } from "../store/counted-store.ts";
import { streamUnderNewKey } from "../store/retry.ts";
import { Output, OutputMerge } from "./output-merge.ts";

/** A user's say in what compaction keeps. Asked only at the bottom of the tree, of values not newer than the oldest snapshot; what is dropped is gone for all. */
export type CompactionFilter = (row: Row) => "keep" | "drop";

/** One merge. */
export interface CompactionJob {
  readonly id: Ulid;
  /** Names the sources, and those alone. */
  readonly sources: Pick<Manifest, "l0" | "runs" | "externalDbs">;
  /** Finished output of an earlier attempt. */
  readonly outputs: readonly SstRef[];
  readonly rules: Omit<RetentionRules, "operator">;
  readonly settings: SstSettings & { readonly maxSstBytes: number };
}

/** Hears of progress. */
export interface CompactionProgress {
  /** All outputs so far; the last is new. */
  onOutput(outputs: readonly SstRef[]): Promise<void>;
  onBytes(counts: { readonly read: number; readonly written: number }): void;
  /** What was asked of the object store elsewhere, once, at the end. */
  onRequests?(counts: RequestCounts): void;
}

/** Runs merges. */
export interface CompactionExecutor {
  /** False if the job had better be merged on the thread of the store. Default: true. */
  takes?(job: CompactionJob): boolean;
  /** The outputs, ascending. Gives up when `signal` is aborted. */
  run(job: CompactionJob, progress: CompactionProgress, signal: AbortSignal): Promise<readonly SstRef[]>;
}

/** What may be chosen of an executor. */
export interface ExecutorChoices {
  readonly filter?: CompactionFilter | undefined;
  /** Others on this thread get their turn after this, milliseconds. Default: Pace's. */
  readonly pieceMs?: number | undefined;
  /** Outputs are stored in pieces of this size while they are made. Default: SstWriter's. */
  readonly pieceBytes?: number | undefined;
}

/** Runs merges on this thread, in short pieces. */
export class InlineExecutor implements CompactionExecutor {
  private readonly context: StoreContext;
  private readonly choices: ExecutorChoices;

  constructor(context: StoreContext, choices: ExecutorChoices = {}) {
    this.context = context;
    this.choices = choices;
  }

  async run(job: CompactionJob, progress: CompactionProgress, signal?: AbortSignal): Promise<readonly SstRef[]> {
    const context = this.context.scoped(signal);
    const resumed = resumePoint(job.outputs);
    const outputs = resumed.outputs.slice();
    const ulids = new UlidSource(context.random);
    ulids.observe(job.id);
    const merge = new OutputMerge({ job, context, progress, choices: this.choices }, resumed.range);
    const newKey = (): { id: Ulid; key: string } => {
      const id = ulids.next(Math.max(0, Math.floor(context.clock.now())));
      return { id, key: context.paths.sst(id) };
    };
    while (await merge.begin()) {
      let attempts = 0;
      const make = (): Output => {
        if (attempts++ > 0) merge.restart(rangeAfter(outputs, resumed.range));
        return new Output(merge);
      };
      const { name, made } = await streamUnderNewKey(context.store, context.writePolicy, { newKey, make });
      const { info } = made;
      assert(info !== undefined, "what was stored was made");
      progress.onBytes({ read: 0, written: info.indexOffset + info.indexLength });
      outputs.push({ id: name.id, viewId: name.id, formatVersion: SST_VERSION, info, visibleRange: undefined });
      await progress.onOutput(outputs);
    }
    return outputs;
  }
}

/** The keys after those of the outputs, of which each holds all versions of its last key. */
function rangeAfter(outputs: readonly SstRef[], whole: KeyRange): KeyRange {
  const last = outputs.at(-1)?.info.lastEntry;
  return last === undefined ? whole : { ...ALL_KEYS, start: last, startInclusive: false };
}

/**
 * Where to go on after finished outputs. The last one is made again: another engine may have closed it between two versions of one key.
 */
function resumePoint(outputs: readonly SstRef[]): { outputs: readonly SstRef[]; range: KeyRange } {
  for (let kept = outputs.length - 1; kept > 0; kept--) {
    const last = (outputs[kept - 1] as SstRef).info.lastEntry;
    const start = (outputs[kept] as SstRef).info.firstEntry;
    if (last === undefined || start === undefined || compareBytes(last, start) >= 0) continue;
    return { outputs: outputs.slice(0, kept), range: { ...ALL_KEYS, start, startInclusive: true } };
  }
  return { outputs: [], range: ALL_KEYS };
}
