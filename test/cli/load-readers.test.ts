/** The laws of the readers of CSV and JSON and of the types that are inferred. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import * as fc from "fast-check";
import { CsvReader, type CsvDialect } from "../../src/cli/load/csv.ts";
import { ColumnStatistics, numericKind } from "../../src/cli/load/infer.ts";
import { ObjectWalker } from "../../src/cli/load/json-object.ts";
import { JsonReader } from "../../src/cli/load/json.ts";
import type { Cell, FileRecord, RecordReader } from "../../src/cli/load/record.ts";
import { readPieces } from "../../src/cli/load/source.ts";

const DIALECT: CsvDialect = { delimiter: ",", nullText: "", columns: undefined };

/** Feeds `text` in pieces that end at `cuts`. */
function readAll(reader: RecordReader, text: string, cuts: readonly number[] = []): FileRecord[] {
  let records: FileRecord[] = [];
  let start = 0;
  for (const end of [...cuts.filter((cut) => cut < text.length).toSorted((a, b) => a - b), text.length]) {
    records = records.concat(reader.push(text.slice(start, end)));
    start = end;
  }
  return records.concat(reader.end());
}

const cellsOf = (records: readonly FileRecord[]): (readonly Cell[] | string)[] =>
  records.map((record) => (record.ok ? record.cells : `${record.line}: ${record.problem}`));
const cuts = fc.array(fc.nat({ max: 200 }), { maxLength: 8 });
const problemOf = (record: FileRecord | undefined): string =>
  record === undefined || record.ok ? "" : `${record.line}: ${record.problem}`;
const csv = (text: string, dialect: Partial<CsvDialect> = {}): FileRecord[] => readAll(new CsvReader({ ...DIALECT, ...dialect }), text);

test("CSV: what RFC 4180 writes is read back, whatever the pieces in which it comes", () => {
  const field = fc.option(fc.string({ unit: fc.constantFrom("a", "é", ",", '"', "\n", "\r\n", " ", "😀", ";"), maxLength: 6 }), {
    nil: null,
  });
  const table = fc
    .integer({ min: 1, max: 4 })
    .chain((width) => fc.array(fc.array(field, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 6 }));
  fc.assert(
    fc.property(table, fc.constantFrom("\n", "\r\n"), fc.boolean(), cuts, (rows, lineEnd, endsWithLine, at) => {
      const names = (rows[0] ?? []).map((_, index) => `c${index}`);
      const write = (cell: string | null): string => (cell === null ? "" : `"${cell.replaceAll('"', '""')}"`);
      // A line that holds nothing but one NULL is blank, and a file can't end with it unless the line is closed.
      const text =
        [names, ...rows].map((row) => row.map(write).join(",")).join(lineEnd) + (endsWithLine || rows.at(-1)?.[0] === null ? lineEnd : "");
      assert.deepEqual(cellsOf(readAll(new CsvReader(DIALECT), text, at)), rows);
    }),
    { numRuns: 500 },
  );
});

test("CSV: fields without quotes end at delimiters and line breaks, and quotes tell an empty text from NULL", () => {
  assert.deepEqual(cellsOf(csv('a,b\n1,\n"",x y\r\n')), [
    ["1", null],
    ["", "x y"],
  ]);
  assert.deepEqual(cellsOf(csv("a;b\nNULL;\n", { delimiter: ";", nullText: "NULL" })), [[null, ""]]);
  assert.deepEqual(cellsOf(csv("1,2", { columns: ["a", "b"] })), [["1", "2"]]);
  assert.deepEqual(cellsOf(csv("a,b\n\n1,2\n\r\n3,4\n\n")), [
    ["1", "2"],
    ["3", "4"],
  ]);
  assert.deepEqual(cellsOf(csv("a\tb\n1\t2", { delimiter: "\t" })), [["1", "2"]]);
});

