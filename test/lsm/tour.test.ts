/** docs/lsm.md is run: each example in a process of its own, in a fresh directory, against the public door. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { promisify } from "node:util";
import { isPumiceError, openDb, openReader } from "../../src/entry/lsm.ts";

const page = readFileSync(fileURLToPath(new URL("../../docs/lsm.md", import.meta.url)), "utf8");
const door = new URL("../../src/entry/lsm.ts", import.meta.url).href;
const examples = [...page.matchAll(/^## (.+)\n[^#]*?```ts\n([\s\S]*?)```/gm)].map((match) => ({
  title: match[1] as string,
  code: match[2] as string,
  files: filesOf(match[1] as string),
}));

/** The modules that a section shows beside its example: blocks that are marked with a name. */
function filesOf(title: string): { name: string; content: string }[] {
  const start = page.indexOf(`\n## ${title}\n`) + 1;
  const end = page.indexOf("\n## ", start);
  const section = page.slice(start, end === -1 ? undefined : end);
  return [...section.matchAll(/^```js (\S+)\n([\s\S]*?)```/gm)].map((match) => ({ name: match[1] as string, content: match[2] as string }));
}

const PRELUDE = `
import assert from "node:assert/strict";
const { Admin, cloneStore, components, NOT_CACHED, openDb, openReader, prometheusText, WalReader, WriteBatch } = await import(${JSON.stringify(door)});
const utf8 = (text) => new TextEncoder().encode(text);
const text = (bytes) => bytes && new TextDecoder().decode(bytes);
`;

/** An example as a program: imports of the door are the prelude's, \`expression; // => value\` becomes an assertion. */
function programOf(code: string): string {
  const lines = code.split("\n").map((line) => {
    if (line.startsWith("import ") || /^const (?:utf8|text) = /.test(line)) return "";
    const promise = /^(.+); \/\/ => (.+)$/.exec(line);
    return promise === null ? line : `assert.deepEqual(${promise[1]}, ${promise[2]});`;
  });
  return `${PRELUDE}\n${lines.join("\n")}\n`;
}

/** Node without its SQLite: the storage engine runs in a process that has no SQL at all. */
const NO_SQL = "--no-experimental-sqlite";

test("there are examples in docs/lsm.md", () => {
  assert.ok(examples.length >= 7, `${examples.length}`);
});

for (const { title, code, files } of examples) {
  test(`the example under "${title}" does what the page says, in a process without SQL`, async () => {
    const directory = mkdtempSync(join(tmpdir(), "pumice-tour-"));
    try {
      writeFileSync(join(directory, "example.mjs"), programOf(code));
      for (const { name, content } of files) writeFileSync(join(directory, name), content);
      await promisify(execFile)(process.execPath, [NO_SQL, "example.mjs"], { cwd: directory, timeout: 30_000 });
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
}

test("a store that is opened by an address compacts on another thread, and what it says is what comes", async () => {
  const directory = mkdtempSync(join(tmpdir(), "pumice-thread-"));
  try {
    const db = await openDb(directory, "s", { compactor: { pollIntervalMs: 3_600_000, maxSstBytes: 20_000 } });
    const key = (i: number): Uint8Array => new TextEncoder().encode(`k${String(i).padStart(5, "0")}`);
    for (let part = 0; part < 3; part++) {
      for (let i = 0; i < 1000; i++) db.putSync(key(i * 2 + part), key(part));
      await db.flush("memtable");
    }
    await db.compact();
    const status = db.status();
    assert.equal(status.l0Ssts, 0);
    assert.ok((db.manifest.runs[0]?.ssts.length ?? 0) > 1);
    assert.ok((status.compactor?.bytesRead ?? 0) > 0 && (status.compactor?.bytesWritten ?? 0) > 0);
    assert.equal((await db.scan().toArray()).length, 2001);
    const [sst] = db.manifest.runs[0]?.ssts ?? [];
    rmSync(join(directory, "s", "compacted", `${sst?.id}.sst`));
    // A failure on the other thread comes back with its code.
    await assert.rejects(db.compact(), (error) => isPumiceError(error, "LSM_MISSING"));
    await db.close();
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test("functions by their module run on the compactor's thread, and what is wrong with a module is said", async () => {
  const directory = mkdtempSync(join(tmpdir(), "pumice-functions-"));
  try {
    const write = (name: string, content: string): URL => {
      writeFileSync(join(directory, name), content);
      return pathToFileURL(join(directory, name));
    };
    const good = write(
      "good.mjs",
      `import { isMainThread } from "node:worker_threads";
       const flip = (bytes) => bytes.map((byte) => byte ^ 0x55);
       export const blockTransformer = { encode: flip, decode: flip };
       export const mergeOperator = { merge: (key, existing, operand) => Uint8Array.from([...(existing ?? []), ...operand]) };
       // Only the other thread drops anything: the test sees where it ran.
       export const compactionFilter = (row) => (!isMainThread && row.key[0] === 100 ? "drop" : "keep");`,
    );
    const key = (text: string): Uint8Array => new TextEncoder().encode(text);
    const db = await openDb(directory, "s", { functions: good, compactor: { pollIntervalMs: 3_600_000 } });
    await db.put(key("dropped"), key("x"));
    await db.merge(key("merged"), key("1"));
    await db.flush("memtable");
    await db.merge(key("merged"), key("2"));
    await db.compact();
    assert.equal(await db.get(key("dropped")), undefined);
    assert.deepEqual(await db.get(key("merged")), key("12"));
    await db.close();
    const reader = await openReader(directory, "s", { functions: good.href });
    assert.deepEqual(await reader.get(key("merged")), key("12"));
    await reader.close();
    for (const [functions, because] of [
      ["./good.mjs", /is no URL/],
      [pathToFileURL(join(directory, "none.mjs")), /import fails/],
      [write("empty.mjs", "export const other = 1;"), /exports none of/],
      [write("wrong.mjs", "export const mergeOperator = 1;"), /no method merge/],
    ] as const) {
      const refused = openDb(directory, "t", { functions });
      await assert.rejects(refused, (error) => isPumiceError(error, "LSM_INVALID") && because.test(error.message));
    }
    const twice = openDb(directory, "t", { functions: good, compactionFilter: () => "keep" });
    await assert.rejects(twice, (error) => isPumiceError(error, "LSM_INVALID") && /not both/.test(error.message));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
