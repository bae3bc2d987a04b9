/** A request that is sent twice is applied once, and answered alike. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { contentOf } from "./support/batching.ts";
import { Database, temporaryFolder } from "./support/database.ts";

function open(context: TestContext): Database {
  const db = new Database(join(temporaryFolder(context), "db"));
  context.after(() => db.machine.close());
  db.execute(["CREATE TABLE t(a UNIQUE)"]);
  return db;
}

const count = (db: Database): string => db.execute(["SELECT count(*) FROM t"], { kind: "request" });

test("a retry gets the stored outcome, after a restart too, and is not applied", (context) => {
  const db = open(context);
  const requestId = { session: 2n ** 64n - 1n, sequence: 2n ** 63n + 5n };
  const first = db.execute(["INSERT INTO t VALUES(random()) RETURNING a", "nope"], { requestId });
  assert.match(first, /"values":.*"error"/);
  for (let i = 0; i < 3; i++) {
    assert.equal(db.execute(["INSERT INTO t VALUES(random()) RETURNING a", "nope"], { requestId, seed: BigInt(i) }), first);
    db.reopen();
  }
  assert.match(count(db), /\[\[1\]\]/);
  const refused = { requestId: { ...requestId, sequence: requestId.sequence + 1n } };
  for (let i = 0; i < 2; i++) assert.equal(db.execute(["PRAGMA synchronous = OFF"], refused), '{"results":[],"error":"disallowed pragma"}');
});

test("the stored outcome has no timings: they would differ between replicas", (context) => {
  const db = open(context);
  const command = { requestId: { session: 1n, sequence: 1n } };
  assert.equal(db.execute(["INSERT INTO t VALUES(1)"], command), '{"results":[{"last_insert_id":1,"rows_affected":1}]}');
});

test("an older number than the last is an error and is not applied", (context) => {
  const db = open(context);
  db.execute(["INSERT INTO t VALUES(1)"], { requestId: { session: 1n, sequence: 5n } });
  assert.match(
    db.execute(["INSERT INTO t VALUES(2)"], { requestId: { session: 1n, sequence: 4n } }),
    /"error":"a later request of the same session/,
  );
  assert.match(db.execute(["INSERT INTO t VALUES(3)"], { requestId: { session: 1n, sequence: 9n } }), /rows_affected/);
  assert.match(db.execute(["INSERT INTO t VALUES(4)"], { requestId: { session: 2n, sequence: 0n } }), /rows_affected/);
  assert.match(count(db), /\[\[3\]\]/);
});

test("1024 sessions are kept; the one used longest ago makes room, the same one after a restart", (context) => {
  const db = open(context);
  for (let session = 0n; session < 1024n; session++) db.execute(["SELECT 1"], { requestId: { session, sequence: 1n } });
  db.execute(["SELECT 1"], { requestId: { session: 0n, sequence: 2n } });
  db.reopen();
  db.execute(["INSERT INTO t VALUES(1)"], { requestId: { session: 5000n, sequence: 1n } });
  db.machine.close();
  const lines = contentOf(db.path).find((line) => line.startsWith("rows sqlite_pumice"));
  assert.match(lines ?? "", /^rows sqlite_pumice 1026 /, "1024 sessions, the applied index, the format");
  db.machine.close();
  db.reopen();
  db.execute(["INSERT INTO t VALUES(2)"], { requestId: { session: 0n, sequence: 2n } });
  assert.match(count(db), /\[\[1\]\]/, "session 0 was used late and is known");
  db.execute(["INSERT INTO t VALUES(3)"], { requestId: { session: 1n, sequence: 1n } });
  assert.match(count(db), /\[\[2\]\]/, "session 1 has made room");
});

test("an outcome too large to be kept says so to a retry", (context) => {
  const db = open(context);
  const requestId = { session: 1n, sequence: 1n };
  const statements = ["INSERT INTO t VALUES(1)", "SELECT hex(zeroblob(1000000))"];
  assert.ok(db.execute(statements, { kind: "request", requestId }).length > 2_000_000);
  assert.match(db.execute(statements, { kind: "request", requestId }), /"error":"applied, but the results were too large/);
  assert.match(count(db), /\[\[1\]\]/);
});
