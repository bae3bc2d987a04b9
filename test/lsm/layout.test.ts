/** The folders of src/lsm import each other in one order, and no files of lsm or of its simulator in a circle. Imports of types count: they are arrows too. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const source = fileURLToPath(new URL("../../src", import.meta.url));
/** Each folder imports those before it. ARCHITECTURE.md, section 5, names the same. */
const ORDER = ["format", "store", "engine", "compaction", "gc", "db", "admin"];

type Graph = ReadonlyMap<string, readonly string[]>;

function graphOf(folder: string): Graph {
  const files = readdirSync(join(source, folder), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts"));
  return new Map(
    files.map((file) => {
      const text = readFileSync(join(source, folder, file), "utf8");
      const specifiers = [...text.matchAll(/(?:from|import\()\s*"(\.[^"]+)"/g)].map((match) => join(dirname(file), match[1] as string));
      return [file, specifiers.filter((target) => files.includes(target))] as const;
    }),
  );
}

/** A circle of imports, if there is one. */
function circleOf(graph: Graph): string[] | undefined {
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): string[] | undefined => {
    if (path.includes(file)) return [...path.slice(path.indexOf(file)), file];
    if (done.has(file)) return undefined;
    for (const next of graph.get(file) ?? []) {
      const found = visit(next, [...path, file]);
      if (found !== undefined) return found;
    }
    done.add(file);
    return undefined;
  };
  for (const file of graph.keys()) {
    const found = visit(file, []);
    if (found !== undefined) return found;
  }
  return undefined;
}

function arrowsBack(graph: Graph): string[] {
  const floor = (file: string): number => ORDER.indexOf(dirname(file));
  return [...graph].flatMap(([file, targets]) =>
    targets.filter((target) => file !== "mod.ts" && floor(target) > floor(file)).map((target) => `${file} imports ${target}`),
  );
}

test("the folders of lsm import each other in the order that ARCHITECTURE.md names", () => {
  const graph = graphOf("lsm");
  assert.ok(graph.size > 60);
  assert.deepEqual(new Set([...graph.keys()].map((file) => dirname(file))), new Set([".", ...ORDER]));
  assert.deepEqual(arrowsBack(graph), []);
  assert.deepEqual(arrowsBack(new Map([["gc/gc.ts", ["db/clone.ts"]]])), ["gc/gc.ts imports db/clone.ts"]);
  const design = readFileSync(join(source, "../ARCHITECTURE.md"), "utf8");
  assert.ok(design.includes(ORDER.map((name) => `\`${name}/\``).join(", ")), "ARCHITECTURE.md names the order");
});

test("no files of lsm or of its simulator import each other in a circle", () => {
  for (const folder of ["lsm", "sim/lsm"]) assert.equal(circleOf(graphOf(folder)), undefined, folder);
  assert.deepEqual(
    circleOf(
      new Map([
        ["a.ts", ["b.ts"]],
        ["b.ts", ["c.ts"]],
        ["c.ts", ["b.ts"]],
      ]),
    ),
    ["b.ts", "c.ts", "b.ts"],
  );
});
