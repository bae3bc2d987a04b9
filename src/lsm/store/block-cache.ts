/**
 * Bounded cache of decoded parts of SSTs (blocks, indexes, filters), shared by all tables of a store. Second chance: a part used
 * since the hand last passed is spared once. The parts themselves hang at their table, so that a hit costs one array access.
 */

/** A cached part. Its holder sets `wasUsed` at each hit. */
export interface CachedPart {
  readonly sizeBytes: number;
  wasUsed: boolean;
  /** Forgets the part at its holder. */
  drop(): void;
}

/** Counters of a cache since it was made. */
export interface CacheStats {
  readonly sizeBytes: number;
  readonly parts: number;
  readonly hits: number;
  readonly misses: number;
  readonly evictions: number;
}

/** The cache: only the accounting. May be shared by several stores in a process. */
export class BlockCache {
  readonly #capacityBytes: number;
  readonly #parts = new Set<CachedPart>();
  #sizeBytes = 0;
  #evictions = 0;
  /** Counted by holders. */
  hits = 0;
  misses = 0;

  constructor(capacityBytes: number) {
    this.#capacityBytes = capacityBytes;
  }

  /** Takes the part into account, and drops others until all fits. */
  add(part: CachedPart): void {
    this.#parts.add(part);
    this.#sizeBytes += part.sizeBytes;
    for (const candidate of this.#parts) {
      if (this.#sizeBytes <= this.#capacityBytes) return;
      this.#parts.delete(candidate);
      if (candidate.wasUsed) {
        candidate.wasUsed = false;
        this.#parts.add(candidate);
        continue;
      }
      this.#sizeBytes -= candidate.sizeBytes;
      this.#evictions++;
      candidate.drop();
    }
  }

  /** Forgets the part, if it is still there. */
  remove(part: CachedPart): void {
    if (this.#parts.delete(part)) this.#sizeBytes -= part.sizeBytes;
  }

  get stats(): CacheStats {
    return { sizeBytes: this.#sizeBytes, parts: this.#parts.size, hits: this.hits, misses: this.misses, evictions: this.#evictions };
  }
}
