/*
** script.c: where a statement of a text ends, and what a prepared statement is. SQLite itself decides both.
*/
#include "pumice.h"
SQLITE_EXTENSION_INIT3

/* pumice_script(TEXT): keeps a copy of the text for pumice_tail; NULL frees it. */
static void scriptFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  Context *ctx = sqlite3_user_data(call);
  const unsigned char *text = sqlite3_value_text(argv[0]);
  (void)argc;
  sqlite3_free(ctx->script);
  ctx->script = 0;
  ctx->scriptBytes = 0;
  if (text == 0) return;
  ctx->scriptBytes = sqlite3_value_bytes(argv[0]);
  ctx->script = sqlite3_malloc64((sqlite3_uint64)ctx->scriptBytes + 1);
  if (ctx->script == 0) {
    sqlite3_result_error_nomem(call);
    return;
  }
  memcpy(ctx->script, text, (size_t)ctx->scriptBytes + 1);
}

/*
** pumice_tail(OFFSET): the byte after the statement that begins at OFFSET of the script, or NULL if it cannot be prepared (then the
** caller prepares the rest to learn why).
*/
static void tailFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  Context *ctx = sqlite3_user_data(call);
  sqlite3_int64 offset = sqlite3_value_int64(argv[0]);
  sqlite3_stmt *statement = 0;
  const char *tail = 0;
  (void)argc;
  if (ctx->script == 0 || offset < 0 || offset > ctx->scriptBytes) return;
  if (sqlite3_prepare_v3(ctx->db, ctx->script + offset, -1, 0, &statement, &tail) == SQLITE_OK) {
    sqlite3_result_int64(call, tail - ctx->script);
  }
  sqlite3_finalize(statement);
}

/* The statement prepared last from exactly this text: new ones stand at the head of the connection's list. */
static sqlite3_stmt *findStatement(Context *ctx, sqlite3_value *sql) {
  const char *text = (const char *)sqlite3_value_text(sql);
  sqlite3_stmt *statement = 0;
  if (text == 0) return 0;
  while ((statement = sqlite3_next_stmt(ctx->db, statement)) != 0) {
    const char *own = sqlite3_sql(statement);
    if (own != 0 && strcmp(own, text) == 0) return statement;
  }
  return 0;
}

/* pumice_describe(SQL): of the statement just prepared: 1 if it only reads, 2 if EXPLAIN, plus 4 times the number of parameters. NULL: none. */
static void describeFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  sqlite3_stmt *statement = findStatement(sqlite3_user_data(call), argv[0]);
  (void)argc;
  if (statement == 0) return;
  sqlite3_result_int(call, (sqlite3_stmt_readonly(statement) ? 1 : 0) | (sqlite3_stmt_isexplain(statement) ? 2 : 0) |
                               sqlite3_bind_parameter_count(statement) * 4);
}

/* pumice_param(SQL, N): the name of the N-th parameter, from 1, with its prefix; NULL if it has none. */
static void paramFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  sqlite3_stmt *statement = findStatement(sqlite3_user_data(call), argv[0]);
  const char *name;
  (void)argc;
  if (statement == 0) return;
  name = sqlite3_bind_parameter_name(statement, sqlite3_value_int(argv[1]));
  if (name != 0) sqlite3_result_text(call, name, -1, SQLITE_TRANSIENT);
}

int pumiceRegisterScript(Context *ctx) {
  int closed = SQLITE_UTF8 | SQLITE_DIRECTONLY;
  int rc = sqlite3_create_function_v2(ctx->db, "pumice_script", 1, closed, ctx, scriptFunction, 0, 0, 0);
  if (rc == SQLITE_OK) rc = sqlite3_create_function_v2(ctx->db, "pumice_tail", 1, closed, ctx, tailFunction, 0, 0, 0);
  if (rc == SQLITE_OK) rc = sqlite3_create_function_v2(ctx->db, "pumice_describe", 1, closed, ctx, describeFunction, 0, 0, 0);
  if (rc == SQLITE_OK) rc = sqlite3_create_function_v2(ctx->db, "pumice_param", 2, closed, ctx, paramFunction, 0, 0, 0);
  return rc;
}
