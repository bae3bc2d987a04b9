/** sim: the simulated world, the other implementer of base's interfaces. */
export * from "./cluster/mod.ts";
export * from "./world/clock.ts";
export * from "./world/files.ts";
export { simulateLsm } from "./lsm/simulation.ts";
export { crashEverywhere, liveShortly, memoryShortLife, type ShortLifeDisk } from "./lsm/short-life.ts";
export * from "./world/object-store/crash.ts";
export * from "./world/object-store/faults.ts";
export * from "./world/object-store/intercept.ts";
export * from "./world/object-store/lies.ts";
export * from "./raft/mod.ts";
export * from "./world/random.ts";
export * from "./world/posix.ts";
export { SECTOR_BYTES } from "./world/file.ts";
export * from "./world/spawner.ts";
export * from "./world/network.ts";
