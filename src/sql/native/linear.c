/*
** linear.c: instr(), replace(), trim(), ltrim(), rtrim() and unhex() in place of SQLite's own, with the same results. SQLite's compare at every position, so
** that one call, which is one step of its program, can take hours; these take time in proportion to their inputs, charge it to the budget of the entry,
** and see deadlines and interrupts while they run.
*/
#include "pumice.h"
SQLITE_EXTENSION_INIT3

typedef unsigned char Byte;

/* A needle made ready: Crochemore and Perrin's two-way algorithm, which compares each byte a bounded number of times and needs no table. */
typedef struct Needle {
  const Byte *bytes;
  size_t length;
  size_t suffix;
  size_t period;
  int isPeriodic;
} Needle;

#define NOT_FOUND ((size_t)-1)

/* Where the largest suffix begins, by the order of bytes or by its reverse, and its period. */
static size_t largestSuffix(const Byte *text, size_t length, int isReverse, size_t *period) {
  size_t before = NOT_FOUND;
  size_t j = 0;
  size_t k = 1;
  size_t p = 1;
  while (j + k < length) {
    Byte a = text[j + k];
    Byte b = text[before + k];
    if (isReverse ? b < a : a < b) {
      j += k;
      k = 1;
      p = j - before;
    } else if (a == b) {
      if (k != p) {
        k++;
      } else {
        j += p;
        k = 1;
      }
    } else {
      before = j++;
      k = p = 1;
    }
  }
  *period = p;
  return before + 1;
}

static void makeReady(Needle *needle, const Byte *bytes, size_t length) {
  size_t period = 1;
  size_t reversePeriod = 1;
  size_t suffix = largestSuffix(bytes, length, 0, &period);
  size_t reverse = largestSuffix(bytes, length, 1, &reversePeriod);
  needle->bytes = bytes;
  needle->length = length;
  needle->suffix = reverse > suffix ? reverse : suffix;
  needle->period = reverse > suffix ? reversePeriod : period;
  needle->isPeriodic = needle->period + needle->suffix <= length && memcmp(bytes, bytes + needle->period, needle->suffix) == 0;
  if (!needle->isPeriodic) {
    size_t rest = length - needle->suffix;
    needle->period = (needle->suffix > rest ? needle->suffix : rest) + 1;
  }
}

/* How far a search goes between two looks at the budget. */
#define LOOK_BYTES 65536

/* The first match at or behind `start`, or NOT_FOUND; also NOT_FOUND, with *stopped set, if the budget or the time is spent. */
static size_t find(Context *ctx, const Needle *needle, const Byte *text, size_t length, size_t start, int *stopped) {
  const Byte *n = needle->bytes;
  size_t m = needle->length;
  size_t memory = 0;
  size_t looked = start;
  size_t j = start;
  while (m <= length && j <= length - m) {
    size_t i = needle->suffix > memory ? needle->suffix : memory;
    if (j - looked >= LOOK_BYTES) {
      if (pumiceCharge(ctx, j - looked)) {
        *stopped = 1;
        return NOT_FOUND;
      }
      looked = j;
    }
    while (i < m && n[i] == text[j + i]) i++;
    if (i < m) {
      j += i - needle->suffix + 1;
      memory = 0;
      continue;
    }
    i = needle->suffix;
    while (i > memory && n[i - 1] == text[j + i - 1]) i--;
    if (i <= memory) return j;
    j += needle->period;
    memory = needle->isPeriodic ? m - needle->period : 0;
  }
  return NOT_FOUND;
}

static int isContinuation(Byte byte) { return (byte & 0xc0) == 0x80; }

static void fail(sqlite3_context *call) { sqlite3_result_error_code(call, SQLITE_INTERRUPT); }

/* Charges the inputs of a call before it begins. True if it may not. */
static int isSpent(sqlite3_context *call, int bytes) {
  if (!pumiceCharge(sqlite3_user_data(call), (size_t)bytes)) return 0;
  fail(call);
  return 1;
}

