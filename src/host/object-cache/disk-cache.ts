/**
 * Parts of objects in a folder of bounded size, the least recently used going first. It survives restarts: what lies in the folder when it is
 * opened is used. It never makes a read fail: what cannot be read, or does not add up, is not there; what cannot be written is not
 * cached; both are counted.
 *
 * Invariants:
 * 1. The files of the index take no more than `bytesMax`, nor do they while one is being written: room is made first.
 * 2. A file gets its name when it is whole. After a power loss it may be damaged all the same (nothing is synced): hence the checksums.
 *
 * One process at a time should use a folder. Two would each keep to the bound by themselves, and miss where the other removed a file.
 */
import { fs, fsPromises } from "../built-ins.ts";
import { asStoreError, codeOf, isAbsent, makeFolders, open, readFolder, rename, stat, unlink, writeFully } from "../local-store/files.ts";
import { encodePartHeader, readPartLayout, readPayload, withPartFile, type PartLayout } from "./part-file.ts";

/** Where, and how much. */
export interface DiskCacheOptions {
  readonly folder: string;
  readonly bytesMax: number;
}

/** What happened since it was opened, and what is in it. */
export interface DiskCacheStats {
  readonly hits: number;
  readonly misses: number;
  /** Entries found damaged and removed. */
  readonly damaged: number;
  readonly evicted: number;
  /** Entries that could not be written. */
  readonly unwritten: number;
  readonly bytes: number;
  readonly entries: number;
}

interface Entry {
  readonly sizeBytes: number;
  layout: PartLayout | undefined;
  /** When its file's time was last set, ms since 1970: the order of use is kept in the file system, to the minute. */
  touchedMs: number;
}

/** A part by its place in the cache: a group is an object. */
export interface PartName {
  /** Hexadecimal, at least two digits. */
  readonly group: string;
  readonly index: number;
  /** Kept in the file and compared. */
  readonly identity: string;
}

const TOUCH_MS = 60_000;
/** Of this process: two caches in it may be told the same folder. */
let temporaryCount = 0;
const NAME = /^([0-9a-f]{2,64})-(\d{1,10})$/;

/** See the header of this file. */
export class DiskCache {
  readonly #folder: string;
  readonly #bytesMax: number;
  /** By `group-index`, least recently used first. */
  readonly #entries = new Map<string, Entry>();
  readonly #groups = new Map<string, Set<number>>();
  #bytes = 0;
  #reservedBytes = 0;
  #counts = { hits: 0, misses: 0, damaged: 0, evicted: 0, unwritten: 0 };

  private constructor(options: DiskCacheOptions) {
    this.#folder = options.folder;
    this.#bytesMax = options.bytesMax;
  }

  /** Opens the folder, makes it if need be, and takes over what is in it. @throws STORE_UNAVAILABLE, STORE_REFUSED, STORE_KEY */
  static async open(options: DiskCacheOptions): Promise<DiskCache> {
    try {
      return await DiskCache.#open(options);
    } catch (error) {
      throw asStoreError(error, options.folder);
    }
  }

