/** The compaction thread as a program has it: kept for a while, replaced when it dies, and in nobody's way. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import { promisify } from "node:util";
import type { Spawner, Worker } from "../../src/base/mod.ts";
import { isPumiceError, openDb, RemoteExecutor, type Db } from "../../src/entry/lsm.ts";
import { systemClock, threadSpawner } from "../../src/host/mod.ts";
import { bytes, text } from "./support/world.ts";

const folder = mkdtempSync(join(tmpdir(), "pumice-thread-"));
after(() => rmSync(folder, { recursive: true, force: true }));
const door = new URL("../../src/entry/lsm.ts", import.meta.url).href;
const entry = new URL("../../src/entry/lsm-compaction-worker.ts", import.meta.url);

async function until(isSo: () => boolean, what: string): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!isSo()) {
    assert.ok(performance.now() < deadline, `not reached: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Threads that were started, and how many of them are there. */
class Threads implements Spawner {
  readonly started: Worker[] = [];
  alive = 0;
  private readonly threads = threadSpawner(new Map([["compaction", entry]]));

  spawn(name: string, initial: unknown): Worker {
    const worker = this.threads.spawn(name, initial);
    this.started.push(worker);
    this.alive++;
    let isThere = true;
    const gone = (): void => {
      if (isThere) this.alive--;
      isThere = false;
    };
    const seen: Worker = {
      post: (...message) => worker.post(...message),
      onMessage: (receive) => worker.onMessage(receive),
      onExit: (listener) =>
        worker.onExit((error) => {
          gone();
          listener(error);
        }),
      keepProcess: (isKept) => worker.keepProcess(isKept),
      terminate: async () => {
        await worker.terminate();
        gone();
      },
    };
    return seen;
  }
}

/** A store in a directory, merged on threads that the test sees. */
async function openSeen(
  name: string,
  options: { idleMs?: number; smallBytes?: number; functions?: URL } = {},
): Promise<{ db: Db; threads: Threads; executor: RemoteExecutor }> {
  const threads = new Threads();
  const { functions, ...times } = options;
  const initial = { address: folder, root: name, isSynced: false, functions: functions?.href };
  const executor = new RemoteExecutor(threads, { name: "compaction", initial, clock: systemClock, smallBytes: 0, ...times });
  const choices = functions === undefined ? {} : { functions };
  const settings = { gc: false, compactor: { pollIntervalMs: 3_600_000 } } as const;
  const db = await openDb(folder, name, { ...settings, ...choices, compactionExecutor: executor });
  return { db, threads, executor };
}

async function fill(db: Db, value: string): Promise<void> {
  for (let i = 0; i < 50; i++) db.putSync(bytes(`k${i}`), bytes(value));
  await db.flush("memtable");
}

test("several jobs, one after the other, use one thread", async () => {
  const { db, threads, executor } = await openSeen("several", { idleMs: 60_000 });
  for (let round = 0; round < 4; round++) {
    await fill(db, `${round}`);
    await db.compact();
  }
  assert.deepEqual([threads.started.length, threads.alive], [1, 1]);
  assert.equal(text(await db.get(bytes("k7"))), "3");
  // What each job asked of the object store is counted once.
  const asked = db.metrics().find(({ name, labels }) => name === "object_store.request_count" && labels["op"] === "create_from");
  assert.equal((asked as { value: number } | undefined)?.value, 4);
  await db.close();
  await executor.close();
  assert.equal(threads.alive, 0);
});

test("a thread that nobody asks for a while ends, and the next job has another", async () => {
  const { db, threads, executor } = await openSeen("idle", { idleMs: 20 });
  await fill(db, "1");
  await db.compact();
  await until(() => threads.alive === 0, "the thread ends");
  await fill(db, "2");
  await db.compact();
  assert.equal(threads.started.length, 2);
  await db.close();
  await executor.close();
  assert.equal(threads.alive, 0);
});

test("a small job is merged on the store's thread if no other waits, a larger one is not", async () => {
  const { db, threads, executor } = await openSeen("small", { idleMs: 60_000, smallBytes: 100_000 });
  await fill(db, "1");
  await db.compact();
  assert.equal(threads.started.length, 0);
  await fill(db, "2".repeat(4000));
  await db.compact();
  assert.equal(threads.started.length, 1);
  assert.equal(db.status().sortedRuns, 1);
  await db.close();
  await executor.close();
});

