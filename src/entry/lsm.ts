/**
 * The public door `pumice/lsm`: the storage engine with Node's clock, randomness, checksums and codecs. No SQL, no consensus.
 *
 *     import { openDb } from "pumice/lsm";
 *     await using db = await openDb("./data", "my-store");
 *     await db.put(new TextEncoder().encode("hello"), new TextEncoder().encode("world"));
 */
import { MemoryObjectStore, type ObjectStore } from "../base/mod.ts";
import { hostCodecs, LocalObjectStore, nodeCrc32, systemClock, systemRandom } from "../host/mod.ts";
import { Db, DbReader, type LsmComponents, type LsmOptions, type ReaderOptions } from "../lsm/mod.ts";

export { isPumiceError, MemoryObjectStore, PumiceError, type ErrorCode, type ErrorKind, type ObjectStore } from "../base/mod.ts";
export { LocalObjectStore, S3ObjectStore, s3FromEnvironment } from "../host/mod.ts";
export * from "../lsm/mod.ts";

/** Where a store is: a directory, or an object store. */
export type StoreLocation = string | ObjectStore;

/** What of the components a program may want to choose. */
export type ComponentChoices = Partial<Omit<LsmComponents, "store">>;

/** The components of an engine on this machine. A path is a directory, synced at every write. */
export function components(location: StoreLocation, choices: ComponentChoices = {}): LsmComponents {
  const store = typeof location === "string" ? new LocalObjectStore({ root: location }) : location;
  return { store, clock: systemClock, random: systemRandom, crc32: nodeCrc32, hostCodecs, ...choices };
}

/** An object store in memory: gone with the process. */
export function memoryStore(): ObjectStore {
  return new MemoryObjectStore({ clock: systemClock });
}

/** Opens the store of that name for writing, and makes it if there is none. @throws what Db.open throws */
export async function openDb(location: StoreLocation, name: string, options: LsmOptions & ComponentChoices = {}): Promise<Db> {
  return await Db.open(name, components(location, choicesOf(options)), withoutChoices(options));
}

/** Opens the store of that name for reading. @throws what DbReader.open throws */
export async function openReader(location: StoreLocation, name: string, options: ReaderOptions & ComponentChoices = {}): Promise<DbReader> {
  return await DbReader.open(name, components(location, choicesOf(options)), withoutChoices(options));
}

const CHOICES = [
  "walStore",
  "clock",
  "random",
  "crc32",
  "hostCodecs",
  "mergeOperator",
  "blockTransformer",
  "cache",
] as const satisfies readonly (keyof ComponentChoices)[];

function choicesOf(options: ComponentChoices): ComponentChoices {
  return Object.fromEntries(CHOICES.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])));
}

function withoutChoices<T extends ComponentChoices>(options: T): Omit<T, keyof ComponentChoices> {
  const rest: Record<string, unknown> = { ...options };
  for (const name of CHOICES) delete rest[name];
  return rest as Omit<T, keyof ComponentChoices>;
}
