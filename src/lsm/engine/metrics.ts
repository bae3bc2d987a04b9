/** The engine's numbers for monitoring, by SlateDB's names where the thing is the same. All are plain counters that are read when somebody asks. */
import type { Metric } from "../../base/mod.ts";
import { allSsts, type Manifest } from "../format/manifest.ts";
import type { CacheStats } from "../store/block-cache.ts";
import { requestMetrics, type RequestCounts } from "../store/counted-store.ts";
import type { TableCounts } from "../store/tables.ts";
import type { MergeOperator } from "./merge-operator.ts";
import type { DbStatus, GcReport } from "./status.ts";

/** Operands given to the merge operator. */
export interface OperandCounts {
  read: number;
  flush: number;
  compact: number;
}

/** What everything that works on one store counts in one place. */
export interface ContextCounts {
  readonly requests: RequestCounts;
  /** Of the WAL's own store, if it has one. */
  readonly walRequests: RequestCounts | undefined;
  readonly tables: TableCounts;
  readonly operands: OperandCounts;
}

/** What a writer counts itself. */
export interface WriterCounts {
  puts: number;
  batches: number;
  gets: number;
  scans: number;
  snapshots: number;
  transactions: number;
  checkpoints: number;
  walFlushes: number;
  memtableFlushes: number;
  freezes: number;
  /** Bytes of rows in memtables that are frozen. */
  frozenWriteBytes: number;
  l0Flushes: number;
  l0FlushBytes: number;
  stalls: number;
  backpressure: number;
}

/** Nothing counted yet. */
export function noCounts(): WriterCounts {
  const reads = { gets: 0, scans: 0, snapshots: 0, transactions: 0 };
  const writes = { puts: 0, batches: 0, checkpoints: 0, stalls: 0, backpressure: 0 };
  return { ...reads, ...writes, walFlushes: 0, memtableFlushes: 0, freezes: 0, frozenWriteBytes: 0, l0Flushes: 0, l0FlushBytes: 0 };
}

/** What garbage collection has deleted, all runs together. */
export type GcTotals = GcReport & { readonly runs: number };

/** `operator`, its operands counted. */
export function countedOperator(
  operator: MergeOperator | undefined,
  counts: OperandCounts,
  path: keyof OperandCounts,
): MergeOperator | undefined {
  if (operator === undefined) return undefined;
  return {
    merge: (key, existing, operand) => {
      counts[path]++;
      return operator.merge(key, existing, operand);
    },
  };
}

type Labels = Readonly<Record<string, string>>;

function counter(name: string, help: string, value: number, labels: Labels = {}): Metric {
  return { name, help, labels, kind: "counter", value };
}

function gauge(name: string, help: string, value: number, labels: Labels = {}): Metric {
  return { name, help, labels, kind: "gauge", value };
}

/** What a writer and a reader have in common: cache, filters, requests, operands. */
export function contextMetrics(counts: ContextCounts, cache: CacheStats, store: readonly Metric[]): Metric[] {
  const { tables, operands } = counts;
  const accesses = "looks into the cache of parts of SSTs; an index comes with its filter";
  const access = (kind: string, result: string, value: number): Metric =>
    counter("db_cache.access_count", accesses, value, { entry_kind: kind, result });
  return [
    access("index", "hit", tables.metaHits),
    access("index", "miss", tables.metaMisses),
    access("data_block", "hit", tables.blockHits),
    access("data_block", "miss", tables.blockMisses),
    gauge("db_cache.bytes", "bytes in the cache", cache.sizeBytes),
    counter("db_cache.evicted_count", "parts that made room for others", cache.evictions),
    counter("db.sst_filter_negative_count", "lookups that a filter ended", tables.filterNegative, { kind: "point" }),
    counter("db.sst_filter_positive_count", "lookups that a filter let pass, and that found their key", tables.filterPositive, {
      kind: "point",
    }),
    counter("db.sst_filter_false_positive_count", "lookups that a filter let pass for nothing", tables.filterFalsePositive, {
      kind: "point",
    }),
    ...(["read", "flush", "compact"] as const).map((path) =>
      counter("merge_operator_operands", "operands given to the merge operator", operands[path], { path }),
    ),
    ...requestMetrics(counts.requests, "main"),
    ...(counts.walRequests === undefined ? [] : requestMetrics(counts.walRequests, "wal")),
    ...store,
  ];
}

/** What only a writer has. */
export function writerMetrics(status: DbStatus, manifest: Manifest, gc: GcTotals): Metric[] {
  return [...requestCounts(status), ...stateOf(status, manifest), ...pathOfWrites(status), ...upkeep(status, gc)];
}

