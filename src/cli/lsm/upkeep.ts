/** Commands that look after a store: checkpoints, clones, compaction, garbage collection, verification. */
import { Admin, cloneStore, type Checkpoint } from "../../lsm/mod.ts";
import { UsageError } from "./arguments.ts";
import { adminOf, TOOL_PATIENCE, printJson, printTable, timeText, type CommandContext, type LsmCommand } from "./context.ts";

const LIFETIME = {
  type: "string",
  value: "DURATION",
  help: "how long it is kept, such as 15m or 7d; default: until it is deleted",
} as const;

/** `checkpoint create|list|refresh|delete`. */
export const checkpoint: LsmCommand = {
  names: ["create|list|refresh|delete", "[UUID]"],
  flags: {
    name: { type: "string", value: "NAME", help: "create: its name; list: only those of this name" },
    lifetime: LIFETIME,
    json: { type: "boolean", help: "list: print JSON" },
    source: { type: "string", value: "UUID", help: "create: of this checkpoint's state instead of the latest" },
  },
  help: "create, list, refresh or delete checkpoints",
  async run(context) {
    const { args, output } = context;
    const admin = adminOf(context);
    const [action, id] = [args.at(1), args.at(2)];
    if ((action === "refresh" || action === "delete") === (id === "")) {
      throw new UsageError(id === "" ? `checkpoint ${action} needs the UUID` : `checkpoint ${action} takes no UUID`);
    }
    const lifetimeMs = args.duration("lifetime");
    switch (action) {
      case "list": {
        const known = await admin.listCheckpoints(args.flag("name"));
        if (args.has("json")) printJson(output, known);
        else printTable(output, known.map(rowOf));
        return 0;
      }
      case "create":
        printJson(output, await admin.createCheckpoint({ lifetimeMs, name: args.flag("name"), source: args.flag("source") }));
        return 0;
      case "refresh":
        printJson(output, await admin.refreshCheckpoint(id, lifetimeMs));
        return 0;
      case "delete":
        return await deleteOne(context, id);
      default:
        throw new UsageError(`checkpoint ${action} is not known; create, list, refresh and delete are`);
    }
  },
};

async function deleteOne(context: CommandContext, id: string): Promise<number> {
  const admin = adminOf(context);
  if (!(await admin.listCheckpoints()).some((known) => known.id === id)) {
    context.output.problem(`no such checkpoint: ${id}`);
    return 1;
  }
  await admin.deleteCheckpoint(id);
  return 0;
}

function rowOf(known: Checkpoint): string[] {
  const until = known.expireTimeS === 0 ? "kept until deleted" : `kept until ${timeText(known.expireTimeS * 1000)}`;
  return [known.id, `manifest ${known.manifestId}`, timeText(known.createTimeS * 1000), until, known.name ?? ""];
}

/** `clone CHILD`. */
export const clone: LsmCommand = {
  names: ["CHILD"],
  flags: { checkpoint: { type: "string", value: "UUID", help: "begin with this checkpoint's state; default: the latest" } },
  help: "make the database CHILD, a path in STORE like that of --root, a clone that shares the files of this one",
  async run({ args, target }) {
    await cloneStore(target.root, args.at(1), target.components, { checkpoint: args.flag("checkpoint") });
    return 0;
  },
};

/** `gc`. */
export const gc: LsmCommand = {
  names: [],
  flags: {
    "min-age": { type: "string", value: "DURATION", help: "delete nothing younger; default 5m, which protects readers and other writers" },
    every: { type: "string", value: "DURATION", help: "go on, at these intervals, until interrupted" },
  },
  help: "delete what no manifest and no checkpoint needs any more",
  async run(context) {
    const { args, target } = context;
    const minAgeMs = args.duration("min-age") ?? 300_000;
    const intervalMs = args.duration("every");
    if (intervalMs === 0) throw new UsageError("--every must be more than nothing");
    if (intervalMs === undefined) printJson(context.output, await adminOf(context).collectGarbage(minAgeMs));
    else {
      const admin = new Admin(target.root, target.components, { ...TOOL_PATIENCE, gc: { intervalMs, minAgeMs } });
      await untilInterrupted(async (signal) => await admin.runGarbageCollector({ signal }));
    }
    return 0;
  },
};

/** `compact`. */
export const compact: LsmCommand = {
  names: [],
  flags: {
    tiered: { type: "boolean", help: "only what the size-tiered rule asks for; default: everything into one run" },
    serve: { type: "boolean", help: "go on, by the size-tiered rule, until interrupted: for a writer that has no compactor" },
  },
  help: "merge SSTs; a compactor that runs elsewhere is fenced off by this",
  async run(context) {
    const admin = adminOf(context);
    if (context.args.has("serve")) await untilInterrupted(async (signal) => await admin.runCompactor({ signal }));
    else await admin.compact(context.args.has("tiered") ? "tiered" : "everything");
    return 0;
  },
};

/** Runs `work` until SIGINT or SIGTERM. */
async function untilInterrupted(work: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const controller = new AbortController();
  const stop = (): void => controller.abort();
  process.once("SIGINT", stop);
  process.once("SIGTERM", stop);
  try {
    await work(controller.signal);
  } finally {
    process.removeListener("SIGINT", stop);
    process.removeListener("SIGTERM", stop);
  }
}

/** `destroy`. */
export const destroy: LsmCommand = {
  names: [],
  flags: {
    confirm: { type: "boolean", help: "do it; without this, only say what would be deleted" },
    "even-with-checkpoints": { type: "boolean", help: "although readers or clones may need what its checkpoints hold" },
  },
  help: "delete the database, all its objects; exit code 1 if it was not done",
  async run(context) {
    const { args, output, target } = context;
    const admin = adminOf(context);
    const { value } = await admin.readManifest();
    if (!args.has("confirm")) {
      const { l0, runs, checkpoints } = value;
      output.out(`${target.address}: ${l0.length} L0 SSTs, ${runs.length} sorted runs, ${checkpoints.length} checkpoints\n`);
      output.problem("nothing was deleted; --confirm deletes the database");
      return 1;
    }
    output.out(`${await admin.destroy({ evenWithCheckpoints: args.has("even-with-checkpoints") })} objects deleted\n`);
    return 0;
  },
};

/** `verify`. */
export const verify: LsmCommand = {
  names: [],
  flags: { json: { type: "boolean", help: "print the report as JSON" } },
  help: "read everything and check every checksum and invariant; exit code 2 if something is wrong",
  async run(context) {
    const { output } = context;
    const report = await adminOf(context).verify();
    if (context.args.has("json")) printJson(output, report);
    else {
      for (const { object, problem } of report.findings) output.out(`${object}: ${problem}\n`);
      const { manifests, ssts, wals, rows, findings } = report;
      const looked = `${manifests} manifests, ${ssts} SSTs, ${wals} WAL objects, ${rows} rows`;
      output.out(`${findings.length === 0 ? "ok" : `${findings.length} found`}: ${looked}\n`);
    }
    return report.findings.length === 0 ? 0 : 2;
  },
};
