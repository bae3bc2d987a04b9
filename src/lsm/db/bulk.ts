/** Calls that are many calls: they do nothing that a program could not do by the others. */
import { copyBytes } from "../../base/mod.ts";
import { WriteBatch } from "./batch.ts";
import { NOT_CACHED, type ScanBounds } from "./reads.ts";
import type { Scan } from "./scan.ts";
import type { WriteHandle, WriteOptions } from "./transaction.ts";

/** What `multiGet` reads with. */
export interface ManyReads {
  now(key: Uint8Array): Uint8Array | undefined | typeof NOT_CACHED;
  fetch(key: Uint8Array): Promise<Uint8Array | undefined>;
}

/** What `deleteRange` works on. */
export interface RangeTarget {
  scan(bounds: ScanBounds): Scan;
  write(batch: WriteBatch, options?: WriteOptions): Promise<WriteHandle>;
}

const DELETE_RANGE_BATCH = 1000;
/** Keys of one `multiGet` that are fetched at a time. */
const MULTI_GET_FETCHES_MAX = 64;

/** Deletes the keys that are there now, batch by batch; how many there were. */
export async function deleteRange(db: RangeTarget, bounds: ScanBounds, options: WriteOptions | undefined): Promise<number> {
  const scan = db.scan(bounds);
  let deleted = 0;
  try {
    for (;;) {
      const rows = await scan.nextBatch(DELETE_RANGE_BATCH, { signal: options?.signal });
      if (rows.length === 0) return deleted;
      const batch = new WriteBatch();
      for (const { key } of rows) batch.delete(key);
      await db.write(batch, options);
      deleted += rows.length;
    }
  } finally {
    scan.dispose();
  }
}

/** The values of many keys: what is at hand at once, the rest side by side. */
export async function multiGet(keys: readonly Uint8Array[], reads: ManyReads): Promise<(Uint8Array | undefined)[]> {
  const values: (Uint8Array | undefined)[] = [];
  /** Copies: the caller may use its bytes for other keys while these are fetched. */
  const missing: { readonly index: number; readonly key: Uint8Array }[] = [];
  for (const [index, key] of keys.entries()) {
    const value = reads.now(key);
    if (value === NOT_CACHED) missing.push({ index, key: copyBytes(key) });
    values.push(value === NOT_CACHED ? undefined : value);
  }
  const fetchSome = async (): Promise<void> => {
    try {
      for (let next = missing.pop(); next !== undefined; next = missing.pop()) values[next.index] = await reads.fetch(next.key);
    } catch (error) {
      missing.length = 0;
      throw error;
    }
  };
  await Promise.all(Array.from({ length: Math.min(missing.length, MULTI_GET_FETCHES_MAX) }, fetchSome));
  return values;
}
