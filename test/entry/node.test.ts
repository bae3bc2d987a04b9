/** A whole node in this process: what holds between its threads. */
import assert from "node:assert/strict";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { isPumiceError } from "../../src/base/mod.ts";
import { openDataDirectory } from "../../src/entry/data-directory.ts";
import { call, eventually } from "../server/support/http.ts";
import { TestNode } from "../server/support/node.ts";

/** Runs for seconds unless it is interrupted. */
const ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
const CREATE = "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)";

const queryPath = (sql: string, rest = ""): string => `/db/query?q=${encodeURIComponent(sql)}${rest}`;

function bytesIn(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}

test("what was acknowledged is there after a restart, and the log goes on where it was", async () => {
  await using node = await TestNode.start();
  await node.execute(CREATE);
  for (let i = 0; i < 50; i++) await node.execute(["INSERT INTO t(name) VALUES(?)", `name ${i}`]);
  await node.restart();
  assert.match(await node.query("SELECT count(*), max(id) FROM t"), /"values":\[\[50,50\]\]/);
  assert.match(await node.execute(["INSERT INTO t(name) VALUES(?)", "after"]), /"last_insert_id":51/);
});

test("a data directory has one process: the second is refused by name", async () => {
  await using node = await TestNode.start();
  const directory = join(node.folder, "data");
  // POSIX locks are per process: within this one SQLite itself refuses the second connection.
  assert.throws(
    () => openDataDirectory(directory),
    (error) => isPumiceError(error, "NODE_DIRECTORY_LOCKED") && error.message.includes(directory),
  );
});

test("a data directory that cannot be made is refused at once, with the system's reason", () => {
  assert.throws(
    () => openDataDirectory("/proc/pumice-test/data"),
    (error) => isPumiceError(error, "NODE_DIRECTORY") && error.message.includes("/proc/pumice-test"),
  );
});

test("an error about a data directory names it as it was given, and what in it is in the way by its name there", (context) => {
  const folder = mkdtempSync(join(tmpdir(), "pumice-directory-"));
  context.after(() => rmSync(folder, { recursive: true }));
  const given = relative(process.cwd(), join(folder, "data"));
  const refusal = (): string => {
    try {
      openDataDirectory(given)[Symbol.dispose]();
    } catch (error) {
      if (isPumiceError(error, "NODE_DIRECTORY")) return error.message;
      throw error;
    }
    return "none";
  };
  const text = "data directory cannot be used";
  writeFileSync(join(folder, "data"), "");
  assert.equal(refusal(), `${text} path=${given} reason=it is not a directory`);
  rmSync(join(folder, "data"));
  mkdirSync(join(folder, "data"));
  writeFileSync(join(folder, "data", "raft"), "");
  assert.equal(refusal(), `${text} path=${given} part=raft/log reason=ENOTDIR: not a directory`);
  rmSync(join(folder, "data", "raft"));
  mkdirSync(join(folder, "data", "lock"));
  assert.equal(refusal(), `${text} path=${given} part=lock reason=unable to open database file`);
  rmSync(join(folder, "data", "lock"), { recursive: true });
  writeFileSync(join(folder, "data", "lock"), "no database, and none that another process holds".repeat(20));
  assert.equal(refusal(), `${text} path=${given} part=lock reason=file is not a database`);
  rmSync(join(folder, "data", "lock"));
  assert.equal(refusal(), "none");
});

test("a node that cannot open leaves no thread behind", async () => {
  await using node = await TestNode.start();
  await node.close();
  const threads = (): number => readdirSync("/proc/self/task").length;
  const before = threads();
  const log = join(node.folder, "data", "raft", "log");
  const segment = join(log, readdirSync(log).find((name) => name.startsWith("0")) ?? "");
  const bytes = readFileSync(segment);
  writeFileSync(segment, Buffer.alloc(64, 7), { flag: "r+" });
  await assert.rejects(node.restart(), (error) => isPumiceError(error, "LOG_CORRUPT"));
  await eventually(() => Promise.resolve(threads() <= before), "its threads have ended");
  writeFileSync(segment, bytes);
  await node.restart();
});

test("a database that has applied more than the log holds is refused, and nothing is touched", async () => {
  await using node = await TestNode.start();
  await node.execute(CREATE);
  await node.close();
  const log = join(node.folder, "data", "raft", "log");
  renameSync(log, `${log}.away`);
  await assert.rejects(node.restart(), (error) => isPumiceError(error, "REPLICA_BEHIND_DATABASE"));
  rmSync(log, { recursive: true });
  renameSync(`${log}.away`, log);
  await node.restart();
  assert.match(await node.query("SELECT count(*) FROM t"), /"values":\[\[0\]\]/);
});

test("a slow read holds up neither quick reads of the same moment, nor writes, nor the status page", async () => {
  await using node = await TestNode.start();
  await node.execute(CREATE, "INSERT INTO t(name) VALUES('fiona')");
  let isSlowDone = false;
  const slow = node.call(queryPath(ENDLESS, "&level=strong&db_timeout=3s")).then((reply) => {
    isSlowDone = true;
    return reply;
  });
  const quick = Array.from({ length: 30 }, () => node.call(queryPath("SELECT name FROM t WHERE id=1")));
  for (const reply of await Promise.all(quick)) assert.match(reply.text, /fiona/);
  assert.match(await node.execute("INSERT INTO t(name) VALUES('x')"), /"rows_affected":1/);
  assert.equal((await node.call("/status")).status, 200);
  assert.equal((await node.call("/readyz")).status, 200);
  assert.equal(isSlowDone, false, "all of it was answered while the slow read ran");
  assert.match((await slow).text, /query timeout/);
});

