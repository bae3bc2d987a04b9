/** Merging: reads the sources of a compaction, writes its outputs. Where it runs (this thread, another) is the executor's affair. */
import { abortable, compareBytes } from "../../base/mod.ts";
import { blockRoomBytes } from "../format/block-writer.ts";
import { UlidSource, type Ulid } from "../format/identifiers.ts";
import { ALL_KEYS, type KeyRange } from "../format/key-range.ts";
import type { Manifest, SstRef } from "../format/manifest.ts";
import type { Row } from "../format/row.ts";
import { SST_VERSION, SstWriter, type SstSettings } from "../format/sst-writer.ts";
import type { StoreContext } from "../db/context.ts";
import { Pace } from "../db/pace.ts";
import type { RetentionRules } from "../db/retention.ts";
import type { RequestCounts } from "../store/counted-store.ts";
import { createUnderNewKey } from "../store/retry.ts";
import { isDisjoint } from "../store/tables.ts";
import { commonLengthOf, MergeSource } from "./merge-source.ts";
import { Merger } from "./merger.ts";

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
  /** The outputs, ascending. Gives up when `signal` is aborted. */
  run(job: CompactionJob, progress: CompactionProgress, signal: AbortSignal): Promise<readonly SstRef[]>;
}

/** A source is read in pieces of up to this size, smaller ones if there are many: two of each are in memory. */
const PIECE_BYTES_MAX = 2_097_152;
const PIECE_BYTES_MIN = 262_144;
const PIECES_BYTES_MAX = 33_554_432;
/** How many entries are merged between two looks at the clock. */
const ENTRIES_PER_LOOK = 1024;

/** What may be chosen of an executor. */
export interface ExecutorChoices {
  readonly filter?: CompactionFilter | undefined;
  /** Others on this thread get their turn after this, milliseconds. Default: Pace's. */
  readonly pieceMs?: number | undefined;
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
    const { merger, blockMemory } = this.merger(job, resumed.range, context);
    const pace = new Pace(context.clock, context.signal, this.choices.pieceMs);
    const newWriter = (): SstWriter => new SstWriter("compacted", { ...job.settings, blockMemory }, context.sealer);
    let writer = newWriter();
    let bytesTold = 0;
    for (;;) {
      const pause = merger.merge(writer, ENTRIES_PER_LOOK);
      if (pause === "load") await abortable(merger.load(), context.signal);
      if (pause === "rest" && !pace.isOver()) continue;
      progress.onBytes({ read: merger.bytesRead - bytesTold, written: 0 });
      bytesTold = merger.bytesRead;
      if (pause === "rest") await pace.rest();
      if (pause === "load" || pause === "rest") continue;
      if (!writer.isEmpty) {
        const sst = await upload(context, writer, ulids);
        progress.onBytes({ read: 0, written: sst.info.indexOffset + sst.info.indexLength });
        outputs.push(sst);
        await progress.onOutput(outputs);
        writer = newWriter();
      }
      if (pause === "end") return outputs;
    }
  }

  /** The merge, and the memory in which its blocks are to be made. */
  private merger(job: CompactionJob, range: KeyRange, context: StoreContext): { merger: Merger; blockMemory: Uint8Array } {
    const { l0, runs } = context.tree({ ...job.sources, segments: [] }, false);
    const groups = [
      ...l0.map((table) => [table]),
      ...runs.flatMap(({ tables }) => (isDisjoint(tables) ? [tables] : tables.map((table) => [table]))),
    ];
    const pieceBytes = Math.max(PIECE_BYTES_MIN, Math.min(PIECE_BYTES_MAX, PIECES_BYTES_MAX / 2 / groups.length));
    const commonLength = commonLengthOf(groups.flat());
    const slotBytes = blockRoomBytes(job.settings.blockSizeBytes);
    const buffer = new Uint8Array(slotBytes * (groups.length + 1));
    const sources = groups.map((tables, age) => {
      const slot = { buffer, start: slotBytes * (age + 1), end: slotBytes * (age + 2) };
      return new MergeSource(tables, age, { range, pieceBytes, commonLength, slot });
    });
    const { filter } = this.choices;
    const rules = { ...job.rules, operator: context.operators.compact, filter, maxSstBytes: job.settings.maxSstBytes };
    return { merger: new Merger(sources, rules), blockMemory: buffer };
  }
}

async function upload(context: StoreContext, writer: SstWriter, ulids: UlidSource): Promise<SstRef> {
  const built = writer.finish();
  const { id } = await createUnderNewKey(context.store, context.writePolicy, {
    body: built.bytes,
    newKey: () => {
      const ulid = ulids.next(Math.max(0, Math.floor(context.clock.now())));
      return { id: ulid, key: context.paths.sst(ulid) };
    },
  });
  return { id, viewId: id, formatVersion: SST_VERSION, info: built.info, visibleRange: undefined };
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
