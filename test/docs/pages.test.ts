/** What the pages say is true where a program can tell: links, scripts, codes, records. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { ERRORS } from "../../src/base/mod.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const pages = [
  ...readdirSync(root).filter((name) => name.endsWith(".md")),
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name)),
  ...readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("src", name)),
].map((path) => ({ path, text: readFileSync(join(root, path), "utf8") }));

interface Manifest {
  readonly scripts: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly files: readonly string[];
}
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Manifest;

function pageOf(path: string): string {
  return pages.find((page) => page.path === path)?.text ?? assert.fail(`${path} is missing`);
}

test("the table of errors and docs/errors.md say the same, and no retired code is used", () => {
  const [live = "", retired = ""] = pageOf("docs/errors.md").split("\n## Retired codes\n");
  const rows = [...live.matchAll(/^\| ([A-Z][A-Z0-9_]+) \| ([a-z-]+) \|/gm)].map((match) => `${match[1]} ${match[2]}`);
  const table = Object.entries(ERRORS).map(([code, { kind }]) => `${code} ${kind}`);
  assert.deepEqual(rows.toSorted(), table.toSorted());
  assert.equal(new Set(rows).size, rows.length, "no row twice");
  for (const match of retired.matchAll(/^\| ([A-Z][A-Z0-9_]+) \|/gm)) {
    assert.ok(!Object.hasOwn(ERRORS, match[1] as string), `${match[1]} was retired and is used again`);
  }
});

test("every link between pages leads somewhere", () => {
  const broken: string[] = [];
  for (const { path, text } of pages) {
    for (const match of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      const [target = "", anchor] = (match[1] as string).split("#");
      if (/^[a-z]+:/.test(target)) continue;
      const file = target === "" ? path : join(dirname(path), target);
      if (!existsSync(join(root, file))) broken.push(`${path}: ${match[1]}`);
      else if (anchor !== undefined && !anchorsOf(readFileSync(join(root, file), "utf8")).has(anchor)) broken.push(`${path}: ${match[1]}`);
    }
  }
  assert.deepEqual(broken, []);
});

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(text: string): Set<string> {
  const headings = [...text.matchAll(/^#+ (.*)$/gm)].map((match) => (match[1] as string).toLowerCase());
  return new Set(headings.map((heading) => heading.replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")));
}

test("every npm script that a page names exists", () => {
  const missing: string[] = [];
  for (const { path, text } of pages) {
    for (const match of text.matchAll(/\bnpm run ([a-z][\w:-]*)/g)) {
      if (!Object.hasOwn(manifest.scripts, match[1] as string)) missing.push(`${path}: npm run ${match[1]}`);
    }
  }
  assert.deepEqual(missing, []);
});

test("every file and folder that a page names in backticks exists", () => {
  const missing: string[] = [];
  let seen = 0;
  for (const { path, text } of pages) {
    for (const match of text.matchAll(/`((?:src|docs|test|scripts|bench|bin)\/[\w./-]+)`/g)) {
      seen++;
      if (!existsSync(join(root, match[1] as string))) missing.push(`${path}: ${match[1]}`);
    }
  }
  assert.deepEqual(missing, []);
  assert.ok(seen > 30, "names were found at all");
});

/** Pages of the design: names of the code that they give are the code's. */
const DESIGN = /^(?:ARCHITECTURE|STYLE)\.md$|^src\//;
/** Names of SQL and JavaScript that stand in backticks on these pages. */
const FOREIGN = new Set(["CURRENT_TIMESTAMP", "localeCompare"]);

test("every name that a page of the design gives in backticks stands in the sources", () => {
  const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((name) => /\.(?:ts|c|h)$/.test(name))
    .map((name) => readFileSync(join(root, "src", name), "utf8"));
  const words = new Set(sources.flatMap((text) => text.match(/[A-Za-z_]\w*/g) ?? []));
  const missing: string[] = [];
  let seen = 0;
  for (const { path, text } of pages.filter((page) => DESIGN.test(page.path))) {
    // A name of code has a hump or an underscore; other words are the field's.
    for (const match of text.matchAll(/`(?:\w+\.)*([A-Za-z]+[a-z][A-Z]\w*|[A-Za-z]+_\w+)(?:\([^`]*\))?`/g)) {
      const name = match[1] as string;
      seen++;
      if (!words.has(name) && !FOREIGN.has(name)) missing.push(`${path}: ${name}`);
    }
  }
  assert.deepEqual(missing, []);
  assert.ok(seen > 10, "names were found at all");
});

test("every dependency has a page in docs/decisions, and pinned exactly", () => {
  const records = pages.filter(({ path }) => /^docs\/decisions\/\d{4}-/.test(path));
  const dependencies = { ...manifest.dependencies, ...manifest.devDependencies, ...manifest.optionalDependencies };
  const missing = Object.keys(dependencies).filter((name) => !records.some(({ text }) => text.includes(`\`${name}\``)));
  assert.deepEqual(missing, []);
  for (const [name, version] of Object.entries(dependencies)) assert.match(version, /^\d+\.\d+\.\d+[\w.-]*$/, name);
});

test("no two decisions have the same number, and each says in its title which it is", () => {
  const numbers = pages.flatMap(({ path }) => /^docs\/decisions\/(\d{4})-/.exec(path)?.[1] ?? []);
  assert.equal(new Set(numbers).size, numbers.length, numbers.join(" "));
  for (const { path, text } of pages) {
    const number = /^docs\/decisions\/(\d{4})-/.exec(path)?.[1];
    if (number !== undefined) assert.ok(text.startsWith(`# ${number}: `), path);
  }
});

test("no page names a path of the machine it was written on", () => {
  for (const { path, text } of pages) assert.doesNotMatch(text, /(?:^|[\s"'`(])\/(?:work|home|root|Users)\//m, path);
});
