/** Every rule of the linter and every setting of the compiler is tried by breaking it: one that catches nothing is no rule. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { ROOMS, ROOT, Skeleton } from "./support/skeleton.ts";

type Setting = string | readonly [string, ...unknown[]];
interface Restricted {
  readonly name?: string;
  readonly object?: string;
  readonly property?: string;
}
interface LintConfiguration {
  readonly rules: Readonly<Record<string, Setting>>;
  readonly overrides: readonly { readonly files: readonly string[]; readonly rules: Readonly<Record<string, Setting>> }[];
}

const configuration = JSON.parse(readFileSync(join(ROOT, ".oxlintrc.json"), "utf8")) as LintConfiguration;
const compilerOptions = (
  JSON.parse(readFileSync(join(ROOT, "tsconfig.base.json"), "utf8")) as { readonly compilerOptions: Record<string, unknown> }
).compilerOptions;

const lines = (count: number): string => Array.from({ length: count }, (_, i) => `  seen(${i});`).join("\n");

/** Rule -> a module of the room raft that breaks it, and no other rule that matters here. */
const LINT_CANARIES: Readonly<Record<string, string>> = {
  "typescript/no-floating-promises": `async function later(): Promise<void> {}\nexport function f(): void {\n  later();\n}\n`,
  "typescript/switch-exhaustiveness-check": `export function f(kind: "a" | "b"): number {\n  switch (kind) {\n    case "a":\n      return 1;\n  }\n  return 2;\n}\n`,
  "typescript/explicit-module-boundary-types": `export function f() {\n  return 1;\n}\n`,
  "typescript/no-explicit-any": `export const f: any = 1;\n`,
  "typescript/no-non-null-assertion": `export const f = (a: string | undefined): string => a!;\n`,
  "typescript/no-misused-promises": `async function later(): Promise<boolean> {\n  return true;\n}\nexport function f(): number {\n  if (later()) return 1;\n  return 2;\n}\n`,
  "typescript/await-thenable": `export async function f(): Promise<void> {\n  await 1;\n}\n`,
  "typescript/consistent-type-imports": `import { Thing } from "./thing.ts";\nexport const f = (a: Thing): Thing => a;\n`,
  "import/no-default-export": `export default 1;\n`,
  "no-var": `export function f(): number {\n  var a = 1;\n  return a;\n}\n`,
  eqeqeq: `export const f = (a: number, b: number): boolean => a == b;\n`,
  "no-empty": `export function f(a: boolean): void {\n  if (a) {\n  }\n}\n`,
  "no-console": `export const f = (): void => console.log(1);\n`,
  "max-lines": `export const f = [\n${"  1,\n".repeat(600)}];\n`,
  "max-lines-per-function": `function seen(a: number): void {\n  void a;\n}\nexport function f(): void {\n${lines(71)}\n}\n`,
  "max-params": `export const f = (a: number, b: number, c: number, d: number, e: number): number => a + b + c + d + e;\n`,
  "max-depth": `export function f(a: boolean): void {\n  if (a) {\n    if (!a) {\n      if (a) {\n        if (!a) {\n          if (a) f(a);\n        }\n      }\n    }\n  }\n}\n`,
};

/** Setting -> a module that compiles without it and not with it. `strict` stands for its family. */
const COMPILER_CANARIES: Readonly<Record<string, string>> = {
  strict: `export const f = (a: string | undefined): number => a.length;\n`,
  exactOptionalPropertyTypes: `export const f: { a?: number } = { a: undefined };\n`,
  noUncheckedIndexedAccess: `export const f = (a: readonly number[]): number => a[0];\n`,
  noPropertyAccessFromIndexSignature: `export const f = (a: Record<string, number>): unknown => a.key;\n`,
  noImplicitOverride: `class A {\n  go(): void {}\n}\nexport class B extends A {\n  go(): void {}\n}\n`,
  noImplicitReturns: `export function f(a: boolean): number | undefined {\n  if (a) return 1;\n}\n`,
  noFallthroughCasesInSwitch: `export function f(a: number): number {\n  let b = 0;\n  switch (a) {\n    case 1:\n      b = 1;\n    default:\n      b += 2;\n  }\n  return b;\n}\n`,
  noUnusedLocals: `const unused = 1;\nexport const f = 2;\n`,
  noUnusedParameters: `export const f = (a: number): number => 1;\n`,
  noUncheckedSideEffectImports: `import "./nowhere.ts";\nexport const f = 1;\n`,
  verbatimModuleSyntax: `import { Thing } from "./thing.ts";\nexport const f = (a: Thing): Thing => a;\n`,
  isolatedModules: `export { Thing } from "./thing.ts";\n`,
  erasableSyntaxOnly: `export enum F {\n  A,\n}\n`,
  allowUnreachableCode: `export function f(): number {\n  return 1;\n  return 2;\n}\n`,
  allowUnusedLabels: `export function f(): void {\n  label: for (;;) break;\n}\n`,
};

