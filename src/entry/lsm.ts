/**
 * The public door `pumice/lsm`: the storage engine with Node's clock, randomness, checksums and codecs. No SQL, no consensus.
 *
 *     import { openDb } from "pumice/lsm";
 *     await using db = await openDb("./data", "my-store");
 *     await db.put(new TextEncoder().encode("hello"), new TextEncoder().encode("world"));
 */
import { MemoryObjectStore, PumiceError, type ObjectStore, type Spawner } from "../base/mod.ts";
import { hostCodecs, nodeCrc32, openObjectStore, systemClock, systemRandom, threadSpawner } from "../host/mod.ts";
import { FUNCTION_NAMES, loadFunctions, type LsmFunctions } from "./lsm-functions.ts";
import { Db, DbReader, RemoteExecutor, type LsmComponents, type LsmOptions, type ReaderOptions, type WaitOptions } from "../lsm/mod.ts";
import type { CompactionWorkerInit } from "./lsm-compaction-worker.ts";

export {
  isPumiceError,
  MemoryObjectStore,
  PumiceError,
  type ErrorCode,
  type ErrorKind,
  type Metric,
  type ObjectStore,
  prometheusText,
} from "../base/mod.ts";
export { CachingObjectStore, DiskCache, LocalObjectStore, openObjectStore, S3ObjectStore, s3FromEnvironment } from "../host/mod.ts";
export * from "../lsm/mod.ts";

/** Where a store is: a directory, `file:///directory` or `s3://bucket/path`, or an object store. */
export type StoreLocation = string | ObjectStore;

/** What of the components a program may want to choose. */
export type ComponentChoices = Partial<Omit<LsmComponents, "store">>;

/** A program's own functions, by the module that exports them. */
export type FunctionModule = {
  /**
   * URL of a module that exports `mergeOperator`, `blockTransformer` or `compactionFilter`: loaded here, and on the thread that compacts. Given as
   * components they would keep compaction on this thread.
   */
  readonly functions?: URL | string | undefined;
};

const COMPACTION_WORKER = "lsm-compaction-worker";

/** The components of an engine on this machine. A directory is synced at every write. @throws STORE_URL */
export function components(location: StoreLocation, choices: ComponentChoices = {}): LsmComponents {
  const machine = { clock: systemClock, random: systemRandom, crc32: nodeCrc32, hostCodecs };
  if (typeof location !== "string") return { store: location, ...machine, ...choices };
  const opened = openObjectStore(location, { env: process.env });
  return { store: opened.store, path: opened.path, ...machine, onClosed: opened.close, ...choices };
}

function spawner(): Spawner {
  const suffix = import.meta.url.endsWith(".ts") ? "ts" : "js";
  return threadSpawner(new Map([[COMPACTION_WORKER, new URL(`./${COMPACTION_WORKER}.${suffix}`, import.meta.url)]]));
}

/** Another thread can merge if it can open the store by itself, and load by itself what functions it needs. */
function compactionThread(
  { location, name }: { location: StoreLocation; name: string },
  choices: ComponentChoices & FunctionModule,
  functions: LsmFunctions,
): RemoteExecutor | undefined {
  if (typeof location !== "string" || FUNCTION_NAMES.some((each) => choices[each] !== undefined)) return undefined;
  // In full: a relative one would mean another place once the process has changed its directory.
  const { address } = openObjectStore(location, { env: process.env });
  const initial: CompactionWorkerInit = { address, root: name, isSynced: true, functions: choices.functions?.toString() };
  // Where a filter decides, all is merged where it is: what it remembers from row to row is in one place.
  const smallBytes = functions.compactionFilter === undefined ? undefined : 0;
  return new RemoteExecutor(spawner(), { name: COMPACTION_WORKER, initial, clock: choices.clock ?? systemClock, smallBytes });
}

/** An object store in memory: gone with the process. */
export function memoryStore(): ObjectStore {
  return new MemoryObjectStore({ clock: systemClock });
}

/** What the module exports. @throws LSM_INVALID, also if the options have one of the functions too */
async function functionsOf(options: ComponentChoices & FunctionModule): Promise<LsmFunctions> {
  if (options.functions === undefined) return {};
  const twice = FUNCTION_NAMES.find((each) => options[each] !== undefined);
  if (twice !== undefined)
    throw new PumiceError("LSM_INVALID", { what: "give functions as components or by their module, not both", twice });
  return await loadFunctions(options.functions.toString());
}

/** Opens the store of that name for writing, and makes it if there is none. By an address, compaction runs on a thread of its own. @throws what Db.open throws */
export async function openDb(
  location: StoreLocation,
  name: string,
  options: LsmOptions & ComponentChoices & FunctionModule & WaitOptions = {},
): Promise<Db> {
  const functions = await functionsOf(options);
  const thread = compactionThread({ location, name }, options, functions);
  // On its own thread, the filter is the thread's affair.
  const own = thread === undefined ? functions : { ...functions, compactionFilter: undefined, compactionExecutor: thread };
  const chosen = components(location, { ...own, ...choicesOf(options) });
  const onClosed = async (): Promise<void> => {
    await thread?.close();
    await chosen.onClosed?.();
  };
  return await Db.open(name, { ...chosen, onClosed }, withoutChoices(options));
}

/** Opens the store of that name for reading. @throws what DbReader.open throws */
export async function openReader(
  location: StoreLocation,
  name: string,
  options: ReaderOptions & ComponentChoices & FunctionModule & WaitOptions = {},
): Promise<DbReader> {
  const chosen = components(location, { ...(await functionsOf(options)), ...choicesOf(options) });
  return await DbReader.open(name, chosen, withoutChoices(options));
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
  "compactionExecutor",
  "compactionPicker",
  "compactionFilter",
  "onClosed",
] as const satisfies readonly (keyof ComponentChoices)[];

function choicesOf(options: ComponentChoices): ComponentChoices {
  return Object.fromEntries(CHOICES.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]])));
}

function withoutChoices<T extends ComponentChoices & FunctionModule>(options: T): Omit<T, keyof (ComponentChoices & FunctionModule)> {
  const rest: Record<string, unknown> = { ...options };
  for (const name of [...CHOICES, "functions"]) delete rest[name];
  return rest as Omit<T, keyof (ComponentChoices & FunctionModule)>;
}
