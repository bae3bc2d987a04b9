/** Addresses of stores: they mean one place, whatever becomes of the process's directory, and for every door that takes them. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { cloneStore, Db, DbReader, type LsmComponents } from "../../src/lsm/mod.ts";
import { components as componentsOf } from "../../src/entry/lsm.ts";
import { bytes, keysOf, memoryWorld, openQuiet } from "./support/world.ts";

const directory = mkdtempSync(join(tmpdir(), "pumice-addresses-"));
after(() => rmSync(directory, { recursive: true, force: true }));

test("a relative address means the directory of the moment it was given, on the thread that compacts too", () => {
  for (const name of ["a", "b"]) mkdirSync(join(directory, name));
  const entry = fileURLToPath(new URL("../../src/entry/lsm.ts", import.meta.url));
  const program = `
    import { openDb } from ${JSON.stringify(entry)};
    const db = await openDb("./data", "db", { gc: false });
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 2000; i++) db.putSync(new TextEncoder().encode("k" + i), new Uint8Array(200).fill(round));
      await db.flush("memtable");
      if (round === 0) process.chdir("../b");
    }
    await db.compact();
    console.log((await db.scan().toArray()).length, db.status().backgroundError?.code ?? "sound");
    await db.close();
  `;
  const run = spawnSync(process.execPath, ["--input-type=module", "-e", program], { cwd: join(directory, "a"), encoding: "utf8" });
  assert.equal(run.stdout.trim(), "2000 sound", run.stderr);
  assert.deepEqual(readdirSync(join(directory, "b")), []);
});

test("components of an S3 address keep its path", () => {
  const kept = { ...process.env };
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: "a", AWS_SECRET_ACCESS_KEY: "b" });
  try {
    assert.equal(componentsOf("s3://bucket/team/data/").path, "team/data");
    assert.equal(componentsOf("s3://bucket").path, "");
    assert.equal(componentsOf(join(directory, "a")).path, "");
  } finally {
    process.env = kept;
  }
});

test("a clone below an address's path finds its parent, and names it in full as SlateDB does", async () => {
  const { components, store } = memoryWorld();
  const below: LsmComponents = { ...components, path: "team/data" };
  const parent = await openQuiet(below);
  await parent.put(bytes("k"), bytes("v"));
  await parent.flush("memtable");
  await cloneStore("db", "copy", below);
  await cloneStore("db", "copy", below);
  const copy = await Db.open("copy", below, { compactor: false, gc: false });
  assert.deepEqual(await copy.get(bytes("k")), bytes("v"));
  assert.deepEqual(
    copy.manifest.externalDbs.map(({ path }) => path),
    ["team/data/db"],
  );
  await copy.close();
  await parent.close();
  const reader = await DbReader.open("team/data/copy", components, { mode: "latest" });
  assert.deepEqual(await reader.get(bytes("k")), bytes("v"));
  await reader.close();
  assert.ok((await keysOf(store, "")).every((key) => key.startsWith("team/data/")));
});
