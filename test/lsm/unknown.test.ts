/** What a later engine wrote is told apart from damage wherever a checksum allows it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { isPumiceError } from "../../src/base/mod.ts";
import { Admin } from "../../src/lsm/mod.ts";
import { bytes, keysOf, memoryWorld, openQuiet } from "./support/world.ts";

for (const where of ["the WAL", "an L0"] as const) {
  test(`a row of a later engine in ${where}, its checksum right, is refused as unknown, not as damage, and no repair is planned`, async () => {
    const world = memoryWorld();
    // All checksums are right, whatever is changed.
    const components = { ...world.components, crc32: () => 0 };
    const db = await openQuiet(components);
    await db.put(bytes("key"), bytes("the value"));
    await db.close({ flush: where === "the WAL" ? "wal" : "memtable" });
    const key = (await keysOf(world.store, where === "the WAL" ? "db/wal/" : "db/compacted/")).at(-1) as string;
    const body = (await world.store.get(key)) as Uint8Array;
    const flagsAt = Buffer.from(body).indexOf("the value") + "the value".length + 8;
    await world.store.put(key, body.with(flagsAt, (body[flagsAt] as number) | 16));
    const names = (error: unknown): boolean => isPumiceError(error, "LSM_UNSUPPORTED") && error.message.includes(key);
    await assert.rejects(new Admin("db", components).planRepair(), names);
    if (where === "the WAL") {
      await assert.rejects(openQuiet(components), names);
      return;
    }
    await using again = await openQuiet(components);
    await assert.rejects(again.get(bytes("key")), names);
    await assert.rejects(again.scan().toArray(), names);
    await assert.rejects(again.compact(), names);
  });
}
