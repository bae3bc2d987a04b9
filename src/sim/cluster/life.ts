/**
 * A life of the database: clients write, read, back up and load against the production replica, while its process dies and starts again at any turn.
 * After each start, and at the end, everything is compared with the model. The same seed gives the same life, turn by turn.
 *
 * It is written for a group of machines; as long as a replica is alone in its group, there is one.
 */
import { copyBytes, assert, concat, crc32, isPumiceError, utf8, type Random } from "../../base/mod.ts";
import type { Replica } from "../../replica/mod.ts";
import type { SimDisk } from "../world/files.ts";
import { randomOf } from "../world/random.ts";
import { Client, History, rowsOf, type Bench } from "./client.ts";
import { SimMachine, type Death, type Process, type SqliteDisk } from "./machine.ts";
import { checkTables, CONTENTS_SQL, contentsOf, Model, schemaOf, type Contents } from "./model.ts";

/** What a life needs of the world outside of this room. */
export interface LifeParts {
  /** Resolves when all microtasks have run. */
  readonly settle: () => Promise<void>;
  readonly openSqlite: (machine: string) => SqliteDisk;
  /** A SQLite file that holds these statements' tables. */
  readonly makeDatabase: (statements: readonly string[]) => Uint8Array;
  /** The rows that a SQLite file, or a dump, gives for `queries`, after an integrity check. */
  readonly inspect: (backup: Uint8Array, format: "file" | "sql", queries: readonly string[]) => (readonly (readonly unknown[])[])[];
}

/** How a life goes. */
export interface LifeOptions {
  readonly seed: number;
  /** Operations of all clients together. */
  readonly operations: number;
  /** Asked before each turn: how the process dies now, if it does. */
  readonly death?: ((turn: number) => Death | undefined) | undefined;
  /** Whether the log's disk loses power in the middle of operations, fails and fills up, as the seed says. Default false. */
  readonly hasDiskFaults?: boolean | undefined;
}

/** What happened. */
export interface LifeReport {
  readonly seed: number;
  readonly turns: number;
  readonly starts: number;
  readonly looks: number;
  readonly counts: ReadonlyMap<string, number>;
  /** A checksum of everything that was seen: equal for equal lives. */
  readonly trace: number;
}

/** A life that went wrong. */
export class LifeFailure extends Error {
  override readonly name = "LifeFailure";
}

const CLIENTS = 3;
/** A start, a look or an end that takes more turns hangs. */
const TURNS_MAX = 200_000;
/** 2026-03-01T00:00:00Z */
const START_MS = 1_772_323_200_000;
const PIECE_BYTES = 5000;
/** Makes a file longer than one piece of the log, so that pieces have an order. */
const BALLAST: readonly string[] = [
  "CREATE TABLE ballast(n INTEGER PRIMARY KEY, text TEXT NOT NULL)",
  "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 350) INSERT INTO ballast SELECT n, printf('%03500d', n) FROM numbers",
];

/** Lives a life. @throws LifeFailure */
export async function live(options: LifeOptions, parts: LifeParts): Promise<LifeReport> {
  return new Life(options, parts).run();
}

class Life {
  readonly #options: LifeOptions;
  readonly #parts: LifeParts;
  readonly #random: Random;
  readonly #machine: SimMachine;
  readonly #bench: Bench;
  readonly #clients: Client[];
  /** What the database becomes if the load that is under way happens. */
  #next: Model | undefined;
  #trace = 0;
  #process: Process | undefined;
  #replica: Replica | undefined;
  #turns = 0;
  #starts = 0;
  #looks = 0;
  #issued = 0;

