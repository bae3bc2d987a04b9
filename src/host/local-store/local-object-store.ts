/**
 * An object store in a directory: each object is the file of its key, so that SlateDB's `file://` and every tool of the system see the
 * same files. Several processes may use one directory at a time.
 *
 * Invariants:
 * 1. A file that has an object's name is whole and never changes: it is written under a temporary name, synced, then linked (create) or
 *    renamed (replace). A crash leaves temporary files only; they are in no listing, and the first writer to come to the folder removes
 *    those whose makers are dead.
 * 2. Creating is one `link`, which fails if the name is taken. Replacing and deleting hold the folder's lock (lock.ts): a compare-and-swap looks,
 *    then renames, and nothing that replaces or deletes may come between. Creation needs no lock: it cannot happen while the name is taken.
 * 3. No two versions of a key have the same etag: each file gets a time of its own, to the microsecond, before it gets its name. Without
 *    that, an inode used again within one tick of the kernel's clock would look like the version before.
 * 4. A call settles after file, folder, and all folders made for it are synced (unless told not to sync).
 */
import { dirname, resolve } from "node:path";
import {
  assertByteRange,
  checkObjectKey,
  EMPTY_BYTES,
  PumiceError,
  type ByteRange,
  type ETag,
  type ListOptions,
  type ObjectMeta,
  type ObjectStore,
  type PutCondition,
  type PutResult,
  type StoreOptions,
} from "../../base/mod.ts";
import { fs } from "../built-ins.ts";
import {
  asStoreError,
  codeOf,
  fstat,
  isAbsent,
  link,
  open,
  readFully,
  rename,
  setTime,
  stat,
  unlink,
  writeFully,
  writeParts,
  fsync,
} from "./files.ts";
import { FolderSyncs } from "./folders.ts";
import { isTemporaryName, listTree, metaAt, metaOf } from "./listing.ts";
import { FolderLocks } from "./lock.ts";
import { newOwnName } from "./owner.ts";
import { sweepFolder } from "./sweep.ts";

/** Settings of a store in a directory. */
export interface LocalObjectStoreOptions {
  /** The directory. Made with the first object. */
  readonly root: string;
  /** Whether a settled write survives a power loss. Default true; false is SlateDB's way, and much faster. */
  readonly isSynced?: boolean | undefined;
}

interface Temporary {
  readonly path: string;
  readonly etag: ETag;
}

/** See the header of this file. Holds no descriptor between calls: there is nothing to close. */
export class LocalObjectStore implements ObjectStore {
  /** Absolute. */
  readonly root: string;
  readonly #isSynced: boolean;
  readonly #syncs: FolderSyncs;
  readonly #locks = new FolderLocks();
  /** Folders whose leftovers this store has removed, or is removing. */
  readonly #swept = new Map<string, Promise<void>>();

  constructor(options: LocalObjectStoreOptions) {
    this.root = resolve(options.root);
    this.#isSynced = options.isSynced ?? true;
    this.#syncs = new FolderSyncs(this.#isSynced);
  }

