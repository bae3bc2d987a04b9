/** The two programs as they are started: from anywhere, through links, with the right Node or a clear refusal. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { OLDEST_NODE } from "../../src/cli/runtime.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const temporary = mkdtempSync(join(tmpdir(), "pumice-programs-"));
after(() => rmSync(temporary, { recursive: true }));

interface Ran {
  readonly status: number | null;
  readonly out: string;
  readonly err: string;
}

function run(program: string, args: readonly string[], environment: Record<string, string> = {}): Ran {
  const result = spawnSync(program, args, { cwd: temporary, encoding: "utf8", env: { PATH: "/usr/bin:/bin", ...environment } });
  return { status: result.status, out: result.stdout, err: result.stderr };
}

const version = (JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly version: string }).version;

test("both programs start from any directory and through links to links", () => {
  symlinkSync(join(root, "bin/pumiced"), join(temporary, "first"));
  symlinkSync("first", join(temporary, "pumiced"));
  for (const program of [join(root, "bin/pumiced"), "./pumiced"]) {
    const { status, out, err } = run(program, ["-version"]);
    assert.equal(err, "");
    assert.equal(status, 0);
    assert.match(out, new RegExp(`^pumiced v${version} \\S+ \\S+ node24\\.\\S+ sqlite3\\.\\S+\\n$`));
  }
  assert.match(run(join(root, "bin/pumice"), ["version"]).out, new RegExp(`^pumice v${version} `));
});

test("an older Node is refused in one line", () => {
  const oldNode = `data:text/javascript,Object.defineProperty(process.versions,"node",{value:"${OLDEST_NODE - 1}.9.9"})`;
  for (const program of ["pumiced", "pumice"]) {
    const { status, out, err } = run(join(root, "bin", program), ["-version"], { NODE_OPTIONS: `--import=${encodeURI(oldNode)}` });
    assert.equal(status, 1);
    assert.equal(out, "");
    assert.match(err, new RegExp(`^${program}: Node.js ${OLDEST_NODE} or newer is needed, and this is [^\\n]*\\n$`));
  }
});

test("package.json asks for the Node that the programs ask for", () => {
  const { engines } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { readonly engines: { readonly node: string } };
  assert.equal(engines.node, `>=${OLDEST_NODE}`);
});

test("a copy that was not built, and a machine without Node, get one line each that says what to do", () => {
  const copy = join(temporary, "copy");
  cpSync(join(root, "bin"), join(copy, "bin"), { recursive: true });
  const unbuilt = run(join(copy, "bin/pumiced"), ["-version"]);
  assert.equal(unbuilt.status, 1);
  assert.match(unbuilt.err, /^pumiced: not built yet: run 'npm install' in [^\n]*\n$/);
  symlinkSync(join(root, "dist"), join(copy, "dist"));
  const nodeless = run(join(copy, "bin/pumiced"), ["-version"], { PATH: temporary });
  assert.equal(nodeless.status, 1);
  assert.match(nodeless.err, /^pumiced: Node.js 24 or newer is needed and no node is on the PATH[^\n]*\n$/);
});

test("a refused command line is one line on stderr and exit code 1", () => {
  const { status, out, err } = run(join(root, "bin/pumiced"), ["-raft-non-voter", "data"]);
  assert.equal(status, 1);
  assert.equal(out, "");
  assert.match(err, /^pumiced: -raft-non-voter needs a cluster[^\n]*\n$/);
  assert.match(run(join(root, "bin/pumice"), ["lod"]).err, /^pumice: unknown command "lod"; [^\n]*\n$/);
});
