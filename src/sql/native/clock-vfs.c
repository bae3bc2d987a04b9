/*
** clock-vfs.c: the VFS named "pumice". It is the default VFS with three differences:
**
** 1. The time is that of the entry which this thread applies, if it applies one; else the wall clock. Everything in SQLite that asks
**    for the time asks the VFS, so SQLite's own rules about deterministic expressions stay as they are.
** 2. Local time is refused while an entry is applied: it would follow each machine's zone.
** 3. A write that fails because the disk is full is remembered: SQLITE_FULL alone can also mean that an AUTOINCREMENT has run out,
**    which is the same on every replica.
**
** The VFS is never the default one: connections name it in their URI, others of the same process are left alone.
*/
#include "pumice.h"
#include <time.h>
SQLITE_EXTENSION_INIT3

/* Milliseconds from the Julian epoch, noon of -4713-11-24, to 1970-01-01. */
#define UNIX_EPOCH_JULIAN_MS 210866760000000LL
#define MS_PER_DAY 86400000.0

static sqlite3_vfs *base;
static sqlite3_vfs vfs;
static _Thread_local int clockIsSet;
static _Thread_local sqlite3_int64 clockMs;
static _Thread_local int diskFull;

void pumiceSetClock(sqlite3_int64 unixMs) {
  clockMs = unixMs + UNIX_EPOCH_JULIAN_MS;
  clockIsSet = 1;
}

void pumiceClearClock(void) { clockIsSet = 0; }

int pumiceTakeDiskFull(void) {
  int was = diskFull;
  diskFull = 0;
  return was;
}

static int currentTimeInt64(sqlite3_vfs *unused, sqlite3_int64 *out) {
  (void)unused;
  if (clockIsSet) {
    *out = clockMs;
    return SQLITE_OK;
  }
  return base->xCurrentTimeInt64(base, out);
}

static int currentTime(sqlite3_vfs *unused, double *out) {
  sqlite3_int64 ms = 0;
  int rc = currentTimeInt64(unused, &ms);
  *out = (double)ms / MS_PER_DAY;
  return rc;
}

/* What SQLite calls in place of localtime_r. Non-zero fails with "local time unavailable". */
static int localTime(const void *seconds, void *out) {
  if (clockIsSet) return 1;
#ifdef _WIN32
  return localtime_s((struct tm *)out, (const time_t *)seconds) != 0;
#else
  return localtime_r((const time_t *)seconds, (struct tm *)out) == 0;
#endif
}

/* File methods: the base VFS's, but for xWrite. One copy per table of methods that the base VFS uses; it has a handful. */
typedef struct Methods {
  const sqlite3_io_methods *original;
  sqlite3_io_methods patched;
} Methods;
#define METHODS_MAX 16
static Methods methods[METHODS_MAX];
static int methodsCount;

static int recordingWrite(sqlite3_file *file, const void *data, int count, sqlite3_int64 offset) {
  const Methods *found = (const Methods *)((const char *)file->pMethods - offsetof(Methods, patched));
  int rc = found->original->xWrite(file, data, count, offset);
  if ((rc & 0xff) == SQLITE_FULL) diskFull = 1;
  return rc;
}

static int recordingControl(sqlite3_file *file, int op, void *arg) {
  const Methods *found = (const Methods *)((const char *)file->pMethods - offsetof(Methods, patched));
  int rc = found->original->xFileControl(file, op, arg);
  if ((rc & 0xff) == SQLITE_FULL) diskFull = 1;
  return rc;
}

static const sqlite3_io_methods *patchedMethods(const sqlite3_io_methods *original) {
  const sqlite3_io_methods *result = original;
  sqlite3_mutex *mutex = sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_VFS1);
  int i;
  sqlite3_mutex_enter(mutex);
  for (i = 0; i < methodsCount && methods[i].original != original; i++) {
  }
  if (i == methodsCount && methodsCount < METHODS_MAX) {
    methods[i].original = original;
    methods[i].patched = *original;
    methods[i].patched.xWrite = recordingWrite;
    methods[i].patched.xFileControl = recordingControl;
    methodsCount++;
  }
  if (i < methodsCount) result = &methods[i].patched;
  sqlite3_mutex_leave(mutex);
  return result;
}

static int openFile(sqlite3_vfs *unused, const char *name, sqlite3_file *file, int flags, int *outFlags) {
  int rc = base->xOpen(base, name, file, flags, outFlags);
  (void)unused;
  if (rc == SQLITE_OK && file->pMethods != 0) file->pMethods = patchedMethods(file->pMethods);
  return rc;
}

int pumiceRegisterVfs(void) {
  int rc = SQLITE_OK;
  sqlite3_mutex *mutex = sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_VFS2);
  sqlite3_mutex_enter(mutex);
  if (base == 0) {
    base = sqlite3_vfs_find(0);
    if (base == 0 || base->iVersion < 2 || base->xCurrentTimeInt64 == 0) {
      base = 0;
      rc = SQLITE_ERROR;
    } else {
      vfs = *base;
      vfs.pNext = 0;
      vfs.zName = "pumice";
      vfs.xCurrentTime = currentTime;
      vfs.xCurrentTimeInt64 = currentTimeInt64;
      vfs.xOpen = openFile;
      rc = sqlite3_vfs_register(&vfs, 0);
      if (rc == SQLITE_OK) rc = sqlite3_test_control(SQLITE_TESTCTRL_LOCALTIME_FAULT, 2, localTime);
    }
  }
  sqlite3_mutex_leave(mutex);
  return rc;
}
