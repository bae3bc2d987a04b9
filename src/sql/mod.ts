/** sql: SQLite as a deterministic state machine. See ARCHITECTURE.md, sections 2, 3 and 7. */
export { serveApply, type SqlWorkerWorld } from "./apply-service.ts";
export * from "./backup-options.ts";
export { isBlankSql, skipBlankSql } from "./blank.ts";
export { Checkpointer, serveCheckpointer } from "./checkpointer.ts";
export * from "./command.ts";
export * from "./command-codec.ts";
export { InlineReader } from "./inline-reader.ts";
export * from "./packing.ts";
export * from "./reader.ts";
export { serveReader } from "./reader-service.ts";
export * from "./results.ts";
export * from "./state-machine.ts";
export type { SqliteStatus } from "./sqlite-status.ts";
export * from "./worker-protocol.ts";
