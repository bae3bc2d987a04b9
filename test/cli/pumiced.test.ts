/** The life of a pumiced process: what it prints, how it ends, and that every flag reaches what honours it. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { FLAGS, type FlagName } from "../../src/cli/flags.ts";
import { readArguments } from "../../src/cli/pumiced-arguments.ts";
import { nodeSettings } from "../../src/cli/settings.ts";
import { exchange, freePort, Pumiced, startPumiced } from "../support/pumiced.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "pumice-process-"));
after(() => rmSync(folder, { recursive: true }));

/** Runs pumiced to its end, which must come by itself. */
function runToEnd(args: readonly string[]): { readonly status: number | null; readonly out: string; readonly err: string } {
  const result = spawnSync(join(root, "bin/pumiced"), args, { cwd: folder, encoding: "utf8", timeout: 20_000, killSignal: "SIGKILL" });
  return { status: result.status, out: result.stdout, err: result.stderr };
}

test("a node prints where it is and a line to paste, and the line works", async () => {
  const node = await startPumiced({ dataDirectory: join(folder, "greeting"), port: await freePort() });
  const url = `http://127.0.0.1:${node.options.port}`;
  assert.match(
    node.output,
    new RegExp(`^pumiced v\\S+ .*\ndata {5}${join(folder, "greeting")}\nHTTP API ${url}\nconsole {2}${url}/console/\ntry {6}curl `),
  );
  const pasted = spawnSync("sh", ["-c", /^try +(.*)$/m.exec(node.output)?.[1] ?? "false"], { encoding: "utf8" });
  assert.match(pasted.stdout, /"sqlite_version\(\)"[\s\S]*"3\.\d+\.\d+"/);
  assert.equal(await node.end("SIGINT"), 0);
});

test("after SIGTERM what was accepted is finished, and the exit code is 0", async () => {
  const options = {
    dataDirectory: join(folder, "graceful"),
    port: await freePort(),
    flags: ["-raft-log-level", "INFO", "-write-queue-timeout", "20s"],
  };
  let node = await startPumiced(options);
  await exchange(options.port, "/db/execute", '["CREATE TABLE t (n INTEGER)"]');
  const writes = Array.from({ length: 50 }, (_, n) =>
    exchange(options.port, "/db/execute", `[["INSERT INTO t VALUES (?)", ${n}]]`).then(
      (answer) => answer.status,
      () => 0,
    ),
  );
  const queued = await exchange(options.port, "/db/execute?queue", '["INSERT INTO t VALUES (1000)"]');
  assert.equal(queued.status, 200);
  assert.equal(await node.end("SIGTERM"), 0);
  assert.match(node.output, /INFO SIGTERM: finishing what was accepted\n$/);
  const acknowledged = (await Promise.all(writes)).filter((status) => status === 200).length;
  node = await startPumiced(options);
  const { body } = await exchange(
    options.port,
    "/db/query",
    '["SELECT count(*) FROM t WHERE n < 1000", "SELECT count(*) FROM t WHERE n = 1000"]',
  );
  const [written, fromQueue] = (JSON.parse(body) as { results: { values: number[][] }[] }).results.map(
    ({ values }) => values[0]?.[0] ?? -1,
  );
  assert.ok((written ?? -1) >= acknowledged, `${String(written)} rows, ${acknowledged} acknowledged`);
  assert.equal(fromQueue, 1, "a queued write outlives the end of its node");
  assert.equal(await node.end("SIGTERM"), 0);
});

test("a second signal ends the process at once, whatever is still under way", async () => {
  const port = await freePort();
  const node = await startPumiced({ dataDirectory: join(folder, "second"), port, flags: ["-raft-log-level", "INFO"] });
  const slow = "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c";
  const asked = exchange(port, "/db/query?db_timeout=60s", JSON.stringify([slow])).catch(() => undefined);
  // The query is under way once another one, sent after it, is answered.
  await exchange(port, "/db/query", '["SELECT 1"]');
  process.kill(node.pid, "SIGTERM");
  await node.prints("finishing what was accepted");
  const firstMs = performance.now();
  while (!node.hasExited && performance.now() - firstMs < 20_000) {
    process.kill(node.pid, "SIGTERM");
    await sleep(20);
  }
  assert.equal(await node.end("SIGTERM"), "SIGKILL");
  assert.ok(performance.now() - firstMs < 5000, "at once");
  await asked;
});

