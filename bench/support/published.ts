/**
 * Programs of benchmarks as plain JavaScript that imports the files which npm would publish: what a user's process loads, without the compiler that
 * Node brings along for TypeScript (some 50 MiB beside the engine's sources, and time).
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** Builds the project, and the program of that name in this folder; gives the file to run. @throws if either does not build */
export async function buildProgram(name: string): Promise<string> {
  const built = spawnSync(process.execPath, [`${root}scripts/build.ts`], { stdio: "inherit" });
  if (built.status !== 0) throw new Error("the project does not build");
  await build({
    entryPoints: [`${root}bench/support/${name}.ts`],
    outdir: `${root}dist/bench`,
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "node",
    target: "node24",
    external: ["@slatedb/uniffi"],
    plugins: [
      {
        name: "the published door",
        setup: ({ onResolve }) => onResolve({ filter: /\/src\/entry\/lsm\.ts$/ }, () => ({ path: "pumice/lsm", external: true })),
      },
    ],
    logLevel: "warning",
  });
  return `${root}dist/bench/${name}.js`;
}
