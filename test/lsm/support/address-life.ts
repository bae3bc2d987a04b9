/** The life of a store by its address, whatever the address names. */
import assert from "node:assert/strict";
import { openDb, openReader } from "../../../src/entry/lsm.ts";
import { bytes, text } from "./world.ts";

const key = (i: number): Uint8Array => bytes(`k${String(i).padStart(5, "0")}`);

/** Written, merged on the other thread, read again by a reader. */
export async function lifeOf(address: string): Promise<void> {
  const db = await openDb(address, "deep/store", { gc: false, compactor: { pollIntervalMs: 3_600_000 } });
  for (let part = 0; part < 3; part++) {
    for (let i = 0; i < 500; i++) db.putSync(key(i * 2 + part), bytes(String(part).repeat(400)));
    await db.flush("memtable");
  }
  await db.compact();
  assert.equal(db.status().backgroundError, undefined);
  assert.deepEqual([db.status().l0Ssts, db.status().sortedRuns], [0, 1]);
  assert.ok((db.status().compactor?.bytesRead ?? 0) > 0);
  await db.put(key(1), bytes("newer"));
  const reader = await openReader(address, "deep/store", { mode: "latest" });
  assert.equal(text(await reader.get(key(1))), "newer");
  assert.equal((await reader.scan().toArray()).length, 1001);
  await reader.close();
  await db.close();
}
