/** Inside of sql, folders stand in one order and import only what stands before them; no files import each other in a circle. Types count. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../src/sql/", import.meta.url));
const ORDER = ["command", "result", "connection", "wire", "apply", "read"];

/** Files of the room with the files of the room that they import. */
function importsOf(root: string): Map<string, readonly string[]> {
  const files = readdirSync(root, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"));
  const of = (file: string): string[] =>
    [...readFileSync(join(root, file), "utf8").matchAll(/ from "(\.[^"]+)"/g)]
      .map(([, to]) => normalize(join(dirname(file), to ?? "")))
      .filter((path) => !path.startsWith(".."));
  return new Map(files.map((file) => [file, of(file)]));
}

/** Imports of a folder that stands behind the importing one. */
function backward(imports: ReadonlyMap<string, readonly string[]>): string[] {
  const rank = (file: string): number => ORDER.indexOf(file.split("/")[0] ?? "");
  return [...imports].flatMap(([file, targets]) =>
    targets.filter((target) => rank(file) >= 0 && rank(target) > rank(file)).map((target) => `${file} -> ${target}`),
  );
}

/** Files that can be taken away, one after the other, because they import nothing that is left; what stays is in a circle or behind one. */
function circular(imports: ReadonlyMap<string, readonly string[]>): string[] {
  const left = new Map(imports);
  for (;;) {
    const free = [...left].filter(([, targets]) => !targets.some((target) => left.has(target)));
    if (free.length === 0) return [...left.keys()];
    for (const [file] of free) left.delete(file);
  }
}

test("sql's folders import only what stands before them, and no files of it import each other in a circle", () => {
  const imports = importsOf(ROOT);
  assert.ok(imports.size > 30);
  assert.deepEqual(backward(imports), []);
  assert.deepEqual(circular(imports), []);
});

test("an arrow back and a circle are noticed", () => {
  const planted = new Map([
    ["wire/a.ts", ["apply/b.ts"]],
    ["apply/b.ts", ["wire/a.ts"]],
    ["command/c.ts", []],
  ]);
  assert.deepEqual(backward(planted), ["wire/a.ts -> apply/b.ts"]);
  assert.deepEqual(circular(planted), ["wire/a.ts", "apply/b.ts"]);
});
