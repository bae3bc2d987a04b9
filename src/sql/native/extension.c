/*
** extension.c: the entry point. Loading the extension on any connection registers the VFS; every connection that loads it gets the
** functions and a context of its own, freed with the connection.
*/
#include "pumice.h"
SQLITE_EXTENSION_INIT1

static void freeContext(void *arg) {
  Context *ctx = arg;
  pumiceReleaseSlot(ctx);
  sqlite3_free(ctx);
}

/* pumice_extension(): the version of the interface between this file and src/sql/connection/connection.ts. */
static void versionFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  (void)argc;
  (void)argv;
  sqlite3_result_int(call, 1);
}

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

EXPORT
int sqlite3_pumice_init(sqlite3 *db, char **error, const sqlite3_api_routines *api) {
  Context *ctx;
  int rc;
  (void)error;
  SQLITE_EXTENSION_INIT2(api);
  rc = pumiceRegisterVfs();
  if (rc != SQLITE_OK) return rc;
  ctx = sqlite3_malloc64(sizeof *ctx);
  if (ctx == 0) return SQLITE_NOMEM;
  memset(ctx, 0, sizeof *ctx);
  ctx->db = db;
  ctx->slot = -1;
  ctx->walFrames = -1;
  pumiceSeed(ctx, 0);
  /* From here on the connection owns the context: SQLite calls freeContext even if this registration fails. */
  rc = sqlite3_create_function_v2(db, "pumice_extension", 0, SQLITE_UTF8 | SQLITE_DIRECTONLY, ctx, versionFunction, 0, 0, freeContext);
  if (rc == SQLITE_OK) rc = pumiceRegisterRandom(ctx);
  if (rc == SQLITE_OK) rc = pumiceRegisterLimits(ctx);
  if (rc == SQLITE_OK) rc = pumiceRegisterDescribe(ctx);
  if (rc == SQLITE_OK) rc = pumiceRegisterCopy(ctx);
  if (rc == SQLITE_OK) rc = pumiceRegisterLinear(ctx);
  /* The VFS outlives every connection. */
  return rc == SQLITE_OK ? SQLITE_OK_LOAD_PERMANENTLY : rc;
}
