/**
 * Tables: SSTs opened for reading. What is cached is answered without a promise; what is not is named by a `Load`, which fetches it,
 * and then the same question is asked again.
 *
 * Filter and index lie side by side and are fetched with one ranged read. A block is fetched with its neighbours when a scan asks.
 */
import { copyBytes, compareBytes, EMPTY_BYTES, isPumiceError, PumiceError, type ObjectStore } from "../../base/mod.ts";
import { readBlock, type Block } from "../format/block-reader.ts";
import { readCompositeFilter, readUnsureFilter, type Filter } from "../format/bloom.ts";
import { checkCrc, CRC_BYTES, type Sealer } from "../format/compression.ts";
import { damaged } from "../format/damage.ts";
import { comparePrefix, prefixNumber, sharedLength, type CommonPrefix } from "../format/key-prefix.ts";
import { contains, type KeyRange } from "../format/key-range.ts";
import type { SstRef } from "../format/manifest.ts";
import type { Row } from "../format/row.ts";
import type { Hash64 } from "../format/siphash.ts";
import { decodeIndex, decodeStats, type IndexEntry, type SstStats } from "../format/sst-info.ts";
import type { BlockCache, CachedPart } from "./block-cache.ts";
import { withRetry, type RetryPolicy } from "./retry.ts";

/** What tables read from. */
export interface TableParts {
  readonly store: ObjectStore;
  readonly sealer: Sealer;
  readonly cache: BlockCache;
  readonly policy: RetryPolicy;
  readonly counts: TableCounts;
}

/** What tables of one store count. A lookup that has to load begins again, and counts again. */
export interface TableCounts {
  metaHits: number;
  metaMisses: number;
  blockHits: number;
  blockMisses: number;
  filterNegative: number;
  filterPositive: number;
  filterFalsePositive: number;
}

/** Nothing counted yet. */
export function noTableCounts(): TableCounts {
  return { metaHits: 0, metaMisses: 0, blockHits: 0, blockMisses: 0, filterNegative: 0, filterPositive: 0, filterFalsePositive: 0 };
}

/** What one read has loaded: kept by it, so that a cache that is too small cannot make it load the same for ever. */
export interface Loaded {
  readonly metas: Map<Table, TableMeta>;
  readonly blocks: Map<Table, Map<number, Block>>;
}

/** Nothing loaded yet. */
export function nothingLoaded(): Loaded {
  return { metas: new Map(), blocks: new Map() };
}

/** Fetches what is missing, into the cache and into `loaded`. @throws LSM_MISSING, LSM_CORRUPT, STORE_UNAVAILABLE */
export type Load = (loaded: Loaded) => Promise<void>;

/** Index and filter of a table. */
export interface TableMeta {
  readonly index: readonly IndexEntry[];
  /** The keys of the index but the first, which is empty, as numbers. */
  readonly keys: IndexKeys;
  /** Undefined: the table has none that is known. */
  readonly filter: Filter | undefined;
}

/** A part of the object. */
interface Section {
  readonly start: number;
  readonly length: number;
  readonly isFresh: boolean;
}

interface CachedBlock extends CachedPart {
  readonly block: Block;
}

interface CachedMeta extends CachedPart {
  readonly meta: TableMeta;
}

/** An SST opened for reading. */
export class Table {
  readonly ref: SstRef;
  /** Key of the object. */
  readonly object: string;
  /** No visible key is below this; undefined if there is no row. Views of one SST in one run differ in it. */
  readonly firstKey: Uint8Array | undefined;
  readonly #parts: TableParts;
  #meta: CachedMeta | undefined;
  readonly #blocks: (CachedBlock | undefined)[] = [];
  readonly #inFlight = new Map<string, Promise<unknown>>();

  constructor(ref: SstRef, object: string, parts: TableParts) {
    this.ref = ref;
    this.object = object;
    this.firstKey = firstVisible(ref);
    this.#parts = parts;
  }

