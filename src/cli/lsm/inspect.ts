/** Commands that show what a store's files say. They change nothing. */
import { adminOf, printJson, printTable, timeText, type LsmCommand } from "./context.ts";
import { UsageError } from "./arguments.ts";

/** `manifests`: what is stored. */
export const manifests: LsmCommand = {
  names: [],
  flags: {},
  help: "list the stored versions of the manifest; the last is in force",
  async run(context) {
    const stored = await adminOf(context).listManifests();
    printTable(
      context.output,
      stored.map(({ id, key, lastModifiedMs }) => [String(id), timeText(lastModifiedMs), key]),
    );
    return stored.length > 0 ? 0 : nothing(context.output, context.target.address);
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
  flags: {},
  help: "list the stored versions of the compactions file; the last is in force",
  async run(context) {
    const stored = await adminOf(context).listCompactions();
    printTable(
      context.output,
      stored.map(({ id, key, lastModifiedMs }) => [String(id), timeText(lastModifiedMs), key]),
    );
    return 0;
  },
};

/** `compaction [ID]`: one compactions file, as JSON. */
export const compaction: LsmCommand = {
  names: ["[ID]"],
  flags: {},
  help: "show a compactions file as JSON; default: the one in force",
  async run(context) {
    const found = await adminOf(context).readCompactions(idOf(context.args.at(1)));
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
  flags: {},
  help: "list the points at which sequence number and time are known together",
  async run(context) {
    for (const point of await adminOf(context).timeline()) printJson(context.output, point);
    return 0;
  },
};

function idOf(text: string): number | undefined {
  if (text === "") return undefined;
  if (!/^\d{1,15}$/.test(text)) throw new UsageError(`not an id: ${text}`);
  return Number(text);
}

function nothing(output: { problem(text: string): void }, address: string): number {
  output.problem(`there is no database at ${address}`);
  return 1;
}