/* The place of the needle, counted from 1 in characters or bytes; 0 if there is none, -1 if the work was stopped. */
static sqlite3_int64 placeOf(Context *ctx, const Byte *text, int textLength, const Byte *bytes, int length, int isText) {
  Needle needle;
  int stopped = 0;
  size_t found;
  size_t i;
  sqlite3_int64 place = 1;
  if (length == 0) return 1;
  /* A match begins where a character does, or at the very beginning. */
  if (isText && isContinuation(bytes[0])) return length <= textLength && memcmp(text, bytes, (size_t)length) == 0;
  makeReady(&needle, bytes, (size_t)length);
  found = find(ctx, &needle, text, (size_t)textLength, 0, &stopped);
  if (stopped) return -1;
  if (found == NOT_FOUND) return 0;
  if (!isText) return (sqlite3_int64)found + 1;
  for (i = 1; i <= found; i++) place += !isContinuation(text[i]);
  return place;
}

static void instrFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  int haystackType = sqlite3_value_type(argv[0]);
  int needleType = sqlite3_value_type(argv[1]);
  int isText = haystackType != SQLITE_BLOB || needleType != SQLITE_BLOB;
  const Byte *haystack;
  const Byte *needle;
  sqlite3_int64 place;
  (void)argc;
  if (haystackType == SQLITE_NULL || needleType == SQLITE_NULL) return;
  haystack = isText ? sqlite3_value_text(argv[0]) : sqlite3_value_blob(argv[0]);
  needle = isText ? sqlite3_value_text(argv[1]) : sqlite3_value_blob(argv[1]);
  if (isSpent(call, sqlite3_value_bytes(argv[0]) + sqlite3_value_bytes(argv[1]))) return;
  if ((haystack == 0 && sqlite3_value_bytes(argv[0]) > 0) || (needle == 0 && sqlite3_value_bytes(argv[1]) > 0)) {
    sqlite3_result_error_nomem(call);
    return;
  }
  place = placeOf(sqlite3_user_data(call), haystack, sqlite3_value_bytes(argv[0]), needle, sqlite3_value_bytes(argv[1]), isText);
  if (place < 0) fail(call);
  else sqlite3_result_int64(call, place);
}

static void replaceFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  Context *ctx = sqlite3_user_data(call);
  const Byte *text = sqlite3_value_text(argv[0]);
  int length = sqlite3_value_bytes(argv[0]);
  const Byte *pattern;
  const Byte *by;
  int byLength;
  Needle needle;
  int stopped = 0;
  size_t from = 0;
  size_t at;
  sqlite3_str *out;
  (void)argc;
  if (text == 0) return;
  pattern = sqlite3_value_text(argv[1]);
  if (pattern == 0) return;
  if (pattern[0] == 0) {
    sqlite3_result_text(call, (const char *)text, length, SQLITE_TRANSIENT);
    return;
  }
  by = sqlite3_value_text(argv[2]);
  if (by == 0) return;
  byLength = sqlite3_value_bytes(argv[2]);
  if (isSpent(call, length + sqlite3_value_bytes(argv[1]))) return;
  makeReady(&needle, pattern, (size_t)sqlite3_value_bytes(argv[1]));
  out = sqlite3_str_new(ctx->db);
  while ((at = find(ctx, &needle, text, (size_t)length, from, &stopped)) != NOT_FOUND) {
    sqlite3_str_append(out, (const char *)text + from, (int)(at - from));
    sqlite3_str_append(out, (const char *)by, byLength);
    from = at + needle.length;
    if (sqlite3_str_errcode(out) != SQLITE_OK || pumiceCharge(ctx, needle.length + (size_t)byLength)) {
      stopped = sqlite3_str_errcode(out) == SQLITE_OK;
      break;
    }
  }
  if (!stopped) sqlite3_str_append(out, (const char *)text + from, length - (int)from);
  if (stopped) fail(call);
  else if (sqlite3_str_errcode(out) == SQLITE_TOOBIG) sqlite3_result_error_toobig(call);
  else if (sqlite3_str_errcode(out) != SQLITE_OK) sqlite3_result_error_nomem(call);
  else sqlite3_result_text(call, sqlite3_str_length(out) == 0 ? "" : sqlite3_str_value(out), sqlite3_str_length(out), SQLITE_TRANSIENT);
  sqlite3_free(sqlite3_str_finish(out));
}