test("CSV: a broken record is named with its line, and the records around it are read", () => {
  const text = 'a,b\n1,2\n3\n4,5,6\n7,x"y\n8,"z"w\n9,"multi\nline"\n10,11\n"open,12\n13,14\n';
  const records = csv(text);
  assert.deepEqual(cellsOf(records), [
    ["1", "2"],
    "3: it has 1 fields instead of 2",
    "4: it has 3 fields instead of 2",
    ["7", 'x"y'],
    "6: text stands after a closing quote",
    ["9", "multi\nline"],
    ["10", "11"],
    "10: a quote is never closed",
    ["13", "14"],
  ]);
  assert.deepEqual(
    records.map((record) => record.line),
    [2, 3, 4, 5, 6, 7, 9, 10, 11],
  );
  assert.deepEqual(
    records.map((record) => record.number),
    [1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
});

test("CSV: every line number and record number is the same whatever the pieces", () => {
  const line = fc.constantFrom(
    "1,2\n",
    '"a\nb",2\n',
    "x\n",
    '"open\n',
    'a"b,1\n',
    "\n",
    "3,4\r",
    "\r",
    "é,😀\r\n",
    '"q"r,1\n',
    "\uDFFF,1\n",
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 10 }), cuts, (lines, at) => {
      const text = `a,b\n${lines.join("")}`;
      assert.deepEqual(readAll(new CsvReader(DIALECT), text, at), csv(text));
    }),
    { numRuns: 500 },
  );
});

const columnsOf = (text: string, dialect: Partial<CsvDialect> = {}): readonly string[] => {
  const reader = new CsvReader({ ...DIALECT, ...dialect });
  reader.push(text);
  reader.end();
  return reader.columns;
};

test("CSV: a column without a name is called by its place, one whose name is taken gets a number, and no row becomes the header", () => {
  assert.deepEqual(columnsOf(",name,\n0,Ann,x\n"), ["column_1", "name", "column_3"]);
  assert.deepEqual(columnsOf("a,b,A,a\n"), ["a", "b", "A_2", "a_3"]);
  assert.deepEqual(columnsOf("a,a_2,a\n"), ["a", "a_2", "a_3"]);
  assert.deepEqual(cellsOf(csv(",name\n0,Ann\n")), [["0", "Ann"]]);
});

test("CSV: names that differ in letters beyond ASCII are different names, as they are to SQLite", () => {
  assert.deepEqual(columnsOf("É,é\n1,2\n"), ["É", "é"]);
});

test("CSV: a header that is not UTF-8 ends the file, and no row is taken for it", () => {
  const records = csv("gr\uDFFF,b\n1,2\n3,4\n");
  assert.equal(records.length, 1);
  assert.match(problemOf(records[0]), /^1: the names of the columns are not UTF-8/);
});

test("CSV: given names take the place of a header that is passed over", () => {
  const reader = new CsvReader({ ...DIALECT, columns: ["x", "y"], skipsHeader: true });
  const records = [...reader.push("\na,b\n1,2\n"), ...reader.end()];
  assert.deepEqual([reader.columns, cellsOf(records)], [["x", "y"], [["1", "2"]]]);
});

test("CSV: lines may end by CR alone", () => {
  assert.deepEqual(cellsOf(csv("a,b\r1,2\r3,4\r")), [
    ["1", "2"],
    ["3", "4"],
  ]);
  assert.deepEqual(cellsOf(csv('a,b\r"1",2\r\n"x\ry","z"\r')), [
    ["1", "2"],
    ["x\ry", "z"],
  ]);
  assert.deepEqual(
    csv("a,b\r1\r2,3\r").map(({ line }) => line),
    [2, 3],
  );
});

test("TSV: a field whose quotes do not enclose it is text with quotes in it", () => {
  const text = 'id\ttitle\n1\t"Weird" Al\n2\t6\' 2" tall\n3\t"a\tb"\n4\t"open\n';
  assert.deepEqual(cellsOf(csv(text, { delimiter: "\t" })), [
    ["1", '"Weird" Al'],
    ["2", "6' 2\" tall"],
    ["3", "a\tb"],
    ["4", '"open'],
  ]);
});

const json = (
  text: string,
  at: readonly number[] = [],
  isByLine = false,
): { cells: (readonly Cell[] | string)[]; columns: readonly string[] } => {
  const reader = new JsonReader([], { isByLine });
  return { cells: cellsOf(readAll(reader, text, at)), columns: reader.columns };
};

