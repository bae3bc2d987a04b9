/**
 * A store whose immutable objects are kept on the local disk in parts once they were read. For stores where a read costs milliseconds
 * and money. Only objects that never change may be cached (`isCacheable`; SSTs are such): an object that another process replaced or
 * deleted would still be read here as it was. What this process replaces or deletes leaves the cache at once.
 */
import {
  abortable,
  assert,
  assertByteRange,
  checkObjectKey,
  concat,
  isPumiceError,
  PumiceError,
  type ByteRange,
  type ETag,
  type ListOptions,
  type Metric,
  type ObjectMeta,
  type ObjectStore,
  type PutCondition,
  type PutResult,
  type StoreOptions,
  copyBytes,
} from "../../base/mod.ts";
import { crypto } from "../built-ins.ts";
import type { DiskCache, DiskCacheStats, PartName } from "./disk-cache.ts";

/** Settings and components of a caching store. */
export interface CachingObjectStoreOptions {
  readonly store: ObjectStore;
  readonly cache: DiskCache;
  /** Tells this store's objects from those of others in the same cache, such as its URL. */
  readonly storeName: string;
  /** Bytes of a part: what is fetched at a time. Default 1 MiB. */
  readonly partBytes?: number | undefined;
  /** Which objects never change. Default: SSTs of a store's `compacted` folder. */
  readonly isCacheable?: ((key: string) => boolean) | undefined;
  /** Whether what is put is cached too. Default false: a compaction would push out what is read. */
  readonly isPutCached?: boolean | undefined;
}

/** Parts that may be on their way to the disk at a time; more are not cached. */
const WRITES_MAX = 32;

/** Parts of one range fetched at a time. */
const PARTS_AT_ONCE = 4;

interface Part {
  readonly bytes: Uint8Array;
  readonly partBytes: number;
}

interface Fill {
  readonly promise: Promise<Uint8Array | undefined>;
  /** True once the object was replaced or deleted: what is being fetched must not be kept, nor given to later readers. */
  isStale: boolean;
}

/** See the header of this file. */
export class CachingObjectStore implements ObjectStore {
  readonly #store: ObjectStore;
  readonly #cache: DiskCache;
  readonly #storeName: string;
  readonly #partBytes: number;
  readonly #isCacheable: (key: string) => boolean;
  readonly #isPutCached: boolean;
  /** Parts being fetched, by key and index: reads that come meanwhile share them. Whole objects being fetched have negative indexes. */
  readonly #fills = new Map<string, Map<number, Fill>>();
  readonly #writes = new Set<Promise<void>>();
  /** How many changes of the key are under way. */
  readonly #changes = new Map<string, number>();
  /** Changes of cacheable objects that were begun. */
  #changeCount = 0;
  #wholeCount = 0;

