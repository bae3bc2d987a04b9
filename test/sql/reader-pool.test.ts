/** The pool with real reader threads on a real file. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { isPumiceError } from "../../src/base/mod.ts";
import { extensionPath } from "../../src/entry/extension.ts";
import { systemClock, systemFiles, threadSpawner } from "../../src/host/mod.ts";
import { type InlineReads, ReaderPool } from "../../src/sql/read/pool.ts";
import { InlineReader, InterruptSwitch, StateMachine } from "../../src/sql/mod.ts";

const ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";

async function create(context: TestContext, readers: number, wrap: (inline: InlineReads) => InlineReads = (inline) => inline) {
  const folder = mkdtempSync(join(tmpdir(), "pumice-readers-"));
  const init = { path: join(folder, "db.sqlite"), extensionPath: extensionPath(), foreignKeys: false };
  const machine = StateMachine.open({ ...init, files: systemFiles, monotonic: () => systemClock.monotonic() });
  const interrupts = new InterruptSwitch(init.extensionPath);
  const spawner = threadSpawner(new Map([["reader", new URL("../../src/entry/reader-worker.ts", import.meta.url)]]));
  const pool = new ReaderPool(readers, {
    clock: systemClock,
    spawn: (running) => spawner.spawn("reader", { ...init, running }),
    defer: (task) => void setImmediate(task),
    openInline: () => wrap(new InlineReader({ ...init, monotonic: () => 0 })),
    interrupt: (handle) => interrupts.interrupt(handle),
    failed: (error) => assert.fail(error.message),
  });
  await pool.opened();
  const ticking = setInterval(() => pool.tick(), 5);
  context.after(async () => {
    clearInterval(ticking);
    await pool.close();
    machine.close();
    interrupts.close();
    rmSync(folder, { recursive: true });
  });
  return pool;
}

const statement = (sql: string) => ({ statements: [{ sql }] });

test("quick reads in one batch with a slow one are answered by another reader, before the slow one ends", async (context) => {
  const pool = await create(context, 2);
  let isSlowDone = false;
  const quickBefore = pool.read(statement("SELECT 1"));
  const slow = pool.read({ ...statement(ENDLESS), deadlineMs: 2000 }).then((result) => {
    isSlowDone = true;
    return result;
  });
  const quickAfter = [2, 3, 4].map((i) => pool.read(statement(`SELECT ${i}`)));
  const texts = (await Promise.all([quickBefore, ...quickAfter])).map((result) => String(result.results));
  assert.deepEqual(
    texts.map((text) => /"values":\[\[(\d)\]\]/.exec(text)?.[1]),
    ["1", "2", "3", "4"],
  );
  assert.equal(isSlowDone, false);
  assert.match(String((await slow).results), /query timeout/);
  assert.equal(pool.count, 0);
});

test("a read that was slow goes alone the next time: quick ones of the same turn need no rescue", async (context) => {
  const pool = await create(context, 2);
  await pool.read({ ...statement(ENDLESS), deadlineMs: 50 });
  let isSlowDone = false;
  const quick = pool.read(statement("SELECT 1"));
  const slow = pool.read({ ...statement(ENDLESS), deadlineMs: 1000 }).then(() => (isSlowDone = true));
  const after = pool.read(statement("SELECT 2"));
  await Promise.all([quick, after]);
  assert.equal(isSlowDone, false);
  await slow;
});

test("a read whose caller gives up ends, and its reader is free", async (context) => {
  const pool = await create(context, 1);
  const controller = new AbortController();
  const endless = pool.read(statement(ENDLESS), { signal: controller.signal });
  const waiting = pool.read(statement("SELECT 1"), { signal: controller.signal });
  setImmediate(() => setImmediate(() => controller.abort(new Error("gone"))));
  await assert.rejects(endless, /gone/);
  await assert.rejects(waiting, /gone/);
  assert.match(String((await pool.read(statement("SELECT 3"))).results), /\[\[3\]\]/);
});

test("a closed pool refuses, and a close waits for no read", async (context) => {
  const pool = await create(context, 1);
  const endless = pool.read(statement(ENDLESS));
  setImmediate(() => setImmediate(() => void pool.close()));
  await assert.rejects(endless, (error) => isPumiceError(error, "REPLICA_CLOSED"));
  await pool.close();
  await assert.rejects(pool.read(statement("SELECT 1")), (error) => isPumiceError(error, "REPLICA_CLOSED"));
});

test("a text that was found simple is read at once on this thread; what that declines, a reader answers, each read once", async (context) => {
  const asked: string[] = [];
  let declines = false;
  const pool = await create(context, 1, (inline) => ({
    read: (request) => {
      const sql = request.statements[0]?.sql ?? "";
      asked.push(sql);
      return declines ? undefined : inline.read(request);
    },
    close: () => inline.close(),
  }));
  const read = async (sql: string): Promise<string> => String((await pool.read(statement(sql))).results);
  for (let i = 0; i < 5; i++) assert.match(await read("SELECT 5"), /\[\[5\]\]/);
  assert.deepEqual(asked, ["SELECT 5", "SELECT 5", "SELECT 5"], "the first two went to a reader");
  for (let i = 0; i < 5; i++) assert.match(await read("SELECT count(*) FROM sqlite_schema"), /\[\[1\]\]/);
  assert.equal(asked.length, 3);
  declines = true;
  assert.match(await read("SELECT 5"), /\[\[5\]\]/);
  assert.equal(asked.length, 4);
  declines = false;
  const aborted = new AbortController();
  aborted.abort(new Error("gone"));
  await assert.rejects(pool.read(statement("SELECT 5"), { signal: aborted.signal }), /gone/);
  assert.equal(asked.length, 4);
});
