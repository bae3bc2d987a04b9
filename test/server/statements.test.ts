/** The laws of request bodies. Accepted and refused shapes are those of rqlite's request parser. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { HttpError } from "../../src/server/http-error.ts";
import { isBlankSql } from "../../src/sql/mod.ts";
import { surelyWrites } from "../../src/server/sql-text.ts";
import { parseStatements, textOf } from "../../src/server/statements.ts";

const parse = (body: string) => parseStatements(Buffer.from(body), 1000);

test("every form of a statement that rqlite takes is taken", () => {
  assert.deepEqual(parse('["SELECT 1"]'), [{ sql: "SELECT 1" }]);
  assert.deepEqual(parse(' [ "a" , "b" ]\n'), [{ sql: "a" }, { sql: "b" }]);
  assert.deepEqual(parse('[["s"]]'), [{ sql: "s" }]);
  assert.deepEqual(parse('[["s", "x", 5, -6, 1.5, 1.0, true, false, null]]'), [
    { sql: "s", params: ["x", 5n, -6n, 1.5, 1, true, false, null] },
  ]);
  assert.deepEqual(parse('[["s1"],["s2", 9223372036854775807]]'), [{ sql: "s1" }, { sql: "s2", params: [9223372036854775807n] }]);
  assert.deepEqual(parse('[["s", {"bar": 3, "qux": "x", "baz": 3.1457}]]'), [
    {
      sql: "s",
      params: [
        { name: "bar", value: 3n },
        { name: "qux", value: "x" },
        { name: "baz", value: 3.1457 },
      ],
    },
  ]);
  assert.deepEqual(parse('[["s", 1, {"a": 2}, 3]]'), [{ sql: "s", params: [1n, { name: "a", value: 2n }, 3n] }]);
  assert.deepEqual(parse('[["SELECT * FROM foo"],"SELECT * FROM bar"]'), [{ sql: "SELECT * FROM foo" }, { sql: "SELECT * FROM bar" }]);
});

test("a blob literal in a string and an array of bytes are blobs; what only looks alike is text", () => {
  const bytes = new Uint8Array([1, 2, 255]);
  assert.deepEqual(parse(`[["s", "x'0102fF'", " X'0102FF' ", [1,2,255], []]]`), [
    { sql: "s", params: [bytes, bytes, bytes, new Uint8Array(0)] },
  ]);
  assert.deepEqual(parse(`[["s", {"b": [1,2,255]}, "x''"]]`), [{ sql: "s", params: [{ name: "b", value: bytes }, new Uint8Array(0)] }]);
  for (const text of ["x'010'", "x'01zz'", "y'01'", "x'01", "it's", "'"]) {
    assert.deepEqual(parse(JSON.stringify([["s", text]])), [{ sql: "s", params: [text] }]);
  }
});

test("a body of another shape is refused with rqlite's text", () => {
  const refused: readonly (readonly [string, string])[] = [
    ["", "no statements"],
    ["[]", "no statements"],
    ["null", "no statements"],
    ["[[]]", "no statements"],
    ['{"a":1}', "invalid request"],
    ['"SELECT 1"', "invalid request"],
    ["1", "invalid request"],
    ["[1]", "invalid request"],
    ["[null]", "invalid request"],
    ["[[1]]", "invalid request"],
    ['[[1,"x",2]]', "invalid request"],
    ["[", "invalid JSON body"],
    ['["SELECT 1"', "invalid JSON body"],
    ['[["s", 1]', "invalid JSON body"],
    ['["SELECT 1"]["SELECT 2"]', "invalid JSON body"],
    ["SELECT 1", "invalid JSON body"],
    ['[["s", 01]]', "invalid JSON body"],
    ['[["s", 1e999]]', "number out of range: 1e999"],
  ];
  for (const [body, text] of refused) {
    assert.throws(
      () => parse(body),
      (error) => error instanceof HttpError && error.status === 400 && error.message === text,
      `${body} -> ${text}`,
    );
  }
  for (const body of [
    '[["s","p",[7889,2,3]]]',
    '[["s","p",[-4,2,3]]]',
    '[["s",[1.5]]]',
    '[["s",[1.0]]]',
    '[["s",["a"]]]',
    '[["s",{"a":{"b":1}}]]',
  ]) {
    assert.throws(
      () => parse(body),
      (error) => error instanceof HttpError && error.status === 400 && error.message.startsWith("unsupported type"),
      body,
    );
  }
});

test("more statements than the limit are refused, and the text names the limit and its flag", () => {
  assert.equal(parseStatements(Buffer.from('["a","b"]'), 2).length, 2);
  assert.throws(
    () => parseStatements(Buffer.from('["a","b","c"]'), 2),
    (error) => error instanceof HttpError && error.status === 413 && /3, the limit is 2 \(-http-max-statements\)/.test(error.message),
  );
});

test("a NUL in SQL text is refused, for SQLite would end the text there; in a parameter it is data", () => {
  for (const body of ['["select 1 \\u0000 , 2"]', '[["select 1 \\u0000 , 2", 1]]', '["select 1","\\u0000"]']) {
    assert.throws(
      () => parse(body),
      (error) =>
        error instanceof HttpError &&
        error.status === 400 &&
        /NUL character at position \d+, where SQLite would end it/.test(error.message),
      body,
    );
  }
  assert.deepEqual(parse('[["s", "a\\u0000b"]]'), [{ sql: "s", params: ["a\0b"] }]);
});

test("text that is not UTF-8 is refused with the byte where it ends to be", () => {
  const refusal = (bytes: Buffer): string => {
    try {
      textOf(bytes);
    } catch (error) {
      if (error instanceof HttpError) return error.message;
      throw error;
    }
    return "none";
  };
  assert.equal(refusal(Buffer.from("größe", "latin1")), "the body is not UTF-8 at byte 2");
  assert.equal(refusal(Buffer.from([0xff])), "the body is not UTF-8 at byte 0");
  assert.equal(refusal(Buffer.from("SELECT 'é\u{1f600}'")), "none");
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 40 }), fc.string({ unit: "grapheme", maxLength: 40 }), (before, after) => {
      const head = Buffer.from(before);
      assert.equal(refusal(Buffer.concat([head, Buffer.from([0xff]), Buffer.from(after)])), `the body is not UTF-8 at byte ${head.length}`);
    }),
  );
});

test("a deep nest of brackets is an error and no crash", () => {
  assert.throws(() => parse("[".repeat(1_000_000)), HttpError);
  assert.throws(() => parse(`${"[".repeat(200_000)}1.0${"]".repeat(200_000)}`), HttpError);
});

test("SQL without a statement is told from SQL with one", () => {
  for (const sql of ["", " \t\n\f\r", ";", " ; ;", "-- x", "-- x\n;", "/* x */", "/* x", "/**/ -- y\n /*z*/;"])
    assert.ok(isBlankSql(sql), JSON.stringify(sql));
  for (const sql of ["SELECT 1", ";SELECT 1", "-- x\nSELECT 1", "/* x */ a", "-", "/", "/*", "\v"])
    assert.ok(!isBlankSql(sql), JSON.stringify(sql));
});

test("a statement that only writes begin is known at sight, wherever blanks and comments stand before it", () => {
  for (const sql of ["INSERT INTO t VALUES(1)", " -- x\n/* y */; update t SET a=1", "Create TABLE t(a)", "drop\tTABLE t"])
    assert.ok(surelyWrites(sql), sql);
  for (const sql of [
    "SELECT 1",
    "",
    "-- INSERT",
    "EXPLAIN INSERT INTO t VALUES(1)",
    "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
    "inserted",
    "PRAGMA x",
  ]) {
    assert.ok(!surelyWrites(sql), sql);
  }
});