test("JSON: an array, a sequence and lines of objects give the same records, whatever the pieces", () => {
  const value = fc.oneof(
    fc.string({ unit: "binary" }),
    fc.string({ unit: fc.constantFrom('"', "\\", "{", "}", "[", "]", ",", "\n") }),
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
  );
  const object = fc.dictionary(fc.constantFrom("a", "b", "c d", "é"), value);
  fc.assert(
    fc.property(fc.array(object, { maxLength: 6 }), fc.constantFrom(0, 2), cuts, (objects, indent, at) => {
      const columns = [...new Set(objects.flatMap((each) => Object.keys(each)))];
      const reader = new JsonReader(columns, { isByLine: false });
      const array = cellsOf(readAll(reader, JSON.stringify(objects, null, indent), at));
      const expected = objects.map((each) => columns.map((name) => each[name] ?? null));
      assert.deepEqual(array, expected);
      const sequence = objects.map((each) => JSON.stringify(each, null, indent)).join(indent === 0 ? "" : " \n");
      assert.deepEqual(cellsOf(readAll(new JsonReader(columns, { isByLine: false }), sequence, at)), expected);
      const lines = objects.map((each) => `${JSON.stringify(each)}\n`).join("");
      assert.deepEqual(cellsOf(readAll(new JsonReader(columns, { isByLine: true }), lines, at)), expected);
    }),
    { numRuns: 500 },
  );
});

test("JSON: 64-bit integers keep every digit, nested values become their text, and absent keys NULL", () => {
  const { cells, columns } = json('[{"a":9223372036854775807,"b":[1,{"c":9007199254740993}]},{"b":true,"d":0.1234567890123456789}]');
  assert.deepEqual(columns, ["a", "b", "d"]);
  assert.equal(JSON.stringify(cells), '[[9223372036854775807,"[1,{\\"c\\":9007199254740993}]"],[null,true,0.12345678901234568]]');
});

test("JSON: a broken record is named with its line, and the records around it are read where they can be told apart", () => {
  assert.deepEqual(json('[{"a":1},\n{"a":},\n5,[1],{"a":2}]').cells, [
    [1],
    '2: it is not JSON: {"a":}',
    "3: it is no object: 5",
    "3: it is no object: [1]",
    [2],
  ]);
  assert.deepEqual(json('{"a":1}\n{"a":\n{"a":3}\n', [], true).cells, [[1], '2: it is not JSON: {"a":', [3]]);
  assert.deepEqual(json('[{"a":1},{"a":2}').cells, [[1], [2], "1: the array is never closed: is the file cut off?"]);
  assert.deepEqual(json('{"a":1}{"a":"').cells, [[1], "1: the file ends inside a record: is it cut off?"]);
  assert.deepEqual(json('[{"a":1}{"a":2}]').cells, [[1], "1: a comma is missing between records"]);
  assert.deepEqual(json('[{"a":1}] x').cells, [[1], "1: text stands after the end of the array"]);
  assert.deepEqual(json("[]").cells, []);
  assert.deepEqual(json("").cells, []);
});

function typeOf(isTextNumeric: boolean, cells: readonly Cell[]): string {
  const statistics = new ColumnStatistics(isTextNumeric);
  for (const cell of cells) statistics.add(cell);
  return statistics.type;
}

