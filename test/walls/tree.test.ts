/** Laws of the real tree that neither compiler nor linter sees. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { importsOf, shapeOf, specifiersOf } from "./support/arrows.ts";
import { allowedRooms, ROOMS, ROOT } from "./support/skeleton.ts";

interface Source {
  readonly path: string;
  readonly room: string;
  readonly text: string;
}

/** Packages that a room may import. Of all others, and of Node's modules in rooms that are not named here, it may import none. */
const PACKAGES: Readonly<Record<string, RegExp>> = {
  sql: /^node:sqlite$/,
  host: /^node:|^[a-z@]/,
  server: /^node:/,
  entry: /^node:/,
  cli: /^node:/,
};

function readSources(): Source[] {
  const sources: Source[] = [];
  for (const room of ROOMS) {
    for (const name of readdirSync(join(ROOT, "src", room), { recursive: true, encoding: "utf8" })) {
      if (!name.endsWith(".ts")) continue;
      const path = `src/${room}/${name}`;
      sources.push({ path, room, text: readFileSync(join(ROOT, path), "utf8") });
    }
  }
  return sources;
}

const sources = readSources();

test("every import names a room's door, a file of the same room, or a package that the room may have", () => {
  const wrong: string[] = [];
  let seen = 0;
  for (const { path, room, text } of sources) {
    for (const specifier of specifiersOf(text)) {
      seen += 1;
      if (!specifier.startsWith(".")) {
        if (PACKAGES[room]?.test(specifier) !== true) wrong.push(`${path}: ${specifier}`);
        continue;
      }
      const target = join(path, "..", specifier);
      if (!target.startsWith(`src/${room}/`) && !/^src\/[a-z]+\/mod\.ts$/.test(target)) wrong.push(`${path}: ${specifier}`);
    }
  }
  assert.deepEqual(wrong, []);
  assert.ok(seen > 30, "imports were found at all");
});

test("only src/entry and src/sim construct the world", () => {
  const implementers = sources.filter(({ room }) => room === "host").flatMap(({ text }) => worldNames(text));
  assert.ok(implementers.length > 0, "host implements some of base's interfaces");
  const wrong: string[] = [];
  for (const { path, room, text } of sources) {
    if (["host", "sim", "entry"].includes(room)) continue;
    for (const name of implementers) if (new RegExp(`\\b${name}\\b`).test(text)) wrong.push(`${path} names ${name}`);
  }
  assert.deepEqual(wrong, []);
});

/** Exported classes that implement, functions that return, and constants that are, an interface to the world. */
function worldNames(text: string): string[] {
  const world = "(?:Clock|Random|FileSystem|ObjectStore|Transport|Spawner)";
  const classes = [...text.matchAll(new RegExp(`export class (\\w+)[^{]* implements [^{]*\\b${world}\\b`, "g"))];
  const functions = [...text.matchAll(new RegExp(`export function (\\w+)\\([^)]*\\): ${world}\\b`, "g"))];
  const constants = [...text.matchAll(new RegExp(`export const (\\w+): ${world}\\b`, "g"))];
  return [...classes, ...functions, ...constants].map((match) => match[1] as string);
}

test("every file says in its first line what it is", () => {
  const headless = sources.filter(({ text }) => !/^(?:#!.*\n)?\/\*\*/.test(text)).map(({ path }) => path);
  assert.deepEqual(headless, []);
});

test("most files have fewer than 200 lines, and none of any kind more than 700", () => {
  const lengths = sources.map(({ path, text }) => [path, text.split("\n").length] as const);
  assert.deepEqual(
    lengths.filter(([path, count]) => count > 700 && !path.endsWith(".d.ts")),
    [],
  );
  const short = lengths.filter(([, count]) => count < 200).length;
  assert.ok(short / lengths.length > 0.5, `${short} of ${lengths.length}`);
});

test("no tracked text names a path of the machine it was written on", () => {
  const wrong = sources.filter(({ text }) => /["'`\s](?:\/work|\/home|\/Users|\/root|\/tmp)\//.test(text)).map(({ path }) => path);
  assert.deepEqual(wrong, []);
});

/** Files that import each other in a circle, and why they may. */
const CIRCLES: Readonly<Record<string, readonly (readonly string[])[]>> = {
  raft: [
    // A trace describes the log, and the log writes to a trace.
    ["log.ts", "trace.ts", "unstable.ts"],
    // The roles of the core become each other: a candidate a leader, a leader a follower.
    ["candidate.ts", "election.ts", "follower.ts", "leader-reads.ts", "leader.ts", "membership.ts", "raft.ts", "replication.ts"],
  ],
};

test("no boxes and no files of a room import each other in a circle, but for those that are named", () => {
  for (const room of ROOMS) {
    const { boxCircles, fileCircles } = shapeOf(ROOT, room);
    const allowed = CIRCLES[room] ?? [];
    assert.deepEqual(fileCircles, allowed, `files of ${room}`);
    assert.deepEqual(
      boxCircles.filter((circle) => !allowed.some((each) => each.join() === circle.join())),
      [],
      `boxes of ${room}`,
    );
  }
});

test("each room that ARCHITECTURE.md lets another import is imported", () => {
  const unused: string[] = [];
  for (const [room, allowed] of Object.entries(allowedRooms())) {
    const doors = new Set([...importsOf(ROOT, room).values()].flatMap((targets) => [...targets]));
    for (const other of allowed) if (!doors.has(`src/${other}/mod.ts`)) unused.push(`${room} may import ${other} and does not`);
  }
  assert.deepEqual(unused, []);
});

test("comments name their subjects: nobody is called whoever", () => {
  const wrong = sources.filter(({ text }) => /(?:\/\/|\*) .*\b[Ww]hoever\b/.test(text)).map(({ path }) => path);
  assert.deepEqual(wrong, []);
});
