import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import { kindOf, packApply, packResults, unpackApply, unpackResults, type ApplyEntry, type EntryResult } from "../../src/sql/mod.ts";
import { TEXT_CHARS_MAX } from "../../src/sql/result/results.ts";

const want = fc.option(
  fc.boolean().map((timings) => ({ timings })),
  { nil: undefined },
);
const entriesFrom = (firstIndex: number) =>
  fc
    .array(
      fc.record(
        { term: fc.nat(2 ** 40), data: fc.uint8Array({ maxLength: 50 }), want, isMembers: fc.boolean() },
        { noNullPrototype: true },
      ),
      {
        minLength: 1,
        maxLength: 20,
      },
    )
    .map((entries) =>
      entries.map(({ isMembers, want, ...entry }, i): ApplyEntry => {
        const at = { index: firstIndex + i, ...entry };
        return isMembers ? { ...at, kind: "membership", want: undefined } : { ...at, want };
      }),
    );

test("entries come out of a packed batch as they went in", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 2 ** 45 }).chain(entriesFrom), (entries) => {
      const plain = (list: readonly ApplyEntry[]): unknown =>
        list.map((entry) => ({ ...entry, kind: kindOf(entry), data: [...entry.data] }));
      assert.deepEqual(plain(unpackApply(packApply(entries))), plain(entries));
    }),
  );
});

test("results come out of a packed batch as they went in: short texts, long texts, bytes and errors in any order", () => {
  const result: fc.Arbitrary<EntryResult> = fc.oneof(
    fc.string({ unit: "grapheme" }).map((results) => ({ results })),
    fc.constant({ results: "x".repeat(TEXT_CHARS_MAX + 1) }),
    fc.uint8Array().map((results) => ({ results })),
    fc.string().map((error) => ({ results: "", error })),
  );
  const text = ({ results, error }: EntryResult): unknown => ({
    results: typeof results === "string" ? results : new TextDecoder().decode(results),
    error,
  });
  fc.assert(
    fc.property(fc.array(result, { maxLength: 12 }), (results) => {
      const moved: ArrayBuffer[] = [];
      assert.deepEqual(unpackResults(packResults(results, moved)).map(text), results.map(text));
      assert.equal(new Set(moved).size, moved.length, "no buffer is moved twice");
    }),
  );
});
