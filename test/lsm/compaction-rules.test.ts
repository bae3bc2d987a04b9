/** What is merged when, what of it may be merged at all, and which versions survive: the rules alone. Names of SlateDB's tests in parentheses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { faultOfSpec, freshRunId, SizeTieredPicker } from "../../src/lsm/compaction/picker.ts";
import { applyCompaction, isBottom } from "../../src/lsm/compaction/compactor.ts";
import { retain, type RetentionRules } from "../../src/lsm/engine/retention.ts";
import { resolve } from "../../src/lsm/engine/merge-operator.ts";
import type { CompactionSpec } from "../../src/lsm/format/compactions.ts";
import { emptyManifest } from "../../src/lsm/format/manifest.ts";
import { MERGE, TOMBSTONE, VALUE, type Manifest, type MergeOperator, type Row, type RowKind, type SstRef } from "../../src/lsm/mod.ts";
import { bytes, text } from "./support/world.ts";

const SETTINGS = { minSources: 4, maxSources: 8, includeSizeThreshold: 4 };
const picker = new SizeTieredPicker(SETTINGS);

function sst(name: string, sizeBytes: number): SstRef {
  const info = { indexOffset: sizeBytes, indexLength: 0, filterOffset: sizeBytes, filterLength: 0, statsOffset: 0, statsLength: 0 };
  return {
    id: name,
    viewId: name,
    formatVersion: 2,
    info: { ...info, firstEntry: bytes("a"), lastEntry: bytes("z"), compression: "none", isWal: false, filterFormat: "legacy" },
    visibleRange: undefined,
  };
}

/** A manifest with that many L0s of size 1, newest named l1, and runs of these sizes with ids from high to low. */
function manifestOf(l0s: number, runSizes: readonly number[]): Manifest {
  return {
    ...emptyManifest(undefined),
    l0: Array.from({ length: l0s }, (_, i) => sst(`l${i + 1}`, 1)),
    runs: runSizes.map((size, i) => ({ id: runSizes.length - 1 - i, ssts: [sst(`r${i}`, size)] })),
  };
}

const pick = (manifest: Manifest, busy: readonly CompactionSpec[] = []): CompactionSpec | undefined => picker.pick(manifest, busy);
const namesOf = (from: number, to: number): string[] => Array.from({ length: to - from + 1 }, (_, i) => `l${from + i}`);

test("four L0s make a run, three wait (test_should_compact_l0_to_l1_via_size_tiered)", () => {
  assert.equal(pick(manifestOf(3, [])), undefined);
  assert.deepEqual(pick(manifestOf(4, [])), { l0: namesOf(1, 4), runs: [], destination: 0 });
});

test("of many L0s the oldest eight are merged (test_should_limit_sources)", () => {
  assert.deepEqual(pick(manifestOf(12, []))?.l0, namesOf(5, 12));
});

test("a run made of L0s gets an id above all that are there or on their way (test_should_assign_fresh_destination)", () => {
  assert.equal(pick(manifestOf(4, [100, 1000]))?.destination, 2);
  assert.equal(freshRunId(manifestOf(0, [1]), [{ l0: [], runs: [], destination: 7 }]), 8);
});

test("runs of similar size are merged into the lowest of their ids, the newest being no smaller than a quarter (test_should_compact_similar_runs)", () => {
  assert.deepEqual(pick(manifestOf(0, [10, 11, 12, 13])), { l0: [], runs: [3, 2, 1, 0], destination: 0 });
  assert.deepEqual(pick(manifestOf(0, [1, 1, 1, 4, 100])), { l0: [], runs: [4, 3, 2, 1], destination: 1 });
  assert.equal(pick(manifestOf(0, [1, 1, 1, 5])), undefined, "the fourth is too large to be rewritten with them");
  assert.equal(pick(manifestOf(0, [10, 10, 10])), undefined);
});

test("of many similar runs the oldest eight are merged", () => {
  assert.deepEqual(pick(manifestOf(0, Array<number>(12).fill(10)))?.runs, [7, 6, 5, 4, 3, 2, 1, 0]);
});

test("nothing is picked that is being merged, and no second merge of L0s (test_should_not_schedule_conflicting_compactions)", () => {
  const manifest = manifestOf(8, [10, 10, 10, 10]);
  const first = pick(manifest) as CompactionSpec;
  assert.equal(first.l0.length, 8);
  const second = pick(manifest, [first]) as CompactionSpec;
  assert.deepEqual(second.runs, [3, 2, 1, 0]);
  assert.equal(pick(manifest, [first, second]), undefined);
});