test("Ctrl-C that reaches the node twice, from the terminal and from npm, is one signal", async () => {
  const node = await startPumiced({ dataDirectory: join(folder, "twice"), port: await freePort() });
  process.kill(node.pid, "SIGINT");
  process.kill(node.pid, "SIGTERM");
  assert.equal(await node.end("SIGINT"), 0);
});

test("what this machine does not allow is one line and exit code 1", async () => {
  const busy = createServer().listen(0, "127.0.0.1");
  await once(busy, "listening");
  const { port } = busy.address() as AddressInfo;
  writeFileSync(join(folder, "file"), "");
  writeFileSync(join(folder, "no.pem"), "");
  const free = ["-http-addr", "127.0.0.1:0"];
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [
      ["-http-addr", `127.0.0.1:${port}`, "d1"],
      /the HTTP address cannot be used .*EADDRINUSE.*; stop what listens there, or give another -http-addr/,
    ],
    [["-http-addr", "no.such.host.invalid:0", "d2"], /the HTTP address cannot be used/],
    [[...free, "file"], /data directory cannot be used .*; give a directory that this user may write to/],
    [[...free, "-auth", "file", "d3"], /the credentials file cannot be used/],
    [[...free, "-http-cert", "no.pem", "-http-key", "no.pem", "d4"], /the files for HTTPS cannot be used/],
  ];
  try {
    for (const [args, expected] of cases) {
      const { status, out, err } = runToEnd(args);
      assert.equal(status, 1, `${args.join(" ")}: ${out}${err}`);
      assert.match(err, expected);
      assert.match(err, /^pumiced: [^\n]*\n$/);
      assert.equal(out, "");
    }
  } finally {
    busy.close();
  }
});

test("a second process on the same data directory is refused, and a killed one leaves nothing in the way", async () => {
  const options = { dataDirectory: join(folder, "locked"), port: await freePort() };
  const first = await startPumiced(options);
  const { status, err } = runToEnd(["-http-addr", "127.0.0.1:0", options.dataDirectory]);
  assert.equal(status, 1);
  assert.match(err, /^pumiced: another process runs on this data directory; [^\n]*\n$/);
  await first.end("SIGKILL");
  const second = await startPumiced(options);
  assert.equal(await second.end("SIGTERM"), 0);
});

test("a database that was damaged or swapped stops the start with one line", async () => {
  const options = { dataDirectory: join(folder, "damaged"), port: await freePort() };
  const node = await startPumiced(options);
  await exchange(options.port, "/db/execute", '["CREATE TABLE t (n INTEGER)"]');
  assert.equal(await node.end("SIGTERM"), 0);
  for (const name of ["db.sqlite", "db.sqlite-wal"]) rmSync(join(options.dataDirectory, name), { force: true });
  writeFileSync(join(options.dataDirectory, "db.sqlite"), "this is no database, and long enough to be seen as none".repeat(100));
  const { status, err } = runToEnd(["-http-addr", "127.0.0.1:0", options.dataDirectory]);
  assert.equal(status, 1);
  assert.match(err, /^pumiced: [^\n]*\n$/);
});

test("a disk that fails ends the node with one line and exit code 1, and nothing that was acknowledged is lost", async () => {
  const flags = ["-raft-log-segment-size", "256KiB", "-raft-snap-wal-size", "1GiB"];
  const options = { dataDirectory: join(folder, "failing"), port: await freePort(), flags };
  const failing = await startPumiced({ ...options, fileLimitKiB: 1024 });
  await exchange(options.port, "/db/execute", '["CREATE TABLE t (n INTEGER, filler TEXT)"]');
  let acknowledged = 0;
  for (let n = 0; n < 1000; n++) {
    const body = JSON.stringify([["INSERT INTO t VALUES (?, ?)", n, "x".repeat(20_000)]]);
    const answer = await exchange(options.port, "/db/execute", body).catch(() => undefined);
    if (answer === undefined || answer.body !== `{"results":[{"last_insert_id":${n + 1},"rows_affected":1}]}`) break;
    acknowledged += 1;
  }
  assert.equal(await failing.ends(), 1);
  assert.match(failing.output, /\npumiced: [^\n]+\n$/);
  assert.ok(acknowledged > 5 && acknowledged < 1000, `${acknowledged} rows`);
  const mended = await startPumiced(options);
  const { body } = await exchange(options.port, "/db/query", '["SELECT count(*), max(n) FROM t", "PRAGMA integrity_check"]');
  const [[[count] = [0]] = [], [[integrity] = [""]] = []] = (JSON.parse(body) as { results: { values: unknown[][] }[] }).results.map(
    ({ values }) => values,
  );
  assert.ok(Number(count) >= acknowledged && Number(count) <= acknowledged + 1, `${String(count)} rows, ${acknowledged} acknowledged`);
  assert.equal(integrity, "ok");
  assert.equal(await mended.end("SIGTERM"), 0);
});

