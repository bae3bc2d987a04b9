/** Batches as tests write them. */
import { EMPTY_BYTES, type EntryId } from "../../../../src/base/mod.ts";
import { EMPTY_CONF_STATE, type Entry, type HardState } from "../../../../src/raft/mod.ts";
import { packBatch, type LogBatch, type PackedBatch } from "../../../../src/replica/mod.ts";

/** A batch; what is left out is absent. */
export interface TestBatch {
  readonly number: number;
  readonly hardState?: HardState | undefined;
  readonly snapshot?: EntryId | undefined;
  readonly entries: readonly Entry[];
}

/** The batch as the driver gives it. `mustSync` is false only for one that moves nothing but the commit index. */
export function batchOf({ number, hardState, snapshot, entries }: TestBatch, mustSync = true): LogBatch {
  const whole = snapshot && { ...snapshot, confState: EMPTY_CONF_STATE, data: EMPTY_BYTES };
  return { number, hardState, snapshot: whole, entries, mustSync };
}

/** The batch as it crosses to the log's thread. */
export function packed(batch: TestBatch): PackedBatch {
  return packBatch(batchOf(batch));
}