test("L0s wait while the runs that they would join wait to be merged (test_should_apply_backpressure)", () => {
  assert.equal(pick(manifestOf(4, Array<number>(7).fill(4)))?.l0.length, 4);
  const crowded = manifestOf(4, Array<number>(8).fill(4));
  assert.deepEqual(pick(crowded)?.runs.length, 8);
  assert.equal(pick(crowded, [{ l0: [], runs: [7, 6, 5, 4, 3, 2, 1, 0], destination: 0 }]), undefined);
});

test("whatever is picked can be done, and leaves a manifest whose runs are in order of age", () => {
  fc.assert(
    fc.property(fc.nat({ max: 20 }), fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 20 }), (l0s, sizes) => {
      let manifest = manifestOf(l0s, sizes);
      for (let step = 0; step < 40; step++) {
        const spec = pick(manifest);
        if (spec === undefined) return;
        assert.equal(faultOfSpec(manifest, spec), undefined);
        manifest = applyCompaction(manifest, { spec, outputs: [sst(`o${step}`, 10)], checkpoints: [] });
        const ids = manifest.runs.map((run) => run.id);
        assert.deepEqual(
          ids,
          [...new Set(ids)].toSorted((left, right) => right - left),
        );
      }
      assert.fail("it never comes to rest");
    }),
  );
});

test("a compaction that would break the order of age is refused, and why is said (test_validate_compaction_*)", () => {
  const manifest = manifestOf(4, [1, 1, 1]);
  const spec = (l0: string[], runs: number[], destination: number): string | undefined => faultOfSpec(manifest, { l0, runs, destination });
  assert.equal(spec(["l3", "l4"], [], 3), undefined);
  assert.equal(spec(["l1", "l2", "l3", "l4"], [2, 1, 0], 0), undefined);
  assert.equal(spec([], [2, 1], 1), undefined);
  assert.equal(spec(["l4"], [2], 2), undefined);
  assert.match(spec([], [], 0) ?? "", /no sources/);
  assert.match(spec(["l9"], [], 3) ?? "", /not there/);
  assert.match(spec([], [9], 9) ?? "", /not there/);
  assert.match(spec(["l1", "l3", "l4"], [], 3) ?? "", /not consecutive/);
  assert.match(spec([], [2, 0], 0) ?? "", /not consecutive/);
  assert.match(spec(["l4", "l3"], [], 3) ?? "", /not consecutive|not there|leaves/);
  assert.match(spec(["l1", "l2"], [], 3) ?? "", /leaves older L0s behind/);
  assert.match(spec(["l3"], [2], 2) ?? "", /not consecutive/);
  assert.match(spec(["l4"], [], 1) ?? "", /is another run/);
  assert.match(spec(["l1", "l2", "l3", "l4"], [], 2) ?? "", /is another run/);
  assert.match(spec([], [2, 1], 0) ?? "", /is another run/);
  assert.match(
    faultOfSpec({ ...manifest, runs: [{ id: 5, ssts: [] }] }, { l0: namesOf(1, 4), runs: [], destination: 3 }) ?? "",
    /below an older run/,
  );
});

test("only what takes the oldest with it is at the bottom: elsewhere tombstones stay", () => {
  const manifest = manifestOf(4, [1, 1]);
  assert.equal(isBottom(manifest, { l0: namesOf(1, 4), runs: [], destination: 2 }), false);
  assert.equal(isBottom(manifest, { l0: [], runs: [1, 0], destination: 0 }), true);
  assert.equal(isBottom(manifest, { l0: [], runs: [1], destination: 1 }), false);
  assert.equal(isBottom(manifestOf(4, []), { l0: namesOf(3, 4), runs: [], destination: 0 }), true);
});

const append: MergeOperator = { merge: (_key, existing, operand) => bytes((text(existing) ?? "") + (text(operand) ?? "")) };

function version(seq: number, kind: RowKind, value = "", expireTs?: number): Row {
  return { key: bytes("k"), kind, value: bytes(value), seq, createTs: seq, expireTs };
}

function kept(versions: readonly Row[], rules: Partial<RetentionRules>): string {
  const signs: Record<number, string> = { [VALUE]: "=", [TOMBSTONE]: "x", [MERGE]: "+" };
  return retain(versions, { minSeq: Infinity, tick: 0, isBottom: false, operator: append, ...rules })
    .map((row) => `${row.seq}${signs[row.kind] ?? "?"}${text(row.value)}`)
    .join(" ");
}

