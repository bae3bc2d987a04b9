/**
 * The kill test: clients write to a real pumiced that is killed with SIGKILL again and again. At the end, and now and then between, every
 * acknowledged write must be there exactly once, nothing twice, and the database whole.
 *
 * SIGKILL takes the process and not the kernel's page cache: what this shows is that an acknowledgement comes after the write to the log, that replay
 * applies everything exactly once, and that no half-done file stops a start. What power loss does is shown in the simulator.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { seeded } from "../../support/random.ts";
import { bareStart, exchange, freePort, Pumiced, startPumiced, type PumicedOptions } from "../../support/pumiced.ts";
import { check, countWritten } from "./checker.ts";
import { ACKNOWLEDGED, Client, OPEN, REFUSED, SCHEMA } from "./clients.ts";

/** How to torture. */
export interface KillOptions {
  readonly seed: number;
  readonly durationMs: number;
  readonly clientCount: number;
  /** A built copy of the checkout to run instead of this one. */
  readonly root?: string | undefined;
  /** False removes the data even if something is broken. */
  readonly keepData?: boolean | undefined;
  readonly say: (line: string) => void;
}

/** What came of it. */
export interface KillReport {
  readonly kills: number;
  readonly durationMs: number;
  readonly acknowledged: number;
  readonly open: number;
  readonly refused: number;
  readonly linearizableReads: number;
  /** From the start of the process to its first answer, ascending. */
  readonly restartMs: readonly number[];
  /** From start to exit of `pumiced -version`, measured now and then in between, ascending: how fast this machine is just now. */
  readonly bareMs: readonly number[];
  /** The laws that did not hold. */
  readonly broken: readonly string[];
}

/** Small, so that checkpoints, segments and truncation happen many times in a run. */
const FLAGS = ["-raft-snap-wal-size", "512KiB", "-raft-log-segment-size", "256KiB"];
/** The node lives for so long, evenly distributed, after it answers. With a restart between, more than one kill a second. */
const LIFE_MS_MAX = 700;
/** One start in so many is killed before it answers. */
const EARLY_KILL_ONE_IN = 5;
const CHECK_EVERY_KILLS = 25;
const BARE_EVERY_RESTARTS = 3;

/** Runs the test. The data is removed unless something is broken. */
export async function torture(options: KillOptions): Promise<KillReport> {
  const dataDirectory = mkdtempSync(join(tmpdir(), "pumice-torture-"));
  const port = await freePort();
  const run = new KillRun(options, { dataDirectory, port, flags: FLAGS, ...(options.root === undefined ? {} : { root: options.root }) });
  const report = await run.run();
  if (report.broken.length === 0 || options.keepData === false) rmSync(dataDirectory, { recursive: true });
  else options.say(`the data is kept in ${dataDirectory}`);
  return report;
}

class KillRun {
  readonly #options: KillOptions;
  readonly #node: PumicedOptions;
  readonly #random: () => number;
  readonly #clients: Client[];
  readonly #restartMs: number[] = [];
  readonly #bareMs: number[] = [];
  readonly #broken: string[] = [];
  #process: Pumiced | undefined;
  #kills = 0;
  #reads = 0;

  constructor(options: KillOptions, node: PumicedOptions) {
    this.#options = options;
    this.#node = node;
    this.#random = seeded(options.seed);
    this.#clients = Array.from({ length: options.clientCount }, (_, id) => new Client(id, node.port, seeded(options.seed * 1000 + id)));
  }

