/** Bugs to be planted in the engine, one at a time: those that SlateDB's users met, and those that were met here. Each names the tests that must fail. */

/** One bug. */
export interface LsmMutant {
  /** SlateDB's issue, or what it is called here. */
  readonly id: string;
  readonly bug: string;
  /** Under src/lsm. */
  readonly file: string;
  readonly edits: readonly (readonly [from: string, to: string])[];
  /** Under test/lsm, without .test.ts; any of them may catch it. */
  readonly tests: readonly string[];
}

export const LSM_MUTANTS: readonly LsmMutant[] = [
  {
    id: "#431",
    bug: "a stamp before the last one is an error",
    file: "db/hybrid-clock.ts",
    edits: [["this.backwards++;", 'throw new Error("invalid clock tick");']],
    tests: ["clock"],
  },
  {
    id: "#431b",
    bug: "replay refuses rows that are older than the manifest's tick",
    file: "db/open.ts",
    edits: [
      [
        "lastTick = Math.max(lastTick, memtable.lastTick);",
        'if (!memtable.isEmpty && memtable.lastTick < lastTick) throw new Error("invalid clock tick"); lastTick = Math.max(lastTick, memtable.lastTick);',
      ],
    ],
    tests: ["clock"],
  },
  {
    id: "#431c",
    bug: "the manifest's tick is the clock's, not that of the rows in L0",
    file: "db/flusher.ts",
    edits: [["Math.max(manifest.lastL0ClockTick, memtable.lastTick)", "Math.max(manifest.lastL0ClockTick, this.context.clock.now() + 1)"]],
    tests: ["clock"],
  },
  {
    id: "#352",
    bug: "garbage collection deletes fences",
    file: "gc/gc.ts",
    edits: [["if (!(await this.isFence(meta))) data.push(meta.key);", "data.push(meta.key);"]],
    tests: ["shared-store"],
  },
  {
    id: "#604",
    bug: "garbage collection does not look at compactions under way",
    file: "gc/gc.ts",
    edits: [["const oldestJobMs = await this.oldestJobTime();", "const oldestJobMs = (await this.oldestJobTime()) * 0 + Infinity;"]],
    tests: ["races", "segments"],
  },
  {
    id: "#591",
    bug: "the blocks of a WAL object are taken for uncompressed",
    file: "format/sst-reader.ts",
    edits: [
      [
        "sealer.unseal(bytes.subarray(entry.offset, end), info.compression, origin)",
        'sealer.unseal(bytes.subarray(entry.offset, end), "none", origin)',
      ],
    ],
    tests: ["issues"],
  },
  {
    id: "#1192",
    bug: "a compactor does not take over what was under way",
    file: "compaction/compactor.ts",
    edits: [["if (isActive(compaction)) this.launch(compaction);", "if (isActive(compaction) && this.epoch < 0) this.launch(compaction);"]],
    tests: ["shared-store", "issues"],
  },
  {
    id: "#1850",
    bug: "a compaction that fails ends the store",
    file: "db/background.ts",
    edits: [["onEnd: (error) => {", "onEnd: (error) => { if (error !== undefined) this.hooks.onFailure(error);"]],
    tests: ["issues", "shared-store"],
  },
  {
    id: "#1379",
    bug: "the cache forgets nothing",
    file: "store/block-cache.ts",
    edits: [["if (this.sizeBytes <= this.capacityBytes) return;", "if (this.sizeBytes <= Infinity) return;"]],
    tests: ["issues"],
  },
  {
    id: "#1215",
    bug: "a version that is listed and gone is an error",
    file: "store/sequence.ts",
    edits: [
      [
        "if (found === undefined) return await this.refreshAgain(attempt);",
        "if (found === undefined) return await this.refreshAgain(CONFLICTS_MAX + attempt);",
      ],
    ],
    tests: ["issues"],
  },
  {
    id: "#1732",
    bug: "a transaction that is given up stays open",
    file: "db/transaction.ts",
    edits: [["this.host.log.end(this);\n    this.unpin();", "this.host.log.end(this);"]],
    tests: ["db", "transactions"],
  },
  {
    id: "#1710",
    bug: "a serializable scan counts as having read nothing",
    file: "db/transaction.ts",
    edits: [["else this.readRanges.push(what);", "else if (this.seq < 0) this.readRanges.push(what);"]],
    tests: ["transactions"],
  },
  {
    id: "#1660",
    bug: "a compaction of L0s that is taken over keeps destination 0",
    file: "compaction/compactor.ts",
    edits: [
      [
        'const isUnsure = spec.runs.length === 0 && this.parts.profile === "0.12";',
        'const isUnsure = spec.runs.length === 0 && this.parts.profile !== "0.12" && this.epoch < 0;',
      ],
    ],
    tests: ["issues"],
  },
  {
    id: "#1857",
    bug: "the replay point of a memtable that was frozen on replay lies one object too far",
    file: "db/open.ts",
    edits: [["frozen.push({ memtable, walId: id,", "frozen.push({ memtable, walId: id + 1,"]],
    tests: ["issues"],
  },
  {
    id: "#1682",
    bug: "an opener goes on with a claim that came too late",
    file: "db/open.ts",
    edits: [["if (id !== claimed.id) return undefined;", "if (id < claimed.id) return undefined;"]],
    tests: ["issues"],
  },
  {
    id: "#1694",
    bug: "what is replayed is what was listed before the fence",
    file: "db/open.ts",
    edits: [
      [
        "{ manifest, fenceId, l0SstBytes: wanted.l0SstBytes, epoch }",
        "{ manifest, fenceId: listed + 1, l0SstBytes: wanted.l0SstBytes, epoch }",
      ],
    ],
    tests: ["races"],
  },
  {
    id: "#1969",
    bug: "a filter of no bits denies every key",
    file: "format/bloom.ts",
    edits: [["if (count === 0) return true;", ""]],
    tests: ["issues"],
  },
  {
    id: "#1893",
    bug: "a reader makes a checkpoint at every look",
    file: "db/db-reader.ts",
    edits: [
      [
        "if (isHeld && this.manifest !== undefined && sameTree(latest, this.manifest)) {",
        "if (isHeld && this.manifest !== undefined && this.seq < 0) {",
      ],
    ],
    tests: ["shared-store"],
  },
  {
    id: "segments: collection",
    bug: "garbage collection does not see what segments use",
    file: "format/manifest.ts",
    edits: [["return treesOf(manifest).flatMap((tree) =>", "return [manifest].flatMap((tree) =>"]],
    tests: ["segments"],
  },
  {
    id: "segments: reader",
    bug: "a reader does not notice that a segment changed",
    file: "db/db-reader.ts",
    edits: [["treesOf(manifest)\n      .map(", "[manifest]\n      .map("]],
    tests: ["segments"],
  },
  {
    id: "segments: encoding",
    bug: "a segment's last compacted L0 is lost when the manifest is written",
    file: "format/manifest.ts",
    edits: [["[flatRef(0, prefix), flatRef(1, tree.marker),", "[flatRef(0, prefix),"]],
    tests: ["segments"],
  },
  {
    id: "segments: writing",
    bug: "a store with segments is opened for writing",
    file: "db/context.ts",
    edits: [["if (!isSegmented(manifest)) return;", "if (isSegmented(manifest) || root.length >= 0) return;"]],
    tests: ["segments"],
  },
  {
    id: "views",
    bug: "two views of one SST share a table",
    file: "db/context.ts",
    edits: [["if (range === undefined) return ref.viewId;", 'if (range === undefined || ref.id !== "") return ref.viewId;']],
    tests: ["segments"],
  },
  {
    id: "large blocks",
    bug: "a block of a MiB goes into the file as the writer's own bytes",
    file: "format/sst-writer.ts",
    edits: [["this.pieces.push(bytes.slice());", "this.pieces.push(bytes);"]],
    tests: ["formats"],
  },
  {
    id: "options",
    bug: "a trivial move takes L0s that overlap",
    file: "compaction/compactor.ts",
    edits: [["return isDisjoint ? ssts : undefined;", "return isDisjoint || ssts.length > 0 ? ssts : undefined;"]],
    tests: ["metamorphic"],
  },
  {
    id: "options: snapshot",
    bug: "compaction keeps what the newest reader sees only",
    file: "compaction/compactor.ts",
    edits: [
      ["rules: { minSeq: manifest.recentSnapshotMinSeq,", "rules: { minSeq: Math.max(manifest.recentSnapshotMinSeq, manifest.lastL0Seq),"],
    ],
    tests: ["metamorphic"],
  },
  {
    id: "options: bottom",
    bug: "every compaction drops tombstones",
    file: "compaction/compactor.ts",
    edits: [["isBottom: isBottom(manifest, compaction.spec) }", "isBottom: true }"]],
    tests: ["metamorphic"],
  },
  {
    id: "retention",
    bug: "an expired value is dropped instead of becoming a tombstone",
    file: "db/retention.ts",
    edits: [["return row.kind === VALUE ? asTombstone(row) : row;", "return row.kind === VALUE ? undefined : asTombstone(row);"]],
    tests: ["compaction-rules", "metamorphic"],
  },
];
