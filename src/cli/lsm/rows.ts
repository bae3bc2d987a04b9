/** Commands that read and write rows. */
import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { Db, DbReader, type LsmOptions, type ScanOptions } from "../../lsm/mod.ts";
import { adminOf, TOOL_PATIENCE, type CommandContext, type LsmCommand } from "./context.ts";
import { UsageError } from "./arguments.ts";

const CHECKPOINT = { type: "string", value: "UUID", help: "read the state of this checkpoint" } as const;
/** A tool that writes one row is no place for background work. */
const BARE: LsmOptions = { compactor: false, gc: false, ...TOOL_PATIENCE };

/** Reads without leaving a trace in the store, and ends with the reader closed. */
async function reading<T>(context: CommandContext, use: (reader: DbReader) => Promise<T>): Promise<T> {
  const checkpoint = context.args.flag("checkpoint");
  const mode = checkpoint === undefined ? "latest" : { checkpoint };
  const reader = await DbReader.open(context.target.root, context.target.components, { mode, ...TOOL_PATIENCE });
  try {
    return await use(reader);
  } finally {
    await reader.close();
  }
}

async function writing(context: CommandContext, use: (db: Db) => Promise<void>): Promise<number> {
  // Opening for writing would make a database where there is none: a mistyped address must not.
  if (!context.args.has("create")) await adminOf(context).readManifest();
  const db = await Db.open(context.target.root, context.target.components, BARE);
  try {
    await use(db);
  } finally {
    await db.close();
  }
  return 0;
}

/** `get KEY`. */
export const get: LsmCommand = {
  names: ["KEY"],
  flags: { checkpoint: CHECKPOINT, raw: { type: "boolean", help: "write the value's bytes as they are, without a line end" } },
  help: "print the value of a key; exit code 1 if there is none",
  async run(context) {
    const { args, output } = context;
    const key = args.bytes(args.at(1));
    const value = await reading(context, (reader) => reader.get(key));
    if (value === undefined) {
      output.problem(`no such key: ${args.at(1)}`);
      return 1;
    }
    if (args.has("raw")) process.stdout.write(value);
    else output.out(`${args.form.write(value)}\n`);
    return 0;
  },
};

/** `put KEY [VALUE]`. */
export const put: LsmCommand = {
  names: ["KEY", "[VALUE]"],
  flags: {
    file: { type: "string", value: "PATH", help: "take the value from a file" },
    ttl: { type: "string", value: "DURATION", help: "let the row expire after this, such as 90s or 7d" },
    create: { type: "boolean", help: "make the database if there is none" },
  },
  help: "set a key; a process that has the database open for writing is fenced off by this",
  async run(context) {
    const { args } = context;
    const file = args.flag("file");
    if ((file === undefined) !== args.isGiven(2)) throw new UsageError("give either VALUE or --file");
    const value = file === undefined ? args.bytes(args.at(2)) : bytesOf(file);
    const ttlMs = args.duration("ttl");
    const options = ttlMs === undefined ? {} : { ttl: { afterMs: ttlMs } };
    const key = args.bytes(args.at(1));
    return writing(context, async (db) => void (await db.put(key, value, options)));
  },
};

function bytesOf(file: string): Uint8Array {
  try {
    return new Uint8Array(readFileSync(file));
  } catch (error) {
    throw new UsageError(`--file cannot be read: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** `delete KEY`. */
export const remove: LsmCommand = {
  names: ["KEY"],
  flags: {},
  help: "delete a key; a process that has the database open for writing is fenced off by this",
  async run(context) {
    const { args } = context;
    const key = args.bytes(args.at(1));
    return writing(context, async (db) => void (await db.delete(key)));
  },
};

/** `scan`. */
export const scan: LsmCommand = {
  names: [],
  flags: {
    prefix: { type: "string", value: "KEY", help: "only keys that begin with this" },
    from: { type: "string", value: "KEY", help: "from this key on" },
    to: { type: "string", value: "KEY", help: "up to this key, without it" },
    limit: { type: "string", value: "N", help: "at most so many rows" },
    reverse: { type: "boolean", help: "from the last key to the first" },
    "keys-only": { type: "boolean", help: "without the values" },
    count: { type: "boolean", help: "print only how many rows there are" },
    json: { type: "boolean", help: "a JSON object a row, with sequence number and times" },
    checkpoint: CHECKPOINT,
  },
  help: "print rows, key and value with a tab between",
  async run(context) {
    const { args, output } = context;
    const options: ScanOptions = {
      prefix: args.flagBytes("prefix"),
      gte: args.flagBytes("from"),
      lt: args.flagBytes("to"),
      order: args.has("reverse") ? "descending" : "ascending",
    };
    const limit = args.count("limit") ?? Infinity;
    let count = 0;
    await reading(context, async (reader) => {
      const rows = reader.scan(options);
      while (count < limit) {
        const batch = await rows.nextBatch(Math.min(1000, limit - count));
        if (batch.length === 0) break;
        count += batch.length;
        if (args.has("count")) continue;
        output.out(batch.map((row) => `${lineOf(context, row)}\n`).join(""));
      }
      rows.dispose();
    });
    if (args.has("count")) output.out(`${count}\n`);
    return 0;
  },
};

function lineOf(
  { args }: CommandContext,
  row: { key: Uint8Array; value: Uint8Array; seq: number; createTs?: number | undefined; expireTs?: number | undefined },
): string {
  const key = args.form.write(row.key);
  if (args.has("json")) {
    const { seq, createTs, expireTs } = row;
    const value = args.has("keys-only") ? undefined : args.form.write(row.value);
    return JSON.stringify({ key, value, isText: isUtf8(row.value), seq, createTs, expireTs });
  }
  return args.has("keys-only") ? key : `${key}\t${args.form.write(row.value)}`;
}
