/**
 * Plants each known bug in a copy of the sources, runs every net over it, and prints what each caught.
 * `npm run mutants:raft -- [ID...] [--scripts DIR] [--seeds N] [--seconds N] [--first]`
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { MUTANTS } from "../raft/mutants/mutants.ts";
import { isCaught, raftLab, runNets } from "../raft/support/mutant-run.ts";
import { chosen, reportEach } from "../support/planted-bugs.ts";

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
const mutants = chosen(MUTANTS, positionals);
using lab = raftLab();
const control = runNets(lab, undefined, { ...budget, seconds: 5 });
if (isCaught(control)) throw new Error(`the nets object without a bug: ${JSON.stringify(control)}`);
const survivors = await reportEach(mutants, (mutant) => {
  const caught = runNets(lab, mutant, budget);
  if (typeof caught === "string") return { isCaught: true, nets: [`the nets ${caught}`] };
  const { outside: scripts, own, tests, seeds, seedsRun, reason } = caught;
  return {
    isCaught: isCaught(caught),
    nets: [`outside ${scripts}, own ${own}, tests ${tests}, seeds ${seeds} of ${seedsRun} ${reason}`.trimEnd()],
  };
});
process.exitCode = survivors === 0 ? 0 : 1;
