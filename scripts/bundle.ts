/**
 * The door `pumice/lsm` as few files in dist/lsm/: the door, the entry of its compaction thread, and what both share. A hundred small modules take
 * several times as long to load as they take in one file. The types are those that tsc writes for src/entry/lsm.ts.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = `${root}dist/lsm`;

/** What is asked for by its name: by package.json, and by the door when it starts its thread. */
const ENTRIES = ["lsm", "lsm-compaction-worker"];

/** Bundles what tsc has built. @throws if a file is missing, or names a module that is not there. */
export async function bundleDoor(): Promise<void> {
  const { outputFiles } = await build({
    entryPoints: ENTRIES.map((name) => `${root}dist/src/entry/${name}.js`),
    outdir: folder,
    chunkNames: "shared-[hash]",
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node24",
    // Names stay: they are in stack traces. So do lines of a length that a trace can point into.
    minifySyntax: true,
    minifyWhitespace: true,
    lineLimit: 200,
    legalComments: "none",
    logLevel: "warning",
    write: false,
  });
  mkdirSync(folder, { recursive: true });
  const stored = new Set(readdirSync(folder));
  // What others may be reading at this moment is written only if it changed.
  for (const { path, contents } of outputFiles) {
    if (!stored.has(basename(path)) || !readFileSync(path).equals(contents)) writeFileSync(path, contents);
  }
  // The name of what is shared has its content in it: that of an earlier build would stay.
  const made = new Set(outputFiles.map(({ path }) => basename(path)));
  for (const name of stored) if (!made.has(name)) rmSync(`${folder}/${name}`);
}
