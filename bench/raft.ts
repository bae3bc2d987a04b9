/**
 * The consensus core and its driver, in memory: committed entries per second through three nodes, the cost of an idle tick, and
 * bytes allocated per entry. Seconds are of processor time, on one core, garbage collection included. `npm run bench:raft -- [--profile]`: the hottest functions too.
 */
import { writeFileSync } from "node:fs";
import { Session, type Profiler } from "node:inspector/promises";
import { parseArgs } from "node:util";
import { seededRandom } from "../src/base/mod.ts";
import { bootstrapState, type Message } from "../src/raft/mod.ts";
import { RaftDriver, type LogBatch } from "../src/replica/mod.ts";

const { values } = parseArgs({ options: { profile: { type: "boolean" }, seconds: { type: "string" }, json: { type: "string" } } });
const SECONDS = Number(values.seconds ?? 2);
const ENTRY_BYTES = 100;

/** Seconds of processor time that this process has used: other work on the machine does not count. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** Nodes whose disks, networks and state machines do nothing, at once. */
class Nodes {
  readonly drivers: RaftDriver[] = [];
  applied = 0;
  readonly #inbox: Message[][] = [];
  readonly #batches: LogBatch[][] = [];
  readonly #done: number[] = [];

  constructor(size: number) {
    const ids = Array.from({ length: size }, (_, k) => k + 1);
    const begin = bootstrapState(ids.map((id) => ({ id, context: new Uint8Array() })));
    for (const id of ids) this.#add(id, begin);
    this.drivers[0]?.campaign();
    for (let turn = 0; turn < 50; turn++) this.turn();
    if (this.drivers[0]?.role !== "leader") throw new Error("the first node leads");
  }

  /** One turn of every node's event loop: messages in, one pump, the disk and the state machine answer. */
  turn(): void {
    for (let at = 0; at < this.drivers.length; at++) {
      const driver = this.drivers[at] as RaftDriver;
      const inbox = this.#inbox[at] as Message[];
      this.#inbox[at] = [];
      for (const message of inbox) driver.step(message);
      driver.pump();
      const batches = this.#batches[at] as LogBatch[];
      const last = batches[batches.length - 1];
      if (last !== undefined) {
        batches.length = 0;
        driver.persisted(last.number);
        driver.pump();
      }
      const applied = this.#done[at] as number;
      if (applied > driver.appliedIndex) driver.applied(applied);
    }
  }

  /** Cuts the logs, as snapshots would. */
  compact(): void {
    for (const driver of this.drivers) driver.compact(driver.appliedIndex - 1000);
  }

  #add(id: number, begin: ReturnType<typeof bootstrapState>): void {
    const at = this.drivers.length;
    const random = seededRandom(id);
    this.#inbox.push([]);
    this.#batches.push([]);
    this.#done.push(0);
    const driver: RaftDriver = new RaftDriver(
      { ...begin, compacted: { index: 0, term: 0 } },
      { raft: { id, random, maxInflightMessages: 1024 }, random, maxLogBytes: 1 << 20 },
      {
        log: { append: (batch) => this.#batches[at]?.push(batch), compact: () => undefined },
        send: (message) => this.#inbox[message.to - 1]?.push(message),
        apply: (entries) => {
          this.#done[at] = entries.at(-1)?.index ?? 0;
          if (at === 0) this.applied += entries.length;
        },
        readable: () => undefined,
        roleChanged: () => undefined,
        membersChanged: () => undefined,
        latestSnapshot: () => ({ index: driver.appliedIndex, term: driver.term, confState: driver.members, data: new Uint8Array() }),
      },
    );
    this.drivers.push(driver);
  }
}

interface Row {
  readonly batch: number;
  readonly entriesPerSecond: number;
  readonly bytesPerEntry: number;
}

