import assert from "node:assert/strict";
import * as fs from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { test, type TestContext } from "node:test";
import { isPumiceError, type PumiceError } from "../../../src/base/mod.ts";
import { threadSpawner } from "../../../src/host/mod.ts";
import type { Entry } from "../../../src/raft/mod.ts";
import { LogHandle } from "../../../src/replica/mod.ts";
import { batchOf } from "./support/batch.ts";

const entry = new URL("../../../src/entry/log-writer.ts", import.meta.url);

function temporaryFolder(context: TestContext): string {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "pumice-log-"));
  context.after(() => fs.rmSync(folder, { recursive: true }));
  return folder;
}

class Listener {
  readonly persistedNumbers: number[] = [];
  readonly failures: PumiceError[] = [];
  #wake: (() => void) | undefined;

  acknowledge(number: number): void {
    this.persistedNumbers.push(number);
    this.#wake?.();
  }
  failed(error: PumiceError): void {
    this.failures.push(error);
    this.#wake?.();
  }
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => (this.#wake = resolve));
  }
}

function open(folder: string, listener: Listener): Promise<LogHandle> {
  const worker = threadSpawner(new Map([["log-writer", entry]])).spawn("log-writer", { folder, segmentBytes: 16_384, sliceBytes: 4096 });
  return LogHandle.open(worker, listener);
}

function entryAt(index: number): Entry {
  return { index, term: 1, type: index % 3 === 0 ? "config" : "normal", data: Uint8Array.of(index, index >> 8) };
}

test("on a real disk and thread: what was acknowledged is there after a restart, in order, batch by batch or in groups", async (context) => {
  const folder = path.join(temporaryFolder(context), "raft", "log");
  const listener = new Listener();
  const log = await open(folder, listener);
  const count = 1000;
  for (let i = 1; i <= count; i++)
    log.append(batchOf({ number: i, hardState: { term: 1, vote: 1, commit: i - 1 }, entries: [entryAt(i)] }));
  await listener.until(() => listener.persistedNumbers.at(-1) === count);
  assert.deepEqual(
    listener.persistedNumbers,
    listener.persistedNumbers.toSorted((a, b) => a - b),
  );
  await log.close();
  assert.throws(
    () => log.append(batchOf({ number: count + 1, entries: [] })),
    (error) => isPumiceError(error, "LOG_CLOSED"),
  );
  await log.close();

  const again = await open(folder, new Listener());
  assert.deepEqual(again.opened.hardState, { term: 1, vote: 1, commit: count - 1 });
  assert.deepEqual(again.opened.last, { index: count, term: 1 });
  const entries: Entry[] = [];
  while (entries.length < count) {
    const some = await again.read({ lo: entries.length + 1, hi: count + 1, maxBytes: 100 });
    assert.ok(some !== undefined && some.length > 0);
    entries.push(...some);
  }
  assert.deepEqual(
    entries,
    Array.from({ length: count }, (_, i) => entryAt(i + 1)),
  );
  assert.equal(await again.compact({ index: 500, term: 1 }), true);
  assert.equal(await again.read({ lo: 500, hi: 501, maxBytes: 1 }), undefined);
  assert.deepEqual(await again.read({ lo: 501, hi: 502, maxBytes: 1 }), [entryAt(501)]);
  await again.close();
});

test("a folder that cannot be a log's is refused when it is opened", async (context) => {
  const folder = temporaryFolder(context);
  fs.writeFileSync(path.join(folder, "file"), "");
  await assert.rejects(open(path.join(folder, "file", "log"), new Listener()), (error) => isPumiceError(error));
});

test("a log whose thread dies has failed", async (context) => {
  const listener = new Listener();
  const worker = threadSpawner(new Map([["log-writer", entry]])).spawn("log-writer", {
    folder: path.join(temporaryFolder(context), "log"),
  });
  const log = await LogHandle.open(worker, listener);
  worker.post({ kind: "append" });
  await listener.until(() => listener.failures.length > 0);
  assert.equal(listener.failures[0]?.code, "WORKER_FAILED");
  await assert.rejects(log.read({ lo: 1, hi: 2, maxBytes: 1 }), (error) => isPumiceError(error, "WORKER_FAILED"));
});
