/**
 * A lock on one folder, for the few changes that no single file call makes atomically: replacing a version, deleting. Between processes.
 *
 * The lock is the symbolic link `#0` in the folder; its text names its holder (owner.ts). Taking it is one atomic call, and there is no
 * moment at which it exists without its holder's name. A holder that died leaves it behind; then:
 *
 * 1. Names are never used twice. A process that wants to remove the lock of dead holder H must first hold the lock `H` (a link of that name, taken
 *    by this same rule, broken by this same rule).
 * 2. Holding that, it looks again, and removes `#0` only if H's name is still in it. Only one process can be there for H, so nobody's
 *    fresh lock is removed by mistake.
 * 3. What is done under a lock takes microseconds, so an old lock is a lost one. A holder whose life cannot be seen from here (another
 *    machine or container on a shared disk) is taken for dead once its lock is `FOREIGN_LOCK_MS_MAX` old; a live one once it is
 *    `STUCK_LOCK_MS_MAX` old (a worker thread that was ended inside leaves its lock in the name of a process that lives on).
 * 4. A holder that stood still for so long must not go on as if nothing had been: `confirm` looks again just before the change.
 *
 * Within one process, callers queue in memory and do not poll.
 */
import { PumiceError } from "../../base/mod.ts";
import { timersPromises } from "../built-ins.ts";
import { codeOf, isAbsent, lstat, readlink, symlink, unlink } from "./files.ts";
import { isOwnName, livenessOf, newOwnName } from "./owner.ts";

/** The name of the lock in its folder. */
const LOCK_NAME = "#0";
/** Age at which the lock of a holder that cannot be seen from here is broken. */
const FOREIGN_LOCK_MS_MAX = 10_000;
/** Age at which any lock is broken. */
const STUCK_LOCK_MS_MAX = 20_000;
/** How long to wait for a lock before saying so. */
const WAIT_MS_MAX = 30_000;

/** Locks on folders, as one store uses them. */
export class FolderLocks {
  readonly #tails = new Map<string, Promise<void>>();

  /**
   * Runs `critical` while no other process or caller is inside for that folder. It is given a function that throws if the lock was
   * lost. @throws ENOENT if there is no such folder;
   * STORE_UNAVAILABLE if the lock is held for too long; the signal's reason if it aborts before the lock was taken.
   */
  async within<T>(folder: string, critical: (confirm: () => Promise<void>) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const before = this.#tails.get(folder) ?? Promise.resolve();
    const { promise: mine, resolve: leave } = Promise.withResolvers<void>();
    const tail = before.then(() => mine);
    this.#tails.set(folder, tail);
    await before;
    try {
      signal?.throwIfAborted();
      const path = `${folder}/${LOCK_NAME}`;
      const name = await take(folder, path, signal);
      try {
        return await critical(() => confirm(path, name));
      } finally {
        await release(path, name);
      }
    } finally {
      leave();
      if (this.#tails.get(folder) === tail) this.#tails.delete(folder);
    }
  }
}

async function take(folder: string, path: string, signal: AbortSignal | undefined): Promise<string> {
  const name = newOwnName();
  const deadline = performance.now() + WAIT_MS_MAX;
  for (let attempt = 0; ; attempt++) {
    try {
      await symlink(name, path);
      return name;
    } catch (error) {
      if (codeOf(error) !== "EEXIST") throw error;
    }
    const holder = await holderOf(path);
    if (holder === undefined) continue;
    if (!isOwnName(holder)) throw new PumiceError("STORE_UNAVAILABLE", { reason: "a link that is no lock of ours has its name", path });
    if (await isDead(holder, path)) {
      await breakLock(folder, path, holder);
      continue;
    }
    if (performance.now() > deadline)
      throw new PumiceError("STORE_UNAVAILABLE", { reason: "another process holds the lock", path, holder });
    const waitMs = Math.min(1 + attempt, 20) * (0.5 + Math.random());
    await timersPromises()
      .setTimeout(waitMs, undefined, { signal })
      .catch((error: unknown) => {
        signal?.throwIfAborted();
        throw error;
      });
  }
}

/** Rules 1 and 2. No signal: once begun it is finished, so that no claim is left behind. */
async function breakLock(folder: string, path: string, dead: string): Promise<void> {
  const claim = `${folder}/${dead}`;
  const name = await take(folder, claim, undefined);
  try {
    if ((await holderOf(path)) === dead) await unlink(path);
  } finally {
    await release(claim, name);
  }
}

/** Rule 4. */
async function confirm(path: string, name: string): Promise<void> {
  if ((await holderOf(path)) !== name)
    throw new PumiceError("STORE_UNAVAILABLE", { reason: "the lock was lost while this process stood still", path });
}

/** Rule 3 lets another process break a lock that is in use, if its holder stood still for too long: then it is not ours to remove. */
async function release(path: string, name: string): Promise<void> {
  if ((await holderOf(path)) !== name) return;
  await unlink(path).catch((error: unknown) => {
    if (!isAbsent(error)) throw error;
  });
}

async function holderOf(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    throw error;
  }
}

async function isDead(holder: string, path: string): Promise<boolean> {
  const liveness = livenessOf(holder);
  if (liveness === "dead") return true;
  try {
    const ageMs = Date.now() - Number((await lstat(path)).mtimeMs);
    return ageMs > (liveness === "alive" ? STUCK_LOCK_MS_MAX : FOREIGN_LOCK_MS_MAX);
  } catch (error) {
    if (isAbsent(error)) return false;
    throw error;
  }
}
