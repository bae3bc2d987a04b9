/** The laws of answers: members in rqlite's order, Go's escapes, and pretty bytes as Go indents them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { encodeEnvelope, type Envelope } from "../../src/server/envelope.ts";
import { formatGoDuration } from "../../src/server/go-duration.ts";
import { goJson, goSeconds, goString } from "../../src/server/go-json.ts";
import { prettyJson } from "../../src/server/pretty.ts";
import { errorOfResult, splitElements } from "../../src/server/result-slices.ts";

const text = (envelope: Envelope, pretty = false) =>
  encodeEnvelope(envelope, pretty)
    .map((part) => (typeof part === "string" ? part : Buffer.from(part).toString()))
    .join("");

test("the members stand in rqlite's order, and results are always there", () => {
  assert.equal(text({ results: "" }), '{"results":[]}');
  assert.equal(text({ results: "{}" }), '{"results":[{}]}');
  assert.equal(
    text({ results: "{}", raftIndex: 7, sequenceNumber: 1653314298877648934n, timeMs: 10.213863, error: "x" }),
    '{"results":[{}],"error":"x","time":0.010213863,"sequence_number":1653314298877648934,"raft_index":7}',
  );
  assert.equal(
    text({ results: "", error: 'a "b" <c> & \u2028\n' }),
    '{"results":[],"error":"a \\"b\\" \\u003cc\\u003e \\u0026 \\u2028\\n"}',
  );
});

test("results come through as they are, as text or bytes, small or large", () => {
  const large = JSON.stringify({ values: ["x".repeat(40_000)] });
  for (const results of ['{"values":[["\u20ac"]]}', large]) {
    const whole = `{"results":[${results}],"raft_index":3}`;
    assert.equal(text({ results, raftIndex: 3 }), whole);
    assert.equal(text({ results: Buffer.from(results), raftIndex: 3 }), whole);
    assert.equal(text({ results: Buffer.from(results), raftIndex: 3 }, true), JSON.stringify(JSON.parse(whole), null, 4));
  }
});

test("pretty answers have the bytes of Go's MarshalIndent with four spaces", () => {
  assert.equal(
    text({ results: '{"time":0.000154929}', timeMs: 10.213863 }, true),
    '{\n    "results": [\n        {\n            "time": 0.000154929\n        }\n    ],\n    "time": 0.010213863\n}',
  );
  assert.equal(text({ results: "{}" }, true), '{\n    "results": [\n        {}\n    ]\n}');
  assert.equal(text({ results: "" }, true), '{\n    "results": []\n}');
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      assert.equal(Buffer.from(prettyJson(Buffer.from(JSON.stringify(value)))).toString(), JSON.stringify(value, null, 4));
    }),
  );
});

test("a list of results is cut where its elements end", () => {
  assert.deepEqual(splitElements(""), []);
  assert.deepEqual(splitElements("{}"), ["{}"]);
  assert.deepEqual(splitElements('{"a":"},{"},{"b":[1,{"c":2}]},{"e":"\\\\\\""}'), ['{"a":"},{"}', '{"b":[1,{"c":2}]}', '{"e":"\\\\\\""}']);
  fc.assert(
    fc.property(fc.array(fc.object()), (values) => {
      assert.deepEqual(
        splitElements(values.map((value) => JSON.stringify(value)).join(",")),
        values.map((value) => JSON.stringify(value)),
      );
    }),
  );
});

test("the error of a result is found, and a column of that name is none", () => {
  assert.equal(errorOfResult('{"error":"no such table: bar"}'), "no such table: bar");
  assert.equal(errorOfResult('{"columns":["a"],"types":["text"],"error":"query timeout"}'), "query timeout");
  assert.equal(errorOfResult('{"last_insert_id":1}'), undefined);
  assert.equal(errorOfResult('{"types":{"error":"text"},"rows":[{"error":"x"}]}'), undefined);
});

test("numbers, texts and durations are written as Go writes them", () => {
  assert.equal(goSeconds(0.154929), "0.000154929");
  assert.equal(goSeconds(0.0005), "5e-7");
  assert.equal(goSeconds(1500), "1.5");
  assert.equal(goString("\u0000\u001f\b\f</script>"), '"\\u0000\\u001f\\b\\f\\u003c/script\\u003e"');
  assert.equal(goJson({ a: "<", b: undefined, c: 5n }), '{"a":"\\u003c","c":5}');
  const durations: readonly (readonly [number, string])[] = [
    [0, "0s"],
    [999, "999ns"],
    [21_100, "21.1\u00b5s"],
    [1_500_000, "1.5ms"],
    [50_000_000, "50ms"],
    [1_000_000_000, "1s"],
    [90_500_000_000, "1m30.5s"],
    [9_900_000_000_000, "2h45m0s"],
  ];
  for (const [ns, expected] of durations) assert.equal(formatGoDuration(ns), expected);
});
