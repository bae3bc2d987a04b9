/*
** describe.c: what a prepared statement is, by SQLite's own word.
*/
#include "pumice.h"
SQLITE_EXTENSION_INIT3

/* The statement prepared last whose own text is exactly this: new ones stand at the head of the connection's list. */
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

/* pumice_params(SQL): the names of its parameters with their prefixes, each ended by a newline, which no name holds; empty where there is none. */
static void paramsFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  sqlite3_stmt *statement = findStatement(sqlite3_user_data(call), argv[0]);
  sqlite3_str *names;
  int count;
  int i;
  (void)argc;
  if (statement == 0) return;
  names = sqlite3_str_new(sqlite3_context_db_handle(call));
  count = sqlite3_bind_parameter_count(statement);
  for (i = 1; i <= count; i++) {
    const char *name = sqlite3_bind_parameter_name(statement, i);
    if (name != 0) sqlite3_str_appendall(names, name);
    sqlite3_str_appendchar(names, 1, '\n');
  }
  if (sqlite3_str_errcode(names) != SQLITE_OK) sqlite3_result_error_code(call, sqlite3_str_errcode(names));
  else sqlite3_result_text(call, sqlite3_str_value(names), sqlite3_str_length(names), SQLITE_TRANSIENT);
  sqlite3_free(sqlite3_str_finish(names));
}

int pumiceRegisterDescribe(Context *ctx) {
  int closed = SQLITE_UTF8 | SQLITE_DIRECTONLY;
  int rc = sqlite3_create_function_v2(ctx->db, "pumice_describe", 1, closed, ctx, describeFunction, 0, 0, 0);
  if (rc == SQLITE_OK) rc = sqlite3_create_function_v2(ctx->db, "pumice_params", 1, closed, ctx, paramsFunction, 0, 0, 0);
  return rc;
}
