/** replica: joins consensus, SQL and storage. See ARCHITECTURE.md, section 1. */
export { RaftDriver } from "./consensus/driver.ts";
export type { DriverOptions, DriverState } from "./consensus/driver.ts";
export type { DriverPorts, LogBatch, LogPort, RoleChange } from "./consensus/ports.ts";
export { MemoryLog } from "./consensus/memory-log.ts";
export type { MemoryLogOptions, OlderEntries, RecoveredLog } from "./consensus/memory-log.ts";
export * from "./log/mod.ts";
export { openReplica, WORKERS } from "./open.ts";
export type { OpenSettings, World } from "./open.ts";
export type { Identity, ReadOptions, Replica, ReplicaSettings, ReplicaStatus } from "./replica.ts";
export type { Level, Outcome, ReadRequest, WriteRequest } from "./requests.ts";
export type { BackupRequest } from "./backup.ts";
