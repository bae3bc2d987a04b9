/** What everything that works on one store shares: its names, its manifest, its tables. */
import { crc32, PumiceError, type Clock, type ObjectStore, type Random } from "../../base/mod.ts";
import { Sealer } from "../format/compression.ts";
import { decodeManifest, encodeManifest, type Manifest, type SstRef } from "../format/manifest.ts";
import type { SstSettings } from "../format/sst-writer.ts";
import { BlockCache } from "../store/block-cache.ts";
import { pathsOf, type Paths } from "../store/paths.ts";
import type { RetryPolicy } from "../store/retry.ts";
import { Sequence } from "../store/sequence.ts";
import { Table } from "../store/tables.ts";
import type { MergeOperator } from "./merge-operator.ts";
import type { LsmComponents, LsmSettings, Profile } from "./settings.ts";
import type { View } from "./view.ts";

/** Tables of a manifest, opened. */
export type Tree = Pick<View, "l0" | "runs">;

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
  readonly operator: MergeOperator | undefined;
  readonly manifests: Sequence<Manifest>;
  /** For reads: gives up after a while. */
  readonly readPolicy: RetryPolicy;
  /** For writes: goes on until the store is closed. */
  readonly writePolicy: RetryPolicy;
  private readonly components: LsmComponents;
  private readonly limits: Pick<LsmSettings, "cacheBytes" | "readAttemptsMax">;
  private readonly controller = new AbortController();
  private tables = new Map<string, Table>();

  constructor(root: string, components: LsmComponents, settings: Pick<LsmSettings, "cacheBytes" | "readAttemptsMax">) {
    this.components = components;
    this.limits = settings;
    this.paths = pathsOf(root);
    this.store = components.store;
    this.walStore = components.walStore ?? components.store;
    this.hasOwnWalStore = components.walStore !== undefined;
    this.clock = components.clock;
    this.random = components.random;
    const { hostCodecs, blockTransformer: transformer } = components;
    this.sealer = new Sealer({ crc32: components.crc32 ?? crc32, hostCodecs, transformer });
    this.cache = components.cache ?? new BlockCache(settings.cacheBytes);
    this.operator = components.mergeOperator;
    const { signal } = this.controller;
    this.readPolicy = { clock: this.clock, attemptsMax: settings.readAttemptsMax, signal };
    this.writePolicy = { clock: this.clock, attemptsMax: Infinity, signal };
    this.manifests = new Sequence<Manifest>({
      store: this.store,
      policy: this.writePolicy,
      prefix: this.paths.manifests,
      suffix: ".manifest",
      key: this.paths.manifest,
      boundaryKey: this.paths.boundary("manifest"),
      encode: encodeManifest,
      decode: decodeManifest,
    });
  }

  /** What of compaction the components choose. */
  get compaction(): Pick<LsmComponents, "compactionExecutor" | "compactionPicker" | "compactionFilter"> {
    return this.components;
  }

  /** Another store beside this one, in the same object store. */
  sibling(root: string): StoreContext {
    return new StoreContext(root, { ...this.components, cache: this.cache, onClosed: undefined }, this.limits);
  }

  /** Aborted when the store is closed. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Lets go of the components, when everything has ended. */
  async release(): Promise<void> {
    await this.components.onClosed?.();
  }

  /** Ends every wait for the store. Idempotent. */
  abort(reason: unknown): void {
    if (!this.signal.aborted) this.controller.abort(reason);
  }

  /** The manifest in force. @throws LSM_NOT_FOUND if there is no store, LSM_UNSUPPORTED if it has segments. */
  async manifest(): Promise<{ readonly id: number; readonly value: Manifest }> {
    const version = await this.manifests.refresh();
    if (version === undefined) throw new PumiceError("LSM_NOT_FOUND", { root: this.paths.root });
    checkSupported(version.value, this.paths.root);
    return version;
  }

  /** Opens the tables that the manifest names; those it does not name any more are forgotten if `isCurrent`. */
  tree(manifest: Manifest, isCurrent: boolean): Tree {
    const next = new Map<string, Table>();
    const external = new Map<string, string>();
    for (const db of manifest.externalDbs) for (const id of db.sstIds) external.set(id, db.path);
    const open = (ref: SstRef): Table => {
      let table = this.tables.get(ref.viewId);
      if (table === undefined) {
        const parent = external.get(ref.id);
        const paths = parent === undefined ? this.paths : pathsOf(parent);
        const parts = { store: this.store, sealer: this.sealer, cache: this.cache, policy: this.readPolicy };
        table = new Table(ref, paths.sst(ref.id), parts);
      }
      next.set(ref.viewId, table);
      return table;
    };
    const tree: Tree = { l0: manifest.l0.map(open), runs: manifest.runs.map((run) => ({ id: run.id, tables: run.ssts.map(open) })) };
    if (isCurrent) {
      for (const [id, table] of this.tables) if (!next.has(id)) table.evict();
      this.tables = next;
    }
    return tree;
  }
}

/** @throws LSM_UNSUPPORTED if the manifest says what this engine cannot keep. */
export function checkSupported(manifest: Manifest, root: string): void {
  if (manifest.segments.length > 0 || manifest.segmentExtractor !== undefined) {
    throw new PumiceError("LSM_UNSUPPORTED", { root, what: "the store has segments (SlateDB 0.13 and later)" });
  }
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
