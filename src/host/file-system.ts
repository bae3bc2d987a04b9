/** The machine's files, by Node's synchronous calls. */
import { PumiceError, type ErrorCode, type File, type FileSystem, type OpenMode } from "../base/mod.ts";
import { fs } from "./built-ins.ts";

/** The file system of this machine. Paths are the operating system's. */
export const systemFiles: FileSystem = {
  open(path, mode) {
    return guard(path, "open", () => new SystemFile(fs.openSync(path, FLAGS[mode], 0o600), path));
  },
  exists(path) {
    return guard(path, "stat", () => fs.statSync(path, { throwIfNoEntry: false }) !== undefined);
  },
  list(path) {
    return guard(path, "list", () => fs.readdirSync(path).sort());
  },
  makeDirectory(path) {
    guard(path, "mkdir", () => fs.mkdirSync(path, { recursive: true, mode: 0o700 }));
  },
  rename(from, to) {
    guard(from, "rename", () => fs.renameSync(from, to));
  },
  remove(path) {
    guard(path, "remove", () => fs.unlinkSync(path));
  },
  syncDirectory(path) {
    guard(path, "sync", () => {
      const descriptor = fs.openSync(path, "r");
      try {
        fs.fsyncSync(descriptor);
      } finally {
        fs.closeSync(descriptor);
      }
    });
  },
};

const FLAGS = { read: "r", write: "r+", create: "wx+" } as const satisfies Record<OpenMode, string>;

class SystemFile implements File {
  readonly #path: string;
  /** Undefined once closed: the operating system may have given the number to another file. */
  #descriptor: number | undefined;

  constructor(descriptor: number, path: string) {
    this.#descriptor = descriptor;
    this.#path = path;
  }

  read(target: Uint8Array, position: number): number {
    return this.#use("read", (descriptor) => {
      let done = 0;
      while (done < target.length) {
        const count = fs.readSync(descriptor, target, done, target.length - done, position + done);
        if (count === 0) break;
        done += count;
      }
      return done;
    });
  }

  write(bytes: Uint8Array, position: number): void {
    this.#use("write", (descriptor) => {
      let done = 0;
      while (done < bytes.length) done += fs.writeSync(descriptor, bytes, done, bytes.length - done, position + done);
    });
  }

  datasync(): void {
    this.#use("datasync", fs.fdatasyncSync);
  }

  sync(): void {
    this.#use("sync", fs.fsyncSync);
  }

  size(): number {
    return this.#use("stat", (descriptor) => fs.fstatSync(descriptor).size);
  }

  truncate(size: number): void {
    this.#use("truncate", (descriptor) => fs.ftruncateSync(descriptor, size));
  }

  close(): void {
    const descriptor = this.#descriptor;
    if (descriptor === undefined) return;
    this.#descriptor = undefined;
    guard(this.#path, "close", () => fs.closeSync(descriptor));
  }

  #use<T>(operation: string, call: (descriptor: number) => T): T {
    const descriptor = this.#descriptor;
    if (descriptor === undefined) throw new PumiceError("FS_CLOSED", { operation, path: this.#path });
    return guard(this.#path, operation, () => call(descriptor));
  }
}

/** Runs one call and gives its failure the code of the table; the system's own error is the cause. */
function guard<T>(path: string, operation: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof Error) || !("code" in error) || typeof error.code !== "string") throw error;
    throw new PumiceError(CODES[error.code] ?? "FS_IO", { operation, path, errno: error.code }, error);
  }
}

const CODES: Readonly<Partial<Record<string, ErrorCode>>> = {
  ENOENT: "FS_NOT_FOUND",
  EEXIST: "FS_EXISTS",
  ENOSPC: "FS_NO_SPACE",
  EDQUOT: "FS_NO_SPACE",
  EFBIG: "FS_NO_SPACE",
};
