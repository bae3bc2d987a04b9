/**
 * The simulated file system. It keeps what was written apart from what was synced, and can lose power: then any subset of unsynced sectors
 * and any subset of unsynced names is left. It fails, fills up and rots on demand.
 *
 * One SimDisk is one machine's disk. `disk.files` is what a process on it uses. Faults come from one function, asked before every operation:
 * by itself the disk is without fault.
 */
import { PumiceError, assert, type File, type FileSystem, type OpenMode, type Random } from "../../base/mod.ts";
import { SimDirectory, type SimNode } from "./directory.ts";
import { SECTOR_BYTES, SimFile } from "./file.ts";

/** What a process is about to do. */
export interface DiskOperation {
  readonly kind: "open" | "create" | "list" | "makeDirectory" | "rename" | "remove" | "syncDirectory" | FileOperation;
  readonly path: string;
  /** Counts all operations of this disk, from 1. */
  readonly number: number;
}

type FileOperation = "read" | "write" | "datasync" | "sync" | "truncate";

/**
 * What goes wrong. error: the operation throws; of a write any part was done, and of a sync any part, the rest counting as clean.
 * powerLoss: likewise, and everything throws until `crash` or `kill`. short: a read gives fewer bytes than there are, but one at least.
 */
export type DiskFault =
  | { readonly kind: "error"; readonly code: "FS_IO" | "FS_NO_SPACE" }
  | { readonly kind: "powerLoss" }
  | { readonly kind: "short" };

/** Decides what goes wrong. */
export type DiskFaults = (operation: DiskOperation) => DiskFault | undefined;

/** Thrown by every operation from a power loss on. No error of the world: nobody is left to handle it. */
export class PowerLoss extends Error {
  override readonly name = "PowerLoss";
}

/** The process that opened a file is gone; its handle must not be used by the next one. */
export class SimDisk {
  /** Asked before every operation. */
  faults: DiskFaults | undefined;
  /** Bytes that fit. */
  capacityBytes = Infinity;
  /** The file system, as processes see it. */
  readonly files: FileSystem = simFiles(this);
  readonly #random: Random;
  readonly #root = new SimDirectory();
  #operations = 0;
  #isDown = false;
  /** Handles of older incarnations answer nothing. */
  #incarnation = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  /** Operations so far. */
  get operations(): number {
    return this.#operations;
  }

  /** True from a loss of power until `crash` or `kill`. */
  get isDown(): boolean {
    return this.#isDown;
  }

  get incarnation(): number {
    return this.#incarnation;
  }

