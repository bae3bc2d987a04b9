/**
 * Which of our tests shows what a test of SlateDB shows: the list of names of its conformance, group by group, and its reported bugs. A line is
 * SlateDB's name (or several that end alike), and a part of our test's name, or why there is none. Each of our names must be a test's.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const NOT_HERE = "not here:";

const GROUPS: Readonly<Record<string, readonly (readonly [theirs: string, ours: string])[]>> = {
  "1 basic": [
    [
      "test_put_get_delete, test_put_empty_value, test_get_after_put",
      "what was put is got, what was deleted is not, and an empty value is a value",
    ],
    ["test_no_flush_interval", "a durable put needs no tick of the flush interval"],
    ["test_write_batch", "a batch has one sequence number, and its last write to a key counts"],
    ["test_write_batch_without_wal, test_write_batch_with_empty_key", "(test_write_batch_with_empty_key, test_write_batch_without_wal)"],
    ["test_concurrent_batch_writes_consistency", "(test_concurrent_batch_writes_consistency)"],
    [
      "test_get_key_value, should_get_key_value_with_expire_at, test_write_handle, test_write_handle_with_batch",
      "(test_get_key_value, should_get_key_value_with_expire_at",
    ],
    [
      "test_write_with_options_empty_batch_returns_empty_batch_error",
      "a batch has one sequence number, and its last write to a key counts",
    ],
    ["test_all_kv_seq_num_are_greater_than_0", "test_all_kv_seq_num_are_greater_than_0"],
    ["test_find_with_multiple_repeated_keys", "(test_find_with_multiple_repeated_keys)"],
  ],
  "2 scan": [
    [
      "test_scan_returns_records_in_range, test_scan_descending_*, test_scan_prefix_returns_matching_keys, test_scan_prefix_descending",
      "a scan gives ranges and prefixes forwards and backwards",
    ],
    ["test_scan_prefix_with_options_handles_unbounded_end", "(test_scan_prefix_with_options_handles_unbounded_end)"],
    ["test_scan_prefix_by_recency_* (9)", `${NOT_HERE} no scan by recency is offered`],
    ["test_seek_outside_of_range_returns_invalid_argument, test_seek_fast_forwards_iterator", "seek goes forward inside the range only"],
    ["test_flush_while_iterating", "a scan sees the state of its beginning, whatever is written, flushed and compacted meanwhile"],
    ["test_scan_row_entry", "test_scan_row_entry"],
  ],
  "3 durability": [
    [
      "test_get_with_durability_level_when_wal_disabled, should_notify_seq_watcher_on_l0_flush_when_wal_disabled",
      "(test_get_with_durability_level_when_wal_disabled",
    ],
    ["test_should_read_only_committed_data, should_notify_seq_watcher_on_wal_flush", "reads at durability remote see only what is durable"],
    [
      "test_should_read_uncommitted_data_if_read_level_uncommitted, test_scan_*_committed_*, test_should_delete_without_awaiting_flush",
      "(test_scan_should_read_only_committed_data",
    ],
    ["test_write_handle_await_durable_waits_for_flush", "rows survive the loss of the process as soon as a put resolved"],
    [
      "test_write_handle_await_durable_returns_error_if_db_closes_first",
      "(test_write_handle_await_durable_returns_error_if_db_closes_first)",
    ],
  ],
  "4 WAL, memtable, flush": [
    [
      "test_put_flushes_memtable, test_flush_memtable_with_wal_enabled, test_memtable_flush_also_flushes_wal, test_memtable_flush_updates_last_remote_persisted_seq",
      "(test_memtable_flush_also_flushes_wal",
    ],
    ["test_put_flushes_memtable_after_max_wal_flushes", "(test_put_flushes_memtable_after_max_wal_flushes)"],
    ["test_flush_with_options_wal", "reads at durability remote see only what is durable"],
    ["test_flush_with_options_wal_disabled_error", `${NOT_HERE} flush("wal") without a WAL flushes the memtable instead`],
    ["test_disable_wal_after_wal_enabled", "(test_disable_wal_after_wal_enabled)"],
    ["test_wal_disabled, should_flush_all_memtables_when_wal_disabled", "without a WAL, durable is what is in L0"],
    ["test_wal_id_last_seen_should_only_reflect_flushed_wals", "test_wal_id_last_seen_should_only_reflect_flushed_wals"],
    ["test_sequence_tracker_persisted_across_flush_and_reload_*", "(test_sequence_tracker_persisted_across_flush_and_reload)"],
  ],
  "5 backpressure and errors": [
    [
      "test_apply_wal_memory_backpressure, test_apply_backpressure_to_memtable_flush",
      "writes wait when too much is unflushed, and none is lost",
    ],
    ["test_backpressure_waiter_exits_when_db_is_fenced", "(test_backpressure_waiter_exits_when_db_is_fenced)"],
    [
      "test_should_fail_write_if_wal_flush_task_panics, test_close_should_return_error_if_wal_flush_fails",
      "(test_close_should_return_error_if_wal_flush_fails",
    ],
  ],
  "6 close": [
    [
      "test_close_triggers_flush_when_open, test_close_flushes_memtables_to_l0, test_close_with_options_default_flushes_final_memtable",
      "close flushes the memtable, so that the next opening replays nothing",
    ],
    [
      "test_close_twice_returns_closed_clean, should_report_close_reason_clean_on_db_close",
      "closing twice is closing once, and then every call says LSM_CLOSED",
    ],
    ["test_close_failed_state_does_not_flush, should_report_close_reason_fenced_on_fenced_error", "test_close_failed_state_does_not_flush"],
    [
      "test_clean_close_flushes_pending_wal, test_close_with_options_flushes_wal_only",
      "the tick is recovered from the WAL if that is newer than L0",
    ],
    ["test_close_with_options_skips_final_flush", "rows survive the loss of the process as soon as a put resolved"],
    [
      "should_report_close_reason_panic_on_background_task_failure",
      "a compaction that fails, and garbage that cannot be collected, are told and stop nothing",
    ],
  ],
  "7 recovery and fencing": [
    [
      "test_basic_restore, test_should_recover_imm_from_wal, test_should_recover_imm_from_wal_after_flush_error, should_replay_all_entries",
      "rows survive the loss of the process as soon as a put resolved",
    ],
    ["test_restore_seq_number", "(test_restore_seq_number"],
    ["test_db_open_should_write_empty_wal, should_replay_empty_wal", "(test_db_open_should_write_empty_wal)"],
    [
      "test_empty_wal_should_fence_old_writer, test_fence, test_fence_handles_fenced_writer_flush",
      "a newer writer fences the older one: its next put fails, and then its reads",
    ],
    [
      "test_writer_paused_in_replay_wal_should_be_fenced_by_concurrent_open, test_fencer_fenced_after_claiming_epoch",
      "a flush of an older writer that comes between a newer one's claim and its fence changes nothing",
    ],
    [
      "test_wal_replay_l0_boundary_does_not_skip_unflushed_replay_batches, should_replay_memtables_in_sequence_order",
      "a crash at any call while a long WAL is replayed",
    ],
    [
      "test_wal_replay_flushes_oversized_active_memtable_before_backpressure, should_not_split_one_commit_seq_across_replayed_memtables",
      "(should_not_split_one_commit_seq_across_replayed_memtables",
    ],
    ["test_gc_race_deletes_l0_before_manifest_update", "an L0 that is put and not yet in the manifest is not collected"],
    [
      "test_put_get_reopen_delete_with_separate_wal_store, test_wal_store_reconfiguration_fails",
      "a WAL store of its own is remembered, and opening without it is refused",
    ],
    ["test_compression_overflow_bug", "(test_compression_overflow_bug)"],
    ["should_replay_zero_byte_wal_fence(_before_real_wal)", "the 0.14 profile is detected, and an implicit downgrade is refused"],
    [
      "should_only_replay_wals_after_last_l0_flushed_wal_id, should_replay_wals_after_min_seq",
      "close flushes the memtable, so that the next opening replays nothing",
    ],
  ],
  "8 clock": [
    ["test_recover_clock_tick_from_wal", "(test_recover_clock_tick_from_wal)"],
    ["test_should_update_manifest_clock_tick_on_l0_flush", "(test_should_update_manifest_clock_tick_on_l0_flush)"],
    ["test_recover_clock_tick_from_manifest", "(test_recover_clock_tick_from_manifest)"],
    [
      "test_invalid_clock_progression, test_invalid_clock_progression_across_db_instances",
      "a wall clock that jumps back by 30 ms, a minute or a year delays and fails nothing",
    ],
    ["test_monotonicity_enforcement_on_mono_clock(_set_tick)", "(test_monotonicity_enforcement_on_mono_clock)"],
  ],
  "9 snapshots and retention": [
    ["test_snapshot_basic_functionality, db_snapshot.rs (4)", "a snapshot stays as it is through flush and compaction, merges included"],
    ["test_recent_snapshot_min_seq_* (4)", "(test_recent_snapshot_min_seq)"],
    ["test_read_merges_from_snapshot_across_compaction", "operands are merged if all expire alike"],
    [
      "test_compaction_resume_loses_merge_operands_after_snapshot_retention_advances",
      "no reader at or above the least sequence number sees a difference",
    ],
    ["test_retention_iterator_table_driven", "(test_retention_iterator_table_driven)"],
    ["test_retention_uses_sequence_tracker_timestamp", `${NOT_HERE} there is no retention by time`],
  ],
  "10 merge": [
    [
      "should_merge_operand_into_empty_key, should_merge_multiple_operands_into_same_key, should_persist_merge_operands_across_flush, should_merge_operands_after_reopen, should_error_when_merging_without_merge_operator",
      "merge operands add up across memtable, L0, runs and reopening, and need an operator",
    ],
    ["should_reject_batch_local_merges_across_differing_ttls", "(should_reject_batch_local_merges_across_differing_ttls)"],
    [
      "should_apply_merge_during_l0_compaction, should_preserve_merge_order_across_multiple_ssts",
      "(should_preserve_merge_order_across_multiple_ssts)",
    ],
    ["should_not_compact_expired_merge_operations_in_last_run", "(test_should_compact_expired_entries)"],
    [
      "should_not_merge_operations_with_different_expire_times, merge_operator.rs (13)",
      "(should_not_merge_operations_with_different_expire_times)",
    ],
  ],
  "11 transactions": [
    ["test_txn_basic_visibility", "(test_txn_basic_visibility)"],
    ["test_txn_si_commit_conflict", "(test_txn_si_commit_conflict)"],
    ["test_txn_si_commit_conflict_with_db_writes, test_unmark_write_*", "(test_txn_si_commit_conflict_with_db_writes)"],
    ["test_txn_ssi_commit_conflict", "(test_txn_ssi_commit_conflict)"],
    ["test_txn_ssi_commit_conflit_with_ranges", "(test_txn_ssi_commit_conflit_with_ranges)"],
    [
      "test_txn_ssi_write_skew_via_empty_scans, test_txn_ssi_phantom_outside_yielded_bbox",
      "(test_txn_ssi_write_skew_via_empty_scans, SlateDB #1710)",
    ],
    ["test_txn_ssi_tombstone_resurrection_in_scan_range", "(test_txn_ssi_tombstone_resurrection_in_scan_range)"],
    ["test_mark_read_*", "(test_mark_read)"],
    [
      "test_txn_conflict_when_first_commit_paused_post_commit",
      `${NOT_HERE} a commit is one synchronous step: nothing can stand between its check and its effect`,
    ],
    ["test_commit_future_cancel_bypasses_conflict_detection", "a transaction that is given up leaves nothing behind (SlateDB #1732)"],
  ],
  "12 compaction": [
    ["size_tiered_compaction.rs test_should_* (25)", "(test_should_compact_l0_to_l1_via_size_tiered)"],
    ["size_tiered_compaction.rs, conflicts and backpressure", "(test_should_apply_backpressure)"],
    ["compactor.rs test_validate_compaction_* (17)", "(test_validate_compaction_*)"],
    ["test_should_write_manifest_safely", "test_should_write_manifest_safely"],
    ["test_should_tombstones_in_l0, test_should_not_filter_tombstone_with_snapshot", "(test_retention_iterator_table_driven)"],
    ["test_should_compact_expired_entries", "(test_should_compact_expired_entries)"],
    [
      "test_should_leave_checkpoint_when_removing_ssts_after_compaction",
      "garbage collection deletes old WAL objects, SSTs and manifests, and no fence that a sleeping writer may need",
    ],
    ["test_commit_compacted_entries_*, test_reclaim_*", `${NOT_HERE} no distributed compaction: compaction has one process`],
  ],
  "13 garbage collection": [
    [
      "test_collect_garbage_{manifest,only_recent_manifests,old_active_manifest,wal_ssts,compacted_ssts,compactions_keeps_latest}, test_regular_wal_gc_does_not_delete_wal_fences",
      "garbage collection deletes old WAL objects, SSTs and manifests, and no fence that a sleeping writer may need",
    ],
    [
      "test_collect_garbage_compacted_ssts_respects_checkpoint_references",
      "a checkpoint is read as it was, and garbage collection keeps it until it is deleted",
    ],
    ["test_do_not_remove_wals_referenced_by_active_checkpoints", "(test_do_not_remove_wals_referenced_by_active_checkpoints)"],
    ["test_remove_expired_checkpoints", "(test_remove_expired_checkpoints)"],
  ],
  "14 formats": [
    ["sst_builder.rs test_sstable*", "an L0 with a value and a tombstone is SlateDB's bytes"],
    ["test_checksum_mismatch", "verify names what is damaged and goes on"],
    ["test_version_checking", "(test_version_checking)"],
    ["should_read_v1_sst_written_with_explicit_config", "a block of version 1 is read"],
    ["test_stats_block_*", "an administrator reads manifests, compactions and SSTs"],
    [
      "test_multi_policy_composite_filter_round_trip",
      "a filter of no bits, or without a part that is known, denies nothing (SlateDB #1969)",
    ],
    ["filter.rs test_compute_probes", "a key's probes are SlateDB's: six bits of eighty"],
    ["filter.rs test_bloom_filter_size", "a Bloom filter is SlateDB's bits"],
    [
      "flatbuffer_types.rs test_should_encode_decode_*, test_v1_and_v2_roundtrip_produce_same_manifest",
      "a manifest with segments is read as it was written, and written again to the byte",
    ],
    [
      "test_should_decode_sst_with_no_version_set_using_original_version",
      "(test_should_decode_sst_with_no_version_set_using_original_version)",
    ],
    ["seq_tracker.rs (10)", "a sequence tracker gives back its points and stays sparse"],
  ],
  "15 manifest store": [
    ["test_should_fail_write_on_version_conflict", "(test_should_fail_write_on_version_conflict"],
    ["test_should_bump_writer_epoch", "(test_db_open_should_write_empty_wal)"],
    ["test_should_fail_refresh_on_writer_fenced", "an older writer notices a newer one by the manifest, without writing"],
    ["test_retry_write_manifest_on_timeout", "a claim whose answer was lost is not taken for won"],
    ["test_should_fail_write_at_or_behind_boundary", "(test_should_fail_write_at_or_behind_boundary)"],
    [
      "test_delete_active_manifest_should_fail",
      "garbage collection deletes old WAL objects, SSTs and manifests, and no fence that a sleeping writer may need",
    ],
    ["test_lsm_tree_merge_invariants, test_protocol_simulation_invariants", "of a store hold every law of the simulation"],
  ],
  "16 checkpoints, readers, clones, WAL reader": [
    ["checkpoint.rs (15)", "a checkpoint is read as it was, and garbage collection keeps it until it is deleted"],
    ["db_reader.rs (25)", "a reader follows the writer through WAL, L0 and compaction, and holds a checkpoint meanwhile"],
    ["clone.rs (25)", "a clone begins as its parent's checkpoint, goes its own way, and outlives what the parent deletes"],
    ["wal_reader.rs (10)", "the WAL is a stream of changes that goes on from a token"],
  ],
  "reported bugs": [
    ["#431", "#431: 5000 random rows"],
    ["#352, #1622", "(SlateDB #352, #1622)"],
    ["#604", "(SlateDB #604)"],
    ["#591", "(SlateDB #591)"],
    ["#1192", "(SlateDB #1192)"],
    ["#1850, #1838", "(SlateDB #1850, #1838)"],
    ["#1379", "(SlateDB #1379)"],
    ["#1215", "(SlateDB #1215)"],
    ["#1732", "(SlateDB #1732)"],
    ["#1710", "SlateDB #1710"],
    ["#1660", "(SlateDB #1660)"],
    ["#1857, #1625", "(SlateDB #1857, #1625)"],
    ["#1682", "(SlateDB #1682)"],
    ["#1694", "(SlateDB #1694)"],
    ["#1969", "(SlateDB #1969)"],
    ["#1893", "(SlateDB #1893)"],
    ["#928", "(SlateDB #928)"],
    ["#1110", "(SlateDB #1110)"],
    ["lix #1324", "a durable put needs no tick of the flush interval"],
  ],
  "what a writer must do": [
    ["1 manifest of version 1 with its required vectors", "the first manifest is SlateDB's 106 bytes"],
    ["2 format version and filter offset on every SST", "a manifest with an L0 decodes and encodes to SlateDB's bytes"],
    ["3 put-if-absent, a taken WAL id is fencing", "a newer writer fences the older one: its next put fails, and then its reads"],
    [
      "4 contiguous WAL ids, one sequence number a batch, whole",
      "what can only be damage is refused on replay, and named: sequence numbers that go back, a gap",
    ],
    ["4 rows of a batch unique per key", "a batch has one sequence number, and its last write to a key counts"],
    ["5 order of L0s, runs and the SSTs in them", "whatever is picked can be done, and leaves a manifest whose runs are in order of age"],
    ["6 replay point, sequence number and tick move with L0", "(test_memtable_flush_also_flushes_wal"],
    ["7 the epoch is checked at every refresh", "an older writer notices a newer one by the manifest, without writing"],
    ["8 ULIDs of L0s never go back", "ULIDs and UUIDs survive the way to disk and back, and ULIDs never go back even if the clock does"],
    [
      "8 outputs are younger than their compaction",
      "an output of a compaction under way is not collected, however old it is (SlateDB #604)",
    ],
    ["9 times never go back", "stamps never go back, whatever the wall clock does"],
    [
      "10 a checkpoint at each compaction, nothing deleted outside the rules",
      "garbage collection deletes old WAL objects, SSTs and manifests, and no fence that a sleeping writer may need",
    ],
  ],
  "what a writer must never do in the 0.12 profile": [
    ["composite filter, unknown row flags", "an L0 with a value and a tombstone is SlateDB's bytes"],
    ["segments", "version 1 is written as long as it says everything"],
    ["compactions version 2, statuses 4 and 5", "version 1 of the compactions file says only what SlateDB 0.12 knows"],
    ["a fence without bytes", "the fence of the 0.12 profile is SlateDB's 114 bytes, and has no rows"],
    ["what depends on manifest_id", "the first manifest is SlateDB's 106 bytes"],
    ["an id is written once", "each id is written once"],
  ],
};

const folders = ["./", "../sim/lsm/"].map((name) => fileURLToPath(new URL(name, import.meta.url)));

/** Names of all tests of the engine, its simulator's included, as their sources have them. */
function testNames(): string[] {
  return folders.flatMap((folder) =>
    readdirSync(folder)
      .filter((name) => name.endsWith(".test.ts") && name !== "conformance.test.ts")
      .flatMap((name) =>
        [...readFileSync(`${folder}/${name}`, "utf8").matchAll(/^\s*test\(\s*(["`])(.*?)\1,/gms)].map((match) => match[2] as string),
      ),
  );
}

test("every law of SlateDB's list has a test here, or a reason why not", () => {
  const names = testNames();
  assert.ok(names.length > 150, `${names.length} tests`);
  const missing: string[] = [];
  let laws = 0;
  for (const [group, lines] of Object.entries(GROUPS)) {
    for (const [theirs, ours] of lines) {
      laws++;
      if (!ours.startsWith(NOT_HERE) && !names.some((name) => name.includes(ours)))
        missing.push(`${group}: ${theirs}: no test is called "${ours}"`);
    }
  }
  assert.deepEqual(missing, []);
  assert.ok(laws > 110);
});
