/** What this is: the version of the package, of Node and of SQLite. */
import { readFileSync } from "node:fs";

/** The version in package.json. */
export function packageVersion(): string {
  for (const up of ["../../", "../../../"]) {
    try {
      const text = readFileSync(new URL(`${up}package.json`, import.meta.url), "utf8");
      return (JSON.parse(text) as { readonly version: string }).version;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    }
  }
  return "unknown";
}

/** The line that `-version` prints, in rqlited's order. */
export function versionLine(program: string): string {
  const { sqlite = "unknown", node } = process.versions;
  return `${program} v${packageVersion()} ${process.platform} ${process.arch} node${node} sqlite${sqlite}\n`;
}
