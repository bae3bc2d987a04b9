/**
 * Builds the SQLite extension, src/sql/native/*.c, into dist/native/ when it is missing or older than its sources. Plain JavaScript,
 * so that an installed package can run it on any Node: `node scripts/build-native.mjs`. The compiler is `cc`, or $CC.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { fileURLToPath } from "node:url";

const sourceDirectory = fileURLToPath(new URL("../src/sql/native/", import.meta.url));
const targetDirectory = fileURLToPath(new URL("../dist/native/", import.meta.url));
const suffix = process.platform === "darwin" ? "dylib" : process.platform === "win32" ? "dll" : "so";
const target = `${targetDirectory}pumice.${suffix}`;

/** The time of the last change, or 0 if there is no such file. */
function changedAt(path) {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function build() {
  const names = readdirSync(sourceDirectory).filter((name) => /\.[ch]$/.test(name));
  const newest = Math.max(...names.map((name) => changedAt(sourceDirectory + name)), changedAt(fileURLToPath(import.meta.url)));
  if (changedAt(target) > newest) return 0;
  mkdirSync(targetDirectory, { recursive: true });
  const sources = names.filter((name) => name.endsWith(".c")).map((name) => sourceDirectory + name);
  const compiler = process.env["CC"] ?? "cc";
  // Written beside and renamed, so that a running node never maps a half-written file and two builds at once do no harm.
  const unfinished = `${target}.${process.pid}`;
  const flags = ["-std=c11", "-D_POSIX_C_SOURCE=200809L", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-fvisibility=hidden"];
  const result = spawnSync(compiler, [...flags, "-o", unfinished, ...sources], { stdio: ["ignore", "inherit", "inherit"] });
  if (result.error !== undefined) {
    console.error(`pumice: no C compiler (${compiler}: ${result.error.code}); install one (Debian: apt install gcc libc6-dev) or set CC`);
    return 1;
  }
  if (result.status !== 0) {
    rmSync(unfinished, { force: true });
    console.error(`pumice: ${compiler} could not build the SQLite extension; its messages stand above`);
    return 1;
  }
  renameSync(unfinished, target);
  return 0;
}

process.exitCode = build();
