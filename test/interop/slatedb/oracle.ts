/** Both engines on one directory, with the same few verbs, and the checks of the interop cases. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as slate from "@slatedb/uniffi";
import { compareBytes, toHex } from "../../../src/base/mod.ts";
import { hostCodecs, LocalObjectStore, nodeCrc32, systemClock, systemRandom } from "../../../src/host/mod.ts";
import { Db, type LsmComponents, type LsmOptions, type MergeOperator } from "../../../src/lsm/mod.ts";

export { slate };

/** A case that did not hold. */
export class Failure extends Error {}

/** @throws Failure unless `condition` holds. */
export function must(condition: boolean, what: string): void {
  if (!condition) throw new Failure(what);
}

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
export const text = (value: Uint8Array | undefined): string | undefined =>
  value === undefined ? undefined : new TextDecoder().decode(value);

/** Bytes of hexadecimal digits. */
export function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

/** The merge operator of all cases: appends. */
export const appendOperator: MergeOperator = {
  merge: (_key, existing, operand) => {
    const joined = new Uint8Array((existing?.length ?? 0) + operand.length);
    if (existing !== undefined) joined.set(existing);
    joined.set(operand, existing?.length ?? 0);
    return joined;
  },
};

/** Components of our engine over a directory, the WAL in another if one is given. */
export function ourComponents(root: string, walRoot?: string): LsmComponents {
  const store = new LocalObjectStore({ root, isSynced: false });
  const walStore = walRoot === undefined ? undefined : new LocalObjectStore({ root: walRoot, isSynced: false });
  return { store, walStore, clock: systemClock, random: systemRandom, crc32: nodeCrc32, hostCodecs, mergeOperator: appendOperator };
}

/** Our engine on `root`/db. */
export async function openOurs(root: string, options: LsmOptions = {}): Promise<Db> {
  return await Db.open("db", ourComponents(root), { compactor: false, gc: false, ...options });
}

/** Settings of SlateDB as it names them. */
export interface TheirOptions {
  readonly settings?: Readonly<Record<string, unknown>> | undefined;
  readonly blockSize?: keyof typeof slate.SstBlockSize | undefined;
  /** Where the WAL is, if not in `root`. */
  readonly walRoot?: string | undefined;
}

/** SlateDB's merge operator, the same as ours. */
const theirOperator = {
  merge: (key: Uint8Array, existing: Uint8Array | undefined, operand: Uint8Array) => appendOperator.merge(key, existing, operand),
};

/** Settings of SlateDB's compactor under which it compacts soon. */
export const COMPACTING = {
  poll_interval: "50ms",
  manifest_update_timeout: "300s",
  max_sst_size: 268_435_456,
  max_concurrent_compactions: 4,
  max_fetch_tasks: 4,
  scheduler_options: {},
};

/** SlateDB on a path below `root`, without compactor and collector unless the settings say so. */
export async function openTheirs(root: string, options: TheirOptions = {}, path = "db"): Promise<slate.Db> {
  mkdirSync(root, { recursive: true });
  const builder = new slate.DbBuilder(path, slate.ObjectStore.resolve(`file://${root}`));
  const settings = slate.Settings.default();
  const all = { flush_interval: "5ms", compactor_options: null, garbage_collector_options: null, ...options.settings };
  for (const [key, value] of Object.entries(all)) settings.set(key, JSON.stringify(value));
  builder.with_settings(settings);
  builder.with_merge_operator(theirOperator);
  if (options.walRoot !== undefined) {
    mkdirSync(options.walRoot, { recursive: true });
    builder.with_wal_object_store(slate.ObjectStore.resolve(`file://${options.walRoot}`));
  }
  if (options.blockSize !== undefined) builder.with_sst_block_size(slate.SstBlockSize[options.blockSize]);
  return await builder.build();
}

