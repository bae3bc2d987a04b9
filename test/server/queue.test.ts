/** The laws of queued writes, against a writer that can be slow, lose answers and refuse. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { PumiceError } from "../../src/base/mod.ts";
import { createCounters } from "../../src/server/counters.ts";
import { HttpError } from "../../src/server/http-error.ts";
import { DEFAULT_QUEUE, type QueueOptions } from "../../src/server/options.ts";
import { type NewRequest, WriteQueue } from "../../src/server/queue.ts";
import type { StatementsRequest, WriteOutcome } from "../../src/replica/mod.ts";
import type { ReplicaPort } from "../../src/server/replica-port.ts";

/** Applies what is written to a list, at most once for each request id, as a replica does. */
class Ledger {
  readonly applied: string[] = [];
  readonly writes: StatementsRequest[] = [];
  underWayMax = 0;
  #underWay = 0;
  readonly #outcomes = new Map<string, WriteOutcome>();
  /** Called before and after an apply; may wait, or throw what a replica throws. */
  before: (request: StatementsRequest) => Promise<void> | void = () => undefined;
  after: (request: StatementsRequest) => Promise<void> | void = () => undefined;

  async write(request: StatementsRequest): Promise<WriteOutcome> {
    this.writes.push(request);
    this.underWayMax = Math.max(this.underWayMax, ++this.#underWay);
    try {
      await this.before(request);
      const id = `${String(request.requestId?.session)}/${String(request.requestId?.sequence)}`;
      const outcome = this.#outcomes.get(id) ?? this.#apply(request);
      this.#outcomes.set(id, outcome);
      await this.after(request);
      return outcome;
    } finally {
      this.#underWay--;
    }
  }

  #apply(request: StatementsRequest): WriteOutcome {
    if (request.statements.some(({ sql }) => sql === "pragma")) return { kind: "error", error: "disallowed pragma" };
    const results: string[] = [];
    const staged: string[] = [];
    for (const { sql } of request.statements) {
      if (sql.startsWith("bad")) {
        results.push(`{"error":"no such table: ${sql}"}`);
        if (request.transaction === true) return { kind: "results", results: results.join(","), raftIndex: 1 };
      } else {
        staged.push(sql);
        results.push(`{"last_insert_id":${String(this.applied.length + staged.length)}}`);
      }
    }
    this.applied.push(...staged);
    return { kind: "results", results: results.join(","), raftIndex: this.writes.length };
  }
}

function queueOver(ledger: Ledger, options: Partial<QueueOptions> = {}) {
  const counters = createCounters();
  const lines: string[] = [];
  const replica = ledger as unknown as ReplicaPort;
  const queue = new WriteQueue(
    { ...DEFAULT_QUEUE, timeoutMs: 1, ...options },
    { replica: () => replica, counters, log: (line) => lines.push(line) },
  );
  return { queue, counters, lines };
}

const request = (...sql: string[]): NewRequest => ({
  statements: sql.map((text) => ({ sql: text })),
  sizeBytes: 10,
  format: undefined,
  dbTimeoutMs: undefined,
  transaction: false,
});

test("each request gets the results of its own statements, in the order of arrival, and one batch is under way at a time", async () => {
  const ledger = new Ledger();
  ledger.before = () => new Promise(setImmediate);
  const { queue, counters } = queueOver(ledger, { batchSize: 10 });
  const accepted = await Promise.all(Array.from({ length: 50 }, (_, i) => queue.submit(request(`${String(i)}a`, `${String(i)}b`), 1000)));
  const outcomes = await Promise.all(accepted.map(({ done }) => done));
  assert.deepEqual(ledger.applied, Array.from({ length: 50 }, (_, i) => [`${String(i)}a`, `${String(i)}b`]).flat());
  for (const [i, { results }] of outcomes.entries()) {
    assert.equal(results, `{"last_insert_id":${String(2 * i + 1)}},{"last_insert_id":${String(2 * i + 2)}}`);
  }
  assert.equal(ledger.underWayMax, 1);
  assert.ok(ledger.writes.every(({ statements }) => statements.length <= 10));
  assert.equal(counters.queue.objects_tx, 50);
  for (let i = 1; i < accepted.length; i++) assert.equal(accepted[i]?.sequence, (accepted[i - 1]?.sequence ?? 0n) + 1n);
});

test("a batch whose answer was lost is sent again under its id, and applied once", async () => {
  const ledger = new Ledger();
  let losses = 3;
  ledger.after = () => {
    if (losses-- > 0) throw new PumiceError("STORE_UNAVAILABLE", { reason: "the answer was lost" });
  };
  const { queue, counters, lines } = queueOver(ledger);
  const { done } = await queue.submit(request("once"), 1000);
  assert.equal((await done).results, '{"last_insert_id":1}');
  assert.deepEqual(ledger.applied, ["once"]);
  assert.equal(new Set(ledger.writes.map(({ requestId }) => requestId?.sequence)).size, 1);
  assert.equal(counters.queue.num_retries, 3);
  assert.equal(lines.length, 1, "a retry is logged once and not each time");
});

