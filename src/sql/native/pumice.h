/*
** pumice.h: what the files of the extension share.
**
** One `Context` per connection. The clock is per thread, because SQLite's VFS is not told which connection asks for the time: a
** thread that applies an entry sets it, runs the entry, and clears it again.
*/
#ifndef PUMICE_H
#define PUMICE_H

#include "sqlite3ext.h"
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The progress handler is called once per so many VM steps. FROZEN: the outcome of an exceeded budget depends on it. */
#define PUMICE_STEPS_PER_CALL 1000

/* LIKE and GLOB compare a pattern at every place of a text, in one step. FROZEN as well. */
#define PUMICE_PATTERN_BYTES_MAX 250

/* So many bytes that a function works on count as PUMICE_STEPS_PER_CALL steps. FROZEN as well. */
#define PUMICE_BYTES_PER_CALL 32768

/* Why a statement was interrupted. */
#define PUMICE_STOP_NONE 0
#define PUMICE_STOP_BUDGET 1
#define PUMICE_STOP_DEADLINE 2
#define PUMICE_STOP_INTERRUPT 3

/* Bits of pumice_flags(). */
#define PUMICE_FLAG_DEFERRED_FK 1
#define PUMICE_FLAG_ROWID_MAX 2

typedef struct Context Context;
struct Context {
  sqlite3 *db;
  /* The entry under way. Outside of an entry random() is SQLite's own kind. */
  int inEntry;
  sqlite3_int64 totalChangesBase;
  /* Calls of the progress handler that are left; negative: spent. Only counted in an entry. */
  sqlite3_int64 callsLeft;
  /* Bytes that functions worked on, as far as they are not charged yet. */
  size_t owedBytes;
  /* A row took the largest rowid, after which SQLite would choose rowids at random. */
  int rowidMaxSeen;
  /* The random stream: key material, the next block's number, the current block and how much of it is used. */
  uint64_t seed;
  uint64_t block;
  unsigned char bytes[64];
  int used;
  /* Reads: CLOCK_MONOTONIC nanoseconds, 0 for none; the slot that other threads set to interrupt; the reason of the last stop. */
  int64_t deadlineNs;
  int slot;
  int stop;
  /* Frames in the WAL after this connection's last commit; -1: it has made none. */
  sqlite3_int64 walFrames;
};

/* clock-vfs.c */
int pumiceRegisterVfs(void);
void pumiceSetClock(sqlite3_int64 unixMs);
void pumiceClearClock(void);
int pumiceTakeDiskFull(void);

/* Each registers its functions on ctx->db; SQLITE_OK or an error. */
int pumiceRegisterRandom(Context *ctx);
int pumiceRegisterLimits(Context *ctx);
int pumiceRegisterDescribe(Context *ctx);
int pumiceRegisterCopy(Context *ctx);

int pumiceRegisterLinear(Context *ctx);

/*
** limits.c: charges the work of a function on so many bytes. Not 0 if the budget or the time is spent: the function ends with SQLITE_INTERRUPT.
*/
int pumiceCharge(Context *ctx, size_t bytes);

/* random.c: begins the stream of the seed. */
void pumiceSeed(Context *ctx, uint64_t seed);

/* limits.c: gives up the interrupt slot. */
void pumiceReleaseSlot(Context *ctx);

#endif
