/** replica: joins consensus, SQL and storage. See ARCHITECTURE.md, section 1. */
export { RaftDriver } from "./consensus/driver.ts";
export type { DriverState } from "./consensus/driver.ts";
export type { LogBatch, RoleChange } from "./consensus/ports.ts";
export { MemoryLog } from "./consensus/memory-log.ts";
export type { OlderRange } from "./consensus/memory-log.ts";
export * from "./log/mod.ts";
export { openReplica, WORKERS } from "./open.ts";
export type { OpenSettings, World } from "./open.ts";
export type { ReplicaStatus } from "./core.ts";
export type { Peer } from "./cluster/peers.ts";
export type { ReadOptions, Replica } from "./replica.ts";
export type { Level, MaybeReadOutcome, ReadRequest, StatementsRequest, WriteOutcome, WriteRequest } from "./requests.ts";
export type { BackupRequest } from "./backup.ts";
