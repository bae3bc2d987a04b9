/**
 * Folders made durable. A new name is safe after a power loss only once its folder is synced, and a new folder only once the folder
 * above it is. Syncs of one folder that are asked for at the same time are one sync.
 */
import { dirname } from "node:path";
import { fs } from "../built-ins.ts";
import { fsync, makeFolders, open } from "./files.ts";

/** Syncs of folders, as one store needs them. */
export class FolderSyncs {
  readonly #isSynced: boolean;
  /** Syncs that have not begun: later calls join them. A sync under way may have missed the newcomer's change. */
  readonly #waiting = new Map<string, Promise<void>>();
  readonly #running = new Map<string, Promise<void>>();
  /** Folders whose own names are known to be durable, up to the top of what the store made. */
  readonly #durable = new Set<string>();
  /** The topmost folder above the root that had to be made for it, until that is durable. */
  #top: string | undefined;
  /** Folders whose last sync failed: names in them may not be durable. */
  readonly #owed = new Set<string>();

  /** `isSynced` false: nothing is synced, and a power loss may take what was written last. */
  constructor(isSynced: boolean) {
    this.#isSynced = isSynced;
  }

  /** Makes `folder`, which lies in `root` or is it, with all above it, and makes their names durable. */
  async make(folder: string, root: string): Promise<void> {
    const made = await makeFolders(folder);
    if (made !== undefined && root.startsWith(`${made}/`)) this.#top ??= made;
    if (!this.#isSynced || this.#durable.has(folder)) return;
    const top = this.#top ?? root;
    // Another process may have made them a moment ago and not have synced them: existing is not durable.
    const chain: string[] = [];
    for (let at = folder; ; at = dirname(at)) {
      chain.push(dirname(at));
      if (at === top || at === dirname(at)) break;
    }
    for (const above of chain) await this.sync(above);
    this.#durable.add(folder);
    if (top === this.#top) this.#top = root;
  }

  /** Forgets that the folder is durable: it was found missing. */
  forget(folder: string): void {
    this.#durable.delete(folder);
  }

  /** Makes up for a sync that failed, if one did. */
  async settle(folder: string): Promise<void> {
    if (this.#owed.has(folder)) await this.sync(folder);
  }

  /** Makes durable the names that are in the folder now. Resolves after a sync that began after this call. */
  sync(folder: string): Promise<void> {
    if (!this.#isSynced) return Promise.resolve();
    const waiting = this.#waiting.get(folder);
    if (waiting !== undefined) return waiting;
    const before = this.#running.get(folder) ?? Promise.resolve();
    const next = before
      .catch(() => undefined) // Its own callers are told; this is another sync.
      .then(() => {
        this.#waiting.delete(folder);
        this.#running.set(folder, next);
        return this.#syncNow(folder);
      })
      .finally(() => {
        if (this.#running.get(folder) === next) this.#running.delete(folder);
      });
    this.#waiting.set(folder, next);
    return next;
  }

  async #syncNow(folder: string): Promise<void> {
    this.#owed.add(folder);
    await syncFolder(folder);
    this.#owed.delete(folder);
  }
}

async function syncFolder(folder: string): Promise<void> {
  const fd = await open(folder, "r");
  try {
    await fsync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
