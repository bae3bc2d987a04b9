/** The fault decorators: with no fault they are stores like any other; with faults they do what their names say, and no more. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { isPumiceError, MemoryObjectStore, utf8, type ObjectStore } from "../../../src/base/mod.ts";
import {
  CrashableStore,
  damagedReadStore,
  faultyStore,
  interceptStore,
  NO_STORE_FAULTS,
  randomOf,
  SimClock,
  skewedTimeStore,
  slowStore,
  staleListStore,
  throttledStore,
  type StoreFaultRates,
} from "../../../src/sim/mod.ts";
import { names, objectStoreConformance, text } from "../../host/object-store-conformance.ts";

const SEED = Number(process.env["SEED"] ?? Date.now() % 1_000_000);
const absent = { kind: "absent" } as const;

objectStoreConformance("memory behind every decorator, without faults", async () => {
  const memory = new MemoryObjectStore({ clock: Date });
  // Real time: the suite waits for each call.
  const clock = { now: () => Date.now(), monotonic: () => performance.now(), sleep: () => new Promise<void>((done) => setImmediate(done)) };
  const random = randomOf(SEED, "conformance");
  const layers: ((inner: ObjectStore) => ObjectStore)[] = [
    (inner) => interceptStore(inner, (_, run) => run()),
    (inner) => faultyStore(inner, { clock, random, rates: NO_STORE_FAULTS }),
    (inner) => slowStore(inner, { clock, random, msMin: 0, msMax: 3 }),
    (inner) => throttledStore(inner, { clock, callsPerSecond: 1e9 }),
    (inner) => staleListStore(inner, { clock, random, staleMsMax: 0 }),
    (inner) => damagedReadStore(inner, { random, truncateRate: 0, flipRate: 0 }),
    (inner) => skewedTimeStore(inner, () => 0),
    (inner) => new CrashableStore(inner).store,
  ];
  return { store: layers.reduce((inner, layer) => layer(inner), memory as ObjectStore) };
});

describe(`store faults (seed ${SEED})`, () => {
  const world = () => {
    const clock = new SimClock(1_000_000);
    return { clock, random: randomOf(SEED, "faults"), memory: new MemoryObjectStore({ clock }) };
  };
  const always = (fate: keyof StoreFaultRates): StoreFaultRates => ({ ...NO_STORE_FAULTS, [fate]: 1 });
  const turns = async (): Promise<void> => {
    for (let i = 0; i < 20; i++) await Promise.resolve();
  };

  for (const [fate, happens] of [
    ["errorBefore", false],
    ["errorAfter", true],
    ["timeoutBefore", false],
    ["timeoutAfter", true],
  ] as const) {
    test(`${fate}: the call fails and its effect ${happens ? "is there" : "is not"}`, async () => {
      const { clock, random, memory } = world();
      const store = faultyStore(memory, { clock, random, rates: always(fate), timeoutMs: 500 });
      const before = clock.monotonic();
      const call = assert.rejects(
        store.putIf("k", utf8("x"), absent),
        (e) => isPumiceError(e, "STORE_UNAVAILABLE") && e.message.includes(fate),
      );
      await turns();
      if (fate.startsWith("timeout")) clock.advance(500);
      await call;
      assert.equal(clock.monotonic() - before, fate.startsWith("timeout") ? 500 : 0);
      assert.equal(text(await memory.get("k")), happens ? "x" : undefined);
    });
  }

  test("lateEffect: the caller is told of failure first, the effect comes later, with the bytes as they were", async () => {
    const { clock, random, memory } = world();
    const store = faultyStore(memory, { clock, random, rates: always("lateEffect"), lateMsMax: 100 });
    const body = utf8("x");
    await assert.rejects(store.putIf("k", body, absent));
    body.fill(0);
    assert.equal(await memory.get("k"), undefined);
    clock.advance(100);
    await turns();
    assert.equal(text(await memory.get("k")), "x");
    // A read cannot be late: it fails.
    await assert.rejects(store.get("k"));
  });

  test("rates are kept: about as many calls fail as were asked for", async () => {
    const { clock, random, memory } = world();
    const store = faultyStore(memory, { clock, random, rates: { ...NO_STORE_FAULTS, errorBefore: 0.2, errorAfter: 0.1 } });
    let failedCount = 0;
    let doneCount = 0;
    for (let i = 0; i < 4000; i++) {
      await store.put(`k${i}`, utf8("x")).catch(() => failedCount++);
      if ((await memory.head(`k${i}`)) !== undefined) doneCount++;
    }
    assert.ok(failedCount > 1050 && failedCount < 1350, `failedCount=${failedCount}`);
    assert.ok(doneCount > 3080 && doneCount < 3320, `doneCount=${doneCount}`);
  });

  test("a throttled store refuses what exceeds its rate, before any effect, and recovers with time", async () => {
    const { clock, memory } = world();
    const store = throttledStore(memory, { clock, callsPerSecond: 10 });
    const results = await Promise.allSettled(Array.from({ length: 15 }, (_, i) => store.put(`k${String(i).padStart(2, "0")}`, utf8("x"))));
    assert.equal(results.filter((result) => result.status === "fulfilled").length, 10);
    assert.equal((await names(memory, "")).length, 10);
    clock.advance(200);
    await store.put("a", utf8("x"));
    await store.put("b", utf8("x"));
    await assert.rejects(store.put("c", utf8("x")), (e) => isPumiceError(e, "STORE_UNAVAILABLE"));
  });

  test("a stale listing is the listing of one past moment, no older than allowed; gets are never stale", async () => {
    const { clock, random, memory } = world();
    const store = staleListStore(memory, { clock, random, staleMsMax: 50 });
    await store.put("old", utf8("1"));
    clock.advance(100);
    const history: string[] = [];
    const remember = async (): Promise<void> => void history.push((await names(memory, "")).join());
    await remember();
    for (const change of [() => store.put("new", utf8("2")), () => store.delete("old"), () => store.put("z", utf8("3"))]) {
      clock.advance(10);
      await change();
      await remember();
    }
    assert.equal(text(await store.get("new")), "2");
    const seen = new Set<string>();
    for (let i = 0; i < 200; i++) seen.add((await names(store, "")).join());
    assert.deepEqual([...seen].sort(), [...new Set(history)].sort());
    clock.advance(60);
    for (let i = 0; i < 50; i++) assert.equal((await names(store, "")).join(), history.at(-1));
  });

  test("damaged reads are shorter or differ in one bit, are told, and the stored object stays whole", async () => {
    const { random, memory } = world();
    await memory.put("k", new Uint8Array(100));
    const told: string[] = [];
    const store = damagedReadStore(memory, { random, truncateRate: 0.3, flipRate: 0.3, onDamage: (_, kind) => void told.push(kind) });
    for (let i = 0; i < 200; i++) {
      const before = told.length;
      const got = (await store.get("k")) as Uint8Array;
      const kind = told.length > before ? told.at(-1) : "whole";
      const bits = got.reduce((sum, byte) => sum + byte.toString(2).replaceAll("0", "").length, 0);
      assert.deepEqual([got.length < 100, bits], kind === "truncated" ? [true, 0] : kind === "flipped" ? [false, 1] : [false, 0]);
    }
    assert.ok(told.includes("truncated") && told.includes("flipped"));
    assert.deepEqual(await memory.get("k"), new Uint8Array(100));
  });

  test("a skewed clock shows in head and list alike", async () => {
    const { memory } = world();
    await memory.put("k", utf8("x"));
    const store = skewedTimeStore(memory, () => -5000);
    assert.equal((await store.head("k"))?.lastModifiedMs, 995_000);
    for await (const meta of store.list("")) assert.equal(meta.lastModifiedMs, 995_000);
  });

  test("a crash at each call, before and after it, leaves what was done until then, and silence", async () => {
    const run = async (store: ObjectStore): Promise<void> => {
      await store.put("a", utf8("1"));
      await store.get("a");
      await store.putIf("b", utf8("2"), absent);
      await store.delete("a");
    };
    const counted = new CrashableStore(world().memory);
    await run(counted.store);
    assert.deepEqual(counted.changes, [1, 3, 4]);
    const after = ["a", "a", "a,b", "b"];
    for (let at = 1; at <= 4; at++) {
      for (const when of ["before", "after"] as const) {
        const { memory } = world();
        const crashable = new CrashableStore(memory, { at, when });
        const outcome = await Promise.race([run(crashable.store).then(() => "finished"), crashable.crashed]);
        assert.equal(typeof outcome === "object" && outcome.operation, counted.calls[at - 1]?.operation);
        assert.equal((await names(memory, "")).join(), when === "after" ? after[at - 1] : (after[at - 2] ?? ""));
        const late = crashable.store.put("late", utf8("x")).then(() => "answered");
        assert.equal(await Promise.race([late, turns().then(() => "silence")]), "silence");
        assert.equal(await memory.head("late"), undefined);
      }
    }
  });

  test("of racing creates through faults at most one is told that it won, and it has", async () => {
    for (let round = 0; round < 200; round++) {
      const clock = new SimClock();
      const memory = new MemoryObjectStore({ clock });
      const random = randomOf(SEED + round, "race");
      const rates = { errorBefore: 0.1, errorAfter: 0.2, timeoutBefore: 0, timeoutAfter: 0, lateEffect: 0.2 };
      const store = faultyStore(memory, { clock, random, rates, lateMsMax: 10 });
      const results = await Promise.allSettled(Array.from({ length: 5 }, (_, i) => store.putIf("k", utf8(String(i)), absent)));
      clock.advance(20);
      await turns();
      const won = results.flatMap((result, i) => (result.status === "fulfilled" && result.value.ok ? [i] : []));
      assert.ok(won.length <= 1, `round ${round}`);
      if (won.length === 1) assert.equal(text(await memory.get("k")), String(won[0]));
    }
  });
});