test("an endless write ends by its budget, and those behind it go on", async () => {
  await using node = await TestNode.start({ node: { writeTimeoutMs: 200 } });
  await node.execute(CREATE);
  const endless = node.execute(`INSERT INTO t(id) ${ENDLESS}`);
  const behind = node.execute("INSERT INTO t(name) VALUES('behind')");
  assert.match(await endless, /"error":"execute timeout"/);
  assert.match(await behind, /"rows_affected":1/);
  await node.restart();
  assert.match(await node.query("SELECT count(*) FROM t"), /"values":\[\[1\]\]/);
});

test("a client that hangs up frees the reader that ran its read", async () => {
  await using node = await TestNode.start({ node: { readers: 1 } });
  await node.execute(CREATE);
  const aborted = new AbortController();
  const hungUp = fetch(node.url + queryPath(ENDLESS), { signal: aborted.signal });
  await eventually(async () => {
    const status = JSON.parse((await node.call("/status")).text) as { store: { readers?: unknown } };
    return status.store !== undefined;
  }, "the node answers");
  aborted.abort();
  await assert.rejects(hungUp);
  const reply = await call(node.url + queryPath("SELECT count(*) FROM t"));
  assert.match(reply.text, /"values":\[\[0\]\]/);
});

test("the WAL and the Raft log stay bounded under writes, also while a read holds the WAL", async () => {
  const limit = 256 * 1024;
  const settings = { walLimitBytes: limit, logSegmentBytes: limit };
  await using node = await TestNode.start({ node: settings });
  await node.execute(CREATE);
  const write = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) await node.execute(["INSERT INTO t(name) VALUES(?)", "x".repeat(20_000)]);
  };
  const data = join(node.folder, "data");
  const walBytes = (): number => statSync(join(data, "db.sqlite-wal")).size;
  await write(150);
  // The thread that checkpoints starts with the first one, and writes do not wait for it.
  await eventually(async () => {
    await write(5);
    return walBytes() < limit * 4;
  }, "the WAL is short");
  await eventually(() => Promise.resolve(bytesIn(join(data, "raft", "log")) < limit * 8), "the log is cut");
  const slow = node.call(queryPath(`SELECT (${ENDLESS}), name FROM t`, "&db_timeout=60s"));
  await write(500);
  assert.match((await slow).text, /interrupted/, "past the hard limit an old read is interrupted");
  await eventually(async () => {
    await write(5);
    return walBytes() < limit * 4;
  }, "the WAL is short again");
});

test("a close finishes what was accepted", async () => {
  await using node = await TestNode.start();
  await node.execute(CREATE);
  const writes = Array.from({ length: 100 }, (_, i) => node.post("/db/execute", [["INSERT INTO t(id) VALUES(?)", i + 1]]));
  await eventually(async () => /"values":\[\[[1-9]/.test(await node.query("SELECT count(*) FROM t")), "writes arrive");
  await node.close();
  const acknowledged = (await Promise.allSettled(writes)).filter(
    (each) => each.status === "fulfilled" && each.value.text.includes("rows_affected"),
  );
  await node.restart();
  const [count] = /\d+/.exec((await node.query("SELECT count(*) FROM t")).split("values")[1] ?? "") ?? ["0"];
  assert.ok(Number(count) >= acknowledged.length, `${count} rows, ${acknowledged.length} acknowledged`);
});

test("other users may read nothing of a data directory, whatever the umask and whatever it was before", async (context) => {
  const umask = process.umask(0o000);
  context.after(() => void process.umask(umask));
  await using node = await TestNode.start();
  await node.execute(CREATE);
  const directory = join(node.folder, "data");
  const open = (): string[] =>
    ["", ...readdirSync(directory, { recursive: true, encoding: "utf8" })].filter(
      (name) => (statSync(join(directory, name)).mode & 0o077) !== 0,
    );
  assert.deepEqual(open(), []);
  const names = readdirSync(directory, { recursive: true, encoding: "utf8" });
  for (const name of ["db.sqlite", "db.sqlite-wal", "db.sqlite-shm", "lock", "tmp", join("raft", "log")])
    assert.ok(names.includes(name), name);
  await node.restart(() => {
    for (const name of ["", ...readdirSync(directory, { recursive: true, encoding: "utf8" })]) {
      const path = join(directory, name);
      chmodSync(path, statSync(path).isDirectory() ? 0o755 : 0o644);
    }
  });
  assert.deepEqual(open(), []);
});

test("after a clean stop db.sqlite alone holds everything", async () => {
  await using node = await TestNode.start();
  await node.execute(CREATE);
  for (let i = 0; i < 30; i++) await node.execute(["INSERT INTO t(name) VALUES(?)", `name ${i}`]);
  let count: unknown;
  await node.restart(() => {
    const copy = join(node.folder, "copy.sqlite");
    copyFileSync(join(node.folder, "data", "db.sqlite"), copy);
    using database = new DatabaseSync(copy);
    count = database.prepare("SELECT count(*) AS n FROM t").get()?.["n"];
    assert.equal(database.prepare("PRAGMA integrity_check").get()?.["integrity_check"], "ok");
  });
  assert.equal(count, 30);
  assert.match(await node.query("SELECT count(*) FROM t"), /30/);
});
