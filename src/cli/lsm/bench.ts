/** `pumice lsm bench`: how fast this store is from here. A database of its own, removed afterwards. */
import { isPumiceError } from "../../base/mod.ts";
import { Db } from "../../lsm/mod.ts";
import type { CommandContext, LsmCommand } from "./context.ts";
import { UsageError } from "./arguments.ts";

/** Durable puts that wait at a time. */
const DURABLE_AT_ONCE = 16;

/** See the header of this file. */
export const bench: LsmCommand = {
  names: [],
  flags: {
    rows: { type: "string", value: "N", help: "rows to write and read; default 20000" },
    "value-bytes": { type: "string", value: "N", help: "bytes of a value; default 100" },
    keep: { type: "boolean", help: "do not remove the rows and files of the run" },
  },
  help: "measure durable puts, bulk puts, gets and scans in a new database beside this one, pumice-bench-TIME, and remove it",
  async run(context) {
    const rowCount = context.args.count("rows") ?? 20_000;
    const valueBytes = context.args.count("value-bytes") ?? 100;
    if (rowCount === 0) throw new UsageError("--rows must be at least 1");
    const { target } = context;
    const root = [target.root, `pumice-bench-${Date.now()}`].filter((part) => part !== "").join("/");
    try {
      await measure(context, root, { rowCount, valueBytes });
    } finally {
      if (!context.args.has("keep")) await removeAll(context, root);
    }
    return 0;
  },
};

async function measure(context: CommandContext, root: string, size: { rowCount: number; valueBytes: number }): Promise<void> {
  const { target, output } = context;
  const { rowCount, valueBytes } = size;
  const value = new Uint8Array(valueBytes).map((_, i) => (i * 31) & 255);
  const keyOf = (i: number): Uint8Array => new TextEncoder().encode(`key${String((i * 7919) % rowCount).padStart(12, "0")}`);
  const timed = async (what: string, count: number, run: () => Promise<void>): Promise<void> => {
    const started = performance.now();
    await run();
    const ms = performance.now() - started;
    output.out(
      `${what.padEnd(28)} ${Math.round((count / ms) * 1000)
        .toString()
        .padStart(10)}/s  ${(ms / count).toFixed(4).padStart(10)} ms each\n`,
    );
  };
  const db = await Db.open(root, target.components, { compactor: false, gc: false });
  const durableCount = Math.min(rowCount, 200);
  await timed("open and close, empty", 1, () => db.close());
  const again = await Db.open(root, target.components, { compactor: false, gc: false });
  try {
    await timed("durable puts, one at a time", durableCount, async () => {
      for (let i = 0; i < durableCount; i++) await again.put(keyOf(i), value);
    });
    await timed(`durable puts, ${DURABLE_AT_ONCE} at a time`, durableCount, async () => {
      let next = 0;
      const worker = async (): Promise<void> => {
        while (next < durableCount) await again.put(keyOf(next++), value);
      };
      await Promise.all(Array.from({ length: DURABLE_AT_ONCE }, worker));
    });
    await timed("puts, then one flush", rowCount, async () => {
      for (let i = 0; i < rowCount; i++) await again.put(keyOf(i), value, { awaitDurable: false });
      await again.flush("memtable");
    });
    await timed("gets", rowCount, async () => {
      for (let i = 0; i < rowCount; i++) await again.get(keyOf(i));
    });
    await timed("rows scanned", rowCount, async () => {
      const rows = again.scan();
      while ((await rows.nextBatch(1000)).length > 0);
    });
  } finally {
    await again.close();
  }
}

async function removeAll({ target, output }: CommandContext, root: string): Promise<void> {
  try {
    for await (const { key } of target.components.store.list(`${root}/`)) await target.components.store.delete(key);
  } catch (error) {
    if (!isPumiceError(error)) throw error;
    output.problem(`bench: could not remove ${root}: ${error.message}`);
  }
}
