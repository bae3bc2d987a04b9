/** What everything that works on one store shares: its names, its manifest, its tables. */
import { crc32, eitherSignal, PumiceError, toHex, type Clock, type Metric, type ObjectStore, type Random } from "../../base/mod.ts";
import { Sealer } from "../format/compression.ts";
import { decodeManifest, encodeManifest, isSegmented, type Manifest, type SstRef } from "../format/manifest.ts";
import type { SstSettings } from "../format/sst-writer.ts";
import { BlockCache } from "../store/block-cache.ts";
import { idOf, pathsOf, type Paths } from "../store/paths.ts";
import { withRetry, type RetryPolicy } from "../store/retry.ts";
import { Sequence } from "../store/sequence.ts";
import { addRequests, countedStore, noRequests, type RequestCounts } from "../store/counted-store.ts";
import { noTableCounts, Table } from "../store/tables.ts";
import type { MergeOperator } from "./merge-operator.ts";
import { contextMetrics, countedOperator, type ContextCounts } from "./metrics.ts";
import type { LsmComponents, LsmSettings, Profile } from "./settings.ts";
import type { View } from "../db/view.ts";

/** Tables of a manifest, opened. */
export type Tree = Pick<View, "l0" | "runs">;

/** What of a manifest says which tables there are, and where. */
export type TreeSources = Pick<Manifest, "l0" | "runs" | "segments" | "externalDbs">;

/** See the header of this file. */
export class StoreContext {
  readonly paths: Paths;
  readonly store: ObjectStore;
  readonly walStore: ObjectStore;
  readonly hasOwnWalStore: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly sealer: Sealer;
  readonly cache: BlockCache;
  /** The merge operator, for reads; `operators` has those for flushing and compaction. They count apart. */
  readonly operator: MergeOperator | undefined;
  readonly operators: { readonly flush: MergeOperator | undefined; readonly compact: MergeOperator | undefined };
  readonly counts: ContextCounts;
  readonly manifests: Sequence<Manifest>;
  /** For reads: gives up after a while. */
  readonly readPolicy: RetryPolicy;
  /** For writes: goes on until the store is closed, once `becomePatient` was called. */
  readonly writePolicy: RetryPolicy;
  private readonly components: LsmComponents;
  private readonly limits: Pick<LsmSettings, "cacheBytes" | "readAttemptsMax">;
  private readonly controller: AbortController;
  private readonly ownSignal: AbortSignal;
  /** The store's own context, if this one is for a call. */
  private readonly whole: StoreContext;
  private isPatient = false;
  private trouble: PumiceError | undefined;
  private tables = new Map<string, Table>();

  constructor(
    root: string,
    components: LsmComponents,
    settings: Pick<LsmSettings, "cacheBytes" | "readAttemptsMax">,
    scope?: { readonly whole: StoreContext; readonly signal: AbortSignal },
  ) {
    if (typeof root !== "string") throw new PumiceError("LSM_INVALID", { what: "name of a store is no text", found: typeof root });
    this.whole = scope?.whole ?? this;
    this.controller = scope?.whole.controller ?? new AbortController();
    this.ownSignal = scope?.signal ?? this.controller.signal;
    this.components = components;
    this.limits = settings;
    this.paths = pathsOf(root);
    this.counts = scope?.whole.counts ?? {
      requests: noRequests(),
      walRequests: components.walStore === undefined ? undefined : noRequests(),
      tables: noTableCounts(),
      operands: { read: 0, flush: 0, compact: 0 },
    };
    const { requests, walRequests } = this.counts;
    this.store = scope?.whole.store ?? countedStore(components.store, requests, components.clock);
    this.walStore =
      scope?.whole.walStore ??
      (components.walStore === undefined ? this.store : countedStore(components.walStore, walRequests ?? requests, components.clock));
    this.hasOwnWalStore = components.walStore !== undefined;
    this.clock = components.clock;
    this.random = components.random;
    const { hostCodecs, blockTransformer: transformer } = components;
    this.sealer = scope?.whole.sealer ?? new Sealer({ crc32: components.crc32 ?? crc32, hostCodecs, transformer });
    this.cache = scope?.whole.cache ?? components.cache ?? new BlockCache(settings.cacheBytes);
    const { operands } = this.counts;
    this.operator = countedOperator(components.mergeOperator, operands, "read");
    this.operators = {
      flush: countedOperator(components.mergeOperator, operands, "flush"),
      compact: countedOperator(components.mergeOperator, operands, "compact"),
    };
    const signal = this.ownSignal;
    const onTrouble = (error: PumiceError | undefined): void => {
      this.whole.trouble = error;
    };
    this.readPolicy = { clock: this.clock, attemptsMax: settings.readAttemptsMax, signal, onTrouble };
    const attemptsMax = (): number => (this.whole.isPatient ? Infinity : settings.readAttemptsMax);
    this.writePolicy = {
      clock: this.clock,
      signal,
      onTrouble,
      get attemptsMax() {
        return attemptsMax();
      },
    };
    this.manifests = scope?.whole.manifests.scoped(scope.signal) ?? newManifests(this);
  }

  /** The same store for one call: its waits end with `signal` too. */
  scoped(signal: AbortSignal | undefined): StoreContext {
    if (signal === undefined) return this;
    const either = eitherSignal(this.ownSignal, signal);
    return new StoreContext(this.paths.root, this.components, this.limits, { whole: this.whole, signal: either });
  }