  constructor(options: CachingObjectStoreOptions) {
    this.#store = options.store;
    this.#cache = options.cache;
    this.#storeName = options.storeName;
    this.#partBytes = options.partBytes ?? 1024 * 1024;
    assert(this.#partBytes > 0, "a part has bytes");
    this.#isCacheable = options.isCacheable ?? ((key) => /(?:^|\/)compacted\/[^/]+\.sst$/.test(key));
    this.#isPutCached = options.isPutCached ?? false;
  }

  get stats(): DiskCacheStats {
    return this.#cache.stats;
  }

  metrics(): readonly Metric[] {
    const { hits, misses, damaged, evicted, unwritten, bytes, entries } = this.#cache.stats;
    const metric = (kind: "counter" | "gauge", name: string, value: number, help: string): Metric => {
      return { kind, name: `object_store_cache.${name}`, help, labels: {}, value };
    };
    return [
      metric("counter", "part_access_count", hits + misses, "looks into the disk cache"),
      metric("counter", "part_hit_count", hits, "looks that found their part"),
      metric("counter", "damaged_count", damaged, "parts that were damaged on the disk"),
      metric("counter", "evicted_keys", evicted, "parts that made room for others"),
      metric("counter", "unwritten_count", unwritten, "parts that could not be written"),
      metric("gauge", "cache_keys", entries, "parts on the disk"),
      metric("gauge", "cache_bytes", bytes, "their bytes"),
      ...(this.#store.metrics?.() ?? []),
    ];
  }

  /** Waits for what is on its way to the disk. The store behind and the cache stay open: they are their openers'. */
  async close(): Promise<void> {
    await Promise.all(this.#writes);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async get(key: string, options?: StoreOptions): Promise<Uint8Array | undefined> {
    this.#enter(key, options);
    if (options?.isFresh === true) await this.#drop(key);
    if (options?.isFresh === true || !this.#isCached(key)) return this.#store.get(key, options);
    const cached = await this.#whole(key);
    if (cached !== undefined) return cached;
    const fetched = this.#store.get(key, options);
    const fill = this.#register(key, --this.#wholeCount, fetched);
    const body = await fetched;
    if (body !== undefined && !fill.isStale && this.#isCached(key)) this.#keepWhole(key, body);
    return body;
  }

  async getRange(key: string, range: ByteRange, options?: StoreOptions): Promise<Uint8Array | undefined> {
    assertByteRange(range);
    this.#enter(key, options);
    if (options?.isFresh === true) await this.#drop(key);
    if (options?.isFresh === true || !this.#isCached(key)) return this.#store.getRange(key, range, options);
    const changesBefore = this.#changeCount;
    const parts = await this.#partsOf(key, range, options);
    if (parts === undefined || parts.length === 1) return parts?.[0];
    // Parts of two versions are none of either.
    return this.#changeCount === changesBefore ? concat(parts) : this.#store.getRange(key, range, options);
  }

  head(key: string, options?: StoreOptions): Promise<ObjectMeta | undefined> {
    return this.#store.head(key, options);
  }

  list(prefix: string, options?: ListOptions): AsyncIterable<ObjectMeta> {
    return this.#store.list(prefix, options);
  }

  async put(key: string, body: Uint8Array, options?: StoreOptions): Promise<ETag> {
    return this.#changing(key, body, async () => {
      const etag = await this.#store.put(key, body, options);
      return { value: etag, isStored: true };
    });
  }

  async putIf(key: string, body: Uint8Array, condition: PutCondition, options?: StoreOptions): Promise<PutResult> {
    return this.#changing(key, body, async () => {
      const result = await this.#store.putIf(key, body, condition, options);
      return { value: result, isStored: result.ok };
    });
  }

  /** What is created so is not cached: nobody holds it whole. */
  async createFrom(key: string, parts: AsyncIterable<Uint8Array>, options?: StoreOptions): Promise<PutResult> {
    return this.#changing(key, undefined, async () => {
      const result = await this.#store.createFrom(key, parts, options);
      return { value: result, isStored: result.ok };
    });
  }

