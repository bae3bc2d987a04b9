/*
** copy.c: pumice_copy(SOURCE, TARGET): copies a whole database page by page, in one transaction of the target. Both are URIs.
**
** The target's connection is one of its own, so that the caller's caches notice the change as any other connection's.
*/
#include "pumice.h"
SQLITE_EXTENSION_INIT3

static int openGuarded(const char *uri, int flags, sqlite3 **db) {
  int rc = sqlite3_open_v2(uri, db, flags | SQLITE_OPEN_URI | SQLITE_OPEN_PRIVATECACHE, 0);
  if (rc == SQLITE_OK) rc = sqlite3_db_config(*db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, (int *)0);
  return rc;
}

static void copyFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  sqlite3 *source = 0;
  sqlite3 *target = 0;
  sqlite3_backup *backup;
  int rc = openGuarded((const char *)sqlite3_value_text(argv[0]), SQLITE_OPEN_READONLY, &source);
  sqlite3 *failed = source;
  (void)argc;
  if (rc == SQLITE_OK) {
    failed = 0;
    rc = openGuarded((const char *)sqlite3_value_text(argv[1]), SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &target);
    failed = target;
  }
  if (rc == SQLITE_OK) {
    backup = sqlite3_backup_init(target, "main", source, "main");
    if (backup == 0) {
      rc = sqlite3_errcode(target);
    } else {
      rc = sqlite3_backup_step(backup, -1);
      sqlite3_backup_finish(backup);
      if (rc == SQLITE_DONE) rc = SQLITE_OK;
      else if (rc == SQLITE_OK) rc = SQLITE_BUSY;
    }
  }
  if (rc != SQLITE_OK) {
    sqlite3_result_error(call, failed != 0 && sqlite3_errcode(failed) != SQLITE_OK ? sqlite3_errmsg(failed) : sqlite3_errstr(rc), -1);
    sqlite3_result_error_code(call, rc);
  }
  sqlite3_close(target);
  sqlite3_close(source);
}

int pumiceRegisterCopy(Context *ctx) {
  return sqlite3_create_function_v2(ctx->db, "pumice_copy", 2, SQLITE_UTF8 | SQLITE_DIRECTONLY, ctx, copyFunction, 0, 0, 0);
}