  get(key: string, options?: StoreOptions): Promise<Uint8Array | undefined> {
    return this.#read(key, options, async (fd) => {
      const stats = await fstat(fd);
      if (stats.isDirectory()) return undefined;
      const target = new Uint8Array(Number(stats.size));
      const count = await readFully(fd, target, 0);
      if (count < target.length) throw new PumiceError("STORE_UNAVAILABLE", { key, reason: "file shrank while it was read", count });
      return target;
    });
  }

  async getRange(key: string, range: ByteRange, options?: StoreOptions): Promise<Uint8Array | undefined> {
    assertByteRange(range);
    const { start, end } = range;
    return this.#read(key, options, async (fd) => {
      // The size is asked for only where the answer depends on it: most ranges lie within their object.
      const isLong = end - start > 0x10_0000;
      const lengthMax = isLong ? Math.min(end, Number((await fstat(fd)).size)) - start : end - start;
      const target = lengthMax > 0 ? new Uint8Array(lengthMax) : EMPTY_BYTES;
      const count = await readFully(fd, target, start);
      if (count > 0) return count === target.length ? target : target.slice(0, count);
      const stats = await fstat(fd);
      if (stats.isDirectory()) return undefined;
      const sizeBytes = Number(stats.size);
      if (start > sizeBytes) throw new PumiceError("STORE_RANGE", { key, start, sizeBytes });
      return new Uint8Array(0);
    });
  }

  head(key: string, options?: StoreOptions): Promise<ObjectMeta | undefined> {
    return this.#attempt(key, options, () => metaAt(this.root, key));
  }

  async *list(prefix: string, options?: ListOptions): AsyncIterable<ObjectMeta> {
    try {
      yield* listTree({ root: this.root, prefix, startAfter: options?.startAfter ?? "", signal: options?.signal });
    } catch (error) {
      throw asStoreError(error, prefix);
    }
  }

  put(key: string, body: Uint8Array, options?: StoreOptions): Promise<ETag> {
    return this.#attempt(key, options, () =>
      this.#withTemporary(key, body, options, async (temporary, path) => {
        // A new name needs no lock.
        if (!(await linkIfAbsent(temporary.path, path))) {
          await this.#locks.within(dirname(path), (confirm) => confirm().then(() => rename(temporary.path, path)), options?.signal);
        }
        await this.#syncs.sync(dirname(path));
        return temporary.etag;
      }),
    );
  }

  async putIf(key: string, body: Uint8Array, condition: PutCondition, options?: StoreOptions): Promise<PutResult> {
    return this.#attempt(key, options, async () => {
      const path = `${this.root}/${key}`;
      const holds = async (): Promise<boolean> => {
        const meta = await metaAt(this.root, key);
        return condition.kind === "absent" ? meta === undefined : meta?.etag === condition.etag;
      };
      // Looked at before the body is written, so that losing is cheap; what decides comes below.
      if (!(await holds())) return await this.#lost(path);
      return this.#withTemporary(key, body, options, async (temporary) => {
        const isPlaced =
          condition.kind === "absent"
            ? await linkIfAbsent(temporary.path, path)
            : await this.#locks.within(dirname(path), (confirm) => replaceIf(holds, confirm, temporary.path, path), options?.signal);
        if (!isPlaced) return await this.#lost(path);
        await this.#syncs.sync(dirname(path));
        return { ok: true, etag: temporary.etag };
      });
    });
  }

  createFrom(key: string, parts: AsyncIterable<Uint8Array>, options?: StoreOptions): Promise<PutResult> {
    return this.#attempt(key, options, async () => {
      // Looked at before anything is written, so that losing is cheap; what decides comes below.
      if ((await metaAt(this.root, key)) !== undefined) return { ok: false };
      return await this.#withTemporary(key, parts, options, async (temporary, path) => {
        if (!(await linkIfAbsent(temporary.path, path))) return { ok: false };
        await this.#syncs.sync(dirname(path));
        return { ok: true, etag: temporary.etag };
      });
    });
  }

  delete(key: string, options?: StoreOptions): Promise<void> {
    return this.#attempt(key, options, async () => {
      const path = `${this.root}/${key}`;
      try {
        if ((await stat(path)).isDirectory()) return;
        await this.#locks.within(dirname(path), (confirm) => confirm().then(() => unlink(path)), options?.signal);
      } catch (error) {
        if (isAbsent(error)) return;
        throw error;
      }
      await this.#syncs.sync(dirname(path));
    });
  }

  /** What is there instead may be this store's own, placed by a call whose sync failed: the caller may find that out, and rely on it. */
  async #lost(path: string): Promise<PutResult> {
    await this.#syncs.settle(dirname(path));
    return { ok: false };
  }

  /** Checks key and signal, runs, and tells the file system's errors in the store's words. */
  async #attempt<T>(key: string, options: StoreOptions | undefined, run: () => Promise<T>): Promise<T> {
    checkObjectKey(key);
    if (isTemporaryName(key.slice(key.lastIndexOf("/") + 1))) {
      throw new PumiceError("STORE_KEY", { key, reason: "names that end in # and digits are temporary files" });
    }
    options?.signal?.throwIfAborted();
    try {
      return await run();
    } catch (error) {
      // Not the key's fault then, whatever it looks like from below.
      if (codeOf(error) === "ENOTDIR" || codeOf(error) === "EEXIST") await this.#checkRoot(error);
      throw asStoreError(error, key);
    }
  }

  async #checkRoot(cause: unknown): Promise<void> {
    for (let path = this.root; ; path = dirname(path)) {
      const stats = await stat(path).catch(() => undefined);
      if (stats?.isFile() === true)
        throw new PumiceError("STORE_REFUSED", { reason: "where the store's directory should be is a file", path }, cause);
      if (stats !== undefined || path === dirname(path)) return;
    }
  }

  #read(
    key: string,
    options: StoreOptions | undefined,
    use: (fd: number) => Promise<Uint8Array | undefined>,
  ): Promise<Uint8Array | undefined> {
    return this.#attempt(key, options, async () => {
      try {
        const fd = await open(`${this.root}/${key}`, "r");
        try {
          options?.signal?.throwIfAborted();
          return await use(fd);
        } finally {
          fs.closeSync(fd);
        }
      } catch (error) {
        // EISDIR: a folder has this name, so no object has.
        if (isAbsent(error) || codeOf(error) === "EISDIR") return undefined;
        throw error;
      }
    });
  }

  /** Writes `body` under a temporary name and has it given its own by `place`. Nothing temporary remains. */
  async #withTemporary<T>(
    key: string,
    body: Uint8Array | AsyncIterable<Uint8Array>,
    options: StoreOptions | undefined,
    place: (temporary: Temporary, path: string) => Promise<T>,
  ): Promise<T> {
    const path = `${this.root}/${key}`;
    const folder = dirname(path);
    const temporaryPath = `${folder}/${newOwnName()}`;
    const fd = await this.#create(temporaryPath, folder);
    try {
      let etag: ETag;
      try {
        if (body instanceof Uint8Array) await writeFully(fd, body);
        else await writeParts(fd, body, options?.signal);
        // Half a microsecond more, so that what a double cuts off does not make it the one before.
        await setTime(fd, (uniqueMicroseconds() + 0.5) / 1e6);
        if (this.#isSynced) await fsync(fd);
        etag = metaOf(key, await fstat(fd)).etag;
      } finally {
        fs.closeSync(fd);
      }
      options?.signal?.throwIfAborted();
      return await place({ path: temporaryPath, etag }, path);
    } finally {
      // On every way out, and never instead of the error that leads there.
      await unlink(temporaryPath).catch(() => undefined);
    }
  }

  async #create(path: string, folder: string): Promise<number> {
    for (let attempt = 0; ; attempt++) {
      await this.#syncs.make(folder, this.root);
      await this.#sweepOnce(folder);
      try {
        return await open(path, "wx");
      } catch (error) {
        // Somebody removed the folder just after it was made. Not for ever: 3 times is no accident.
        if (codeOf(error) !== "ENOENT" || attempt === 2) throw error;
        this.#syncs.forget(folder);
      }
    }
  }

  #sweepOnce(folder: string): Promise<void> {
    let sweep = this.#swept.get(folder);
    if (sweep === undefined) {
      sweep = sweepFolder(folder).catch((error: unknown) => {
        this.#swept.delete(folder);
        if (!isAbsent(error)) throw error;
      });
      this.#swept.set(folder, sweep);
    }
    return sweep;
  }
}

