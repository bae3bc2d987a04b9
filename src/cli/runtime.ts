/** What both programs do before anything else: refuse a Node that is too old, and let a newer one keep its compiled code. */
import * as nodeModule from "node:module";
import { fileURLToPath } from "node:url";

/** The oldest major version of Node that Pumice runs on; package.json's `engines` says the same, and a test compares. */
export const OLDEST_NODE = 24;

/** False, with one line on stderr and exit code 1 to come, if this Node is too old. */
export function prepareRuntime(program: string): boolean {
  if (Number(process.versions.node.split(".")[0]) < OLDEST_NODE) {
    process.stderr.write(
      `${program}: Node.js ${OLDEST_NODE} or newer is needed, and this is ${process.version} (${process.execPath}): install a newer one from https://nodejs.org\n`,
    );
    process.exitCode = 1;
    return false;
  }
  // Beside the code, and not in a folder of all users, where another one could have put code for us to run.
  nodeModule.enableCompileCache(fileURLToPath(new URL("../../.cache", import.meta.url)));
  return true;
}
