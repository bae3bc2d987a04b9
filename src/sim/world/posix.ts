/**
 * The calls of a Unix file system with links, over a SimDisk: what src/host/local-store asks of node:fs. Bytes are safe after fsync of the file,
 * names after fsync of their folder; a loss of power leaves any subset of the rest. An error has the code and the call that the kernel would name.
 *
 * Calls that change something are counted, and the machine can die at one of them, before or after: by loss of power, or by the end of the
 * process alone, after which everything written is still seen.
 */
import { assert, PumiceError } from "../../base/mod.ts";
import { PowerLoss, type SimDisk } from "./files.ts";
import { SimLink, type SimDirectory, type SimNode } from "./directory.ts";
import { SimFile } from "./file.ts";

/** An error of the file system, as node:fs gives it. */
export class PosixError extends Error {
  readonly code: string;
  readonly syscall: string;

  constructor(code: string, syscall: string, path: string) {
    super(`${code}: ${syscall} '${path}'`);
    this.code = code;
    this.syscall = syscall;
  }
}

/** What stat tells. */
export interface PosixStats {
  readonly kind: SimNode["kind"];
  readonly inode: number;
  readonly size: number;
  /** Since 1970. */
  readonly microseconds: number;
}

/** Where to die. */
export interface PosixDeath {
  /** The number of the call that changes something, from 1. */
  readonly at: number;
  readonly when: "before" | "after";
  readonly how: "power" | "process";
}

interface About {
  readonly inode: number;
  microseconds: number;
}

/** See the header of this file. */
export class SimPosix {
  readonly disk: SimDisk;
  /** Changes with each start of the machine, and of the process. */
  boots = 1;
  starts = 1;
  changes = 0;
  /** Set by the code that answers a process's calls from here, so that a test can check that they come here at all. */
  isUsed = false;
  private readonly now: () => number;
  private readonly about = new Map<SimNode, About>();
  private readonly open = new Map<number, SimNode>();
  private inodes = 0;
  private descriptors = 2;
  private death: PosixDeath | undefined;
  private isDown = false;
  private died = Promise.withResolvers<void>();

  /** `now`: milliseconds since 1970. */
  constructor(disk: SimDisk, now: () => number) {
    this.disk = disk;
    this.now = now;
  }

  /** Begins a process. */
  start(death: PosixDeath | undefined): void {
    assert(!this.isDown, "a process begins when the one before has been buried");
    this.death = death;
    this.changes = 0;
    this.died = Promise.withResolvers<void>();
  }

  /** Resolves when the process has died. */
  get crashed(): Promise<void> {
    return this.died.promise;
  }

  /** True from the death on: no call comes back. */
  get isDead(): boolean {
    return this.isDown;
  }

  /** The process dies now. */
  die(): void {
    this.isDown = true;
    this.died.resolve();
  }

  /** What is left of process and machine, for the next. */
  bury(how: "power" | "process"): void {
    this.open.clear();
    this.starts++;
    if (how === "power") {
      this.boots++;
      this.disk.crash();
      // A machine takes a while to come back: a lock of before is old.
      for (const about of this.about.values()) about.microseconds -= 3_600_000_000;
    } else this.disk.kill();
    this.isDown = false;
  }

  openFile(path: string, flags: string): number {
    if (flags === "r") {
      const node = this.need(path, "open");
      return this.descriptor(node);
    }
    assert(flags === "wx", "files are made anew or read");
    return this.change(() => {
      const { folder, name } = this.parent(path, "open");
      if (folder.get(name) !== undefined) throw new PosixError("EEXIST", "open", path);
      const file = new SimFile();
      folder.set(name, file);
      this.touch(file);
      return this.descriptor(file);
    });
  }

  close(fd: number): void {
    this.open.delete(fd);
  }

  read(fd: number, target: Uint8Array, position: number): number {
    const node = this.opened(fd, "read");
    if (node.kind !== "file") throw new PosixError("EISDIR", "read", String(fd));
    return node.read(target, position);
  }

  write(fd: number, bytes: Uint8Array, position: number): void {
    const file = this.opened(fd, "write");
    assert(file.kind === "file", "bytes are written to a file");
    this.change(
      () => file.write(bytes, position),
      // Death in the middle: some sectors of it.
      () => file.write(bytes.subarray(0, this.disk.draw(bytes.length + 1)), position),
    );
  }

  setTime(fd: number, seconds: number): void {
    const node = this.opened(fd, "futimes");
    this.change(() => (this.of(node).microseconds = Math.floor(seconds * 1e6)));
  }

  sync(fd: number): void {
    const node = this.opened(fd, "fsync");
    this.change(() => {
      if (node.kind !== "link") node.sync();
    });
  }

