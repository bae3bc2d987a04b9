/**
 * Applies entries of growing rows until this machine fails, then says how: one line of JSON. With a ballast file it makes room by removing
 * it, opens the database again, applies the rest and adds the content.
 */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { isPumiceError } from "../../../src/base/mod.ts";
import { encodeCommand } from "../../../src/sql/mod.ts";
import { contentOf } from "./batching.ts";
import { command, openMachine } from "./database.ts";

const path = process.argv[2] ?? "";
const ballast = process.argv[3];
const last = Number(process.argv[4] ?? 400);

/** Entry `index`: one insert in the middle of two others of its batch. */
export function entry(index: number): Uint8Array {
  if (index === 1) return encodeCommand(command(["CREATE TABLE t(id INTEGER PRIMARY KEY, v)"]));
  return encodeCommand(
    command([`INSERT INTO t(v) VALUES(${index})`, `INSERT INTO t(v) VALUES(zeroblob(6000))`], {
      requestId: { session: 1n, sequence: BigInt(index) },
    }),
  );
}

function applyRest(): unknown {
  let machine = openMachine(path);
  try {
    while (machine.applied.index < last) {
      const first = machine.applied.index + 1;
      machine.apply(Array.from({ length: 3 }, (_, i) => ({ index: first + i, term: 1, data: entry(first + i), want: { timings: false } })));
    }
    return undefined;
  } catch (error) {
    if (!isPumiceError(error)) throw error;
    const again = capture(() => machine.apply([{ index: machine.applied.index + 1, term: 1, data: new Uint8Array(0) }]));
    return { code: error.code, details: error.details, applied: machine.applied.index, again };
  } finally {
    machine.close();
  }
}

function capture(act: () => unknown): string {
  try {
    act();
    return "nothing";
  } catch (error) {
    return isPumiceError(error) ? error.code : String(error);
  }
}

if (process.argv[1]?.endsWith("machine-child.ts") === true) {
  if (ballast !== undefined && ballast !== "") writeFileSync(ballast, new Uint8Array(14_000_000));
  const failure = applyRest();
  let content: string[] = [];
  if (ballast !== undefined && ballast !== "" && existsSync(ballast)) {
    rmSync(ballast);
    if (applyRest() === undefined) content = contentOf(path);
  }
  console.log(JSON.stringify({ failure, content }));
}
