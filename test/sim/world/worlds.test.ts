import assert from "node:assert/strict";
import { test } from "node:test";
import { asNodeId, seededRandom } from "../../../src/base/mod.ts";
import { SimClock, SimDisk, SimNetwork, randomOf, simSpawner } from "../../../src/sim/mod.ts";
import { clockConformance } from "../../base/clock-conformance.ts";
import { fileSystemConformance } from "../../base/file-system-conformance.ts";
import { randomConformance } from "../../base/random-conformance.ts";
import { conformanceWorkers, spawnerConformance } from "../../base/spawner-conformance.ts";
import { transportConformance } from "../../base/transport-conformance.ts";

clockConformance("simulated clock", () => {
  const clock = new SimClock(1_000_000);
  return { clock, pass: (ms) => clock.advance(ms) };
});

randomConformance("simulated random", () => randomOf(7, "conformance"));

fileSystemConformance("simulated files", () => {
  const disk = new SimDisk(seededRandom(1));
  disk.files.makeDirectory("data");
  return { files: disk.files, folder: "data" };
});

spawnerConformance("simulated spawner", () => simSpawner(conformanceWorkers, queueMicrotask));

transportConformance("simulated network", () => {
  const clock = new SimClock();
  const network = new SimNetwork(clock, seededRandom(1));
  return { join: (id) => network.join(id), settle: () => settle(clock) };
});

/** Lets everything that is under way arrive. */
async function settle(clock: SimClock): Promise<void> {
  await Promise.resolve();
  while (clock.nextDeadline() !== undefined) {
    clock.advance(1);
    for (let i = 0; i < 10; i++) await Promise.resolve();
  }
}

test("simulated random: parts of a world, and worlds, draw different numbers", () => {
  const draws = new Set<bigint>();
  for (let seed = 0; seed < 100; seed++) for (const part of ["disk", "network", "clock"]) draws.add(randomOf(seed, part).u64());
  assert.equal(draws.size, 300);
});

test("simulated clock: the wall clock jumps alone", () => {
  const clock = new SimClock(1000);
  clock.advance(10.5);
  clock.jump(-500);
  assert.equal(clock.now(), 510);
  assert.equal(clock.monotonic(), 10.5);
});

test("simulated network: loses, doubles, delays and reorders as told, and a cut link carries nothing, one way only", async () => {
  const clock = new SimClock();
  const network = new SimNetwork(clock, seededRandom(3), { lossPerMille: 200, duplicatePerMille: 300, delayMsMax: 50 });
  const [one, two] = [asNodeId(1), asNodeId(2)];
  const a = network.join(one);
  const b = network.join(two);
  const counts = new Map<number, number>();
  const order: number[] = [];
  b.onMessage((_, message) => {
    counts.set(message[0]!, (counts.get(message[0]!) ?? 0) + 1);
    order.push(message[0]!);
  });
  let back = 0;
  a.onMessage(() => back++);
  for (let i = 0; i < 200; i++) a.send(two, Uint8Array.of(i));
  await settle(clock);
  assert.ok(counts.size > 120 && counts.size < 190, `${counts.size} of 200 arrived`);
  assert.ok([...counts.values()].some((count) => count === 2));
  assert.notDeepEqual(
    order,
    order.toSorted((left, right) => left - right),
  );
  network.options = {};
  network.cut(one, two);
  const before = order.length;
  a.send(two, Uint8Array.of(1));
  b.send(one, Uint8Array.of(1));
  await settle(clock);
  assert.equal(order.length, before);
  assert.equal(back, 1);
  network.heal();
  a.send(two, Uint8Array.of(1));
  await settle(clock);
  assert.equal(order.length, before + 1);
});
