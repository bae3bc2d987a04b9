/**
 * Modules of Node that are loaded when they are first used and not when a program starts: `node:http` alone takes 20 times as long to load as
 * a store in a directory needs to begin. Loading is synchronous, so that nobody's interface has to change for it.
 */

/** What `load` gives, asked for once, when it is first needed. */
function onFirstUse<T>(load: () => T): () => T {
  let loaded: T | undefined;
  return () => (loaded ??= load());
}

/** `node:crypto`. */
export const crypto = onFirstUse(() => process.getBuiltinModule("node:crypto"));
/**
 * `node:fs`, which Node itself has loaded. Not by `import`: an ES module of it reads every export, `promises` and the streams among them,
 * which are loaded by being read.
 */
export const fs = process.getBuiltinModule("node:fs");
/** `node:fs/promises`. */
export const fsPromises = onFirstUse(() => process.getBuiltinModule("node:fs/promises"));
/** `node:http`. */
export const http = onFirstUse(() => process.getBuiltinModule("node:http"));
/** `node:https`. */
export const https = onFirstUse(() => process.getBuiltinModule("node:https"));
/** `node:os`. */
export const os = onFirstUse(() => process.getBuiltinModule("node:os"));
/** `node:timers/promises`. */
export const timersPromises = onFirstUse(() => process.getBuiltinModule("node:timers/promises"));
/** `node:worker_threads`. */
export const threads = onFirstUse(() => process.getBuiltinModule("node:worker_threads"));
/** `node:zlib`. */
export const zlib = onFirstUse(() => process.getBuiltinModule("node:zlib"));
