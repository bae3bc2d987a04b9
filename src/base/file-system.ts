/**
 * Files, as the world gives them. Synchronous: its users run on threads of their own (the log writer, the apply thread) or before
 * the node serves, and a crash can then stand between any two calls.
 *
 * Durability is what the simulated file system checks: bytes written are safe only after `datasync` or `sync` of that file; a
 * created, renamed or removed name only after `syncDirectory` of its folder.
 */

/** How to open: `read` an existing file; `write` an existing one, reading allowed; `create` one that must not exist, reading allowed. */
export type OpenMode = "read" | "write" | "create";

/** An open file. Positions and sizes are in bytes. Closing is the opener's duty. */
export interface File {
  /** Reads into `target` from `position`; the number of bytes read, fewer only at the file's end. @throws FS_IO */
  read(target: Uint8Array, position: number): number;
  /** Writes all of `bytes` at `position`, extending the file as needed. @throws FS_NO_SPACE, FS_IO: any part may have been written. */
  write(bytes: Uint8Array, position: number): void;
  /** Makes the bytes and what is needed to read them durable. After an error nothing about them is known. @throws FS_IO */
  datasync(): void;
  /** Makes bytes and all metadata durable. @throws FS_IO */
  sync(): void;
  size(): number;
  /** Cuts or extends (with zeros) to `size`. @throws FS_NO_SPACE, FS_IO */
  truncate(size: number): void;
  /** Idempotent. */
  close(): void;
}

/** A file system. Paths are strings with `/` between parts. */
export interface FileSystem {
  /** @throws FS_NOT_FOUND (read, write), FS_EXISTS (create), FS_NO_SPACE, FS_IO */
  open(path: string, mode: OpenMode): File;
  /** True if a file or folder of that name exists. */
  exists(path: string): boolean;
  /** Names in the folder, sorted by code unit. @throws FS_NOT_FOUND */
  list(path: string): string[];
  /** Makes the folder and those above it; no error if it exists. */
  makeDirectory(path: string): void;
  /** Replaces `to` if it exists. @throws FS_NOT_FOUND */
  rename(from: string, to: string): void;
  /** @throws FS_NOT_FOUND */
  remove(path: string): void;
  /** Makes the names in the folder durable. @throws FS_IO */
  syncDirectory(path: string): void;
}
