/**
 * npm run torture:planted: plants bugs, one at a time, in a copy of the built node and runs the kill test on it. Each must be caught: a test that
 * lets one through proves nothing. A plant whose place is gone from the code fails too.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { torture } from "../test/torture/kill.ts";

interface Plant {
  readonly what: string;
  /** A file under dist/src. */
  readonly file: string;
  readonly edits: readonly (readonly [from: string, to: string])[];
}

const PLANTS: readonly Plant[] = [
  {
    what: "the applied index is written with every third batch only, so a restart applies some entries again",
    file: "sql/state-machine.js",
    edits: [["table.setApplied(last);", "if (last.index % 3 === 0) table.setApplied(last);"]],
  },
  {
    what: "the log says that a batch is durable before it is written",
    file: "replica/log/writer.js",
    edits: [
      [
        "this.#group.push(request.batch);",
        'this.#group.push(request.batch); post(this.#scope, { kind: "persisted", number: request.batch.number });',
      ],
      ["if (this.#group.length > 0) {", "if (this.#group.length > 30) {"],
    ],
  },
  {
    what: "a queued write with wait is answered when it is accepted",
    file: "server/handlers/execute.js",
    edits: [["await withDeadline(accepted.done, ", 'await Promise.resolve({ results: "" }, ']],
  },
  {
    what: "a transaction that fails keeps what it did before",
    file: "server/handlers/execute.js",
    edits: [["transaction: params.transaction", "transaction: false"]],
  },
];

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const seed = Math.floor(Math.random() * 2 ** 31);
console.log(`seed ${seed}`);
let missed = 0;
for (const plant of PLANTS) {
  const root = mkdtempSync(join(tmpdir(), "pumice-planted-"));
  for (const name of ["bin", "dist", "package.json"]) cpSync(join(ROOT, name), join(root, name), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(root, "node_modules"));
  const path = join(root, "dist/src", plant.file);
  let text = readFileSync(path, "utf8");
  for (const [from, to] of plant.edits) {
    if (!text.includes(from)) throw new Error(`${plant.file} has no "${from}" any more: mend the plant`);
    text = text.replace(from, () => to);
  }
  writeFileSync(path, text);
  const report = await torture({ seed, durationMs: 60_000, clientCount: 16, root, keepData: false, say: console.log });
  const verdict = report.broken.length > 0 ? `caught after ${report.kills} kills: ${report.broken[0]}` : `MISSED in ${report.kills} kills`;
  console.log(`${plant.what}\n    ${verdict}`);
  if (report.broken.length === 0) missed += 1;
  rmSync(root, { recursive: true });
}
process.exitCode = missed === 0 ? 0 : 1;