/* The characters that are trimmed: by a table if all have one byte, else in their order, as SQLite tries them. */
typedef struct Set {
  Byte single[256];
  const Byte **longer;
  int *lengths;
  int count;
} Set;

static int skipCharacter(const Byte *text, int at) {
  if (text[at++] >= 0xc0) while (isContinuation(text[at])) at++;
  return at;
}

/* 0 if there is no memory. The set ends at a zero byte, as for SQLite. */
static int makeSet(Set *set, const Byte *text) {
  int at = 0;
  int count = 0;
  int isLonger = 0;
  memset(set, 0, sizeof *set);
  while (text[at] != 0) {
    int next = skipCharacter(text, at);
    isLonger |= next - at > 1;
    count++;
    at = next;
  }
  if (!isLonger) {
    for (at = 0; text[at] != 0; at++) set->single[text[at]] = 1;
    return 1;
  }
  set->longer = sqlite3_malloc64((sqlite3_uint64)count * sizeof *set->longer);
  set->lengths = sqlite3_malloc64((sqlite3_uint64)count * sizeof *set->lengths);
  if (set->longer == 0 || set->lengths == 0) return 0;
  for (at = 0; text[at] != 0;) {
    int next = skipCharacter(text, at);
    set->longer[set->count] = text + at;
    set->lengths[set->count++] = next - at;
    at = next;
  }
  return 1;
}

static void freeSet(Set *set) {
  sqlite3_free((void *)set->longer);
  sqlite3_free(set->lengths);
}

/* How many bytes at the text's beginning or end are a character of the set; 0: none. */
static int matchSet(const Set *set, const Byte *text, int length, int isEnd) {
  int i;
  if (set->single[isEnd ? text[length - 1] : text[0]]) return 1;
  for (i = 0; i < set->count; i++) {
    int size = set->lengths[i];
    if (size <= length && memcmp(isEnd ? text + length - size : text, set->longer[i], (size_t)size) == 0) return size;
  }
  return 0;
}

#define TRIM_LEFT 1
#define TRIM_RIGHT 2

static void trimAs(sqlite3_context *call, int argc, sqlite3_value **argv, int sides) {
  Context *ctx = sqlite3_user_data(call);
  const Byte *text = sqlite3_value_text(argv[0]);
  int length = sqlite3_value_bytes(argv[0]);
  const Byte *characters = argc == 1 ? (const Byte *)" " : sqlite3_value_text(argv[1]);
  Set set;
  int side;
  int stopped = 0;
  if (text == 0 || characters == 0) return;
  if (isSpent(call, length + (argc == 1 ? 0 : sqlite3_value_bytes(argv[1])))) return;
  if (!makeSet(&set, characters)) {
    freeSet(&set);
    sqlite3_result_error_nomem(call);
    return;
  }
  for (side = TRIM_LEFT; side <= TRIM_RIGHT; side++) {
    while ((sides & side) && length > 0 && !stopped) {
      int size = matchSet(&set, text, length, side == TRIM_RIGHT);
      if (size == 0) break;
      if (side == TRIM_LEFT) text += size;
      length -= size;
      stopped = set.count > 0 && pumiceCharge(ctx, (size_t)set.count);
    }
  }
  freeSet(&set);
  if (stopped) fail(call);
  else sqlite3_result_text(call, (const char *)text, length, SQLITE_TRANSIENT);
}

