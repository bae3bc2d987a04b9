/**
 * Stands in for src/host/built-ins.ts under src/host/local-store: the calls of node:fs, answered by a simulated machine (`?world=N` in this
 * module's address says which). A call of a process that has died never comes back.
 */
import * as nodeCrypto from "node:crypto";
import * as nodeOs from "node:os";
import * as nodeTimers from "node:timers/promises";
import { PowerLoss, type PosixStats } from "../../../src/sim/mod.ts";
import { posixWorlds } from "./posix-worlds.ts";

const id = new URL(import.meta.url).searchParams.get("world") ?? "";
const found = posixWorlds.get(id);
if (found === undefined) throw new Error(`there is no simulated machine ${id}`);
const machine = found;
/** The process that loaded this: its calls end with it. */
const mine = machine.starts;

type Done<T> = (error: Error | null, value?: T) => void;

function answer<T>(done: Done<T>, run: () => T): void {
  queueMicrotask(() => {
    if (machine.isDead || machine.starts !== mine) return;
    let value: T;
    try {
      value = run();
    } catch (error) {
      if (!(error instanceof PowerLoss)) done(error as Error);
      return;
    }
    done(null, value);
  });
}

function statsOf({ kind, inode, size, microseconds }: PosixStats): unknown {
  return {
    ino: BigInt(inode),
    size: BigInt(size),
    mtimeNs: BigInt(microseconds) * 1000n,
    mtimeMs: BigInt(Math.floor(microseconds / 1000)),
    isFile: () => kind === "file",
    isDirectory: () => kind === "directory",
    isSymbolicLink: () => kind === "link",
  };
}

const open = (path: string, flags: string, _mode: number, done: Done<number>): void => answer(done, () => machine.openFile(path, flags));
const stat = (path: string, _options: unknown, done: Done<unknown>): void => answer(done, () => statsOf(machine.stat(path)));
const lstat = (path: string, _options: unknown, done: Done<unknown>): void => answer(done, () => statsOf(machine.statLink(path)));
const fstat = (fd: number, _options: unknown, done: Done<unknown>): void => answer(done, () => statsOf(machine.statOpen(fd)));
const fsync = (fd: number, done: Done<void>): void => answer(done, () => machine.sync(fd));
const futimes = (fd: number, _access: number, seconds: number, done: Done<void>): void => answer(done, () => machine.setTime(fd, seconds));
const link = (from: string, to: string, done: Done<void>): void => answer(done, () => machine.link(from, to));
const rename = (from: string, to: string, done: Done<void>): void => answer(done, () => machine.rename(from, to));
const unlink = (path: string, done: Done<void>): void => answer(done, () => machine.unlink(path));
const symlink = (target: string, path: string, done: Done<void>): void => answer(done, () => machine.symlink(target, path));
const readlink = (path: string, _encoding: string, done: Done<string>): void => answer(done, () => machine.readlink(path));
const mkdir = (path: string, _options: unknown, done: Done<undefined>): void =>
  answer(done, () => {
    machine.makeFolders(path);
    return undefined;
  });
const readdir = (path: string, _options: unknown, done: Done<unknown>): void =>
  answer(done, () =>
    machine.list(path).map(({ name, kind }) => ({
      name,
      isFile: () => kind === "file",
      isDirectory: () => kind === "directory",
      isSymbolicLink: () => kind === "link",
    })),
  );

// oxlint-disable-next-line max-params -- node:fs has it so
function read(fd: number, target: Uint8Array, offset: number, length: number, position: number, done: Done<number>): void {
  answer(done, () => machine.read(fd, target.subarray(offset, offset + length), position));
}

// oxlint-disable-next-line max-params -- node:fs has it so
function write(fd: number, bytes: Uint8Array, offset: number, length: number, position: number, done: Done<number>): void {
  answer(done, () => {
    machine.write(fd, bytes.subarray(offset, offset + length), position);
    return length;
  });
}

/** Closing changes nothing that a crash could show. */
function closeSync(fd: number): void {
  if (machine.starts === mine) machine.close(fd);
}

/** What a process knows of itself and of others: the boot it is in, when it was started. */
function readFileSync(path: string): string {
  if (path.endsWith("boot_id")) return `boot ${machine.boots}`;
  const start = Array.from({ length: 20 }, (_, i) => (i === 0 ? "S" : i === 19 ? String(machine.starts) : "0"));
  return `1 (node) ${start.join(" ")}`;
}

function readlinkSync(): string {
  return "pid:[1]";
}

/** What src/host/built-ins.ts gives. */
export const fs = {
  open,
  stat,
  lstat,
  fstat,
  fsync,
  futimes,
  link,
  rename,
  unlink,
  symlink,
  readlink,
  mkdir,
  readdir,
  read,
  write,
  closeSync,
  readFileSync,
  readlinkSync,
};
export const crypto = (): typeof nodeCrypto => nodeCrypto;
export const os = (): typeof nodeOs => nodeOs;
export const timersPromises = (): typeof nodeTimers => nodeTimers;

machine.isUsed = true;