  async delete(key: string, options?: StoreOptions): Promise<void> {
    await this.#changing(key, undefined, async () => {
      await this.#store.delete(key, options);
      return { value: undefined, isStored: false };
    });
  }

  #enter(key: string, options: StoreOptions | undefined): void {
    checkObjectKey(key);
    options?.signal?.throwIfAborted();
  }

  /** The whole object from the cache, if all of it is there. */
  async #whole(key: string): Promise<Uint8Array | undefined> {
    const changesBefore = this.#changeCount;
    const parts: Uint8Array[] = [];
    for (let index = 0; ; index++) {
      const hit = await this.#cache.read(this.#nameOf(key, index), 0, this.#partBytes);
      if (hit === undefined || (index > 0 && this.#changeCount !== changesBefore)) return undefined;
      parts.push(hit.bytes);
      // A part that is not full is the last one; where the object ends with a full one, an empty one follows.
      if (hit.partBytes < this.#partBytes) return parts.length === 1 ? parts[0] : concat(parts);
    }
  }

  /** The bytes of the range, part by part; undefined if there is no object. */
  async #partsOf(key: string, range: ByteRange, options: StoreOptions | undefined): Promise<Uint8Array[] | undefined> {
    const { start, end } = range;
    const first = Math.floor(start / this.#partBytes);
    const last = Math.max(first, Math.ceil(end / this.#partBytes) - 1);
    const parts: Uint8Array[] = [];
    for (let index = first; index <= last;) {
      // The first one alone, for it may be the last there is; then some at a time.
      const count = index === first ? 1 : Math.min(last - index + 1, PARTS_AT_ONCE);
      const batch = Array.from({ length: count }, (_, i) => this.#part(key, index + i, range, options));
      for (const [i, outcome] of (await Promise.allSettled(batch)).entries()) {
        if (outcome.status === "rejected") throw asCallersError(outcome.reason, key, start);
        const part = outcome.value;
        if (part === undefined) return undefined;
        const sizeSoFar = (index + i) * this.#partBytes + part.partBytes;
        if (start > sizeSoFar) throw new PumiceError("STORE_RANGE", { key, start, sizeBytes: sizeSoFar });
        parts.push(part.bytes);
        if (part.partBytes < this.#partBytes) return parts;
      }
      index += count;
    }
    return parts;
  }

  /** The wanted bytes of a part and the part's size, from the cache or the store; undefined if there is no object. */
  async #part(key: string, index: number, range: ByteRange, options: StoreOptions | undefined): Promise<Part | undefined> {
    const offset = index * this.#partBytes;
    const start = Math.max(range.start - offset, 0);
    const end = Math.max(start, Math.min(range.end - offset, this.#partBytes));
    const hit = await this.#cache.read(this.#nameOf(key, index), start, end);
    if (hit !== undefined) return hit;
    const payload = await abortable(this.#fill(key, index), options?.signal);
    return payload === undefined ? undefined : { bytes: copyBytes(payload, start, end), partBytes: payload.length };
  }

  /** The part from the store, fetched once for all reads that wait for it. No signal: one of them must not end it for the others. */
  #fill(key: string, index: number): Promise<Uint8Array | undefined> {
    const running = this.#fills.get(key)?.get(index);
    if (running !== undefined && !running.isStale) return running.promise;
    const start = index * this.#partBytes;
    const fetched = this.#store.getRange(key, { start, end: start + this.#partBytes }).then((payload) => {
      if (payload !== undefined && !fill.isStale && this.#isCached(key)) this.#keep(this.#nameOf(key, index), payload);
      return payload;
    });
    const fill = this.#register(key, index, fetched);
    return fetched;
  }

  #register(key: string, index: number, promise: Promise<Uint8Array | undefined>): Fill {
    const ofKey = this.#fills.get(key) ?? new Map<number, Fill>();
    const fill: Fill = { promise, isStale: false };
    ofKey.set(index, fill);
    this.#fills.set(key, ofKey);
    void promise
      .catch(() => undefined) // Its waiters are told.
      .finally(() => {
        if (ofKey.get(index) === fill) ofKey.delete(index);
        if (ofKey.size === 0 && this.#fills.get(key) === ofKey) this.#fills.delete(key);
      });
    return fill;
  }

  /**
   * Runs a change. From before it until after it the object is neither read from the cache nor put there: a reader that has seen the
   * new version (by head, say) must not get the old one after it. And nothing of the old one is left, whatever became of the change.
   */
  async #changing<T>(
    key: string,
    body: Uint8Array | undefined,
    change: () => Promise<{ readonly value: T; readonly isStored: boolean }>,
  ): Promise<T> {
    if (!this.#isCacheable(key)) return (await change()).value;
    const kept = this.#isPutCached && body !== undefined ? new Uint8Array(body) : undefined;
    let isStored = false;
    this.#changeCount++;
    this.#changes.set(key, (this.#changes.get(key) ?? 0) + 1);
    try {
      await this.#drop(key);
      const result = await change();
      isStored = result.isStored;
      return result.value;
    } finally {
      // Fetches that began meanwhile may have found the old one.
      this.#markStale(key);
      const left = (this.#changes.get(key) ?? 1) - 1;
      if (left > 0) this.#changes.set(key, left);
      else this.#changes.delete(key);
      // Of several changes at a time it is not known which came last.
      if (left === 0 && isStored && kept !== undefined) this.#keepWhole(key, kept);
    }
  }

  /** True if the object may be read from the cache, and put there. */
  #isCached(key: string): boolean {
    return this.#isCacheable(key) && !this.#changes.has(key);
  }

  #markStale(key: string): void {
    for (const fill of this.#fills.get(key)?.values() ?? []) fill.isStale = true;
  }

  async #drop(key: string): Promise<void> {
    this.#markStale(key);
    // Those on their way to the disk would arrive after the removal.
    await Promise.all(this.#writes);
    await this.#cache.removeGroup(this.#groupOf(key));
  }

  #keepWhole(key: string, body: Uint8Array): void {
    const partCount = Math.floor(body.length / this.#partBytes) + 1;
    if (partCount > WRITES_MAX) return;
    for (let index = 0; index < partCount; index++) {
      this.#keep(this.#nameOf(key, index), copyBytes(body, index * this.#partBytes, (index + 1) * this.#partBytes));
    }
  }

  #keep(name: PartName, payload: Uint8Array): void {
    if (this.#writes.size >= WRITES_MAX) return;
    const write = this.#cache.write(name, payload).finally(() => this.#writes.delete(write));
    this.#writes.add(write);
  }

  #groupOf(key: string): string {
    return crypto().createHash("sha256").update(`${this.#storeName}\0${this.#partBytes}\0${key}`).digest("hex").slice(0, 32);
  }

  #nameOf(key: string, index: number): PartName {
    return { group: this.#groupOf(key), index, identity: `${this.#storeName}\0${this.#partBytes}\0${key}\0${index}` };
  }
}

/** A part's range is not the caller's. */
function asCallersError(error: unknown, key: string, start: number): unknown {
  if (!isPumiceError(error, "STORE_RANGE")) return error;
  return new PumiceError("STORE_RANGE", { key, start, sizeBytes: error.details["sizeBytes"] }, error);
}
