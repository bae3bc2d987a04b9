/** The door `pumice/lsm` as it is published: what it weighs, what it loads, and that it does what the sources do. Run after a build. */
import assert from "node:assert/strict";
import { execFile, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import * as source from "../../src/entry/lsm.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const door = new URL("../../dist/lsm/lsm.js", import.meta.url).href;
const folder = mkdtempSync(join(tmpdir(), "pumice-door-"));
after(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a module that knows the published door as `door`, and gives what it printed as JSON. */
async function run(code: string): Promise<unknown> {
  const program = `
    const before = new Set(process.moduleLoadList);
    const loaded = () => process.moduleLoadList.filter((name) => !before.has(name)).map((name) => name.replace(/^NativeModule /, ""));
    const door = await import(${JSON.stringify(door)});
    const print = (value) => process.stdout.write(JSON.stringify(value));
    const utf8 = (text) => new TextEncoder().encode(text);
    ${code}`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program], { cwd: folder });
  return JSON.parse(stdout) as unknown;
}

/** What costs milliseconds to load. */
const DEAR = [
  "http",
  "https",
  "net",
  "tls",
  "crypto",
  "zlib",
  "worker_threads",
  "stream",
  "internal/fs/promises",
  "sqlite",
  "child_process",
];

test("importing the published door loads nothing of Node that a program does not have already", async () => {
  const loaded = (await run("print(loaded())")) as string[];
  assert.deepEqual(
    loaded.filter((name) => DEAR.includes(name)),
    [],
  );
});

test("a store in a directory needs no network, no thread and no SQL until something is merged", async () => {
  const loaded = (await run(`
    const db = await door.openDb("quiet", "s");
    await db.put(utf8("a"), utf8("1"));
    const value = await db.get(utf8("a"));
    const now = loaded();
    await db.close();
    print([...now, new TextDecoder().decode(value)]);`)) as string[];
  assert.equal(loaded.pop(), "1");
  assert.ok(loaded.includes("crypto"), "the test sees what is loaded late");
  assert.deepEqual(
    loaded.filter((name) => ["http", "https", "net", "tls", "worker_threads", "sqlite", "child_process"].includes(name)),
    [],
  );
});

test("the published door finds its compaction thread", async () => {
  const seen = await run(`
    const db = await door.openDb("threads", "s", { compactor: { pollIntervalMs: 3_600_000 } });
    for (let part = 0; part < 3; part++) {
      for (let i = 0; i < 100; i++) db.putSync(utf8("k" + i), utf8(String(part).repeat(2000)));
      await db.flush("memtable");
    }
    await db.compact();
    const { l0Ssts, sortedRuns } = db.status();
    await db.close();
    print({ l0Ssts, sortedRuns, isThreaded: loaded().includes("worker_threads") });`);
  assert.deepEqual(seen, { l0Ssts: 0, sortedRuns: 1, isThreaded: true });
});

test("the published door has the names of the sources, no more and no fewer", async () => {
  assert.deepEqual(await run("print(Object.keys(door).sort())"), Object.keys(source).sort());
});

test("what is published of the engine is under 400 KB, and is all there", () => {
  const packed = spawnSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts", "--offline"], { cwd: root, encoding: "utf8" });
  assert.equal(packed.status, 0, packed.stderr);
  const [report] = JSON.parse(packed.stdout) as { files: { path: string; size: number }[] }[];
  const files = report?.files ?? [];
  const own = files.filter(({ path }) => path.startsWith("dist/lsm/"));
  for (const name of ["dist/lsm/lsm.js", "dist/lsm/lsm-compaction-worker.js", "dist/src/entry/lsm.d.ts"]) {
    assert.ok(
      files.some(({ path }) => path === name),
      name,
    );
  }
  const bytes = own.reduce((sum, { size }) => sum + size, 0);
  assert.ok(bytes > 100_000 && bytes < 400_000, `${bytes} bytes`);
  assert.deepEqual(
    files.filter(({ path }) => path.endsWith(".map")),
    [],
    "maps of sources that are not published",
  );
});

test("the published types are those of the door: what is right compiles, what is wrong does not", () => {
  const types = join(root, "dist/src/entry/lsm.d.ts").replace(/\.d\.ts$/, ".js");
  const compile = (body: string): number | null => {
    writeFileSync(join(folder, "consumer.ts"), `import { openDb, type Db } from ${JSON.stringify(types)};\n${body}\n`);
    const options = [
      "--noEmit",
      "--strict",
      "--module",
      "nodenext",
      "--target",
      "es2024",
      "--lib",
      "es2024,esnext.disposable",
      "--ignoreConfig",
    ];
    const compiler = join(root, "node_modules/typescript/bin/tsc");
    const roots = ["--typeRoots", join(root, "node_modules/@types"), "--types", "node"];
    return spawnSync(process.execPath, [compiler, ...options, ...roots, "consumer.ts"], { cwd: folder }).status;
  };
  assert.equal(compile('export const db: Promise<Db> = openDb("./data", "s", { blockSizeBytes: 4096 });'), 0);
  assert.notEqual(compile('export const db: Promise<Db> = openDb("./data", "s", { blockSizeBytes: "4096" });'), 0);
});