test("JSON: a number that no cell keeps, a key that stands twice, and keys that differ in case only break their record alone", () => {
  const lines = [
    '{"a":1e400}',
    '{"a":[{"b":-1e999}]}',
    '{"a":1e-400}',
    `{"a":${"9".repeat(400)}.5}`,
    '{"a":12345678901234567891}',
    '{"a":1,"a":2}',
    '{"a":{"b":1,"b":2}}',
    '{"a":1,"\\u0061":"x:\\"{"}',
    '{"new":1,"A":2}',
    '{"a":"1e400 : \\\\","b":{"a:":[1e300,0e500,9007199254740993]},"__proto__":null}',
    '{"a":9223372036854775808}',
  ];
  const { cells, columns } = json(['{"a":1}', ...lines, '{"new":3}'].join("\n"), [], true);
  assert.deepEqual(cells.slice(0, 10), [
    [1],
    "2: 1e400 is beyond what a number holds: put it in quotes to keep it as text",
    "3: -1e999 is beyond what a number holds: put it in quotes to keep it as text",
    "4: 1e-400 is beyond what a number holds: put it in quotes to keep it as text",
    `5: ${"9".repeat(57)}... is beyond what a number holds: put it in quotes to keep it as text`,
    '6: 12345678901234567891 under "a" is beyond 64 bits: put it in quotes to keep it as text',
    '7: it has a key twice ("a"): {"a":1,"a":2}',
    '8: it has a key twice: {"a":{"b":1,"b":2}}',
    `9: it has a key twice ("a"): ${lines[7] ?? ""}`,
    '10: the key "A" differs from "a" in case only, and columns of a table cannot',
  ]);
  assert.deepEqual(cells[10], ["1e400 : \\", '{"a:":[1e+300,0,9007199254740993]}', null]);
  assert.equal(JSON.stringify(cells[11]), "[9223372036854775808,null,null]", "2 to the 63rd is a double exactly");
  assert.deepEqual(cells[12], [null, null, null, 3]);
  assert.deepEqual(columns, ["a", "b", "__proto__", "new"], "a broken record names no columns");
});

test("JSON: whatever JSON.stringify writes is a record without a key twice", () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue(), { maxKeys: 5 }), (value) => {
      const text = JSON.stringify(value);
      const keys = Object.keys(value).map((key) => key.toLowerCase());
      fc.pre(new Set(keys).size === keys.length);
      const [cells] = json(text).cells;
      const expected = Object.values(value).map((each) => (typeof each === "object" && each !== null ? JSON.stringify(each) : each));
      assert.deepEqual(JSON.parse(JSON.stringify(cells)), JSON.parse(JSON.stringify(expected)));
    }),
  );
});

test("JSON: the array of records in the one object of a file is found, whatever the pieces and whatever stands before it", () => {
  const records = [
    { a: 1, b: "x" },
    { a: 2, b: 'q"]}' },
  ];
  const wrapped = { 'no"te': '{"data": [{', list: [1, 2], nested: { data: [{ z: 1 }] }, data: records, after: [{ y: 1 }] };
  fc.assert(
    fc.property(fc.constantFrom(undefined, 1), cuts, (indent, at) => {
      const text = JSON.stringify(wrapped, undefined, indent);
      const walker = new ObjectWalker();
      for (const [start, end] of pairwise(text, at)) walker.walk(text.slice(start, end));
      assert.deepEqual([walker.tops, walker.arrays], [1, ["data", "after"]]);
      const reader = new JsonReader([], { isByLine: false, recordsKey: "data" });
      assert.deepEqual(cellsOf(readAll(reader, text, at)), [
        [1, "x"],
        [2, 'q"]}'],
      ]);
    }),
    { numRuns: 300 },
  );
  assert.match(problemOf(readAll(new JsonReader([], { isByLine: false, recordsKey: "none" }), "{}")[0]), /it has no array under "none"/);
});

function pairwise(text: string, at: readonly number[]): [number, number][] {
  const ends = [...at.filter((cut) => cut < text.length).toSorted((a, b) => a - b), text.length];
  return ends.map((end, index) => [index === 0 ? 0 : (ends[index - 1] as number), end]);
}

test("JSON: half a surrogate pair breaks its record, in a value as in a key", () => {
  const { cells } = json('[{"a":"x\\ud83dy"},{"a":"\\ud83d\\ude00"},{"\\udc00":1}]');
  assert.deepEqual(cells, [`1: ${HALF}`, ["😀"], `1: ${HALF}`]);
});

const HALF = "it has half a character (a lone surrogate), which no text can keep: a text cut in the middle of an emoji?";

