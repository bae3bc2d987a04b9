/**
 * Checks a store: every checksum, every order, every reference. Reads everything, changes nothing, and goes on after a finding.
 *
 * The store may be in use: what is missing is a finding only if the manifest that is in force afterwards still needs it.
 */
import { compareBytes, equalBytes, isPumiceError, PumiceError, toHex } from "../../base/mod.ts";
import type { StoreContext } from "../engine/context.ts";
import { checkOrder } from "../db/replay.ts";
import { allSsts, treesOf, type LsmTree, type Manifest, type SortedRun } from "../format/manifest.ts";
import type { Row } from "../format/row.ts";
import { sipHash13 } from "../format/siphash.ts";
import { readWal } from "../format/sst-reader.ts";
import { idOf } from "../store/paths.ts";
import { withRetry } from "../store/retry.ts";
import { firstVisible, lastVisible, nothingLoaded, type Table } from "../store/tables.ts";

/** Something that is not as it must be. */
export interface Finding {
  /** The object in question. */
  readonly object: string;
  readonly problem: string;
}

/** What was looked at, and what was wrong with it. */
export interface VerifyReport {
  readonly manifests: number;
  readonly ssts: number;
  readonly wals: number;
  readonly rows: number;
  readonly findings: readonly Finding[];
}

/** Checks the manifest in force, those of checkpoints, all their SSTs, and the WAL to be replayed. @throws LSM_NOT_FOUND, STORE_UNAVAILABLE */
export async function verifyStore(context: StoreContext): Promise<VerifyReport> {
  return await new Verifier(context).run();
}

function beginsWith(key: Uint8Array, prefix: Uint8Array): boolean {
  return key.length >= prefix.length && equalBytes(key.subarray(0, prefix.length), prefix);
}

/** A finding, and what decides whether it counts: an object that is absent may have been collected meanwhile, by right. */
interface Suspicion extends Finding {
  readonly isAbsent: boolean;
}

class Verifier {
  readonly #context: StoreContext;
  readonly #suspicions: Suspicion[] = [];
  readonly #seen = new Set<string>();
  #counts = { manifests: 0, ssts: 0, wals: 0, rows: 0 };

  constructor(context: StoreContext) {
    this.#context = context;
  }

  async run(): Promise<VerifyReport> {
    const latest = await this.#context.manifest();
    await this.#manifest(latest.id, latest.value);
    for (const checkpoint of latest.value.checkpoints) {
      const key = this.#context.paths.manifest(checkpoint.manifestId);
      if (this.#seen.has(key)) continue;
      await this.#attempt(key, async () => {
        const version = await this.#context.manifests.read(checkpoint.manifestId);
        if (version === undefined) this.#miss(key, `checkpoint ${checkpoint.id} needs it, and it is missing`);
        else await this.#manifest(version.id, version.value);
      });
    }
    // As it is now: the first manifest may be old, and its WAL collected.
    await this.#wal((await this.#context.manifest()).value);
    return { ...this.#counts, findings: await this.#findings() };
  }

