/** A compactor that dies at any of its changes of the store, between any two outputs: its successor goes on, and nothing is lost, repeated or comes back. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { compareBytes, MemoryObjectStore, seededRandom, toHex } from "../../src/base/mod.ts";
import { Admin, Db, type Compaction, type LsmComponents, type LsmOptions } from "../../src/lsm/mod.ts";
import { CrashableStore } from "../../src/sim/world/object-store/crash.ts";
import { isChange } from "../../src/sim/world/object-store/intercept.ts";
import { bytes, keysOf, memoryWorld, openQuiet, text, until } from "./support/world.ts";

async function copyOf(store: MemoryObjectStore, components: LsmComponents): Promise<MemoryObjectStore> {
  const copy = new MemoryObjectStore({ clock: components.clock });
  for (const key of await keysOf(store, "")) await copy.put(key, (await store.get(key)) ?? new Uint8Array(0));
  return copy;
}

/** Three L0s over a run, or over nothing; every value says how new it is. What is there: text of key to text of value. */
async function prepare(components: LsmComponents, options: LsmOptions, hasRun: boolean): Promise<Map<string, string>> {
  const expected = new Map<string, string>();
  const db = await openQuiet(components, options);
  for (let part = hasRun ? 0 : 1; part < 4; part++) {
    for (let i = part; i < 60; i += 1 + (part % 3)) {
      const key = `k${String(i).padStart(3, "0")}`;
      if ((i + part) % 11 === 0) {
        await db.delete(bytes(key), { awaitDurable: false });
        expected.delete(key);
        continue;
      }
      await db.put(bytes(key), bytes(`${part}-${i}`.padEnd(40, ".")), { awaitDurable: false });
      expected.set(key, `${part}-${i}`.padEnd(40, "."));
    }
    await db.flush("memtable");
    if (part === 0) await db.compact();
  }
  await db.close();
  return expected;
}

for (const compat of ["0.12", "0.14"] as const) {
  for (const hasRun of [true, false]) {
    const name = `a compactor of profile ${compat} that dies at any change is followed by one that goes on with its outputs, ${hasRun ? "above the run that there is" : "as the first run"}`;
    test(name, { timeout: 120_000 }, async () => {
      const world = memoryWorld();
      const options: LsmOptions = { compat, blockSizeBytes: 1024 };
      const expected = await prepare(world.components, options, hasRun);
      const compacting: LsmOptions = {
        ...options,
        gc: false,
        compactor: { pollIntervalMs: 5, minSources: 3, maxSources: 3, includeSizeThreshold: 1, maxSstBytes: 700, checkpointLifetimeMs: 0 },
      };
      const open = async (store: CrashableStore["store"], seed: number): Promise<Db> =>
        await Db.open("db", { ...world.components, store, random: seededRandom(seed) }, compacting);
      // Once without a crash, to see how many changes there are.
      const line = new CrashableStore(await copyOf(world.store, world.components));
      const whole = await open(line.store, 1);
      await until(() => whole.manifest.l0.length === 0 && whole.status().compactor?.running === 0, "the end of compaction");
      const firstOutput = line.calls.findIndex((call) => call.operation === "createFrom");
      const changes = line.calls.filter((call, i) => i >= firstOutput && isChange(call)).length;
      await whole.close();
      assert.ok(changes > 8, `${changes} changes`);
      let resumed = 0;
      for (let at = 1; at <= changes; at++) {
        for (const when of ["before", "after"] as const) {
          const store = await copyOf(world.store, world.components);
          if (await dies({ store, at, when, open })) resumed++;
          await check(store, { ...world.components, store }, at);
        }
      }
      assert.ok(resumed >= 2, `${resumed} compactions went on with outputs`);

      async function check(store: MemoryObjectStore, components: LsmComponents, at: number): Promise<void> {
        const made = await runningCompaction(components);
        await using db = await open(store, 3);
        await until(() => db.manifest.l0.length === 0 && db.status().compactor?.running === 0, "the end of compaction");
        const rows = await db.scan().toArray();
        assert.deepEqual(new Map(rows.map((row) => [text(row.key), text(row.value)])), expected, `at ${at}`);
        const ids = db.manifest.runs.map((run) => run.id);
        assert.deepEqual(
          ids,
          ids.toSorted((left, right) => right - left),
        );
        assert.equal(new Set(ids).size, hasRun ? 2 : 1, `runs ${ids.join()}`);
        const ssts = db.manifest.runs[0]?.ssts ?? [];
        for (const [i, sst] of ssts.entries()) {
          const next = ssts[i + 1];
          if (next !== undefined)
            assert.ok(
              compareBytes(sst.info.lastEntry ?? bytes(""), next.info.firstEntry ?? bytes("")) < 0,
              toHex(next.info.firstEntry ?? bytes("")),
            );
        }
        // All outputs but the last, which is made again, are used as they were.
        assert.deepEqual(
          ssts.slice(0, Math.max(0, (made?.outputs.length ?? 0) - 1)).map((sst) => sst.id),
          made?.outputs.slice(0, -1).map((sst) => sst.id) ?? [],
        );
        assert.deepEqual((await new Admin("db", components).verify()).findings, []);
      }

      async function runningCompaction(components: LsmComponents): Promise<Compaction | undefined> {
        const admin = new Admin("db", components);
        const running = (await admin.readCompactions())?.value.compactions.find((each) => each.status === "running");
        const isCommitted = (await admin.readManifest()).value.l0.length === 0;
        return isCommitted ? undefined : running;
      }
    });
  }
}

interface Death {
  readonly store: MemoryObjectStore;
  /** The number of the change since the first output. */
  readonly at: number;
  readonly when: "before" | "after";
  readonly open: (store: CrashableStore["store"], seed: number) => Promise<Db>;
}

/** Lets a compactor die there. True if it left outputs to go on with. */
async function dies({ store, at, when, open }: Death): Promise<boolean> {
  const line = new CrashableStore(store);
  let count = 0;
  let hasBegun = false;
  const dying: CrashableStore["store"] = new Proxy(line.store, {
    get: (target, name) => {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return async (...args: unknown[]) => {
        const isChanging = ["put", "putIf", "createFrom", "delete"].includes(String(name));
        hasBegun ||= name === "createFrom";
        const isHere = isChanging && hasBegun && ++count === at;
        if (isHere && when === "before") line.crash();
        const result: unknown = await (value as (...all: unknown[]) => Promise<unknown>).apply(target, args);
        if (isHere) line.crash();
        return isHere ? await new Promise(() => undefined) : result;
      };
    },
  });
  const db = await open(withList(dying, line.store), 2);
  let isDead = false;
  void line.crashed.then(() => (isDead = true));
  await until(
    () => isDead || (db.manifest.l0.length === 0 && db.status().compactor?.running === 0),
    "the end of compaction, or of the process",
  );
  // Nothing of it may go on after the test.
  void db.close({ flush: "none" }).catch(() => undefined);
  return count >= 3;
}

function withList(store: CrashableStore["store"], other: CrashableStore["store"]): CrashableStore["store"] {
  return new Proxy(store, {
    get: (target, name): unknown => (name === "list" ? other.list.bind(other) : Reflect.get(target, name, target)),
  });
}
