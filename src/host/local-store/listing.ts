/** A directory tree read in the order of keys, each file's metadata only when it is its turn. */
import type { BigIntStats, Dirent } from "node:fs";
import { compareUtf8, type ETag, type ObjectMeta } from "../../base/mod.ts";
import { codeOf, isAbsent, readFolder, stat } from "./files.ts";

/** Files whose metadata are asked for at a time. */
const STAT_COUNT = 16;

/**
 * Names of files that are no objects: temporary files and locks, SlateDB's (`name#1`) and ours. A `#` followed by digits only.
 * Source: the naming rule in reference/slatedb.md, section 1.
 */
export function isTemporaryName(name: string): boolean {
  return /^[^#]*#[0-9]+$/.test(name);
}

/** What is to be listed. */
export interface ListRequest {
  readonly root: string;
  readonly prefix: string;
  readonly startAfter: string;
  readonly signal: AbortSignal | undefined;
}

/** Metadata of the objects below the root whose key begins with the prefix and is greater than `startAfter`, in order. */
export async function* listTree(request: ListRequest): AsyncIterable<ObjectMeta> {
  const cut = request.prefix.lastIndexOf("/");
  const folderKey = request.prefix.slice(0, cut + 1);
  // A folder part that no key can have: nothing begins with it. It also keeps `..` from leaving the root.
  const parts = folderKey.split("/").slice(0, -1);
  if (parts.some((part) => part === "" || part === "." || part === ".." || part.includes("\0"))) return;
  yield* listFolder(request, folderKey);
}

interface Entry {
  /** The object's key, or that of the folder with `/` at its end: thus they sort as the keys below do. */
  readonly key: string;
  readonly isFolder: boolean;
}

async function* listFolder(request: ListRequest, folderKey: string): AsyncIterable<ObjectMeta> {
  request.signal?.throwIfAborted();
  const entries = await entriesOf(request, folderKey);
  for (let at = 0; at < entries.length;) {
    const entry = entries[at] as Entry;
    if (entry.isFolder) {
      yield* listFolder(request, entry.key);
      at++;
      continue;
    }
    let end = at + 1;
    while (end < entries.length && end < at + STAT_COUNT && entries[end]?.isFolder === false) end++;
    const metas = await Promise.all(entries.slice(at, end).map((file) => metaAt(request.root, file.key)));
    for (const meta of metas) {
      request.signal?.throwIfAborted();
      if (meta !== undefined) yield meta;
    }
    at = end;
  }
}

async function entriesOf(request: ListRequest, folderKey: string): Promise<Entry[]> {
  const { root, prefix, startAfter } = request;
  const entries: Entry[] = [];
  for (const dirent of await direntsOf(`${root}/${folderKey}`)) {
    const isFolder = await isFolderEntry(dirent, `${root}/${folderKey}${dirent.name}`);
    if (isFolder === undefined || (!isFolder && isTemporaryName(dirent.name))) continue;
    const key = `${folderKey}${dirent.name}${isFolder ? "/" : ""}`;
    const isWanted = isFolder ? key.startsWith(prefix) || prefix.startsWith(key) : key.startsWith(prefix);
    // Everything in a folder begins with its key: it may be passed over if it sorts before, and is no beginning of, `startAfter`.
    const isAfter = compareUtf8(key, startAfter) > 0 || (isFolder && startAfter.startsWith(key));
    if (isWanted && isAfter) entries.push({ key, isFolder });
  }
  return entries.sort((left, right) => compareUtf8(left.key, right.key));
}

async function direntsOf(folder: string): Promise<Dirent[]> {
  try {
    return await readFolder(folder);
  } catch (error) {
    if (isAbsent(error)) return [];
    throw error;
  }
}

/** True for a folder, false for a file, links followed; undefined for anything else. */
async function isFolderEntry(dirent: Dirent, path: string): Promise<boolean | undefined> {
  if (dirent.isFile()) return false;
  if (dirent.isDirectory()) return true;
  if (!dirent.isSymbolicLink()) return undefined;
  try {
    const stats = await stat(path);
    return stats.isDirectory() ? true : stats.isFile() ? false : undefined;
  } catch (error) {
    // ELOOP: links that lead to each other, and so to nothing.
    if (isAbsent(error) || codeOf(error) === "ELOOP") return undefined;
    throw error;
  }
}

/** Metadata of the object of that key; undefined if there is none, or a folder. */
export async function metaAt(root: string, key: string): Promise<ObjectMeta | undefined> {
  try {
    const stats = await stat(`${root}/${key}`);
    return stats.isFile() ? metaOf(key, stats) : undefined;
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

/** The version is inode, time in microseconds and size, as SlateDB's local store has it. */
export function metaOf(key: string, stats: BigIntStats): ObjectMeta {
  const etag = `${stats.ino.toString(16)}-${(stats.mtimeNs / 1000n).toString(16)}-${stats.size.toString(16)}` as ETag;
  return { key, sizeBytes: Number(stats.size), etag, lastModifiedMs: Number(stats.mtimeMs) };
}