  async run(): Promise<KillReport> {
    const startedMs = performance.now();
    try {
      await this.#torment(startedMs + this.#options.durationMs);
    } catch (error) {
      this.#broken.push(error instanceof Error ? error.message : String(error));
    } finally {
      if (this.#process?.hasExited === false) await this.#process.end("SIGKILL");
    }
    const sum = (fate: number): number => this.#clients.reduce((total, client) => total + client.count(fate), 0);
    const ascending = (values: readonly number[]): number[] => values.toSorted((left, right) => left - right);
    return {
      kills: this.#kills,
      durationMs: performance.now() - startedMs,
      acknowledged: sum(ACKNOWLEDGED),
      open: sum(OPEN),
      refused: sum(REFUSED),
      linearizableReads: this.#reads,
      restartMs: ascending(this.#restartMs),
      bareMs: ascending(this.#bareMs),
      broken: this.#broken,
    };
  }

  async #torment(endMs: number): Promise<void> {
    this.#process = await startPumiced(this.#node);
    await exchange(this.#node.port, "/db/execute", JSON.stringify(SCHEMA));
    while (performance.now() < endMs && this.#broken.length === 0) {
      await this.#epoch(endMs);
      this.#broken.push(...(await check(this.#node.port, this.#clients)));
    }
    const code = await this.#process.end("SIGTERM");
    if (code !== 0) this.#broken.push(`SIGTERM ended the node with ${code}: ${this.#process.output}`);
  }

  /** Clients write while the node is killed CHECK_EVERY_KILLS times. Afterwards it is up and they are at rest. */
  async #epoch(endMs: number): Promise<void> {
    const stop = new AbortController();
    const writing = [...this.#clients.map((client) => client.run(stop.signal)), this.#readOn(stop.signal)];
    try {
      for (let kill = 0; kill < CHECK_EVERY_KILLS && performance.now() < endMs; kill++) {
        await sleep(this.#random() * LIFE_MS_MAX);
        await this.#restart();
      }
    } finally {
      stop.abort();
      await Promise.all(writing);
    }
  }

  async #restart(): Promise<void> {
    await this.#kill();
    if (this.#restartMs.length % BARE_EVERY_RESTARTS === 0) this.#bareMs.push(await bareStart());
    this.#process = new Pumiced(this.#node);
    while (Math.floor(this.#random() * EARLY_KILL_ONE_IN) === 0) {
      await sleep(this.#random() * 300);
      await this.#kill();
      this.#process = new Pumiced(this.#node);
    }
    await this.#process.answers();
    this.#restartMs.push(performance.now() - this.#process.startedMs);
  }

  async #kill(): Promise<void> {
    const process = this.#process;
    if (process === undefined || process.hasExited) throw new Error(`pumiced ended by itself: ${process?.output ?? ""}`);
    await process.end("SIGKILL");
    this.#kills += 1;
  }

  /** Reads linearizably all the time: what was acknowledged before the read began must be in its answer. */
  async #readOn(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const client = this.#clients[Math.floor(this.#random() * this.#clients.length)] as Client;
      const acknowledged = client.count(ACKNOWLEDGED);
      const seen = await countWritten(this.#node.port, client);
      if (seen === undefined) await sleep(10);
      else {
        this.#reads += 1;
        if (seen < acknowledged)
          this.#broken.push(`client ${client.id}: a linearizable read saw ${seen} rows when ${acknowledged} were acknowledged`);
      }
    }
  }
}

/** The middle one of ascending values; undefined if there is none. */
export function median(values: readonly number[]): number | undefined {
  return values[Math.floor(values.length / 2)];
}

/** The report in lines for a person. */
export function describe(report: KillReport): string[] {
  const at = (share: number): string =>
    (report.restartMs[Math.min(report.restartMs.length - 1, Math.floor(report.restartMs.length * share))] ?? 0).toFixed(0);
  const perSecond = (count: number): string => (count / (report.durationMs / 1000)).toFixed(1);
  return [
    `${report.kills} kills in ${(report.durationMs / 1000).toFixed(1)} s (${perSecond(report.kills)} a second)`,
    `writes: ${report.acknowledged} acknowledged (${perSecond(report.acknowledged)} a second), ${report.open} left open, ${report.refused} refused as they should be`,
    `linearizable reads: ${report.linearizableReads}`,
    `restart to first answer, ms: min ${at(0)}, median ${at(0.5)}, 95 % ${at(0.95)}, max ${at(1)} (pumiced -version: ${(median(report.bareMs) ?? 0).toFixed(0)})`,
    ...report.broken.slice(0, 20).map((line) => `BROKEN: ${line}`),
    report.broken.length === 0 ? "every acknowledged write is there exactly once" : `${report.broken.length} laws broken`,
  ];
}