  constructor(options: LifeOptions, parts: LifeParts) {
    this.#options = options;
    this.#parts = parts;
    this.#random = randomOf(options.seed, "life");
    this.#machine = new SimMachine({
      name: "machine-1",
      sqlite: parts.openSqlite("machine-1"),
      random: randomOf(options.seed, "machine-1"),
      startMs: START_MS,
    });
    this.#bench = {
      random: this.#random,
      now: () => this.#turns,
      model: new Model(0),
      history: new History(),
      nextId: 1,
      counts: new Map(),
    };
    this.#clients = Array.from({ length: CLIENTS }, () => new Client(this.#bench));
  }

  async run(): Promise<LifeReport> {
    await this.#begin();
    while (this.#issued < this.#options.operations) await this.#step();
    await this.#drive(() => this.#clients.every((client) => client.isIdle));
    await this.#look();
    await this.#restart("kill");
    await this.#stop();
    await this.#start();
    await this.#look();
    await this.#stop();
    const { seed } = this.#options;
    return {
      seed,
      turns: this.#turns,
      starts: this.#starts,
      looks: this.#looks,
      counts: this.#bench.counts,
      trace: this.#trace,
    };
  }

  /** Makes the tables. A death in the middle of it is survived as any other. */
  async #begin(): Promise<void> {
    await this.#start();
    for (;;) {
      const tables = (await this.#ask(["SELECT count(*) FROM sqlite_schema WHERE name = 'generation'"]))[0]?.[0]?.[0];
      if (tables === 1) return;
      const statements = schemaOf(0).map((sql) => ({ sql }));
      await this.#survive((replica) => replica.write({ kind: "execute", statements, transaction: true }));
    }
  }

  async #step(): Promise<void> {
    const drawn = this.#random.below(1000);
    if (drawn === 0) await this.#backUp();
    else if (drawn === 1) await this.#load();
    else if (drawn === 2) this.#machine.jump((this.#random.below(2) === 0 ? 1 : -1) * this.#random.below(3_600_000));
    else if (drawn === 3) await this.#lookInPassing();
    else if (drawn < 6) this.#machine.sqlite.holdSnapshot();
    else if (drawn < 8) this.#machine.sqlite.releaseSnapshot();
    const replica = this.#replica;
    if (replica !== undefined && this.#random.below(4) === 0) {
      const client = this.#clients[this.#random.below(CLIENTS)] as Client;
      if (client.isIdle) {
        this.#issued++;
        client.act(replica);
      }
    }
    await this.#turn();
  }

  /** One turn of the process, or its death. */
  async #turn(): Promise<void> {
    const death = this.#options.death?.(this.#turns);
    this.#turns++;
    if (death !== undefined || this.#process?.failure !== undefined) {
      await this.#restart(death ?? "kill");
      return;
    }
    this.#process?.turn();
    await this.#parts.settle();
    if (this.#machine.disk.isDown) await this.#restart("power");
  }

  /** Turns until `isDone`. */
  async #drive(isDone: () => boolean): Promise<void> {
    for (let turns = 0; !isDone(); turns++) {
      if (turns > TURNS_MAX) this.#fail("nothing happens any more");
      await this.#turn();
    }
  }

  /** A process begins; what it says of the past is looked at before clients go on. Deaths on the way make it begin again. */
  async #restart(death: Death): Promise<void> {
    this.#note(`${death} at turn ${this.#turns}`);
    this.#end(death);
    await this.#start();
    const contents = await this.#contents();
    const retried = new Set(this.#clients.map((client) => client.retried).filter((id) => id !== undefined));
    if (contents !== undefined) {
      this.#bench.model.settle(contents, retried);
      this.#judge(contents);
      for (const client of this.#clients) client.settled();
    }
  }

  #end(death: Death): void {
    this.#machine.crash(death);
    this.#process = undefined;
    this.#replica = undefined;
    for (const client of this.#clients) client.disconnected();
  }

  /** Starts a process and waits until it serves; one that dies on the way is followed by another. */
  async #start(): Promise<void> {
    do {
      this.#starts++;
      if (this.#options.hasDiskFaults === true) drawFaults(this.#machine.disk, this.#random);
      this.#process = this.#machine.start();
      this.#replica = await this.#open(this.#process);
    } while (this.#replica === undefined);
  }

  /** The replica, once it serves; undefined if the process died before. */
  async #open(process: Process): Promise<Replica | undefined> {
    const opening = watch(process.opened);
    for (let turns = 0; opening.state === "open"; turns++) {
      const { disk } = this.#machine;
      const death = this.#options.death?.(this.#turns) ?? (disk.isDown ? "power" : process.failure === undefined ? undefined : "kill");
      this.#turns++;
      if (death !== undefined) {
        this.#end(death);
        return undefined;
      }
      if (turns > TURNS_MAX || !process.turn()) this.#fail("the node never starts");
      await this.#parts.settle();
    }
    if (opening.state === "done") return opening.value;
    if (this.#machine.disk.faults === undefined) this.#fail(`the node does not start: ${describe(opening.error)}`);
    // The disk failed while the node opened, and the node said so. The next process may have a good one.
    this.#end("kill");
    return undefined;
  }

  /** Closes the node as an operator does. */
  async #stop(): Promise<void> {
    assert(this.#replica !== undefined, "a node that runs is stopped");
    this.#machine.disk.faults = undefined;
    this.#machine.sqlite.releaseSnapshot();
    const closing = watch(this.#replica.close());
    for (let turns = 0; closing.state === "open"; turns++) {
      if (turns > TURNS_MAX) this.#fail("the node never stops");
      this.#process?.turn();
      await this.#parts.settle();
    }
    this.#end("kill");
  }

  /** Runs `work` against the replica of now; undefined if the process died meanwhile, or the replica refused. */
  async #survive<T>(work: (replica: Replica) => Promise<T>): Promise<T | undefined> {
    const process = this.#process;
    if (this.#replica === undefined) return undefined;
    const working = watch(work(this.#replica));
    await this.#drive(() => working.state !== "open" || this.#process !== process);
    if (working.state === "failed" && !isPumiceError(working.error)) throw working.error;
    return working.value;
  }

  /** The rows of a strong read, asked again until there is an answer. */
  async #ask(queries: readonly string[]): Promise<(readonly (readonly unknown[])[])[]> {
    for (;;) {
      const statements = queries.map((sql) => ({ sql }));
      const outcome = await this.#survive((replica) => replica.read({ statements, level: "strong", transaction: true }));
      if (outcome !== undefined) return rowsOf(outcome);
    }
  }

  /** Undefined before there are tables. */
  async #contents(): Promise<Contents | undefined> {
    const tables = (await this.#ask(["SELECT count(*) FROM sqlite_schema WHERE name = 'generation'"]))[0]?.[0]?.[0];
    return tables === 1 ? contentsOf(await this.#ask(CONTENTS_SQL)) : undefined;
  }

  async #look(): Promise<void> {
    const contents = await this.#contents();
    if (contents !== undefined) this.#judge(contents);
  }

  /** Nothing is under way while it is looked. */
  async #lookInPassing(): Promise<void> {
    await this.#drive(() => this.#clients.every((client) => client.isIdle));
    await this.#look();
  }

  #judge(contents: Contents): void {
    this.#looks++;
    if (this.#next?.generation === contents.generation) {
      this.#bench.model = this.#next;
      this.#bench.history = new History();
      this.#next = undefined;
    }
    const wrong = this.#bench.model.check(contents);
    const key = this.#bench.history.violation(this.#clients.flatMap((client) => client.openWrites()));
    if (key !== undefined) wrong.push(`reads and writes of register ${key} are in no order`);
    this.#note(JSON.stringify(contents));
    if (wrong.length > 0) this.#fail(wrong.join("; "));
  }

  /** A backup holds some moment: its tables agree with each other, and with nothing else. */
  async #backUp(): Promise<void> {
    const format = this.#random.below(2) === 0 ? "file" : "sql";
    const bytes = await this.#survive(async (replica) => {
      const pieces: Uint8Array[] = [];
      for await (const piece of replica.backup({ format })) pieces.push(piece);
      return concat(pieces);
    });
    if (bytes === undefined) return;
    const wrong = checkTables(contentsOf(this.#parts.inspect(bytes, format, CONTENTS_SQL)));
    if (wrong.length > 0) this.#fail(`a backup (${format}): ${wrong.join("; ")}`);
    this.#count(`backup ${format}`);
  }

  /** The whole database is replaced: the next generation begins. If the outcome is not known, the database says which generation it is. */
  async #load(): Promise<void> {
    await this.#drive(() => this.#hasKnownOutcomes());
    const generation = this.#bench.model.generation + 1;
    const bytes = this.#parts.makeDatabase([...schemaOf(generation), ...(generation % 2 === 1 ? BALLAST : [])]);
    this.#next = new Model(generation);
    const outcome = await this.#survive((replica) => replica.load(inPieces(bytes)));
    await this.#look();
    this.#next = undefined;
    if (outcome?.kind === "error") this.#fail(`a sound file is not loaded: ${outcome.error}`);
    if (outcome?.kind === "results" && this.#bench.model.generation !== generation) this.#fail("an acknowledged load is lost");
    this.#count(`load ${outcome?.kind ?? "open"}`);
  }

  /** True once nothing is under way and nothing will be sent again; sends what is to be. */
  #hasKnownOutcomes(): boolean {
    let isKnown = true;
    for (const client of this.#clients) {
      if (client.isIdle && client.retried === undefined) continue;
      isKnown = false;
      if (client.isIdle && this.#replica !== undefined) client.act(this.#replica);
    }
    return isKnown;
  }

  #count(what: string): void {
    const { counts } = this.#bench;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }

  #note(line: string): void {
    this.#trace = crc32(utf8(line), this.#trace);
  }

  #fail(reason: string): never {
    throw new LifeFailure(`seed=${this.#options.seed} turn=${this.#turns} starts=${this.#starts}: ${reason}`);
  }
}