  /** Power is lost and comes back. How much of what was not synced is left differs from crash to crash: nothing, all, or some. */
  crash(): void {
    const keepPerMille = [0, 1000, 500, this.#random.below(1001)][this.#random.below(4)] as number;
    this.#root.crash(this.#random, keepPerMille);
    this.#restart();
  }

  /** The process ends, the machine does not: everything written is still seen, and still not durable. */
  kill(): void {
    this.#restart();
  }

  /** Flips a bit of the file at `path`. */
  flip(path: string, bit: number): void {
    const node = this.find(path);
    assert(node?.kind === "file", "a bit flips in a file");
    node.flip(bit);
  }

  /** @throws what `faults` says; the fault itself if the operation must have its part in it. */
  step(kind: DiskOperation["kind"], path: string): DiskFault | undefined {
    if (this.#isDown) throw new PowerLoss(`no power: ${kind} ${path}`);
    const fault = this.faults?.({ kind, path, number: ++this.#operations });
    if (fault === undefined || kind === "write" || kind === "datasync" || kind === "sync") return fault;
    if (fault.kind === "short") return kind === "read" ? fault : undefined;
    return this.fail(fault, kind, path);
  }

  /** Throws what the fault says. */
  fail(fault: DiskFault, kind: DiskOperation["kind"], path: string): never {
    assert(fault.kind !== "short", "only reads are short");
    if (fault.kind === "error") throw new PumiceError(fault.code, { operation: kind, path, simulated: true });
    this.#isDown = true;
    throw new PowerLoss(`power lost: ${kind} ${path}`);
  }

  /** Uniform in [0, bound). */
  draw(bound: number): number {
    return this.#random.below(bound);
  }

  get random(): Random {
    return this.#random;
  }

  /** Bytes that are still free. None while removed names that a crash brought back take more than there is. */
  freeBytes(): number {
    return Math.max(0, this.capacityBytes - usedBytes(this.#root, new Set()));
  }

  /** What stands at `path`, if anything does. */
  find(path: string): SimNode | undefined {
    let node: SimNode | undefined = this.#root;
    for (const part of partsOf(path)) {
      if (node?.kind !== "directory") return undefined;
      node = node.get(part);
    }
    return node;
  }

  /** The folder at `path`. @throws FS_NOT_FOUND */
  directory(path: string, operation: string): SimDirectory {
    const node = this.find(path);
    if (node?.kind !== "directory") throw new PumiceError("FS_NOT_FOUND", { operation, path });
    return node;
  }

  #restart(): void {
    this.#isDown = false;
    this.#incarnation++;
  }
}

/** Space of all files that have a name. */
function usedBytes(directory: SimDirectory, seen: Set<SimFile>): number {
  let used = 0;
  for (const node of directory.nodes()) {
    if (node.kind === "directory") used += usedBytes(node, seen);
    else if (node.kind === "file" && !seen.has(node)) {
      seen.add(node);
      used += node.allocatedBytes;
    }
  }
  return used;
}

function partsOf(path: string): string[] {
  return path.split("/").filter((part) => part !== "" && part !== ".");
}

/** The folder and the name in it. */
function splitPath(path: string): { readonly folder: string; readonly name: string } {
  const parts = partsOf(path);
  return { folder: parts.slice(0, -1).join("/"), name: parts.at(-1) ?? "" };
}

function simFiles(disk: SimDisk): FileSystem {
  return {
    open: (path, mode) => openFile(disk, path, mode),
    exists: (path) => disk.find(path) !== undefined,
    list(path) {
      disk.step("list", path);
      return disk.directory(path, "list").names();
    },
    makeDirectory(path) {
      disk.step("makeDirectory", path);
      let directory = disk.directory("", "makeDirectory");
      for (const part of partsOf(path)) {
        let next = directory.get(part);
        if (next === undefined) {
          next = new SimDirectory();
          directory.set(part, next);
        }
        if (next.kind !== "directory") throw new PumiceError("FS_EXISTS", { operation: "makeDirectory", path });
        directory = next;
      }
    },
    rename(from, to) {
      disk.step("rename", from);
      const source = splitPath(from);
      const target = splitPath(to);
      const node = disk.directory(source.folder, "rename").get(source.name);
      if (node === undefined) throw new PumiceError("FS_NOT_FOUND", { operation: "rename", path: from });
      disk.directory(target.folder, "rename").set(target.name, node);
      disk.directory(source.folder, "rename").set(source.name, undefined);
    },
    remove(path) {
      disk.step("remove", path);
      const { folder, name } = splitPath(path);
      const node = disk.directory(folder, "remove").get(name);
      if (node === undefined) throw new PumiceError("FS_NOT_FOUND", { operation: "remove", path });
      if (node.kind === "directory") throw new PumiceError("FS_IO", { operation: "remove", path, reason: "it is a folder" });
      disk.directory(folder, "remove").set(name, undefined);
    },
    syncDirectory(path) {
      disk.step("syncDirectory", path);
      disk.directory(path, "syncDirectory").sync();
    },
  };
}

function openFile(disk: SimDisk, path: string, mode: OpenMode): File {
  disk.step(mode === "create" ? "create" : "open", path);
  const { folder, name } = splitPath(path);
  const directory = disk.directory(folder, "open");
  let node = directory.get(name);
  if (mode === "create") {
    if (node !== undefined) throw new PumiceError("FS_EXISTS", { operation: "open", path });
    node = new SimFile();
    directory.set(name, node);
  }
  if (node === undefined) throw new PumiceError("FS_NOT_FOUND", { operation: "open", path });
  if (node.kind !== "file") throw new PumiceError("FS_IO", { operation: "open", path, reason: `it is a ${node.kind}` });
  return new SimHandle(disk, node, { path, mode });
}

class SimHandle implements File {
  readonly #disk: SimDisk;
  readonly #file: SimFile;
  readonly #path: string;
  readonly #mode: OpenMode;
  readonly #incarnation: number;
  #closed = false;

  constructor(disk: SimDisk, file: SimFile, opened: { readonly path: string; readonly mode: OpenMode }) {
    this.#disk = disk;
    this.#file = file;
    this.#path = opened.path;
    this.#mode = opened.mode;
    this.#incarnation = disk.incarnation;
  }

  read(target: Uint8Array, position: number): number {
    const fault = this.#step("read");
    const short = fault?.kind === "short" && target.length > 1;
    return this.#file.read(short ? target.subarray(0, 1 + this.#disk.draw(target.length - 1)) : target, position);
  }

  write(bytes: Uint8Array, position: number): void {
    const fault = this.#step("write");
    if (this.#mode === "read") throw new PumiceError("FS_IO", { operation: "write", path: this.#path, reason: "opened for reading" });
    if (fault !== undefined) {
      this.#writePart(bytes, position);
      this.#disk.fail(fault, "write", this.#path);
    }
    const room = this.#file.allocatedBytes + Math.floor(this.#disk.freeBytes() / SECTOR_BYTES) * SECTOR_BYTES;
    if (position + bytes.length > room) {
      if (position < room) this.#file.write(bytes.subarray(0, room - position), position);
      throw new PumiceError("FS_NO_SPACE", { operation: "write", path: this.#path });
    }
    this.#file.write(bytes, position);
  }

  datasync(): void {
    this.#sync("datasync");
  }

  sync(): void {
    this.#sync("sync");
  }

  size(): number {
    this.#check("size");
    return this.#file.size;
  }

  truncate(size: number): void {
    this.#step("truncate");
    if (size > this.#file.size + this.#disk.freeBytes()) throw new PumiceError("FS_NO_SPACE", { operation: "truncate", path: this.#path });
    this.#file.truncate(size);
  }

  close(): void {
    this.#closed = true;
  }

  #sync(kind: "datasync" | "sync"): void {
    const fault = this.#step(kind);
    if (fault === undefined) {
      this.#file.sync();
      return;
    }
    if (fault.kind === "error") this.#file.failSync(this.#disk.random);
    this.#disk.fail(fault, kind, this.#path);
  }

  /** Sectors of a write that did not come to its end: any of them, in any order. */
  #writePart(bytes: Uint8Array, position: number): void {
    let at = 0;
    while (at < bytes.length) {
      const size = Math.min(bytes.length - at, SECTOR_BYTES - ((position + at) % SECTOR_BYTES));
      // Within a sector too the copy into memory may have come part of the way; the crash keeps or drops that version whole.
      const done = this.#disk.draw(3) === 0 ? this.#disk.draw(size + 1) : size;
      if (this.#disk.draw(2) === 0) this.#file.write(bytes.subarray(at, at + done), position + at);
      at += size;
    }
  }

  #step(kind: FileOperation): DiskFault | undefined {
    this.#check(kind);
    return this.#disk.step(kind, this.#path);
  }

  #check(operation: string): void {
    if (this.#closed) throw new PumiceError("FS_CLOSED", { operation, path: this.#path });
    if (this.#incarnation !== this.#disk.incarnation) throw new PowerLoss(`a handle of a process that is gone: ${operation} ${this.#path}`);
  }
}
