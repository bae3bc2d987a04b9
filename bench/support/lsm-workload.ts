/** The work that bench/lsm.ts gives both engines: 16-byte keys in an order that looks random and is the same every time, 100-byte values. */
import { seededRandom } from "../../src/base/mod.ts";

/** The value of every row. */
export const VALUE: Uint8Array = Uint8Array.from({ length: 100 }, (_, i) => (i * 37) % 256);

/** A value of which half is the same in every row and half is not, so that codecs have something to do and something to gain. */
export function variedValue(i: number): Uint8Array {
  const value = VALUE.slice();
  let state = Math.imul(i + 1, 0x9e3779b1);
  for (let at = 0; at < 50; at++) {
    state = Math.imul(state ^ (state >>> 15), 0x85ebca6b) + 0x6d2b79f5;
    value[at] = state >>> 24;
  }
  return value;
}

/** The key of row `i`. */
export function keyOf(i: number): Uint8Array {
  return new TextEncoder().encode(`key-${String(i).padStart(12, "0")}`);
}

/** Numbers below `count` in a fixed random order. */
export function shuffled(count: number): number[] {
  const random = seededRandom(count);
  const list = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [list[i], list[j]] = [list[j] as number, list[i] as number];
  }
  return list;
}

/** How many per second, if `work` does `count`. */
export async function perSecond(count: number, work: () => Promise<void> | void): Promise<number> {
  const started = performance.now();
  await work();
  return (count / (performance.now() - started)) * 1000;
}

/** The value below which a share of `list` lies. */
export function percentile(list: readonly number[], share: number): number {
  return list.toSorted((left, right) => left - right)[Math.floor(list.length * share)] ?? Number.NaN;
}

/** Resident memory of this process. */
export function rssMiB(): number {
  return process.memoryUsage.rss() / 1_048_576;
}
