/**
 * Puts a hook before the file calls of this process (those of node:fs with callbacks): to write them down, to fail them, to crash at
 * one of them. The code under test knows nothing of it.
 */
import fs from "node:fs";
import { syncBuiltinESMExports } from "node:module";

/** The calls that the local store makes. */
export const HOOKED = [
  "open",
  "write",
  "futimes",
  "fsync",
  "fstat",
  "stat",
  "lstat",
  "read",
  "link",
  "rename",
  "unlink",
  "symlink",
  "readlink",
  "mkdir",
  "readdir",
] as const;

/** One of them. */
export type HookedCall = (typeof HOOKED)[number];

/** One call: its name and first arguments, paths or the path behind a descriptor. */
export interface FileCall {
  readonly name: HookedCall;
  /** The path, or for a call on a descriptor the path it was opened by. */
  readonly path: string;
  /** The second argument, if it is a text: the new name of link and rename. */
  readonly to: string | undefined;
}

/** Called before each call. What it returns is the error that the call fails with, undone. */
export type FileHook = (call: FileCall) => NodeJS.ErrnoException | undefined;

type Callback = (error: Error | null, value?: unknown) => void;
type Raw = (...args: unknown[]) => unknown;

/** Installs the hook; the function returned takes it away. */
export function hookFiles(hook: FileHook): () => void {
  const table = fs as unknown as Record<string, Raw>;
  const originals = new Map<string, Raw>();
  const paths = new Map<number, string>();
  for (const name of HOOKED) {
    const original = table[name] as Raw;
    originals.set(name, original);
    table[name] = (...args: unknown[]): unknown => {
      const [first, second] = args;
      const path = typeof first === "number" ? (paths.get(first) ?? "") : String(first);
      const callback = args.at(-1) as Callback;
      const error = hook({ name, path, to: typeof second === "string" ? second : undefined });
      if (error !== undefined) {
        setImmediate(callback, error);
        return undefined;
      }
      if (name !== "open") return original(...args);
      return original(...args.slice(0, -1), (failure: Error | null, fd?: unknown) => {
        if (failure === null) paths.set(fd as number, path);
        callback(failure, fd);
      });
    };
  }
  syncBuiltinESMExports();
  return () => {
    for (const [name, original] of originals) table[name] = original;
    syncBuiltinESMExports();
  };
}

/** An error as node:fs gives it. */
export function fileError(code: string, syscall: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: planted, ${syscall}`), { code, syscall, errno: -1 });
}
