/**
 * The gate: everything that must hold before a change lands. `npm test` runs it whole.
 * `npm test -- PATTERN...` runs only the test files that match, after the same build.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const patterns = process.argv.slice(2);

function step(name: string, args: readonly string[]): void {
  const started = performance.now();
  const result = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
  if (result.error !== undefined) throw result.error;
  if (result.status !== 0) {
    console.error(`gate: ${name} failed`);
    process.exit(result.status ?? 1);
  }
  if (name !== "test") console.log(`gate: ${name} ok (${((performance.now() - started) / 1000).toFixed(1)} s)`);
}

const bin = "node_modules";
if (patterns.length === 0) {
  step("lint", [`${bin}/oxlint/bin/oxlint`, "--type-aware", "--deny-warnings"]);
  step("format", [`${bin}/oxfmt/bin/oxfmt`, "--check"]);
  step("dead code", [`${bin}/knip/bin/knip.js`, "--no-progress"]);
}
step("test", ["--test", "--test-concurrency=2", ...(patterns.length === 0 ? ["test/**/*.test.ts"] : patterns)]);
