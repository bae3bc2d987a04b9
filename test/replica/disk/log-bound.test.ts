import assert from "node:assert/strict";
import { test } from "node:test";
import { LogBound } from "../../../src/replica/disk/log-bound.ts";

test("nothing of the log may go before the database file has been synced", () => {
  const bound = new LogBound();
  assert.equal(bound.index, 0);
  bound.snapshots(50);
  bound.followers(50);
  assert.equal(bound.index, 0);
});

test("the log may go as far as synced file, snapshots and followers all allow", () => {
  const bound = new LogBound();
  bound.synced(100);
  assert.equal(bound.index, 100, "no snapshots are kept, and nobody follows");
  bound.synced(200);
  bound.snapshots(150);
  assert.equal(bound.index, 150);
  bound.followers(120);
  bound.snapshots(190);
  assert.equal(bound.index, 150, "it never goes back");
  bound.followers(180);
  assert.equal(bound.index, 180);
  bound.followers(undefined);
  assert.equal(bound.index, 190);
});
