/** sql: SQLite as a deterministic state machine. See ARCHITECTURE.md, sections 2, 3 and 7. */
export { serveApply, type SqlWorkerWorld } from "./apply/service.ts";
export * from "./read/backup-options.ts";
export { isBlankSql, skipBlankSql } from "./command/blank.ts";
export { Checkpointer, serveCheckpointer } from "./apply/checkpointer.ts";
export * from "./command/command.ts";
export * from "./command/codec.ts";
export { InlineReader } from "./read/inline.ts";
export * from "./wire/packing.ts";
export * from "./read/reader.ts";
export { serveReader } from "./read/service.ts";
export * from "./result/results.ts";
export * from "./apply/state-machine.ts";
export type { SqliteStatus } from "./connection/sqlite-status.ts";
export * from "./wire/protocol.ts";
export { ApplyThread } from "./apply/handle.ts";
export { CheckpointThread } from "./apply/checkpointer-handle.ts";
export { ReaderPool, type InlineReads } from "./read/pool.ts";
