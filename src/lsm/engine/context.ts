/**
 * A store as one call works on it: what it waits for ends with the store, and with the call's own signal. The store itself, which all contexts of it
 * share, is in engine/store.ts.
 */
import { eitherSignal, PumiceError, type Clock, type ObjectStore, type Random } from "../../base/mod.ts";
import type { Sealer } from "../format/compression.ts";
import { decodeManifest, encodeManifest, isSegmented, type Manifest } from "../format/manifest.ts";
import type { SstSettings } from "../format/sst-writer.ts";
import { idOf, type Paths } from "../store/paths.ts";
import { withRetry, type RetryPolicy } from "../store/retry.ts";
import { Sequence } from "../store/sequence.ts";
import type { LsmComponents, LsmSettings, Profile } from "./settings.ts";
import { Store, type StoreLimits, type Tree, type TreeSources } from "./store.ts";

/** See the header of this file. */
export class StoreContext {
  /** What all contexts of the store share. */
  readonly shared: Store;
  readonly paths: Paths;
  readonly store: ObjectStore;
  readonly walStore: ObjectStore;
  readonly sealer: Sealer;
  readonly clock: Clock;
  readonly random: Random;
  /** Aborted when the store is closed, or the call given up that this is for. */
  readonly signal: AbortSignal;
  readonly manifests: Sequence<Manifest>;
  /** For reads: gives up after a while. */
  readonly readPolicy: RetryPolicy;
  /** For writes: goes on until the store is closed, once the store became patient. */
  readonly writePolicy: RetryPolicy;

  private constructor(shared: Store, signal: AbortSignal, manifests?: Sequence<Manifest>) {
    this.shared = shared;
    this.paths = shared.paths;
    this.store = shared.objects;
    this.walStore = shared.walObjects;
    this.sealer = shared.sealer;
    this.clock = shared.clock;
    this.random = shared.random;
    this.signal = signal;
    this.readPolicy = shared.readPolicy(signal);
    this.writePolicy = shared.writePolicy(signal);
    this.manifests = manifests ?? newManifests(this);
  }

  /** The store under `root`, for as long as it is open. @throws LSM_INVALID */
  static of(root: string, components: LsmComponents, limits: StoreLimits): StoreContext {
    const shared = new Store(root, components, limits);
    return new StoreContext(shared, shared.signal);
  }

  /** The same store for one call: its waits end with `signal` too. */
  scoped(signal: AbortSignal | undefined): StoreContext {
    if (signal === undefined) return this;
    const either = eitherSignal(this.signal, signal);
    return new StoreContext(this.shared, either, this.manifests.scoped(either));
  }

  /** Another store in the same object store; `root` is its place there in full. */
  sibling(root: string): StoreContext {
    const { components, cache, limits } = this.shared;
    return StoreContext.of(root, { ...components, path: undefined, cache, onClosed: undefined }, limits).scoped(this.signal);
  }

  /** True if the WAL is in an object store of its own. */
  get hasOwnWalStore(): boolean {
    return this.shared.components.walStore !== undefined;
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

  /** Opens the tables that the manifest in force names: they stay open, whatever becomes of this call. Others are forgotten. */
  currentTree(manifest: TreeSources): Tree {
    return this.shared.tree(manifest, this.shared.readPolicy(this.shared.signal), true);
  }

  /** Opens tables for this call alone. */
  treeOf(sources: TreeSources): Tree {
    return this.shared.tree(sources, this.readPolicy, false);
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
