/** lsm: the storage engine on object storage, in SlateDB's files. See ARCHITECTURE.md, sections 1 and 5. */
export { Admin, type SstDescription, type StoredVersion } from "./admin/admin.ts";
export { type RepairPlan, type RepairStep } from "./admin/repair.ts";
export { type Finding, type VerifyReport } from "./admin/verify.ts";
export { SizeTieredPicker } from "./compaction/picker.ts";
export { RemoteExecutor, serveCompaction, type RemoteWorker } from "./compaction/remote-executor.ts";
export { WriteBatch, type PutOptions, type Ttl } from "./db/batch.ts";
export { type CheckpointOptions } from "./engine/checkpoints.ts";
export { cloneStore, type CloneOptions } from "./db/clone.ts";
export { DbReader, type ReaderMode, type ReaderOptions } from "./db/db-reader.ts";
export { WalReader, type FollowOptions, type WalChange, type WalFile, type WalToken } from "./db/wal-reader.ts";
export { Db, type FlushKind } from "./db/db.ts";
export { type MergeOperator } from "./engine/merge-operator.ts";
export { NOT_CACHED, type GetOptions, type ScanBounds, type ScanOptions } from "./db/reads.ts";
export { Scan, type KeyValue } from "./db/scan.ts";
export {
  COMPACTOR_DEFAULTS,
  GC_DEFAULTS,
  LSM_DEFAULTS,
  type CompactorSettings,
  type GcSettings,
  type LsmComponents,
  type LsmOptions,
  type LsmSettings,
  type Profile,
  type WaitOptions,
} from "./engine/settings.ts";
export { Snapshot } from "./db/snapshot.ts";
export { type CompactionExecutor, type CompactionFilter, type CompactionPicker } from "./engine/compaction.ts";
export { type CompactorStats, type DbStatus, type GcReport } from "./engine/status.ts";
export { Transaction, type Isolation, type WriteHandle, type WriteOptions } from "./db/transaction.ts";
export { COMPRESSIONS, type BlockTransformer, type Compression } from "./format/compression.ts";
export { type Ulid, type Uuid } from "./format/identifiers.ts";
export { type Compaction, type Compactions, type CompactionSpec, type CompactionStatus } from "./format/compactions.ts";
export { MERGE, TOMBSTONE, VALUE, type Row, type RowKind } from "./format/row.ts";
export { type TrackedPoint } from "./format/sequence-tracker.ts";
export { type SstInfo, type SstStats } from "./format/sst-info.ts";
export {
  allSsts,
  decodeManifest,
  type Checkpoint,
  type ExternalDb,
  type Manifest,
  type SortedRun,
  type SstRef,
} from "./format/manifest.ts";
export { BlockCache, type CacheStats } from "./store/block-cache.ts";
