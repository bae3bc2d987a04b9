/** sim: the simulated world, the other implementer of base's interfaces. */
export * from "./clock.ts";
export * from "./file-system.ts";
export { simulateLsm, type LsmSimReport } from "./lsm-sim.ts";
export {
  crashEverywhere,
  liveShortly,
  memoryShortLife,
  type ShortLifeDisk,
  type ShortLifeParts,
  type ShortLifeReport,
} from "./lsm-short-life.ts";
export { type Line, LsmSimFailure, type LsmWorld } from "./lsm-world.ts";
export * from "./object-store/crash.ts";
export * from "./object-store/faults.ts";
export * from "./object-store/intercept.ts";
export * from "./object-store/lies.ts";
export * from "./raft.ts";
export * from "./random.ts";
export * from "./sim-posix.ts";
export { SECTOR_BYTES } from "./sim-file.ts";
export * from "./spawner.ts";
export * from "./transport.ts";
