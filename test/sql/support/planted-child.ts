/** Tries the scenarios until the law of batches breaks, or an assertion does: status 0 if so, 1 if all went well. */
import * as host from "../../../src/host/mod.ts";
import * as sql from "../../../src/sql/mod.ts";
import { tryScenario } from "./batching.ts";
import { EXTENSION } from "./database.ts";
import { SCENARIOS } from "./scenarios.ts";

function isNoticed(): boolean {
  try {
    for (const [name, commands] of Object.entries(SCENARIOS)) {
      const found = tryScenario({ sql, host, extensionPath: EXTENSION }, commands);
      if (found === undefined) continue;
      console.log(`${name}\n${found}`);
      return true;
    }
    return false;
  } catch (error) {
    console.log(String(error));
    return true;
  }
}

process.exitCode = isNoticed() ? 0 : 1;
