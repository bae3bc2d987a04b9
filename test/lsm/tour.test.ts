/** docs/lsm.md is run: each example in a process of its own, in a fresh directory, against the public door. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const page = readFileSync(fileURLToPath(new URL("../../docs/lsm.md", import.meta.url)), "utf8");
const door = new URL("../../src/entry/lsm.ts", import.meta.url).href;
const examples = [...page.matchAll(/^## (.+)\n[^#]*?```ts\n([\s\S]*?)```/gm)].map((match) => ({
  title: match[1] as string,
  code: match[2] as string,
}));

const PRELUDE = `
import assert from "node:assert/strict";
const { Admin, cloneStore, components, NOT_CACHED, openDb, openReader, WalReader, WriteBatch } = await import(${JSON.stringify(door)});
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
