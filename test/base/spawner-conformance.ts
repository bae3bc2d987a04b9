/** What every Spawner keeps. The workers are those of `conformanceWorkers`, registered by name. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isPumiceError, type Spawner, type Worker, type WorkerMain } from "../../src/base/mod.ts";

/** name -> the worker's code. A real spawner runs each in an entry file of its own. */
export const conformanceWorkers: ReadonlyMap<string, WorkerMain> = new Map<string, WorkerMain>([
  // Sends back what it gets, after what it was started with.
  [
    "echo",
    (scope, initial) => {
      scope.post(initial);
      scope.onMessage((message) => scope.post(message));
    },
  ],
  // Sends what waited together as one list each time that nothing waits.
  [
    "batch",
    (scope) => {
      let waiting: unknown[] = [];
      scope.onMessage((message) => waiting.push(message));
      scope.onIdle(() => {
        if (waiting.length > 0) scope.post(waiting);
        waiting = [];
        return false;
      });
    },
  ],
  // Works in five slices whenever it is told to; messages come in between.
  [
    "slices",
    (scope) => {
      let left = 0;
      scope.onMessage((message) => {
        if (message === "work") left = 5;
        else scope.post(message);
      });
      scope.onIdle(() => {
        if (left === 0) return false;
        left--;
        scope.post(`slice ${left}`);
        return left > 0;
      });
    },
  ],
  [
    "fail",
    (scope) => {
      scope.onMessage((message) => {
        throw new Error(`told to: ${String(message)}`);
      });
    },
  ],
]);

function collect(worker: Worker, count: number): Promise<unknown[]> {
  return new Promise((resolve) => {
    const messages: unknown[] = [];
    worker.onMessage((message) => {
      messages.push(message);
      if (messages.length === count) resolve(messages);
    });
  });
}

export function spawnerConformance(name: string, create: () => Spawner): void {
  test(`${name}: a worker gets what it was started with, and messages in order`, async () => {
    const worker = create().spawn("echo", { start: 1 });
    for (let i = 0; i < 100; i++) worker.post(i);
    assert.deepEqual(await collect(worker, 101), [{ start: 1 }, ...Array.from({ length: 100 }, (_, i) => i)]);
    await worker.terminate();
  });

  test(`${name}: messages are copies, and bytes keep their type`, async () => {
    const message = { bytes: Uint8Array.of(1, 2, 3), big: 2n ** 63n, nothing: undefined };
    const worker = create().spawn("echo", message);
    const [back] = (await collect(worker, 1)) as [typeof message];
    assert.deepEqual(back, message);
    back.bytes[0] = 9;
    assert.equal(message.bytes[0], 1);
    await worker.terminate();
  });

  test(`${name}: a listed buffer is moved: the sender's becomes empty`, async () => {
    const worker = create().spawn("echo", 0);
    const bytes = Uint8Array.of(1, 2, 3);
    worker.post(bytes, [bytes.buffer]);
    assert.equal(bytes.byteLength, 0);
    assert.deepEqual(await collect(worker, 2), [0, Uint8Array.of(1, 2, 3)]);
    await worker.terminate();
  });

  test(`${name}: idle work sees every message once, in order`, async () => {
    const worker = create().spawn("batch", undefined);
    const seen: unknown[] = [];
    const all = new Promise<void>((resolve) => {
      worker.onMessage((batch) => {
        seen.push(...(batch as unknown[]));
        if (seen.length === 500) resolve();
      });
    });
    for (let i = 0; i < 500; i++) worker.post(i);
    await all;
    assert.deepEqual(
      seen,
      Array.from({ length: 500 }, (_, i) => i),
    );
    await worker.terminate();
  });

  test(`${name}: idle work goes on as long as it says that it has more`, async () => {
    const worker = create().spawn("slices", undefined);
    worker.post("work");
    worker.post("between");
    const messages = await collect(worker, 6);
    assert.deepEqual(
      messages.filter((message) => message !== "between"),
      ["slice 4", "slice 3", "slice 2", "slice 1", "slice 0"],
    );
    assert.ok(messages.includes("between"));
    await worker.terminate();
  });

  test(`${name}: a worker that fails is reported once, with its error`, async () => {
    const worker = create().spawn("fail", undefined);
    const exits: (Error | undefined)[] = [];
    const exited = new Promise<void>((resolve) => {
      worker.onExit((error) => {
        exits.push(error);
        resolve();
      });
    });
    worker.post("stop");
    worker.post("again");
    await exited;
    await worker.terminate();
    assert.equal(exits.length, 1);
    assert.match(String(exits[0]?.message), /told to: stop/);
  });

  test(`${name}: terminate is idempotent and is no failure`, async () => {
    const worker = create().spawn("echo", 0);
    worker.onExit(() => assert.fail("terminated, not ended by itself"));
    await Promise.all([worker.terminate(), worker.terminate()]);
    await worker.terminate();
    worker.post("into the void");
  });

  test(`${name}: a name that nobody registered is refused`, () => {
    assert.throws(
      () => create().spawn("nobody", undefined),
      (error) => isPumiceError(error, "WORKER_FAILED"),
    );
  });
}
