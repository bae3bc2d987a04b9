import assert from "node:assert/strict";
import { test } from "node:test";
import { systemClock } from "../../src/host/mod.ts";
import { LastKnown } from "../../src/replica/last-known.ts";

test("a value is asked for anew; while the answer is out, the last one serves and nothing is asked twice", async () => {
  const asked: PromiseWithResolvers<number>[] = [];
  const known = new LastKnown(() => {
    const answer = Promise.withResolvers<number>();
    asked.push(answer);
    return answer.promise;
  }, systemClock);
  const first = known.get();
  asked[0]?.resolve(1);
  assert.equal(await first, 1);
  assert.deepEqual(await Promise.all([known.get(), known.get()]), [1, 1]);
  assert.equal(asked.length, 2);
  asked[1]?.resolve(2);
  const third = known.get();
  asked[2]?.resolve(3);
  assert.ok([2, 3].includes(await third));
});
