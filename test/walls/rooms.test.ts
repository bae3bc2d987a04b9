/** The walls between the rooms: what one room may not import or name does not compile, or does not lint. Every wall is tried by breaking through it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { allowedRooms, ROOMS, Skeleton } from "./support/skeleton.ts";

/** Room -> rooms that it may import: the table of ARCHITECTURE.md, section 1. */
const ALLOWED = allowedRooms();
const PURE = ["base", "raft", "lsm", "sql", "replica", "sim"];

/** The errors by which a wall holds. */
const WALLS = ["TS6307", "eslint(no-restricted-imports)"];

/** Names of the platform that no pure room may use, with an expression that uses each. */
const PLATFORM: Readonly<Record<string, string>> = {
  setTimeout: "setTimeout(() => {}, 1)",
  setInterval: "setInterval(() => {}, 1)",
  setImmediate: "setImmediate(() => {})",
  queueMicrotask: "queueMicrotask(() => {})",
  process: "process.pid",
  buffer: "Buffer.alloc(1)",
  fetch: 'fetch("")',
  console: "console.log()",
  performance: "performance.now()",
  crypto: "crypto.randomUUID()",
  navigator: "navigator.language",
};

test("a room may import the rooms in its row of ARCHITECTURE.md, and no other", () => {
  using skeleton = new Skeleton();
  skeleton.build();
  const wrong: string[] = [];
  for (const room of ROOMS) {
    for (const other of ROOMS) {
      if (other !== room) skeleton.plant(`src/${room}/to-${other}.ts`, importing(`../${other}/mod.ts`, "door"));
    }
    skeleton.plant(`src/${room}/to-test.ts`, importing("../../test/outside.ts", "outside"));
  }
  // References are transitive to the compiler: what cli may not see through entry, the linter refuses.
  const linted = skeleton.lint();
  for (const room of ROOMS) {
    const findings = [...skeleton.compile(room), ...linted];
    for (const other of ROOMS) {
      if (other === room) continue;
      const file = `src/${room}/to-${other}.ts`;
      const refused = findings.some((each) => each.file === file && WALLS.includes(each.code));
      if (refused === ALLOWED[room]?.includes(other)) wrong.push(`${room} imports ${other}: ${refused ? "refused" : "compiles"}`);
    }
    if (!findings.some((each) => each.file === `src/${room}/to-test.ts`)) wrong.push(`${room} imports a test: compiles`);
  }
  assert.deepEqual(wrong, []);
});

test("a pure room compiles neither Node's modules nor the platform's names", () => {
  using skeleton = new Skeleton();
  skeleton.build();
  const wrong: string[] = [];
  for (const room of PURE) {
    skeleton.plant(`src/${room}/to-node.ts`, importing("node:fs", "readFileSync"));
    for (const [name, use] of Object.entries(PLATFORM))
      skeleton.plant(`src/${room}/names-${name}.ts`, `export const used: unknown = ${use};\n`);
  }
  for (const room of PURE) {
    const findings = skeleton.compile(room);
    const caught = new Set(findings.map((each) => each.file));
    for (const file of ["to-node", ...Object.keys(PLATFORM).map((name) => `names-${name}`)]) {
      if (!caught.has(`src/${room}/${file}.ts`)) wrong.push(`src/${room}/${file}.ts compiles`);
    }
  }
  assert.deepEqual(wrong, []);
});

test("a room with Node's types does compile them, or the law above would prove nothing", () => {
  using skeleton = new Skeleton();
  skeleton.build();
  skeleton.plant("src/host/to-node.ts", importing("node:fs", "readFileSync"));
  for (const [name, use] of Object.entries(PLATFORM)) skeleton.plant(`src/host/names-${name}.ts`, `export const used: unknown = ${use};\n`);
  assert.deepEqual(skeleton.compile("host"), []);
});

function importing(specifier: string, name: string): string {
  return `import { ${name} } from "${specifier}";\nexport const used: unknown = ${name};\n`;
}
