/** The merge of compaction gives, byte for byte, what the simplest possible merge gives (support/reference-compaction.ts), over random inputs. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { compareBytes, equalBytes, seededRandom, toHex, type Random } from "../../src/base/mod.ts";
import { InlineExecutor } from "../../src/lsm/compaction/executor.ts";
import type { CompactionFilter, CompactionJob } from "../../src/lsm/engine/compaction.ts";
import { StoreContext } from "../../src/lsm/engine/context.ts";
import { LSM_DEFAULTS } from "../../src/lsm/engine/settings.ts";
import { UlidSource } from "../../src/lsm/format/identifiers.ts";
import { contains, type KeyRange } from "../../src/lsm/format/key-range.ts";
import type { SortedRun, SstRef } from "../../src/lsm/format/manifest.ts";
import { MERGE, TOMBSTONE, VALUE, type Row } from "../../src/lsm/format/row.ts";
import type { SstSettings } from "../../src/lsm/format/sst-writer.ts";
import { COMPRESSIONS, type MergeOperator } from "../../src/lsm/mod.ts";
import { faultyStore, NO_STORE_FAULTS } from "../../src/sim/world/object-store/faults.ts";
import { referenceCompaction, referenceSst } from "./support/reference-compaction.ts";
import { bytes, memoryWorld, text } from "./support/world.ts";

const SEED = Number(process.env["PUMICE_SEED"] ?? 20_261_121);
const CASES = Number(process.env["PUMICE_CASES"] ?? 40);
const TICK = 1000;
const FAULTS = { errorBefore: 0.02, errorAfter: 0.02, timeoutBefore: 0.01, timeoutAfter: 0.01, lateEffect: 0.02 };

const append: MergeOperator = { merge: (_key, existing, operand) => bytes((text(existing) ?? "") + (text(operand) ?? "")) };
const dropOdd: CompactionFilter = (row) => (row.value.length % 2 === 1 ? "drop" : "keep");

function pick<T>(random: Random, list: readonly T[]): T {
  return list[random.below(list.length)] as T;
}

/** How the rows of one case look. */
class Draw {
  private readonly random: Random;
  private readonly prefix: Uint8Array;
  private readonly keys: number;
  private readonly valueBytesMax: number;
  private readonly hasTimes: boolean;
  private readonly isPlain: boolean;

  constructor(random: Random) {
    this.random = random;
    this.prefix = Uint8Array.from({ length: pick(random, [0, 1, 6, 12, 100]) }, () => pick(random, [0, 0x6b, 0xff]));
    this.keys = pick(random, [5, 60, 1000]);
    this.valueBytesMax = pick(random, [0, 3, 40, 300]);
    this.hasTimes = random.below(2) === 0;
    this.isPlain = random.below(3) === 0;
  }

  row(seq: number): Row {
    const { random } = this;
    const number = random.below(this.keys);
    // Some keys begin other keys, some are empty but for the prefix, some are long.
    const own = number % 7 === 0 ? [] : [number & 0xff, ...(number % 3 === 0 ? [] : [number >> 8, 0, 0, 0, 0, number % 5])];
    const key = Uint8Array.from([...this.prefix, 1, ...own, ...(number % 11 === 0 ? Array.from({ length: 80 }, () => 7) : [])]);
    const roll = this.isPlain ? 0 : random.below(10);
    const kind = roll < 6 ? VALUE : roll < 8 ? TOMBSTONE : MERGE;
    const length = random.below(200) === 0 ? 3000 + random.below(80_000) : random.below(this.valueBytesMax + 1);
    const value = kind === TOMBSTONE ? new Uint8Array(0) : Uint8Array.from({ length }, () => random.below(4) * 60);
    const time = (): number | undefined =>
      this.hasTimes && random.below(3) === 0 ? pick(random, [TICK, random.below(2 * TICK) - 5]) : undefined;
    return { key, kind, value, seq, createTs: time(), expireTs: time() };
  }
}

