/**
 * Runs test/long/sim-lsm.ts in a process of its own: under the test runner, which follows every promise, simulated lives take four times as long.
 */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const SCRIPT = fileURLToPath(new URL("../../../long/sim-lsm.ts", import.meta.url));

/** What those lives consisted of, summed up. Rejects, with the failure and its seed in the message, if one of them failed. */
export async function simLives(...options: string[]): Promise<Record<string, number>> {
  const { stdout } = await promisify(execFile)(process.execPath, [SCRIPT, ...options]);
  return JSON.parse(/^from seed \d+: (.*)$/m.exec(stdout)?.[1] ?? "") as Record<string, number>;
}
