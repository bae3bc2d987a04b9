/** The simulated machines under the file calls of posix-fs.ts, by number. */
import type { SimPosix } from "../../../src/sim/mod.ts";

/** Number of a machine to the machine. */
export const posixWorlds = new Map<string, SimPosix>();
