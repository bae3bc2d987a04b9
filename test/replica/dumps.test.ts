/** A dump whose client does not read on ends when the WAL has to be cut, and no other one does. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isPumiceError, type Worker } from "../../src/base/mod.ts";
import { Dumps } from "../../src/replica/dumps.ts";
import { SimClock } from "../../src/sim/mod.ts";
import { eventually } from "../server/support/http.ts";
import { TestNode } from "../server/support/node.ts";

test("only dumps that have waited for their client for long enough are ended", () => {
  const clock = new SimClock();
  const dumps = new Dumps(clock);
  const ended: string[] = [];
  const watchOf = (name: string) => dumps.watch({ terminate: () => Promise.resolve(void ended.push(name)) } as unknown as Worker);
  const [stalled, brisk, reading, finished] = ["stalled", "brisk", "reading", "finished"].map(watchOf);
  for (const watch of [stalled, brisk, finished]) watch?.handedOut();
  finished?.done();
  clock.advance(900);
  brisk?.taken();
  brisk?.handedOut();
  clock.advance(200);
  assert.equal(dumps.endStalled(1000), 1);
  assert.deepEqual(ended, ["stalled"]);
  assert.ok(isPumiceError(stalled?.failure, "SQL_BACKUP"));
  assert.equal(brisk?.failure ?? reading?.failure, undefined);
  assert.equal(dumps.endStalled(1000), 0, "once");
});

test("the WAL is cut while a client of a dump does not read on", async () => {
  await using node = await TestNode.start({ node: { walLimitBytes: 64 * 1024 } });
  await node.execute(
    "CREATE TABLE t(a)",
    "WITH RECURSIVE c(x) AS (VALUES(1) UNION ALL SELECT x+1 FROM c LIMIT 200) INSERT INTO t SELECT randomblob(50000) FROM c",
  );
  const reply = await fetch(`${node.url}/db/backup?fmt=sql`);
  const body = reply.body?.getReader();
  await body?.read();
  const interrupted = async () => JSON.parse((await node.call("/status?key=store")).text) as { checkpoints: { reads_interrupted: number } };
  await eventually(async () => {
    await node.execute("UPDATE t SET a = randomblob(50000) WHERE rowid <= 20");
    return (await interrupted()).checkpoints.reads_interrupted > 0;
  }, "the dump is ended");
  await body?.cancel().catch(() => undefined);
});