  static async #open(options: DiskCacheOptions): Promise<DiskCache> {
    const cache = new DiskCache(options);
    await makeFolders(options.folder);
    const found: { name: string; entry: Entry }[] = [];
    for (const shard of await readFolder(options.folder)) {
      if (!shard.isDirectory() || !/^[0-9a-f]{2}$/.test(shard.name)) continue;
      const folder = `${options.folder}/${shard.name}`;
      for (const { name } of await readFolder(folder)) {
        if (!NAME.test(name) || !name.startsWith(shard.name)) {
          await fsPromises().rm(`${folder}/${name}`, { force: true, recursive: true }); // Half-written, when the process ended.
          continue;
        }
        const stats = await stat(`${folder}/${name}`).catch((error: unknown) => {
          if (isAbsent(error)) return undefined; // Evicted by another process.
          throw error;
        });
        if (stats === undefined) continue;
        found.push({ name, entry: { sizeBytes: Number(stats.size), layout: undefined, touchedMs: Number(stats.mtimeMs) } });
      }
    }
    found.sort((left, right) => left.entry.touchedMs - right.entry.touchedMs || (left.name < right.name ? -1 : 1));
    for (const { name, entry } of found) cache.#add(name, entry);
    await cache.#makeRoom(0);
    return cache;
  }

  get stats(): DiskCacheStats {
    return { ...this.#counts, bytes: this.#bytes, entries: this.#entries.size };
  }

  /** Bytes [start, end) of the part, cut at its end, and whether the part ends there; undefined if it is not here, or damaged. */
  async read(part: PartName, start: number, end: number): Promise<{ readonly bytes: Uint8Array; readonly partBytes: number } | undefined> {
    const name = `${part.group}-${part.index}`;
    const entry = this.#entries.get(name);
    if (entry === undefined) {
      this.#counts.misses++;
      return undefined;
    }
    const outcome = await this.#readFile(name, part, entry, { start, end });
    if (outcome === undefined) {
      this.#counts.misses++;
      // Somebody may have put a new one there meanwhile; that one is not to blame.
      if (this.#entries.get(name) === entry) {
        this.#counts.damaged++;
        await this.#remove(name);
      }
      return undefined;
    }
    this.#counts.hits++;
    if (this.#entries.get(name) === entry) this.#use(name, entry);
    return outcome;
  }

  /** Puts the part in. Resolves when it is there, or was found not to fit, or could not be written. */
  async write(part: PartName, payload: Uint8Array): Promise<void> {
    const header = encodePartHeader(part.identity, payload);
    const sizeBytes = header.length + payload.length;
    if (sizeBytes > this.#bytesMax) return;
    this.#reservedBytes += sizeBytes;
    const name = `${part.group}-${part.index}`;
    const temporary = `${this.#shardOf(name)}/${process.pid}-${++temporaryCount}.tmp`;
    try {
      await this.#makeRoom(0);
      await makeFolders(this.#shardOf(name));
      const fd = await open(temporary, "w");
      try {
        await writeFully(fd, Buffer.concat([header, payload]));
      } finally {
        fs.closeSync(fd);
      }
      await rename(temporary, this.#pathOf(name));
      this.#forget(name);
      this.#add(name, { sizeBytes, layout: undefined, touchedMs: Date.now() });
    } catch (error) {
      if (codeOf(error) === undefined) throw error;
      this.#counts.unwritten++;
      await unlink(temporary).catch(() => undefined);
    } finally {
      this.#reservedBytes -= sizeBytes;
    }
  }

  /** Removes all parts of the group. */
  async removeGroup(group: string): Promise<void> {
    for (const index of this.#groups.get(group) ?? []) await this.#remove(`${group}-${index}`);
  }

  // oxlint-disable-next-line max-params -- the part by its three names, and the range
  async #readFile(
    name: string,
    part: PartName,
    entry: Entry,
    range: { readonly start: number; readonly end: number },
  ): Promise<{ bytes: Uint8Array; partBytes: number } | undefined> {
    try {
      return await withPartFile(this.#pathOf(name), async (fd) => {
        const layout = entry.layout ?? (await readPartLayout(fd, part.identity));
        if (layout === undefined) return undefined;
        entry.layout = layout;
        const bytes = await readPayload(fd, layout, range.start, range.end);
        return bytes === undefined ? undefined : { bytes, partBytes: layout.payloadBytes };
      });
    } catch (error) {
      if (codeOf(error) === undefined) throw error;
      return undefined;
    }
  }

  /** Evicts until the entries and what is being written, and `sizeBytes` more, fit. */
  async #makeRoom(sizeBytes: number): Promise<void> {
    while (this.#bytes + this.#reservedBytes + sizeBytes > this.#bytesMax) {
      const oldest = this.#entries.keys().next();
      if (oldest.done === true) return;
      this.#counts.evicted++;
      await this.#remove(oldest.value);
    }
  }

  async #remove(name: string): Promise<void> {
    this.#forget(name);
    await unlink(this.#pathOf(name)).catch((error: unknown) => {
      // What cannot be removed is found again when the folder is next opened.
      if (codeOf(error) === undefined && !isAbsent(error)) throw error;
    });
  }

  #add(name: string, entry: Entry): void {
    const [, group = "", index] = NAME.exec(name) ?? [];
    const indexes = this.#groups.get(group) ?? new Set();
    indexes.add(Number(index));
    this.#groups.set(group, indexes);
    this.#entries.set(name, entry);
    this.#bytes += entry.sizeBytes;
  }

  #forget(name: string): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) return;
    this.#entries.delete(name);
    this.#bytes -= entry.sizeBytes;
    const [, group = "", index] = NAME.exec(name) ?? [];
    const indexes = this.#groups.get(group);
    indexes?.delete(Number(index));
    if (indexes?.size === 0) this.#groups.delete(group);
  }

  #use(name: string, entry: Entry): void {
    this.#entries.delete(name);
    this.#entries.set(name, entry);
    const nowMs = Date.now();
    if (nowMs - entry.touchedMs < TOUCH_MS) return;
    entry.touchedMs = nowMs;
    // Only for the order after a restart: whether it succeeds matters to nobody.
    fs.utimes(this.#pathOf(name), nowMs / 1000, nowMs / 1000, () => undefined);
  }

  #shardOf(name: string): string {
    return `${this.#folder}/${name.slice(0, 2)}`;
  }

  #pathOf(name: string): string {
    return `${this.#shardOf(name)}/${name}`;
  }
}
