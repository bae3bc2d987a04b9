/** Commands that show what a store's files say. They change nothing. */
import { PumiceError } from "../../base/mod.ts";
import type { StoredVersion } from "../../lsm/mod.ts";
import { adminOf, JSON_FLAG, printJson, printTable, timeText, type CommandContext, type LsmCommand } from "./context.ts";
import { UsageError } from "./arguments.ts";

/** `manifests`: what is stored. */
export const manifests: LsmCommand = {
  names: [],
  flags: { json: JSON_FLAG },
  help: "list the stored versions of the manifest; the last is in force",
  async run(context) {
    const stored = await adminOf(context).listManifests();
    if (stored.length === 0) throw new PumiceError("LSM_NOT_FOUND");
    printVersions(context, stored);
    return 0;
  },
};

/** `manifest [ID]`: one, as JSON. */
export const manifest: LsmCommand = {
  names: ["[ID]"],
  flags: {},
  help: "show a manifest as JSON; default: the one in force",
  async run(context) {
    const { id, value } = await adminOf(context).readManifest(idOf(context.args.at(1)));
    printJson(context.output, { id, ...value });
    return 0;
  },
};

/** `compactions`: what is stored. */
export const compactions: LsmCommand = {
  names: [],
  flags: { json: JSON_FLAG },
  help: "list the stored versions of the compactions file; the last is in force",
  async run(context) {
    const admin = adminOf(context);
    await admin.readManifest();
    printVersions(context, await admin.listCompactions());
    return 0;
  },
};

/** `compaction [ID]`: one compactions file, or one compaction of the file in force, as JSON. */
export const compaction: LsmCommand = {
  names: ["[ID|ULID]"],
  flags: {},
  help: "show a compactions file as JSON, default the one in force; or the compaction of that ULID",
  async run(context) {
    const admin = adminOf(context);
    await admin.readManifest();
    const what = context.args.at(1);
    if (what.length === 26) {
      const one = await admin.readCompaction(what);
      if (one === undefined) context.output.problem(`no such compaction in the file in force: ${what}`);
      else printJson(context.output, one);
      return one === undefined ? 1 : 0;
    }
    const found = await admin.readCompactions(idOf(what));
    if (found === undefined) {
      context.output.problem("there is no such compactions file");
      return 1;
    }
    printJson(context.output, { id: found.id, ...found.value });
    return 0;
  },
};

/** `sst ULID`: an SST as its footer describes it. */
export const sst: LsmCommand = {
  names: ["ULID"],
  flags: {},
  help: "describe an SST of the compacted folder by its own footer",
  async run(context) {
    printJson(context.output, await adminOf(context).describeSst(context.args.at(1)));
    return 0;
  },
};

/** `timeline`: sequence numbers and times. */
export const timeline: LsmCommand = {
  names: [],
  flags: {
    seq: { type: "string", value: "N", help: "only the point at this sequence number, or next to it" },
    time: { type: "string", value: "TIME", help: "only the point at this time (ISO 8601, or seconds since 1970), or next to it" },
    up: { type: "boolean", help: "with --seq, --time: the next point behind, not before" },
    json: JSON_FLAG,
  },
  help: "list the points at which sequence number and time are known together, a minute or more apart",
  async run(context) {
    const { args, output } = context;
    const admin = adminOf(context);
    const [seq, timeMs] = [args.count("seq"), args.time("time")];
    if (seq !== undefined && timeMs !== undefined) throw new UsageError("give either --seq or --time");
    const round = args.has("up") ? "up" : "down";
    const asked = seq === undefined ? (timeMs === undefined ? undefined : admin.seqAt(timeMs, { round })) : admin.timeOf(seq, { round });
    const points = asked === undefined ? await admin.timeline() : [await asked].flatMap((point) => point ?? []);
    if (args.has("json")) printJson(output, points);
    else
      printTable(
        output,
        points.map((point) => [String(point.seq), timeText(point.timeS * 1000)]),
      );
    if (asked === undefined || points.length > 0) return 0;
    output.problem("no point is known on that side");
    return 1;
  },
};

function idOf(text: string): number | undefined {
  if (text === "") return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new UsageError(`not an id: ${text}`);
  return Number(text);
}

function printVersions({ args, output }: CommandContext, stored: readonly StoredVersion[]): void {
  if (args.has("json")) printJson(output, stored);
  else
    printTable(
      output,
      stored.map(({ id, key, lastModifiedMs }) => [String(id), timeText(lastModifiedMs), key]),
    );
}
