/**
 * A simulated file's bytes: what the process sees, what is durable, and every version of each 512-byte sector in between, any of which a
 * crash may leave.
 */
import { copyBytes, type Random } from "../../base/mod.ts";

/** What a disk writes whole or not at all. */
export const SECTOR_BYTES = 512;

/** One file. Names and handles refer to it. */
export class SimFile {
  readonly kind = "file";
  /** What a read gives; longer than `size`, and zero from there on. */
  #current = new Uint8Array(0);
  #size = 0;
  /** What is safe, likewise. */
  #durable = new Uint8Array(0);
  #durableSize = 0;
  /** Sector -> its versions since the last sync, oldest first. */
  readonly #versions = new Map<number, Uint8Array[]>();
  /** Sizes since the last sync, oldest first. */
  #sizes: number[] = [];

  get size(): number {
    return this.#size;
  }

  /** Space taken on the disk. */
  get allocatedBytes(): number {
    return Math.ceil(this.#size / SECTOR_BYTES) * SECTOR_BYTES;
  }

  read(target: Uint8Array, position: number): number {
    const count = Math.max(0, Math.min(target.length, this.#size - position));
    target.set(this.#current.subarray(position, position + count));
    return count;
  }

  write(bytes: Uint8Array, position: number): void {
    if (bytes.length === 0) return;
    const end = position + bytes.length;
    if (end > this.#size) this.#resize(end);
    this.#current.set(bytes, position);
    this.#keepVersions(position, end);
  }

  truncate(size: number): void {
    if (size < this.#size) {
      this.#current.fill(0, size, this.#size);
      this.#keepVersions(size, this.#size);
    }
    if (size !== this.#size) this.#resize(size);
  }

  /** All that was written is safe. */
  sync(): void {
    this.#durable = this.#grown(this.#durable, this.#current.length);
    for (const sector of this.#versions.keys()) {
      const start = sector * SECTOR_BYTES;
      this.#durable.set(this.#current.subarray(start, start + SECTOR_BYTES), start);
    }
    this.#durableSize = this.#size;
    this.#versions.clear();
    this.#sizes = [];
  }

  /**
   * A sync that failed: any part of what was written is safe, and the rest counts as clean. Reads still show it, later syncs pass it by, a
   * crash takes it. (This is what Linux did in 2018, and may do.)
   */
  failSync(random: Random): void {
    this.#settle(random, 500);
  }

  /** Power is lost: of each unsynced sector, and of the size, some version stays. `keepPerMille`: how likely it is not the oldest. */
  crash(random: Random, keepPerMille: number): void {
    this.#settle(random, keepPerMille);
    this.#size = this.#durableSize;
    this.#durable.fill(0, this.#size);
    this.#current = copyBytes(this.#durable);
  }

  /** Changes one bit, as rot does: at once and for good. */
  flip(bit: number): void {
    const position = bit >>> 3;
    for (const bytes of [this.#current, this.#durable]) {
      if (position < bytes.length) bytes[position] = (bytes[position] as number) ^ (1 << (bit & 7));
    }
  }

  #settle(random: Random, keepPerMille: number): void {
    this.#durable = this.#grown(this.#durable, this.#current.length);
    for (const [sector, versions] of this.#versions) {
      const kept = choose(random, versions, keepPerMille);
      if (kept !== undefined) this.#durable.set(kept, sector * SECTOR_BYTES);
    }
    this.#durableSize = choose(random, this.#sizes, keepPerMille) ?? this.#durableSize;
    this.#versions.clear();
    this.#sizes = [];
  }

  #resize(size: number): void {
    this.#current = this.#grown(this.#current, size);
    this.#size = size;
    this.#sizes.push(size);
  }

  #keepVersions(start: number, end: number): void {
    for (let sector = Math.floor(start / SECTOR_BYTES); sector * SECTOR_BYTES < end; sector++) {
      const at = sector * SECTOR_BYTES;
      const versions = this.#versions.get(sector) ?? [];
      versions.push(copyBytes(this.#current, at, at + SECTOR_BYTES));
      this.#versions.set(sector, versions);
    }
  }

  /** `bytes`, or a copy with room for whole sectors of `size`. */
  #grown(bytes: Uint8Array<ArrayBuffer>, size: number): Uint8Array<ArrayBuffer> {
    const wanted = Math.ceil(size / SECTOR_BYTES) * SECTOR_BYTES;
    if (bytes.length >= wanted) return bytes;
    const larger = new Uint8Array(Math.max(wanted, bytes.length * 2));
    larger.set(bytes);
    return larger;
  }
}

/** One of `versions`, the newest most often, or undefined for none of them. */
export function choose<T>(random: Random, versions: readonly T[], keepPerMille: number): T | undefined {
  if (versions.length === 0 || random.below(1000) >= keepPerMille) return undefined;
  if (random.below(4) > 0) return versions.at(-1);
  return versions[random.below(versions.length)];
}
