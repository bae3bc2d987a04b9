import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import * as fc from "fast-check";
import { isPumiceError } from "../../src/base/mod.ts";
import {
  type Command,
  decodeCommand,
  encodeCommand,
  LOAD_CHUNK_BYTES_MAX,
  type SqlCommand,
  type SqlParam,
  type SqlValue,
  stampCommand,
} from "../../src/sql/mod.ts";
import { command, Database, temporaryFolder, TIME_MS } from "./support/database.ts";

const value: fc.Arbitrary<SqlValue> = fc.oneof(
  fc.constant(null),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }),
  fc.double(),
  fc.string({ unit: "grapheme" }),
  fc.uint8Array({ maxLength: 40 }),
  fc.boolean(),
);
const param: fc.Arbitrary<SqlParam> = fc.oneof(value, fc.record({ name: fc.string(), value }, { noNullPrototype: true }));
const u64 = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const stamp = { timeMs: count, seed: u64, steps: count };
const sql: fc.Arbitrary<Command> = fc
  .record({
    kind: fc.constantFrom("execute" as const, "request" as const),
    ...stamp,
    transaction: fc.boolean(),
    script: fc.boolean(),
    format: fc.record({ associative: fc.boolean(), blobArray: fc.boolean(), qualifyColumns: fc.boolean() }),
    requestId: fc.option(fc.record({ session: u64, sequence: u64 }), { nil: undefined }),
    statements: fc.array(
      fc.record({ sql: fc.oneof(fc.constant("same"), fc.string({ unit: "grapheme" })), params: fc.array(param, { maxLength: 5 }) }),
      { maxLength: 5 },
    ),
  })
  .map((command) => ({ ...command, script: command.script && command.kind === "execute" }));
const load: fc.Arbitrary<Command> = fc.oneof(
  fc.record({ kind: fc.constant("load-chunk" as const), ...stamp, load: u64, number: fc.nat(), bytes: fc.uint8Array({ maxLength: 100 }) }),
  fc.record({ kind: fc.constant("load-commit" as const), ...stamp, load: u64, chunkCount: fc.nat(), sizeBytes: count }),
  fc.record({ kind: fc.constant("load-abort" as const), ...stamp, load: u64 }),
);

test("what is encoded is decoded, exactly", () => {
  fc.assert(
    fc.property(fc.oneof(sql, load), (command) => {
      // fast-check's records have no prototype.
      assert.deepEqual(decodeCommand(encodeCommand(command)), structuredClone(command));
    }),
  );
});

test("what was encoded is never written again, however many commands follow", () => {
  const encoded = Array.from({ length: 5000 }, (_, i) => {
    const command = execute("x".repeat(i % 97 === 0 ? 5000 : i % 300));
    const bytes = encodeCommand(command);
    return { bytes, copy: bytes.slice() };
  });
  for (const { bytes, copy } of encoded) assert.deepEqual(bytes, copy);
});

test("texts that differ in any one byte are decoded as themselves, however often", () => {
  const texts = Array.from({ length: 60 }, (_, i) => `${"x".repeat(i)}y${"x".repeat(59 - i)}`);
  for (let round = 0; round < 3; round++) {
    for (const text of texts) assert.deepEqual(decodeCommand(encodeCommand(execute(text))), decodeCommand(encodeCommand(execute(text))));
    const decoded = texts.map((text) => (decodeCommand(encodeCommand(execute(text))) as SqlCommand).statements[0]?.sql);
    assert.deepEqual(decoded, texts);
  }
});

test("every prefix, every longer text and every unknown byte is refused with SQL_COMMAND_FORMAT, never misread", () => {
  const whole = encodeCommand({
    ...execute("INSERT INTO t VALUES(?, :n)"),
    statements: [{ sql: "é", params: [1n, 2.5, "x", null, true, Uint8Array.of(1), { name: "n", value: false }] }],
  });
  for (let length = 0; length < whole.length; length++)
    assert.throws(() => decodeCommand(whole.subarray(0, length)), isFormatError, `length ${length}`);
  assert.throws(() => decodeCommand(Uint8Array.from([...whole, 0])), isFormatError);
  for (const [position, byte] of [
    [0, 2],
    [1, 99],
    [2, 255],
    [3, 1],
  ] as const) {
    const damaged = whole.slice();
    damaged[position] = byte;
    assert.throws(() => decodeCommand(damaged), isFormatError, `byte ${position}`);
  }
});

test("random bytes are a command or an SQL_COMMAND_FORMAT, nothing else", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom(1, 2, 3, 4, 5, 6), (bytes, kind) => {
      const head = Uint8Array.from([1, kind, 0, 0, ...bytes]);
      try {
        decodeCommand(head);
      } catch (error) {
        assert.ok(isFormatError(error), String(error));
      }
    }),
  );
});

