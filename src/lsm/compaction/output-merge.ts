/**
 * The merge of a compaction, one output after the other: an output is stored while it is made, so that no more of it than a few pieces is in memory.
 * If storing fails, the merge begins again where the output began; it gives the same bytes.
 */
import { abortable, assert } from "../../base/mod.ts";
import type { StoreContext } from "../engine/context.ts";
import { Pace } from "../engine/pace.ts";
import { blockRoomBytes } from "../format/block-writer.ts";
import type { KeyRange } from "../format/key-range.ts";
import type { SstInfo } from "../format/sst-info.ts";
import { SstWriter } from "../format/sst-writer.ts";
import type { StreamedObject } from "../store/retry.ts";
import { isDisjoint } from "../store/tables.ts";
import type { CompactionFilter, CompactionJob, CompactionProgress } from "../engine/compaction.ts";
import { commonLengthOf, MergeSource } from "./merge-source.ts";
import { Merger } from "./merger.ts";

/** A source is read in pieces of up to this size, smaller ones if there are many: two of each are in memory. */
const PIECE_BYTES_MAX = 2_097_152;
const PIECE_BYTES_MIN = 262_144;
const PIECES_BYTES_MAX = 33_554_432;
/** How many entries are merged between two looks at the clock. */
const ENTRIES_PER_LOOK = 1024;

/** How this program merges: what a job, which may go to another thread, does not say. */
export interface MergeChoices {
  readonly filter?: CompactionFilter | undefined;
  /** Others on this thread get their turn after this, milliseconds. Default: Pace's. */
  readonly pieceMs?: number | undefined;
  /** Outputs are stored in pieces of this size while they are made. Default: SstWriter's. */
  readonly pieceBytes?: number | undefined;
}

/** What a merge is made of. */
export interface OutputMergeParts {
  readonly job: CompactionJob;
  readonly context: StoreContext;
  readonly progress: CompactionProgress;
  readonly choices: MergeChoices;
}

/** See the header of this file. */
export class OutputMerge {
  readonly #parts: OutputMergeParts;
  readonly #pace: Pace;
  #merger: Merger;
  #blockMemory: Uint8Array;
  #writer: SstWriter;
  /** The writer has all that goes into its SST. */
  #isComplete = false;
  #bytesTold = 0;

  /** Merges the keys of `range`. */
  constructor(parts: OutputMergeParts, range: KeyRange) {
    this.#parts = parts;
    this.#pace = new Pace(parts.context.clock, parts.context.signal, parts.choices.pieceMs);
    ({ merger: this.#merger, blockMemory: this.#blockMemory } = openMerger(parts, range));
    this.#writer = this.#newWriter();
  }

  /** Begins the next output. False if nothing is left for one. @throws LSM_CORRUPT, LSM_MISSING, STORE_UNAVAILABLE */
  async begin(): Promise<boolean> {
    this.#writer = this.#newWriter();
    this.#isComplete = false;
    await this.#advance(() => !this.#writer.isEmpty);
    return !this.#writer.isEmpty;
  }

  /** Begins the output that was under way again, with the keys of `range`. */
  restart(range: KeyRange): void {
    ({ merger: this.#merger, blockMemory: this.#blockMemory } = openMerger(this.#parts, range));
    this.#bytesTold = 0;
    this.#writer = this.#newWriter();
    this.#isComplete = false;
  }

  /** The output, piece by piece; its info at the end. */
  async *pieces(): AsyncGenerator<Uint8Array, SstInfo> {
    for (;;) {
      yield* this.#writer.take();
      if (this.#isComplete) break;
      await this.#advance(() => this.#writer.hasPieces);
    }
    const { pieces, info } = this.#writer.finishPieces();
    yield* pieces;
    return info;
  }

  /** Merges until `isEnough`, or the output is complete. */
  async #advance(isEnough: () => boolean): Promise<void> {
    const { context, progress } = this.#parts;
    while (!this.#isComplete && !isEnough()) {
      const pause = this.#merger.merge(this.#writer, ENTRIES_PER_LOOK);
      if (pause === "load") await abortable(this.#merger.load(), context.signal);
      this.#isComplete = pause === "full" || pause === "end";
      if (pause === "rest" && !this.#pace.isOver()) continue;
      progress.onBytes({ read: this.#merger.bytesRead - this.#bytesTold, written: 0 });
      this.#bytesTold = this.#merger.bytesRead;
      if (pause === "rest") await this.#pace.rest();
    }
  }

  #newWriter(): SstWriter {
    const { job, context, choices } = this.#parts;
    const memory = { blockMemory: this.#blockMemory, pieceBytes: choices.pieceBytes };
    return new SstWriter("compacted", { ...job.settings, ...memory }, context.sealer);
  }
}

/** One attempt to store an output. */
export class Output implements StreamedObject {
  readonly parts: AsyncIterable<Uint8Array>;
  made: StreamedObject["made"];
  failure: StreamedObject["failure"];
  info: SstInfo | undefined;

  constructor(merge: OutputMerge) {
    this.parts = this.#read(merge);
  }

  async *#read(merge: OutputMerge): AsyncGenerator<Uint8Array> {
    const pieces = merge.pieces();
    let sizeBytes = 0;
    let lastPart: Uint8Array | undefined;
    try {
      for (let piece = await pieces.next(); ; piece = await pieces.next()) {
        if (piece.done === true) {
          this.info = piece.value;
          break;
        }
        sizeBytes += piece.value.length;
        lastPart = piece.value;
        yield piece.value;
      }
    } catch (error) {
      this.failure = { error };
      throw error;
    }
    assert(lastPart !== undefined, "an SST has bytes");
    this.made = { sizeBytes, lastPart };
  }
}

/** The merge, and the memory in which its blocks are to be made. */
function openMerger({ job, context, choices }: OutputMergeParts, range: KeyRange): { merger: Merger; blockMemory: Uint8Array } {
  const { l0, runs } = context.treeOf({ ...job.sources, segments: [] });
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
  const rules = { ...job.rules, operator: context.shared.operators.compact, filter: choices.filter, maxSstBytes: job.settings.maxSstBytes };
  return { merger: new Merger(sources, rules), blockMemory: buffer };
}
