/*
** random.c: random() and randomblob(N) drawn from the seed of the entry. Each call takes the next bytes of one stream, so that each row
** has its own number, in the order in which SQLite evaluates the calls.
**
** The stream is ChaCha20 (RFC 8439, section 2.3) with key = "pumice random v1" (16 bytes) | seed u64 LE | 8 zero bytes, counter from 0
** and a nonce of zeros. FROZEN: what is in existing logs depends on it. Test vectors stand in docs/determinism.md.
*/
#include "pumice.h"
SQLITE_EXTENSION_INIT3

static uint32_t loadU32(const unsigned char *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void storeU32(unsigned char *p, uint32_t v) {
  p[0] = (unsigned char)v;
  p[1] = (unsigned char)(v >> 8);
  p[2] = (unsigned char)(v >> 16);
  p[3] = (unsigned char)(v >> 24);
}

static uint32_t rotate(uint32_t v, int n) { return v << n | v >> (32 - n); }

static void quarterRound(uint32_t *s, int a, int b, int c, int d) {
  s[a] += s[b];
  s[d] = rotate(s[d] ^ s[a], 16);
  s[c] += s[d];
  s[b] = rotate(s[b] ^ s[c], 12);
  s[a] += s[b];
  s[d] = rotate(s[d] ^ s[a], 8);
  s[c] += s[d];
  s[b] = rotate(s[b] ^ s[c], 7);
}

static void nextBlock(Context *ctx) {
  static const char label[] = "pumice random v1";
  uint32_t start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  uint32_t state[16];
  int i;
  for (i = 0; i < 4; i++) start[4 + i] = loadU32((const unsigned char *)label + 4 * i);
  start[8] = (uint32_t)ctx->seed;
  start[9] = (uint32_t)(ctx->seed >> 32);
  /* The counter's high half stands where RFC 8439 has the first word of the nonce: 2^70 bytes per stream. */
  start[12] = (uint32_t)ctx->block;
  start[13] = (uint32_t)(ctx->block >> 32);
  memcpy(state, start, sizeof state);
  for (i = 0; i < 10; i++) {
    quarterRound(state, 0, 4, 8, 12);
    quarterRound(state, 1, 5, 9, 13);
    quarterRound(state, 2, 6, 10, 14);
    quarterRound(state, 3, 7, 11, 15);
    quarterRound(state, 0, 5, 10, 15);
    quarterRound(state, 1, 6, 11, 12);
    quarterRound(state, 2, 7, 8, 13);
    quarterRound(state, 3, 4, 9, 14);
  }
  for (i = 0; i < 16; i++) storeU32(ctx->bytes + 4 * i, state[i] + start[i]);
  ctx->block++;
  ctx->used = 0;
}

void pumiceSeed(Context *ctx, uint64_t seed) {
  ctx->seed = seed;
  ctx->block = 0;
  ctx->used = (int)sizeof ctx->bytes;
}

static void draw(Context *ctx, unsigned char *target, sqlite3_int64 count) {
  if (!ctx->inEntry) {
    sqlite3_randomness((int)count, target);
    return;
  }
  while (count > 0) {
    sqlite3_int64 part;
    if (ctx->used == (int)sizeof ctx->bytes) nextBlock(ctx);
    part = (sqlite3_int64)sizeof ctx->bytes - ctx->used;
    if (part > count) part = count;
    memcpy(target, ctx->bytes + ctx->used, (size_t)part);
    ctx->used += (int)part;
    target += part;
    count -= part;
  }
}

/* As SQLite's own: a 64-bit integer, never the smallest one, so that abs(random()) cannot overflow. */
static void randomFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  unsigned char bytes[8];
  uint64_t bits;
  (void)argc;
  (void)argv;
  draw(sqlite3_user_data(call), bytes, 8);
  bits = (uint64_t)loadU32(bytes) | (uint64_t)loadU32(bytes + 4) << 32;
  if (bits >> 63) bits = 0 - (bits & 0x7fffffffffffffffULL);
  sqlite3_result_int64(call, (sqlite3_int64)bits);
}

/* As SQLite's own: at least one byte. */
static void randomblobFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  Context *ctx = sqlite3_user_data(call);
  sqlite3_int64 count = sqlite3_value_int64(argv[0]);
  unsigned char *bytes;
  (void)argc;
  if (count < 1) count = 1;
  if (count > sqlite3_limit(ctx->db, SQLITE_LIMIT_LENGTH, -1)) {
    sqlite3_result_error_toobig(call);
    return;
  }
  bytes = sqlite3_malloc64((sqlite3_uint64)count);
  if (bytes == 0) {
    sqlite3_result_error_nomem(call);
    return;
  }
  draw(ctx, bytes, count);
  sqlite3_result_blob64(call, bytes, (sqlite3_uint64)count, sqlite3_free);
}

int pumiceRegisterRandom(Context *ctx) {
  int open = SQLITE_UTF8 | SQLITE_INNOCUOUS;
  int rc = sqlite3_create_function_v2(ctx->db, "random", 0, open, ctx, randomFunction, 0, 0, 0);
  if (rc == SQLITE_OK) rc = sqlite3_create_function_v2(ctx->db, "randomblob", 1, open, ctx, randomblobFunction, 0, 0, 0);
  return rc;
}
