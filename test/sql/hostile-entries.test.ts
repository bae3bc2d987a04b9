/** The law of batches on hostile entries. The gate tries a few logs, always the same; PUMICE_HOSTILE_SEEDS tries so many from PUMICE_HOSTILE_SEED on. */
import assert from "node:assert/strict";
import { test } from "node:test";
import * as host from "../../src/host/mod.ts";
import * as sql from "../../src/sql/mod.ts";
import { PLANS, tryLog } from "./support/batching.ts";
import { EXTENSION } from "./support/database.ts";
import { hostileCommand } from "./support/hostile-entries.ts";
import { Dice } from "./support/random-entries.ts";

const COUNT = Number(process.env["PUMICE_HOSTILE_SEEDS"] ?? 4);
const FIRST = Number(process.env["PUMICE_HOSTILE_SEED"] ?? 100);

test(`virtual tables, DDL, triggers and hostile functions: no entry ends the machine, and its outcome does not depend on its batch; seed ${FIRST}`, () => {
  for (let seed = FIRST; seed < FIRST + COUNT; seed++) {
    const dice = new Dice(seed);
    const log = Array.from({ length: 60 }, () => sql.encodeCommand(hostileCommand(dice)));
    let found: string | undefined;
    try {
      found = tryLog({ sql, host, extensionPath: EXTENSION }, log, { plans: PLANS, seed, foreignKeys: seed % 2 === 0 });
    } catch (error) {
      found = String(error);
    }
    assert.equal(found, undefined, `PUMICE_HOSTILE_SEED=${seed}: ${found}`);
  }
});