test("closing in the middle of a job ends the thread and the job, and the next opener of the store does it", async () => {
  const { db, threads, executor } = await openSeen("closed");
  await fill(db, "1");
  const compacting = db.compact();
  compacting.catch(() => undefined);
  await until(() => threads.started.length > 0, "the thread starts");
  await executor.close();
  await assert.rejects(compacting, (error) => isPumiceError(error, "LSM_CLOSED"));
  await assert.rejects(db.compact(), (error) => isPumiceError(error, "LSM_CLOSED"), "no other thread begins");
  await db.close();
  assert.deepEqual([threads.started.length, threads.alive], [1, 0]);
  const again = await openSeen("closed");
  await again.db.compact();
  assert.deepEqual([again.db.status().l0Ssts, again.db.status().sortedRuns, again.threads.started.length], [0, 1, 1]);
  await again.db.close();
  await again.executor.close();
});

test("a thread that dies while it waits is not given the next job", async () => {
  const module = join(folder, "late.mjs");
  writeFileSync(
    module,
    `import { isMainThread } from "node:worker_threads";
     export const mergeOperator = {
       merge: (key, existing, operand) => {
         if (!isMainThread) setTimeout(() => process.exit(1), 50);
         return existing === undefined ? operand : new Uint8Array([...existing, ...operand]);
       },
     };`,
  );
  const { db, threads, executor } = await openSeen("late", { functions: pathToFileURL(module), idleMs: 60_000 });
  for (const operand of ["x", "y"]) {
    await db.merge(bytes("k"), bytes(operand));
    await db.flush("memtable");
  }
  await db.compact();
  await until(() => threads.alive === 0, "the thread dies");
  await fill(db, "1");
  await db.compact();
  assert.equal(threads.started.length, 2);
  await db.close();
  await executor.close();
  assert.equal(threads.alive, 0);
});

test("a thread that a function of the program ends in the middle of a job is replaced, and the job done", async () => {
  const mark = join(folder, "died");
  const module = join(folder, "deadly.mjs");
  writeFileSync(
    module,
    `import { existsSync, writeFileSync } from "node:fs";
     import { isMainThread } from "node:worker_threads";
     const mark = ${JSON.stringify(mark)};
     export const mergeOperator = {
       merge: (key, existing, operand) => {
         if (!isMainThread && !existsSync(mark)) {
           writeFileSync(mark, "died");
           process.exit(0);
         }
         return existing === undefined ? operand : new Uint8Array([...existing, ...operand]);
       },
     };`,
  );
  const { db, threads, executor } = await openSeen("deadly", { functions: pathToFileURL(module), idleMs: 60_000 });
  for (const operand of ["x", "y"]) {
    await db.merge(bytes("k"), bytes(operand));
    await db.flush("memtable");
  }
  await assert.rejects(db.compact(), (error) => isPumiceError(error, "WORKER_FAILED"));
  assert.equal(readFileSync(mark, "utf8"), "died");
  await db.compact();
  assert.equal(text(await db.get(bytes("k"))), "xy");
  assert.deepEqual([db.status().sortedRuns, threads.started.length, threads.alive], [1, 2, 1]);
  await db.close();
  await executor.close();
  assert.equal(threads.alive, 0);
});

test("a program ends without waiting for a compaction thread that waits", async () => {
  const program = `
    const { openDb } = await import(${JSON.stringify(door)});
    const utf8 = (text) => new TextEncoder().encode(text);
    const db = await openDb("./ends", "s", { gc: false, compactor: { pollIntervalMs: 3_600_000 } });
    for (let part = 0; part < 2; part++) {
      for (let i = 0; i < 100; i++) db.putSync(utf8("k" + i), utf8(String(part).repeat(4000)));
      await db.flush("memtable");
    }
    await db.compact();
    const threads = () => process.getActiveResourcesInfo().filter((name) => name === "MessagePort" || name === "Worker").length;
    await db.close();
    console.log(JSON.stringify({ left: threads() }));`;
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", program], { cwd: folder, timeout: 60_000 });
  assert.deepEqual(JSON.parse(stdout), { left: 0 });
});
