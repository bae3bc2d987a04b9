/**
 * Plants bugs, one at a time, in a copy of the built node and runs the kill test on it. Each must be caught: a test that lets one through proves
 * nothing. `npm run torture:planted -- [ID...]`
 */
import { MUTANTS } from "./torture/mutants.ts";
import { torture } from "./torture/kill.ts";
import { BugLab, chosen, reportEach } from "../support/planted-bugs.ts";

const seed = Math.floor(Math.random() * 2 ** 31);
console.log(`seed ${seed}`);
using lab = new BugLab(["bin", "dist", "package.json"]);
const survivors = await reportEach(chosen(MUTANTS, process.argv.slice(2)), async (bug) => {
  const takeOut = lab.plant(bug);
  try {
    const settings = { durationMs: 60_000, clientCount: 16, root: lab.directory, keepData: false };
    const { broken, kills } = await torture({ seed, ...settings, say: console.log });
    return { isCaught: broken.length > 0, nets: [`${kills} kills: ${broken[0] ?? "nothing is broken"}`] };
  } finally {
    takeOut();
  }
});
process.exitCode = survivors === 0 ? 0 : 1;