/** Settings that shape the output and forbid nothing. */
const SHAPE = [
  "target",
  "lib",
  "module",
  "moduleDetection",
  "types",
  "rootDir",
  "outDir",
  "rewriteRelativeImportExtensions",
  "composite",
  "declaration",
];
const SHAPE_TOO = ["declarationMap", "sourceMap", "noEmitOnError", "skipLibCheck"];

test("every setting of the compiler catches what it is there for", () => {
  using skeleton = new Skeleton();
  skeleton.build();
  const checked = Object.keys(compilerOptions).filter((name) => !SHAPE.includes(name) && !SHAPE_TOO.includes(name));
  assert.deepEqual(checked.sort(), Object.keys(COMPILER_CANARIES).sort(), "each setting has its canary");
  skeleton.plant("src/raft/thing.ts", `export interface Thing {\n  readonly a: number;\n}\n`);
  for (const [name, text] of Object.entries(COMPILER_CANARIES)) skeleton.plant(`src/raft/canary-${name}.ts`, text);
  const caught = new Set(skeleton.compile("raft").map((each) => each.file));
  const missed = Object.keys(COMPILER_CANARIES).filter((name) => !caught.has(`src/raft/canary-${name}.ts`));
  assert.deepEqual(missed, []);
});

test("every rule of the linter catches what it is there for", () => {
  using skeleton = new Skeleton();
  skeleton.build();
  const on = Object.entries(configuration.rules).filter(([, setting]) => setting !== "off");
  assert.deepEqual(on.map(([name]) => name).sort(), Object.keys(LINT_CANARIES).sort(), "each rule has its canary");
  skeleton.plant("src/raft/thing.ts", `export interface Thing {\n  readonly a: number;\n}\n`);
  const expected: [file: string, code: string][] = [];
  const plant = (file: string, code: string, text: string): void => {
    skeleton.plant(file, text);
    expected.push([file, code]);
  };
  for (const [rule, text] of Object.entries(LINT_CANARIES)) plant(`src/raft/canary-${rule.replace("/", "-")}.ts`, rule, text);
  plantRestrictions(plant);
  const findings = skeleton.lint();
  const missed = expected.filter(([file, code]) => !findings.some((each) => each.file === file && isCode(each.code, code)));
  assert.deepEqual(missed, []);
});

/** One canary for each restricted name, in each room for which it is restricted. */
function plantRestrictions(plant: (file: string, code: string, text: string) => void): void {
  let count = 0;
  for (const { files, rules } of configuration.overrides) {
    const rooms = files.flatMap((pattern) => (pattern === "src/**" ? ROOMS : (/^src\/(\w+)\/\*\*$/.exec(pattern)?.[1] ?? [])));
    for (const room of rooms) {
      for (const name of restricted(rules["no-restricted-globals"]).map((each) => each.name ?? "")) {
        plant(`src/${room}/global-${name}.ts`, "no-restricted-globals", `export const f = (): unknown => ${name};\n`);
      }
      for (const { object = "subject", property = "" } of restricted(rules["no-restricted-properties"])) {
        plant(
          `src/${room}/property-${property}.ts`,
          "no-restricted-properties",
          `export const f = (subject: never): unknown => [subject, ${object}.${property}];\n`,
        );
      }
      if (rules["typescript/no-deprecated"] !== undefined) {
        const canary = "export const f = (bytes: Uint8Array): Uint8Array => bytes.slice(1);\n";
        plant(`src/${room}/slice-of-bytes.ts`, "typescript/no-deprecated", canary);
      }
      if (rules["no-restricted-imports"] === undefined) continue;
      count += 1;
      for (const other of ROOMS.filter((each) => each !== room)) {
        plant(
          `src/${room}/past-door-${other}.ts`,
          "no-restricted-imports",
          `import { inner } from "../${other}/inner.ts";\nexport const f = inner;\n`,
        );
      }
    }
  }
  assert.ok(count > ROOMS.length, "every room has its doors, and the pure rooms and cli more");
  for (const room of ["base", "raft", "lsm", "sql", "replica", "sim"]) {
    plant(`src/${room}/package.ts`, "no-restricted-imports", `import { fc } from "fast-check";\nexport const f: unknown = fc;\n`);
    plant(
      `src/${room}/node-fs.ts`,
      "no-restricted-imports",
      `import { readFileSync } from "node:fs";\nexport const f: unknown = readFileSync;\n`,
    );
  }
}

function restricted(setting: Setting | undefined): readonly Restricted[] {
  return Array.isArray(setting) ? (setting.slice(1) as Restricted[]) : [];
}

/** The linter prints eslint(no-var) or typescript-eslint(no-explicit-any) for the rule no-var or typescript/no-explicit-any. */
function isCode(printed: string, rule: string): boolean {
  return printed.endsWith(`(${rule.replace(/^.*\//, "")})`);
}
