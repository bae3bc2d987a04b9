/** Where the SQLite extension that was built for this machine stands. */
import { fileURLToPath } from "node:url";

const SUFFIX = process.platform === "darwin" ? "dylib" : process.platform === "win32" ? "dll" : "so";

/** Path of the extension; the same from src/ and from dist/src/. Whether it exists is found out when it is loaded. */
export function extensionPath(): string {
  const isBuilt = import.meta.url.endsWith(".js");
  return fileURLToPath(new URL(`${isBuilt ? "../../native" : "../../dist/native"}/pumice.${SUFFIX}`, import.meta.url));
}