  /** True if the table may hold `key`, by its bounds alone. */
  covers(key: Uint8Array): boolean {
    const { info, visibleRange } = this.ref;
    if (info.firstEntry === undefined || compareBytes(key, info.firstEntry) < 0) return false;
    if (info.lastEntry !== undefined && compareBytes(key, info.lastEntry) > 0) return false;
    return visibleRange === undefined || contains(visibleRange, key);
  }

  /**
   * Appends the versions of `key` with seq <= maxSeq to `found`, newest first, up to the first that is no merge operand.
   * True if that one was found. If a Load comes back, what was appended is to be discarded.
   */
  lookup(question: { key: Uint8Array; hash: Hash64; maxSeq: number }, found: Row[], loaded: Loaded | undefined): boolean | Load {
    const { key } = question;
    if (!this.covers(key)) return false;
    const meta = this.metaNow(loaded);
    if (meta === undefined) return this.loadMeta;
    if (meta.filter === undefined) return this.#search(meta, question, found, loaded);
    const { counts } = this.#parts;
    if (!meta.filter.mightContain(question.hash)) {
      counts.filterNegative++;
      return false;
    }
    const before = found.length;
    const result = this.#search(meta, question, found, loaded);
    if (found.length > before) counts.filterPositive++;
    else if (result === false) counts.filterFalsePositive++;
    return result;
  }

