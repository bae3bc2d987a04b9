/**
 * The log beside what the disk can do: `npm run bench:log -- [--rounds N] [--seconds N] [--opening GIB]`.
 *
 * Entries of 100 bytes, batches of 1, 8, 64 and 256, one batch at a time: a raw write and fdatasync on a zero-filled file, the log in this thread, and
 * the log's own thread with the hop there and back. Every round measures every cell once; ratios are taken round by round. `--opening`: also how
 * long a log of so many GiB takes to open, its page cache warm, for batches of 16 and of 1.
 */
import { parseArgs } from "node:util";
import { LogInThread, openingMs, packingUs } from "./support/log-in-thread.ts";
import { LogLimits } from "./support/log-limits.ts";
import { formatSpread, printTable, ratioOf, spreadOf } from "./support/statistics.ts";

const BATCHES = [1, 8, 64, 256];

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "5" }, seconds: { type: "string", default: "0.5" }, opening: { type: "string" } },
});
const seconds = Number(values.seconds);

await using limits = await LogLimits.open();
using inThread = new LogInThread();

const figures = BATCHES.map((batch) => ({
  batch,
  raw: [] as number[],
  log: [] as number[],
  thread: [] as number[],
  packing: [] as number[],
}));
for (let round = 0; round < Number(values.rounds); round++) {
  for (const { batch, raw, log, thread, packing } of figures) {
    raw.push(await limits.raw(batch, seconds));
    log.push(inThread.measure(batch, seconds));
    thread.push(await limits.writer(batch, seconds));
    packing.push(packingUs(batch, seconds / 10));
  }
}

printTable([
  ["batch", "raw, entries/s", "log in thread", "of raw", "log's thread", "of raw", "us per batch", "packing, us/entry"],
  ...figures.map(({ batch, raw, log, thread, packing }) => [
    String(batch),
    formatSpread(spreadOf(raw)),
    formatSpread(spreadOf(log)),
    formatSpread(ratioOf(log, raw), 2),
    formatSpread(spreadOf(thread)),
    formatSpread(ratioOf(thread, raw), 2),
    formatSpread(spreadOf(thread.map((rate) => (batch * 1e6) / rate)), 0),
    formatSpread(spreadOf(packing), 2),
  ]),
]);

if (values.opening !== undefined) {
  for (const batch of [16, 1]) {
    const { ms, bytes } = openingMs(Number(values.opening), batch, 100);
    console.log(`opening ${(bytes / 2 ** 30).toFixed(2)} GiB in batches of ${batch}: ${ms.toFixed(0)} ms`);
  }
}