/** What file systems without hard links say: FAT, and many that belong to other machines. */
const NO_LINKS = new Set(["EPERM", "ENOTSUP", "EOPNOTSUPP", "ENOSYS"]);

/** Gives the file the name `to` unless it is taken by an object. @throws STORE_KEY if it is taken by a folder. */
async function linkIfAbsent(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (NO_LINKS.has(codeOf(error) ?? ""))
      throw new PumiceError(
        "STORE_REFUSED",
        { reason: "the file system has no hard links, by which objects are created", path: to },
        error,
      );
    if (codeOf(error) !== "EEXIST") throw error;
  }
  const stats = await stat(to).catch((error: unknown) => {
    if (isAbsent(error)) return undefined; // It was there a moment ago: that is an answer too.
    throw error;
  });
  if (stats?.isDirectory() === true) throw new PumiceError("STORE_KEY", { reason: "a folder has this name", path: to });
  return false;
}

/** Replaces `to` by `from` if `holds` says so. Under the lock; `confirm` throws if it was lost. */
async function replaceIf(holds: () => Promise<boolean>, confirm: () => Promise<void>, from: string, to: string): Promise<boolean> {
  if (!(await holds())) return false;
  await confirm();
  await rename(from, to);
  return true;
}

let lastMicroseconds = 0;

/**
 * The wall clock's milliseconds, and below them the steady clock's microseconds: no two moments of one machine get the same number
 * unless the wall clock is set back, for two moments within one of its milliseconds differ in the other. Not ordered within one.
 */
function uniqueMicroseconds(): number {
  for (;;) {
    const fraction = Number((process.hrtime.bigint() / 1000n) % 1000n);
    const microseconds = Date.now() * 1000 + fraction;
    if (microseconds === lastMicroseconds) continue;
    lastMicroseconds = microseconds;
    return microseconds;
  }
}