  /** What of compaction the components choose. */
  get compaction(): Pick<LsmComponents, "compactionExecutor" | "compactionPicker" | "compactionFilter"> {
    return this.components;
  }

  /** Numbers that readers and writers have in common. */
  metrics(): Metric[] {
    return contextMetrics(this.counts, this.cache.stats, this.components.store.metrics?.() ?? []);
  }

  /** Takes into account what another thread has asked of the object store for this one. */
  addRequests(more: RequestCounts): void {
    addRequests(this.counts.requests, more);
  }

  /** Another store beside this one, in the same object store. */
  sibling(root: string): StoreContext {
    return new StoreContext(root, { ...this.components, cache: this.cache, onClosed: undefined }, this.limits).scoped(this.ownSignal);
  }

  /** Aborted when the store is closed, or the call given up that this is for. */
  get signal(): AbortSignal {
    return this.ownSignal;
  }

  /** Why the object store is being asked again; undefined once it has answered. */
  get storeError(): PumiceError | undefined {
    return this.whole.trouble;
  }

  /** From now on writes are tried for ever: the store is open, and what it took must not be lost because the object store is away. */
  becomePatient(): void {
    this.isPatient = true;
  }

  /** Lets go of the components, when everything has ended. */
  async release(): Promise<void> {
    await this.components.onClosed?.();
  }

  /** Ends every wait for the store. Idempotent. */
  abort(reason: unknown): void {
    if (!this.controller.signal.aborted) this.controller.abort(reason);
  }

  /** The manifest in force. @throws LSM_NOT_FOUND if there is no store. */
  async manifest(): Promise<{ readonly id: number; readonly value: Manifest }> {
    const version = await this.manifests.refresh();
    if (version === undefined) throw new PumiceError("LSM_NOT_FOUND", { root: this.paths.root });
    return version;
  }

  /** Objects of the WAL behind the one of that id, ascending. */
  async walsAfter(id: number): Promise<{ readonly id: number; readonly key: string }[]> {
    const { signal, paths } = this;
    return await withRetry(this.readPolicy, async () => {
      const found: { id: number; key: string }[] = [];
      for await (const { key } of this.walStore.list(paths.wals, { startAfter: paths.wal(id), signal })) {
        const walId = idOf(key, ".sst");
        if (walId !== undefined) found.push({ id: walId, key });
      }
      return found;
    });
  }

  /**
   * Opens the tables that the manifest names; those it does not name any more are forgotten if `isCurrent`. Segments share no key with each
   * other or with the store's own tree, so theirs stand behind, each tree's in their order of age.
   */
  tree(manifest: TreeSources, isCurrent: boolean): Tree {
    const next = new Map<string, Table>();
    const external = new Map<string, string>();
    for (const db of manifest.externalDbs) for (const id of db.sstIds) external.set(id, db.path);
    const open = (ref: SstRef): Table => {
      const name = viewName(ref);
      let table = this.whole.tables.get(name);
      if (table === undefined) {
        const parent = external.get(ref.id);
        const paths = parent === undefined ? this.paths : pathsOf(parent);
        // What stays must not end with a call.
        const policy = isCurrent ? this.whole.readPolicy : this.readPolicy;
        const parts = { store: this.store, sealer: this.sealer, cache: this.cache, policy, counts: this.counts.tables };
        table = new Table(ref, paths.sst(ref.id), parts);
      }
      next.set(name, table);
      return table;
    };
    const trees = [manifest, ...manifest.segments];
    const tree: Tree = {
      l0: trees.flatMap(({ l0 }) => l0.map(open)),
      runs: trees.flatMap(({ runs }) => runs.map((run) => ({ id: run.id, tables: run.ssts.map(open) }))),
    };
    if (isCurrent) {
      for (const [id, table] of this.whole.tables) if (!next.has(id)) table.evict();
      this.whole.tables = next;
    }
    return tree;
  }
}

function newManifests(context: StoreContext): Sequence<Manifest> {
  const { store, paths, writePolicy: policy } = context;
  return new Sequence<Manifest>({
    store,
    policy,
    prefix: paths.manifests,
    suffix: ".manifest",
    key: paths.manifest,
    boundaryKey: paths.boundary("manifest"),
    encode: encodeManifest,
    decode: decodeManifest,
  });
}

/** Two views of one SST are told apart by their ids, or, in a manifest of version 1, by their ranges. */
function viewName(ref: SstRef): string {
  const { visibleRange: range } = ref;
  if (range === undefined) return ref.viewId;
  const bound = (key: Uint8Array | undefined, isInclusive: boolean): string =>
    `${isInclusive ? "=" : ""}${key === undefined ? "" : toHex(key)}`;
  return `${ref.viewId} ${bound(range.start, range.startInclusive)} ${bound(range.end, range.endInclusive)}`;
}

/** @throws LSM_SEGMENTED if only a writer with the store's segment extractor, which this engine has not, may write to it. */
export function checkWritable(manifest: Manifest, root: string): void {
  if (!isSegmented(manifest)) return;
  throw new PumiceError("LSM_SEGMENTED", { root, extractor: manifest.segmentExtractor ?? "", segments: manifest.segments.length });
}

/** How SSTs are written under these settings. */
export function sstSettings(settings: LsmSettings, profile: Profile): SstSettings {
  return {
    blockSizeBytes: settings.blockSizeBytes,
    compression: settings.compression,
    minFilterKeys: settings.minFilterKeys,
    filterBitsPerKey: settings.filterBitsPerKey,
    filterFormat: profile === "0.12" ? "legacy" : "composite",
  };
}