test("the output's reader may go away without taking the node with it", async () => {
  const node = new Pumiced({ dataDirectory: join(folder, "pipe"), port: await freePort() });
  node.closeOutput();
  await node.answers();
  assert.equal(await node.end("SIGTERM"), 0);
});

/** For each flag a value other than its default. Flags that shape the process and not the node's settings have tests of their own. */
const OTHER: Readonly<Record<Exclude<FlagName, "version" | "help" | "raft-log-level">, string>> = {
  "http-addr": "127.0.0.1:5001",
  "http-adv-addr": "there:5001",
  "http-allow-origin": "*",
  auth: join(folder, "other.json"),
  "http-cert": join(folder, "other.json"),
  "http-key": join(folder, "other.json"),
  "http-ca-cert": join(folder, "other.json"),
  "http-verify-client": "true",
  "http-max-body": "1MiB",
  "http-max-statements": "7",
  "http-max-result": "1MiB",
  "http-max-conns": "7",
  "http-max-memory": "64MiB",
  "http-max-backups": "2",
  "http-header-timeout": "1s",
  "node-id": "seven",
  "raft-addr": "localhost:5002",
  "raft-adv-addr": "there:5002",
  "raft-heartbeat-timeout": "2s",
  "raft-apply-timeout": "2s",
  fk: "true",
  readers: "7",
  "db-max-ro-conns": "1",
  "db-read-timeout": "0",
  "db-timeout-max": "2s",
  "db-write-timeout": "2s",
  "raft-snap-wal-size": "1MiB",
  "raft-log-segment-size": "1MiB",
  "write-queue-capacity": "7",
  "write-queue-batch-size": "7",
  "write-queue-timeout": "7ms",
  "write-queue-tx": "true",
};

test("no flag is read and ignored: each changes the settings of the node", () => {
  writeFileSync(join(folder, "other.json"), "[]");
  chmodSync(join(folder, "other.json"), 0o600);
  const tls = ["-http-cert", "/dev/null", "-http-key", "/dev/null"];
  const settingsOf = (args: readonly string[]): unknown => {
    const request = readArguments([...args, "d"], {});
    if (request.kind !== "run") return assert.fail(JSON.stringify(request));
    return JSON.parse(JSON.stringify(nodeSettings(request.values, "d", () => undefined)));
  };
  for (const [name, value] of Object.entries(OTHER)) {
    const base = name.startsWith("http-") && name !== "http-addr" ? tls : [];
    assert.notDeepEqual(settingsOf([...base, `-${name}=${value}`]), settingsOf(base), name);
  }
  assert.deepEqual(Object.keys(OTHER).length, Object.keys(FLAGS).length - 3);
});

test("-fk, -node-id and -raft-adv-addr are seen in what the node does and says", async () => {
  const flags = ["-fk", "-node-id", "seven", "-raft-adv-addr", "there:5002"];
  const node = await startPumiced({ dataDirectory: join(folder, "flags"), port: await freePort(), flags });
  const { port } = node.options;
  const made = '["CREATE TABLE p (id INTEGER PRIMARY KEY)", "CREATE TABLE c (p REFERENCES p)", "INSERT INTO c VALUES (1)"]';
  assert.match((await exchange(port, "/db/execute", made)).body, /"error":"FOREIGN KEY constraint failed"/);
  assert.match((await exchange(port, "/nodes")).body, /"seven":\{"id":"seven",.*"addr":"there:5002"/);
  assert.equal(await node.end("SIGTERM"), 0);
});
