/** The log's thread and client in the simulated world: turns in random order, power lost or the disk full at random moments. */
import assert from "node:assert/strict";
import { crc32, isPumiceError, type PumiceError, type WorkerMain } from "../../../../src/base/mod.ts";
import type { LogAppend, LogClient, LogParts } from "../../../../src/replica/mod.ts";
import { simSpawner } from "../../../../src/sim/mod.ts";
import { appended, compactedTo, type ModelState } from "./model.ts";
import { LogWorld, openRealLog, writes } from "./world.ts";

/** The code of the log's thread and its client: the real ones, or those with a planted bug. */
export interface ThreadCode {
  readonly logWriter: (parts: LogParts) => WorkerMain;
  readonly LogClient: Pick<typeof LogClient, "open">;
}

interface Given {
  readonly batch: LogAppend;
  readonly before: ModelState;
  /** What the log holds once this batch counts. */
  readonly state: ModelState;
}

/** A driver that keeps several batches on their way. */
class Session {
  readonly world: LogWorld;
  readonly given: Given[] = [];
  persistedCount = 0;
  refusal: PumiceError | undefined;
  failure: PumiceError | undefined;
  readonly turns: (() => void)[] = [];
  client: LogClient | undefined;

  constructor(world: LogWorld) {
    this.world = world;
  }

  get newest(): ModelState {
    return this.given.at(-1)?.state ?? this.world.acked;
  }

  persisted(number: number): void {
    const count = this.given.findIndex(({ batch }) => batch.number === number) + 1;
    assert.ok(count > this.persistedCount, "batches are acknowledged in order, each once");
    assert.equal(this.refusal, undefined, "nothing is acknowledged after a refusal");
    assert.equal(this.failure, undefined, "nothing is acknowledged after a failure");
    if (this.given.slice(this.persistedCount, count).some(({ batch, before }) => writes(batch, before))) this.world.refused = [];
    this.persistedCount = count;
  }

  refused(number: number, error: PumiceError): void {
    assert.ok(isPumiceError(error, "LOG_FULL"));
    assert.equal(this.given[this.persistedCount]?.batch.number, number, "the first batch that is not acknowledged is the refused one");
    this.refusal = error;
  }

  failed(error: PumiceError): void {
    this.failure = error;
  }

  append(): void {
    const batch =
      this.world.random.below(6) === 0 ? { ...this.world.vote(), hardState: nextVote(this.newest) } : this.world.batch(this.newest);
    const before = this.newest;
    this.given.push({ batch, before, state: appended(before, [batch]) });
    this.client?.append(batch);
  }

  /** Lets up to `count` turns happen; those of the thread and of the client in their order. */
  async run(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      this.turns.shift()?.();
      await Promise.resolve();
    }
  }

  /** What is acknowledged becomes what must be there; what was given after it is what may be. */
  settle(): void {
    const states = [this.world.acked, ...this.given.map(({ state }) => state)];
    this.world.acked = states[this.persistedCount]!;
    this.world.underWay = states.slice(this.persistedCount + 1);
    this.given.length = 0;
    this.persistedCount = 0;
  }
}

function nextVote(state: ModelState): { term: number; vote: number; commit: number } {
  return { term: state.hardState.term + 1, vote: 1, commit: state.hardState.commit };
}

/** @throws if an acknowledgement was not kept, or came when none may. */
export async function threadLaw(seed: number, code: ThreadCode): Promise<void> {
  const world = new LogWorld(seed, openRealLog);
  for (let incarnation = 0; incarnation < 3; incarnation++) {
    const session = new Session(world);
    const parts: LogParts = { files: world.disk.files, crc32 };
    const spawner = simSpawner(new Map([["log", code.logWriter(parts)]]), (turn) => session.turns.push(turn));
    const opening = code.LogClient.open(spawner.spawn("log", world.settings), session);
    await session.run(20);
    session.client = await opening;
    const lossAt = world.disk.operations + 1 + world.random.below(60);
    const kind = world.random.below(3);
    if (kind === 0) world.disk.faults = (operation) => (operation.number === lossAt ? { kind: "powerLoss" } : undefined);
    if (kind === 1) world.disk.faults = (operation) => (operation.number === lossAt ? { kind: "error", code: "FS_IO" } : undefined);
    if (kind === 2) world.disk.capacityBytes = 2048 * (1 + world.random.below(8));
    await drive(session, 40);
    world.disk.faults = undefined;
    world.disk.capacityBytes = Infinity;
    session.settle();
    world.disk.crash();
    world.log = undefined;
    assert.equal(world.open(), "done");
    world.opened.close();
    world.acked = { ...world.acked, commitOnDisk: world.acked.hardState.commit };
  }
}

async function drive(session: Session, steps: number): Promise<void> {
  const { world } = session;
  for (let step = 0; step < steps; step++) {
    if (session.failure !== undefined) return;
    if (session.refusal !== undefined) await rewind(session);
    else if (world.random.below(15) === 0) await compact(session);
    else session.append();
    await session.run(world.random.below(6));
  }
  await session.run(30);
  // Whatever was met, the client knows of it by now.
  const isOver = session.persistedCount === session.given.length || session.failure !== undefined || session.refusal !== undefined;
  assert.ok(isOver, "every batch is acknowledged, refused or failed");
}

/** Drops what is durable and committed; the answer comes after every batch before it is durable. */
async function compact(session: Session): Promise<void> {
  const durable = session.given[session.persistedCount - 1]?.state ?? session.world.acked;
  const entry = durable.entries.find(({ index }) => index === durable.hardState.commit);
  if (entry === undefined) return;
  const given = session.given.length;
  const answers: string[] = [];
  const asked = session.client?.compact({ index: entry.index, term: entry.term }).then(
    () => answers.push("done"),
    (error) => answers.push(isPumiceError(error) ? error.code : String(error)),
  );
  for (let i = 0; i < 50 && answers.length === 0; i++) await session.run(1);
  await asked;
  const [answer] = answers;
  if (answer === "done") {
    // After a refusal too: what was refused does not count, and the rest is durable.
    if (session.refusal === undefined) assert.equal(session.persistedCount, given, "a compaction waits for the batches before it");
    const newest = session.given[session.persistedCount - 1]?.state ?? session.world.acked;
    session.world.acked = compactedTo(newest, entry.index);
    session.given.length = 0;
    session.persistedCount = 0;
    session.world.refused = [];
  } else if (session.failure !== undefined) {
    // Under way when the log failed: with the mark or without it.
    const before = session.newest;
    session.given.push({ batch: { number: -1, entries: [] }, before, state: compactedTo(before, entry.index) });
  } else {
    assert.equal(answer, "LOG_FULL");
    session.world.refused.push(compactedTo(session.newest, entry.index));
  }
}

/** After a refusal: what was refused is forgotten, and with space the log goes on. */
async function rewind(session: Session): Promise<void> {
  const { world } = session;
  world.refused.push(...session.given.splice(session.persistedCount).map(({ state }) => state));
  const rewinding = session.client?.rewind();
  if (world.random.below(2) === 0) world.disk.capacityBytes = Infinity;
  await session.run(5);
  const state = await rewinding;
  session.refusal = undefined;
  const { hardState } = session.newest;
  assert.deepEqual(state?.hardState, hardState, "a rewind tells what is durable");
}