test("a request that makes the whole entry fail fails alone", async () => {
  const ledger = new Ledger();
  const { queue, counters } = queueOver(ledger);
  const accepted = await Promise.all([request("a"), request("pragma"), request("b", "c")].map((each) => queue.submit(each, 1000)));
  const outcomes = await Promise.all(accepted.map(({ done }) => done));
  assert.deepEqual(ledger.applied, ["a", "b", "c"]);
  assert.deepEqual(
    outcomes.map(({ error }) => error),
    [undefined, "disallowed pragma", undefined],
  );
  assert.equal(counters.http.queued_executions_failed, 1);
  assert.equal(new Set(ledger.writes.map(({ requestId }) => requestId?.sequence)).size, ledger.writes.length, "a new entry has a new id");
});

test("errors of statements are counted and kept with the number of their request", async () => {
  const ledger = new Ledger();
  const { queue, counters } = queueOver(ledger);
  const { done, sequence } = await queue.submit(request("a", "bad1", "b"), 1000);
  assert.equal((await done).results, '{"last_insert_id":1},{"error":"no such table: bad1"},{"last_insert_id":2}');
  assert.equal(counters.queue.num_statement_errors, 1);
  const [kept] = queue.status()["last_errors"] as { sequence_number: bigint; statement: number; error: string }[];
  assert.equal(kept?.sequence_number, sequence);
  assert.equal(kept.statement, 1);
  assert.equal(kept.error, "no such table: bad1");
  for (let i = 0; i < 40; i++) await (await queue.submit(request("bad2"), 1000)).done;
  assert.equal((queue.status()["last_errors"] as unknown[]).length, 32);
});

test("a request that uses up the work of its entry does not starve another", async () => {
  for (const transaction of [false, true]) {
    const ledger = new Ledger();
    const write = ledger.write.bind(ledger);
    // As a replica: the budget is the entry's; a greedy statement and all after it fail, unless a later one is alone.
    ledger.write = async (written) => {
      const greedy = written.statements.findIndex(({ sql }) => sql === "greedy");
      if (greedy < 0) return write(written);
      const done = transaction || greedy === 0 ? undefined : await write({ ...written, statements: written.statements.slice(0, greedy) });
      const results = done?.kind === "results" ? [done.results as string] : [];
      const failed = transaction ? 1 : written.statements.length - greedy;
      return { kind: "results", results: [...results, ...Array<string>(failed).fill('{"error":"execute timeout"}')].join(",") };
    };
    const { queue } = queueOver(ledger, { transaction });
    const accepted = await Promise.all([request("a"), request("greedy"), request("b", "c")].map((each) => queue.submit(each, 1000)));
    const outcomes = await Promise.all(accepted.map(({ done }) => done));
    assert.deepEqual(ledger.applied, ["a", "b", "c"]);
    assert.deepEqual(
      outcomes.map(({ results }) => results),
      ['{"last_insert_id":1}', '{"error":"execute timeout"}', '{"last_insert_id":2},{"last_insert_id":3}'],
    );
  }
});

test("with transactions, a request that fails is undone alone and the others are written", async () => {
  const ledger = new Ledger();
  const { queue } = queueOver(ledger, { transaction: true });
  const accepted = await Promise.all(
    [request("a"), request("b", "bad1", "c"), request("d"), request("bad2")].map((each) => queue.submit(each, 1000)),
  );
  const outcomes = await Promise.all(accepted.map(({ done }) => done));
  assert.deepEqual(ledger.applied, ["a", "d"]);
  assert.equal(outcomes[0]?.results, '{"last_insert_id":1}');
  assert.match(outcomes[1]?.results ?? "", /^\{"last_insert_id":\d\},\{"error":"no such table: bad1"\}$/);
  assert.equal(outcomes[2]?.results, '{"last_insert_id":2}');
  assert.equal(outcomes[3]?.results, '{"error":"no such table: bad2"}');
});

test("a request that asks for a transaction is all or nothing, whatever stands beside it", async () => {
  const ledger = new Ledger();
  const { queue } = queueOver(ledger);
  const whole = (...sql: string[]): NewRequest => ({ ...request(...sql), transaction: true });
  const accepted = await Promise.all(
    [request("a", "bad1", "b"), whole("c", "bad2"), whole("d", "e"), request("f")].map((each) => queue.submit(each, 1000)),
  );
  const outcomes = await Promise.all(accepted.map(({ done }) => done));
  assert.deepEqual(ledger.applied, ["a", "b", "d", "e", "f"]);
  assert.match(outcomes[1]?.results ?? "", /^\{"last_insert_id":\d\},\{"error":"no such table: bad2"\}$/);
  assert.deepEqual(
    ledger.writes.map(({ transaction }) => transaction),
    [false, true, true, false],
  );
});

