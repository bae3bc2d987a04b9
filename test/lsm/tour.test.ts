/** docs/lsm.md is run: each example in a process of its own, in a fresh directory, against the public door. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { isPumiceError, openDb } from "../../src/entry/lsm.ts";

const page = readFileSync(fileURLToPath(new URL("../../docs/lsm.md", import.meta.url)), "utf8");
const door = new URL("../../src/entry/lsm.ts", import.meta.url).href;
const examples = [...page.matchAll(/^## (.+)\n[^#]*?```ts\n([\s\S]*?)```/gm)].map((match) => ({
  title: match[1] as string,
  code: match[2] as string,
}));

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

test("there are examples in docs/lsm.md", () => {
  assert.ok(examples.length >= 7, `${examples.length}`);
});

for (const { title, code } of examples) {
  test(`the example under "${title}" does what the page says`, async () => {
    const directory = mkdtempSync(join(tmpdir(), "pumice-tour-"));
    try {
      writeFileSync(join(directory, "example.mjs"), programOf(code));
      await promisify(execFile)(process.execPath, ["example.mjs"], { cwd: directory, timeout: 30_000 });
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  });
}

test("the door loads no SQL and no consensus, and its import is quick", async () => {
  const program = `
    const started = performance.now();
    await import(${JSON.stringify(door)});
    const ms = performance.now() - started;
    process.stdout.write(JSON.stringify({ ms, sqlite: process.moduleLoadList.some((name) => /sqlite/.test(name)) }));`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program]);
  const { sqlite } = JSON.parse(stdout) as { ms: number; sqlite: boolean };
  assert.equal(sqlite, false);
});

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
