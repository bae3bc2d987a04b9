/** The C extension and its build. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { isSoundVersion } from "../../src/sql/connection/connection.ts";
import { EXTENSION, temporaryFolder } from "./support/database.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

test("the extension is built when it is missing or older than its sources, and only then", (context) => {
  const folder = temporaryFolder(context);
  mkdirSync(join(folder, "scripts"));
  cpSync(join(root, "src/sql/native"), join(folder, "src/sql/native"), { recursive: true });
  cpSync(join(root, "scripts/build-native.mjs"), join(folder, "scripts/build-native.mjs"));
  const script = join(folder, "scripts/build-native.mjs");
  const build = (env: NodeJS.ProcessEnv = {}): ReturnType<typeof spawnSync> =>
    spawnSync(process.execPath, [script], { env: { ...process.env, ...env }, encoding: "utf8" });
  const target = join(folder, "dist/native/pumice.so");
  const without = build({ CC: "no-such-compiler" });
  assert.equal(without.status, 1);
  assert.match(
    String(without.stderr),
    /^pumice: no C compiler \(no-such-compiler: ENOENT\); install one \(Debian: apt install gcc libc6-dev\) or set CC\n$/,
  );
  assert.equal(build().status, 0);
  const first = statSync(target).mtimeMs;
  assert.equal(build({ CC: "no-such-compiler" }).status, 0, "nothing to do");
  assert.equal(statSync(target).mtimeMs, first);
  const later = new Date(Date.now() + 5000);
  utimesSync(join(folder, "src/sql/native/random.c"), later, later);
  assert.equal(build({ CC: "no-such-compiler" }).status, 1, "a source is newer");
  assert.ok(existsSync(target));
});

test("the sources compile without a warning", (context) => {
  const sources = ["clock-vfs", "copy", "describe", "extension", "limits", "random"].map((name) =>
    join(root, "src/sql/native", `${name}.c`),
  );
  const flags = ["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"];
  const result = spawnSync(process.env["CC"] ?? "cc", [...flags, "-o", join(temporaryFolder(context), "x.so"), ...sources], {
    encoding: "utf8",
  });
  assert.equal(result.status, 0, result.stderr);
});

test("a program's other connections are left alone: the VFS is not the default, their functions and clock are SQLite's", (context) => {
  const host = new DatabaseSync(":memory:", { allowExtension: true });
  host.loadExtension(EXTENSION);
  const other = new DatabaseSync(join(temporaryFolder(context), "other"));
  context.after(() => {
    host.close();
    other.close();
  });
  const apply = new DatabaseSync(":memory:", { allowExtension: true });
  apply.loadExtension(EXTENSION);
  const draw = (): unknown => apply.prepare("SELECT pumice_enter(1000, 7, 1e9), unixepoch() AS at, hex(randomblob(8)) AS r").get();
  assert.deepEqual(draw(), draw());
  // The same thread, in the middle of an entry.
  const row = other.prepare("SELECT unixepoch() AS now, datetime('now') AS text").get();
  assert.ok(Math.abs(Number(row?.["now"]) - Date.now() / 1000) < 60, JSON.stringify(row));
  assert.throws(() => other.prepare("SELECT pumice_leave()"), /no such function/);
  apply.prepare("SELECT pumice_leave()").get();
  apply.close();
});

test("SQLite versions that can lose a commit when the WAL is reset are refused", () => {
  const sound = ["3.51.3", "3.51.4", "3.52.1", "3.53.0", "3.53.4", "3.100.0", "4.0.0"];
  const unsound = ["3.51.2", "3.51.0", "3.52.0", "3.50.9", "3.7.17", "2.8.0", "", "x.y.z"];
  for (const version of sound) assert.equal(isSoundVersion(version), true, version);
  for (const version of unsound) assert.equal(isSoundVersion(version), false, version);
});
