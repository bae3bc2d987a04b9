/** The package as npm installs it elsewhere: what it must bring, and that it runs there. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { freePort, startPumiced } from "../support/pumiced.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "pumice-package-"));
after(() => rmSync(folder, { recursive: true }));

function npm(...args: readonly string[]): void {
  const result = spawnSync("npm", [...args, "--loglevel=error", "--offline"], { cwd: folder, encoding: "utf8" });
  assert.equal(result.status, 0, `npm ${args.join(" ")}: ${result.stdout}${result.stderr}`);
}

test("the package installs into another project, builds its extension there, and runs by the Node on the PATH", async () => {
  writeFileSync(join(folder, "package.json"), '{ "name": "elsewhere", "version": "1.0.0" }');
  npm("pack", root, "--ignore-scripts");
  const [tarball = ""] = readdirSync(folder).filter((name) => name.endsWith(".tgz"));
  npm("install", `./${tarball}`);
  const installed = join(folder, "node_modules/pumice");
  const environment = { PATH: `${join(root, "node_modules/.bin")}:${process.env["PATH"]}` };
  const node = await startPumiced({ dataDirectory: join(folder, "data"), port: await freePort(), root: installed, environment });
  assert.equal(await node.end("SIGTERM"), 0);
  const version = spawnSync(join(folder, "node_modules/.bin/pumice"), ["version"], {
    encoding: "utf8",
    env: { ...process.env, ...environment },
  });
  assert.match(version.stdout, /^pumice v\d+\.\d+\.\d+ /);
});
