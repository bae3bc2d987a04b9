/** Merging: reads the sources of a compaction, writes its outputs. Where it runs (this thread, another) is the executor's affair. */
import { assert, compareBytes } from "../../base/mod.ts";
import { UlidSource, type Ulid } from "../format/identifiers.ts";
import { ALL_KEYS, type KeyRange } from "../format/key-range.ts";
import type { SstRef } from "../format/manifest.ts";
import { SST_VERSION } from "../format/sst-writer.ts";
import type { CompactionExecutor, CompactionJob, CompactionProgress } from "../engine/compaction.ts";
import type { StoreContext } from "../engine/context.ts";
import { streamUnderNewKey } from "../store/retry.ts";
import { Output, OutputMerge, type MergeChoices } from "./output-merge.ts";

/** Runs merges on this thread, in short pieces. */
export class InlineExecutor implements CompactionExecutor {
  readonly #context: StoreContext;
  readonly #choices: MergeChoices;

  constructor(context: StoreContext, choices: MergeChoices = {}) {
    this.#context = context;
    this.#choices = choices;
  }

  async run(job: CompactionJob, progress: CompactionProgress, signal?: AbortSignal): Promise<readonly SstRef[]> {
    const context = this.#context.scoped(signal);
    const resumed = resumePoint(job.outputs);
    const outputs = resumed.outputs.slice();
    const ulids = new UlidSource(context.random);
    ulids.observe(job.id);
    const merge = new OutputMerge({ job, context, progress, choices: this.#choices }, resumed.range);
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
