/** Lives by the number: what a seed means, for the gate, for long runs and for planted bugs. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { live, type Death, type LifeOptions, type LifeReport } from "../../../../src/sim/mod.ts";
import { lifeParts } from "./sqlite-disk.ts";

/** Lives one life in a folder of its own. @throws LifeFailure */
export async function liveOnce(options: LifeOptions): Promise<LifeReport> {
  const root = mkdtempSync(join(tmpdir(), "pumice-life-"));
  try {
    return await live(options, lifeParts(root));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** The life of `seed`: deaths of one or both kinds at turns that the seed draws, disk faults in every second one. */
export function optionsOf(seed: number): LifeOptions {
  const mean = [60, 150, 400, 1000][seed % 4] as number;
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  const draw = (bound: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * bound);
  };
  let next = draw(2 * mean);
  const death = (turn: number): Death | undefined => {
    if (turn < next) return undefined;
    next = turn + 1 + draw(2 * mean);
    return draw(2) === 0 ? "kill" : "power";
  };
  return { seed, operations: 150, death, hasDiskFaults: seed % 2 === 1 };
}

/** A short life that dies once, at `turn`. */
export function dyingAt(turn: number, death: Death): LifeOptions {
  return { seed: 7, operations: 40, death: (now) => (now === turn ? death : undefined) };
}
