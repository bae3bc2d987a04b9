/** The laws of query parameters: Go's parsing, rqlite's names, texts and order of checks. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Params, parseParams } from "../../src/server/params.ts";

function parsed(query: string): Params {
  const params = parseParams(query);
  assert.ok(params instanceof Params, query);
  return params;
}

test("a flag counts by its presence alone, whatever its value", () => {
  assert.equal(parsed("pretty").pretty, true);
  assert.equal(parsed("pretty=false").pretty, true);
  assert.equal(parsed("timings&transaction=1").transaction, true);
  assert.equal(parsed("Pretty").pretty, false);
});

test("the first of equal keys counts", () => {
  assert.equal(parsed("q=a&q=b").q, "a");
  assert.equal(parseParams("timeout=1s&timeout=x") instanceof Params, true);
});

test("durations are Go's, in milliseconds", () => {
  assert.equal(parsed("timeout=1.5h").timeoutMs, 5_400_000);
  assert.equal(parsed("db_timeout=2h45m").dbTimeoutMs, 9_900_000);
  assert.equal(parsed("db_timeout=250%C2%B5s").dbTimeoutMs, 0.25);
  assert.equal(parsed("db_timeout=0").dbTimeoutMs, undefined);
  assert.equal(parsed("db_timeout=-1s").dbTimeoutMs, undefined);
  assert.equal(parsed("timeout=-1s").timeoutMs, 0);
  assert.equal(parsed("freshness=300ms&freshness_strict").freshnessMs, 300);
  assert.equal(parsed("linearizable_timeout=1m0.5s").linearizableTimeoutMs, 60_500);
});

test("a format that nobody knows is the default, a level that nobody knows an error that names those that there are", () => {
  assert.equal(parsed("level=STRONG").level, "strong");
  assert.equal(parsed("level=Linearizable").level, "linearizable");
  assert.equal(parsed("level=none").level, "none");
  assert.equal(parsed("level=auto").level, "auto");
  assert.equal(parseParams("level=eventual"), 'level "eventual" is unknown: it is none, weak, linearizable, strong or auto');
  assert.equal(parsed("level=").level, "weak");
  assert.equal(parsed("").level, "weak");
  assert.equal(parsed("fmt=sql").format, "sql");
  assert.equal(parsed("fmt=DELETE").format, "delete");
  assert.equal(parsed("fmt=zip").format, "binary");
});

test("lists and texts come through unescaped", () => {
  assert.deepEqual(parsed("tables=a,%20b%20,,c").tables, ["a", "b", "c"]);
  assert.equal(parsed("q=SELECT%20*+FROM+foo%26").q, "SELECT * FROM foo&");
  assert.equal(parsed("q=%E2%82%AC").q, "\u20ac");
  assert.equal(parsed("q=a%FFb").q, "a\ufffdb");
  assert.equal(parsed("q=a=b").q, "a=b");
  assert.equal(parsed("key=store.raft&ver=2").key, "store.raft");
});

test("each mistake gets rqlite's text, and of several the one that rqlite names", () => {
  const expected: readonly (readonly [string, string])[] = [
    ["timeout=abc", "timeout is not a valid duration"],
    ["timeout=5", "timeout is not a valid duration"],
    ["timeout=", "timeout is not a valid duration"],
    ["freshness=1", "freshness is not a valid duration"],
    ["db_timeout=1sec", "db_timeout is not a valid duration"],
    ["linearizable_timeout=x", "linearizable_timeout is not a valid duration"],
    ["retries=x", "retries is not a valid integer"],
    ["retries=1.5", "retries is not a valid integer"],
    ["trailing_logs=", "trailing_logs is not a valid integer"],
    ["freshness_strict", "freshness_strict requires freshness"],
    ["freshness_strict&timeout=abc", "freshness_strict requires freshness"],
    ["q=&retries=x", "retries is not a valid integer"],
    ["q=", "query parameter not set"],
    ["q", "query parameter not set"],
    ["a;b", "invalid semicolon separator in query"],
    ["q=%zz", 'invalid URL escape "%zz"'],
    ["%=1", 'invalid URL escape "%"'],
    ["q=100%", 'invalid URL escape "%"'],
  ];
  for (const [query, text] of expected) assert.equal(parseParams(query), text, query);
});

test("what rqlite ignores is ignored", () => {
  assert.ok(parseParams("noparse&norwrandom&norwtime&bypass&unknown=1&&") instanceof Params);
});