test("requests of different formats or time limits do not share an entry", async () => {
  const ledger = new Ledger();
  const { queue } = queueOver(ledger);
  const accepted = await Promise.all([
    queue.submit(request("a"), 1000),
    queue.submit({ ...request("b"), format: { associative: true } }, 1000),
    queue.submit({ ...request("c"), dbTimeoutMs: 5 }, 1000),
    queue.submit({ ...request("d"), dbTimeoutMs: 5 }, 1000),
  ]);
  await Promise.all(accepted.map(({ done }) => done));
  assert.deepEqual(
    ledger.writes.map(({ statements }) => statements.map(({ sql }) => sql).join("")),
    ["a", "b", "cd"],
  );
});

test("a full queue makes clients wait, admits them in order, and refuses those that waited too long", async () => {
  const ledger = new Ledger();
  const { promise: gate, resolve: open } = Promise.withResolvers<undefined>();
  ledger.before = () => gate;
  const { queue, counters } = queueOver(ledger, { capacity: 2, batchSize: 1 });
  await queue.submit(request("under way"), 1000);
  await queue.submit(request("1"), 1000);
  await queue.submit(request("2"), 1000);
  const third = queue.submit(request("3"), 10_000);
  const fourth = queue.submit(request("4"), 10_000);
  await assert.rejects(
    queue.submit(request("late"), 5),
    (error) => error instanceof HttpError && error.status === 503 && error.headers[0] === "Retry-After",
  );
  assert.equal(counters.http.queued_executions_refused, 1);
  assert.equal(queue.status()["waiting_for_room"], 2);
  open(undefined);
  await Promise.all([third, fourth].map(async (accepted) => (await accepted).done));
  assert.deepEqual(ledger.applied, ["under way", "1", "2", "3", "4"]);
});

test("bytes that wait are bounded, and a request larger than the bound passes alone", async () => {
  const ledger = new Ledger();
  const { promise: gate, resolve: open } = Promise.withResolvers<undefined>();
  ledger.before = () => gate;
  const { queue } = queueOver(ledger, { capacityBytes: 100, batchSize: 1 });
  await queue.submit(request("under way"), 1000);
  await queue.submit({ ...request("huge"), sizeBytes: 1000 }, 1000);
  await assert.rejects(queue.submit(request("more"), 5), HttpError);
  open(undefined);
  await (
    await queue.submit(request("last"), 1000)
  ).done;
  assert.deepEqual(ledger.applied, ["under way", "huge", "last"]);
});

test("a large request that waits for room is not overtaken by small ones", async () => {
  const ledger = new Ledger();
  const { promise: gate, resolve: open } = Promise.withResolvers<undefined>();
  ledger.before = () => gate;
  const { queue } = queueOver(ledger, { capacityBytes: 100, batchSize: 1 });
  await queue.submit(request("under way"), 1000);
  await queue.submit({ ...request("half"), sizeBytes: 60 }, 1000);
  const large = queue.submit({ ...request("large"), sizeBytes: 60 }, 10_000);
  const small = queue.submit({ ...request("small"), sizeBytes: 1 }, 10_000);
  open(undefined);
  await Promise.all([large, small].map(async (accepted) => (await accepted).done));
  assert.deepEqual(ledger.applied, ["under way", "half", "large", "small"]);
});

test("a request without statements is done when all before it are", async () => {
  const ledger = new Ledger();
  const { queue } = queueOver(ledger, { timeoutMs: 60_000 });
  await queue.submit(request("a"), 1000);
  const { done } = await queue.submit(request(), 1000);
  assert.equal((await done).results, "");
  assert.deepEqual(ledger.applied, ["a"]);
});

test("closing writes what is queued, and refuses what comes after", async () => {
  const ledger = new Ledger();
  ledger.before = () => new Promise(setImmediate);
  const { queue } = queueOver(ledger, { timeoutMs: 60_000, batchSize: 1000 });
  for (let i = 0; i < 10; i++) await queue.submit(request(String(i)), 1000);
  const closed = queue.close(10_000);
  await assert.rejects(queue.submit(request("late"), 1000), (error) => error instanceof HttpError && error.status === 503);
  await closed;
  assert.equal(ledger.applied.length, 10);
});

test("closing does not wait for ever for a replica that never answers well; what is given up is an error, not silence", async () => {
  const ledger = new Ledger();
  ledger.before = () => {
    throw new PumiceError("STORE_UNAVAILABLE");
  };
  const { queue, counters, lines } = queueOver(ledger);
  const { done } = await queue.submit(request("a"), 1000);
  await queue.close(20);
  assert.match((await done).error ?? "", /shutting down/);
  assert.equal(counters.http.queued_executions_failed, 1);
  assert.ok(lines.some((line) => /closing before everything is written requests=1/.test(line)));
});
