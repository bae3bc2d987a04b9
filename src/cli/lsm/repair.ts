/** `pumice lsm repair`: shows what would be done to a damaged database; does it only when told to do exactly that. */
import { hash } from "node:crypto";
import { unreachable } from "../../base/mod.ts";
import type { RepairPlan, RepairStep } from "../../lsm/mod.ts";
import { adminOf, type LsmCommand, type Output } from "./context.ts";

/** See the header of this file. */
export const repair: LsmCommand = {
  names: [],
  flags: {
    apply: { type: "string", value: "PLAN", help: "carry out the plan of that name, which was shown before, if it is still the plan" },
  },
  help: "show what would make a damaged database openable, and with --apply do it; exit code 2 if something is to be done and was not",
  async run(context) {
    const { output, args } = context;
    const plan = await adminOf(context).planRepair();
    showPlan(output, plan);
    if (plan.baseManifestId === undefined) return 2;
    if (plan.steps.length === 0) return 0;
    const name = hash("sha256", JSON.stringify(plan)).slice(0, 8);
    const wanted = args.flag("apply");
    if (wanted !== name) {
      if (wanted !== undefined) output.problem(`repair: this is not plan ${wanted}: the database has changed since that was shown`);
      output.out(`nothing was changed; stop all processes that use the database, copy it if you can, then add --apply ${name}\n`);
      return 2;
    }
    // A fresh look: what the plan's making has read must not be taken from memory.
    await adminOf(context).repair(plan);
    const report = await adminOf(context).verify();
    for (const { object, problem } of report.findings) output.out(`still wrong: ${object}: ${problem}\n`);
    output.out(report.findings.length === 0 ? "done; the database verifies\n" : "done, but the database does not verify\n");
    return report.findings.length === 0 ? 0 : 2;
  },
};

function showPlan(output: Output, plan: RepairPlan): void {
  if (plan.baseManifestId === undefined) {
    output.out("no manifest can be read: there is nothing to build a repair on\n");
    return;
  }
  if (plan.steps.length === 0) {
    output.out("nothing to repair\n");
    return;
  }
  output.out(`on manifest ${plan.baseManifestId}:\n`);
  for (const step of plan.steps) output.out(`  ${textOf(step)}\n      because: ${step.reason}\n`);
}

function textOf(step: RepairStep): string {
  switch (step.kind) {
    case "set-manifest-aside":
      return `move ${step.object} to set-aside/: what was committed by it is lost`;
    case "drop-checkpoint":
      return `drop checkpoint ${step.checkpoint}`;
    case "drop-sst":
      return `go on without ${step.object}: its rows are lost, older versions of them may show again`;
    case "set-wal-aside":
      return `move ${step.object} to set-aside/: its rows are lost`;
    default:
      return unreachable(step);
  }
}
