/** The log: what the replica's driver and the composition roots use of it. */
export { LogHandle } from "./handle.ts";
export type { LogIdentity } from "./format.ts";
export { LogReader, logReader, type LogReaderInit } from "./log-reader.ts";
export { Log, type AppendOutcome, type LogBeginning, type LogSettings } from "./log.ts";
export { packBatch, type PackedBatch } from "./pack.ts";
export type { ReadResult } from "./reader.ts";
export type { LogParts } from "./recover.ts";
export type { LogState } from "./types.ts";
export { logWriter } from "./writer.ts";
