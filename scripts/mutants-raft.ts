/**
 * Plants each known bug in a copy of the sources, runs every net over it, and prints which caught it.
 * `npm run mutants:raft -- [ID...] [--scripts DIR] [--seeds N] [--seconds N] [--first]`
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { MUTANTS } from "../test/raft/mutants/mutants.ts";
import { isCaught, MutantLab } from "../test/raft/support/mutant-run.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { scripts: { type: "string" }, seeds: { type: "string" }, seconds: { type: "string" }, first: { type: "boolean" } },
});
const root = fileURLToPath(new URL("..", import.meta.url));
const outside = values.scripts ?? join(process.env["PUMICE_CONFORMANCE"] ?? join(root, "..", "shared", "conformance"), "etcd-raft");
const budget = {
  outside: existsSync(outside) ? outside : undefined,
  seeds: Number(values.seeds ?? 2000),
  seconds: Number(values.seconds ?? 15),
  stopAtFirst: values.first === true,
};
const wanted = MUTANTS.filter((mutant) => positionals.length === 0 || positionals.includes(mutant.id));
const lab = new MutantLab();
let survivors = 0;
try {
  const control = lab.run(undefined, { ...budget, seconds: 5 });
  if (isCaught(control)) throw new Error(`the nets object without a bug: ${JSON.stringify(control)}`);
  console.log("id   outside  own  tests  seeds        bug");
  for (const mutant of wanted) {
    const caught = lab.run(mutant, budget);
    const row =
      typeof caught === "string"
        ? caught.padEnd(33)
        : `${cell(caught.outside, 7)}  ${cell(caught.own, 3)}  ${cell(caught.tests, 5)}  ${`${caught.seeds}/${caught.seedsRun}`.padEnd(11)}`;
    const isSurvivor = !isCaught(caught);
    if (isSurvivor && mutant.mayLive === undefined) survivors++;
    const reason = typeof caught === "string" || caught.reason === "" ? "" : ` [${caught.reason}]`;
    console.log(
      `${mutant.id}  ${row}  ${mutant.bug}${isSurvivor ? ` SURVIVES${mutant.mayLive === undefined ? "" : `: ${mutant.mayLive}`}` : reason}`,
    );
  }
} finally {
  lab.remove();
}
console.log(`${wanted.length} planted, ${survivors} survive without a reason`);
process.exit(survivors === 0 ? 0 : 1);

function cell(count: number, width: number): string {
  return (count === 0 ? "-" : String(count)).padStart(width);
}