test("versions survive as the oldest reader needs them (test_retention_iterator_table_driven)", () => {
  const history = [version(9, VALUE, "i"), version(7, TOMBSTONE), version(5, VALUE, "e"), version(3, VALUE, "c")];
  assert.equal(kept(history, {}), "9=i");
  assert.equal(kept(history, { minSeq: 8 }), "9=i 7x");
  assert.equal(kept(history, { minSeq: 6 }), "9=i 7x 5=e");
  assert.equal(kept(history, { minSeq: 5 }), "9=i 7x 5=e");
  assert.equal(kept(history, { minSeq: 4 }), "9=i 7x 5=e 3=c");
  assert.equal(kept(history, { minSeq: 0 }), "9=i 7x 5=e 3=c");
  assert.equal(kept(history.slice(1), { isBottom: true }), "", "a tombstone at the bottom goes");
  assert.equal(
    kept(history.slice(1), { isBottom: true, minSeq: 6 }),
    "7x 5=e",
    "unless a reader sees beneath it (test_should_not_filter_tombstone_with_snapshot)",
  );
  assert.equal(kept([version(9, TOMBSTONE)], {}), "9x", "elsewhere it stays");
});

test("an expired value is a tombstone, an expired operand is nothing (test_should_compact_expired_entries)", () => {
  assert.equal(kept([version(5, VALUE, "e", 10)], { tick: 10 }), "5x");
  assert.equal(kept([version(5, VALUE, "e", 11)], { tick: 10 }), "5=e");
  assert.equal(kept([version(5, VALUE, "e", 10), version(3, VALUE, "c")], { tick: 10 }), "5x", "what is beneath does not come back");
  assert.equal(kept([version(5, VALUE, "e", 10)], { tick: 10, isBottom: true }), "");
  assert.equal(kept([version(5, MERGE, "e", 10), version(3, VALUE, "c")], { tick: 10 }), "3=c");
  assert.equal(
    kept([version(5, MERGE, "e", 10)], { tick: 10, isBottom: true }),
    "",
    "should_not_compact_expired_merge_operations_in_last_run",
  );
});

test("operands are merged if all expire alike, and stay apart if not (should_not_merge_operations_with_different_expire_times)", () => {
  const operands = [version(5, MERGE, "c"), version(4, MERGE, "b"), version(3, MERGE, "a")];
  assert.equal(kept(operands, {}), "5+abc");
  assert.equal(kept(operands, { isBottom: true }), "5=abc");
  assert.equal(kept([...operands, version(2, VALUE, "_")], {}), "5=_abc");
  assert.equal(kept([...operands, version(2, TOMBSTONE)], {}), "5=abc");
  assert.equal(kept([version(5, MERGE, "c", 99), version(4, MERGE, "b")], {}), "5+c 4+b");
  assert.equal(kept(operands, { operator: undefined }), "5+c 4+b 3+a");
  assert.equal(kept(operands, { minSeq: 4 }), "5+c 4+ab", "a reader at 4 sees no c (test_read_merges_from_snapshot_across_compaction)");
});

const history = fc
  .array(
    fc.record({
      kind: fc.constantFrom<RowKind>(VALUE, VALUE, TOMBSTONE, MERGE, MERGE),
      value: fc.string({ minLength: 1, maxLength: 1 }),
      step: fc.integer({ min: 1, max: 3 }),
      expireTs: fc.option(fc.integer({ min: 1, max: 20 }), { nil: undefined }),
    }),
    { maxLength: 8 },
  )
  .map((entries) => {
    let seq = 0;
    return entries
      .map((entry) => version((seq += entry.step), entry.kind, entry.kind === TOMBSTONE ? "" : entry.value, entry.expireTs))
      .reverse();
  });

test("no reader at or above the least sequence number sees a difference, whatever the history, twice compacted too", () => {
  fc.assert(
    fc.property(history, fc.nat({ max: 25 }), fc.integer({ min: 0, max: 20 }), fc.boolean(), (versions, minSeq, tick, isBottom) => {
      const rules: RetentionRules = { minSeq, tick, isBottom, operator: append };
      const after = retain(versions, rules);
      const again = retain(after, rules);
      const seen = (rows: readonly Row[], seq: number): string | undefined => {
        const visible = rows.filter((row) => row.seq <= seq);
        const base = visible.findIndex((row) => row.kind !== MERGE);
        return text(resolve(base === -1 ? visible : visible.slice(0, base + 1), { operator: append, expireAtMs: tick })?.value);
      };
      for (let seq = minSeq; seq < 27; seq++) {
        assert.equal(seen(after, seq), seen(versions, seq), `seq=${seq}`);
        assert.equal(seen(again, seq), seen(versions, seq), `again seq=${seq}`);
      }
      for (let i = 1; i < after.length; i++) assert.ok((after[i - 1] as Row).seq > (after[i] as Row).seq);
    }),
    { numRuns: 3000 },
  );
});