/** A promise whose state can be asked for. */
interface Watched<T> {
  state: "open" | "done" | "failed";
  value: T | undefined;
  error: unknown;
}

function watch<T>(promise: Promise<T>): Watched<T> {
  const watched: Watched<T> = { state: "open", value: undefined, error: undefined };
  promise.then(
    (value) => Object.assign(watched, { state: "done", value }),
    (error: unknown) => Object.assign(watched, { state: "failed", error }),
  );
  return watched;
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : "for no reason";
}

/** What the disk does to the next process: nothing, one loss of power or one error at some operation, or no space for a while. */
function drawFaults(disk: SimDisk, random: Random): void {
  const kind = random.below(5);
  const at = disk.operations + 1 + random.below(600);
  disk.faults = undefined;
  if (kind === 0) disk.faults = ({ number }) => (number === at ? { kind: "powerLoss" } : undefined);
  if (kind === 1) disk.faults = ({ number }) => (number === at ? { kind: "error", code: "FS_IO" } : undefined);
  if (kind === 2) {
    const end = at + random.below(100);
    disk.faults = ({ kind: operation, number }) =>
      number >= at && number < end && operation === "write" ? { kind: "error", code: "FS_NO_SPACE" } : undefined;
  }
}

/** Unlike the pieces that the log takes. */
async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield copyBytes(bytes, at, at + PIECE_BYTES);
}