test("values outside their range are the caller's error, named at once", () => {
  assert.throws(() => encodeCommand({ ...execute("?"), statements: [{ sql: "?", params: [2n ** 63n] }] }), /int64/);
  assert.throws(() => encodeCommand({ ...execute(""), kind: "request", script: true }), /script/);
  const bytes = new Uint8Array(LOAD_CHUNK_BYTES_MAX + 1);
  assert.throws(() => encodeCommand({ kind: "load-chunk", timeMs: 0, seed: 0n, steps: 0, load: 1n, number: 0, bytes }), /limit/);
});

test("the bytes of version 1 are those of the golden file", () => {
  const golden = JSON.parse(readFileSync(new URL("golden/command-v1.json", import.meta.url), "utf8")) as Record<string, string>;
  const actual = Object.fromEntries(
    Object.entries(GOLDEN).map(([name, command]) => [name, Buffer.from(encodeCommand(command)).toString("hex")]),
  );
  const { query, ...written } = golden;
  assert.deepEqual(actual, written);
  for (const [name, hex] of Object.entries(written)) {
    const command = decodeCommand(Buffer.from(hex, "hex"));
    assert.ok(command.kind !== "retired");
    assert.deepEqual(Buffer.from(encodeCommand(command)).toString("hex"), hex, name);
  }
  assert.deepEqual(decodeCommand(Buffer.from(query ?? "", "hex")), { kind: "retired", timeMs: 0, seed: 0n, steps: 0 });
});

test("an entry of the retired kind changes nothing but the applied index, alone and among others", (context) => {
  const golden = JSON.parse(readFileSync(new URL("golden/command-v1.json", import.meta.url), "utf8")) as Record<string, string>;
  const data = Buffer.from(golden["query"] ?? "", "hex");
  const db = new Database(join(temporaryFolder(context), "db"));
  context.after(() => db.machine.close());
  const want = { timings: false };
  const create = encodeCommand(execute("CREATE TABLE t(a)"));
  assert.deepEqual(db.machine.apply([{ index: 1, term: 1, data, want }]), [{ results: "" }]);
  const both = [
    { index: 2, term: 1, data: create, want },
    { index: 3, term: 1, data, want },
  ];
  assert.deepEqual(db.machine.apply(both), [{ results: "{}" }, { results: "" }]);
  assert.equal(db.machine.applied.index, 3);
});

/** FROZEN. */
const GOLDEN: Readonly<Record<string, Command>> = {
  execute: {
    kind: "execute",
    timeMs: 1_700_000_000_123,
    seed: 0xfedc_ba98_7654_3210n,
    steps: 5_000_000,
    transaction: true,
    statements: [
      {
        sql: "INSERT INTO t VALUES(?,?,?,?,?,?,:n)",
        params: [null, -2n, 1.5, "é", Uint8Array.of(0, 255), true, { name: "n", value: false }],
      },
      { sql: "SELECT 1" },
    ],
  },
  "same text": {
    kind: "execute",
    timeMs: 1,
    seed: 2n,
    steps: 3,
    statements: [{ sql: "A", params: [1n] }, { sql: "A", params: [2n] }, { sql: "B" }, { sql: "A" }],
  },
  "request with id": {
    kind: "request",
    timeMs: 1,
    seed: 2n,
    steps: 3,
    format: { associative: true, blobArray: true },
    requestId: { session: 4n, sequence: 5n },
    statements: [],
  },
  script: { kind: "execute", timeMs: 0, seed: 0n, steps: 0, script: true, statements: [{ sql: "BEGIN;COMMIT;" }] },
  "load-chunk": { kind: "load-chunk", timeMs: 1, seed: 2n, steps: 3, load: 4n, number: 5, bytes: Uint8Array.of(6, 7) },
  "load-commit": { kind: "load-commit", timeMs: 1, seed: 2n, steps: 3, load: 4n, chunkCount: 5, sizeBytes: 6 },
  "load-abort": { kind: "load-abort", timeMs: 1, seed: 2n, steps: 3, load: 4n },
};

function execute(text: string): SqlCommand {
  return { kind: "execute", timeMs: 1, seed: 2n, steps: 3, statements: [{ sql: text }] };
}

function isFormatError(error: unknown): boolean {
  return isPumiceError(error, "SQL_COMMAND_FORMAT");
}

test("a command that was encoded elsewhere gets the leader's stamp, and its sender's bytes stay as they are", () => {
  const sent = encodeCommand(command(["SELECT 1"], { timeMs: 1, seed: 2n, steps: 3 }));
  const kept = Uint8Array.from(sent);
  const own = { timeMs: TIME_MS, seed: 0xffff_ffff_ffff_ffffn, steps: 5_000_000 };
  assert.deepEqual(stampCommand(sent, own), encodeCommand(command(["SELECT 1"], own)));
  assert.deepEqual(sent, kept);
  assert.throws(
    () => stampCommand(sent.subarray(0, 27), own),
    (error) => isPumiceError(error, "SQL_COMMAND_FORMAT"),
  );
});
