/**
 * Applies entries of growing rows until this machine fails, then says how: one line of JSON. With a ballast file it makes room by removing
 * it, applies the rest on the same connection and adds the content.
 */
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { isPumiceError } from "../../../src/base/mod.ts";
import { encodeCommand, type StateMachine } from "../../../src/sql/mod.ts";
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

function applyRest(machine: StateMachine): unknown {
  try {
    while (machine.applied.index < last) {
      const first = machine.applied.index + 1;
      machine.apply(Array.from({ length: 3 }, (_, i) => ({ index: first + i, term: 1, data: entry(first + i), want: { timings: false } })));
    }
    return undefined;
  } catch (error) {
    if (!isPumiceError(error)) throw error;
    const again = capture(() => machine.apply([{ index: machine.applied.index + 1, term: 1, data: entry(machine.applied.index + 1) }]));
    return { code: error.code, details: error.details, applied: machine.applied.index, again };
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
  const machine = openMachine(path);
  const failure = applyRest(machine);
  let content: string[] = [];
  let checkpoint: unknown;
  if (ballast !== undefined && ballast !== "" && existsSync(ballast)) {
    // The main file has to grow too.
    const { busy, full, durableIndex } = machine.checkpoint("truncate");
    checkpoint = { busy, full: full?.code, durableIndex };
    rmSync(ballast);
    const isDone = applyRest(machine) === undefined && !machine.checkpoint("truncate").busy;
    machine.close();
    if (isDone) content = contentOf(path);
  } else machine.close();
  console.log(JSON.stringify({ failure, checkpoint, content }));
}