function requestCounts(status: DbStatus): Metric[] {
  const request = (op: string, value: number): Metric => counter("db.request_count", "calls", value, { op });
  return [
    request("get", status.gets),
    request("scan", status.scans),
    request("flush", status.walFlushes + status.memtableFlushes),
    request("snapshot", status.snapshots),
    request("transaction", status.transactions),
    request("checkpoint", status.checkpoints),
    counter("db.write_ops", "rows written", status.puts),
    counter("db.write_batch_count", "commits", status.batches),
    counter("db.memtable_write_bytes", "bytes of rows that went into memtables", status.memtableWriteBytes),
    counter("db.backpressure_count", "writes that waited for flushing", status.backpressure),
    counter("db.l0_stall_count", "waits of flushing for compaction", status.stalls, { type: "num_ssts" }),
    counter("clock.held_back_count", "stamps reused because the wall clock went back", status.clock.reusedTicks),
    gauge("clock.ahead_ms_max", "the most that stamps were ahead of the wall clock", status.clock.aheadMsMax),
  ];
}

function stateOf(status: DbStatus, manifest: Manifest): Metric[] {
  return [
    gauge("db.total_mem_size_bytes", "bytes in memtables and in the WAL's buffer", status.memtableBytes + status.unflushedBytes),
    gauge("db.l0_sst_count", "L0 SSTs", status.l0Ssts),
    gauge("db.sorted_run_count", "sorted runs", status.sortedRuns),
    gauge("db.sst_count", "SSTs that the manifest names", allSsts(manifest).length),
    gauge("db.external_db_count", "stores whose SSTs this clone uses", manifest.externalDbs.length),
    gauge("db.checkpoint_count", "checkpoints in the manifest", manifest.checkpoints.length),
    gauge("db.open_reads", "snapshots, transactions and scans that are open", status.openReads),
    gauge("db.last_seq", "sequence number of the newest write", status.lastSeq),
    gauge("db.durable_seq", "writes up to this survive the loss of the machine", status.durableSeq),
    gauge("db.writer_epoch", "epoch of this writer", status.writerEpoch),
  ];
}

function pathOfWrites(status: DbStatus): Metric[] {
  return [
    gauge("wal.wal_buffer_estimated_bytes", "bytes that wait to be put", status.walBufferBytes),
    counter("wal.wal_buffer_flushes", "WAL objects put", status.walFiles),
    counter("wal.wal_buffer_flush_requests", "calls that asked for it", status.walFlushes),
    counter("wal.wal_flush_bytes", "bytes of WAL objects put", status.walBytes),
    counter("memtable_flush.memtable_freeze_count", "memtables that were full, or flushed", status.freezes),
    counter("memtable_flush.flush_request_count", "calls that asked for it", status.memtableFlushes),
    counter("memtable_flush.checkpoint_request_count", "checkpoints asked for", status.checkpoints),
    counter("memtable_flush.l0_flush_count", "memtables that became L0 SSTs", status.l0Flushes),
    counter("db.l0_flush_bytes", "bytes of memtables that became L0 SSTs", status.l0FlushBytes),
  ];
}

function upkeep(status: DbStatus, gc: GcTotals): Metric[] {
  const deleted = (resource: string, value: number): Metric => counter("gc.deleted_count", "objects deleted", value, { resource });
  const { compactor } = status;
  const compaction: Metric[] =
    compactor === undefined
      ? []
      : [
          counter("compactor.bytes_compacted", "bytes of SSTs written", compactor.bytesWritten),
          counter("compactor.bytes_read", "bytes of rows read", compactor.bytesRead),
          counter("compactor.completed_count", "compactions", compactor.completed),
          counter("compactor.failed_count", "compactions that failed", compactor.failed),
          counter("compactor.ssts_written", "SSTs written", compactor.sstsWritten),
          gauge("compactor.running_compactions", "compactions under way", compactor.running),
          gauge("compactor.epoch", "epoch of this compactor", compactor.epoch),
          gauge(
            "compactor.last_compaction_timestamp_sec",
            "when the last one ended, seconds since 1970; 0: none yet",
            compactor.lastCompletedS,
          ),
        ];
  return [
    ...compaction,
    counter("gc.count", "runs of garbage collection", gc.runs),
    deleted("manifest", gc.manifests),
    deleted("wal", gc.wals),
    deleted("compacted", gc.ssts),
    deleted("compactions", gc.compactions),
    deleted("checkpoint", gc.checkpoints),
    deleted("detach", gc.detached),
  ];
}

/** What only a reader has. */
export function readerMetrics(reader: { gets: number; scans: number; loads: number; lastSeq: number }): Metric[] {
  return [
    counter("db.request_count", "calls", reader.gets, { op: "get" }),
    counter("db.request_count", "calls", reader.scans, { op: "scan" }),
    counter("reader.refresh_count", "looks for news of the writer", reader.loads),
    gauge("reader.last_seq", "the newest sequence number that is seen", reader.lastSeq),
  ];
}
