/** The threads that run SQLite, over their messages. */
import assert from "node:assert/strict";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import type { Worker } from "../../src/base/mod.ts";
import { threadSpawner } from "../../src/host/mod.ts";
import {
  type ApplyEntry,
  type ApplyRequest,
  type ApplyResponse,
  encodeCommand,
  packApply,
  type ReaderRequest,
  type ReaderResponse,
  unpackResults,
} from "../../src/sql/mod.ts";
import { command, EXTENSION, temporaryFolder } from "./support/database.ts";

const spawner = threadSpawner(
  new Map(["apply", "reader"].map((name) => [name, new URL(`../../src/entry/${name}-worker.ts`, import.meta.url)])),
);

/** A worker whose messages are taken one by one. */
class Talk<Request, Response extends { readonly kind: string }> {
  readonly #worker: Worker;
  readonly #inbox: Response[] = [];
  #waiting: ((response: Response) => void) | undefined;

  constructor(context: TestContext, name: string, path: string) {
    this.#worker = spawner.spawn(name, { path, extensionPath: EXTENSION, foreignKeys: false });
    context.after(() => this.#worker.terminate());
    this.#worker.onMessage((message) => {
      const response = message as Response;
      if (this.#waiting === undefined) this.#inbox.push(response);
      else this.#waiting(response);
      this.#waiting = undefined;
    });
  }

  post(request: Request): void {
    this.#worker.post(request);
  }

  async next<Kind extends Response["kind"]>(kind: Kind): Promise<Extract<Response, { kind: Kind }>> {
    const response = this.#inbox.shift() ?? (await new Promise<Response>((resolve) => (this.#waiting = resolve)));
    assert.equal(response.kind, kind, JSON.stringify(response));
    return response as Extract<Response, { kind: Kind }>;
  }
}

function entries(first: number, ...statements: readonly string[]): ApplyEntry[] {
  return statements.map((sql, i) => ({
    index: first + i,
    term: 1,
    data: encodeCommand(command([sql], { kind: "request" })),
    want: { timings: false },
  }));
}

test("the apply worker opens, applies in order, checkpoints, tells its status, closes", async (context) => {
  const path = join(temporaryFolder(context), "db");
  const apply = new Talk<ApplyRequest, ApplyResponse>(context, "apply", path);
  assert.deepEqual((await apply.next("opened")).held.applied, { index: 0, term: 0 });
  const large = "SELECT hex(zeroblob(100000)) AS v";
  apply.post({ kind: "apply", batch: packApply(entries(1, "CREATE TABLE t(a)", "INSERT INTO t VALUES(1)", large)) });
  apply.post({ kind: "checkpoint", mode: "truncate" });
  apply.post({ kind: "status" });
  const applied = await apply.next("applied");
  const texts = unpackResults(applied.results).map((result) =>
    typeof result.results === "string" ? result.results : `${result.results.length} bytes`,
  );
  assert.deepEqual(texts, ["{}", '{"last_insert_id":1,"rows_affected":1}', "200050 bytes"]);
  assert.deepEqual(applied.applied, { index: 3, term: 1 });
  const checkpointed = await apply.next("checkpointed");
  assert.deepEqual([checkpointed.checkpoint.durableIndex, checkpointed.walBytes], [3, 0]);
  assert.equal((await apply.next("status")).status.pragmas["journal_mode"], "wal");
  apply.post({ kind: "close" });
  await apply.next("closed");
});

test("an apply worker that cannot go on says fatal, once, with the code", async (context) => {
  const path = join(temporaryFolder(context), "db");
  writeFileSync(path, "no database at all, far from it\n".repeat(200));
  const broken = new Talk<ApplyRequest, ApplyResponse>(context, "apply", path);
  assert.equal((await broken.next("fatal")).error.code, "SQL_CORRUPT");
  const apply = new Talk<ApplyRequest, ApplyResponse>(context, "apply", `${path}2`);
  await apply.next("opened");
  apply.post({ kind: "apply", batch: packApply(entries(5, "SELECT 1")) });
  apply.post({ kind: "status" });
  const fatal = await apply.next("fatal");
  assert.equal(fatal.error.code, "SQL_ORDER");
  assert.match(fatal.error.message, /index=5/);
});

test("a reader worker answers reads, dumps piece by piece, backs up, and reads in between", async (context) => {
  const path = join(temporaryFolder(context), "db");
  const apply = new Talk<ApplyRequest, ApplyResponse>(context, "apply", path);
  await apply.next("opened");
  const fill = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000) INSERT INTO t SELECT x FROM n";
  apply.post({ kind: "apply", batch: packApply(entries(1, "CREATE TABLE t(a)", fill)) });
  await apply.next("applied");
  const reader = new Talk<ReaderRequest, ReaderResponse>(context, "reader", path);
  assert.ok((await reader.next("opened")).interruptHandle >= 0);
  const read = (id: number, sql: string): void => reader.post({ kind: "read", requests: [{ id, request: { statements: [{ sql }] } }] });
  reader.post({ kind: "dump", id: 9, options: {} });
  reader.post({ kind: "dump-next", id: 9 });
  let text = (await reader.next("dump-chunk")).text;
  read(1, "SELECT count(*) AS n FROM t");
  const answer = await reader.next("reads");
  assert.deepEqual(answer.ids, [1]);
  assert.deepEqual(unpackResults(answer.results), [{ results: '{"columns":["n"],"types":["integer"],"values":[[20000]]}' }]);
  for (let isLast = false; !isLast;) {
    reader.post({ kind: "dump-next", id: 9 });
    const chunk = await reader.next("dump-chunk");
    assert.equal(chunk.error, undefined);
    text += chunk.text;
    ({ isLast } = chunk);
  }
  assert.ok(text.endsWith("COMMIT;\n"));
  reader.post({ kind: "backup", id: 10, target: `${path}-copy`, options: {} });
  assert.equal((await reader.next("backup-done")).error, undefined);
  assert.ok(existsSync(`${path}-copy`));
  reader.post({ kind: "backup", id: 11, target: `${path}-copy`, options: {} });
  assert.equal((await reader.next("backup-done")).error?.code, "SQL_BACKUP");
  reader.post({ kind: "status", id: 12 });
  assert.equal((await reader.next("status")).status.pragmas["foreign_keys"], "0");
  reader.post({ kind: "close" });
  await reader.next("closed");
});