  #note(object: string, problem: string): void {
    this.#suspicions.push({ object, problem, isAbsent: false });
  }

  /** Notes that an object is missing. */
  #miss(object: string, problem: string): void {
    this.#suspicions.push({ object, problem, isAbsent: true });
  }

  /** What is wrong with the store as it is now. */
  async #findings(): Promise<Finding[]> {
    const needed = this.#suspicions.some(({ isAbsent }) => isAbsent) ? await this.#neededNow() : undefined;
    const counts = this.#suspicions.filter(({ object, isAbsent }) => !isAbsent || needed === undefined || needed(object));
    return counts.map(({ object, problem }) => ({ object, problem }));
  }

  /** Tells which objects the manifest in force, its checkpoints and replay need. */
  async #neededNow(): Promise<(object: string) => boolean> {
    const { paths, manifests } = this.#context;
    const latest = (await this.#context.manifest()).value;
    const objects = new Set<string>();
    const states = [latest];
    for (const { manifestId } of latest.checkpoints) {
      objects.add(paths.manifest(manifestId));
      const version = await manifests.read(manifestId);
      if (version !== undefined) states.push(version.value);
    }
    for (const state of states) {
      const tree = this.#context.treeOf(state);
      for (const table of [...tree.l0, ...tree.runs.flatMap((run) => run.tables)]) objects.add(table.object);
    }
    return (object) => {
      const walId = object.startsWith(paths.wals) ? idOf(object, ".sst") : undefined;
      return walId === undefined ? objects.has(object) : walId > latest.replayAfterWalId;
    };
  }

  /** Runs a check; damage is a finding, anything else is passed on. */
  async #attempt(object: string, check: () => Promise<void>): Promise<void> {
    try {
      await check();
    } catch (error) {
      if (!isPumiceError(error) || error.code === "STORE_UNAVAILABLE") throw error;
      if (error.code === "LSM_MISSING") this.#miss(object, error.message);
      else this.#note(object, error.message);
    }
  }

  async #manifest(id: number, manifest: Manifest): Promise<void> {
    const key = this.#context.paths.manifest(id);
    this.#seen.add(key);
    this.#counts.manifests++;
    for (const tree of treesOf(manifest)) this.#runs(key, tree);
    this.#segments(key, manifest);
    const ids = allSsts(manifest).filter((sst) => sst.visibleRange === undefined);
    if (new Set(ids.map((sst) => sst.viewId)).size !== ids.length) this.#note(key, "an SST is listed twice");
    if (manifest.walIdLastSeen < manifest.replayAfterWalId) this.#note(key, "the replay point lies beyond the last WAL object seen");
    const tree = this.#context.treeOf(manifest);
    for (const table of [...tree.l0, ...tree.runs.flatMap((run) => run.tables)]) {
      if (this.#seen.has(table.object)) continue;
      this.#seen.add(table.object);
      await this.#attempt(table.object, async () => await this.#table(table, manifest));
    }
  }

  #runs(key: string, tree: LsmTree): void {
    for (const [i, run] of tree.runs.entries()) {
      const next = tree.runs[i + 1];
      if (next !== undefined && next.id >= run.id) this.#note(key, `run ${next.id} stands behind run ${run.id}`);
      this.#runOrder(key, run);
    }
  }

  /** Each key belongs to one tree, and each run id to one run: reads and compactions rely on it. */
  #segments(key: string, manifest: Manifest): void {
    for (const [i, segment] of manifest.segments.entries()) {
      const name = toHex(segment.prefix);
      const next = manifest.segments[i + 1];
      if (next !== undefined && compareBytes(segment.prefix, next.prefix) >= 0)
        this.#note(key, `segment ${toHex(next.prefix)} stands behind segment ${name}`);
      if (next !== undefined && beginsWith(next.prefix, segment.prefix))
        this.#note(key, `segment ${toHex(next.prefix)} lies in segment ${name}`);
      for (const { id, info } of [...segment.l0, ...segment.runs.flatMap((run) => run.ssts)]) {
        if ([info.firstEntry, info.lastEntry].some((entry) => entry !== undefined && !beginsWith(entry, segment.prefix)))
          this.#note(key, `SST ${id} of segment ${name} has keys of another`);
      }
    }
    const runIds = treesOf(manifest).flatMap((tree) => tree.runs.map((run) => run.id));
    if (new Set(runIds).size !== runIds.length) this.#note(key, "two trees have a run of one id");
  }

  #runOrder(key: string, run: SortedRun): void {
    for (const [i, sst] of run.ssts.entries()) {
      const next = run.ssts[i + 1];
      const [last, first] = [lastVisible(sst), next === undefined ? undefined : firstVisible(next)];
      if (next === undefined || first === undefined || last === undefined) continue;
      if (compareBytes(last, first) > 0) this.#note(key, `SSTs ${sst.id} and ${next.id} of run ${run.id} overlap`);
    }
  }

  async #table(table: Table, manifest: Manifest): Promise<void> {
    this.#counts.ssts++;
    const loaded = nothingLoaded();
    await table.loadMeta(loaded);
    const meta = table.metaNow(loaded);
    if (meta === undefined) return;
    let previous: Row | undefined;
    let rows = 0;
    for (let i = 0; i < meta.index.length; i++) {
      await table.loadBlocks({ from: i, to: i + 1, isCached: false }, loaded);
      const block = table.blockNow(i, loaded);
      loaded.blocks.clear();
      for (const row of block?.rows() ?? []) {
        rows++;
        this.#row(table.object, row, previous);
        if (row.seq > manifest.lastL0Seq) this.#note(table.object, `a row has sequence number ${row.seq}, beyond ${manifest.lastL0Seq}`);
        if (row.createTs !== undefined && row.createTs > manifest.lastL0ClockTick)
          this.#note(table.object, `a row's time ${row.createTs} is beyond the manifest's tick`);
        if (meta.filter?.mightContain(sipHash13(row.key)) === false) this.#note(table.object, "the filter denies a key that is there");
        previous = row;
      }
    }
    this.#counts.rows += rows;
    const { firstEntry, lastEntry } = table.ref.info;
    if (previous !== undefined && lastEntry !== undefined && compareBytes(previous.key, lastEntry) !== 0)
      this.#note(table.object, "its last key is not the one told");
    if (rows > 0 && firstEntry === undefined) this.#note(table.object, "its first key is not told");
    const stats = await table.stats();
    if (stats !== undefined && stats.puts + stats.deletes + stats.merges !== rows)
      this.#note(table.object, "its statistics count other rows");
  }

  #row(object: string, row: Row, previous: Row | undefined): void {
    if (previous === undefined) return;
    const order = compareBytes(previous.key, row.key);
    if (order > 0 || (order === 0 && previous.seq <= row.seq)) this.#note(object, `rows are out of order at sequence number ${row.seq}`);
  }

  async #wal(manifest: Manifest): Promise<void> {
    const { signal } = this.#context;
    const keys = await this.#context.walsAfter(manifest.replayAfterWalId);
    let lastSeq = 0;
    for (const [i, { id, key }] of keys.entries()) {
      const expected = manifest.replayAfterWalId + 1 + i;
      if (id !== expected && (i === 0 || keys[i - 1]?.id !== id - 1)) this.#miss(this.#context.paths.wal(expected), "gap in the WAL");
      this.#counts.wals++;
      await this.#attempt(key, async () => {
        const bytes = await withRetry(this.#context.readPolicy, async () => await this.#context.walStore.get(key, { signal }));
        if (bytes === undefined) throw new PumiceError("LSM_MISSING", { object: key });
        const rows = readWal(bytes, key, this.#context.sealer);
        this.#counts.rows += rows.length;
        lastSeq = checkOrder(rows, lastSeq, key);
      });
    }
  }
}
