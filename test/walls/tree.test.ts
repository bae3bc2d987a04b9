/** Laws of the real tree that neither compiler nor linter sees. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ROOMS, ROOT } from "./support/skeleton.ts";

interface Source {
  readonly path: string;
  readonly room: string;
  readonly text: string;
}

/** Packages that a room may import. Of all others, and of Node's modules in rooms that are not named here, it may import none. */
const PACKAGES: Readonly<Record<string, RegExp>> = {
  lsm: /^flatbuffers$/,
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

/** Specifiers of static and dynamic imports and of re-exports. */
function specifiersOf(text: string): string[] {
  const statements = text.matchAll(/^(?:import|export)\b(?:[^;"]*?\bfrom)?\s*"([^"\n]+)"/gm);
  const calls = text.matchAll(/\bimport\(\s*"([^"\n]+)"/g);
  return [...statements, ...calls].map((match) => match[1] as string);
}

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
