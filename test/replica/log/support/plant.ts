/** Copies the log's sources, plants a bug in the copy, and imports it. */
import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { PlantedBug } from "./planted-bugs.ts";

const source = fileURLToPath(new URL("../../../../src", import.meta.url));

/** Imports `module` of src/replica/log with the bug in it. The other rooms are the real ones. */
export async function plant<T>(context: TestContext, bug: Omit<PlantedBug, "law">, module: string): Promise<T> {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "pumice-planted-"));
  context.after(() => fs.rmSync(folder, { recursive: true }));
  fs.cpSync(path.join(source, "replica", "log"), path.join(folder, "replica", "log"), { recursive: true });
  for (const room of ["base", "raft"]) fs.symlinkSync(path.join(source, room), path.join(folder, room));
  fs.writeFileSync(path.join(folder, "package.json"), `{ "type": "module" }`);
  const file = path.join(folder, "replica", "log", bug.file);
  const parts = fs.readFileSync(file, "utf8").split(bug.from);
  assert.equal(parts.length, 2, `the bug's text stands once in ${bug.file}`);
  fs.writeFileSync(file, parts.join(bug.to));
  return (await import(pathToFileURL(path.join(folder, "replica", "log", module)).href)) as T;
}