  stat(path: string): PosixStats {
    return this.statsOf(this.need(path, "stat"));
  }

  statLink(path: string): PosixStats {
    const { folder, name } = this.parent(path, "lstat");
    const node = folder.get(name);
    if (node === undefined) throw new PosixError("ENOENT", "lstat", path);
    return this.statsOf(node);
  }

  statOpen(fd: number): PosixStats {
    return this.statsOf(this.opened(fd, "fstat"));
  }

  link(from: string, to: string): void {
    this.change(() => {
      const node = this.need(from, "link");
      const { folder, name } = this.parent(to, "link");
      if (folder.get(name) !== undefined) throw new PosixError("EEXIST", "link", to);
      folder.set(name, node);
    });
  }

  rename(from: string, to: string): void {
    this.change(() => {
      const node = this.need(from, "rename");
      const source = this.parent(from, "rename");
      const target = this.parent(to, "rename");
      target.folder.set(target.name, node);
      source.folder.set(source.name, undefined);
    });
  }

  unlink(path: string): void {
    this.change(() => {
      const { folder, name } = this.parent(path, "unlink");
      if (folder.get(name) === undefined) throw new PosixError("ENOENT", "unlink", path);
      folder.set(name, undefined);
    });
  }

  symlink(target: string, path: string): void {
    this.change(() => {
      const { folder, name } = this.parent(path, "symlink");
      if (folder.get(name) !== undefined) throw new PosixError("EEXIST", "symlink", path);
      const link = new SimLink(target);
      folder.set(name, link);
      this.touch(link);
    });
  }

  readlink(path: string): string {
    const { folder, name } = this.parent(path, "readlink");
    const node = folder.get(name);
    if (node === undefined) throw new PosixError("ENOENT", "readlink", path);
    if (node.kind !== "link") throw new PosixError("EINVAL", "readlink", path);
    return node.target;
  }

  makeFolders(path: string): void {
    const node = this.disk.find(path);
    if (node?.kind === "directory") return;
    if (node !== undefined) throw new PosixError("EEXIST", "mkdir", path);
    this.change(() => this.disk.files.makeDirectory(path));
  }

  list(path: string): { readonly name: string; readonly kind: SimNode["kind"] }[] {
    const node = this.need(path, "scandir");
    if (node.kind !== "directory") throw new PosixError("ENOTDIR", "scandir", path);
    return node.names().map((name) => ({ name, kind: (node.get(name) as SimNode).kind }));
  }

  /** Counts a change, and dies of it if it is time. */
  private change<T>(run: () => T, runInPart?: () => void): T {
    const isHere = ++this.changes === this.death?.at;
    if (isHere && this.death?.when === "before") {
      runInPart?.();
      this.die();
      throw new PowerLoss("the process died before a call");
    }
    const result = run();
    if (!isHere) return result;
    this.die();
    throw new PowerLoss("the process died after a call");
  }

  private need(path: string, call: string): SimNode {
    const node = this.find(path, call);
    if (node === undefined) throw new PosixError("ENOENT", call, path);
    return node;
  }

  private find(path: string, call: string): SimNode | undefined {
    const node = this.disk.find(path);
    if (node?.kind !== "link") return node;
    const target = this.parent(path, call).folder.get(node.target);
    if (target?.kind === "link") throw new PosixError("ELOOP", call, path);
    return target;
  }

  private parent(path: string, call: string): { folder: SimDirectory; name: string } {
    const cut = path.lastIndexOf("/");
    try {
      return { folder: this.disk.directory(path.slice(0, cut), call), name: path.slice(cut + 1) };
    } catch (error) {
      if (error instanceof PumiceError) throw new PosixError("ENOENT", call, path);
      throw error;
    }
  }

  private descriptor(node: SimNode): number {
    const fd = ++this.descriptors;
    this.open.set(fd, node);
    return fd;
  }

  private opened(fd: number, call: string): SimNode {
    const node = this.open.get(fd);
    if (node === undefined) throw new PosixError("EBADF", call, String(fd));
    return node;
  }

  private of(node: SimNode): About {
    let about = this.about.get(node);
    if (about === undefined) {
      about = { inode: ++this.inodes, microseconds: this.now() * 1000 };
      this.about.set(node, about);
    }
    return about;
  }

  private touch(node: SimNode): void {
    this.of(node).microseconds = this.now() * 1000;
  }

  private statsOf(node: SimNode): PosixStats {
    const { inode, microseconds } = this.of(node);
    return { kind: node.kind, inode, microseconds, size: node.kind === "file" ? node.size : 0 };
  }
}
