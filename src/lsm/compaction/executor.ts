/** Merging: reads the sources of a compaction, writes its outputs. Where it runs (this thread, another) is the executor's affair. */
import { abortable, compareBytes } from "../../base/mod.ts";
import { UlidSource, type Ulid } from "../format/identifiers.ts";
import { ALL_KEYS, type KeyRange } from "../format/key-range.ts";
import type { Manifest, SstRef } from "../format/manifest.ts";
import type { Row } from "../format/row.ts";
import { SST_VERSION, SstWriter, type SstSettings } from "../format/sst-writer.ts";
import type { StoreContext } from "../db/context.ts";
import { isSameKey } from "../db/merge-operator.ts";
import { Pace } from "../db/pace.ts";
import { retain, type RetentionRules } from "../db/retention.ts";
import { openCursor } from "../db/view.ts";
import { createUnderNewKey } from "../store/retry.ts";

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
}

/** Runs merges. */
export interface CompactionExecutor {
  /** The outputs, ascending. Gives up when `signal` is aborted. */
  run(job: CompactionJob, progress: CompactionProgress, signal: AbortSignal): Promise<readonly SstRef[]>;
}

const READ_AHEAD_BYTES = 2_097_152;

/** Runs merges on this thread, in short pieces. */
export class InlineExecutor implements CompactionExecutor {
  private readonly context: StoreContext;
  private readonly filter: CompactionFilter | undefined;

  constructor(context: StoreContext, filter?: CompactionFilter) {
    this.context = context;
    this.filter = filter;
  }

  async run(job: CompactionJob, progress: CompactionProgress, signal?: AbortSignal): Promise<readonly SstRef[]> {
    const context = this.context.scoped(signal);
    const resumed = resumePoint(job.outputs);
    const outputs = resumed.outputs.slice();
    const ulids = new UlidSource(context.random);
    ulids.observe(job.id);
    let writer = new SstWriter("compacted", job.settings, context.sealer);
    const close = async (): Promise<void> => {
      const sst = await upload(context, writer, ulids);
      progress.onBytes({ read: 0, written: sst.info.indexOffset + sst.info.indexLength });
      outputs.push(sst);
      writer = new SstWriter("compacted", job.settings, context.sealer);
      await progress.onOutput(outputs);
    };
    for await (const rows of this.merged({ job, range: resumed.range, context }, progress)) {
      for (const row of rows) writer.add(row);
      // Between keys only: versions of one key stay in one SST.
      if (writer.writtenBytes >= job.settings.maxSstBytes) await close();
    }
    if (!writer.isEmpty) await close();
    return outputs;
  }

  /** The surviving versions of each key in turn. */
  private async *merged(
    { job, range, context }: { job: CompactionJob; range: KeyRange; context: StoreContext },
    progress: CompactionProgress,
  ): AsyncGenerator<readonly Row[]> {
    const tree = context.tree({ ...job.sources, segments: [] }, false);
    const readAhead = { cachesBlocks: false, readAheadBytesMax: READ_AHEAD_BYTES };
    const cursor = openCursor({ memtables: [], ...tree }, { range, order: "ascending", readAhead });
    const rules: RetentionRules = { ...job.rules, operator: context.operator };
    const pace = new Pace(context.clock, context.signal);
    let versions: Row[] = [];
    let bytes = 0;
    for (;;) {
      while (!cursor.next()) await abortable(cursor.load(), context.signal);
      const { row } = cursor;
      const first = versions[0];
      if (first !== undefined && (row === undefined || !isSameKey(first, row))) {
        const kept = this.filtered(retain(versions, rules), rules);
        if (kept.length > 0) yield kept;
        versions = [];
      }
      if (row === undefined) break;
      bytes += row.key.length + row.value.length;
      versions.push(row);
      if (!pace.due()) continue;
      progress.onBytes({ read: bytes, written: 0 });
      bytes = 0;
      await pace.rest();
    }
    progress.onBytes({ read: bytes, written: 0 });
  }

  private filtered(rows: Row[], rules: RetentionRules): Row[] {
    const { filter } = this;
    const only = rows[0];
    if (filter === undefined || rows.length !== 1 || only === undefined || only.seq > rules.minSeq || only.kind !== 0) return rows;
    // Above the bottom, an older version would come back to light: only at the bottom may a row vanish.
    return rules.isBottom && filter(only) === "drop" ? [] : rows;
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
