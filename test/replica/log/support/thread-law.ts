/** The log's thread and its handle in the simulated world: turns in random order, power lost or the disk full at random moments. */
import assert from "node:assert/strict";
import { crc32, isPumiceError, type PumiceError, type WorkerMain } from "../../../../src/base/mod.ts";
import type { LogHandle, LogParts } from "../../../../src/replica/mod.ts";
import { simSpawner } from "../../../../src/sim/mod.ts";
import { batchOf, type TestBatch } from "./batch.ts";
import { appended, compactedTo, type ModelState } from "./model.ts";
import { LogWorld, openRealLog, writes } from "./world.ts";

/** The code of the log's thread and its handle: the real ones, or those with a planted bug. */
export interface ThreadCode {
  readonly logWriter: (parts: LogParts) => WorkerMain;
  readonly LogHandle: Pick<typeof LogHandle, "open">;
}

interface Given {
  readonly batch: TestBatch;
  readonly before: ModelState;
  /** What the log holds once this batch counts. */
  readonly state: ModelState;
}

/** A driver that keeps several batches on their way. */
class Session {
  readonly world: LogWorld;
  readonly given: Given[] = [];
  persistedCount = 0;
  failure: PumiceError | undefined;
  readonly turns: (() => void)[] = [];
  log: LogHandle | undefined;

  constructor(world: LogWorld) {
    this.world = world;
  }

  get newest(): ModelState {
    return this.given.at(-1)?.state ?? this.world.acked;
  }

  acknowledge(number: number): void {
    const count = this.given.findIndex(({ batch }) => batch.number === number) + 1;
    assert.ok(count > this.persistedCount, "batches are acknowledged in order, each once");
    assert.equal(this.failure, undefined, "nothing is acknowledged after a failure");
    if (this.given.slice(this.persistedCount, count).some(({ batch, before }) => writes(batch, before))) this.world.refused = [];
    this.persistedCount = count;
  }

  failed(error: PumiceError): void {
    this.failure = error;
  }

  append(): void {
    const batch =
      this.world.random.below(6) === 0 ? { ...this.world.vote(), hardState: nextVote(this.newest) } : this.world.batch(this.newest);
    const before = this.newest;
    this.given.push({ batch, before, state: appended(before, [batch]) });
    this.log?.append(batchOf(batch, writes(batch, before)));
  }

  /** Lets up to `count` turns happen; those of the thread and of its handle in their order. */
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
    const opening = code.LogHandle.open(spawner.spawn("log", world.settings), session);
    await session.run(20);
    session.log = await opening;
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
    if (session.log?.refusal !== undefined) retry(session);
    if (world.random.below(15) === 0) await compact(session);
    else session.append();
    await session.run(world.random.below(6));
  }
  world.disk.capacityBytes = Infinity;
  await session.run(30);
  if (session.failure === undefined) session.log?.retry();
  await session.run(100);
  const isOver = session.persistedCount === session.given.length || session.failure !== undefined;
  assert.ok(isOver, "every batch is acknowledged once there is space, or the log has failed");
}

/** Drops what is durable and committed. Batches that wait are written after it. */
async function compact(session: Session): Promise<void> {
  const durable = session.given[session.persistedCount - 1]?.state ?? session.world.acked;
  const entry = durable.entries.find(({ index }) => index === durable.hardState.commit);
  if (entry === undefined) return;
  const persistedAtCall = session.persistedCount;
  const answers: (boolean | undefined)[] = [];
  const asked = session.log?.compact({ index: entry.index, term: entry.term }).then((isDone) => answers.push(isDone));
  for (let i = 0; i < 50 && answers.length === 0; i++) await session.run(1);
  await asked;
  const after = (state: ModelState): ModelState => (state.compacted.index >= entry.index ? state : compactedTo(state, entry.index));
  if (answers[0] === true) {
    const newest = session.given[session.persistedCount - 1]?.state ?? session.world.acked;
    const waiting = session.given.splice(session.persistedCount);
    session.world.acked = after(newest);
    session.given.length = 0;
    for (const { batch, before, state } of waiting) session.given.push({ batch, before: after(before), state: after(state) });
    session.persistedCount = 0;
    session.world.refused = [];
    return;
  }
  // Refused, or under way when the log failed: with the mark or without it, over whatever had been written by then.
  if (session.failure === undefined) assert.notEqual(session.world.disk.capacityBytes, Infinity, "only a full disk drops nothing");
  session.world.refused.push(after(durable), ...session.given.slice(persistedAtCall).map(({ state }) => after(state)));
}

/** After a refusal: with space or without, what waits is sent again. */
function retry(session: Session): void {
  assert.ok(isPumiceError(session.log?.refusal, "LOG_FULL"));
  if (session.world.random.below(2) === 0) session.world.disk.capacityBytes = Infinity;
  session.log?.retry();
}
