/** What the log's handle and its thread say to each other. */
import type { EntryId, PackedError } from "../../base/mod.ts";
import type { LogIdentity } from "./format.ts";
import type { PackedBatch, PackedEntries } from "./pack.ts";
import type { Located, ReadRange } from "./reader.ts";
import type { LogState } from "./types.ts";

/** To the thread. `id` names the answer. */
export type LogRequest =
  | { readonly kind: "append"; readonly batch: PackedBatch }
  | { readonly kind: "read"; readonly id: number; readonly range: ReadRange }
  | { readonly kind: "locate"; readonly id: number; readonly range: ReadRange }
  | { readonly kind: "compact"; readonly id: number; readonly to: EntryId }
  | { readonly kind: "close"; readonly id: number };

/** From the thread. */
export type LogReply =
  /** `hasBegun`: the log is new. */
  | { readonly kind: "opened"; readonly state: LogState; readonly identity: LogIdentity | undefined; readonly hasBegun: boolean }
  /** All batches up to this number are durable. */
  | { readonly kind: "persisted"; readonly number: number }
  /** The disk is full (LOG_FULL): this batch is not durable. */
  | { readonly kind: "refused"; readonly number: number; readonly error: PackedError }
  /** The log did not open, or it failed: nothing will be acknowledged any more. */
  | { readonly kind: "failed"; readonly error: PackedError }
  | { readonly kind: "answer"; readonly id: number; readonly answer: LogAnswer }
  | { readonly kind: "error"; readonly id: number; readonly error: PackedError };

/** What a request with an id gets. */
export type LogAnswer =
  | { readonly kind: "entries"; readonly entries: PackedEntries }
  | { readonly kind: "located"; readonly located: Located }
  | { readonly kind: "again" }
  | { readonly kind: "compacted" }
  | { readonly kind: "done" };
