/** raft: consensus, as a pure and synchronous state machine. The contract with its host is in DESIGN.md. */
export { bootstrapState } from "./bootstrap.ts";
export type { BootstrapState } from "./bootstrap.ts";
export { decodeConfChange, encodeConfChange } from "./conf-change.ts";
export type { ConfChange, ConfChangeKind, ConfChangeStep } from "./conf-change.ts";
export type { RaftOptions, ReadMode } from "./config.ts";
export { allMembers, configurationOf, isJoint, isVoter } from "./configuration.ts";
export type { Configuration } from "./configuration.ts";
export { EntryWindow } from "./entry-window.ts";
export { membersAfter } from "./membership.ts";
export { createMessage } from "./message.ts";
export type { Message, MessageFields } from "./message.ts";
export { RaftNode } from "./node.ts";
export type { ConfChangeOutcome, MessageOutcome, ProposeOutcome, Ready, Status } from "./node.ts";
export type { LogStorage } from "./storage.ts";
export type { Trace, TraceEvent } from "./trace.ts";
export { EMPTY_CONF_STATE, entryBytes, payloadBytes, totalBytes } from "./types.ts";
export type { ConfState, Entry, EntryType, HardState, ReadState, Role, Snapshot } from "./types.ts";