interface Case {
  readonly job: CompactionJob;
  /** All rows that the sources show. */
  readonly rows: readonly Row[];
  readonly operator: MergeOperator | undefined;
  readonly filter: CompactionFilter | undefined;
}

/** Sources in a store, and what is in them. */
class World {
  readonly random: Random;
  readonly world: ReturnType<typeof memoryWorld>;
  readonly ulids: UlidSource;
  readonly rows: Row[] = [];
  private nextSeq = 1;

  constructor(seed: number) {
    this.random = seededRandom(seed);
    this.ulids = new UlidSource(this.random);
    this.world = memoryWorld();
  }

  settings(): SstSettings {
    const { random } = this;
    return {
      blockSizeBytes: pick(random, [1024, 4096, 65_536]),
      compression: pick(random, COMPRESSIONS),
      minFilterKeys: pick(random, [0, 10, 1000]),
      filterBitsPerKey: pick(random, [1, 10, 20]),
      filterFormat: pick(random, ["legacy", "composite"]),
    };
  }

  /** Rows of one source, newer than all before, in order; a batch's rows share a sequence number. */
  source(draw: Draw): Row[] {
    const { random } = this;
    const rows = new Map<string, Row>();
    const count = pick(random, [1, 20, 300]);
    for (let i = 0; i < count; i++) {
      this.nextSeq += random.below(3) === 0 ? 0 : 1;
      const row = draw.row(this.nextSeq);
      rows.set(`${toHex(row.key)}/${row.seq}`, row);
    }
    this.nextSeq++;
    return [...rows.values()].toSorted((left, right) => compareBytes(left.key, right.key) || right.seq - left.seq);
  }

  /** Puts the rows as an SST, of which perhaps only a part of the keys is visible. */
  async put(rows: readonly Row[], context: StoreContext): Promise<SstRef> {
    const { random } = this;
    const formatVersion = random.below(6) === 0 ? 1 : 2;
    const drawn = this.settings();
    // Offsets in a block of version 1 are 16 bits, and its rows take a little more room.
    const settings = formatVersion === 1 ? { ...drawn, blockSizeBytes: Math.min(4096, drawn.blockSizeBytes) } : drawn;
    const { bytes: body, info } = referenceSst(rows, settings, context.sealer, formatVersion);
    const id = this.ulids.next(TICK);
    await this.world.store.put(context.paths.sst(id), body);
    let visibleRange: KeyRange | undefined;
    if (random.below(6) === 0 && rows.length > 4) {
      const start = rows[random.below(rows.length)]?.key;
      const end = rows[random.below(rows.length)]?.key;
      if (start !== undefined && end !== undefined && compareBytes(start, end) < 0)
        visibleRange = { start, startInclusive: random.below(2) === 0, end, endInclusive: random.below(2) === 0 };
    }
    for (const row of rows) {
      if (visibleRange !== undefined && !contains(visibleRange, row.key)) continue;
      // Version 1 forgets when a tombstone expires.
      this.rows.push(formatVersion === 1 && row.kind === TOMBSTONE ? { ...row, expireTs: undefined } : row);
    }
    // SlateDB before 0.11 did not say where an SST ends.
    const told = formatVersion === 1 && random.below(2) === 0 ? { ...info, lastEntry: undefined } : info;
    return { id, viewId: id, formatVersion, info: told, visibleRange };
  }

  /** A run of several SSTs; other engines may part the versions of one key. */
  async run(id: number, rows: readonly Row[], context: StoreContext): Promise<SortedRun> {
    const ssts: SstRef[] = [];
    for (let at = 0; at < rows.length;) {
      let end = at + 1 + this.random.below(120);
      if (this.random.below(4) > 0)
        while (end < rows.length && compareBytes((rows[end - 1] as Row).key, (rows[end] as Row).key) === 0) end++;
      ssts.push(await this.put(rows.slice(at, end), context));
      at = end;
    }
    return { id, ssts };
  }

