/**
 * Builds what is missing or older than its sources: JavaScript in dist/, the door `pumice/lsm` in dist/lsm/, the SQLite extension in dist/native/.
 * Incremental: a second run takes a fraction of a second.
 */
import { spawnSync } from "node:child_process";
import { cpSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { bundleDoor } from "./bundle.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

function run(command: string, args: readonly string[]): void {
  const result = spawnSync(command, args, { cwd: root, stdio: "inherit" });
  if (result.error !== undefined) throw result.error;
  if (result.status !== 0) process.exit(result.status ?? 1);
}

run(process.execPath, ["node_modules/typescript/bin/tsc", "-b"]);
// The console's static files stand beside the code that serves them.
cpSync(new URL("../src/server/console", import.meta.url), new URL("../dist/src/server/console", import.meta.url), { recursive: true });
await bundleDoor();
run(process.execPath, ["scripts/build-native.mjs"]);
