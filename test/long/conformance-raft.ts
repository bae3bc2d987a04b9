/**
 * Replays datadriven scripts against the consensus core and compares byte for byte.
 * `npm run conformance:raft -- DIR`: DIR has subfolders interaction, quorum and confchange.
 */
import { existsSync } from "node:fs";
import { describeDifference, runScripts } from "../raft/support/conformance.ts";

const directory = process.argv[2];
if (directory === undefined || !existsSync(directory)) {
  console.error("usage: npm run conformance:raft -- DIR   (a directory with interaction/, quorum/ and confchange/)");
  process.exit(2);
}
const results = runScripts(directory);
const failed = results.filter((result) => result.difference !== undefined);
for (const result of results)
  if (result.difference === undefined) console.log(`ok   ${result.file} (${result.commands} commands, ${result.bytes} bytes)`);
for (const result of failed) console.log(`FAIL ${describeDifference(result)}`);
console.log(`${results.length - failed.length} passed, ${failed.length} failed`);
process.exit(failed.length === 0 && results.length > 0 ? 0 : 1);