  async draw(context: StoreContext): Promise<Case> {
    const { random } = this;
    const draw = new Draw(random);
    const runs: SortedRun[] = [];
    let last: Row[] = [];
    for (let i = random.below(4); i > 0; i--) {
      last = this.source(draw);
      runs.unshift(await this.run(10 - i, last, context));
    }
    const l0: SstRef[] = [];
    for (let i = random.below(6) + (runs.length === 0 ? 1 : 0); i > 0; i--) {
      // Now and then a source repeats some rows of the one before: two sources may hold the same row.
      const again = random.below(4) === 0 ? last.filter(() => random.below(2) === 0) : [];
      const rows = [...this.source(draw), ...again];
      last = rows.toSorted((left, right) => compareBytes(left.key, right.key) || right.seq - left.seq);
      l0.unshift(await this.put(last, context));
    }
    const job: CompactionJob = {
      id: this.ulids.next(TICK),
      sources: { l0, runs, externalDbs: [] },
      outputs: [],
      rules: {
        minSeq: pick(random, [0, Math.floor(this.nextSeq / 2), this.nextSeq]),
        tick: pick(random, [0, TICK, 3 * TICK]),
        isBottom: random.below(2) === 0,
      },
      settings: { ...this.settings(), maxSstBytes: pick(random, [1, 3000, 20_000, 1e9]) },
    };
    const operator = random.below(2) === 0 ? append : undefined;
    return { job, rows: this.rows, operator, filter: random.below(4) === 0 ? dropOdd : undefined };
  }
}

async function check(seed: number): Promise<number> {
  const world = new World(seed);
  const plain = StoreContext.of("db", world.world.components, LSM_DEFAULTS);
  const { job, rows, operator, filter } = await world.draw(plain);
  const { components } = world.world;
  // Now and then a put fails before or after its effect, or arrives later: what is stored in the end is the same.
  const store = faultyStore(components.store, {
    clock: components.clock,
    random: world.random,
    rates: (call) => (call.operation === "createFrom" ? FAULTS : NO_STORE_FAULTS),
    timeoutMs: 1,
    lateMsMax: 5,
  });
  const limits = { ...LSM_DEFAULTS, cacheBytes: 0 };
  const context = StoreContext.of("db", { ...components, store, mergeOperator: operator }, limits);
  context.shared.becomePatient();
  const expected = referenceCompaction(rows, { ...job.rules, operator, filter, settings: job.settings }, context.sealer);
  const executor = new InlineExecutor(context, { filter, pieceBytes: pick(world.random, [undefined, 100, 5000]) });
  const told: number[] = [];
  const progress = { onOutput: async (outputs: readonly SstRef[]) => void told.push(outputs.length), onBytes: () => undefined };
  const compare = async (outputs: readonly SstRef[]): Promise<void> => {
    assert.equal(outputs.length, expected.length);
    for (const [i, output] of outputs.entries()) {
      assert.deepEqual(output.info, expected[i]?.info, `info of output ${i}`);
      const stored = await world.world.store.get(context.paths.sst(output.id));
      assert.ok(stored !== undefined && equalBytes(stored, expected[i]?.bytes as Uint8Array), `bytes of output ${i}`);
    }
  };
  const outputs = await executor.run(job, progress);
  await compare(outputs);
  assert.deepEqual(
    told,
    expected.map((_, i) => i + 1),
  );
  // Gone on with after any number of outputs, it ends with the same.
  const done = world.random.below(outputs.length + 1);
  await compare(await executor.run({ ...job, outputs: outputs.slice(0, done) }, progress));
  return outputs.length;
}

test(`a compaction gives the bytes of the simplest merge, also when it is resumed (PUMICE_SEED=${SEED}, ${CASES} cases)`, async () => {
  let outputs = 0;
  for (let seed = SEED; seed < SEED + CASES; seed++) {
    try {
      outputs += await check(seed);
    } catch (error) {
      throw new Error(`PUMICE_SEED=${seed} PUMICE_CASES=1`, { cause: error });
    }
  }
  assert.ok(outputs > CASES, "most cases have outputs");
});