static void trimFunction(sqlite3_context *call, int argc, sqlite3_value **argv) { trimAs(call, argc, argv, TRIM_LEFT | TRIM_RIGHT); }
static void ltrimFunction(sqlite3_context *call, int argc, sqlite3_value **argv) { trimAs(call, argc, argv, TRIM_LEFT); }
static void rtrimFunction(sqlite3_context *call, int argc, sqlite3_value **argv) { trimAs(call, argc, argv, TRIM_RIGHT); }

/* Reads a character as SQLite does, malformed ones too, and moves behind it. */
static unsigned readCharacter(const Byte **at) {
  unsigned c = *(*at)++;
  if (c < 0xc0) return c;
  c = c < 0xe0 ? c & 0x1f : c < 0xf0 ? c & 0x0f : c < 0xf8 ? c & 0x07 : c < 0xfc ? c & 0x03 : c < 0xfe ? c & 0x01 : 0;
  while (isContinuation(**at)) c = (c << 6) + (0x3fu & *(*at)++);
  return c < 0x80 || (c & 0xfffff800u) == 0xd800u || (c & 0xfffffffeu) == 0xfffeu ? 0xfffdu : c;
}

static int hexDigit(Byte c) {
  if (c >= '0' && c <= '9') return c - '0';
  if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') return (c | 0x20) - 'a' + 10;
  return -1;
}

/* unhex(TEXT, IGNORED): each character that is no digit is looked for in IGNORED, which is charged each time. */
static void unhexFunction(sqlite3_context *call, int argc, sqlite3_value **argv) {
  Context *ctx = sqlite3_user_data(call);
  const Byte *ignored = sqlite3_value_text(argv[1]);
  const Byte *end = ignored == 0 ? 0 : ignored + sqlite3_value_bytes(argv[1]);
  const Byte *text = sqlite3_value_text(argv[0]);
  Byte *bytes;
  sqlite3_int64 count = 0;
  (void)argc;
  if (text == 0 || ignored == 0) return;
  if (isSpent(call, sqlite3_value_bytes(argv[0]) + sqlite3_value_bytes(argv[1]))) return;
  bytes = sqlite3_malloc64((sqlite3_uint64)sqlite3_value_bytes(argv[0]) / 2 + 1);
  if (bytes == 0) {
    sqlite3_result_error_nomem(call);
    return;
  }
  while (*text != 0) {
    int high = hexDigit(*text);
    int low;
    if (high < 0) {
      unsigned c = readCharacter(&text);
      const Byte *at = ignored;
      int isFound = 0;
      int stopped;
      while (at < end && !isFound) isFound = readCharacter(&at) == c;
      stopped = pumiceCharge(ctx, (size_t)(at - ignored));
      if (stopped || !isFound) {
        sqlite3_free(bytes);
        if (stopped) fail(call);
        return;
      }
      continue;
    }
    text++;
    low = hexDigit(*text);
    if (low < 0) {
      sqlite3_free(bytes);
      return;
    }
    text++;
    bytes[count++] = (Byte)(high << 4 | low);
  }
  sqlite3_result_blob64(call, bytes, (sqlite3_uint64)count, sqlite3_free);
}

int pumiceRegisterLinear(Context *ctx) {
  static const struct {
    const char *name;
    int argc;
    void (*run)(sqlite3_context *, int, sqlite3_value **);
  } functions[] = {
      {"instr", 2, instrFunction}, {"replace", 3, replaceFunction}, {"trim", 1, trimFunction},   {"trim", 2, trimFunction},
      {"ltrim", 1, ltrimFunction}, {"ltrim", 2, ltrimFunction},     {"rtrim", 1, rtrimFunction}, {"rtrim", 2, rtrimFunction},
      {"unhex", 2, unhexFunction},
  };
  int rc = SQLITE_OK;
  size_t i;
  for (i = 0; rc == SQLITE_OK && i < sizeof functions / sizeof functions[0]; i++) {
    rc = sqlite3_create_function_v2(ctx->db, functions[i].name, functions[i].argc, SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, ctx,
                                    functions[i].run, 0, 0, 0);
  }
  return rc;
}
