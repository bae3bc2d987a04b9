/**
 * Planted bugs of the storage engine: each a patch of the sources, made in a copy. A net that catches none of them is no net. S01 to S04 once
 * went uncaught. `nets`: where to look for it first; the others are asked only if those say nothing.
 */

/** One replacement; `find` occurs exactly once in `file`. */
export interface Patch {
  readonly file: string;
  readonly find: string;
  readonly replace: string;
}

/** One planted bug. */
export interface Mutant {
  readonly id: string;
  readonly bug: string;
  readonly patches: readonly Patch[];
  /** Lies below the object store: only lives in files can see it. */
  readonly isInFiles?: boolean;
  /** Why no net has to catch it, if so. */
  readonly mayLive?: string;
}

const lsm = (file: string, find: string, replace: string): readonly Patch[] => [{ file: `src/lsm/${file}`, find, replace }];
const local = (file: string, find: string, replace: string): readonly Patch[] => [{ file: `src/host/local-store/${file}`, find, replace }];

/** All of them. */
export const MUTANTS: readonly Mutant[] = [
  {
    id: "S01",
    bug: "a tick goes back with the wall clock",
    patches: lsm("db/hybrid-clock.ts", "return this.lastTick;\n    }", "return wall;\n    }"),
  },
  {
    id: "S02",
    bug: "an ambiguous fence put is taken for success",
    patches: lsm("db/open.ts", 'if (outcome === "created") return id;', 'if (outcome !== "taken") return id;'),
  },
  {
    id: "S03",
    bug: "a flush does not check the writer's epoch",
    patches: lsm("db/flusher.ts", "      this.hooks.checkWriter(manifest);\n      return", "      return"),
    mayLive:
      "the manifest that would tell it has told the store already, and ended it with all its waits (Db.onManifest): two walls, see L31",
  },
  {
    id: "S04",
    bug: "a resumed compaction of version 1 goes to run 0",
    patches: lsm(
      "compaction/compactor.ts",
      "const destination = isUnsure ? freshRunId(manifest, []) : spec.destination;",
      "const destination = isUnsure ? 0 : spec.destination;",
    ),
  },
  {
    id: "L01",
    bug: "the replay point is one object too far",
    patches: lsm("db/flusher.ts", "replayAfterWalId: frozen.walId,", "replayAfterWalId: frozen.walId + 1,"),
  },
  {
    id: "L02",
    bug: "replay ends one object early",
    patches: lsm("db/open.ts", "id < range.fenceId; id++", "id < range.fenceId - 1; id++"),
  },
  {
    id: "L03",
    bug: "replay takes rows in that are in L0",
    patches: lsm("db/open.ts", "aboveSeq: manifest.lastL0Seq,", "aboveSeq: 0,"),
    mayLive: "this engine ends a WAL object where it freezes a memtable, so only SlateDB's stores have such rows: npm run interop:slatedb",
  },
  {
    id: "L04",
    bug: "collection forgets what checkpoints hold",
    patches: lsm("gc/gc.ts", "if (version !== undefined) kept.set(version.id, version.value);", ""),
  },
  {
    id: "L05",
    bug: "fences are collected",
    patches: lsm("gc/gc.ts", "if (!(await this.isFence(meta))) data.push(meta.key);", "data.push(meta.key);"),
  },
  {
    id: "L06",
    bug: "fences are collected, and a put after a long sleep is believed",
    patches: [
      ...lsm("gc/gc.ts", "if (!(await this.isFence(meta))) data.push(meta.key);", "data.push(meta.key);"),
      ...lsm(
        "db/wal-writer.ts",
        "if (msSince(this.epochCheckedAt, this.context.clock) < EPOCH_TRUST_MS) return;",
        "if (msSince(this.epochCheckedAt, this.context.clock) < Infinity) return;",
      ),
    ],
  },
  {
    id: "L07",
    bug: "collection does not spare what is younger than a compaction under way, or than the newest L0",
    patches: lsm(
      "gc/gc.ts",
      "Math.min(this.nowMs - this.minAgeMs, oldestJobMs, newestL0Ms)",
      "this.nowMs - this.minAgeMs + 0 * (oldestJobMs + newestL0Ms)",
    ),
  },
  { id: "L08", bug: "tombstones go above the bottom", patches: lsm("db/retention.ts", "if (rules.isBottom) while", "while") },
  {
    id: "L09",
    bug: "retention looks at no snapshot",
    patches: lsm("db/retention.ts", "(versions[i] as Row).seq > rules.minSeq;", "(versions[i] as Row).seq > Infinity;"),
  },
  {
    id: "L10",
    bug: "an expired value vanishes and lets an older one come back",
    patches: lsm("db/retention.ts", "return row.kind === VALUE ? asTombstone(row) : row;", "return row.kind === VALUE ? undefined : row;"),
  },
  { id: "L11", bug: "operands are merged whatever their expiry", patches: lsm("db/retention.ts", "if (!isUniform) return boundary;", "") },
  {
    id: "L12",
    bug: "a scanned range does not count as read",
    patches: lsm("db/transaction.ts", "else this.readRanges.push(what);", ""),
  },
  {
    id: "L13",
    bug: "a read key does not count",
    patches: lsm(
      "db/transaction.ts",
      "if (what instanceof Uint8Array) this.readKeys.add(keyText(what));",
      "if (what instanceof Uint8Array) return;",
    ),
  },
  {
    id: "L14",
    bug: "two writers of one key both commit",
    patches: lsm("db/transaction.ts", "const isConflict = written.has(text) || ", "const isConflict = "),
  },
  {
    id: "L15",
    bug: "a write is acknowledged before its object is there",
    patches: lsm("db/wal-writer.ts", "this.durable.advance(file.lastSeq);", "this.durable.advance(this.lastSeq);"),
  },
  {
    id: "L16",
    bug: "a name that is taken after a lost answer is taken for ours",
    patches: lsm(
      "store/retry.ts",
      'return found !== undefined && equalBytes(found, object.body) ? "same" : "taken";',
      'return found !== undefined ? "same" : "taken";',
    ),
  },
  {
    id: "L17",
    bug: "a lost answer is taken for a lost race",
    patches: lsm("store/retry.ts", 'return found !== undefined && equalBytes(found, object.body) ? "same" : "taken";', 'return "taken";'),
  },
  {
    id: "L18",
    bug: "a claim that may be another's counts as won",
    patches: lsm("store/sequence.ts", '(outcome === "same" && !isClaim)', '(outcome === "same" || isClaim)'),
  },
  {
    id: "L19",
    bug: "a compaction commits without asking for its epoch and its sources",
    patches: lsm(
      "compaction/compactor.ts",
      "      this.checkEpoch(manifest);\n      const fault = faultOfSpec(manifest, spec);\n      if (fault !== undefined)",
      '      const fault = faultOfSpec(manifest, spec);\n      if (fault === "never")',
    ),
  },
  {
    id: "L20",
    bug: "a resumed compaction begins again and keeps its outputs",
    patches: lsm("compaction/executor.ts", "range: { ...ALL_KEYS, start, startInclusive: true } };", "range: ALL_KEYS };"),
  },
  {
    id: "L21",
    bug: "a resumed compaction leaves the key out at which it goes on",
    patches: lsm("compaction/executor.ts", "start, startInclusive: true } };", "start, startInclusive: false } };"),
  },
  {
    id: "L22",
    bug: "a clone does not hold its parent",
    patches: lsm(
      "db/clone.ts",
      "for (const external of draft.externalDbs) await holdParent(external, child);",
      "for (const external of draft.externalDbs) void holdParent; ",
    ),
  },
  {
    id: "L23",
    bug: "a clone leaves the WAL behind",
    patches: lsm("db/clone.ts", "  await copyWal(parent, child, draft);", "  void copyWal;"),
  },
  {
    id: "L24",
    bug: "the manifest's tick does not move",
    patches: lsm("db/flusher.ts", "Math.max(manifest.lastL0ClockTick, memtable.lastTick)", "manifest.lastL0ClockTick"),
  },
  { id: "L25", bug: "a new process forgets the last stamp", patches: lsm("db/db.ts", "this.hybrid.observe(opened.lastTick);", "") },
  {
    id: "L26",
    bug: "what expired by a stamp comes back when the wall clock goes back",
    patches: lsm("db/db.ts", "return Math.max(this.context.clock.now(), this.hybrid.last);", "return this.context.clock.now();"),
  },
  {
    id: "L27",
    bug: "a snapshot is not kept",
    patches: lsm("db/db.ts", "this.lastSeq, this.pins.pin(this.lastSeq));", "this.lastSeq, () => undefined);"),
  },
  {
    id: "L28",
    bug: "the WAL reader's token points before the row",
    patches: lsm("db/wal-reader.ts", "token: { walId, rows: i + 1 }", "token: { walId, rows: i }"),
  },
  {
    id: "L29",
    bug: "a manifest below the boundary counts",
    patches: lsm("store/sequence.ts", 'return id <= (await this.boundary()) ? "taken" : outcome;', "return outcome;"),
  },
  {
    id: "L30",
    bug: "a reader sees the WAL beyond a gap",
    patches: lsm(
      "db/db-reader.ts",
      "if (bytes === undefined) break;",
      "if (bytes === undefined && tail.walId > 10) break;\n      if (bytes === undefined) {\n        tail.walId++;\n        continue;\n      }",
    ),
  },
  {
    id: "L31",
    bug: "neither a flush nor the store looks at the epoch of a manifest",
    patches: [
      ...lsm("db/flusher.ts", "      this.hooks.checkWriter(manifest);\n      return", "      return"),
      ...lsm(
        "db/db.ts",
        "    try {\n      checkEpoch(manifest, this.epoch);\n    } catch",
        "    try {\n      checkEpoch(manifest, Infinity);\n    } catch",
      ),
    ],
  },
  {
    id: "F01",
    isInFiles: true,
    bug: "a file is not synced before it gets its name",
    patches: local("local-object-store.ts", "if (this.#isSynced) await fsync(fd);", "void fsync;"),
  },
  {
    id: "F02",
    isInFiles: true,
    bug: "folders are not synced",
    patches: local("folders.ts", "if (!this.#isSynced) return Promise.resolve();", 'if (folder !== "") return Promise.resolve();'),
  },
  {
    id: "F03",
    isInFiles: true,
    bug: "the folder above a new folder is not synced",
    patches: local("folders.ts", "for (const above of chain) await this.sync(above);", "void chain;"),
  },
  {
    id: "F04",
    isInFiles: true,
    bug: "a file is written under its own name",
    patches: local("local-object-store.ts", "const temporaryPath = `${folder}/${newOwnName()}`;", "const temporaryPath = path;"),
  },
];