/** SlateDB's reader of `root`/db: at a checkpoint, or following. */
export async function openTheirReader(
  root: string,
  how: { checkpoint?: string; pollMs?: number; lifetimeMs?: number },
): Promise<slate.DbReader> {
  const builder = new slate.DbReaderBuilder("db", slate.ObjectStore.resolve(`file://${root}`));
  if (how.checkpoint !== undefined) builder.with_checkpoint_id(how.checkpoint);
  builder.with_merge_operator(theirOperator);
  builder.with_options({
    manifest_poll_interval_ms: how.pollMs ?? 10_000,
    checkpoint_lifetime_ms: how.lifetimeMs ?? 600_000,
    max_memtable_bytes: 67_108_864,
    skip_wal_replay: false,
  });
  return await builder.build();
}

/** Runs `action`; the error it ends with, or undefined. A hang, which is what some cases are about, is the error "hang". */
export async function errorOf(action: () => Promise<unknown>, deadlineMs = 8000): Promise<unknown> {
  const timeout = new Promise<string>((resolve) => setTimeout(() => resolve("hang"), deadlineMs).unref());
  return await Promise.race([
    action().then(
      () => undefined,
      (error: unknown) => error ?? "unknown",
    ),
    timeout,
  ]);
}

/** Waits for a condition. @throws Failure */
export async function waitUntil(what: string, isSo: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 25_000;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Failure(`not in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const everything = { start: undefined, start_inclusive: true, end: undefined, end_inclusive: false };

/** All rows as hex of key and value, by SlateDB. */
export async function theirRows(db: Pick<slate.Db, "scan">): Promise<Map<string, string>> {
  const rows = new Map<string, string>();
  const scan = await db.scan(everything);
  for (let row = await scan.next(); row !== undefined; row = await scan.next()) rows.set(toHex(row.key), toHex(row.value));
  return rows;
}

/** All rows as hex of key and value, by us. */
export async function ourRows(db: Pick<Db, "scan">): Promise<Map<string, string>> {
  const rows = new Map<string, string>();
  let previous: Uint8Array | undefined;
  for await (const row of db.scan()) {
    must(previous === undefined || compareBytes(previous, row.key) < 0, "our scan is in order");
    previous = row.key;
    rows.set(toHex(row.key), toHex(row.value));
  }
  return rows;
}

/** @throws Failure that names the first difference */
export function mustEqual(found: ReadonlyMap<string, string>, expected: ReadonlyMap<string, string>, what: string): void {
  for (const [key, value] of expected) {
    if (found.get(key) !== value)
      throw new Failure(`${what}: key ${key} is ${(found.get(key) ?? "absent").slice(0, 60)}, expected ${value.slice(0, 60)}`);
  }
  for (const key of found.keys()) if (!expected.has(key)) throw new Failure(`${what}: key ${key} is there and should not be`);
}

/** Checks that SlateDB gets and scans exactly the rows. */
export async function theyMustSee(db: slate.Db, expected: ReadonlyMap<string, string>): Promise<void> {
  mustEqual(await theirRows(db), expected, "SlateDB's scan");
  for (const [key, value] of expected) {
    const got = await db.get(fromHex(key));
    must(got !== undefined && toHex(got) === value, `SlateDB's get of ${key}`);
  }
}

/** Checks that we get and scan exactly the rows. */
export async function weMustSee(db: Db, expected: ReadonlyMap<string, string>): Promise<void> {
  mustEqual(await ourRows(db), expected, "our scan");
  for (const [key, value] of expected) {
    const got = await db.get(fromHex(key));
    must(got !== undefined && toHex(got) === value, `our get of ${key}`);
  }
}

/** The last object's path in a folder of the store, by name. */
export function lastFile(root: string, folder: string): string {
  const names = readdirSync(join(root, "db", folder)).filter((name) => !name.includes("#"));
  return join(root, "db", folder, names.sort((left, right) => (left < right ? -1 : 1)).at(-1) ?? "");
}

/** Changes a file's bytes in place. */
export function patchFile(path: string, change: (bytes: Uint8Array) => Uint8Array): void {
  writeFileSync(path, change(new Uint8Array(readFileSync(path))));
}
