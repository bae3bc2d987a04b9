/** Laws of transactions. Names of SlateDB's own tests and issues stand in parentheses. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isPumiceError } from "../../src/base/mod.ts";
import type { Isolation } from "../../src/lsm/mod.ts";
import { bytes, memoryWorld, openQuiet, text } from "./support/world.ts";

const conflict = (error: unknown): boolean => isPumiceError(error, "LSM_CONFLICT");

test("a transaction sees its own writes over its snapshot, forwards, backwards and by key (test_txn_basic_visibility)", async () => {
  const { components } = memoryWorld({
    mergeOperator: { merge: (_key, existing, operand) => bytes(`${text(existing) ?? ""}${text(operand)}`) },
  });
  await using db = await openQuiet(components);
  for (const key of ["a", "b", "c"]) await db.put(bytes(key), bytes("old"));
  const transaction = db.begin();
  await db.put(bytes("a"), bytes("outside"));
  transaction.put(bytes("b"), bytes("mine"));
  transaction.delete(bytes("c"));
  transaction.merge(bytes("a"), bytes("+m"));
  transaction.put(bytes("d"), bytes("new"));
  assert.equal(text(await transaction.get(bytes("a"))), "old+m");
  const rows = async (order: "ascending" | "descending"): Promise<string> =>
    (await transaction.scan({ order }).toArray()).map((row) => `${text(row.key)}=${text(row.value)}`).join(" ");
  assert.equal(await rows("ascending"), "a=old+m b=mine d=new");
  assert.equal(await rows("descending"), "d=new b=mine a=old+m");
  assert.equal(text(await db.get(bytes("b"))), "old");
  transaction.rollback();
  assert.equal(await db.get(bytes("d")), undefined);
  await assert.rejects(transaction.get(bytes("a")), (error) => isPumiceError(error, "LSM_CLOSED"));
});

test("two writers of one key: the second to commit fails, in both isolations (test_txn_si_commit_conflict)", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  for (const isolation of ["snapshot", "serializable"] satisfies Isolation[]) {
    const [first, second] = [db.begin(isolation), db.begin(isolation)];
    first.put(bytes("k"), bytes("1"));
    second.put(bytes("k"), bytes("2"));
    assert.ok((await first.commit())?.seq);
    await assert.rejects(second.commit(), conflict);
    assert.equal(text(await db.get(bytes("k"))), "1");
  }
});

test("a plain write conflicts like a transaction's (test_txn_si_commit_conflict_with_db_writes)", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  const transaction = db.begin("snapshot");
  await db.put(bytes("k"), bytes("plain"));
  transaction.put(bytes("k"), bytes("mine"));
  await assert.rejects(transaction.commit(), conflict);
  const unmarked = db.begin("snapshot");
  await db.put(bytes("k"), bytes("plain"));
  unmarked.put(bytes("k"), bytes("mine"));
  unmarked.unmarkWrite([bytes("k")]);
  await unmarked.commit();
  assert.equal(text(await db.get(bytes("k"))), "mine");
});

test("write skew passes in snapshot isolation and fails in serializable (test_txn_ssi_commit_conflict)", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  for (const isolation of ["snapshot", "serializable"] satisfies Isolation[]) {
    const [first, second] = [db.begin(isolation), db.begin(isolation)];
    await first.get(bytes("b"));
    await second.get(bytes("a"));
    first.put(bytes("a"), bytes("1"));
    second.put(bytes("b"), bytes("2"));
    await first.commit();
    if (isolation === "snapshot") await second.commit();
    else await assert.rejects(second.commit(), conflict);
  }
});

test("a scan that finds nothing reads its whole range all the same (test_txn_ssi_write_skew_via_empty_scans, SlateDB #1710)", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  await db.put(bytes("k5"), bytes("x"));
  const empty = db.begin();
  assert.equal((await empty.scan({ gte: bytes("m"), lt: bytes("n") }).toArray()).length, 0);
  empty.put(bytes("own"), bytes("1"));
  await db.put(bytes("m1"), bytes("phantom"));
  await assert.rejects(empty.commit(), conflict);
  const beyond = db.begin();
  // One row was yielded, far from where the phantom comes.
  await beyond.scan({ gte: bytes("k"), lt: bytes("l") }).next();
  beyond.put(bytes("own"), bytes("1"));
  await db.put(bytes("k9"), bytes("phantom"));
  await assert.rejects(beyond.commit(), conflict);
  const outside = db.begin();
  await outside.scan({ gte: bytes("k"), lt: bytes("l") }).toArray();
  outside.put(bytes("own"), bytes("1"));
  await db.put(bytes("z"), bytes("elsewhere"));
  await outside.commit();
});

test("a transaction that wrote nothing commits to nothing, and one marked as reader conflicts (test_mark_read)", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  assert.equal(await db.begin().commit(), undefined);
  const marked = db.begin();
  marked.markRead([bytes("k")]);
  marked.put(bytes("other"), bytes("1"));
  await db.put(bytes("k"), bytes("x"));
  await assert.rejects(marked.commit(), conflict);
});

test("transact begins again until it fits: a bank's total stays what it is", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  const accounts = Array.from({ length: 5 }, (_, i) => bytes(`account-${i}`));
  for (const account of accounts) await db.put(account, bytes("100"));
  const amount = async (get: (key: Uint8Array) => Promise<Uint8Array | undefined>, key: Uint8Array): Promise<number> =>
    Number(text(await get(key)));
  await Promise.all(
    Array.from({ length: 30 }, async (_, i) => {
      const from = accounts[i % 5] as Uint8Array;
      const to = accounts[(i * 3 + 1) % 5] as Uint8Array;
      await db.transact(
        async (transaction) => {
          const [a, b] = [await amount((key) => transaction.get(key), from), await amount((key) => transaction.get(key), to)];
          if (from === to) return;
          transaction.put(from, bytes(String(a - i)));
          transaction.put(to, bytes(String(b + i)));
        },
        { attemptsMax: 100, awaitDurable: false },
      );
    }),
  );
  const rows = await db.scan().toArray();
  assert.equal(
    rows.reduce((sum, row) => sum + Number(text(row.value)), 0),
    500,
  );
});

test("a transaction that is given up leaves nothing behind (SlateDB #1732)", async () => {
  const { components } = memoryWorld();
  await using db = await openQuiet(components);
  {
    await using transaction = db.begin();
    transaction.put(bytes("k"), bytes("never"));
  }
  assert.equal(await db.get(bytes("k")), undefined);
  await db.put(bytes("k"), bytes("1"));
  await db.compact();
  assert.equal(db.status().lastSeq, 1);
});
