/*
** limits.c: where an entry begins, and what may end a statement.
**
** Writes end by a budget of VM steps, which is part of the entry; reads by a deadline or by an interrupt from another thread. Both are
** looked at by one progress handler. Counters of the connection begin at zero in every entry.
*/
#include "pumice.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
SQLITE_EXTENSION_INIT3

#define NS_PER_MS 1000000LL
#define ROWID_MAX 0x7fffffffffffffffLL

/* Interrupt slots, one per connection that asked for one. 0: free, 1: taken, 2: interrupted. */
#define SLOTS_MAX 1024
static atomic_int slots[SLOTS_MAX];

static int64_t monotonicNs(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000LL + now.tv_nsec;
}

static int progress(void *arg) {
  Context *ctx = arg;
  if (ctx->inEntry) {
    if (--ctx->callsLeft >= 0) return 0;
    ctx->stop = PUMICE_STOP_BUDGET;
    return 1;
  }
  if (ctx->slot >= 0 && atomic_load_explicit(&slots[ctx->slot], memory_order_relaxed) == 2) {
    ctx->stop = PUMICE_STOP_INTERRUPT;
    return 1;
  }
  if (ctx->deadlineNs != 0 && monotonicNs() >= ctx->deadlineNs) {
    ctx->stop = PUMICE_STOP_DEADLINE;
    return 1;
  }
  return 0;
}

int pumiceCharge(Context *ctx, size_t bytes) {
  ctx->owedBytes += bytes;
  while (ctx->owedBytes >= PUMICE_BYTES_PER_CALL) {
    ctx->owedBytes -= PUMICE_BYTES_PER_CALL;
    if (progress(ctx)) return 1;
  }
  return 0;
}

/* After the largest rowid SQLite chooses rowids at random, by a generator that no seed of ours reaches. */
static void onUpdate(void *arg, int op, const char *database, const char *table, sqlite3_int64 rowid) {
  (void)database;
  (void)table;
  if (rowid == ROWID_MAX && op != SQLITE_DELETE) ((Context *)arg)->rowidMaxSeen = 1;
}

/* A transaction in which such a row was written must not commit: it is applied again, entry by entry, to find whose it was. */
static int onCommit(void *arg) { return ((Context *)arg)->rowidMaxSeen; }

/*
** pumice_enter(TIME_MS, SEED, STEPS): the next statements belong to an entry. NULL. Called from a DELETE that deletes nothing, because
** only a finished write sets what changes() returns: to 0.
*/
static void enterFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  Context *ctx = sqlite3_user_data(call);
  (void)argc;
  pumiceSetClock(sqlite3_value_int64(argv[0]));
  pumiceSeed(ctx, (uint64_t)sqlite3_value_int64(argv[1]));
  ctx->callsLeft = sqlite3_value_int64(argv[2]) / PUMICE_STEPS_PER_CALL;
  ctx->owedBytes = 0;
  ctx->stop = PUMICE_STOP_NONE;
  ctx->inEntry = 1;
  sqlite3_set_last_insert_rowid(ctx->db, 0);
  ctx->totalChangesBase = sqlite3_total_changes(ctx->db);
}

/* pumice_leave(): no entry is under way on this connection and this thread. 1. */
static void leaveFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  Context *ctx = sqlite3_user_data(call);
  (void)argc;
  (void)argv;
  ctx->inEntry = 0;
  pumiceClearClock();
  sqlite3_result_int(call, 1);
}

/* pumice_flags(FORGET): bits PUMICE_FLAG_…; forgets the rowid's if FORGET is not 0. */
static void flagsFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  Context *ctx = sqlite3_user_data(call);
  int pending = 0;
  int unused = 0;
  int flags = 0;
  (void)argc;
  sqlite3_db_status(ctx->db, SQLITE_DBSTATUS_DEFERRED_FKS, &pending, &unused, 0);
  if (pending) flags |= PUMICE_FLAG_DEFERRED_FK;
  if (ctx->rowidMaxSeen) flags |= PUMICE_FLAG_ROWID_MAX;
  if (sqlite3_value_int(argv[0])) ctx->rowidMaxSeen = 0;
  sqlite3_result_int(call, flags);
}

/* pumice_stop(): why the last statement was interrupted, PUMICE_STOP_…, and forgets it. */
static void stopFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  Context *ctx = sqlite3_user_data(call);
  (void)argc;
  (void)argv;
  sqlite3_result_int(call, ctx->stop);
  ctx->stop = PUMICE_STOP_NONE;
}

/* pumice_disk_full(): 1 if a write of this thread met a full disk since the last call. */
static void diskFullFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  (void)argc;
  (void)argv;
  sqlite3_result_int(call, pumiceTakeDiskFull());
}

/* pumice_deadline(MS): statements are interrupted so many milliseconds from now; 0 or less: never. Forgets an earlier interrupt. */
static void deadlineFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  Context *ctx = sqlite3_user_data(call);
  double ms = sqlite3_value_double(argv[0]);
  (void)argc;
  ctx->deadlineNs = ms > 0 ? monotonicNs() + (int64_t)(ms * NS_PER_MS) : 0;
  ctx->stop = PUMICE_STOP_NONE;
  if (ctx->slot >= 0) atomic_store(&slots[ctx->slot], 1);
}

/* pumice_handle(): takes an interrupt slot for this connection; its number, for pumice_interrupt, or NULL if none is free. */
static void handleFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  Context *ctx = sqlite3_user_data(call);
  int i;
  (void)argc;
  (void)argv;
  for (i = 0; ctx->slot < 0 && i < SLOTS_MAX; i++) {
    int expected = 0;
    if (atomic_compare_exchange_strong(&slots[i], &expected, 1)) ctx->slot = i;
  }
  if (ctx->slot >= 0) sqlite3_result_int(call, ctx->slot);
}

