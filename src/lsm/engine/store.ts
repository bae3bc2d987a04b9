/**
 * One open store: what all calls on it have in common in this process. Its names, the components under it, what is counted, the tables that are
 * open, and whether it has ended. How long one call may wait is the affair of its context (engine/context.ts).
 */
import { crc32, PumiceError, toHex, type Clock, type ETag, type Metric, type ObjectStore, type Random } from "../../base/mod.ts";
import { Sealer } from "../format/compression.ts";
import type { Manifest, SstRef } from "../format/manifest.ts";
import { BlockCache } from "../store/block-cache.ts";
import { addRequests, countedStore, noRequests, type RequestCounts } from "../store/counted-store.ts";
import { pathsOf, type Paths } from "../store/paths.ts";
import type { RetryPolicy } from "../store/retry.ts";
import { noTableCounts, Table } from "../store/tables.ts";
import type { MergeOperator } from "./merge-operator.ts";
import { contextMetrics, countedOperator, type ContextCounts } from "./metrics.ts";
import type { LsmComponents, LsmSettings } from "./settings.ts";

/** A sorted run opened for reading. */
export interface RunTables {
  readonly id: number;
  readonly tables: readonly Table[];
}

/** Tables of a manifest, opened; L0s newest first. */
export interface Tree {
  readonly l0: readonly Table[];
  readonly runs: readonly RunTables[];
}

/** What of a manifest says which tables there are, and where. */
export type TreeSources = Pick<Manifest, "l0" | "runs" | "segments" | "externalDbs">;

/** The settings that matter to everything that works on a store. */
export type StoreLimits = Pick<LsmSettings, "cacheBytes" | "readAttemptsMax">;

/** See the header of this file. */
export class Store {
  readonly paths: Paths;
  readonly components: LsmComponents;
  readonly limits: StoreLimits;
  readonly objects: ObjectStore;
  readonly walObjects: ObjectStore;
  readonly sealer: Sealer;
  readonly cache: BlockCache;
  readonly counts: ContextCounts;
  /** The merge operator, by what it is called for: each counts apart. */
  readonly operators: Readonly<Record<"read" | "flush" | "compact", MergeOperator | undefined>>;
  /** Versions of small WAL objects that were looked at and are fences. */
  readonly fences = new Set<ETag>();
  readonly #controller = new AbortController();
  #isPatient = false;
  #trouble: PumiceError | undefined;
  #tables = new Map<string, Table>();

  constructor(root: string, components: LsmComponents, limits: StoreLimits) {
    if (typeof root !== "string") throw new PumiceError("LSM_INVALID", { what: "name of a store is no text", found: typeof root });
    const { clock, hostCodecs, blockTransformer: transformer, mergeOperator } = components;
    this.paths = pathsOf([components.path ?? "", root].filter((part) => part !== "").join("/"));
    this.components = components;
    this.limits = limits;
    this.counts = {
      requests: noRequests(),
      walRequests: components.walStore === undefined ? undefined : noRequests(),
      tables: noTableCounts(),
      operands: { read: 0, flush: 0, compact: 0 },
    };
    const { requests, walRequests, operands } = this.counts;
    this.objects = countedStore(components.store, requests, clock);
    this.walObjects = components.walStore === undefined ? this.objects : countedStore(components.walStore, walRequests ?? requests, clock);
    this.sealer = new Sealer({ crc32: components.crc32 ?? crc32, hostCodecs, transformer });
    this.cache = components.cache ?? new BlockCache(limits.cacheBytes);
    this.operators = {
      read: countedOperator(mergeOperator, operands, "read"),
      flush: countedOperator(mergeOperator, operands, "flush"),
      compact: countedOperator(mergeOperator, operands, "compact"),
    };
  }

  get clock(): Clock {
    return this.components.clock;
  }

  get random(): Random {
    return this.components.random;
  }

  /** Aborted when the store is closed. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends every wait for the store. Idempotent. */
  abort(reason: unknown): void {
    if (!this.#controller.signal.aborted) this.#controller.abort(reason);
  }

  /** Releases the components, when everything has ended. */
  async release(): Promise<void> {
    await this.components.onClosed?.();
  }

  /** Why the object store is being asked again; undefined once it has answered. */
  get trouble(): PumiceError | undefined {
    return this.#trouble;
  }

  /** From now on writes are tried for ever: the store is open, and what it took must not be lost because the object store is away. */
  becomePatient(): void {
    this.#isPatient = true;
  }

  /** How reads are tried, until `signal` is aborted: a limited number of times. */
  readPolicy(signal: AbortSignal): RetryPolicy {
    return { clock: this.clock, attemptsMax: this.limits.readAttemptsMax, signal, onTrouble: this.#noteTrouble };
  }

  /** How writes are tried, until `signal` is aborted: as reads at first, for ever once `becomePatient` was called. */
  writePolicy(signal: AbortSignal): RetryPolicy {
    const attemptsMax = (): number => (this.#isPatient ? Infinity : this.limits.readAttemptsMax);
    return {
      clock: this.clock,
      signal,
      onTrouble: this.#noteTrouble,
      get attemptsMax() {
        return attemptsMax();
      },
    };
  }

  /** Numbers that readers and writers have in common. */
  metrics(): Metric[] {
    return contextMetrics(this.counts, this.cache.stats, this.components.store.metrics?.() ?? []);
  }

  /** Adds what another thread has asked of the object store for this one. */
  addRequests(more: RequestCounts): void {
    addRequests(this.counts.requests, more);
  }

  /**
   * Opens the tables that the manifest names. If `isCurrent`, they are kept for the next call, those that it does not name any more are forgotten,
   * and requests go by `policy` as long as the table is open. Segments share no key with each other or with the store's own tree, so theirs stand
   * behind, each tree's in their order of age.
   */
  tree(manifest: TreeSources, policy: RetryPolicy, isCurrent: boolean): Tree {
    const next = new Map<string, Table>();
    const external = new Map<string, string>();
    for (const db of manifest.externalDbs) for (const id of db.sstIds) external.set(id, db.path);
    const parts = { store: this.objects, sealer: this.sealer, cache: this.cache, policy, counts: this.counts.tables };
    const open = (ref: SstRef): Table => {
      const name = viewName(ref);
      let table = this.#tables.get(name);
      if (table === undefined) {
        const parent = external.get(ref.id);
        const paths = parent === undefined ? this.paths : pathsOf(parent);
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
      for (const [id, table] of this.#tables) if (!next.has(id)) table.evict();
      this.#tables = next;
    }
    return tree;
  }

  readonly #noteTrouble = (error: PumiceError | undefined): void => {
    this.#trouble = error;
  };
}

/** Two views of one SST are told apart by their ids, or, in a manifest of version 1, by their ranges. */
function viewName(ref: SstRef): string {
  const { visibleRange: range } = ref;
  if (range === undefined) return ref.viewId;
  const bound = (key: Uint8Array | undefined, isInclusive: boolean): string =>
    `${isInclusive ? "=" : ""}${key === undefined ? "" : toHex(key)}`;
  return `${ref.viewId} ${bound(range.start, range.startInclusive)} ${bound(range.end, range.endInclusive)}`;
}