  #search(meta: TableMeta, { key, maxSeq }: { key: Uint8Array; maxSeq: number }, found: Row[], loaded: Loaded | undefined): boolean | Load {
    for (let i = meta.keys.firstBlock(key); i < meta.index.length; i++) {
      const block = this.blockNow(i, loaded);
      if (block === undefined) return this.#loadOf(i);
      const end = block.lookup(key, maxSeq, found);
      if (end !== "end") return end === "found";
      const next = meta.index[i + 1];
      if (next !== undefined && compareBytes(next.firstKey, key) > 0) return false;
    }
    return false;
  }

  /** Made here, so that a lookup that needs none makes nothing for it. */
  #loadOf(index: number): Load {
    return async (loaded) => await this.loadBlocks({ from: index, to: index + 1, isCached: true }, loaded);
  }

  /** Index and filter, if they are here. */
  metaNow(loaded: Loaded | undefined): TableMeta | undefined {
    if (this.#meta !== undefined) {
      this.#meta.wasUsed = true;
      this.#parts.cache.hits++;
      this.#parts.counts.metaHits++;
      return this.#meta.meta;
    }
    return loaded?.metas.get(this);
  }

  /** A block, if it is here. */
  blockNow(index: number, loaded: Loaded | undefined): Block | undefined {
    const cached = this.#blocks[index];
    if (cached !== undefined) {
      cached.wasUsed = true;
      this.#parts.cache.hits++;
      this.#parts.counts.blockHits++;
      return cached.block;
    }
    return loaded?.blocks.get(this)?.get(index);
  }

  /** Loads index and filter. */
  readonly loadMeta: Load = async (loaded) => {
    const meta = await this.#once("meta", async () => await this.#readMeta());
    loaded.metas.set(this, meta);
  };

  /** Loads blocks [from, to) with one read. They are cached if `isCached`. */
  async loadBlocks(wanted: { from: number; to: number; isCached: boolean }, loaded: Loaded): Promise<void> {
    const blocks = await this.#once(`${wanted.from}-${wanted.to}-${wanted.isCached}`, async () => await this.#readBlocks(wanted, loaded));
    let mine = loaded.blocks.get(this);
    if (mine === undefined) loaded.blocks.set(this, (mine = new Map<number, Block>()));
    for (const [index, block] of blocks) mine.set(index, block);
  }

  /** The index, for a caller that reads the whole table once: not cached, and without the filter. @throws LSM_CORRUPT, LSM_MISSING */
  async readIndex(): Promise<readonly IndexEntry[]> {
    if (this.#meta !== undefined) return this.#meta.meta.index;
    const { info } = this.ref;
    return await this.#checked(async (isFresh) => {
      const stored = await this.#section({ start: info.indexOffset, length: info.indexLength, isFresh });
      const place = { object: this.object, offset: info.indexOffset };
      return decodeIndex(this.#parts.sealer.unseal(stored, info.compression, place), this.object);
    });
  }

  /** Blocks [from, to) of that index as they are stored, their checksums verified. @throws LSM_CORRUPT, LSM_MISSING */
  async readStored(index: readonly IndexEntry[], from: number, to: number): Promise<Uint8Array> {
    const start = blockOffset(index, from, this.ref);
    return await this.#checked(async (isFresh) => {
      const bytes = await this.#section({ start, length: blockOffset(index, to, this.ref) - start, isFresh });
      for (let i = from; i < to; i++) {
        const offset = blockOffset(index, i, this.ref);
        const stored = bytes.subarray(offset - start, blockEnd(index, i, this.ref) - start);
        checkCrc(stored, this.#parts.sealer.crc32, { object: this.object, offset });
      }
      return bytes;
    });
  }

  /** The raw bytes of a block stored at `offset` whose checksum was verified; a view if there is neither codec nor transformer. @throws LSM_CORRUPT */
  decode(stored: Uint8Array, offset: number): Uint8Array {
    const body = stored.subarray(0, stored.length - CRC_BYTES);
    return this.#parts.sealer.decode(body, this.ref.info.compression, { object: this.object, offset });
  }

  /** Statistics, undefined if the SST has none. @throws LSM_CORRUPT, LSM_MISSING */
  async stats(): Promise<SstStats | undefined> {
    const { info } = this.ref;
    if (info.statsLength === 0) return undefined;
    return await this.#checked(async (isFresh) => {
      const raw = await this.#section({ start: info.statsOffset, length: info.statsLength, isFresh });
      return decodeStats(this.#parts.sealer.unseal(raw, info.compression, { object: this.object, offset: info.statsOffset }), this.object);
    });
  }

  /** Forgets all cached parts. */
  evict(): void {
    if (this.#meta !== undefined) this.#parts.cache.remove(this.#meta);
    this.#meta = undefined;
    for (const block of this.#blocks) if (block !== undefined) this.#parts.cache.remove(block);
    this.#blocks.length = 0;
  }

  /** Joins callers that want the same at the same time. */
  async #once<T>(what: string, read: () => Promise<T>): Promise<T> {
    const running = this.#inFlight.get(what);
    if (running !== undefined) return (await running) as T;
    const promise = read();
    this.#inFlight.set(what, promise);
    try {
      return await promise;
    } finally {
      this.#inFlight.delete(what);
    }
  }

  /** What does not add up is read once more, past any cache: the fault may be the cache's, or the way's. */
  async #checked<T>(read: (isFresh: boolean) => Promise<T>): Promise<T> {
    try {
      return await read(false);
    } catch (error) {
      if (!isPumiceError(error, "LSM_CORRUPT")) throw error;
      return await read(true);
    }
  }

  async #readMeta(): Promise<TableMeta> {
    if (this.#meta !== undefined) return this.#meta.meta;
    this.#parts.cache.misses++;
    this.#parts.counts.metaMisses++;
    return await this.#checked(async (isFresh) => await this.#fetchMeta(isFresh));
  }

  async #fetchMeta(isFresh: boolean): Promise<TableMeta> {
    const { info } = this.ref;
    const start = info.filterLength > 0 ? info.filterOffset : info.indexOffset;
    const bytes = await this.#section({ start, length: info.indexOffset + info.indexLength - start, isFresh });
    const indexPlace = { object: this.object, offset: info.indexOffset };
    const index = decodeIndex(
      this.#parts.sealer.unseal(bytes.subarray(info.indexOffset - start), info.compression, indexPlace),
      this.object,
    );
    let filter: Filter | undefined;
    if (info.filterLength > 0) {
      const raw = this.#parts.sealer.unseal(bytes.subarray(0, info.filterLength), info.compression, { object: this.object, offset: start });
      filter = info.filterFormat === "legacy" ? readUnsureFilter(raw, this.object) : readCompositeFilter(raw, this.object);
    }
    const meta: TableMeta = { index, keys: new IndexKeys(index), filter };
    const sizeBytes = index.reduce((sum, entry) => sum + entry.firstKey.length + 120, 200) + (filter?.sizeBytes ?? 0);
    const part: CachedMeta = {
      meta,
      sizeBytes,
      wasUsed: true,
      drop: () => {
        if (this.#meta === part) this.#meta = undefined;
      },
    };
    this.#meta = part;
    this.#parts.cache.add(part);
    return meta;
  }

  async #readBlocks(wanted: { from: number; to: number; isCached: boolean }, loaded: Loaded): Promise<Map<number, Block>> {
    if (this.metaNow(loaded) === undefined) await this.loadMeta(loaded);
    const index = this.metaNow(loaded)?.index ?? [];
    this.#parts.cache.misses++;
    this.#parts.counts.blockMisses++;
    return await this.#checked(async (isFresh) => await this.#fetchBlocks(wanted, index, isFresh));
  }

  async #fetchBlocks(
    wanted: { from: number; to: number; isCached: boolean },
    index: readonly IndexEntry[],
    isFresh: boolean,
  ): Promise<Map<number, Block>> {
    const start = blockOffset(index, wanted.from, this.ref);
    const bytes = await this.#section({ start, length: blockOffset(index, wanted.to, this.ref) - start, isFresh });
    const blocks = new Map<number, Block>();
    for (let i = wanted.from; i < wanted.to; i++) {
      const origin = { object: this.object, offset: blockOffset(index, i, this.ref) };
      const stored = bytes.subarray(origin.offset - start, blockEnd(index, i, this.ref) - start);
      const raw = this.#parts.sealer.unseal(stored, this.ref.info.compression, origin);
      // A block that is a view of a longer read would keep all of it alive in the cache.
      const own = wanted.isCached && wanted.to - wanted.from > 1 && raw.buffer === bytes.buffer ? copyBytes(raw) : raw;
      const block = readBlock(own, this.ref.formatVersion, origin);
      blocks.set(i, block);
      if (wanted.isCached && this.#blocks[i] === undefined) this.#cacheBlock(i, block);
    }
    return blocks;
  }

  #cacheBlock(index: number, block: Block): void {
    const part: CachedBlock = {
      block,
      sizeBytes: block.sizeBytes,
      wasUsed: false,
      drop: () => {
        if (this.#blocks[index] === part) this.#blocks[index] = undefined;
      },
    };
    this.#blocks[index] = part;
    this.#parts.cache.add(part);
  }

  async #section(place: Section): Promise<Uint8Array> {
    const { start, length } = place;
    const { store, policy } = this.#parts;
    const bytes = await withRetry(policy, async () => await this.#readSection(store, place));
    if (bytes === undefined) throw new PumiceError("LSM_MISSING", { object: this.object });
    if (bytes.length !== length) {
      throw damaged({
        object: this.object,
        what: "object is shorter than the manifest says",
        offset: start,
        expected: length,
        found: bytes.length,
      });
    }
    return bytes;
  }

  async #readSection(store: ObjectStore, { start, length, isFresh }: Section): Promise<Uint8Array | undefined> {
    try {
      return await store.getRange(this.object, { start, end: start + length }, { signal: this.#parts.policy.signal, isFresh });
    } catch (error) {
      if (!(error instanceof PumiceError) || error.code !== "STORE_RANGE") throw error;
      throw new PumiceError("LSM_CORRUPT", { object: this.object, what: "object is shorter than the manifest says", offset: start }, error);
    }
  }
}

/** Offset at which block `i` begins; the end of the data if `i` is one beyond the last. */
export function blockOffset(index: readonly IndexEntry[], i: number, ref: SstRef): number {
  return index[i]?.offset ?? ref.info.filterOffset;
}

/** Offset at which block `i` ends, its checksum included. SlateDB 0.18 may pad blocks: the padding belongs to none. */
export function blockEnd(index: readonly IndexEntry[], i: number, ref: SstRef): number {
  const entry = index[i];
  const { encodedBytes = 0 } = entry ?? {};
  return entry === undefined || encodedBytes === 0 ? blockOffset(index, i + 1, ref) : entry.offset + encodedBytes;
}

/** The keys of an index, for searching. */
export class IndexKeys {
  readonly #index: readonly IndexEntry[];
  readonly #common: CommonPrefix;
  readonly #numbers: Float64Array;

  constructor(index: readonly IndexEntry[]) {
    this.#index = index;
    const sample = index[1]?.firstKey ?? EMPTY_BYTES;
    const last = index.at(-1)?.firstKey ?? sample;
    // Keys ascend: what the first and the last begin with, all begin with.
    const length = sharedLength(sample, last, sample.length);
    this.#common = { sample, length };
    this.#numbers = Float64Array.from(index, (entry, i) => (i === 0 ? 0 : prefixNumber(entry.firstKey, length)));
  }

  /** The first block that may hold `key`: versions of it may begin in the block before the one whose first key it is. */
  firstBlock(key: Uint8Array): number {
    return Math.max(0, this.#countBelow(key, false) - 1);
  }

  /** The last block that may hold a key up to `key`. */
  lastBlock(key: Uint8Array): number {
    return Math.max(0, this.#countBelow(key, true) - 1);
  }

  /** How many first keys are below `key`, or up to it if `isInclusive`. */
  #countBelow(key: Uint8Array, isInclusive: boolean): number {
    const index = this.#index;
    const numbers = this.#numbers;
    const side = comparePrefix(key, this.#common);
    if (side !== 0) return side < 0 ? Math.min(1, index.length) : index.length;
    const number = prefixNumber(key, this.#common.length);
    let low = 1;
    let high = index.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const there = numbers[middle] as number;
      const order = there === number ? compareBytes((index[middle] as IndexEntry).firstKey, key) : there - number;
      if (order < 0 || (isInclusive && order === 0)) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** A lower bound of the keys that a reference shows: its first key, or the start of its range. */
export function firstVisible({ info, visibleRange }: SstRef): Uint8Array | undefined {
  const { firstEntry } = info;
  const start = visibleRange?.start;
  return firstEntry !== undefined && start !== undefined && compareBytes(start, firstEntry) > 0 ? start : firstEntry;
}

/** An upper bound of the keys that a reference shows; undefined if none is known. */
export function lastVisible({ info, visibleRange }: SstRef): Uint8Array | undefined {
  const { lastEntry } = info;
  const end = visibleRange?.end;
  return end !== undefined && (lastEntry === undefined || compareBytes(end, lastEntry) < 0) ? end : lastEntry;
}

/** True if each table ends before the next begins. Other writers may leave versions of one key in two tables of a run. */
export function isDisjoint(tables: readonly Table[]): boolean {
  return tables.every((table, i) => {
    const next = tables[i + 1]?.ref.info.firstEntry;
    return next === undefined || table.ref.info.lastEntry === undefined || compareBytes(table.ref.info.lastEntry, next) < 0;
  });
}

/** True if the table may hold a key of the range, by its bounds. */
export function overlaps(ref: SstRef, range: KeyRange): boolean {
  const { firstEntry, lastEntry } = ref.info;
  if (firstEntry === undefined) return false;
  if (range.end !== undefined) {
    const order = compareBytes(firstEntry, range.end);
    if (order > 0 || (order === 0 && !range.endInclusive)) return false;
  }
  if (range.start !== undefined && lastEntry !== undefined) {
    const order = compareBytes(lastEntry, range.start);
    if (order < 0 || (order === 0 && !range.startInclusive)) return false;
  }
  return true;
}
