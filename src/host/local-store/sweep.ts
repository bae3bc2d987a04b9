/** Removes the temporary files that crashed processes left in a folder. */
import { isAbsent, lstat, readFolder, unlink } from "./files.ts";
import { isOwnName, livenessOf } from "./owner.ts";

/** Age after which a temporary file is a leftover although its maker cannot be seen from here: no put takes that long. */
const FOREIGN_TEMPORARY_MS_MAX = 3_600_000;

/**
 * Removes temporary files of dead makers. Only files: links are locks, and have their own rules. Failing to remove one is no
 * error: it is in nobody's way.
 */
export async function sweepFolder(folder: string): Promise<void> {
  for (const dirent of await readFolder(folder)) {
    if (!dirent.isFile() || !isOwnName(dirent.name)) continue;
    const path = `${folder}/${dirent.name}`;
    try {
      const liveness = livenessOf(dirent.name);
      const isLeftover =
        liveness === "dead" || (liveness === "unknown" && Date.now() - Number((await lstat(path)).mtimeMs) > FOREIGN_TEMPORARY_MS_MAX);
      if (isLeftover) await unlink(path);
    } catch (error) {
      if (!isAbsent(error) && !(error instanceof Error && "syscall" in error)) throw error;
    }
  }
}