/** Proposals in batches, a few of them in flight. */
function throughput(batch: number): Row {
  const nodes = new Nodes(3);
  const [leader] = nodes.drivers;
  const data = Array.from({ length: batch }, () => new Uint8Array(ENTRY_BYTES));
  const round = (): void => {
    leader?.propose(data);
    nodes.turn();
  };
  for (let k = 0; k < 500; k++) round();
  const before = nodes.applied;
  const started = cpuSeconds();
  let rounds = 0;
  while (cpuSeconds() - started < SECONDS) {
    for (let k = 0; k < 20; k++) round();
    rounds += 20;
    if (rounds % 400 === 0) nodes.compact();
  }
  const seconds = cpuSeconds() - started;
  return { batch, entriesPerSecond: Math.round((nodes.applied - before) / seconds), bytesPerEntry: allocation(nodes, round, batch) };
}

/** Bytes of heap per committed entry, over all three nodes, while no collection runs in between. */
function allocation(nodes: Nodes, round: () => void, batch: number): number {
  const samples: number[] = [];
  for (let k = 0; k < 30; k++) {
    const before = process.memoryUsage().heapUsed;
    const applied = nodes.applied;
    for (let n = 0; n < Math.max(1, Math.floor(512 / batch)); n++) round();
    const used = process.memoryUsage().heapUsed - before;
    if (used > 0 && nodes.applied > applied) samples.push(used / (nodes.applied - applied));
  }
  samples.sort((left, right) => left - right);
  return Math.round(samples[Math.floor(samples.length / 2)] ?? 0);
}

/** Nanoseconds of one tick of one node, in a group of seven that has nothing to do but beat. */
function idleTick(): number {
  const nodes = new Nodes(7);
  const round = (): void => {
    for (const driver of nodes.drivers) driver.tick();
    nodes.turn();
  };
  for (let k = 0; k < 2000; k++) round();
  const rounds = 20_000;
  const started = cpuSeconds();
  for (let k = 0; k < rounds; k++) round();
  return Math.round(((cpuSeconds() - started) * 1e9) / rounds / nodes.drivers.length);
}

/** The hottest functions while `f` runs, by time in themselves. */
async function profile(f: () => void): Promise<string[]> {
  const session = new Session();
  session.connect();
  await session.post("Profiler.enable");
  await session.post("Profiler.setSamplingInterval", { interval: 200 });
  await session.post("Profiler.start");
  f();
  const { profile } = await session.post("Profiler.stop");
  session.disconnect();
  return hottest(profile);
}

function hottest(profile: Profiler.Profile): string[] {
  const names = new Map(
    profile.nodes.map(({ id, callFrame }) => [
      id,
      `${callFrame.functionName || "(anonymous)"} ${callFrame.url.split("/").at(-1) ?? ""}`.trim(),
    ]),
  );
  const times = new Map<string, number>();
  let total = 0;
  (profile.samples ?? []).forEach((id, at) => {
    const time = profile.timeDeltas?.[at] ?? 0;
    const name = names.get(id) ?? "?";
    times.set(name, (times.get(name) ?? 0) + time);
    total += time;
  });
  const sorted = [...times].sort((left, right) => right[1] - left[1]).slice(0, 10);
  return sorted.map(([name, time]) => `${((time / total) * 100).toFixed(1).padStart(5)} %  ${name}`);
}

const rows = [1, 16, 256].map(throughput);
for (const { batch, entriesPerSecond, bytesPerEntry } of rows) {
  console.log(
    `batch ${String(batch).padStart(3)}: ${String(entriesPerSecond).padStart(9)} committed ${ENTRY_BYTES}-byte entries/s through 3 nodes, ${bytesPerEntry} bytes allocated per entry`,
  );
}
const tick = idleTick();
console.log(`idle tick, 7 nodes: ${tick} ns per node, messages and answers included`);
if (values.profile === true) console.log((await profile(() => throughput(256))).join("\n"));
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ rows, idleTickNs: tick }));
