/**
 * The few file calls that the local store makes, as promises, with the file system's errors told in the object store's words.
 * Callbacks below, not `fs/promises`: a FileHandle costs two to three times a descriptor, and gives nothing that is needed here.
 */
import type { BigIntStats, Dirent, NoParamCallback } from "node:fs";
import { PumiceError } from "../../base/mod.ts";
import { fs } from "../built-ins.ts";

type Done<T> = (error: NodeJS.ErrnoException | null, value: T) => void;

function call<T>(start: (done: Done<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => {
      if (error === null || error === undefined) resolve(value);
      else reject(error);
    });
  });
}

/** An open descriptor. The opener closes it by `fs.closeSync`, which does not wait for the disk. */
export const open = (path: string, flags: string): Promise<number> => call((done) => fs.open(path, flags, 0o644, done));
/** The file's metadata, 64-bit. */
export const stat = (path: string): Promise<BigIntStats> => call((done) => fs.stat(path, { bigint: true }, done));
/** The same of an open file. */
export const fstat = (fd: number): Promise<BigIntStats> => call((done) => fs.fstat(fd, { bigint: true }, done));
/** The metadata of a link itself. */
export const lstat = (path: string): Promise<BigIntStats> => call((done) => fs.lstat(path, { bigint: true }, done));
/** Makes bytes and metadata durable. */
export const fsync = (fd: number): Promise<void> => call((done) => fs.fsync(fd, done as NoParamCallback));
/** Sets the time of change, in seconds with fractions. */
export const setTime = (fd: number, seconds: number): Promise<void> =>
  call((done) => fs.futimes(fd, seconds, seconds, done as NoParamCallback));
/** A second name for a file; fails with EEXIST if the name is taken, atomically. */
export const link = (from: string, to: string): Promise<void> => call((done) => fs.link(from, to, done as NoParamCallback));
/** Replaces `to`, atomically. */
export const rename = (from: string, to: string): Promise<void> => call((done) => fs.rename(from, to, done as NoParamCallback));
/** Removes a name. */
export const unlink = (path: string): Promise<void> => call((done) => fs.unlink(path, done as NoParamCallback));
/** A link that holds `target` as its text; fails with EEXIST if the name is taken, atomically. */
export const symlink = (target: string, path: string): Promise<void> => call((done) => fs.symlink(target, path, done as NoParamCallback));
/** The text of such a link. */
export const readlink = (path: string): Promise<string> => call((done) => fs.readlink(path, "utf8", done));
/** Makes the folder and those above it; the path of the topmost one that it made. */
export const makeFolders = (path: string): Promise<string | undefined> =>
  call<string | undefined>((done) => fs.mkdir(path, { recursive: true }, done as (e: NodeJS.ErrnoException | null, p?: string) => void));
/** Names and kinds in a folder. */
export const readFolder = (path: string): Promise<Dirent[]> => call((done) => fs.readdir(path, { withFileTypes: true }, done));

/** Reads into `target` from `position` until it is full or the file ends; the number of bytes read. */
export async function readFully(fd: number, target: Uint8Array, position: number): Promise<number> {
  let count = 0;
  while (count < target.length) {
    // Linux reads at most 2^31 - 4096 bytes a call.
    const want = Math.min(target.length - count, 0x4000_0000);
    const got = await call<number>((done) => fs.read(fd, target, count, want, position + count, done));
    if (got === 0) break;
    count += got;
  }
  return count;
}

/** Writes all of `bytes` from `position` on. */
export async function writeFully(fd: number, bytes: Uint8Array, position = 0): Promise<void> {
  let count = 0;
  while (count < bytes.length) {
    const want = Math.min(bytes.length - count, 0x4000_0000);
    count += await call<number>((done) => fs.write(fd, bytes, count, want, position + count, done));
  }
}

/** Writes the parts, one after the other from the file's beginning, each while the next is being made. Nothing is under way when it has ended, however. */
export async function writeParts(fd: number, parts: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): Promise<void> {
  let position = 0;
  let writing: Promise<void> = Promise.resolve();
  try {
    for await (const part of parts) {
      signal?.throwIfAborted();
      await writing;
      writing = writeFully(fd, part, position);
      // Heard of below.
      writing.catch(() => undefined);
      position += part.length;
    }
  } finally {
    await writing;
  }
}

/** The code of a file system's error; undefined for anything else. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** True if the error says that there is no such file, or that what should be its folder is a file. */
export function isAbsent(error: unknown): boolean {
  const code = codeOf(error);
  return code === "ENOENT" || code === "ENOTDIR";
}

/** The file system's error in the object store's words; anything else as it is. */
export function asStoreError(error: unknown, key: string): unknown {
  const code = codeOf(error);
  if (code === undefined || error instanceof PumiceError || !("syscall" in (error as object))) return error;
  switch (code) {
    case "EACCES":
    case "EPERM":
    case "EROFS":
      return new PumiceError("STORE_REFUSED", { key, reason: code }, error);
    case "ENAMETOOLONG":
      return new PumiceError("STORE_KEY", { key, reason: "the file system allows no name as long as a part of it" }, error);
    case "ENOTDIR":
    case "EEXIST": // From making a folder: all other calls that can say so are asked whether the name is taken, and expect it.
      return new PumiceError(
        "STORE_KEY",
        { key, reason: "a part of it is the key of another object, which is a file and no folder" },
        error,
      );
    case "EISDIR":
    case "ENOTEMPTY":
      return new PumiceError("STORE_KEY", { key, reason: "a folder has this name" }, error);
    case "ENOSPC":
    case "EDQUOT":
      return new PumiceError("STORE_UNAVAILABLE", { key, reason: `no space left on the disk (${code})` }, error);
    default:
      return new PumiceError("STORE_UNAVAILABLE", { key, reason: code }, error);
  }
}
