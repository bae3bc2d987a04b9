/**
 * Planted bugs of the storage engine: those that SlateDB's users met (their issue's number), those that were met here, and guesses (L and F: in the engine,
 * and in the store of a directory). Each names the nets that must catch it, each of them alone. S01 to S03, and #1660, once went uncaught.
 */
import type { Patch, PlantedBug } from "../../support/planted-bugs.ts";

/** Lives under faults; short lives that die at each call of the object store, or of the file system; a test of test/lsm by its file. */
export type Net = "lives" | "calls" | "files" | `test:${string}`;

/** One of them. */
export interface LsmBug extends PlantedBug {
  readonly nets: readonly Net[];
}

const lsm = (file: string, find: string, replace: string): Patch => ({ file: `src/lsm/${file}`, find, replace });
const local = (file: string, find: string, replace: string): Patch => ({ file: `src/host/local-store/${file}`, find, replace });

/** All of them. */
export const MUTANTS: readonly LsmBug[] = [
  {
    id: "S01",
    bug: "a tick goes back with the wall clock",
    patches: [lsm("db/hybrid-clock.ts", "return this.#lastTick;\n    }", "return wall;\n    }")],
    nets: ["lives"],
  },
  {
    id: "S02",
    bug: "an ambiguous fence put is taken for success",
    patches: [lsm("db/open.ts", 'if (outcome === "created") return id;', 'if (outcome !== "taken") return id;')],
    nets: ["test:races"],
  },
  {
    id: "S03",
    bug: "a flush does not check the writer's epoch",
    patches: [lsm("db/flusher.ts", "      this.#hooks.checkWriter(manifest);\n      return", "      return")],
    nets: ["lives"],
    mayLive:
      "the manifest that would tell it has told the store already, and ended it with all its waits (Db.onManifest): two walls, see L31",
  },
  {
    id: "#1660",
    bug: "a resumed compaction of version 1 goes to run 0",
    patches: [
      lsm(
        "compaction/compactor.ts",
        "const destination = isUnsure ? freshRunId(manifest, []) : spec.destination;",
        "const destination = isUnsure ? 0 : spec.destination;",
      ),
    ],
    nets: ["test:issues"],
  },
  {
    id: "L01",
    bug: "the replay point is one object too far",
    patches: [lsm("db/flusher.ts", "replayAfterWalId: frozen.walId,", "replayAfterWalId: frozen.walId + 1,")],
    nets: ["lives", "calls"],
  },
  {
    id: "L02",
    bug: "replay ends one object early",
    patches: [lsm("db/open.ts", "id < range.fenceId; id++", "id < range.fenceId - 1; id++")],
    nets: ["lives", "calls"],
  },
  {
    id: "L03",
    bug: "replay takes rows in that are in L0",
    patches: [lsm("db/open.ts", "aboveSeq: manifest.lastL0Seq,", "aboveSeq: 0,")],
    nets: ["lives"],
    mayLive: "this engine ends a WAL object where it freezes a memtable, so only SlateDB's stores have such rows: npm run interop:slatedb",
  },
  {
    id: "L04",
    bug: "collection forgets what checkpoints hold",
    patches: [lsm("gc/gc.ts", "if (version !== undefined) kept.set(version.id, version.value);", "")],
    nets: ["lives"],
  },
  {
    id: "#352",
    bug: "fences are collected",
    patches: [
      lsm(
        "gc/gc.ts",
        "if (this.#isOlder(meta, FENCE_AGE_MS) || !(await this.#isFence(meta))) unneeded.push(meta.key);",
        "unneeded.push(meta.key);",
      ),
    ],
    nets: ["test:shared-store"],
  },
  {
    id: "L06",
    bug: "fences are collected, and a put after a long sleep is believed",
    patches: [
      lsm(
        "gc/gc.ts",
        "if (this.#isOlder(meta, FENCE_AGE_MS) || !(await this.#isFence(meta))) unneeded.push(meta.key);",
        "unneeded.push(meta.key);",
      ),
      lsm(
        "db/wal-writer.ts",
        "if (msSince(this.#epochCheckedAt, this.#context.clock) < EPOCH_TRUST_MS) return;",
        "if (msSince(this.#epochCheckedAt, this.#context.clock) < Infinity) return;",
      ),
    ],
    nets: ["test:shared-store"],
  },
  {
    id: "L07",
    bug: "collection does not spare what is younger than a compaction under way, or than the newest L0",
    patches: [
      lsm(
        "gc/gc.ts",
        "Math.min(this.#nowMs - this.#minAgeMs, oldestJobMs, newestL0Ms)",
        "this.#nowMs - this.#minAgeMs + 0 * (oldestJobMs + newestL0Ms)",
      ),
    ],
    nets: ["test:races", "test:shared-store"],
  },
  {
    id: "L08",
    bug: "tombstones go above the bottom",
    patches: [lsm("engine/retention.ts", "if (rules.isBottom) while", "while")],
    nets: ["lives"],
  },
  {
    id: "L09",
    bug: "retention looks at no snapshot",
    patches: [lsm("engine/retention.ts", "(versions[i] as Row).seq > rules.minSeq;", "(versions[i] as Row).seq > Infinity;")],
    nets: ["lives"],
  },
  {
    id: "L10",
    bug: "an expired value vanishes and lets an older one come back",
    patches: [
      lsm("engine/retention.ts", "return row.kind === VALUE ? asTombstone(row) : row;", "return row.kind === VALUE ? undefined : row;"),
    ],
    nets: ["lives", "test:compaction-rules", "test:metamorphic"],
  },
  {
    id: "L11",
    bug: "operands are merged whatever their expiry",
    patches: [lsm("engine/retention.ts", "if (!isUniform) return boundary;", "")],
    nets: ["lives"],
  },
  {
    id: "#1710",
    bug: "a scanned range does not count as read",
    patches: [lsm("db/transaction.ts", "else this.#readRanges.push(what);", "")],
    nets: ["lives", "test:transactions"],
  },
  {
    id: "L13",
    bug: "a read key does not count",
    patches: [
      lsm(
        "db/transaction.ts",
        "if (what instanceof Uint8Array) this.#readKeys.add(keyText(what));",
        "if (what instanceof Uint8Array) return;",
      ),
    ],
    nets: ["lives"],
  },
  {
    id: "L14",
    bug: "two writers of one key both commit",
    patches: [lsm("db/transaction.ts", "const isConflict = written.has(text) || ", "const isConflict = ")],
    nets: ["lives"],
  },
  {
    id: "L15",
    bug: "a write is acknowledged before its object is there",
    patches: [lsm("db/wal-writer.ts", "this.#durable.advance(file.lastSeq);", "this.#durable.advance(this.#lastSeq);")],
    nets: ["lives"],
  },
  {
    id: "L16",
    bug: "a name that is taken after a lost answer is taken for ours",
    patches: [
      lsm(
        "store/retry.ts",
        'return found !== undefined && equalBytes(found, object.body) ? "same" : "taken";',
        'return found !== undefined ? "same" : "taken";',
      ),
    ],
    nets: ["lives"],
  },
  {
    id: "L17",
    bug: "a lost answer is taken for a lost race",
    patches: [lsm("store/retry.ts", 'return found !== undefined && equalBytes(found, object.body) ? "same" : "taken";', 'return "taken";')],
    nets: ["lives"],
  },
  {
    id: "L18",
    bug: "a claim that may be another's counts as won",
    patches: [lsm("store/sequence.ts", '(outcome === "same" && !isClaim)', '(outcome === "same" || isClaim)')],
    nets: ["lives"],
  },
  {
    id: "L19",
    bug: "a compaction commits without asking for its epoch and its sources",
    patches: [
      lsm(
        "compaction/compactor.ts",
        "      this.#checkEpoch(manifest);\n      const fault = faultOfSpec(manifest, spec);\n      if (fault !== undefined)",
        '      const fault = faultOfSpec(manifest, spec);\n      if (fault === "never")',
      ),
    ],
    nets: ["test:races"],
  },
  {
    id: "L20",
    bug: "a resumed compaction begins again and keeps its outputs",
    patches: [lsm("compaction/executor.ts", "range: { ...ALL_KEYS, start, startInclusive: true } };", "range: ALL_KEYS };")],
    nets: ["lives"],
  },
  {
    id: "L21",
    bug: "a resumed compaction leaves the key out at which it goes on",
    patches: [lsm("compaction/executor.ts", "start, startInclusive: true } };", "start, startInclusive: false } };")],
    nets: ["lives"],
  },
  {
    id: "L22",
    bug: "a clone does not hold its parent",
    patches: [
      lsm(
        "db/clone.ts",
        "for (const external of draft.externalDbs) await holdParent(external, child);",
        "for (const external of draft.externalDbs) void holdParent; ",
      ),
    ],
    nets: ["lives"],
  },
  {
    id: "L23",
    bug: "a clone leaves the WAL behind",
    patches: [lsm("db/clone.ts", "  await copyWal(parent, child, draft);", "  void copyWal;")],
    nets: ["test:review"],
  },
  {
    id: "L24",
    bug: "the manifest's tick does not move",
    patches: [lsm("db/flusher.ts", "Math.max(manifest.lastL0ClockTick, memtable.lastTick)", "manifest.lastL0ClockTick")],
    nets: ["lives"],
  },
  {
    id: "L25",
    bug: "a new process forgets the last stamp",
    patches: [lsm("db/db.ts", "this.#hybrid.observe(opened.lastTick);", "")],
    nets: ["lives"],
  },
  {
    id: "L26",
    bug: "what expired by a stamp comes back when the wall clock goes back",
    patches: [lsm("db/hybrid-clock.ts", "return presentMs(this.#lastTick, this.#clock.now());", "return this.#clock.now();")],
    nets: ["lives"],
  },
  {
    id: "L27",
    bug: "a snapshot is not kept",
    patches: [lsm("db/db.ts", "this.#lastSeq, this.#pins.pin(this.#lastSeq));", "this.#lastSeq, () => undefined);")],
    nets: ["lives"],
  },
  {
    id: "L28",
    bug: "the WAL reader's token points before the row",
    patches: [lsm("db/wal-reader.ts", "token: { walId, rows: i + 1 }", "token: { walId, rows: i }")],
    nets: ["lives"],
  },
  {
    id: "L29",
    bug: "a manifest below the boundary counts",
    patches: [lsm("store/sequence.ts", 'return id <= (await this.boundary()) ? "taken" : outcome;', "return outcome;")],
    nets: ["test:slatedb-laws", "test:races"],
  },
  {
    id: "L30",
    bug: "a reader sees the WAL beyond a gap",
    patches: [
      lsm(
        "db/db-reader.ts",
        "if (bytes === undefined) break;",
        "if (bytes === undefined && tail.walId > 10) break;\n      if (bytes === undefined) {\n        tail.walId++;\n        continue;\n      }",
      ),
    ],
    nets: ["lives"],
  },
  {
    id: "L31",
    bug: "neither a flush nor the store looks at the epoch of a manifest",
    patches: [
      lsm("db/flusher.ts", "      this.#hooks.checkWriter(manifest);\n      return", "      return"),
      lsm(
        "db/db.ts",
        "    try {\n      checkEpoch(manifest, this.#epoch);\n    } catch",
        "    try {\n      checkEpoch(manifest, Infinity);\n    } catch",
      ),
    ],
    nets: ["lives"],
  },
  {
    id: "F01",
    bug: "a file is not synced before it gets its name",
    patches: [local("local-object-store.ts", "if (this.#isSynced) await fsync(fd);", "void fsync;")],
    nets: ["files"],
  },
  {
    id: "F02",
    bug: "folders are not synced",
    patches: [local("folders.ts", "if (!this.#isSynced) return Promise.resolve();", 'if (folder !== "") return Promise.resolve();')],
    nets: ["files"],
  },
  {
    id: "F03",
    bug: "the folder above a new folder is not synced",
    patches: [local("folders.ts", "for (const above of chain) await this.sync(above);", "void chain;")],
    nets: ["files"],
  },
  {
    id: "F04",
    bug: "a file is written under its own name",
    patches: [local("local-object-store.ts", "const temporaryPath = `${folder}/${newOwnName()}`;", "const temporaryPath = path;")],
    nets: ["files"],
  },
  {
    id: "#431",
    bug: "a stamp before the last one is an error",
    patches: [lsm("db/hybrid-clock.ts", "this.#backwards++;", 'throw new Error("invalid clock tick");')],
    nets: ["test:clock"],
  },
  {
    id: "#431b",
    bug: "replay refuses rows that are older than the manifest's tick",
    patches: [
      lsm(
        "db/open.ts",
        "lastTick = Math.max(lastTick, memtable.lastTick);",
        'if (!memtable.isEmpty && memtable.lastTick < lastTick) throw new Error("invalid clock tick"); lastTick = Math.max(lastTick, memtable.lastTick);',
      ),
    ],
    nets: ["test:clock"],
  },
  {
    id: "#431c",
    bug: "the manifest's tick is the clock's, not that of the rows in L0",
    patches: [
      lsm(
        "db/flusher.ts",
        "Math.max(manifest.lastL0ClockTick, memtable.lastTick)",
        "Math.max(manifest.lastL0ClockTick, this.#context.clock.now() + 1)",
      ),
    ],
    nets: ["test:clock"],
  },
  {
    id: "#604",
    bug: "garbage collection does not look at compactions under way",
    patches: [
      lsm(
        "gc/gc.ts",
        "const oldestJobMs = await this.#oldestJobTime();",
        "const oldestJobMs = (await this.#oldestJobTime()) * 0 + Infinity;",
      ),
    ],
    nets: ["test:races", "test:segments"],
  },
  {
    id: "#591",
    bug: "the blocks of a WAL object are taken for uncompressed",
    patches: [lsm("format/sst-reader.ts", "sealer.unseal(stored, info.compression, origin)", 'sealer.unseal(stored, "none", origin)')],
    nets: ["test:issues"],
  },
  {
    id: "#1192",
    bug: "a compactor does not take over what was under way",
    patches: [
      lsm(
        "compaction/compactor.ts",
        "if (isActive(compaction)) this.#launch(compaction);",
        "if (isActive(compaction) && this.#epoch < 0) this.#launch(compaction);",
      ),
    ],
    nets: ["test:shared-store", "test:issues"],
  },
  {
    id: "#1850",
    bug: "a compaction that fails ends the store",
    patches: [lsm("db/background.ts", "onEnd: (error) => {", "onEnd: (error) => { if (error !== undefined) this.#hooks.onFailure(error);")],
    nets: ["test:issues", "test:shared-store"],
  },
  {
    id: "#1379",
    bug: "the cache forgets nothing",
    patches: [
      lsm("store/block-cache.ts", "if (this.#sizeBytes <= this.#capacityBytes) return;", "if (this.#sizeBytes <= Infinity) return;"),
    ],
    nets: ["test:issues"],
  },
  {
    id: "#1215",
    bug: "a version that is listed and gone is an error",
    patches: [
      lsm(
        "store/sequence.ts",
        "if (found === undefined) return await this.#refreshAgain(attempt);",
        "if (found === undefined) return await this.#refreshAgain(CONFLICTS_MAX + attempt);",
      ),
    ],
    nets: ["test:issues"],
  },
  {
    id: "#1732",
    bug: "a transaction that is given up stays open",
    patches: [lsm("db/transaction.ts", "this.#host.log.end(this);\n    this.#unpin();", "this.#host.log.end(this);")],
    nets: ["test:db"],
  },
  {
    id: "#1857",
    bug: "the replay point of a memtable that was frozen on replay lies one object too far",
    patches: [lsm("db/open.ts", "frozen.push({ memtable, walId: id,", "frozen.push({ memtable, walId: id + 1,")],
    nets: ["test:issues"],
  },
  {
    id: "#1682",
    bug: "an opener goes on with a claim that came too late",
    patches: [lsm("db/open.ts", "if (id !== claimed.id) return undefined;", "if (id < claimed.id) return undefined;")],
    nets: ["test:issues"],
  },
  {
    id: "#1694",
    bug: "what is replayed is what was listed before the fence",
    patches: [
      lsm(
        "db/open.ts",
        "{ manifest, fenceId, l0SstBytes: wanted.l0SstBytes, epoch }",
        "{ manifest, fenceId: listed + 1, l0SstBytes: wanted.l0SstBytes, epoch }",
      ),
    ],
    nets: ["test:races"],
  },
  {
    id: "#1969",
    bug: "a filter of no bits denies every key",
    patches: [lsm("format/bloom.ts", "if (count === 0) return true;", "")],
    nets: ["test:issues"],
  },
  {
    id: "#1893",
    bug: "a reader makes a checkpoint at every look",
    patches: [
      lsm(
        "db/reader-holds.ts",
        "newest !== undefined && sameTree(latest, newest.manifest) ? newest : undefined;",
        "newest !== undefined && this.#lifetimeMs < 0 ? newest : undefined;",
      ),
    ],
    nets: ["test:shared-store"],
  },
  {
    id: "life-618",
    bug: "of a memtable's row and that of the L0 made of it, either counts",
    patches: [lsm("store/cursors.ts", " || this.#cursors.indexOf(left) - this.#cursors.indexOf(right)", "")],
    nets: ["test:races"],
  },
  {
    id: "life-40274",
    bug: "a writer calls missing what another process compacted since it looked",
    patches: [lsm("db/db.ts", "refresh: async (signal) => void (await this.#context.scoped(signal).manifests.refresh()),", "")],
    nets: ["test:races"],
  },
  {
    id: "reader-hold",
    bug: "a reader lets go of what its scans still read",
    patches: [lsm("db/db-reader.ts", "keep: () => this.#holds.use(),", "")],
    nets: ["test:reader-holds"],
  },
  {
    id: "segments-collection",
    bug: "garbage collection does not see what segments use",
    patches: [lsm("format/manifest.ts", "return treesOf(manifest).flatMap((tree) =>", "return [manifest].flatMap((tree) =>")],
    nets: ["test:segments"],
  },
  {
    id: "segments-reader",
    bug: "a reader does not notice that a segment changed",
    patches: [lsm("db/reader-holds.ts", "treesOf(manifest)\n      .map(", "[manifest]\n      .map(")],
    nets: ["test:segments"],
  },
  {
    id: "segments-encoding",
    bug: "a segment's last compacted L0 is lost when the manifest is written",
    patches: [lsm("format/manifest.ts", "[flatRef(0, prefix), flatRef(1, tree.marker),", "[flatRef(0, prefix),")],
    nets: ["test:segments"],
  },
  {
    id: "segments-writing",
    bug: "a store with segments is opened for writing",
    patches: [lsm("engine/context.ts", "if (!isSegmented(manifest)) return;", "if (isSegmented(manifest) || root.length >= 0) return;")],
    nets: ["test:segments"],
  },
  {
    id: "views",
    bug: "two views of one SST share a table",
    patches: [
      lsm("engine/store.ts", "if (range === undefined) return ref.viewId;", 'if (range === undefined || ref.id !== "") return ref.viewId;'),
    ],
    nets: ["test:segments"],
  },
  {
    id: "large-blocks",
    bug: "a block of a MiB goes into the file as the writer's own bytes",
    patches: [lsm("format/sst-writer.ts", "this.#pieces.push(copyBytes(bytes));", "this.#pieces.push(bytes);")],
    nets: ["test:formats"],
  },
  {
    id: "options",
    bug: "a trivial move takes L0s that overlap",
    patches: [
      lsm("compaction/compactor.ts", "return isDisjoint ? ssts : undefined;", "return isDisjoint || ssts.length > 0 ? ssts : undefined;"),
    ],
    nets: ["test:metamorphic"],
  },
  {
    id: "options-snapshot",
    bug: "compaction keeps what the newest reader sees only",
    patches: [
      lsm(
        "compaction/compactor.ts",
        "rules: { minSeq: manifest.recentSnapshotMinSeq,",
        "rules: { minSeq: Math.max(manifest.recentSnapshotMinSeq, manifest.lastL0Seq),",
      ),
    ],
    nets: ["test:metamorphic"],
  },
  {
    id: "bytes-bounds",
    bug: "a scan keeps the bounds that the caller may change",
    patches: [lsm("db/reads.ts", "(bound === undefined ? undefined : copyBytes(bound))", "bound")],
    nets: ["test:callers-bytes", "test:metamorphic"],
  },
  {
    id: "bytes-batch",
    bug: "a batch keeps the keys that the caller may change",
    patches: [lsm("db/batch.ts", "key: pool.copy(operation.key),", "key: operation.key,")],
    nets: ["test:metamorphic"],
  },
  {
    id: "bytes-merged",
    bug: "what the merge operator gave is kept as it is",
    patches: [lsm("engine/merge-operator.ts", "return copyBytes(value);", "void copyBytes;\n  return value;")],
    nets: ["test:callers-bytes", "test:metamorphic"],
  },
  {
    id: "clock-lead",
    bug: "a stamp of a clock that was a year ahead makes rows expire",
    patches: [lsm("engine/present.ts", "return newestTick - wallMs > LEAD_MS_MAX ? wallMs : newestTick;", "return newestTick;")],
    nets: ["test:in-use"],
  },
  {
    id: "verify-live",
    bug: "verify takes for damage what is collected meanwhile",
    patches: [
      lsm(
        "admin/verify.ts",
        "!isAbsent || needed === undefined || needed(object)",
        "!isAbsent || needed === undefined || object.length > 0",
      ),
    ],
    nets: ["test:in-use"],
  },
  {
    id: "options-bottom",
    bug: "every compaction drops tombstones",
    patches: [lsm("compaction/compactor.ts", "isBottom: isBottom(manifest, compaction.spec) }", "isBottom: true }")],
    nets: ["test:metamorphic"],
  },
];
