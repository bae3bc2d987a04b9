import assert from "node:assert/strict";
import { test } from "node:test";
import { Gather } from "../../src/base/gather.ts";
import { SimClock } from "../../src/sim/mod.ts";

function create() {
  const turns: (() => void)[] = [];
  const clock = new SimClock();
  const runs = { count: 0 };
  const gather = new Gather({ defer: (task) => turns.push(task), clock }, () => runs.count++);
  return { gather, clock, runs, turn: () => turns.splice(0).forEach((task) => task()) };
}

test("what comes alone is run at the end of its turn", () => {
  const { gather, runs, turn } = create();
  gather.add();
  assert.equal(runs.count, 0);
  turn();
  assert.equal(runs.count, 1);
  turn();
  assert.equal(runs.count, 1);
});

test("while turns bring something new they are gathered into one run", () => {
  const { gather, runs, turn } = create();
  gather.add();
  for (let i = 0; i < 5; i++) {
    gather.add();
    turn();
    assert.equal(runs.count, 0);
  }
  turn();
  assert.equal(runs.count, 1);
});

test("a load that never pauses does not gather for ever", () => {
  const { gather, clock, runs, turn } = create();
  gather.add();
  gather.add();
  turn();
  assert.equal(runs.count, 0);
  gather.add();
  clock.advance(1);
  turn();
  assert.equal(runs.count, 1);
});