/* pumice_interrupt(HANDLE): interrupts what runs on that connection, from any thread. 1 if there is such a connection. */
static void interruptFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  sqlite3_int64 slot = sqlite3_value_int64(argv[0]);
  int expected = 1;
  (void)argc;
  if (slot < 0 || slot >= SLOTS_MAX) {
    sqlite3_result_int(call, 0);
    return;
  }
  sqlite3_result_int(call, atomic_compare_exchange_strong(&slots[slot], &expected, 2) || expected == 2);
}

static void totalChangesFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  Context *ctx = sqlite3_user_data(call);
  (void)argc;
  (void)argv;
  sqlite3_result_int64(call, sqlite3_total_changes(ctx->db) - ctx->totalChangesBase);
}

static int onWal(void *arg, sqlite3 *db, const char *database, int frames) {
  (void)db;
  (void)database;
  ((Context *)arg)->walFrames = frames;
  return SQLITE_OK;
}

/* pumice_watch_wal(): from here on commits of this connection tell how long the WAL is. To be called after PRAGMA wal_autocheckpoint, which takes the place. */
static void watchWalFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  Context *ctx = sqlite3_user_data(call);
  (void)argc;
  (void)argv;
  sqlite3_wal_hook(ctx->db, onWal, ctx);
}

/* pumice_wal_frames(RESET): frames in the WAL, -1 if it is not known; 0 from now on, until the next commit, if RESET is not 0. */
static void walFramesFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  Context *ctx = sqlite3_user_data(call);
  (void)argc;
  if (sqlite3_value_int(argv[0])) ctx->walFrames = 0;
  sqlite3_result_int64(call, ctx->walFrames);
}

void pumiceReleaseSlot(Context *ctx) {
  if (ctx->slot >= 0) atomic_store(&slots[ctx->slot], 0);
  ctx->slot = -1;
}

/* pumice_guard(LENGTH_MAX): a connection of ours: no checkpoint on close, shadow tables and the schema closed, values limited. */
static void guardFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  Context *ctx = sqlite3_user_data(call);
  int rc = sqlite3_db_config(ctx->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
  (void)argc;
  if (rc == SQLITE_OK) rc = sqlite3_db_config(ctx->db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)0);
  sqlite3_limit(ctx->db, SQLITE_LIMIT_LENGTH, sqlite3_value_int(argv[0]));
  sqlite3_limit(ctx->db, SQLITE_LIMIT_LIKE_PATTERN_LENGTH, PUMICE_PATTERN_BYTES_MAX);
  sqlite3_progress_handler(ctx->db, PUMICE_STEPS_PER_CALL, progress, ctx);
  sqlite3_update_hook(ctx->db, onUpdate, ctx);
  sqlite3_commit_hook(ctx->db, onCommit, ctx);
  if (rc != SQLITE_OK) sqlite3_result_error_code(call, rc);
}

/* pumice_open_schema(OPEN): while it is open, tables of reserved names can be made. Closed as pumice_guard leaves it. */
static void openSchemaFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  Context *ctx = sqlite3_user_data(call);
  int isOpen = sqlite3_value_int(argv[0]);
  int rc = sqlite3_db_config(ctx->db, SQLITE_DBCONFIG_WRITABLE_SCHEMA, isOpen, (int *)0);
  (void)argc;
  if (rc == SQLITE_OK) rc = sqlite3_db_config(ctx->db, SQLITE_DBCONFIG_DEFENSIVE, !isOpen, (int *)0);
  if (rc != SQLITE_OK) sqlite3_result_error_code(call, rc);
}

/* pumice_memory(BYTES): 1 if this process could have so many bytes more, in one block. */
static void memoryFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  void *volatile block = malloc((size_t)sqlite3_value_int64(argv[0]));
  (void)argc;
  sqlite3_result_int(call, block != 0);
  free(block);
}

int pumiceRegisterLimits(Context *ctx) {
  static const struct {
    const char *name;
    int argc;
    void (*run)(sqlite3_context *, int, sqlite3_value **);
  } functions[] = {
      {"pumice_enter", 3, enterFunction},         {"pumice_leave", 0, leaveFunction},
      {"pumice_flags", 1, flagsFunction},         {"pumice_stop", 0, stopFunction},         {"pumice_disk_full", 0, diskFullFunction},
      {"pumice_deadline", 1, deadlineFunction},   {"pumice_handle", 0, handleFunction},     {"pumice_interrupt", 1, interruptFunction},
      {"pumice_guard", 1, guardFunction},         {"pumice_watch_wal", 0, watchWalFunction},
      {"pumice_wal_frames", 1, walFramesFunction}, {"pumice_open_schema", 1, openSchemaFunction},
      {"pumice_memory", 1, memoryFunction},
  };
  int rc = SQLITE_OK;
  size_t i;
  for (i = 0; rc == SQLITE_OK && i < sizeof functions / sizeof functions[0]; i++) {
    rc = sqlite3_create_function_v2(ctx->db, functions[i].name, functions[i].argc, SQLITE_UTF8 | SQLITE_DIRECTONLY, ctx, functions[i].run,
                                    0, 0, 0);
  }
  if (rc == SQLITE_OK) {
    rc = sqlite3_create_function_v2(ctx->db, "total_changes", 0, SQLITE_UTF8 | SQLITE_INNOCUOUS, ctx, totalChangesFunction, 0, 0, 0);
  }
  return rc;
}