test("a type is inferred only if no value loses anything by it", () => {
  assert.equal(typeOf(true, ["1", "-2", null, "9223372036854775807"]), "INTEGER");
  assert.equal(typeOf(true, ["1.5", "2.0", "-0.25"]), "REAL");
  assert.equal(typeOf(true, ["1", "2.5", "9007199254740993"]), "NUMERIC");
  assert.equal(typeOf(true, ["1", "2.0"]), "TEXT", "NUMERIC would make 2 of it, REAL 1.0 of the other");
  for (const text of [
    "007",
    "+1",
    "9223372036854775808",
    "-0",
    "1.",
    ".5",
    "0x10",
    " 1",
    "1e999",
    "1e-999",
    "0.12345678901234567890",
    "NaN",
    "Infinity",
    "",
    "1_000",
    "1.10",
    "1e5",
    "1E5",
  ]) {
    assert.equal(typeOf(true, ["1", text]), "TEXT", text);
  }
  assert.equal(typeOf(false, ["1", "2"]), "TEXT");
  assert.equal(typeOf(false, [1, 2]), "INTEGER");
  assert.equal(typeOf(false, [1, 2.5]), "REAL");
  const long = { rawJSON: "9007199254740993" };
  assert.equal(typeOf(false, [long, 1]), "INTEGER");
  assert.equal(typeOf(false, [long, 2.5]), "", "REAL would round the integer");
  assert.equal(typeOf(false, [{ rawJSON: "9007199254740994" }, 2.5]), "REAL", "even, so that a double holds it");
  assert.equal(typeOf(false, [true, null]), "BOOLEAN");
  assert.equal(typeOf(false, [1, "a"]), "");
  assert.equal(typeOf(true, [null]), "TEXT");
});

test("what CSV says stands in a table of the inferred type as it was written", () => {
  const number = fc.oneof(
    fc.integer().map(String),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
    fc.tuple(fc.integer({ min: -999, max: 999 }), fc.stringMatching(/^[0-9]{1,20}$/)).map(([whole, part]) => `${whole}.${part}`),
    fc.stringMatching(/^-?[0-9]{1,20}(\.[0-9]{1,3})?([eE][+-]?[0-9]{1,3})?$/),
  );
  using database = new DatabaseSync(":memory:");
  fc.assert(
    fc.property(fc.array(number, { minLength: 1, maxLength: 4 }), (texts) => {
      database.exec(`DROP TABLE IF EXISTS t; CREATE TABLE t(c ${typeOf(true, texts)})`);
      const insert = database.prepare("INSERT INTO t VALUES(?)");
      for (const text of texts) insert.run(text);
      const read = database
        .prepare("SELECT CASE typeof(c) WHEN 'integer' THEN CAST(c AS TEXT) ELSE c END AS c, CAST(c AS TEXT) AS spelled FROM t")
        .all();
      // SQLite writes 15 digits of a REAL, an answer in JSON as many as tell it from others.
      for (const [at, { c, spelled }] of read.entries())
        assert.ok([spelled, String(c)].includes(texts[at]), `${texts[at]}: ${String(spelled)}`);
    }),
    { numRuns: 3000 },
  );
});

test("every number that JavaScript prints is read as a number", () => {
  fc.assert(
    fc.property(
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      (value) => Object.is(value, -0) || numericKind(String(value)) !== "text" || !/[.e]/.test(String(value)),
    ),
  );
  fc.assert(fc.property(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (value) => numericKind(String(value)) === "integer"));
});

test("a file's text is whole whatever its length, and a line that is no UTF-8 breaks alone", async () => {
  const folder = mkdtempSync(join(tmpdir(), "pumice-source-"));
  try {
    const path = join(folder, "file");
    const whole = "é😀a\n".repeat(150_000);
    const bytes = Buffer.concat([Buffer.from("\uFEFF"), Buffer.from(whole), Buffer.from([0x41, 0xff, 0x0a]), Buffer.from("end�")]);
    writeFileSync(path, bytes);
    let text = "";
    let last = 0;
    for await (const piece of readPieces(path)) {
      text += piece.text;
      last = piece.bytesRead;
    }
    assert.equal(text === `${whole}A\uDFFF\nend�`, true);
    assert.equal(last, bytes.length);
    const reader = new CsvReader({ ...DIALECT, columns: ["a"] });
    const broken = readAll(reader, text).filter((record) => !record.ok);
    assert.deepEqual(broken, [{ ok: false, line: 150_001, number: 150_001, problem: "it is not UTF-8" }]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
